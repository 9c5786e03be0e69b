"""What the rowwise kernel takes: tiles, memory, operations."""

from math import prod

from nlmeans.kernels.tiles import VECTOR_BYTES
from nlmeans.operation.embed import Patches
from nlmeans.operation.pairwise import Pairwise

BAND, COLUMNS = 32, 128  # of a tile, along the first axis and the last of several
GUARD = 4 * VECTOR_BYTES // 8  # numbers behind a padded row: vectors are read beyond its end
# The kernel's z, y and x of an array's axes: patches have their rows along the first, z, and
# vectors lie along the last, x.
AXES = {1: (0,), 2: (0, 2), 3: (0, 1, 2)}


def rowwise_tile(grid: tuple[int, ...]) -> tuple[int, ...]:
    """Along each axis of the array."""
    whole = BAND, 1, COLUMNS
    return tuple(min(whole[axis], n) for axis, n in zip(AXES[len(grid)], grid, strict=True))


def rowwise_memory(
    f: Pairwise, grid: tuple[int, ...], channels: int, guide_channels: int | None
) -> int:
    """Bytes: planes and result in float64."""
    padded = [n + 2 * r for n, r in zip(grid, f.query.radius(len(grid)), strict=True)]
    padded[-1] += GUARD
    numbers = prod(padded) * (channels + (guide_channels or 0))
    return 8 * (numbers + prod(grid) * (2 * channels + (guide_channels or 0)))


def rowwise_operations(f: Pairwise, pairs: int, ndim: int, channels: int, features: int) -> int:
    """Squares, a row's sums along y and x, the sum over rows and its maximum, exp, and sums."""
    assert isinstance(f.query, Patches)
    sides = dict(zip(AXES[ndim], (2 * r + 1 for r in f.query.radius(ndim)), strict=True))
    row = sides.get(1, 1) * (3 * features + 2) + 2 * sides.get(2, 1)
    # Without a y axis each weight serves both its ends; about a fifth is computed twice.
    weights = pairs if ndim == 3 else pairs * 3 // 5
    return weights * (row + 5 * sides[0] + 8) + pairs * (1 + 2 * channels)
