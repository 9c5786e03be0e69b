"""What a kernel's preparation is given, and when float32 is not enough for it."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlmeans.base.progress import Progress, between
from nlmeans.base.scaling import largest_of
from nlmeans.operation.embed import Embedding
from nlmeans.operation.pairwise import Pairwise
from nlmeans.operation.support import Support

Array = NDArray[Any]

# A dot product so large is rounded by 1e-4 in float32, and its weight likewise: float64 takes over.
LARGEST_EXPONENT = 2048.0
TINY = 1e-20  # squares below it have lost numbers that vanished when squared


def unit_of(f: Pairwise) -> float:
    """What a scaled score is multiplied by for the kernels, whose exp is a power of two."""
    return math.log2(math.e) if f.weight == "exp" else 1.0


def largest_exponent(f: Pairwise, queries: Array, keys: Array, bias: Array) -> float:
    """A bound of s, of all pairs of queries (..., d) and keys (..., d): of 2^s for weight "exp".

    Distances are left out: they are of differences, and where they are large weights vanish.
    """
    largest = 0.0 if f.key_bias is None else float(np.abs(bias).max())
    if f.score != "distance":
        q, k = _longest(queries), _longest(keys)
        largest += abs(f.scale) * (q + k if f.score == "sum" else q * k)
    return largest * unit_of(f)


def fits_float32(f: Pairwise, queries: Array, keys: Array, bias: Array) -> bool:
    """Whether float32 holds the exponents; true also of arrays in float64."""
    if f.weight != "exp" or queries.dtype == np.float64:
        return True
    return largest_exponent(f, queries, keys, bias) <= LARGEST_EXPONENT


def _longest(rows: Array) -> float:
    """The largest norm of a position's numbers; infinite where its square is."""
    squares = float(np.einsum("...i,...i->...", rows, rows).max())
    if squares > TINY:
        return math.sqrt(squares)
    return largest_of(rows) * math.sqrt(rows.shape[-1])


@dataclass(frozen=True)
class Call:
    """An operation on planes, float32 or float64, by one kernel."""

    f: Pairwise  # f, g, over: The parts of an Operation
    g: Embedding
    over: Support
    planes: Array  # (C, *grid): Maybe a view of the user's array
    guide: Array | None  # (C', *grid): What f looks at in place of the planes
    layout: Any  # what the kernel's `work` laid out for an array of this shape
    threads: int | None  # threads, progress: As `nlmeans.kernels.driver.run` takes them
    progress: Progress | None

    @property
    def seen(self) -> Array:
        """What f looks at."""
        return self.planes if self.guide is None else self.guide

    def contiguous(self) -> "Call":
        """The call on arrays that lie plane by plane in memory."""
        return self._on(np.ascontiguousarray)

    def wider(self) -> "Call":
        """The call in float64, from the beginning: embeddings in float32 are rounded too."""
        return self._on(lambda array: array.astype(np.float64))

    def within(self, start: float, end: float) -> "Call":
        """The call as a part of the whole, from one fraction of the progress to another."""
        return replace(self, progress=between(self.progress, start, end))

    def _on(self, made: Any) -> "Call":
        guide = None if self.guide is None else made(self.guide)
        return replace(self, planes=made(self.planes), guide=guide)
