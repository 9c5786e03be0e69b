"""Keras layers without names of their own: the roles follow from their order and shapes."""

import re
from typing import NamedTuple

from nlmeans.weights.errors import Refusal
from nlmeans.weights.files.stored import Tensors
from nlmeans.weights.layouts import KERAS
from nlmeans.weights.roles import FoundBlock

LAYER = re.compile(r"(?:^|[./])(conv[123]d(?:_(\d+))?)[./]")
EMBEDDED = ("theta", "phi", "g", "out")
GAUSSIAN = ("g", "out")


class _Kernel(NamedTuple):
    number: int
    layer: str
    key: str
    shape: tuple[int, int]  # (inputs, outputs)
    by_depth: bool


def keras_blocks(
    tensors: Tensors, pairwise: str | None, pool: int | tuple[int, ...] | None
) -> list[FoundBlock]:
    """Runs of 1x1 convolutions without biases whose shapes are those of a block.

    Keras 2 numbers layers as they are made: theta, phi, g, out. Keras 3 numbers those of one class
    in the order of `model.layers` (`_save_container_state` in keras/src/saving/saving_lib.py),
    which for a graph is the number of operations from there to the output, at most, largest first,
    and of equal ones as they are met from the output on (`map_graph` in keras/src/ops/function.py).
    From phi and theta it is conv, reshape, dot, softmax, dot, and one more with a pool behind phi;
    g is nearer. Parallel branches between the layers of a block would change the order.

    Raises Refusal if there is none.
    """
    kernels = _kernels(tensors)
    roles = GAUSSIAN if pairwise == "gaussian" else EMBEDDED
    found, place = [], 0
    while place + len(roles) <= len(kernels):
        run = kernels[place : place + len(roles)]
        if not _fits([kernel.shape for kernel in run]):
            place += 1
            continue
        pooled = pairwise in (None, "embedded_gaussian") and pool != 1
        order = ("phi", "theta", "g", "out") if run[0].by_depth and pooled else EMBEDDED
        named = zip(order if len(run) == 4 else GAUSSIAN, run, strict=True)
        keys = {(role, "kernel"): kernel.key for role, kernel in named}
        paths = {role: role for role, _ in keys}
        found.append(FoundBlock(run[0].layer, KERAS, keys, paths))
        place += len(run)
    if not found:
        raise Refusal(
            f"holds no {len(roles)} 1x1 convolutions without bias in a row that fit as "
            f"{', '.join(roles)}; it has {len(kernels)} such layers"
        )
    return found


def _kernels(tensors: Tensors) -> list[_Kernel]:
    found = []
    for key, stored in tensors.arrays.items():
        match = LAYER.search(key)
        by_depth = key.endswith("vars.0")
        bias = key[: -len("vars.0")] + "vars.1" if by_depth else key.replace("kernel", "bias")
        if match is None or not (by_depth or "kernel" in key) or bias in tensors.arrays:
            continue
        *window, inputs, outputs = stored.shape if len(stored.shape) > 2 else (0, 0, 0)
        if all(n == 1 for n in window):
            found.append(_Kernel(int(match[2] or 0), match[1], key, (inputs, outputs), by_depth))
    return sorted(found)


def _fits(shapes: list[tuple[int, int]]) -> bool:
    """(C, d), (C, d), (C, d_v), (d_v, C), or the last two alone."""
    *embeds, (channels, values), (inputs, outputs) = shapes
    return (
        (values, channels) == (inputs, outputs)
        and len(set(embeds)) <= 1
        and all(first == channels for first, _ in embeds)
    )
