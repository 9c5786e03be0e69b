"""TIFF bytes to pixels and back, exact for every sample type this program knows.

tifffile holds the pixels and the tags. EXIF in a TIFF is a set of directories that point at each
other by offset; tifffile does not write them, so Pillow encodes them and their offsets are set.
"""

from __future__ import annotations

import io
import logging
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL.TiffImagePlugin import ImageFileDirectory_v2 as Tags

from nlmeans.images.formats import Metadata, Picture, TiffLayout, Unsupported, native, several

MINISWHITE, MINISBLACK, RGB, PALETTE, YCBCR = 0, 1, 2, 3, 6
JPEG_COMPRESSION = (6, 7)
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
SAMPLES = ("bool", "uint8", "uint16", "int16", "float16", "float32", "float64")

ICC, XMP, DESCRIPTION = 34675, 700, 270
SHAPED, DATA_MODEL = b'{"shape"', (b"ImageJ=", b"<?xml")  # texts about the arrangement of pages
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
HEADER = b"II*\0\x08\0\0\0"  # little-endian, first directory right behind
BOMB_BYTES, BOMB_RATIO = 2**29, 1100  # deflate cannot pack closer than 1 : 1032
CLASSIC_LIMIT = 2**32 - 2**25  # tifffile goes over to BigTIFF here


@dataclass
class _Directory:
    """Tags, and the directories that some of them point at."""

    tags: Tags
    below: dict[int, _Directory] = field(default_factory=dict)
    left_out: set[int] = field(default_factory=set)
    followed: bool = False  # by another: the thumbnail, in an EXIF stream


# --------------------------------------------------------------------------- reading


def read_tiff(data: bytes) -> Picture:
    """One page, grey or colour, any number of channels, 1-bit, integer or float samples."""
    with _errors_logged_are_raised(), tifffile.TiffFile(io.BytesIO(data)) as file:
        page = _only_page(file)
        _check_samples(page)
        _check_segments(page, len(data))
        pixels = native(page.asarray())
        tags = {tag.code: tag.value for tag in page.tags}
        offset, colormap = page.offset, page.colormap
        thumbnails = len(file.pages) - 1
    layout = _layout(page)
    if page.axes == "SYX":
        pixels = np.ascontiguousarray(np.moveaxis(pixels, 0, 2))
    if layout.photometric == MINISWHITE:
        pixels, layout = ~pixels, replace(layout, photometric=MINISBLACK)
    if layout.photometric == PALETTE:
        pixels, layout = _through_palette(pixels, colormap), replace(layout, photometric=RGB)
    exif, notes = _exif_from(data, offset)
    if thumbnails:
        notes += (f"{thumbnails} reduced pages of the TIFF not kept",)
    metadata = Metadata(exif, tags.get(ICC), _dpi(tags), tags.get(XMP), tiff=layout)
    return Picture(pixels, layout.extrasamples[-1:] in ((1,), (2,)), "TIFF", metadata, notes)


def _only_page(file: tifffile.TiffFile) -> Any:
    """The one full picture of the file; thumbnails and masks do not count."""
    every: list[Any] = list(file.pages)
    pages = [page for page in every if not page.subfiletype & 5]
    if len(pages) != 1:
        raise Unsupported(several(len(pages), "pages"))
    (page,) = pages
    if DNG_VERSION in page.tags:
        msg = "camera raw file (DNG): develop it to a TIFF or PNG first"
        raise Unsupported(msg)
    if page.axes not in ("YX", "YXS", "SYX"):
        msg = f"volume with axes {page.axes}; only single pictures are read: split it first"
        raise Unsupported(msg)
    return page


def _check_samples(page: Any) -> None:
    photometric, dtype = int(page.photometric), np.dtype(page.dtype or "V").name
    converted = photometric == YCBCR and page.compression in JPEG_COMPRESSION
    if photometric not in (MINISWHITE, MINISBLACK, RGB, PALETTE) and not converted:
        name = getattr(page.photometric, "name", photometric)
        msg = f"colours are {name}; grey, RGB and palette are read: convert it to RGB first"
        raise Unsupported(msg)
    bits = page.bitspersample
    whole = photometric == PALETTE or bits == (1 if dtype == "bool" else 8 * page.dtype.itemsize)
    if dtype not in SAMPLES or not whole:
        what = dtype if whole else f"{bits} bits"
        msg = f"samples are {what}; {', '.join(SAMPLES)} are read: convert it first"
        raise Unsupported(msg)
    inverted = photometric == MINISWHITE and (page.samplesperpixel > 1 or dtype[0] not in "bu")
    single = dtype == "bool" or photometric == PALETTE
    if inverted or (single and page.samplesperpixel > 1):
        what = f"{page.samplesperpixel} channels of {dtype}, {page.photometric.name}"
        msg = f"{what}, is not read: convert it to RGB first"
        raise Unsupported(msg)
    if any(kind in (1, 2) for kind in page.extrasamples[:-1]):
        msg = "alpha is not the last channel: reorder the channels first"
        raise Unsupported(msg)


def _check_segments(page: Any, size: int) -> None:
    """tifffile fills strips that are not there with zeros; here they are an error."""
    offsets, counts = page.dataoffsets, page.databytecounts
    missing = sum(
        count == 0 or offset == 0 or offset + count > size
        for offset, count in zip(offsets, counts, strict=True)
    )
    if missing or not offsets:
        msg = f"{missing} of {len(offsets)} strips or tiles are not in the file"
        raise ValueError(msg)
    if page.nbytes > max(BOMB_BYTES, BOMB_RATIO * size):
        msg = f"{size} bytes claim to hold {page.nbytes} bytes of pixels: crop it first"
        raise Unsupported(msg)


def _layout(page: Any) -> TiffLayout:
    photometric = int(page.photometric)
    return TiffLayout(
        photometric=RGB if photometric == YCBCR else photometric,
        compression=int(page.compression),
        predictor=int(page.predictor),
        extrasamples=tuple(int(kind) for kind in page.extrasamples),
    )


def _through_palette(pixels: NDArray[Any], colormap: NDArray[np.uint16]) -> NDArray[Any]:
    """Colours of a palette: 8 bits where the 16-bit entries hold no more than that."""
    high, low = colormap >> 8, colormap & 255
    if np.all((low == 0) | (low == high)):
        colormap = high.astype(np.uint8)
    return np.ascontiguousarray(colormap.T[pixels.astype(np.intp)])


def _dpi(tags: dict[int, Any]) -> tuple[float, float] | None:
    per_inch = {2: 1.0, 3: 2.54}.get(int(tags.get(296, 2)))
    x, y = tags.get(282, (0, 1)), tags.get(283, (0, 1))
    if per_inch is None or not (x[0] and x[1] and y[0] and y[1]):
        return None
    return x[0] / x[1] * per_inch, y[0] / y[1] * per_inch


def _exif_from(data: bytes, offset: int) -> tuple[bytes | None, tuple[str, ...]]:
    """The descriptive tags and the EXIF and GPS directories of a TIFF, as a stream of their own."""
    source, notes = _descriptive(data, offset)
    text = source.tags.get(DESCRIPTION, b"")
    if text.startswith((SHAPED, *DATA_MODEL)):
        del source.tags[DESCRIPTION]
    if text.startswith(DATA_MODEL):
        source.left_out.add(DESCRIPTION)
    notes += _left_out(source, "TIFF")
    if not len(source.tags) and not source.below:
        return None, notes
    return HEADER + _directory_bytes(source, len(HEADER)), notes


# --------------------------------------------------------------------------- writing


def write_tiff(picture: Picture) -> tuple[bytes, tuple[str, ...]]:
    """The file, and a line for each thing that it does not hold."""
    metadata, pixels = picture.metadata, picture.pixels
    exif, notes = _exif_directory(metadata.exif)
    if exif.below and pixels.nbytes >= CLASSIC_LIMIT:
        exif.below.clear()
        notes += ("EXIF of a TIFF over 4 GB not kept",)
    buffer = io.BytesIO()
    extratags = _extratags(exif)
    if metadata.xmp is not None:
        extratags.append((XMP, 1, len(metadata.xmp), metadata.xmp, True))
    with _errors_logged_are_raised():
        tifffile.imwrite(
            buffer,
            pixels,
            metadata=None,
            software=False,
            resolution=metadata.dpi,
            resolutionunit=2 if metadata.dpi else None,
            iccprofile=metadata.icc,
            extratags=extratags,
            **_sample_options(picture),
        )
    data = bytearray(buffer.getbuffer())
    for pointer, directory in exif.below.items():
        _append_directory(data, pointer, directory)
    return bytes(data), notes


def header(data: bytes) -> tuple[str, tuple[int, ...]]:
    """Sample type and shape that a file just encoded claims to hold."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page: Any = file.pages[0]
        return np.dtype(page.dtype).name, tuple(page.shape)


def _sample_options(picture: Picture) -> dict[str, Any]:
    """As the TIFF it came from, where that still fits; else the plain choice."""
    pixels, layout = picture.pixels, picture.metadata.tiff
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    rgb = channels - picture.alpha >= 3
    extra = (0,) * (channels - picture.alpha - (3 if rgb else 1)) + (2,) * picture.alpha
    compression: str | None = "adobe_deflate"
    predicted = True
    if layout is not None:
        rgb = layout.photometric == RGB
        extra = layout.extrasamples
        compression = LOSSLESS.get(layout.compression, "adobe_deflate")
        predicted = layout.predictor != 1 or layout.compression not in LOSSLESS
    predicted = predicted and compression not in WITHOUT_PREDICTOR and pixels.dtype != bool
    return {
        "photometric": "rgb" if rgb else "minisblack",
        "planarconfig": "contig" if channels > 1 else None,
        "extrasamples": extra or None,
        "compression": compression,
        "predictor": predicted,
    }


def _exif_directory(exif: bytes | None) -> tuple[_Directory, tuple[str, ...]]:
    """The EXIF stream taken apart, and a line for what of it the TIFF will not hold."""
    if exif is None:
        return _Directory(Tags()), ()
    order = "<" if exif[:2] == b"II" else ">"
    directory, notes = _descriptive(exif, struct.unpack_from(order + "I", exif.ljust(8), 4)[0])
    notes += _left_out(directory, "EXIF")
    if directory.followed:
        notes += ("EXIF thumbnail not kept",)
    if EXIF_IFD in directory.below and MAKER_NOTE in directory.below[EXIF_IFD].tags:
        notes += ("EXIF maker note copied; offsets inside it may no longer hold in a TIFF",)
    return directory, notes


def _extratags(exif: _Directory) -> list[tuple[int, int, int, Any, bool]]:
    tags: list[tuple[int, int, int, Any, bool]] = []
    for code, value in exif.tags.items():
        kind = exif.tags.tagtype[code]
        if isinstance(value, bytes):
            value = value + b"\0" if kind == 2 else value
            tags.append((code, kind, len(value), value, True))
        else:
            tags.append((code, kind, len(value) if isinstance(value, tuple) else 1, value, True))
    # tifffile refuses to write these two pointers: place them one code lower, which keeps the
    # order of the tags, and rename them once their offset is known.
    return tags + [(pointer - 1, 4, 1, 0, True) for pointer in exif.below]


def _append_directory(data: bytearray, pointer: int, directory: _Directory) -> None:
    """Put the directory at the end of the file and make its tag point there."""
    data += b"\0" * (len(data) % 2)
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page: Any = file.pages[0]
        tag = page.tags[pointer - 1]
    struct.pack_into("<H", data, tag.offset, pointer)
    struct.pack_into("<I", data, tag.valueoffset, len(data))
    data += _directory_bytes(directory, len(data))


# --------------------------------------------------------------------------- directories


def _descriptive(data: bytes, offset: int) -> tuple[_Directory, tuple[str, ...]]:
    """What tells about the picture in the directory at ``offset``; damage is a note, not an end."""
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
        return _Directory(Tags()), ("EXIF is damaged: not kept",)
    return directory, ("EXIF is damaged: part of it not kept",) if trouble else ()


def _left_out(directory: _Directory, source: str) -> tuple[str, ...]:
    codes = sorted(directory.left_out - STRUCTURAL)
    return (f"{source} tags not kept: {', '.join(map(str, codes))}",) if codes else ()


def _read_directory(
    data: bytes, offset: int, wanted: frozenset[int] | None, pointers: tuple[int, ...]
) -> _Directory:
    """The wanted tags (None: all) at ``offset``, and the directories that ``pointers`` lead to."""
    stream = io.BytesIO(data)
    stream.seek(offset)
    found = Tags(data[: 16 if data[2:4] in (b"+\0", b"\0+") else 8])
    found.load(stream)
    result = _Directory(Tags(HEADER), followed=found.next != 0)
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


def _directory_bytes(directory: _Directory, offset: int) -> bytes:
    """The directory as it stands at ``offset``, those below it right behind."""
    tags = directory.tags
    for pointer in directory.below:
        tags.tagtype[pointer] = 4
        tags[pointer] = 0  # holds the place, so that the length is known
    end = offset + len(tags.tobytes(offset))
    behind = b""
    for pointer, below in directory.below.items():
        tags[pointer] = end + len(behind)
        behind += _directory_bytes(below, end + len(behind))
    return tags.tobytes(offset) + behind


@contextmanager
def _errors_logged_are_raised() -> Iterator[None]:
    """tifffile logs what it could not read and goes on; an error in the log is one here."""

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    records: list[logging.LogRecord] = []
    logger, handler = logging.getLogger("tifffile"), Collector(logging.WARNING)
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate
    errors = [record for record in records if record.levelno >= logging.ERROR]
    if errors:
        raise ValueError(errors[0].getMessage())
