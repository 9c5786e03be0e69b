"""The directories of tags that TIFF and EXIF are made of: read, and laid out anew.

EXIF in a TIFF is a set of directories that point at each other by offset; tifffile does not write
them, so Pillow encodes them and their offsets are set.
"""

from __future__ import annotations

import io
import struct
import warnings
from dataclasses import dataclass, field

from PIL.TiffImagePlugin import ImageFileDirectory_v2 as Tags

ICC, XMP, DESCRIPTION = 34675, 700, 270
# Tags that tell about the picture; they travel in the EXIF, whose first directory has room for them
DESCRIPTIVE = frozenset(
    {269, 270, 271, 272, 274, 285, 305, 306, 315, 316, 18246, 18249, 33432, 33723}
    | {40091, 40092, 40093, 40094, 40095}
)
# Tags that describe the encoding, which is made anew, and those read by name above
STRUCTURAL = frozenset(
    {254, 255, 256, 257, 258, 259, 262, 263, 266, 273, 277, 278, 279, 280, 281, 282, 283, 284}
    | {288, 289, 292, 293, 296, 317, 320, 322, 323, 324, 325, 338, 339, 340, 341, 347}
    | {512, 513, 514, 515, 517, 518, 519, 520, 521, 529, 530, 531, 532, ICC, XMP}
)
EXIF_IFD, GPS_IFD, INTEROP_IFD, MAKER_NOTE, DNG_VERSION = 34665, 34853, 40965, 37500, 50706
LONG8, IFD8 = 16, 18  # types of tags
HEADER = b"II*\0\x08\0\0\0"  # little-endian, first directory right behind


@dataclass
class Directory:
    """Tags, and the directories that some of them point at."""

    tags: Tags = field(default_factory=Tags)
    below: dict[int, Directory] = field(default_factory=dict)
    left_out: set[int] = field(default_factory=set)
    followed: bool = False  # by another: the thumbnail, in an EXIF stream


def descriptive(data: bytes, offset: int) -> tuple[Directory, tuple[str, ...]]:
    """The tags at ``offset`` that tell about the picture; damage is a note, not an error."""
    try:
        with warnings.catch_warnings(record=True) as trouble:
            warnings.simplefilter("always")
            directory = _read_directory(data, offset, DESCRIPTIVE, (EXIF_IFD, GPS_IFD))
    except (
        ArithmeticError,
        LookupError,
        OSError,
        SyntaxError,
        TypeError,
        ValueError,
        struct.error,
    ):
        return Directory(), ("EXIF is damaged: not kept",)
    return directory, ("EXIF is damaged: part of it not kept",) if trouble else ()


def left_out_note(directory: Directory, source: str) -> tuple[str, ...]:
    codes = sorted(directory.left_out - STRUCTURAL)
    return (f"{source} tags not kept: {', '.join(map(str, codes))}",) if codes else ()


def _read_directory(
    data: bytes, offset: int, wanted: frozenset[int] | None, pointers: tuple[int, ...]
) -> Directory:
    """The wanted tags (None: all) at ``offset``, and the directories that ``pointers`` lead to."""
    found = _pillow_tags(data, offset)
    result = Directory(Tags(HEADER), followed=found.next != 0)
    for code in sorted(found):
        if code in pointers:
            result.below[code] = _read_directory(
                data, int(found[code]), None, (INTEROP_IFD,) if code == EXIF_IFD else ()
            )
        elif wanted is None or code in wanted:
            kind, value = found.tagtype[code], found[code]
            result.tags.tagtype[code] = kind
            # Pillow reads text as latin-1 and writes it as ASCII; bytes pass unharmed.
            result.tags[code] = value.encode("latin-1") if isinstance(value, str) else value
        else:
            result.left_out.add(code)
    return result


def _pillow_tags(data: bytes, offset: int) -> Tags:
    """All tags of the directory at ``offset``."""
    big = data[2:4] in (b"+\0", b"\0+")
    # Pillow takes a big-endian BigTIFF for a classic TIFF: it gets the size and the order apart.
    found = Tags(b"II+\0".ljust(16, b"\0") if big else b"II*\0".ljust(8, b"\0"), data[:2])
    stream = io.BytesIO(data)
    stream.seek(offset)
    found.load(stream)
    if big:  # and it passes over 64-bit pointers
        order = "<" if data[:2] == b"II" else ">"
        (count,) = struct.unpack_from(f"{order}Q", data, offset)
        entries = data[offset + 8 : offset + 8 + 20 * count]
        for code, kind, _, value in struct.iter_unpack(f"{order}HHQQ", entries):
            if kind == IFD8:
                found.tagtype[code], found[code] = LONG8, value
    return found


def directory_bytes(directory: Directory, offset: int) -> bytes:
    """The directory as it stands at ``offset``, those below it right behind."""
    tags = directory.tags
    for pointer in directory.below:
        tags.tagtype[pointer] = 4
        tags[pointer] = 0  # holds the place, so that the length is known
    end = offset + len(tags.tobytes(offset))
    behind = b""
    for pointer, below in directory.below.items():
        tags[pointer] = end + len(behind)
        behind += directory_bytes(below, end + len(behind))
    return tags.tobytes(offset) + behind
