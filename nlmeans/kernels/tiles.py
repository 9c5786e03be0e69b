"""How an array is cut into tiles, and a tile into lanes: sizes alone, without Numba.

The pairs (a, b = a + shift) of a tile have their upper ends in a box somewhat larger than the
tile. The box is cut along z and y into as many segments as a vector has lanes. One vector holds the
pixels at one place of all segments, so that a neighbour along any axis is simply another vector:
every load is aligned, whatever the shift. An image is a volume of one plane.
"""

from functools import lru_cache
from itertools import product
from math import ceil, prod
from typing import NamedTuple

VECTOR_BYTES = 64
NEIGHBOUR_ROWS = 256  # positions in a tile of the neighbours kernel
ROWS = 4  # whose patch sums are computed together
COLUMNS = 4  # whose weights are computed together
SHIFTS = 3  # neighbours along y that share loads and sums
ABOVE = SHIFTS - 1  # rows by which a pair's upper end may lie above its place in the box

# Per thread. Larger tiles compute fewer pairs twice; what has to stay in the second-level cache is
# a few rows of a tile, not all of it.
MOST_BYTES = 2**24
CORES = (1, 2, 4)  # on which a small array is to take the least time; tiles depend on no machine


class Axis(NamedTuple):
    """One axis of an array and of the filter, in pixels."""

    size: int
    patch: int  # radius
    search: int  # radius
    margin: int  # candidates lie in -margin <= i < size + margin


Axes = tuple[Axis, Axis, Axis]


class Tiles(NamedTuple):
    """Tile sizes, lanes along z and y, and the sizes of a tile's buffers in vectors."""

    tile_z: int
    tile_y: int
    tile_x: int
    lanes_z: int
    lanes_y: int
    depth: int  # of a segment of the box
    height: int
    source_z: int  # a segment with the halo of patch and search
    source_y: int
    source_x: int
    sums_z: int  # where the pairs of a segment end
    sums_y: int
    sums_x: int
    ring: int  # columns of patch sums kept, a power of two


class Buffers(NamedTuple):
    """Where things lie in a thread's memory, and strides; counted in floats."""

    source: int  # the features that patches are compared in
    values: int  # what is averaged: the source itself, if there is no guide
    maps: int  # of sigma and h, if there are any: see `local_weights`
    total: int  # sums of weights
    sums: int  # sums of weighted values
    largest: int  # largest weights, for centre "max"
    columns: int  # patch sums along y
    weights: int
    bias: int
    end: int
    source_y: int
    source_z: int
    source_c: int
    sums_y: int
    sums_z: int
    sums_c: int


def cut(axes: Axes, channels: int, itemsize: int) -> Tiles:
    """The tiles that need the least work."""
    return _cut(axes, channels, VECTOR_BYTES // itemsize)


def count(t: Tiles, axes: Axes) -> int:
    return prod(ceil(a.size / n) for a, n in zip(axes, t[:3], strict=True))


def vectors(t: Tiles, axes: Axes) -> float:
    """Vectors of first ends a shift in all tiles, those computed twice and the padding included."""
    z, y, x = axes
    depth, rows = float(t.depth), -(-t.height // ROWS) * ROWS
    if t.lanes_z == 1:
        depth = mean_depth(t, z)
    if t.lanes_y == 1:
        rows = min(rows, t.tile_y + y.search // 2 + ROWS)
    return count(t, axes) * depth * rows * (t.tile_x + x.search // 2 + COLUMNS)


def mean_depth(t: Tiles, z: Axis) -> float:
    """Planes of first ends a shift, of a tile on the average; half the shifts of dz = 0 count."""
    starts = range(0, z.size, t.tile_z)
    planes = sum(
        (0.5 if dz == 0 else 1.0) * len(planes_of(start, min(start + t.tile_z, z.size), dz, z))
        for start in starts
        for dz in range(z.search + 1)
    )
    return planes / (z.search + 0.5) / len(starts)


def planes_of(start: int, end: int, dz: int, z: Axis) -> range:
    """First ends a along z of a tile's pairs: a or a + dz is in the tile, both are candidates."""
    return range(max(start - dz, -z.margin), min(end, z.size + z.margin - dz))


def lay_out(
    t: Tiles,
    channels: int,
    guide_channels: int | None,
    keep_largest: bool,
    itemsize: int,
    map_planes: int = 0,
) -> Buffers:
    """Buffers of one thread."""
    lanes = VECTOR_BYTES // itemsize
    source_y, sums_y = t.source_x * lanes, t.sums_x * lanes
    source_z, sums_z = t.source_y * source_y, t.sums_y * sums_y
    source_c, sums_c = t.source_z * source_z, t.sums_z * sums_z
    values = (guide_channels or 0) * source_c
    maps = values + channels * source_c
    total = maps + map_planes * source_c
    sums = total + sums_c
    largest = sums + channels * sums_c
    columns = largest + keep_largest * sums_c
    weights = columns + SHIFTS * ROWS * t.ring * lanes
    bias = weights + ROWS * SHIFTS * COLUMNS * lanes
    return Buffers(
        0,
        values,
        maps,
        total,
        sums,
        largest,
        columns,
        weights,
        bias,
        bias + ROWS * SHIFTS * lanes,
        source_y,
        source_z,
        source_c,
        sums_y,
        sums_z,
        sums_c,
    )


@lru_cache(maxsize=256)
def _cut(axes: Axes, channels: int, lanes: int) -> Tiles:
    lanes_z = [n for n in (1, 2, 4, 8, 16) if n <= lanes and n < 2 * axes[0].size]
    depths = (2, 8, 32) if axes[0].size > 1 else (1,)
    candidates = {
        _tiles(axes, lanes, *choice)
        for choice in product(lanes_z, depths, (4, 8, 16, 32, 64), (32, 64, 128))
    }

    def rank(t: Tiles) -> tuple[bool, float, int]:
        tiles = count(t, axes)
        buffers = lay_out(t, channels, None, False, VECTOR_BYTES // lanes)
        too_large = buffers.end * (VECTOR_BYTES // lanes) > MOST_BYTES
        rounds = sum(n * ceil(tiles / n) for n in CORES)
        return too_large, rounds * (vectors(t, axes) / tiles), tiles

    return min(candidates, key=rank)


def _tiles(axes: Axes, lanes: int, lanes_z: int, depth: int, height: int, width: int) -> Tiles:
    z, y, x = axes
    lanes_y = lanes // lanes_z
    most = (depth * lanes_z, height * lanes_y, width)
    tile_z, tile_y, tile_x = (
        ceil(a.size / ceil(a.size / n)) for a, n in zip(axes, most, strict=True)
    )
    depth = ceil(min(tile_z + z.search, z.size + 2 * z.margin) / lanes_z)
    height = ceil(min(tile_y + y.search + min(ABOVE, y.search), y.size + 2 * y.margin) / lanes_y)
    sums_x = tile_x + 2 * x.search
    rows = -(-height // ROWS) * ROWS
    ring = COLUMNS
    while ring < 2 * x.patch + 2 * COLUMNS:
        ring *= 2
    return Tiles(
        tile_z=tile_z,
        tile_y=tile_y,
        tile_x=tile_x,
        lanes_z=lanes_z,
        lanes_y=lanes_y,
        depth=depth,
        height=height,
        source_z=depth + 2 * z.patch + z.search,
        source_y=rows + 2 * y.patch + y.search + 2 * ABOVE,
        # Odd, so that the rows of a column begin in different sets of the first-level cache:
        # 64 vectors instead of 65 took twice the time.
        source_x=(sums_x + 2 * x.patch + COLUMNS) | 1,
        sums_z=depth + z.search,
        sums_y=rows + y.search + 2 * ABOVE,
        sums_x=sums_x | 1,
        ring=ring,
    )
