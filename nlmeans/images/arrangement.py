"""The order of the pages of a TIFF, and their way into one array and back."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# What descriptions about the arrangement begin with: tifffile's, ImageJ's, OME's
SHAPED, IMAGEJ, OME = b'{"shape"', b"ImageJ=", b"<?xml"
MOST_IMAGEJ_CHANNELS = 7


@dataclass(frozen=True)
class Arrangement:
    """The axes along which pages follow each other, slowest first."""

    # of "T" (time), "Z" (depth) and "C" (channels) each at most once; or "I": one page after the
    # other, of no known meaning; or "" for a single page
    axes: str
    lengths: tuple[int, ...]  # along these axes

    @property
    def stack(self) -> str:
        """The axes as in `Picture`: without the channels, time before depth."""
        return "".join(axis for axis in "TZI" if axis in self.axes)

    def shape(self, page: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of a picture made of pages (H, W) or (H, W, samples)."""
        shape = self.lengths + page
        return tuple(shape[k] for k in self._order(len(page)))

    def assemble(self, pages: NDArray[Any]) -> NDArray[Any]:
        """Pages (N, H, W) or (N, H, W, samples) as the pixels of a picture."""
        page = pages.shape[1:]
        return np.transpose(pages.reshape(self.lengths + page), self._order(len(page)))

    def take_apart(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """The inverse of `assemble`."""
        order = self._order(pixels.ndim - len(self.axes))
        arranged = np.transpose(pixels, np.argsort(order))
        return arranged.reshape(math.prod(self.lengths), *arranged.shape[len(self.axes) :])

    def _order(self, page_axes: int) -> list[int]:
        """Where each axis of a picture is in the file: its stack, then the page, then channels."""
        count = len(self.axes)
        order = [self.axes.index(axis) for axis in self.stack]
        order += range(count, count + page_axes)
        return [*order, self.axes.index("C")] if "C" in self.axes else order


SINGLE = Arrangement("", ())


@dataclass(frozen=True)
class Series:
    """The one series of pages that tifffile finds in a file."""

    kind: str  # the program whose words it goes by: "imagej", "ome", "shaped", "generic" and others
    axes: str  # axes, shape: The axes of the series and their lengths, those of a page last
    shape: tuple[int, ...]
    indices: tuple[int | None, ...]  # the pages of the file, in the order of the series
    # whether all pixels lie one after the other, even those of pages that are not listed
    contiguous: bool


def page_count(series: Series | None, page_axes: str, listed: int) -> int:
    """How many pages there are: those listed, or more behind a single one."""
    if series is None or listed > 1 or not (series.contiguous and series.axes.endswith(page_axes)):
        return listed
    return math.prod(series.shape[: len(series.axes) - len(page_axes)])


def arrangement_of(series: Series | None, page_axes: str, text: str, count: int) -> Arrangement:
    """The arrangement of ``count`` pages; "I" where the file tells none or contradicts itself."""
    if count == 1:
        return SINGLE
    unknown = Arrangement("I", (count,))
    if series is None or not series.axes.endswith(page_axes):
        return unknown
    known = len(series.axes) - len(page_axes)
    axes, lengths = series.axes[:known], series.shape[:known]
    named = {axis: n for axis, n in zip(axes, lengths, strict=True) if n > 1}
    in_order = len(series.indices) == 1 or series.indices == tuple(range(count))
    if not in_order or math.prod(lengths) != count or len(set(axes)) < len(axes):
        return unknown
    if not set(named) <= set("TZC") or ("C" in named and "S" in page_axes):
        return unknown
    if series.kind == "imagej" and not _imagej_means(text, named):
        return unknown
    return Arrangement("".join(named), tuple(named.values()))


def _imagej_means(text: str, named: dict[str, int]) -> bool:
    """ImageJ counts the images of any stack as slices, and tifffile those of no axis as channels.

    Slices are depth in a hyperstack, or where their distance is given.
    """
    if list(named) == ["Z"] and not ("hyperstack=true" in text or "spacing=" in text):
        return False
    return named.get("C", 0) <= MOST_IMAGEJ_CHANNELS


def arrangement_for(stack: str, shape: tuple[int, ...], axes: str | None) -> Arrangement:
    """For pixels of this shape with this stack; in the order of ``axes`` where those fit it."""
    lengths = dict(zip(stack, shape, strict=False))
    if axes is not None and "C" in axes and len(shape) == len(stack) + 3:
        lengths["C"] = shape[-1]
    order = axes if axes is not None and set(axes) == set(lengths) else stack
    return Arrangement(order, tuple(lengths[axis] for axis in order))


def text_for(text: bytes | None, arrangement: Arrangement, page: tuple[int, ...]) -> bytes | None:
    """The description that tells the arrangement: the one it had, or one for tifffile."""
    if text is not None or arrangement.axes in ("", "I"):
        return text
    axes = arrangement.axes + "YXS"[: len(page)]
    return json.dumps({"shape": [*arrangement.lengths, *page], "axes": axes}).encode()


def listed_in_full(text: bytes) -> bytes:
    """tifffile's description, for a file that lists every page."""
    told = json.loads(text)
    told.pop("truncated", None)
    return json.dumps(told).encode()


def pages_told(text: bytes, page: tuple[int, ...]) -> int:
    """How many pages of this shape a description speaks of; 1 where it does not say."""
    if text.startswith(IMAGEJ):
        images = re.search(rb"\nimages=(\d{1,9})\s", text)
        return int(images[1]) if images else 1
    if text.startswith(SHAPED):
        try:
            return int(math.prod(json.loads(text)["shape"])) // math.prod(page)
        except (LookupError, TypeError, ValueError):
            return 1
    return 1
