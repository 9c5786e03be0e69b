"""A block from its tensors, its layout and what the user says."""

import numpy as np

from nlmeans.operation.block import Block
from nlmeans.operation.embed import Identity, Linear
from nlmeans.operation.operation import Operation
from nlmeans.operation.pairwise import Pairwise, concatenation, dot_product, embedded_gaussian
from nlmeans.operation.pool import Pool
from nlmeans.operation.support import Everywhere, Regions, Support
from nlmeans.weights.errors import Refusal
from nlmeans.weights.files.stored import Tensors
from nlmeans.weights.folding import BlockNumbers
from nlmeans.weights.options import Choice, Options, scale_number
from nlmeans.weights.roles import FoundBlock
from nlmeans.weights.settings import Setting, pooled, settings_of


def assemble(
    tensors: Tensors, found: FoundBlock, options: Options
) -> tuple[Block, tuple[Choice, ...]]:
    """The block, and every setting with where it came from.

    Raises Refusal for tensors that do not fit each other or the settings, each named by its key.
    """
    parts = BlockNumbers(tensors, found)
    with np.errstate(all="ignore"):  # what is not finite then is refused by name
        embeds, channels = _embeddings(parts)
    values = len(embeds["g"].weight)
    settings = settings_of(found, parts.axes, options)
    d = len(embeds["theta"].weight) if "theta" in embeds else channels
    f = _pairwise(parts, embeds, settings, d, channels)
    eps = settings["eps"].value if "eps" in settings else 0.0
    with np.errstate(all="ignore"):
        out = parts.out(channels, values, eps)
    gives = len(out[0]) if out is not None and parts.has("out") else values
    if gives != channels:
        key = parts.weight_key("out" if parts.has("out") else "g")
        raise Refusal(
            f"{key} has shape {tensors.arrays[key].shape}: the block gives {gives} channels and "
            f"takes {channels}, so they cannot be added"
        )
    block = Block(
        Operation(f, embeds["g"], _over(found, settings)), None if out is None else Linear(*out)
    )
    return block, tuple(each.shown(name, d, channels) for name, each in settings.items())


def _embeddings(parts: BlockNumbers) -> tuple[dict[str, Linear], int]:
    """theta, phi and g as far as they are there, and the channels that they take."""
    embeds: dict[str, Linear] = {}
    channels: int | None = None
    for role in ("theta", "phi", "g"):
        if parts.has(role):
            weight = parts.matrix(role, channels)
            channels = weight.shape[1]
            embeds[role] = Linear(weight, parts.bias(role, len(weight)))
    assert channels is not None  # no block is found without g
    if "theta" in embeds and embeds["theta"].weight.shape != embeds["phi"].weight.shape:
        theta, phi = parts.weight_key("theta"), parts.weight_key("phi")
        shapes = [parts.tensors.arrays[key].shape for key in (theta, phi)]
        raise Refusal(
            f"{theta} has shape {shapes[0]} and {phi} {shapes[1]}; theta and phi have to be alike"
        )
    return embeds, channels


def _pairwise(
    parts: BlockNumbers,
    embeds: dict[str, Linear],
    settings: dict[str, Setting],
    d: int,
    channels: int,
) -> Pairwise:
    theta, phi = embeds.get("theta", Identity()), embeds.get("phi", Identity())
    name = settings["pairwise"].value
    if name == "concatenation":
        w = parts.matrix("concat", 2 * d)
        if len(w) != 1:
            raise Refusal(f"{parts.weight_key('concat')} has {len(w)} outputs; w of f has one")
        return concatenation(w[0], theta, phi, bias=float(parts.bias("concat", 1)[0]))
    scale = scale_number(settings["scale"].value, d, channels) if "scale" in settings else 1.0
    if name == "dot_product":
        return dot_product(theta, phi, scale=scale)
    return embedded_gaussian(theta, phi, scale=scale, softmax=settings["softmax"].value)


def _over(found: FoundBlock, settings: dict[str, Setting]) -> Support:
    pool = _pool(found, settings)
    if "group_frames" not in settings or settings["group_frames"].value == 0:
        return Everywhere(pool)
    return Regions((settings["group_frames"].value, 0, 0), keys=pool)


def _pool(found: FoundBlock, settings: dict[str, Setting]) -> Pool | None:
    if not pooled(settings):
        return None
    size, kind, order = (settings[name].value for name in ("pool", "pool_kind", "pool_order"))
    return Pool(size, kind, order, flat=found.layout.pool == "flat" and np.ndim(size) == 0)
