"""The pages of a TIFF as tifffile lists them, checked: alike, of known samples, and complete."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import tifffile

from nlmeans.images.arrangement import IMAGEJ, SHAPED, Series
from nlmeans.images.errors import Unsupported
from nlmeans.images.exif import DNG_VERSION
from nlmeans.images.picture import SAMPLES

MINISWHITE, MINISBLACK, RGB, PALETTE, YCBCR = 0, 1, 2, 3, 6
JPEG_COMPRESSION = (6, 7)
BOMB_BYTES, BOMB_RATIO = 2**29, 1100  # deflate cannot pack closer than 1 : 1032


def full_pages(file: tifffile.TiffFile) -> list[Any]:
    """The full pages of the file, which are alike; thumbnails and masks do not count."""
    listed = iter(file.pages)
    every: list[Any] = []
    while True:
        with of_page(len(every) + 1, len(every) + 1):
            page = next(listed, None)
        if page is None:
            break
        every.append(page)
    pages = [page for page in every if not page.subfiletype & 5]
    if not pages:
        raise Unsupported("no page is a full picture; save one that is")
    for number, page in enumerate(pages, 1):
        if DNG_VERSION in page.tags:
            raise Unsupported("camera raw file (DNG): develop it to a TIFF or PNG first")
        if page.axes not in ("YX", "YXS", "SYX"):
            raise Unsupported(
                f"volume with axes {page.axes} in a page; only pictures are read: split it"
            )
        if _described(page) != _described(pages[0]):
            kinds = f"page {number} is {_described(page)}, page 1 {_described(pages[0])}"
            raise Unsupported(f"{kinds}; all pages of a stack must be alike: split it first")
    return pages


def _described(page: Any) -> str:
    """A page in words: pages of a stack have the same."""
    size = " x ".join(map(str, page.shape))
    extra = "".join(f" {int(kind)}" for kind in page.extrasamples)
    name = getattr(page.photometric, "name", page.photometric)
    whole = page.dtype is None or page.bitspersample in (1, 8 * page.dtype.itemsize)
    bits = "" if whole else f" of {page.bitspersample} bits"
    return f"{size} {page.dtype}{bits} {name}{extra}"


def check_samples(page: Any) -> None:
    photometric, dtype = int(page.photometric), np.dtype(page.dtype or "V").name
    converted = photometric == YCBCR and page.compression in JPEG_COMPRESSION
    if photometric not in (MINISWHITE, MINISBLACK, RGB, PALETTE) and not converted:
        name = getattr(page.photometric, "name", photometric)
        raise Unsupported(
            f"colours are {name}; grey, RGB and palette are read: convert it to RGB first"
        )
    bits = page.bitspersample
    whole = photometric == PALETTE or bits == (1 if dtype == "bool" else 8 * page.dtype.itemsize)
    if dtype not in SAMPLES or not whole:
        what = dtype if whole else f"{bits} bits"
        raise Unsupported(f"samples are {what}; {', '.join(SAMPLES)} are read: convert it first")
    inverted = photometric == MINISWHITE and (page.samplesperpixel > 1 or dtype[0] not in "bu")
    single = dtype == "bool" or photometric == PALETTE
    if inverted or (single and page.samplesperpixel > 1):
        what = f"{page.samplesperpixel} channels of {dtype}, {page.photometric.name}"
        raise Unsupported(f"{what}, are not read: convert it to RGB first")
    if any(kind in (1, 2) for kind in page.extrasamples[:-1]):
        raise Unsupported("alpha is not the last channel: reorder the channels first")


def check_segments(pages: list[Any], size: int) -> None:
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
        raise Unsupported(f"{size} bytes claim to hold {claimed} bytes of pixels: crop it first")


def series_of(data: bytes, pages: list[Any]) -> Series | None:
    """The one series of the file; None where there are several, or its words make no sense."""
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
            return Series(
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


@contextmanager
def of_page(number: int, count: int) -> Iterator[None]:
    """Name the page in errors, where there are several."""
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
    """Collect what tifffile logs meanwhile; it goes nowhere else."""

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
