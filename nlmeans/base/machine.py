"""What this machine has to give: cores, memory, a control group's share of them."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from math import ceil
from pathlib import Path

CGROUPS, OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
THREADS = Path("/proc/self/task")


def cores() -> int:
    """The least of what the system and the container allow; at least 1.

    More threads than a quota has CPUs are stopped together for the rest of each period.
    """
    limits = [os.cpu_count(), quota()]
    if hasattr(os, "sched_getaffinity"):
        limits.append(len(os.sched_getaffinity(0)))
    return max(1, min(limit for limit in limits if limit is not None))


def usable_threads() -> int:
    """The least of what the system, Numba in this thread, and the container allow; at least 1."""
    import numba

    return min(cores(), int(numba.get_num_threads()))


@contextmanager
def usual_scheduling() -> Iterator[None]:
    """Threads are scheduled after the block as before it, and new ones as the caller's.

    SVT-AV1, run by root, makes its threads and the caller's real-time ones: they would take every
    core from the rest of the machine, and from threads of this process that they wait for.
    """
    if not (hasattr(os, "sched_setscheduler") and THREADS.is_dir()):
        yield
        return
    own, before = _scheduling(0), {}
    for thread in _threads():
        with suppress(ProcessLookupError):  # it has ended
            before[thread] = _scheduling(thread)
    yield
    for thread in _threads():
        with suppress(ProcessLookupError):
            usual = before.get(thread, own)
            if _scheduling(thread) != usual:
                os.sched_setscheduler(thread, usual[0], os.sched_param(usual[1]))


def _threads() -> list[int]:
    return [int(entry.name) for entry in THREADS.iterdir()]


def _scheduling(thread: int) -> tuple[int, int]:
    return os.sched_getscheduler(thread), os.sched_getparam(thread).sched_priority


@cache
def quota(cgroups: Path = CGROUPS, own: Path = OWN) -> int | None:
    """The CPUs of the control groups that this process is in; None without a limit."""
    version_1 = ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")
    texts = _texts(("cpu.max",), version_1, cgroups, own)
    return min((cpus for text in texts if (cpus := parse_quota(text)) is not None), default=None)


def available_memory(
    cgroups: Path = CGROUPS, own: Path = OWN, meminfo: Path = Path("/proc/meminfo")
) -> int | None:
    """Bytes that this process can take before the system or its container runs out; None unknown.

    Of a control group what is left of its limit, the cache of files counted as left.
    """
    found = []
    try:
        lines = dict(line.split(":") for line in meminfo.read_text().splitlines())
        found.append(1024 * int(lines["MemAvailable"].split()[0]))
    except (OSError, KeyError):  # not Linux
        if hasattr(os, "sysconf") and "SC_AVPHYS_PAGES" in os.sysconf_names:
            found.append(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    version_2 = ("memory.max", "memory.current", "memory.stat")
    version_1 = (
        "memory/memory.limit_in_bytes",
        "memory/memory.usage_in_bytes",
        "memory/memory.stat",
    )
    for text in _texts(version_2, version_1, cgroups, own):
        limit, used, *rest = text.split()
        if limit.isdecimal() and used.isdecimal():
            stat = dict(zip(rest[::2], rest[1::2], strict=False))
            files = int(stat.get("inactive_file", stat.get("total_inactive_file", 0)))
            found.append(max(int(limit) - int(used) + files, 0))
    return min(found, default=None)


@cache
def processor() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def parse_quota(text: str) -> int | None:
    """CPUs, rounded up, of "quota period" in microseconds; None for no limit.

    >>> parse_quota("150000 100000"), parse_quota("max 100000"), parse_quota("-1 100000")
    (2, None, None)
    """
    numbers = text.split()
    if len(numbers) != 2 or not all(number.isdecimal() for number in numbers):
        return None  # "max", "-1", or a format of the future
    microseconds, period = map(int, numbers)
    return max(1, ceil(microseconds / period)) if period else None


def parse_group(text: str) -> str:
    """The version 2 control group in /proc/self/cgroup.

    >>> parse_group("1:cpu:/one\\n0::/user.slice/app.scope\\n")
    'user.slice/app.scope'
    """
    names = [line[3:] for line in text.splitlines() if line.startswith("0::")]
    return names[0].strip("/") if names else ""


def _texts(
    version_2: tuple[str, ...], version_1: tuple[str, ...], cgroups: Path, own: Path
) -> Iterator[str]:
    """The files' texts, joined: of version 2, in the own group and its parents; of version 1."""
    try:
        group = cgroups / parse_group(own.read_text())
    except OSError:  # not Linux
        return
    folders = (group, *(parent for parent in group.parents if parent.is_relative_to(cgroups)))
    for folder, names in [*((folder, version_2) for folder in folders), (cgroups, version_1)]:
        try:
            yield " ".join((folder / name).read_text() for name in names)
        except OSError:  # the other version, or a group that the container does not see
            continue
