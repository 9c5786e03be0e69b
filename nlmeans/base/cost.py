"""Time and memory that a filter takes, against what there is."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nlmeans.base.checks import ParameterError
from nlmeans.base.progress import Progress, between

UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


class NotEnoughMemory(MemoryError):
    """What was asked for takes more memory than it may."""


@dataclass(frozen=True)
class Cost:
    """What a filter is expected to take.

    Attributes
    ----------
    seconds : float
        An estimate, from operations and a rate: other machines can be several times as slow.
    bytes : int
        Above the input, at the peak.
    """

    seconds: float
    bytes: int

    def __add__(self, other: "Cost") -> "Cost":
        """The cost of one after the other."""
        return Cost(self.seconds + other.seconds, max(self.bytes, other.bytes))


def check_limit(max_memory: int | None, name: str = "max_memory") -> None:
    if max_memory is not None and (
        isinstance(max_memory, bool)
        or not isinstance(max_memory, int | np.integer)
        or max_memory < 1
    ):
        raise ParameterError(f"{name} is {max_memory!r}; allowed are whole numbers of bytes from 1")


def not_enough(needed: int, max_memory: int, why: str = "") -> NotEnoughMemory:
    left = show_bytes(max_memory) if max_memory > 0 else "nothing"
    message = (
        f"{show_bytes(needed)} of memory are needed{why}, and of what is allowed {left} is left; "
        "allow more, or filter a region"
    )
    return NotEnoughMemory(message)


class Cut(NamedTuple):
    """An axis along which an array can be filtered in parts."""

    length: int  # positions
    axis: int  # in the result
    halo: int | None  # how far along it a result looks; None if everywhere


def in_parts(
    run: Callable[[slice, Progress | None], NDArray[Any]],
    along: Cut,
    peak: Callable[[int], int],
    result: int,
    max_memory: int,
    progress: Progress | None,
) -> NDArray[Any]:
    """run(slice) of a whole axis, or of parts of it that take no more memory than allowed.

    - `run`: filters positions of the axis.
    - `peak`: bytes that so many positions take, their result among them.
    - `result`: bytes of the whole result.

    Raises NotEnoughMemory before anything is run.
    """
    count, axis, halo = along
    if peak(count) <= max_memory:
        return run(slice(0, count), progress)
    if halo is None:
        raise not_enough(peak(count), max_memory)

    def within(length: int) -> bool:
        return result + peak(min(length + 2 * halo, count)) <= max_memory

    length = next(filter(within, _lengths(count)), None)
    if length is None:
        raise not_enough(result + peak(min(1 + 2 * halo, count)), max_memory, ", even in parts")
    whole: NDArray[Any] | None = None
    for first in range(0, count, length):
        end = min(first + length, count)
        low, high = max(first - halo, 0), min(end + halo, count)
        part = run(slice(low, high), between(progress, first / count, end / count))
        inside = np.moveaxis(part, axis, 0)[first - low : end - low]
        if whole is None:
            shape = (*part.shape[:axis], count, *part.shape[axis + 1 :])
            whole = np.empty(shape, part.dtype)
        np.moveaxis(whole, axis, 0)[first:end] = inside
    assert whole is not None
    return whole


def _lengths(count: int) -> Iterator[int]:
    """Lengths of parts to try, from a half of all positions down to one of them."""
    parts = 2
    while parts < 2 * count:
        yield -(-count // parts)
        parts += max(parts // 2, 1)
    yield 1


def show_bytes(count: float) -> str:
    """
    >>> show_bytes(1), show_bytes(1536), show_bytes(3.2 * 2**30)
    ('1 byte', '1.5 KiB', '3.2 GiB')
    """
    power = min(int(math.log(max(count, 1), 1024)), len(UNITS) - 1)
    unit = "byte" if count == 1 else UNITS[power]
    return f"{count / 1024**power:.3g} {unit}"


def show_seconds(seconds: float) -> str:
    """An estimated duration, to two digits: no more is known.

    >>> show_seconds(0.034), show_seconds(75), show_seconds(9000)
    ('0.034 s', '1.2 min', '2.5 h')
    """
    for unit, length in (("s", 1), ("min", 60), ("h", 3600)):
        if seconds < 60 * length:
            return f"{seconds / length:.2g} {unit}"
    return f"{seconds / 86400:.2g} days"
