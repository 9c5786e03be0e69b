"""What every reader gives: named arrays as they lie in a file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlmeans.weights.errors import Refusal

MOST_SIDES = 32
FLOATS = ("float16", "bfloat16", "float32", "float64")


@dataclass(frozen=True, eq=False)
class Stored:
    """One array."""

    dtype: str  # as the file has it, such as "bfloat16" or "float32 big-endian"
    shape: tuple[int, ...]
    values: NDArray[Any] | None  # None for a dtype that NumPy lacks; of bfloat16 the 16-bit words

    def numbers(self, key: str) -> NDArray[np.float64]:
        """In float64; anything but finite floats is refused by name."""
        if self.values is None or self.dtype.split()[0] not in FLOATS:
            raise Refusal(f"{key} has dtype {self.dtype}; weights are {', '.join(FLOATS)}")
        values = widened(self.values) if self.dtype.startswith("bfloat16") else self.values
        numbers = values.astype(np.float64)
        if not np.isfinite(numbers).all():
            bad = int((~np.isfinite(numbers)).sum())
            raise Refusal(f"{key} holds {bad} NaN or infinite values; such weights cannot be used")
        return numbers


@dataclass(frozen=True, eq=False)
class Tensors:
    """The content of a weights file."""

    format: str  # such as "safetensors" or "PyTorch (zip)"
    arrays: Mapping[str, Stored]
    metadata: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()  # what was left out or chosen while reading


def from_numpy(array: NDArray[Any]) -> Stored:
    dtype = array.dtype
    name = dtype.name if dtype.isnative or dtype.itemsize == 1 else f"{dtype.name} big-endian"
    return Stored(name, array.shape, array)


def from_bytes(key: str, dtype: str, shape: tuple[int, ...], data: bytes | memoryview) -> Stored:
    """Little-endian raw bytes; a dtype that NumPy lacks has no values."""
    try:
        kind = np.dtype("<u2" if dtype == "bfloat16" else dtype).newbyteorder("<")
    except TypeError:
        return Stored(dtype, shape, None)
    return Stored(dtype, shape, shaped(key, data, kind, shape))


def shaped(
    key: str,
    data: bytes | memoryview,
    dtype: np.dtype[Any],
    shape: tuple[Any, ...],
    *,
    fortran: bool = False,
) -> NDArray[Any]:
    """The bytes as an array, if they are as many as the shape asks for."""
    if not whole(*shape) or len(shape) > MOST_SIDES:
        raise Refusal(f"{key} has a shape that is not of up to {MOST_SIDES} whole numbers from 0")
    sides = prod(n for n in shape if n)  # of an empty array, the others
    if prod(shape) * dtype.itemsize != len(data) or sides * dtype.itemsize >= 2**63:
        raise Refusal(
            f"{key} has {len(data)} bytes for shape {shape} of {dtype}; the file is damaged"
        )
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")


def whole(*numbers: Any) -> bool:
    """Whether all are whole numbers from 0."""
    return all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in numbers)


def widened(bits: NDArray[Any]) -> NDArray[np.float32]:
    """bfloat16, given as 16-bit words, is the upper half of a float32."""
    return (bits.astype(np.uint32) << 16).view(np.float32)
