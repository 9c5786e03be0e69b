"""A picture as the bytes of a TIFF, laid out like the TIFF that it came from."""

from __future__ import annotations

import io
import math
import struct
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from nlmeans.images.arrangement import Arrangement, arrangement_for, text_for
from nlmeans.images.exif import (
    DESCRIPTION,
    EXIF_IFD,
    MAKER_NOTE,
    XMP,
    Directory,
    descriptive,
    directory_bytes,
    left_out_note,
)
from nlmeans.images.picture import Metadata, Picture, TiffPages
from nlmeans.images.tiff_pages import RGB, errors_logged_are_raised, full_pages

LOSSLESS = {
    1: None,
    5: "lzw",
    8: "adobe_deflate",
    32946: "adobe_deflate",
    32773: "packbits",
    34925: "lzma",
    50000: "zstd",
}
WITHOUT_PREDICTOR = (None, "packbits")
CLASSIC_LIMIT = 2**32 - 2**25  # of bytes that classic TIFF is trusted with
RATIONALS = (5, 10)  # types of tags
PAGE_BYTES = 2**12  # allowed for the tags of a page


def write(picture: Picture, _suffix: str, _quality: int | None) -> tuple[bytes, tuple[str, ...]]:
    """The file, and a line for each thing that it does not hold."""
    metadata, layout = picture.metadata, picture.metadata.tiff
    told = TiffPages("") if layout is None or layout.pages is None else layout.pages
    arrangement = _arrangement(picture)
    planes = arrangement.take_apart(picture.pixels)
    streams = [metadata.exif, *told.exif][: len(planes)]
    streams += [None] * (len(planes) - len(streams))
    each = [_exif_directory(stream) for stream in streams]
    exifs, notes = [exif for exif, _ in each], tuple(note for _, some in each for note in some)
    large = planes.nbytes + len(planes) * (PAGE_BYTES + len(metadata.icc or b"")) >= CLASSIC_LIMIT
    if large and any(exif.below for exif in exifs):
        for exif in exifs:
            exif.below.clear()
        notes += ("EXIF of a TIFF over 4 GB not kept",)
    text = text_for(told.text, arrangement, planes.shape[1:]) if len(planes) > 1 else None
    if text is not None and exifs[0].tags.pop(DESCRIPTION, None) is not None:
        notes += ("TIFF description not kept: it tells what the pages are",)
    buffer = io.BytesIO()
    with (
        errors_logged_are_raised(),
        tifffile.TiffWriter(buffer, bigtiff=large, byteorder="<") as writer,
    ):
        for number, (plane, exif) in enumerate(zip(planes, exifs, strict=True)):
            extratags = _extratags(exif)
            if number == 0:
                extratags += _first_page_tags(metadata.xmp, text, told)
            writer.write(
                plane,
                metadata=None,
                software=False,
                iccprofile=metadata.icc,
                extratags=extratags,
                **_resolution_options(metadata),
                **_sample_options(picture, plane),
            )
    data = bytearray(buffer.getbuffer())
    _append_directories(data, exifs)
    return bytes(data), tuple(dict.fromkeys(notes))


def header(data: bytes, picture: Picture) -> tuple[str, tuple[int, ...]]:
    """Sample type and shape that the file just encoded of a picture claims to hold."""
    with errors_logged_are_raised(), tifffile.TiffFile(io.BytesIO(data)) as file:
        pages = full_pages(file)
    page, arrangement = pages[0], _arrangement(picture)
    if math.prod(arrangement.lengths) != len(pages):
        arrangement = Arrangement("I", (len(pages),))
    return np.dtype(page.dtype).name, arrangement.shape(tuple(page.shape))


def _arrangement(picture: Picture) -> Arrangement:
    layout = picture.metadata.tiff
    axes = None if layout is None or layout.pages is None else layout.pages.axes
    return arrangement_for(picture.stack, picture.pixels.shape, axes)


def _first_page_tags(
    xmp: bytes | None, text: bytes | None, told: TiffPages
) -> list[tuple[int, int, int, Any, bool]]:
    tags: list[tuple[int, int, int, Any, bool]] = []
    if xmp is not None:
        tags.append((XMP, 1, len(xmp), xmp, True))
    if text is not None:
        tags.append((DESCRIPTION, 2, len(text) + 1, text + b"\0", True))
        tags += told.imagej
    return tags


def _resolution_options(metadata: Metadata) -> dict[str, Any]:
    density = metadata.tiff.density if metadata.tiff is not None else None
    if metadata.dpi is None and density is not None:
        return {"resolution": density, "resolutionunit": 1}
    return {"resolution": metadata.dpi, "resolutionunit": 2 if metadata.dpi else None}


def _sample_options(picture: Picture, plane: NDArray[Any]) -> dict[str, Any]:
    """The layout of the TIFF that it came from, where that still fits; else the plain choice."""
    layout = picture.metadata.tiff
    channels = plane.shape[2] if plane.ndim == 3 else 1
    rgb = channels - picture.alpha >= 3
    extra = (0,) * (channels - picture.alpha - (3 if rgb else 1)) + (2,) * picture.alpha
    compression: str | None = "adobe_deflate"
    predicted = True
    if layout is not None:
        rgb = layout.photometric == RGB
        extra = layout.extrasamples
        compression = LOSSLESS.get(layout.compression, "adobe_deflate")
        predicted = layout.predictor != 1 or layout.compression not in LOSSLESS
    predicted = predicted and compression not in WITHOUT_PREDICTOR and plane.dtype != bool
    return {
        "photometric": "rgb" if rgb else "minisblack",
        "planarconfig": "contig" if channels > 1 else None,
        "extrasamples": extra or None,
        "compression": compression,
        "predictor": predicted,
    }


def _exif_directory(exif: bytes | None) -> tuple[Directory, tuple[str, ...]]:
    """The EXIF stream taken apart, and a line for what of it the TIFF will not hold."""
    if exif is None:
        return Directory(), ()
    order = "<" if exif[:2] == b"II" else ">"
    directory, notes = descriptive(exif, struct.unpack_from(order + "I", exif.ljust(8), 4)[0])
    notes += left_out_note(directory, "EXIF")
    if directory.followed:
        notes += ("EXIF thumbnail not kept",)
    if EXIF_IFD in directory.below and MAKER_NOTE in directory.below[EXIF_IFD].tags:
        notes += ("EXIF maker note copied; offsets inside it may no longer hold in a TIFF",)
    return directory, notes


def _extratags(exif: Directory) -> list[tuple[int, int, int, Any, bool]]:
    tags: list[tuple[int, int, int, Any, bool]] = []
    for code, value in exif.tags.items():
        kind = exif.tags.tagtype[code]
        if kind in RATIONALS:
            each = value if isinstance(value, tuple) else (value,)
            pairs = tuple(n for v in each for n in (v.numerator, v.denominator))
            tags.append((code, kind, len(each), pairs, True))
        elif isinstance(value, bytes):
            value = value + b"\0" if kind == 2 else value
            tags.append((code, kind, len(value), value, True))
        else:
            tags.append((code, kind, len(value) if isinstance(value, tuple) else 1, value, True))
    # tifffile refuses to write these two pointers: place them one code lower, which keeps the
    # order of the tags, and rename them once their offset is known.
    return tags + [(pointer - 1, 4, 1, 0, True) for pointer in exif.below]


def _append_directories(data: bytearray, exifs: list[Directory]) -> None:
    """Put the directories at the end of the file and make the tags of their pages point there."""
    if not any(exif.below for exif in exifs):
        return
    with errors_logged_are_raised(), tifffile.TiffFile(io.BytesIO(data)) as file:
        pages: list[Any] = list(file.pages)
        places = [
            (page.tags[pointer - 1], pointer, directory)
            for page, exif in zip(pages, exifs, strict=True)
            for pointer, directory in exif.below.items()
        ]
    for tag, pointer, directory in places:
        data += b"\0" * (len(data) % 2)
        struct.pack_into("<H", data, tag.offset, pointer)
        struct.pack_into("<I", data, tag.valueoffset, len(data))
        data += directory_bytes(directory, len(data))
