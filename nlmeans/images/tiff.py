"""TIFF bytes to a picture, exact for every sample type this program knows.

tifffile finds the pixels and the tags; ``arrangement.py`` knows what several pages are to each
other, ``exif.py`` the directories of EXIF, ``tiff_writing.py`` the way back.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from nlmeans.images.arrangement import (
    IMAGEJ,
    OME,
    SHAPED,
    Arrangement,
    Said,
    arrangement_of,
    listed_in_full,
    pages_said,
    pages_told,
)
from nlmeans.images.exif import (
    DESCRIPTION,
    DNG_VERSION,
    HEADER,
    ICC,
    XMP,
    descriptive,
    directory_bytes,
    left_out_note,
)
from nlmeans.images.formats import (
    Metadata,
    Picture,
    TiffLayout,
    TiffPages,
    Unsupported,
    native,
    palette_note,
)

MINISWHITE, MINISBLACK, RGB, PALETTE, YCBCR = 0, 1, 2, 3, 6
JPEG_COMPRESSION = (6, 7)
SAMPLES = ("bool", "uint8", "uint16", "int16", "float16", "float32", "float64")

IMAGEJ_COUNTS, IMAGEJ_DATA = 50838, 50839
BOMB_BYTES, BOMB_RATIO = 2**29, 1100  # deflate cannot pack closer than 1 : 1032


# --------------------------------------------------------------------------- reading


def read_tiff(data: bytes) -> Picture:
    """Pages alike, grey or colour, any number of channels, 1-bit, integer or float samples."""
    with errors_logged_are_raised(), tifffile.TiffFile(io.BytesIO(data)) as file:
        pages = full_pages(file)
        _check_samples(pages[0])
        _check_segments(pages, len(data))
        said = _said(data, pages)
        count = pages_said(said, pages[0].axes, len(pages))
        found = arrangement_of(said, pages[0].axes, pages[0].description, count)
        planes = _planes(pages) if count == len(pages) else _planes_behind(data, count, pages[0])
        metadata, notes = _metadata(pages, data, said, count)
        colormaps = [page.colormap for page in pages]
        reduced = len(file.pages) - len(pages)
    layout = metadata.tiff
    assert layout is not None
    if layout.photometric == MINISWHITE:
        planes, layout = ~planes, replace(layout, photometric=MINISBLACK)
    if layout.photometric == PALETTE:
        planes, layout = _through_palettes(planes, colormaps), replace(layout, photometric=RGB)
        notes = (*notes, palette_note("RGB"))
        if "C" in found.axes:  # colours leave channels no place
            found = Arrangement("I", (count,))
    if layout.pages is not None:
        layout = replace(layout, pages=replace(layout.pages, axes=found.axes))
    if reduced:
        notes += (f"{reduced} reduced pages of the TIFF not kept",)
    return Picture(
        pixels=np.ascontiguousarray(found.assemble(planes)),
        alpha=layout.extrasamples[-1:] in ((1,), (2,)),
        format="TIFF",
        metadata=replace(metadata, tiff=layout),
        notes=tuple(dict.fromkeys(notes)),
        stack=found.stack,
    )


def full_pages(file: tifffile.TiffFile) -> list[Any]:
    """The full pages of the file, which are alike; thumbnails and masks do not count."""
    listed = iter(file.pages)
    every: list[Any] = []
    while True:
        with _of_page(len(every) + 1, len(every) + 1):
            page = next(listed, None)
        if page is None:
            break
        every.append(page)
    pages = [page for page in every if not page.subfiletype & 5]
    if not pages:
        msg = "no page is a full picture; save one that is"
        raise Unsupported(msg)
    for number, page in enumerate(pages, 1):
        if DNG_VERSION in page.tags:
            msg = "camera raw file (DNG): develop it to a TIFF or PNG first"
            raise Unsupported(msg)
        if page.axes not in ("YX", "YXS", "SYX"):
            msg = f"volume with axes {page.axes} in a page; only pictures are read: split it"
            raise Unsupported(msg)
        if _kind(page) != _kind(pages[0]):
            kinds = f"page {number} is {_kind(page)}, page 1 {_kind(pages[0])}"
            msg = f"{kinds}; a stack has pages alike: split it first"
            raise Unsupported(msg)
    return pages


def _kind(page: Any) -> str:
    """What pages of a stack have in common."""
    size = " x ".join(map(str, page.shape))
    extra = "".join(f" {int(kind)}" for kind in page.extrasamples)
    name = getattr(page.photometric, "name", page.photometric)
    whole = page.dtype is None or page.bitspersample in (1, 8 * page.dtype.itemsize)
    bits = "" if whole else f" of {page.bitspersample} bits"
    return f"{size} {page.dtype}{bits} {name}{extra}"


def _said(data: bytes, pages: list[Any]) -> Said | None:
    """What the file says of its pages; None where that makes several series, or no sense."""
    # Only these two leave pages unlisted.
    if len(pages) == 1 and not pages[0].description.encode().startswith((SHAPED, IMAGEJ)):
        return None
    # A file of its own, as looking for series changes how its pages are read. Whatever is wrong
    # with them is found when they are.
    with _log_collected(), tifffile.TiffFile(io.BytesIO(data)) as file:
        try:
            series: list[Any] = list(file.series)
            if len(series) != 1:
                return None
            (one,) = series
            return Said(
                kind=one.kind,
                axes=one.axes,
                shape=tuple(one.shape),
                indices=tuple(None if p is None else p.index for p in one.pages),
                contiguous=len(one.pages) == 1
                and one.dataoffset is not None
                and one.dataoffset + one.nbytes <= len(data),
            )
        except Exception:
            return None


def _planes(pages: list[Any]) -> NDArray[Any]:
    """(N, H, W) or (N, H, W, samples)."""
    first, count = pages[0], len(pages)
    planes: NDArray[Any] = np.empty((count, *first.shape), native(np.empty(0, first.dtype)).dtype)
    for number, page in enumerate(pages, 1):
        with _of_page(number, count):
            planes[number - 1] = page.asarray()
    return np.moveaxis(planes, 1, 3) if first.axes == "SYX" else planes


def _planes_behind(data: bytes, count: int, first: Any) -> NDArray[Any]:
    """The same of pages that lie behind the first, and are not listed."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        planes = native(file.series[0].asarray()).reshape(count, *first.shape)
    return np.moveaxis(planes, 1, 3) if first.axes == "SYX" else planes


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


def _check_segments(pages: list[Any], size: int) -> None:
    """tifffile fills strips that are not there with zeros; here they are an error."""
    for number, page in enumerate(pages, 1):
        offsets, counts = page.dataoffsets, page.databytecounts
        missing = sum(
            count == 0 or offset == 0 or offset + count > size
            for offset, count in zip(offsets, counts, strict=True)
        )
        if missing or not offsets:
            msg = f"{missing} of {len(offsets)} strips or tiles are not in the file"
            raise ValueError(_on_page(number, len(pages), msg))
    claimed = sum(page.nbytes for page in pages)
    if claimed > max(BOMB_BYTES, BOMB_RATIO * size):
        msg = f"{size} bytes claim to hold {claimed} bytes of pixels: crop it first"
        raise Unsupported(msg)


def _metadata(
    pages: list[Any], data: bytes, said: Said | None, count: int
) -> tuple[Metadata, tuple[str, ...]]:
    """What the file says besides its pixels, and a line for what of it is left behind."""
    first = pages[0]
    tags = {tag.code: tag.value for tag in first.tags}
    exif, text, notes = _exif_from(data, first.offset, arranged=count > 1)
    arranged, layout = None, _layout(first, tags)
    if text is not None and (told := pages_told(text, first.shape)) > count:
        notes += (f"the description tells of {told} pages, but the file holds {count}",)
    if count > 1:
        if text is not None and text.startswith(SHAPED):
            held = said is not None and said.kind == "shaped" and layout.photometric != PALETTE
            text = listed_in_full(text) if held else None
        elif text is not None and text.startswith(OME) and layout.photometric == PALETTE:
            text, notes = None, (*notes, "OME description not kept: the palette became RGB")
        later = [_exif_from(data, page.offset) for page in pages[1:]]
        notes += tuple(note for _, _, some in later for note in some) + _unlike_the_first(pages)
        arranged = TiffPages("I", text, _imagej_tags(tags), tuple(exif for exif, _, _ in later))
    layout = replace(layout, pages=arranged)
    return Metadata(exif, tags.get(ICC), _dpi(tags), tags.get(XMP), tiff=layout), notes


def _layout(page: Any, tags: dict[int, Any]) -> TiffLayout:
    photometric = int(page.photometric)
    return TiffLayout(
        photometric=RGB if photometric == YCBCR else photometric,
        compression=int(page.compression),
        predictor=int(page.predictor),
        extrasamples=tuple(int(kind) for kind in page.extrasamples),
        density=_density(tags),
    )


def _through_palettes(pixels: NDArray[Any], colormaps: list[NDArray[np.uint16]]) -> NDArray[Any]:
    """Colours of the pages' palettes: 8 bits where the 16-bit entries hold no more than that."""
    entries = np.stack(colormaps)
    high, low = entries >> 8, entries & 255
    if np.all((low == 0) | (low == high)):
        entries = high.astype(np.uint8)
    each = [own.T[page] for own, page in zip(entries, pixels.astype(np.intp), strict=True)]
    return np.stack(each)


def _resolution(tags: dict[int, Any]) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Horizontal and vertical, as fractions, where both are told."""
    x, y = tags.get(282, (0, 1)), tags.get(283, (0, 1))
    return (x, y) if x[0] and x[1] and y[0] and y[1] else None


def _dpi(tags: dict[int, Any]) -> tuple[float, float] | None:
    found, per_inch = _resolution(tags), {2: 1.0, 3: 2.54}.get(int(tags.get(296, 2)))
    if per_inch is None or found is None:
        return None
    (x, y) = found
    return x[0] / x[1] * per_inch, y[0] / y[1] * per_inch


def _density(tags: dict[int, Any]) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """A resolution in another unit than inch or centimetre: ImageJ's is in its description."""
    found = _resolution(tags)
    return None if int(tags.get(296, 2)) in (2, 3) or found == ((1, 1), (1, 1)) else found


def _exif_from(
    data: bytes, offset: int, *, arranged: bool = False
) -> tuple[bytes | None, bytes | None, tuple[str, ...]]:
    """The descriptive tags and the EXIF and GPS directories of a page, as a stream of their own.

    With them a description about the arrangement of pages, which is left out unless ``arranged``,
    and notes.
    """
    source, notes = descriptive(data, offset)
    text = source.tags.get(DESCRIPTION, b"")
    if text.startswith((SHAPED, IMAGEJ, OME)):
        del source.tags[DESCRIPTION]
    else:
        text = None
    if arranged:
        source.left_out -= {IMAGEJ_COUNTS, IMAGEJ_DATA}
    elif text is not None and not text.startswith(SHAPED):
        source.left_out.add(DESCRIPTION)
    notes += left_out_note(source, "TIFF")
    if not len(source.tags) and not source.below:
        return None, text, notes
    return HEADER + directory_bytes(source, len(HEADER)), text, notes


def _imagej_tags(tags: dict[int, Any]) -> tuple[tuple[int, int, int, bytes, bool], ...]:
    """Labels, display ranges and the like, in the byte order that is written."""
    told = tags.get(IMAGEJ_DATA)
    return tuple(tifffile.imagej_metadata_tag(told, "<")) if isinstance(told, dict) else ()


def _unlike_the_first(pages: list[Any]) -> tuple[str, ...]:
    """A line for each thing that pages have of their own and a picture has once."""
    once = {"resolution": (282, 283, 296), "ICC profile": (ICC,), "XMP": (XMP,)}
    notes = []
    for name, codes in once.items():
        first = [pages[0].tags.valueof(code) for code in codes]
        for number, page in enumerate(pages[1:], 2):
            own = [page.tags.valueof(code) for code in codes]
            if any(value not in (None, old) for value, old in zip(own, first, strict=True)):
                notes.append(f"{name} of page {number} not kept: that of page 1 is used")
                break
    return tuple(notes)


# --------------------------------------------------------------------------- errors


@contextmanager
def _of_page(number: int, count: int) -> Iterator[None]:
    """Errors say which of several pages they are from."""
    try:
        with errors_logged_are_raised():
            yield
    except MemoryError:
        raise
    except Exception as error:
        if count == 1:
            raise
        raise ValueError(_on_page(number, count, str(error))) from error


def _on_page(number: int, count: int, text: str) -> str:
    return f"page {number}: {text}" if count > 1 else text


@contextmanager
def _log_collected() -> Iterator[list[logging.LogRecord]]:
    """What tifffile logs meanwhile, which goes nowhere else."""

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    records: list[logging.LogRecord] = []
    logger = logging.getLogger("tifffile")
    before = logger.handlers, logger.propagate
    logger.handlers, logger.propagate = [Collector(logging.WARNING)], False
    try:
        yield records
    finally:
        logger.handlers, logger.propagate = before


@contextmanager
def errors_logged_are_raised() -> Iterator[None]:
    """tifffile logs what it could not read and goes on; an error in the log is one here."""
    with _log_collected() as records:
        yield
    errors = [record for record in records if record.levelno >= logging.ERROR]
    if errors:
        raise ValueError(errors[0].getMessage())
