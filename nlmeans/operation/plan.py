"""Which kernel runs, why, and what it costs: one ladder on traits and sizes."""

from dataclasses import dataclass
from math import ceil, prod
from typing import Any, Literal, NamedTuple

import numpy as np

from nlmeans.base.cost import show_seconds
from nlmeans.base.machine import cores
from nlmeans.kernels.blocks import task_size, thread_bytes
from nlmeans.kernels.tiles import NEIGHBOUR_ROWS, VECTOR_BYTES
from nlmeans.operation import rates
from nlmeans.operation.embed import Embedding, Identity, Patches
from nlmeans.operation.neighbour_lists import AT_ONCE, BYTES_WHILE_FOUND
from nlmeans.operation.pairwise import Pairwise
from nlmeans.operation.run.neighbourhood_layout import (
    neighbourhood_memory,
    neighbourhood_operations,
    neighbourhood_tile,
)
from nlmeans.operation.run.rowwise_layout import rowwise_memory, rowwise_operations, rowwise_tile
from nlmeans.operation.run.window_layout import (
    AXES,
    MOST_DIMENSIONS,
    window_layout,
    window_operations,
)
from nlmeans.operation.support import Everywhere, Neighbours, Regions, Support, Window

Kernel = Literal[
    "window", "rowwise", "stream", "linear", "sorted", "neighbourhood", "neighbours", "reference"
]

ON_ONE_THREAD = ("sorted", "reference")


@dataclass(frozen=True)
class Plan:
    """What an operation runs on an array of one shape.

    Attributes
    ----------
    kernel : {"window", "rowwise", "stream", "linear", "sorted", "neighbourhood", "neighbours",
            "reference"}
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
        What one thread works on at a time: a part of the array, or so many positions of it.
    tiles : int
        How many of these there are.
    itemsize : int
        Bytes of a float: 4 or 8.
    """

    kernel: Kernel
    reason: str
    positions: tuple[int, ...]
    channels: int
    pairs: int
    operations: int
    memory: int
    tile: tuple[int, ...]
    tiles: int
    itemsize: int = 4

    def workers(self, threads: int | None = None) -> int:
        """Threads that have something to do, of so many; of all cores by default."""
        if self.kernel in ON_ONE_THREAD:
            return 1
        most = threads or cores()
        return most if self.kernel == "linear" else min(most, self.tiles)

    def seconds(self, threads: int | None = None) -> float:
        """About how long it takes, without compiling: operations over a rate.

        The rates are those of one machine; others can be several times as slow.
        """
        rate = rates.KERNELS[self.kernel] * 4 / self.itemsize * self.workers(threads)
        return self.operations / rate

    def peak_memory(self, threads: int | None = None) -> int:
        """Bytes above input and output that so many threads take."""
        return self.memory * (self.workers(threads) if self.kernel == "window" else 1)

    def __str__(self) -> str:
        threads = " a thread" if self.kernel == "window" else ""
        size = " x ".join(map(str, self.positions))
        return (
            f"array       {size}, {self.channels} channel{'s' if self.channels > 1 else ''}\n"
            f"kernel      {self.kernel}\n"
            f"because     {self.reason}\n"
            f"tiles       {self.tiles} of {' x '.join(map(str, self.tile))}\n"
            f"memory      {self.memory / 2**20:.1f} MiB{threads}, above input and output\n"
            f"pairs       {self.pairs:.3g}\n"
            f"operations  {self.operations:.3g}\n"
            f"time        about {show_seconds(self.seconds(1))} on 1 thread"
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
    if f.maps is not None:
        f.maps.check_grid(grid)
    kernel, reason = _choose(f, g, over)
    work = _work(kernel, f, g, over, planes, guide_channels, dtype)
    return Plan(kernel, reason, grid, channels, *work)


def _choose(f: Pairwise, g: Embedding, over: Support) -> tuple[Kernel, str]:
    """The first kernel, from the fastest on, that has all the traits; and why it."""
    lacking = _window_kernel_lacks(f, g, over)
    if lacking is None:
        return "window", "Gaussian f of patches, identity g, search window: one pass a shift"
    exact = f.arithmetic == "exact"
    inside = isinstance(over, Window) and over.border == "inside"
    if not exact and inside and isinstance(g, Identity):
        return "rowwise", (
            "weights as scikit-image computes them: one row of patches after the other"
        )
    whole = exact and isinstance(over, Everywhere | Regions)
    if whole and f.score != "distance" and f.weight == "identity":
        return "linear", "a product of q, k and g, summed over keys: one matrix serves all queries"
    if whole and f.score == "sum" and f.weight == "relu":
        return "sorted", (
            "max(q + k, 0) over all keys: q times a sum over the largest keys, and a sum"
        )
    if f.maps is not None:
        return "reference", (
            f"no fast kernel has maps of sigma or h and {lacking}: the literal loops run"
        )
    if whole and (f.weight, f.score) != ("relu", "distance") and f.weight != "identity":
        return "stream", (
            "every query against all keys, in blocks: sums follow the largest score so far"
        )
    if exact and isinstance(over, Window):
        return "neighbourhood", (
            f"a search window with {lacking}: pair by pair, 16 queries a vector"
        )
    if exact and isinstance(over, Neighbours) and not f.cut:
        return "neighbours", "lists of neighbours: one pass over each, for any f and g"
    return "reference", f"no fast kernel has {lacking}: the literal float64 loops run"


class _Work(NamedTuple):
    """See `Plan`."""

    pairs: int
    operations: int
    memory: int
    tile: tuple[int, ...]
    tiles: int
    itemsize: int


def _work(
    kernel: Kernel,
    f: Pairwise,
    g: Embedding,
    over: Support,
    planes: tuple[int, ...],
    guide_channels: int | None,
    dtype: np.dtype[Any],
) -> _Work:
    """What the kernel computes and holds, and in which tiles."""
    channels, *rest = planes
    grid, itemsize = tuple(rest), dtype.itemsize
    features = channels if guide_channels is None else guide_channels
    pairs, positions = over.pairs(grid), prod(grid)
    d, values = f.query.outputs(features, len(grid)), g.outputs(channels, len(grid))
    held = 8 if _may_take_float64(f, dtype) else itemsize  # bytes of a float that is held
    embedded = positions * (2 * d + values) * held  # queries, keys and values
    if held > itemsize:  # x, the guide and the result once more
        embedded += 8 * positions * (channels + (guide_channels or 0) + values)
    if kernel == "window":
        operations = window_operations(f, pairs, len(grid), channels, features)
        _, cut, buffers = window_layout(f, over, planes, guide_channels, dtype)
        tile = tuple(cut[k] for k in AXES[len(grid)])
        return _Work(pairs, operations, buffers.end * itemsize, tile, _tiles(grid, tile), itemsize)
    if kernel == "rowwise":
        operations = rowwise_operations(f, pairs, len(grid), channels, features)
        memory, tile = rowwise_memory(f, grid, channels, guide_channels), rowwise_tile(grid)
        return _Work(pairs, operations, memory, tile, _tiles(grid, tile), 8)
    if kernel == "linear":
        return _Work(pairs, 4 * positions * d * values, embedded, grid, 1, itemsize)
    if kernel == "sorted":
        operations = positions * (2 * positions.bit_length() + 6 * values)
        return _Work(pairs, operations, embedded + 8 * 8 * positions, grid, 1, itemsize)
    if kernel == "stream":
        operations = pairs * ((3 if f.score == "distance" else 2) * d + 2 * values + 17)
        memory = embedded + thread_bytes(positions, d, values, held)
        size = task_size(positions, itemsize)
        tiles = sum(ceil(n / size) for n in over.sizes(grid))
        return _Work(pairs, operations, memory, (size,), tiles, itemsize)
    if kernel == "neighbourhood":
        assert isinstance(over, Window)
        operations = neighbourhood_operations(f, pairs, d, values)
        memory = neighbourhood_memory(f, g, over, grid, d, values, held)
        if held > itemsize:
            memory += 8 * positions * (channels + (guide_channels or 0) + values)
        tile = neighbourhood_tile(grid, itemsize)
        return _Work(pairs, operations, memory, tile, _tiles(grid, tile), itemsize)
    if kernel == "neighbours":
        assert isinstance(over, Neighbours)
        passes = 2 if f.normaliser == "query sum" else 1
        operations = pairs * passes * (3 * d + 2 * values + 30)
        rows = (d, values) if f.query == f.key else (d, d, values)
        padded = VECTOR_BYTES * sum(ceil(n * held / VECTOR_BYTES) for n in rows)
        lists = 16 * positions + 4 * pairs
        # While they are found: once more, and the tree. Then rows in order, and in float64.
        finding = 4 * pairs + positions * (40 + 16 * over.points.shape[1])
        found = embedded + positions * (padded + 16 * max(d, values))
        found += (passes - 1) * (lists + 2 * pairs)
        memory = (
            lists
            + max(finding, found)
            + min(AT_ONCE, positions) * pairs // positions * BYTES_WHILE_FOUND
        )
        tiles = ceil(positions / NEIGHBOUR_ROWS)
        return _Work(pairs, operations, memory, (NEIGHBOUR_ROWS,), tiles, itemsize)
    of_maps = 4 if f.maps is not None else 0
    operations = pairs * (3 * d + 2 * values + 4 + of_maps)
    memory = 8 * positions * (2 * d + 2 * values + of_maps)
    return _Work(pairs, operations, memory, grid, 1, itemsize)


def _may_take_float64(f: Pairwise, dtype: np.dtype[Any]) -> bool:
    """Whether large exponents, which only x tells, make a kernel start again in float64."""
    logits = f.score != "distance" or f.key_bias is not None
    return dtype == np.float32 and f.weight == "exp" and logits


def _tiles(grid: tuple[int, ...], tile: tuple[int, ...]) -> int:
    return prod(ceil(n / t) for n, t in zip(grid, tile, strict=True))


def _window_kernel_lacks(f: Pairwise, g: Embedding, over: Support) -> str | None:
    """The first trait that the window kernel does not have."""
    if (f.score, f.weight, f.normaliser) != ("distance", "exp", "sum"):
        return f"score {f.score!r} with weight {f.weight!r} and C = {f.normaliser} of f"
    if f.arithmetic != "exact":
        return f"weights as {f.arithmetic} computes them"
    if f.key_bias is not None:
        return "a bias of the keys"
    if not isinstance(f.query, Patches) or f.query != f.key or f.query.weighting == "none":
        return "a distance of anything but patches"
    if not isinstance(g, Identity):
        return "a g that is not the identity"
    if not isinstance(over, Window):
        return f"the support {str(over)!r}"
    return None
