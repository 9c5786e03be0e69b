"""The stream kernel's blocks and a thread's buffers, known without compiling anything."""

from typing import NamedTuple

from nlmeans.kernels.tiles import VECTOR_BYTES

VECTORS = 4  # of queries at a time
ROWS = 6  # keys, or channels of the values, at a time
KEYS = 48  # in a block


class Buffers(NamedTuple):
    """Where a thread's buffers begin; each row holds one number a query."""

    queries: int  # d rows
    weights: int  # KEYS rows
    sums: int  # a row a channel
    rows: int
    tops: int
    totals: int
    factors: int
    end: int


def queries_at_once(itemsize: int) -> int:
    return VECTORS * VECTOR_BYTES // itemsize


def lay_out(d: int, channels: int, itemsize: int) -> Buffers:
    starts = [0]
    for rows in (d, KEYS, channels, 1, 1, 1, 1):
        starts.append(starts[-1] + rows * queries_at_once(itemsize))
    return Buffers(*starts)
