"""One case with one method, in a process of its own: scored, or timed."""

import os
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nlmeans.compare.cases import Bytes, Floats, PictureCase, read_bytes
from nlmeans.compare.methods import Candidate
from nlmeans.compare.scores import quantised, scores

LEAST_SECONDS = 3.0  # of repeating what is timed
LEAST_RUNS, MOST_RUNS = 2, 5
WATCHED_SECONDS = 0.1  # for what others leave of a core, where the system does not say it
TIMES = ("seconds", "runs", "megapixels", "threads", "core_share")  # that `clock` always gives
FREE = 0.9  # the least part of its cores with which a time is that of a free machine


@dataclass(frozen=True)
class CaseTask:
    """What is done with a case."""

    case: PictureCase
    method: Candidate
    result: Path | None = None  # the finished picture, of a method that runs elsewhere
    threads: int | None = None  # of a task that is timed; None for one that is scored


def score(task: CaseTask) -> tuple[dict[str, Any], Bytes]:
    """Scores, and the result in 8 bits."""
    clean, noisy = task.case.pictures()
    if task.result is not None:
        result = read_bytes(task.result)
    else:
        sigma = level(task.case, noisy)
        result = quantised(task.method.method().run(noisy, sigma, 1))
    return {"scores": scores(clean, result)}, result


def clock(task: CaseTask) -> tuple[dict[str, Any], None]:
    """Seconds, the best of the runs, and the peak of memory above what was there before.

    `core_share` is what the fastest run got of the cores that it could have used: see `_share`.
    """
    assert task.threads is not None
    if hasattr(os, "sched_setaffinity"):  # also for methods that take no number of threads
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: task.threads])
    _, noisy = task.case.pictures()
    sigma = level(task.case, noisy)
    run = task.method.method().run
    run(noisy[:32, :32], sigma, task.threads)  # loaded and compiled
    beside = 1.0 if waited() is not None else core_share()
    before = reset_peak()
    runs: list[tuple[float, float]] = []  # seconds, share of the cores
    memory = None
    while len(runs) < LEAST_RUNS or (
        len(runs) < MOST_RUNS and sum(seconds for seconds, _ in runs) < LEAST_SECONDS
    ):
        start, used, queued = time.perf_counter(), time.process_time(), waited()
        run(noisy, sigma, task.threads)
        seconds = time.perf_counter() - start
        used, ended = time.process_time() - used, waited()
        lost = 0.0 if queued is None or ended is None else max(0.0, ended - queued)
        runs.append((seconds, _share(used, lost, seconds * task.threads)))
        if len(runs) == 1:
            memory = peak() - before
    if waited() is None:
        beside = min(beside, core_share())
    seconds, share = min(runs)
    megapixels = noisy.shape[0] * noisy.shape[1] / 1e6
    return {
        "seconds": seconds,
        "runs": len(runs),
        "megapixels": megapixels,
        "threads": task.threads,
        "core_share": min(share, beside),
        "memory_mib": memory if np.isfinite(memory or np.nan) else None,
    }, None


def level(case: PictureCase, noisy: Floats) -> float:
    """The sigma that methods are told, in [0, 1]: given, or estimated."""
    from nlmeans.noise.level import estimate_sigma, joint_sigma

    if case.sigma is not None:
        return case.sigma / 255
    return joint_sigma(estimate_sigma(noisy, channel_axis=-1 if noisy.ndim == 3 else None))


def waited() -> float | None:
    """Seconds that threads of this process were ready while their cores ran something else.

    Linux counts them for the threads that live; None where the system does not tell.
    """
    try:
        lines = [path.read_text() for path in Path("/proc/self/task").glob("*/schedstat")]
    except OSError:
        return None
    counted = [[int(number) for number in line.split()] for line in lines]
    if not any(ran for ran, *_ in counted):  # not there, or not counted by this kernel
        return None
    return sum(queued for _, queued, *_ in counted) / 1e9


def _share(used: float, lost: float, most: float) -> float:
    """CPU time used, of what was used and waited for; more threads than cores wait for themselves.

    - `used`, `lost`: seconds of all threads.
    - `most`: seconds that all cores together had.
    """
    wanted = min(used + lost, most)
    return min(used / wanted, 1.0) if wanted > 0 else 1.0


def core_share() -> float:
    """The part of a core that a loop gets just now, below 1 where others keep the machine busy."""
    start, used = time.perf_counter(), time.process_time()
    while time.perf_counter() - start < WATCHED_SECONDS:
        pass
    return (time.process_time() - used) / (time.perf_counter() - start)


def reset_peak() -> float:
    """MiB in use; on Linux the peak starts anew from here, elsewhere it goes on."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return peak()


def peak() -> float:
    """The most MiB that this process has used; NaN where the system does not tell."""
    with suppress(OSError, IndexError):
        status = Path("/proc/self/status").read_text()
        return float(status.split("VmHWM:")[1].split()[0]) / 2**10
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return float("nan")
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
