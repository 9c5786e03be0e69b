"""Point clouds: .ply and .xyz files, of which nothing but the positions is rewritten.

Faces, colours, labels, comments and whatever else a file holds stay byte for byte: in text the
three numbers of a row are replaced, in binary PLY the three fields of a vertex.
"""

from __future__ import annotations

import codecs
import io
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nlmeans.base.texts import shown
from nlmeans.images.atomic import check_place, put_in_place
from nlmeans.images.errors import ImageReadError, StrPath, Unsupported, cause_of, reported
from nlmeans.images.files import file_bytes

COMMENTS = ("#", "//")
EXTRA_DECIMALS = 2  # kept below the noise level
MOST_DECIMALS = 12  # numbers with more, or with an exponent, are written by their digits
ENCODING = "latin-1"  # maps every byte to a character and back


class _File(Protocol):
    def rewritten(self, points: NDArray[Any], sigma: float) -> bytes: ...


@dataclass(frozen=True, eq=False)
class CloudFile:
    """A file's points (N, 3), float32 or float64, and how to write others in their place."""

    points: NDArray[Any]
    suffix: str
    file: _File


def load_cloud(path: StrPath) -> CloudFile:
    """Read the positions in a .ply (text or binary) or .xyz file.

    An .xyz file has a row for each point: x, y, z and maybe more, between blanks, commas or
    semicolons. A header may stand before the first row, blank lines and comments (#, //) anywhere.

    Raises ImageReadError: missing, unreadable, damaged or unsupported; one line that starts with
    the path. Raises ModuleNotFoundError for .ply, if the package plyfile is missing.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in READERS:
        raise ImageReadError(
            f"{shown(path)}: unknown extension {suffix!r}: {' and '.join(READERS)} are read"
        )
    data = file_bytes(path)
    try:
        return READERS[suffix](data)
    except Unsupported as error:
        raise ImageReadError(f"{shown(path)}: {error}") from error


def check_cloud_output(
    path: StrPath, cloud: CloudFile, *, overwrite: bool = False, source: StrPath | None = None
) -> None:
    """Find out, before any work, whatever would keep points from being saved at ``path``.

    Raises ImageWriteError: one line: the path, what is wrong, what is allowed, what to do.
    """
    with reported(path):
        check_place(path, (cloud.suffix,), overwrite, source)


def save_cloud(
    path: StrPath, cloud: CloudFile, points: NDArray[Any], sigma: float, *, overwrite: bool = False
) -> None:
    """Write the file that the cloud came from with other positions: all of it or nothing.

    - `sigma`: the noise level: text gets as many decimals as the file had, and at least two below
      this.

    Raises ImageWriteError as `check_cloud_output`, or what the disk had to say. Nothing is left
    behind.
    """
    check_cloud_output(path, cloud, overwrite=overwrite)
    with reported(path):
        put_in_place(Path(path).resolve(), cloud.file.rewritten(points, sigma), overwrite)


# --------------------------------------------------------------------------- text


@dataclass(frozen=True, eq=False)
class _Text:
    lines: list[str]
    rows: range | list[int]  # lines with points
    columns: tuple[int, int, int]
    separator: re.Pattern[str]  # with one group

    def points(self) -> NDArray[np.float64]:
        values = np.empty((len(self.rows), 3))
        for k, row in enumerate(self.rows):
            pieces = self.separator.split(self.lines[row].strip())[::2]
            try:
                values[k] = [float(pieces[c]) for c in self.columns]
            except (ValueError, IndexError) as error:
                raise Unsupported(
                    f"line {row + 1} is {self.lines[row].strip()[:60]!r}; three numbers with a "
                    "decimal point are needed"
                ) from error
        return values

    def rewritten(self, points: NDArray[Any], sigma: float) -> bytes:
        split = [self.separator.split(self.lines[row].strip()) for row in self.rows]
        digits = "%.9g" if points.dtype == np.float32 else "%.15g"
        form = self._form(split, sigma) or digits
        moved = points != self.points().astype(points.dtype)
        lines = list(self.lines)
        for row, pieces, point, changed in zip(
            self.rows, split, points.tolist(), moved.tolist(), strict=True
        ):
            for c, value, new in zip(self.columns, point, changed, strict=True):
                if new:
                    pieces[2 * c] = form % value
            line = lines[row]
            body = line.strip()
            start = line.index(body)
            lines[row] = line[:start] + "".join(pieces) + line[start + len(body) :]
        return "".join(lines).encode(ENCODING)

    def _form(self, split: list[list[str]], sigma: float) -> str | None:
        """How numbers with decimals are written; None where exponents suit better."""
        decimals = math.ceil(EXTRA_DECIMALS - math.log10(sigma)) if sigma > 0 else 0
        for pieces in split:
            for number in (pieces[2 * c] for c in self.columns):
                if "e" in number or "E" in number:
                    return None
                decimals = max(decimals, len(number.partition(".")[2]))
        return None if decimals > MOST_DECIMALS else f"%.{max(decimals, 0)}f"


def _lines(data: bytes) -> list[str]:
    # Of bytes: text would also be cut at characters that are part of a label.
    return [line.decode(ENCODING) for line in data.splitlines(keepends=True)]


BLANKS = re.compile(r"(\s+)")


def _read_xyz(data: bytes) -> CloudFile:
    mark = codecs.BOM_UTF8 if data.startswith(codecs.BOM_UTF8) else b""
    lines = _lines(mark) + _lines(data.removeprefix(mark))
    rows: list[int] = []
    separator = BLANKS
    for k, line in enumerate(lines):
        body = line.strip()
        if not body or body.startswith(COMMENTS):
            continue
        if not rows:
            separator = next(
                (re.compile(rf"(\s*{mark}\s*)") for mark in ";," if mark in body), BLANKS
            )
            if not _is_row(separator.split(body)[::2]):
                continue  # of the header
        rows.append(k)
    if not rows:
        raise Unsupported("holds no points: rows of three numbers x y z are needed")
    file = _Text(lines, rows, (0, 1, 2), separator)
    return CloudFile(file.points(), ".xyz", file)


def _is_row(pieces: list[str]) -> bool:
    try:
        return len([float(piece) for piece in pieces[:3]]) == 3
    except ValueError:
        return False


# --------------------------------------------------------------------------- PLY


@dataclass(frozen=True, eq=False)
class _BinaryPly:
    data: bytes
    start: int  # of the vertices
    count: int
    record: np.dtype[Any]

    def rewritten(self, points: NDArray[Any], sigma: float) -> bytes:
        data = bytearray(self.data)
        vertices = np.frombuffer(data, self.record, self.count, self.start)
        for name, column in zip("xyz", points.T, strict=True):
            vertices[name] = column
        return bytes(data)


def _read_ply(data: bytes) -> CloudFile:
    from plyfile import PlyData, PlyListProperty, PlyParseError

    header = _header(data)
    try:
        ply = PlyData.read(io.BytesIO(data))
    except (PlyParseError, ValueError, UnicodeError, OverflowError, MemoryError) as error:
        raise Unsupported(
            f"cannot be read as PLY ({cause_of(error)}); it is damaged or cut short: fetch it again"
        ) from error
    if "vertex" not in ply:
        raise Unsupported("holds no element 'vertex': save the points as vertices")
    vertex = ply["vertex"]
    names = [each.name for each in vertex.properties]
    lists = [each.name for each in vertex.properties if isinstance(each, PlyListProperty)]
    if lists:
        raise Unsupported(
            f"the vertices have a list ({lists[0]!r}); only numbers are read: remove it first"
        )
    kinds = [vertex.data.dtype[name] for name in "xyz" if name in names]
    if len(kinds) < 3 or any(kind.kind != "f" for kind in kinds):
        raise Unsupported(
            "the vertices need x, y and z of type float or double: convert them first"
        )
    dtype = np.result_type(*kinds).newbyteorder("=")
    points = np.stack([vertex[name] for name in "xyz"], axis=1).astype(dtype)
    before = ply.elements[: ply.elements.index(vertex)]
    if ply.text:
        first = len(header.splitlines()) + sum(each.count for each in before)
        x, y, z = map(names.index, "xyz")
        rows = range(first, first + vertex.count)
        return CloudFile(points, ".ply", _Text(_lines(data), rows, (x, y, z), BLANKS))
    start = len(header) + sum(map(_size, before))
    record = vertex.dtype(ply.byte_order)
    return CloudFile(points, ".ply", _BinaryPly(data, start, vertex.count, record))


def _header(data: bytes) -> bytes:
    """The header, once it is sure that the file can be as large as it says."""
    end = re.search(rb"^end_header[ \t]*(\r\n|\n|\r)", data, re.MULTILINE)
    if not data.startswith(b"ply") or end is None:
        raise Unsupported(
            "is no PLY, it has no header from 'ply' to 'end_header': save it as PLY again"
        )
    header = data[: end.end()]
    values = 0  # of a byte each, at least
    for element in re.split(rb"^element\b", header, flags=re.MULTILINE)[1:]:
        count = re.match(rb"[ \t]+\S+[ \t]+(\d{1,100})", element)
        properties = len(re.findall(rb"^property\b", element, re.MULTILINE))
        values += int(count[1]) * max(properties, 1) if count else 0
    if values > len(data):
        raise Unsupported(
            f"is cut short: {values} values announced in {len(data)} bytes: fetch it again"
        )
    return header


def _size(element: Any) -> int:
    """The bytes that a binary element takes."""
    total = 0
    for each in element.properties:
        if hasattr(each, "len_dtype"):
            values = sum(map(len, element.data[each.name]))
            total += element.count * np.dtype(each.len_dtype).itemsize
            total += values * np.dtype(each.val_dtype).itemsize
        else:
            total += element.count * np.dtype(each.val_dtype).itemsize
    return total


READERS = {".ply": _read_ply, ".xyz": _read_xyz}
