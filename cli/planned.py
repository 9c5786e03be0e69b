"""What is known of a file before it is filtered, as `nlmeans plan` shows it."""

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from nlmeans.cli.words import trust_found

if TYPE_CHECKING:
    from nlmeans import Cost, Plan
    from nlmeans.denoising.task import Task

KERNEL = ("kernel", "reason", "tiles", "tile", "pairs", "operations")


@dataclass(frozen=True)
class PlannedRun:
    """What is known of a file before it is filtered."""

    task: "Task"  # the first part's
    shape: tuple[int, ...]  # of what it filters at once, without alpha
    dtype: Any
    cost: "Cost"  # of all parts, with estimating the noise
    estimating: float  # seconds of these
    threads: int
    left: int | None  # bytes that may be taken
    # intro, found: What the file is taken as; where the noise level is from, or whose weights they
    # are
    intro: str
    found: str
    facts: dict[str, Any]  # for --json, before the rest
    notes: tuple[str, ...] = ()

    @property
    def kernel(self) -> "Plan | None":
        """Of the first step; None where nothing is filtered."""
        if self.task.filter is None:
            return None
        axis = self.task.layout.channel_axis
        return self.task.filter.plan(self.shape, channel_axis=axis, dtype=self.dtype)

    @property
    def record(self) -> dict[str, Any]:
        """For --json."""
        axis = self.task.layout.channel_axis
        grid = [n for k, n in enumerate(self.shape) if k != axis]
        kernel = self.kernel
        return {
            **self.facts,
            "operation": None if self.task.filter is None else str(self.task.filter),
            "shape": grid,
            "channels": prod(self.shape) // prod(grid),
            **{name: getattr(kernel, name, None) for name in KERNEL},
            "memory_bytes": self.cost.bytes,
            "seconds": self.cost.seconds,
            "threads": self.threads,
            "estimating_seconds": self.estimating,
        }

    def __str__(self) -> str:
        from nlmeans.base.cost import show_bytes, show_seconds
        from nlmeans.denoising.ridge import PILOT_DONE

        start = f"{self.intro}{self.found}"
        settings = self.task.settings
        if self.task.filter is None:
            why = (
                "it may be texture" if settings is not None and settings.h else "nothing to remove"
            )
            return f"{start}\n\n{why}: the picture would not be filtered"
        if settings is not None and (trust := trust_found([settings])):
            start += f"; {trust}"
        of = ""
        if settings is not None and settings.method == "ridge":
            of = (
                f"the classical step alone; the groups take about {1 / PILOT_DONE:.0f} times as "
                "long:\n"
            )
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        whole = (
            f"in all      {show_bytes(self.cost.bytes)} of memory above input; about "
            f"{show_seconds(self.cost.seconds)} on {threads}"
        )
        if self.estimating:
            whole += ", with estimating the noise"
        if self.left is not None and self.cost.bytes > self.left:
            whole += (
                f"\n{show_bytes(max(self.left, 0))} may be taken: filtered in parts, or refused"
            )
        return f"{start}\n\n{self.task.filter}\n\n{of}{self.kernel}\n{whole}"
