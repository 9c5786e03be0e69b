"""Progress of a part as progress of the whole."""

from collections.abc import Callable

Progress = Callable[[float], None]


def between(progress: Progress | None, start: float, end: float) -> Progress | None:
    """For a part that takes the whole from the fraction `start` to `end`."""
    if progress is None:
        return None
    return lambda fraction: progress(start + fraction * (end - start))


def part_of(progress: Progress | None, k: int, count: int) -> Progress | None:
    """For the k-th of `count` equal parts."""
    return between(progress, k / count, (k + 1) / count)
