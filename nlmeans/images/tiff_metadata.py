"""The values of a TIFF besides its pixels, and a line for each that is left behind."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import tifffile

from nlmeans.images.arrangement import IMAGEJ, OME, SHAPED, Series, listed_in_full, pages_told
from nlmeans.images.exif import (
    DESCRIPTION,
    HEADER,
    ICC,
    XMP,
    descriptive,
    directory_bytes,
    left_out_note,
)
from nlmeans.images.picture import Metadata, TiffLayout, TiffPages
from nlmeans.images.tiff_pages import PALETTE, RGB, YCBCR

IMAGEJ_COUNTS, IMAGEJ_DATA = 50838, 50839


def metadata_of_pages(
    pages: list[Any], data: bytes, series: Series | None, count: int
) -> tuple[Metadata, tuple[str, ...]]:
    """The metadata of all pages, and a line for each thing that is left behind."""
    first = pages[0]
    tags = {tag.code: tag.value for tag in first.tags}
    exif, text, notes = _exif_from(data, first.offset, arranged=count > 1)
    arranged, layout = None, _layout(first, tags)
    if text is not None and (told := pages_told(text, first.shape)) > count:
        notes += (f"the description tells of {told} pages, but the file holds {count}",)
    if count > 1:
        if text is not None and text.startswith(SHAPED):
            held = series is not None and series.kind == "shaped" and layout.photometric != PALETTE
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
