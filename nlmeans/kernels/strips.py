"""How attention over a window is worked off: sizes alone, without Numba.

Four vectors of queries, below one another, meet the keys of their windows row by row. Keys, biases
and values lie in rows: of every row of positions first the biases, then each number of the keys,
then each of the values, `step` numbers apart.
"""

from math import ceil
from typing import NamedTuple

from nlmeans.kernels.tiles import VECTOR_BYTES

ROWS = 4  # of queries that share the loads of keys
SHIFTS = 6  # keys that share the loads of queries
CHANNELS = 6  # of the values that share the loads of weights
MOST_KEYS = 48  # whose weights are computed together, a multiple of SHIFTS
BLOCKS = 8  # of ROWS rows of queries in a tile


class Sizes(NamedTuple):
    """Positions of queries and keys, the window, and codes."""

    d: int
    channels: int
    depth: int  # of the queries
    height: int
    width: int
    keys_z: int
    keys_y: int
    keys_x: int
    first_z: int  # the window's first key less the query
    first_y: int
    first_x: int
    side_z: int
    side_y: int
    side_x: int
    left: int  # columns before the first key
    step: int  # columns of a row
    distance: int  # whether it is the score
    weight: int
    normaliser: int
    centre: int


class Scratch(NamedTuple):
    """Where things lie in a thread's memory, counted in floats."""

    queries: int
    own: int  # added to all scores of a query
    weights: int
    top: int
    total: int
    shrink: int
    sums: int
    end: int


def row_step(keys_x: int, itemsize: int) -> tuple[int, int]:
    """Columns before a row's first key, and of the row.

    A vector reaches beyond either end. An odd number of cache lines, so that the numbers of a key
    begin in different sets of the first-level cache.
    """
    lanes = VECTOR_BYTES // itemsize
    return lanes, (ceil(keys_x / lanes) + 2 | 1) * lanes


def scratch(s: Sizes, itemsize: int) -> Scratch:
    """The layout of a thread's memory."""
    row = ROWS * VECTOR_BYTES // itemsize
    own = s.d * row
    weights = own + row
    top = weights + (MOST_KEYS + SHIFTS) * row
    sums = top + 3 * row
    return Scratch(0, own, weights, top, top + row, top + 2 * row, sums, sums + s.channels * row)


def tile_of(itemsize: int) -> tuple[int, int, int]:
    """Queries along z, y and x that one thread works on at a time."""
    return 1, BLOCKS * ROWS, VECTOR_BYTES // itemsize
