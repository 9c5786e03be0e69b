"""Which kernel runs, why, and what it costs: one ladder on traits and sizes."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, prod
from typing import Any, Literal, TypeVar

import numpy as np

from nlmeans.embed import Embedding, Identity, Patches
from nlmeans.kernels.tiles import Axes, Axis, Buffers, Tiles, cut, lay_out
from nlmeans.pairwise import Pairwise
from nlmeans.support import Support, Window

MOST_DIMENSIONS = 3
T = TypeVar("T")
# The kernel's z, y and x of an array's axes. A sequence lies along y, which is cut into lanes.
AXES = {1: (1,), 2: (1, 2), 3: (0, 1, 2)}


@dataclass(frozen=True)
class Plan:
    """What an operation runs on an array of one shape.

    Attributes
    ----------
    kernel : {"window", "reference"}
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

    kernel: Literal["window", "reference"]
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
            operations=_window_operations(f, pairs, len(grid), channels, features),
            memory=buffers.end * dtype.itemsize,
            tile=tuple(tiles[k] for k in AXES[len(grid)]),
        )
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


def along_axes(values: Sequence[T], missing: T) -> tuple[T, T, T]:
    """What belongs to an array's axes along the kernel's z, y and x."""
    whole = [missing] * MOST_DIMENSIONS
    for k, value in zip(AXES[len(values)], values, strict=True):
        whole[k] = value
    z, y, x = whole
    return z, y, x


def window_layout(
    f: Pairwise,
    over: Support,
    planes: tuple[int, ...],
    guide_channels: int | None,
    dtype: np.dtype[Any],
) -> tuple[Axes, Tiles, Buffers]:
    """Sizes and radii along z, y and x, tiles and buffers for an array (C, *grid)."""
    assert isinstance(over, Window)
    channels, *rest = planes
    grid = tuple(rest)
    sides = zip(grid, f.query.radius(len(grid)), over.reach(grid), over.margin(grid), strict=True)
    axes = along_axes([Axis(*side) for side in sides], Axis(1, 0, 0, 0))
    tiles = cut(axes, channels + (guide_channels or 0), dtype.itemsize)
    buffers = lay_out(tiles, channels, guide_channels, f.centre == "max", dtype.itemsize)
    return axes, tiles, buffers


def _window_operations(f: Pairwise, pairs: int, ndim: int, channels: int, features: int) -> int:
    """Half the pairs are computed: columns, patch sum, exponent, exp, and the two ends."""
    assert isinstance(f.query, Patches)
    side_z, side_y, side_x = along_axes([2 * r + 1 for r in f.query.radius(ndim)], 1)
    # Of four neighbouring windows each adds the end of a run to the start of the next.
    if f.query.weighting == "uniform":
        distance = features * side_z * (3 * (side_y + 3) + 3) / 4 + (side_x + 5) / 4
    else:
        distance = features * side_z * (3 + 8) * (side_y + 3) / 4 + 2 * (side_x + 3)
    return round(pairs / 2 * (distance + 3 + 17 + 2 * (1 + 2 * channels)))
