"""How the window kernel cuts an array into tiles, and how many operations it runs there.

The plan and what runs are of one layout.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

from nlmeans.kernels.tiles import Axes, Axis, Buffers, Tiles, cut, lay_out
from nlmeans.operation.embed import Patches
from nlmeans.operation.pairwise import Pairwise
from nlmeans.operation.support import Support, Window

MOST_DIMENSIONS = 3
MAP_PLANES = 2  # what a pair takes of sigma, and of h
T = TypeVar("T")
# The kernel's z, y and x of an array's axes. A sequence lies along y, which is cut into lanes.
AXES = {1: (1,), 2: (1, 2), 3: (0, 1, 2)}


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
    maps = 0 if f.maps is None else MAP_PLANES
    tiles = cut(axes, channels + (guide_channels or 0) + maps, dtype.itemsize)
    buffers = lay_out(tiles, channels, guide_channels, f.centre == "max", dtype.itemsize, maps)
    return axes, tiles, buffers


def window_operations(f: Pairwise, pairs: int, ndim: int, channels: int, features: int) -> int:
    """Half the pairs are computed: columns, patch sum, exponent, exp, and the two ends."""
    assert isinstance(f.query, Patches)
    side_z, side_y, side_x = along_axes([2 * r + 1 for r in f.query.radius(ndim)], 1)
    # Of four neighbouring windows each adds the end of a run to the start of the next.
    if f.query.weighting != "gaussian":
        distance = features * side_z * (3 * (side_y + 3) + 3) / 4 + (side_x + 5) / 4
    else:
        distance = features * side_z * (3 + 8) * (side_y + 3) / 4 + 2 * (side_x + 3)
    of_maps = 0 if f.maps is None else 4
    return round(pairs / 2 * (distance + 3 + of_maps + 17 + 2 * (1 + 2 * channels)))
