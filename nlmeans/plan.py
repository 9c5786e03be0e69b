"""Which kernel runs, why, and what it costs: one ladder on traits and sizes."""

from dataclasses import dataclass
from math import ceil, prod
from typing import Any, Literal

import numpy as np

from nlmeans.embed import Embedding, Identity, Patches
from nlmeans.execute.neighbourhood_layout import (
    neighbourhood_memory,
    neighbourhood_operations,
    neighbourhood_tile,
)
from nlmeans.execute.window_layout import (
    AXES,
    MOST_DIMENSIONS,
    window_layout,
    window_operations,
)
from nlmeans.kernels.tiles import NEIGHBOUR_ROWS, VECTOR_BYTES
from nlmeans.pairwise import Pairwise
from nlmeans.support import Neighbours, Support, Window


@dataclass(frozen=True)
class Plan:
    """What an operation runs on an array of one shape.

    Attributes
    ----------
    kernel : {"window", "neighbourhood", "neighbours", "reference"}
    reason : str
    positions : tuple of int
        The array's shape without channels.
    channels : int
    pairs : int
        Pairs (i, j) that the equation sums over.
    operations : int
        Floating-point operations, a fused multiply-add counted as two.
    memory : int
        Bytes above input and output; for the window kernel, per thread.
    tile : tuple of int
        The part, along each axis, that one thread works on at a time.
    """

    kernel: Literal["window", "neighbourhood", "neighbours", "reference"]
    reason: str
    positions: tuple[int, ...]
    channels: int
    pairs: int
    operations: int
    memory: int
    tile: tuple[int, ...]

    @property
    def tiles(self) -> int:
        return prod(ceil(n / t) for n, t in zip(self.positions, self.tile, strict=True))

    def __str__(self) -> str:
        threads = " a thread" if self.kernel == "window" else ""
        size = " x ".join(map(str, self.positions))
        return (
            f"array       {size}, {self.channels} channel{'s' if self.channels > 1 else ''}\n"
            f"kernel      {self.kernel}\n"
            f"because     {self.reason}\n"
            f"pairs       {self.pairs:.3g}\n"
            f"operations  {self.operations:.3g}\n"
            f"memory      {self.memory / 2**20:.1f} MiB{threads}, above input and output\n"
            f"tiles       {self.tiles} of {' x '.join(map(str, self.tile))}"
        )


def make_plan(
    f: Pairwise,
    g: Embedding,
    over: Support,
    planes: tuple[int, ...],
    guide_channels: int | None,
    dtype: np.dtype[Any],
) -> Plan:
    """Choose the kernel for an array (C, *grid); see `Operation.plan`."""
    channels, *rest = planes
    grid = tuple(rest)
    if not 1 <= len(grid) <= MOST_DIMENSIONS:
        message = (
            f"the array has {len(grid)} axes besides channels; allowed are 1 to "
            f"{MOST_DIMENSIONS}; name the channel axis with channel_axis"
        )
        raise ValueError(message)
    features = channels if guide_channels is None else guide_channels
    pairs = over.pairs(grid)
    missing = _window_kernel_lacks(f, g, over, grid)
    if not missing:
        _, tiles, buffers = window_layout(f, over, planes, guide_channels, dtype)
        return Plan(
            kernel="window",
            reason="Gaussian f of patches, identity g, search window: one pass a shift",
            positions=grid,
            channels=channels,
            pairs=pairs,
            operations=window_operations(f, pairs, len(grid), channels, features),
            memory=buffers.end * dtype.itemsize,
            tile=tuple(tiles[k] for k in AXES[len(grid)]),
        )
    if isinstance(over, Window):
        d, d_v = f.query.outputs(features, len(grid)), g.outputs(channels, len(grid))
        return Plan(
            kernel="neighbourhood",
            reason=f"a search window with {missing}: pair by pair, 16 queries a vector",
            positions=grid,
            channels=channels,
            pairs=pairs,
            operations=neighbourhood_operations(f, pairs, d, d_v),
            memory=neighbourhood_memory(f, g, over, grid, d, d_v, dtype.itemsize),
            tile=neighbourhood_tile(grid, dtype.itemsize),
        )
    if isinstance(over, Neighbours):
        return _neighbours_plan(f, g, grid, pairs, channels, features, dtype)
    d = features * prod(2 * r + 1 for r in f.query.radius(len(grid)))
    return Plan(
        kernel="reference",
        reason=f"no fast kernel has {missing}: the literal float64 loops run",
        positions=grid,
        channels=channels,
        pairs=pairs,
        operations=pairs * (3 * d + 2 * channels + 4),
        memory=8 * prod(grid) * (2 * d + 2 * channels),
        tile=grid,
    )


def _neighbours_plan(
    f: Pairwise,
    g: Embedding,
    grid: tuple[int, ...],
    pairs: int,
    channels: int,
    features: int,
    dtype: np.dtype[Any],
) -> Plan:
    d, d_v = f.query.outputs(features, 1), g.outputs(channels, 1)
    (count,) = grid
    rows = (d, d_v) if f.query == f.key else (d, d, d_v)
    padded = VECTOR_BYTES * sum(ceil(n * dtype.itemsize / VECTOR_BYTES) for n in rows)
    passes = 2 if f.normaliser == "query sum" else 1
    return Plan(
        kernel="neighbours",
        reason="lists of neighbours: one pass over each, for any f and g",
        positions=grid,
        channels=channels,
        pairs=pairs,
        operations=pairs * passes * (3 * d + 2 * d_v + 30),
        memory=passes * (8 * count + 4 * pairs) + count * (padded + 8 * d_v),
        tile=(NEIGHBOUR_ROWS,),
    )


def _window_kernel_lacks(
    f: Pairwise, g: Embedding, over: Support, grid: tuple[int, ...]
) -> str | None:
    """The first trait that the window kernel does not have."""
    if (f.score, f.weight, f.normaliser) != ("distance", "exp", "sum"):
        return f"score {f.score!r} with weight {f.weight!r} and C = {f.normaliser} of f"
    if f.key_bias is not None:
        return "a bias of the keys"
    if not isinstance(f.query, Patches) or f.query != f.key or f.query.weighting == "none":
        return "a distance of anything but patches"
    if not isinstance(g, Identity):
        return "a g that is not the identity"
    if not isinstance(over, Window):
        return f"the support {str(over)!r}"
    return None
