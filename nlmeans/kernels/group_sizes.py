"""What the group kernel is told: sizes alone, without Numba."""

from typing import NamedTuple

PAIR = 2  # vectors of candidates whose differences are computed together
ROWS = 8  # rows of a matrix product computed together


class GroupSizes(NamedTuple):
    """In pixels and patches."""

    height: int
    width: int
    stride: int  # of a row in memory, which is padded
    plane: int  # of a plane in memory
    patch: int
    group: int  # patches in a group, at most
    padded: int  # the same as a multiple of a vector's lanes
    reach: int  # of the search
    step: int  # between references
    tile: int  # references along a side of a tile
    across: int  # candidates along x as a multiple of a pair of vectors
    planes: int  # the first has weights of its own, the others have theirs in common


class GroupBuffers(NamedTuple):
    """Where a thread's buffers lie, in floats."""

    distances: int
    values: int  # patches as columns, less their mean
    pilot: int
    results: int
    mean: int
    matrix: int
    column: int
    end: int


def tiles_by_turn(s: GroupSizes) -> list[int]:
    """How many tiles there are in each of the four turns."""
    along = [-(-(-(-(n - s.patch) // s.step) + 1) // s.tile) for n in (s.height, s.width)]
    return [len(range(k // 2, along[0], 2)) * len(range(k % 2, along[1], 2)) for k in range(4)]


def lay_out(
    channels: int,
    grid: tuple[int, int],
    patch: int,
    group: int,
    search: int,
    step: int,
    itemsize: int,
) -> tuple[GroupSizes, GroupBuffers]:
    """For an image of that many channels; one smaller than a patch is widened to its size."""
    lanes = 64 // itemsize
    height, width = (max(n, patch) for n in grid)
    reach = min(search // 2, max(height, width))
    across = _multiple(2 * reach + 1, PAIR * lanes)
    stride = width + across
    padded = _multiple(group, 16)
    sizes = GroupSizes(
        height=height,
        width=width,
        stride=stride,
        plane=height * stride,
        patch=patch,
        group=group,
        padded=padded,
        reach=reach,
        step=step,
        tile=-(-(2 * reach + patch) // step),
        across=across,
        planes=channels,
    )
    pixels = max(1, channels - 1) * patch**2
    columns = _multiple(pixels, ROWS) * padded
    lengths = (
        (2 * reach + 1) * across,
        columns,
        columns,
        columns,
        _multiple(pixels, ROWS),
        padded**2,
        padded,
    )
    places = [0]
    for length in lengths:
        places.append(places[-1] + _multiple(length, lanes))
    return sizes, GroupBuffers(*places)


def _multiple(n: int, of: int) -> int:
    """n rounded up to a multiple."""
    return -(-n // of) * of
