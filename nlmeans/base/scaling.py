"""Scaling by powers of two, which rounds nothing: squares then neither overflow nor vanish."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray


def exponent_of(largest: float, lowest: int = -1022, highest: int = 1024) -> int:
    """The power e of two that brings numbers of up to this magnitude, over 2^e, into [-1, 1].

    It is kept between `lowest` and `highest`, so that 2^e and 2^-e are numbers of a float type.

    Examples
    --------
    >>> exponent_of(5.0), exponent_of(0.0), exponent_of(1e-300, lowest=-500)
    (3, 0, -500)
    """
    return min(max(math.frexp(largest)[1], lowest), highest)


def largest_of(array: NDArray[Any]) -> float:
    """The largest magnitude, without an array of magnitudes."""
    return max(float(array.max()), -float(array.min()))


def most_exponent(dtype: np.dtype[Any]) -> int:
    """How far from 0 exponents may be in this float type: products with 2^e stay in its range."""
    return 120 if dtype == np.float32 else 1000


def middle_of(planes: NDArray[Any]) -> tuple[NDArray[Any], float]:
    """The middle of each plane's range, (C, 1, ...), and half the widest range.

    Less its middle, a constant plane is exactly 0, and no constant that is added to a plane
    changes a difference.
    """
    axes = tuple(range(1, planes.ndim))
    low, high = planes.min(axes, keepdims=True), planes.max(axes, keepdims=True)
    return low / 2 + high / 2, float(np.max(high / 2 - low / 2))
