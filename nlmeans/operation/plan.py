"""Which kernel runs, why, and what it costs."""

from dataclasses import dataclass, field
from typing import Any

from nlmeans.base.cost import show_seconds
from nlmeans.base.machine import cores
from nlmeans.operation.embed import Embedding
from nlmeans.operation.pairwise import Pairwise
from nlmeans.operation.run import KERNELS
from nlmeans.operation.run.arrays import MOST_DIMENSIONS
from nlmeans.operation.run.kernel import Kernel, Problem
from nlmeans.operation.support import Support


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

    kernel: str
    reason: str
    positions: tuple[int, ...]
    channels: int
    pairs: int
    operations: int
    memory: int
    tile: tuple[int, ...]
    tiles: int
    itemsize: int = 4
    layout: Any = field(default=None, repr=False, compare=False)  # what the kernel's run is given

    def workers(self, threads: int | None = None) -> int:
        """Threads that have something to do, of so many; of all cores by default."""
        parallel = KERNELS[self.kernel].parallel
        if parallel == "no":
            return 1
        most = threads or cores()
        return most if parallel == "BLAS" else min(most, self.tiles)

    def seconds(self, threads: int | None = None) -> float:
        """About how long it takes, without compiling: operations over a rate.

        The rates are those of one machine; others can be several times as slow.
        """
        rate = KERNELS[self.kernel].rate * 4 / self.itemsize * self.workers(threads)
        return self.operations / rate

    def peak_memory(self, threads: int | None = None) -> int:
        """Bytes above input and output that so many threads take."""
        each = KERNELS[self.kernel].memory_of_thread
        return self.memory * (self.workers(threads) if each else 1)

    def __str__(self) -> str:
        threads = " a thread" if KERNELS[self.kernel].memory_of_thread else ""
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


def make_plan(of: Problem) -> Plan:
    """Choose the kernel; see `Operation.plan`."""
    if not 1 <= len(of.grid) <= MOST_DIMENSIONS:
        raise ValueError(
            f"the array has {len(of.grid)} axes besides channels; allowed are 1 to "
            f"{MOST_DIMENSIONS}; name the channel axis with channel_axis"
        )
    if of.f.maps is not None:
        of.f.maps.check_grid(of.grid)
    kernel, reason = _choose(of.f, of.g, of.over)
    work = kernel.work(of)
    return Plan(kernel.name, reason, of.grid, of.channels, of.pairs, *work)


def _choose(f: Pairwise, g: Embedding, over: Support) -> tuple[Kernel, str]:
    """The first kernel that lacks nothing, and why it runs."""
    lacking = ""  # by the first of all
    for kernel in KERNELS.values():
        trait = kernel.lacks(f, g, over)
        if trait is None:
            return kernel, kernel.reason.format(lacking=lacking)
        lacking = lacking or trait
    raise AssertionError  # the reference lacks nothing
