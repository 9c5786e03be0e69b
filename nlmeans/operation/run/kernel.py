"""What a kernel says of itself: what it can run, what that takes, and how it is run."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import ceil, prod
from types import UnionType
from typing import Any, Literal, NamedTuple

import numpy as np

from nlmeans.base.blas import blas_at_most
from nlmeans.operation.embed import Embedding
from nlmeans.operation.pairwise import Pairwise
from nlmeans.operation.run.call import Array, Call
from nlmeans.operation.support import Support


@dataclass(frozen=True)
class Problem:
    """An operation on an array of one shape, from which its work follows."""

    f: Pairwise
    g: Embedding
    over: Support
    planes: tuple[int, ...]  # (C, *grid)
    guide_channels: int | None
    dtype: np.dtype[Any]

    @property
    def channels(self) -> int:
        return self.planes[0]

    @property
    def grid(self) -> tuple[int, ...]:
        return self.planes[1:]

    @property
    def positions(self) -> int:
        return prod(self.grid)

    @cached_property
    def pairs(self) -> int:
        return self.over.pairs(self.grid)

    @property
    def features(self) -> int:
        """Channels of what f looks at."""
        return self.channels if self.guide_channels is None else self.guide_channels

    @property
    def d(self) -> int:
        """Numbers of a query."""
        return self.f.query.outputs(self.features, len(self.grid))

    @property
    def values(self) -> int:
        """Numbers that g gives of a position."""
        return self.g.outputs(self.channels, len(self.grid))

    @property
    def held(self) -> int:
        """Bytes of a float that is held: large exponents, which only x tells, take float64."""
        logits = self.f.score != "distance" or self.f.key_bias is not None
        double = self.dtype == np.float32 and self.f.weight == "exp" and logits
        return 8 if double else self.dtype.itemsize

    @property
    def doubled(self) -> int:
        """Bytes of x, the guide and the result once more, in float64, where that is held."""
        if self.held == self.dtype.itemsize:
            return 0
        return 8 * self.positions * (self.channels + (self.guide_channels or 0) + self.values)

    @property
    def embedded(self) -> int:
        """Bytes of queries, keys and values."""
        return self.positions * (2 * self.d + self.values) * self.held + self.doubled


class Work(NamedTuple):
    """What a kernel computes and holds, and in which tiles; see `nlmeans.Plan`."""

    operations: int
    memory: int
    tile: tuple[int, ...]
    tiles: int
    itemsize: int
    layout: Any = None  # what its `run` is given


@dataclass(frozen=True)
class Kernel:
    """One way to run operations."""

    name: str
    # operations a second on one thread in float32; in float64 half as many. Measured on one core
    # with 512-bit vectors (AMD EPYC, Zen 4, a shared host), on arrays of 0.1 to 0.3 million
    # numbers; older cores can take four times as long.
    rate: float
    reason: str  # why it runs, where {lacking} is what the first kernel lacks
    # the first trait of f, g and the support that the kernel does not have; None if it can run
    lacks: Callable[[Pairwise, Embedding, Support], str | None]
    work: Callable[[Problem], Work]  # what a problem takes
    run: Callable[[Call], Array]  # the result of a call, planes (outputs of g, *grid)
    parallel: Literal["tiles", "BLAS", "no"] = "tiles"  # what gives threads work
    memory_of_thread: bool = False  # whether memory is that of one thread
    # whether it multiplies matrices, so that BLAS has to be held to the call's threads
    multiplies: bool = True

    def __call__(self, call: Call) -> Array:
        if not self.multiplies:
            return self.run(call)
        with blas_at_most(call.threads):
            return self.run(call)


def lacks_traits(f: Pairwise, over: Support, supports: type | UnionType) -> str | None:
    """What only the kernels of classical filters have, or a support that is none of these."""
    if f.arithmetic != "exact":
        return f"weights as {f.arithmetic} computes them"
    if f.maps is not None:
        return "maps of sigma or h"
    return None if isinstance(over, supports) else f"the support {str(over)!r}"


def tiles_of(grid: tuple[int, ...], tile: tuple[int, ...]) -> int:
    """How many tiles cover the grid."""
    return prod(ceil(n / t) for n, t in zip(grid, tile, strict=True))
