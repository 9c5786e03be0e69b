"""TIFF, exact for every sample type that a picture may have.

tifffile finds the pixels and the tags; ``arrangement.py`` knows what several pages are to each
other, ``exif.py`` the directories of EXIF.
"""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from nlmeans.images.arrangement import Arrangement, arrangement_of, page_count
from nlmeans.images.errors import palette_note
from nlmeans.images.picture import Picture, native
from nlmeans.images.tiff_metadata import metadata_of_pages
from nlmeans.images.tiff_pages import (
    MINISBLACK,
    MINISWHITE,
    PALETTE,
    RGB,
    check_samples,
    check_segments,
    errors_logged_are_raised,
    full_pages,
    of_page,
    series_of,
)
from nlmeans.images.tiff_writing import header, write

__all__ = ["header", "read", "write"]


def read(data: bytes) -> Picture:
    """Pages alike, grey or colour, any number of channels, 1-bit, integer or float samples."""
    with errors_logged_are_raised(), tifffile.TiffFile(io.BytesIO(data)) as file:
        pages = full_pages(file)
        check_samples(pages[0])
        check_segments(pages, len(data))
        series = series_of(data, pages)
        count = page_count(series, pages[0].axes, len(pages))
        found = arrangement_of(series, pages[0].axes, pages[0].description, count)
        planes = _planes(pages) if count == len(pages) else _planes_behind(data, count, pages[0])
        metadata, notes = metadata_of_pages(pages, data, series, count)
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


def _planes(pages: list[Any]) -> NDArray[Any]:
    """(N, H, W) or (N, H, W, samples)."""
    first, count = pages[0], len(pages)
    planes: NDArray[Any] = np.empty((count, *first.shape), native(np.empty(0, first.dtype)).dtype)
    for number, page in enumerate(pages, 1):
        with of_page(number, count):
            planes[number - 1] = page.asarray()
    return np.moveaxis(planes, 1, 3) if first.axes == "SYX" else planes


def _planes_behind(data: bytes, count: int, first: Any) -> NDArray[Any]:
    """The planes of a file that lists only the first of its pages."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        planes = native(file.series[0].asarray()).reshape(count, *first.shape)
    return np.moveaxis(planes, 1, 3) if first.axes == "SYX" else planes


def _through_palettes(pixels: NDArray[Any], colormaps: list[NDArray[np.uint16]]) -> NDArray[Any]:
    """Colours of the pages' palettes: 8 bits where the 16-bit entries hold no more than that."""
    entries = np.stack(colormaps)
    high, low = entries >> 8, entries & 255
    if np.all((low == 0) | (low == high)):
        entries = high.astype(np.uint8)
    each = [own.T[page] for own, page in zip(entries, pixels.astype(np.intp), strict=True)]
    return np.stack(each)
