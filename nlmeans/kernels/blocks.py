"""The stream kernel's blocks and a thread's buffers, known without compiling anything."""

from typing import NamedTuple

from nlmeans.kernels.tiles import VECTOR_BYTES

VECTORS = 4  # of queries at a time, which make a group
ROWS = 6  # keys, or channels of the values, at a time
KEYS = 48  # in a block
GROUPS = 4  # of queries that a block of keys serves while it is in the cache
ENOUGH_TASKS = 64  # to keep the threads busy


class StreamBuffers(NamedTuple):
    """Where the buffers of the first group begin; each row holds one number a query."""

    weights: int  # KEYS rows, of one group after the other
    queries: int  # d rows
    sums: int  # a row a channel
    rows: int
    tops: int
    totals: int
    factors: int
    end: int  # of the first group's buffers, where the second's begin


def group_size(itemsize: int) -> int:
    """Queries in a group."""
    return VECTORS * VECTOR_BYTES // itemsize


def lay_out(d: int, channels: int, itemsize: int) -> StreamBuffers:
    starts = [0]
    for rows in (KEYS, d, channels, 1, 1, 1, 1):
        starts.append(starts[-1] + rows * group_size(itemsize))
    return StreamBuffers(*starts)


def task_size(queries: int, itemsize: int) -> int:
    """Queries that a thread takes at a time, of so many in all."""
    groups = queries // (group_size(itemsize) * ENOUGH_TASKS)
    return group_size(itemsize) * min(max(groups, 1), GROUPS)


def thread_bytes(queries: int, d: int, channels: int, itemsize: int) -> int:
    """The size of a thread's buffers."""
    at = lay_out(d, channels, itemsize)
    groups = task_size(queries, itemsize) // group_size(itemsize)
    return itemsize * (at.queries + groups * (at.end - at.queries))
