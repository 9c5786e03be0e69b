"""MATLAB files of versions 5 to 7: the numeric variables, every size checked before it is believed.

The format as MathWorks documents it in "MAT-File Format": elements of a tag and data, of which a
matrix holds flags, sides, a name and its numbers as elements of their own.
"""

import zlib
from collections.abc import Iterator
from math import prod
from typing import Literal, NoReturn

import numpy as np
from numpy.typing import NDArray

from nlmeans.base.texts import one_line
from nlmeans.weights.errors import Refusal
from nlmeans.weights.files.archives import Budget
from nlmeans.weights.files.stored import MOST_SIDES, Stored, Tensors, from_numpy

MAGIC = b"MATLAB 5.0 MAT-file"
NEWER = b"MATLAB 7.3 MAT-file"
HEADER = 128
INT8, INT32, UINT32, MATRIX, COMPRESSED = 1, 5, 6, 14, 15  # tags
NUMBERS = {
    1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8",
}  # fmt: skip
STRUCT = 2
CLASSES = {
    6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8",
}  # fmt: skip
COMPLEX = 0x800
DEEPEST, LONGEST_NAME = 20, 63
Order = Literal["<", ">"]


def read_mat(data: bytes) -> Tensors:
    """Numeric variables; the fields of a struct by their names joined with dots.

    Variables of other kinds are left out, and a note says which.

    Raises Refusal for a damaged file, and one whose content takes more memory than its size allows.
    """
    order: Order | None = {b"IM": "<", b"MI": ">"}.get(data[126:128])  # type: ignore[assignment]
    if order is None:
        raise Refusal("has no MATLAB header; fetch it again")
    file = _MatFile(order, Budget(len(data)))
    for kind, content in _elements(memoryview(data)[HEADER:], order):
        if kind == COMPRESSED:
            for inner, unpacked in _elements(file.unpacked(content), order):
                if inner == MATRIX:
                    file.collect("", unpacked, 0)
        elif kind == MATRIX:
            file.collect("", content, 0)
    if not file.arrays:
        raise Refusal("holds no numeric variables; save theta_weight, phi_weight and so on")
    return Tensors("MATLAB", file.arrays, notes=tuple(file.notes))


class _MatFile:
    """What is found of one file."""

    def __init__(self, order: Order, budget: Budget) -> None:
        self.order, self.budget = order, budget
        self.arrays: dict[str, Stored] = {}
        self.notes: list[str] = []

    def unpacked(self, content: memoryview) -> memoryview:
        most = self.budget.left
        try:
            unpacked = zlib.decompressobj().decompress(content, most + 1)
        except zlib.error as error:
            raise Refusal(f"is a damaged MATLAB file ({error}); fetch it again") from error
        self.budget.take(len(unpacked), "unpacks to more than")
        return memoryview(unpacked)

    def collect(self, key: str, content: memoryview, depth: int) -> None:
        """A matrix, under its own name where there is no key: numbers, or a struct of them."""
        if not len(content):
            return  # what MATLAB writes for an empty field
        elements = _elements(content, self.order)
        flags = self._numbers(elements, UINT32)
        sides = tuple(map(int, self._numbers(elements, INT32)))
        own = _text(self._numbers(elements, INT8))
        name = key or own
        if len(flags) != 2 or len(sides) > MOST_SIDES or min(sides, default=-1) < 0:
            _damaged("a matrix with other flags or sides than there can be")
        kind = int(flags[0]) & 0xFF
        if kind in CLASSES and not int(flags[0]) & COMPLEX:
            if name:  # MATLAB's own workspace has none
                self._keep(name, self._matrix(name, elements, np.dtype(CLASSES[kind]), sides))
        elif kind == STRUCT and prod(sides) == 1 and depth < DEEPEST:
            self._fields(name, elements, depth)
        elif name:
            self.notes.append(f"left out {one_line(name, 60)}, which is no real numeric array")

    def _keep(self, name: str, array: NDArray[np.generic]) -> None:
        if name in self.arrays:
            _damaged(f"{name!r} twice")
        self.arrays[name] = from_numpy(array)

    def _fields(self, key: str, elements: "Elements", depth: int) -> None:
        (length,) = self._numbers(elements, INT32)[:1].tolist() or [0]
        names = self._numbers(elements, INT8)
        if not 1 <= length <= LONGEST_NAME + 1 or len(names) % length:
            _damaged("a struct whose names have no length")
        for name in names.reshape(-1, length):
            kind, content = _next(elements)
            if kind != MATRIX:
                _damaged("a struct with fields that are no matrices")
            self.collect(f"{key}.{_text(name)}", content, depth + 1)

    def _matrix(
        self, name: str, elements: "Elements", dtype: np.dtype[np.generic], sides: tuple[int, ...]
    ) -> NDArray[np.generic]:
        """In the class's dtype; MATLAB keeps whole numbers in a smaller one."""
        numbers = self._numbers(elements)
        if len(numbers) != prod(sides):
            _damaged(f"{len(numbers)} numbers for {name}, whose sides ask for {prod(sides)}")
        self.budget.take(len(numbers) * dtype.itemsize, f"{name} takes")
        return numbers.astype(dtype).reshape(sides, order="F")

    def _numbers(self, elements: "Elements", wanted: int | None = None) -> NDArray[np.generic]:
        kind, content = _next(elements)
        if kind not in NUMBERS or wanted not in (None, kind):
            _damaged(f"an element of type {kind} where another has to be")
        dtype = np.dtype(NUMBERS[kind]).newbyteorder(self.order)
        if len(content) % dtype.itemsize:
            _damaged(f"{len(content)} bytes of {dtype.name}")
        return np.frombuffer(content, dtype)


Elements = Iterator[tuple[int, memoryview]]


def _elements(data: memoryview, order: Order) -> Elements:
    """Type and content one after the other; up to four bytes stand within the tag itself."""
    byteorder: Literal["little", "big"] = "little" if order == "<" else "big"
    place = 0
    while place + 8 <= len(data):
        kind = int.from_bytes(data[place : place + 4], byteorder)
        size = kind >> 16
        start, end = place + 4, place + 8
        if size:
            kind &= 0xFFFF
        else:
            size = int.from_bytes(data[place + 4 : end], byteorder)
            start = end
            end = start + size + (0 if kind == COMPRESSED else -size % 8)
        if start + size > min(end, len(data)):
            _damaged(f"an element of {size} bytes that ends too early: it is truncated")
        yield kind, data[start : start + size]
        place = end


def _next(elements: Elements) -> tuple[int, memoryview]:
    try:
        return next(elements)
    except StopIteration:
        _damaged("a matrix that ends too early")


def _text(codes: NDArray[np.generic]) -> str:
    return codes.tobytes().partition(b"\0")[0].decode("ascii", "backslashreplace")


def _damaged(what: str) -> NoReturn:
    raise Refusal(f"is a damaged MATLAB file: it has {what}; fetch it again")
