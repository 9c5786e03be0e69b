"""Which kernel runs, why, and what it costs: one ladder on traits and sizes."""

from dataclasses import dataclass
from math import ceil, prod
from typing import Any, Literal

import numpy as np

from nlmeans.embed import Embedding, Identity, Patches
from nlmeans.pairwise import Pairwise
from nlmeans.support import Support, Window

# Measured at patch 7, search 21, one thread: 32 rows take 9 % more time than 64, 128 take 1 % less
# and leave other threads idle on small images; on wide images 512 columns take 12 % more than
# 1024, 256 take 40 % more.
TILE_HEIGHT, TILE_WIDTH = 64, 1024
LANES, GROUP = 16, 4  # as in kernels/window.py, which a plan does not import
MOST_DIMENSIONS = 3


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
        Rows and columns one thread works on at a time.
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
        assert isinstance(over, Window)
        tile = window_tile(grid)
        return Plan(
            kernel="window",
            reason="Gaussian f of patches, identity g, search window, 2-D: one pass a shift",
            positions=grid,
            channels=channels,
            pairs=pairs,
            operations=_window_operations(f, pairs, channels, features),
            memory=_window_memory(f, over.reach(grid), tile, channels, guide_channels, dtype),
            tile=tile,
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
    if not isinstance(f.query, Patches) or f.query != f.key:
        return "a distance of anything but patches"
    if not isinstance(g, Identity):
        return "a g that is not the identity"
    if not isinstance(over, Window):
        return f"the support {str(over)!r}"
    if len(grid) != 2:
        return f"{len(grid)}-D arrays"
    return None


def window_tile(grid: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns of a tile: from the shape alone, so that threads change no bit."""
    height, width = grid
    return ceil(height / ceil(height / TILE_HEIGHT)), ceil(width / ceil(width / TILE_WIDTH))


def _window_operations(f: Pairwise, pairs: int, channels: int, features: int) -> int:
    """Half the pairs are computed: columns, patch sum, exponent, exp, and the two ends."""
    assert isinstance(f.query, Patches)
    side_y, side_x = (2 * r + 1 for r in f.query.radius(2))
    # Uniform patches: two running sums, so that the patch size does not enter.
    if f.query.weighting == "uniform":
        distance = 6 * features + 2
    else:
        distance = 4 * features * side_y + 2 * side_x
    return pairs // 2 * (distance + 2 + 17 + 2 * (1 + 2 * channels))


def _window_memory(
    f: Pairwise,
    search: tuple[int, ...],
    tile: tuple[int, int],
    channels: int,
    guide_channels: int | None,
    dtype: np.dtype[Any],
) -> int:
    """The buffers of one thread: the tile and the sums in lanes, and V for a row of shifts."""
    (patch_y, patch_x), (search_y, search_x) = f.query.radius(2), search
    segment = ceil((tile[1] + 2 * search_x) / LANES)
    row = (segment + 2 * (patch_x + search_x + GROUP - 1)) * LANES
    planes = channels + (guide_channels or 0)
    sums = channels + 1 + (f.centre == "max")
    columns = (2 * search_x + GROUP) * (segment + 2 * patch_x + 1) * LANES
    floats = planes * (tile[0] + 2 * (patch_y + search_y)) * row + sums * tile[0] * row + columns
    return int(floats * dtype.itemsize)
