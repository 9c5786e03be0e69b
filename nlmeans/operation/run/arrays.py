"""How arrays are handed to compiled code."""

import math
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from nlmeans.kernels.tiles import VECTOR_BYTES

MOST_DIMENSIONS = 3
T = TypeVar("T")


def to_zyx(axes: tuple[int, ...], values: Sequence[T], missing: T) -> tuple[T, T, T]:
    """What belongs to an array's axes, put where these lie among the kernel's; else `missing`.

    >>> to_zyx((0, 2), [5, 6], 1)
    (5, 1, 6)
    """
    whole = [missing] * MOST_DIMENSIONS
    for axis, value in zip(axes, values, strict=True):
        whole[axis] = value
    z, y, x = whole
    return z, y, x


def table(*rows: Sequence[int]) -> NDArray[np.intp]:
    """The rows as one array, zeros behind the shorter ones."""
    numbers = np.zeros((len(rows), max(map(len, rows))), dtype=np.intp)
    for row, given in zip(numbers, rows, strict=True):
        row[: len(given)] = given
    return numbers


def divided(a: NDArray[Any], by: NDArray[Any]) -> NDArray[Any]:
    """a / by, and 0 where `by` is 0: there no weight is above 0."""
    shares = np.zeros(a.shape, np.result_type(a, by))
    np.divide(a, by, out=shares, where=by > 0)
    return shares


def aligned(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Zeros that begin on a whole vector."""
    space = np.zeros(math.prod(shape) * dtype.itemsize + VECTOR_BYTES, np.uint8)
    start = -space.ctypes.data % VECTOR_BYTES
    return space[start : start + len(space) - VECTOR_BYTES].view(dtype).reshape(shape)


def locked(array: NDArray[Any]) -> NDArray[Any]:
    """A read-only view: Numba compiles anew for read-only arrays, so that all are."""
    view = array.view()
    view.flags.writeable = False
    return view
