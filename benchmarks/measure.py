"""What the scripts share: options, PSNR, interleaved runs, medians, and tables of them."""

import argparse
import json
import math
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlmeans.base.machine import processor

Array = NDArray[Any]
Run = Callable[[], tuple[float, Array]]
PACKAGES = (
    "nlmeans", "numba", "llvmlite", "numpy", "scikit-image", "opencv-python-headless", "dipy",
    "bm3d", "imageio-ffmpeg", "torch",
)  # fmt: skip
MOST_SECONDS = 60  # of one method in one table
SETTLE_SECONDS = 0.05  # the threads of the method before spin for a while
READY_SECONDS = 1.0  # shorter runs follow an untimed one: sleeping cores take milliseconds to wake


@dataclass(frozen=True)
class Contender:
    """A name, and a run of it: seconds and output."""

    name: str
    run: Run
    same_filter: bool = True  # whether its output is to be compared with ours


@dataclass(frozen=True)
class Line:
    """A method's result, `ratio` that of its time to the first method's."""

    method: str
    milliseconds: float
    ratio: float
    psnr: float | None = None
    psnr_to_ours: float | None = None


@dataclass
class Table:
    title: str
    lines: list[Line] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        parts = [f"### {self.title}"]
        if self.lines:
            rows = [
                (
                    line.method,
                    f"{line.milliseconds:.4g} ms",
                    f"{line.ratio:.2f}",
                    _decibels(line.psnr),
                    _decibels(line.psnr_to_ours),
                )
                for line in self.lines
            ]
            parts.append(
                markdown(("method", "time", "times the first", "PSNR", "PSNR to the first"), rows)
            )
        return "\n\n".join([*parts, "\n".join(self.notes)]).rstrip()

    def record(self) -> dict[str, Any]:
        return asdict(self)


Row = Callable[[int, int], Table]  # of threads and runs


def options_of(doc: str | None) -> argparse.ArgumentParser:
    """A parser whose help is the script's docstring."""
    return argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def pngs(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.png"))


def timed(call: Callable[[], Array], units: int = 1) -> Run:
    """A run of a call that does `units` of what is compared."""

    def run() -> tuple[float, Array]:
        start = time.perf_counter()
        output = call()
        return (time.perf_counter() - start) / units, output

    return run


def compare(
    title: str, methods: Iterable[Contender], runs: int, clean: Array | None, peak: float
) -> Table:
    """All methods twice, the second time warm, then in turn, `runs` times each.

    A run of less than READY_SECONDS follows at once on an untimed one of the same method.
    """
    methods = list(methods)
    table = Table(f"{title}, medians of {runs}")
    outputs: list[Array] = []
    counts, short = [], []
    for method in methods:
        method.run()
        seconds, output = method.run()
        outputs.append(output.astype(np.float64))
        counts.append(max(1, min(runs, int(MOST_SECONDS / seconds))))
        short.append(seconds < READY_SECONDS)
        if counts[-1] < runs:
            table.notes.append(f"- {method.name}: median of {counts[-1]}")
    times: list[list[float]] = [[] for _ in methods]
    for i in range(runs):
        for method, count, warm, taken in zip(methods, counts, short, times, strict=True):
            if i < count:
                time.sleep(SETTLE_SECONDS)
                if warm:
                    method.run()
                taken.append(method.run()[0])
    medians = [statistics.median(taken) for taken in times]
    for method, output, seconds in zip(methods, outputs, medians, strict=True):
        other = method.same_filter and output is not outputs[0]
        table.lines.append(
            Line(
                method.name,
                1000 * seconds,
                seconds / medians[0],
                None if clean is None else _finite(psnr(clean, output, peak)),
                _finite(psnr(outputs[0], output, peak)) if other else None,
            )
        )
    return table


def psnr(clean: Array, image: Array, peak: float = 255) -> float:
    """In decibels; infinite of equal arrays."""
    error = float(np.mean((clean.astype(np.float64) - image) ** 2))
    return 10 * math.log10(peak**2 / error) if error else math.inf


def psnr_of_bytes(clean: Array, result: Array) -> float:
    """Of a result rounded to 8 bits, as a file holds it."""
    return psnr(clean, np.clip(np.rint(result), 0, 255))


def markdown(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(header), *(list(row) for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def environment(threads: int) -> dict[str, Any]:
    """What the figures depend on."""
    installed = {name: _version(name) for name in PACKAGES}
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "usable_cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "threads": threads,
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: version for name, version in installed.items() if version},
    }


def report(rows: dict[str, Row], options: argparse.Namespace) -> None:
    """Print the rows' tables one by one, then write them all where the options say."""
    around = environment(options.threads)
    versions = ", ".join(f"{name} {version}" for name, version in around["versions"].items())
    pieces = [
        f"{around['processor']}, {around['cores']} cores, {around['usable_cores']} of them usable, "
        f"{around['threads']} threads; {around['system']}, Python {around['python']}; {versions}."
    ]
    print(pieces[0], flush=True)
    tables = []
    for name, row in rows.items():
        table = row(options.threads, options.runs)
        tables.append({"row": name, **table.record()})
        pieces.append(str(table))
        print(f"\n{table}", flush=True)
    if options.markdown:
        options.markdown.write_text("\n\n".join(pieces) + "\n")
    if options.json:
        options.json.write_text(json.dumps({**around, "tables": tables}, indent=1))


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _decibels(value: float | None) -> str:
    return "" if value is None else f"{value:.2f} dB"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
