"""How many threads this process may use: affinity, Numba's limit, a container's CPU quota."""

import os
from collections.abc import Iterator
from functools import cache
from math import ceil
from pathlib import Path

import numba


def usable_threads() -> int:
    """The least of what the system, Numba in this thread, and the container allow; at least 1.

    More threads than a quota has CPUs are stopped together for the rest of each period.
    """
    limits = [numba.get_num_threads(), quota()]
    if hasattr(os, "sched_getaffinity"):
        limits.append(len(os.sched_getaffinity(0)))
    return max(1, min(limit for limit in limits if limit is not None))


@cache
def quota(
    cgroups: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")
) -> int | None:
    """The CPUs of the control groups that this process is in; None without a limit."""
    found = [cpus for text in _limits(cgroups, own) if (cpus := parse_quota(text)) is not None]
    return min(found, default=None)


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


def _limits(cgroups: Path, own: Path) -> Iterator[str]:
    """The texts that may limit: of version 2, the own group and its parents; of version 1."""
    try:
        group = cgroups / parse_group(own.read_text())
    except OSError:  # not Linux
        return
    folders = (group, *(parent for parent in group.parents if parent.is_relative_to(cgroups)))
    version_1 = (cgroups / "cpu/cpu.cfs_quota_us", cgroups / "cpu/cpu.cfs_period_us")
    for files in [*((folder / "cpu.max",) for folder in folders), version_1]:
        try:
            yield " ".join(file.read_text() for file in files)
        except OSError:  # the other version, or a group that the container does not see
            continue
