"""The project's own file: safetensors, or npz, with texts for what the matrices cannot tell.

Arrays, for every role of theta, phi, key_bias, g, out: `ROLE.weight` (outputs, inputs) and
`ROLE.bias` (outputs,) if it is not 0; `ROLE.1.weight` is a matrix after it, as a concatenation's
w. Without a matrix theta, phi and g are the identity, and key_bias and out only if a text says so,
or else there is none. A matrix on patches acts on P_i flattened in the order
(channel, *patch), C order.

Texts:

    format      nlmeans          version     1           blocks   how many, 1 by default
    score       dot, distance or sum         weight      exp, identity or relu
    normaliser  sum, count or query sum      scale       a number; noise, cut the same
    centre      as computed, one, max, zero  name        of f, to be shown
    arithmetic  scikit-image; exact without it
    ROLE.patch  sides, such as 7x7, and weighting (none, uniform, gaussian, off-centre)
    phi         theta, where they are one
    ROLE        identity, of key_bias and out
    over        everywhere, window 21x21 inside (or mirror), regions 8x8
    pool        none, or such as 2x2 max after (or flat 2 max after)
    residual    true or false
    input_range white minus black of the values that the block is made for
    sigma       the noise that it is made for, in the same units
    origin      where it comes from, in words

For files that others write there are shorter texts, which stand for several of these:

    pairwise    embedded_gaussian, gaussian, dot_product, concatenation or l2: f's traits
    normalise   softmax or count: the normaliser
    self        one, max or zero: the centre
    window      sides, such as 21x21, of a window that ends at the border; null is everywhere
    patch       sides, such as 7x7, of patches that the matrices of theta, phi and g act on

A mean that is to be taken off the input belongs into the biases.

Of several blocks in a chain every array and text but the first three and the last three is named
`0.NAME`, `1.NAME` and so on.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from nlmeans.base.checks import ParameterError, check_number
from nlmeans.base.texts import one_line
from nlmeans.operation.block import Block, Chain
from nlmeans.operation.embed import Embedding, Identity, Linear, Patches
from nlmeans.operation.operation import Operation
from nlmeans.operation.pairwise import Pairwise
from nlmeans.operation.pool import Pool
from nlmeans.operation.support import Everywhere, Regions, Support, Window
from nlmeans.weights.errors import Refusal
from nlmeans.weights.files.stored import Tensors
from nlmeans.weights.loaded import LoadedWeights, Reading
from nlmeans.weights.options import Choice, Options, Source

FORMAT, VERSION = "nlmeans", "1"
ROLES = ("theta", "phi", "key_bias", "g", "out")
MOST_BLOCKS = 1000
TRAITS = ("score", "weight", "normaliser")
SHORT: dict[str, dict[str, Any]] = {
    "pairwise": {
        "embedded_gaussian": ("dot", "exp", "sum"),
        "gaussian": ("dot", "exp", "sum"),
        "dot_product": ("dot", "identity", "count"),
        "concatenation": ("sum", "relu", "count"),
        "l2": ("distance", "exp", "sum"),
    },
    "normalise": {"softmax": "sum", "count": "count"},
    "self": {"one": "one", "max": "max", "zero": "zero"},
}


def is_native(tensors: Tensors) -> bool:
    return tensors.metadata.get("format") == FORMAT


def read_native(path: str, tensors: Tensors, options: Options, block: str | None) -> LoadedWeights:
    """The block or chain of a native file, of which no option but input_range changes anything.

    Raises Refusal for an array or text that is missing, unknown or not allowed, by its name.
    """
    if options.given or block is not None:
        names = ", ".join([*options.given, *(["block"] if block is not None else [])])
        raise Refusal(f"is a native file, which says everything itself; leave out {names}")
    file = _NativeFile(replace(tensors, metadata=_in_full(tensors)))
    texts, metadata = file.texts, file.tensors.metadata
    texts.allowed("format", {FORMAT: FORMAT})
    texts.allowed("version", {VERSION: VERSION})
    if "blocks" in metadata:
        count = texts.parsed("blocks", int)
        if not 1 <= count <= MOST_BLOCKS:
            raise Refusal(f"blocks is {count}; allowed are 1 to {MOST_BLOCKS}")
        made: Block | Chain = Chain(tuple(file.block(f"{k}.") for k in range(count)))
    else:
        made = file.block("")
    by_file = texts.parsed("input_range", float) if "input_range" in metadata else None
    if by_file is not None and not 0 < by_file < np.inf:
        raise Refusal(f"input_range is {by_file}; allowed are numbers above 0")
    sigma = None
    if "sigma" in metadata:
        sigma = texts.parsed("sigma", lambda text: check_number("sigma", float(text), low=0))
    notes = tensors.notes
    if "origin" in metadata:
        notes += (f"made from {one_line(texts.text('origin', ''))}",)
    file.check_all_used()
    given = options.input_range
    input_range = given or by_file or 1.0
    source: Source = "option" if given else "file" if by_file else "assumed"
    choices = (*texts.choices(), Choice("input_range", f"{input_range:g}", source))
    return LoadedWeights(
        path=path,
        format=tensors.format,
        layout="native",
        name="",
        block=made,
        readings=tuple(
            Reading.of(key.rpartition(".")[0], key, tensors)
            for key in sorted(tensors.arrays, key=_place)
        ),
        choices=choices,
        notes=notes,
        input_range=input_range,
        sigma=sigma,
    )


def _in_full(tensors: Tensors) -> dict[str, str]:
    """The texts, each short one replaced by what it stands for."""
    full = dict(tensors.metadata)
    for name in tensors.metadata:
        prefix, _, last = name.rpartition(".")
        if last not in (*SHORT, "window", "patch") or (prefix and not prefix.isdigit()):
            continue
        prefix = f"{prefix}." if prefix else ""
        value = full.pop(name)
        if last in SHORT:
            _allowed(name, value, SHORT[last])
        if last == "pairwise":
            meant = dict(zip(TRAITS, SHORT[last][value], strict=True))
            meant["name"] = value.replace("_", " ")
            if f"{prefix}normalise" in tensors.metadata:
                del meant["normaliser"]
        elif last == "window":
            meant = {"over": "everywhere" if value == "null" else f"window {value} inside"}
        elif last == "patch":
            roles = [r for r in ("theta", "phi", "g") if f"{prefix}{r}.weight" in tensors.arrays]
            if not roles:
                raise Refusal(
                    f"{name} is {value[:60]!r}, and there is no matrix of theta, phi or g that "
                    f"acts on patches; give {prefix}theta.patch and so on, with their weighting"
                )
            meant = {f"{role}.patch": f"{value} none" for role in roles}
        else:
            meant = {{"normalise": "normaliser", "self": "centre"}[last]: SHORT[last][value]}
        for each, text in meant.items():
            if full.setdefault(f"{prefix}{each}", text) != text:
                raise Refusal(
                    f"{name} is {value!r} and {prefix}{each} {full[prefix + each][:60]!r}"
                )
    return full


def _place(key: str) -> tuple[int, int, str]:
    """By block, role and the rest."""
    block, role, rest = re.match(r"(?:(\d+)\.)?([^.]*)(.*)", key).groups()  # type: ignore[union-attr]
    return int(block or 0), ROLES.index(role), rest


def _allowed(name: str, value: str, allowed: Mapping[str, Any]) -> Any:
    """What a text stands for."""
    if value not in allowed:
        raise Refusal(f"{name} is {value[:60]!r}; allowed are {', '.join(map(repr, allowed))}")
    return allowed[value]


class _Texts:
    """The metadata, of which it is kept what was used and what was missing."""

    def __init__(self, metadata: Mapping[str, str]) -> None:
        self.metadata = metadata
        self.used: set[str] = set()
        self.assumed: dict[str, str] = {}

    def text(self, name: str, default: str) -> str:
        self.used.add(name)
        if name not in self.metadata:
            self.assumed[name] = default
        return self.metadata.get(name, default)

    def allowed(self, name: str, allowed: Mapping[str, Any], default: str = "") -> Any:
        return _allowed(name, self.text(name, default), allowed)

    def parsed(self, name: str, parse: Callable[[str], Any], default: str = "") -> Any:
        value = self.text(name, default)
        try:
            return parse(value)
        except ParameterError as error:
            raise Refusal(f"{name}: {error}") from error
        except (ValueError, IndexError) as error:
            raise Refusal(
                f"{name} is {value[:60]!r}, which cannot be read; see the native format"
            ) from error

    def choices(self) -> Iterator[Choice]:
        for name, value in sorted(self.metadata.items()):
            if name not in ("format", "version", "input_range", "origin"):
                yield Choice(name, one_line(value, 200), "file")
        for name, value in self.assumed.items():
            yield Choice(name, value, "assumed")


class _NativeFile:
    """Arrays and texts, of which it is kept what was used."""

    def __init__(self, tensors: Tensors) -> None:
        self.tensors, self.texts = tensors, _Texts(tensors.metadata)
        self.used: set[str] = set()

    def check_all_used(self) -> None:
        unknown = [key for key in self.tensors.arrays if key not in self.used]
        unknown += [name for name in self.texts.metadata if name not in self.texts.used]
        if unknown:
            raise Refusal(
                f"has {unknown[0][:60]!r}, which is no part of the native format, version {VERSION}"
            )

    def block(self, prefix: str) -> Block:
        texts = self.texts
        theta = self.embedding(f"{prefix}theta") or Identity()
        shared = f"{prefix}phi" in texts.metadata and texts.allowed(f"{prefix}phi", {"theta": True})
        phi = theta if shared else self.embedding(f"{prefix}phi") or Identity()
        g, out = self.embedding(f"{prefix}g") or Identity(), self.embedding(f"{prefix}out")
        if texts.metadata.get(f"{prefix}score") == "sum":
            _check_summed(prefix, {"theta": theta, "phi": phi})
        try:
            f = self.pairwise(prefix, theta, phi)
            over = self.over(prefix)
            residual = texts.allowed(f"{prefix}residual", {"true": True, "false": False}, "true")
            return Block(Operation(f, g, over), out, residual)
        except (ValueError, TypeError) as error:
            raise Refusal(f"{prefix}{error}") from error

    def pairwise(self, prefix: str, theta: Embedding, phi: Embedding) -> Pairwise:
        texts = self.texts
        name = one_line(texts.text(f"{prefix}name", "embedded gaussian"), 200)
        traits: dict[str, Any] = {
            trait: texts.text(f"{prefix}{trait}", usual)
            for trait, usual in zip(TRAITS, ("dot", "exp", "sum"), strict=True)
        }
        if f"{prefix}arithmetic" in texts.metadata:  # left out where it is exact
            traits["arithmetic"] = texts.text(f"{prefix}arithmetic", "exact")
        return Pairwise(
            name,
            query=theta,
            key=phi,
            key_bias=self.embedding(f"{prefix}key_bias"),
            scale=texts.parsed(f"{prefix}scale", float, "1.0"),
            noise=texts.parsed(f"{prefix}noise", float, "0.0"),
            centre=texts.text(f"{prefix}centre", "as computed"),  # type: ignore[arg-type]
            cut=texts.parsed(f"{prefix}cut", float, "0.0"),
            **traits,
        )

    def over(self, prefix: str) -> Support:
        over: Support = self.texts.parsed(f"{prefix}over", _support, "everywhere")
        pool = self.texts.parsed(f"{prefix}pool", _parsed_pool, "none")
        if pool is None:
            return over
        if isinstance(over, Window):
            raise Refusal(
                f"{prefix}pool is given for a window; only everywhere and regions have it"
            )
        return Regions(over.tile, keys=pool) if isinstance(over, Regions) else Everywhere(pool)

    def embedding(self, role: str) -> Embedding | None:
        texts, arrays = self.texts, self.tensors.arrays
        made: Embedding | None = None
        if f"{role}.patch" in texts.metadata:
            made = texts.parsed(f"{role}.patch", _patches)
        elif role in texts.metadata:
            made = texts.allowed(role, {"identity": Identity()})
        number = 0
        while (key := f"{role}.{number}.weight" if number else f"{role}.weight") in arrays:
            bias = f"{key.removesuffix('weight')}bias"
            self.used |= {key, bias}
            given = arrays.get(bias)
            weight = arrays[key].numbers(key)
            try:
                made = Linear(weight, None if given is None else given.numbers(bias), made)
            except ValueError as error:
                raise Refusal(f"{key}: {error}") from error
            number += 1
        return made


def _check_summed(prefix: str, embeds: Mapping[str, Embedding]) -> None:
    """Refuse matrices that give a query or key several numbers where a score is their sum."""
    for role, embed in embeds.items():
        if not isinstance(embed, Linear) or len(embed.weight) == 1:
            continue
        number = f"{after}." if (after := _matrices(embed) - 1) else ""
        raise Refusal(
            f"{prefix}{role}.{number}weight gives {len(embed.weight)} numbers a position; the "
            "score 'sum' adds one of each: the last matrix, as a concatenation's w, has to give one"
        )


def _matrices(embed: Embedding) -> int:
    """How many act one after the other."""
    return 1 + _matrices(embed.of) if isinstance(embed, Linear) else 0


def _patches(text: str) -> Patches:
    size, weighting = text.split(" ")
    return Patches(_size(size), weighting)  # type: ignore[arg-type]


def _size(text: str) -> int | tuple[int, ...]:
    sides = tuple(int(side) for side in text.split("x"))
    return sides if len(sides) > 1 else sides[0]


def _support(text: str) -> Support:
    kind, *details = text.split(" ")
    if kind == "everywhere" and not details:
        return Everywhere()
    if kind == "window":
        size, border = details
        return Window(_size(size), border)  # type: ignore[arg-type]
    if kind == "regions":
        (size,) = details
        return Regions(_size(size))
    raise ValueError(text)


def _parsed_pool(text: str) -> Pool | None:
    if text == "none":
        return None
    *flat, size, kind, order = text.split(" ")
    if flat not in ([], ["flat"]):
        raise ValueError(text)
    return Pool(_size(size), kind, order, flat=bool(flat))  # type: ignore[arg-type]
