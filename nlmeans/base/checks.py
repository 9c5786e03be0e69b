"""Checks of arguments: each error is one line with the value, what is allowed and what to do."""

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

LARGEST_SIZE = 9999
SMALLEST_NUMBER, LARGEST_NUMBER = 1e-150, 1e150  # whose squares float64 holds


class ParameterError(ValueError):
    """A parameter outside its range, whatever the array."""


def check_choice(name: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise ParameterError(f"{name} is {value!r}; allowed are {', '.join(map(repr, allowed))}")


def check_size(name: str, size: object) -> int | tuple[int, ...]:
    """An odd full side, or one per axis, as plain ints."""
    if isinstance(size, tuple | list):
        return tuple(_side(name, side) for side in size)
    return _side(name, size)


def _side(name: str, side: object) -> int:
    try:
        value = operator.index(side)  # type: ignore[arg-type]
    except TypeError:
        value = 0
    if isinstance(side, bool) or not 1 <= value <= LARGEST_SIZE or value % 2 == 0:
        message = f"{name} is {side!r}; allowed are odd whole numbers from 1 to {LARGEST_SIZE}"
        if value > 0 and value % 2 == 0:
            message += f", such as {min(value + 1, LARGEST_SIZE)}"
        raise ParameterError(message)
    return value


def radii(name: str, size: int | tuple[int, ...], ndim: int) -> tuple[int, ...]:
    """(side - 1)/2 for each of `ndim` axes."""
    sides = size if isinstance(size, tuple) else (size,) * ndim
    if len(sides) != ndim:
        raise ParameterError(
            f"{name} {sides} has {len(sides)} numbers; the array has {ndim} axes of pixels"
        )
    return tuple(side // 2 for side in sides)


def check_number(
    name: str, value: Any, *, low: float = -math.inf, high: float = math.inf, above: bool = False
) -> float:
    """A finite real number with low <= value <= high, or low < value if `above`."""
    try:
        number = math.nan if isinstance(value, str | bytes | bool | np.bool_) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    inside = low < number if above else low <= number
    if not (math.isfinite(number) and inside and number <= high):
        bounds = [f"{'above' if above else 'from'} {low:g}"] if low > -math.inf else []
        bounds += [f"up to {high:g}"] if high < math.inf else []
        raise ParameterError(
            f"{name} is {value!r}; allowed are finite numbers {' '.join(bounds)}".rstrip()
        )
    return number


def check_whole(
    name: str, value: object, *, low: int = 1, high: int | None = None, otherwise: str = ""
) -> int:
    """A whole number from `low`, up to `high`, as a plain int; `otherwise` ends what is allowed."""
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = low - 1
    if isinstance(value, bool) or number < low or (high is not None and number > high):
        end = "" if high is None else f" to {high}"
        raise ParameterError(
            f"{name} is {value!r}; allowed are whole numbers from {low}{end}{otherwise}"
        )
    return number


def check_wholes(
    name: str, values: object, *, low: int = 1, otherwise: str = ""
) -> int | tuple[int, ...]:
    """One whole number as `check_whole` takes it, or a tuple of them."""
    if isinstance(values, tuple):
        return tuple(check_whole(name, each, low=low, otherwise=otherwise) for each in values)
    return check_whole(name, values, low=low, otherwise=otherwise)


def check_threads(threads: int | None) -> None:
    if threads is not None:
        check_whole("threads", threads, otherwise=", or None for all cores")
