"""The picture that passes between files and arrays: plain values, nothing is read or written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import product
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

SAMPLES = ("bool", "uint8", "uint16", "int16", "float16", "float32", "float64")


@dataclass(frozen=True)
class TiffPages:
    """How a TIFF held several pages.

    Attributes
    ----------
    axes : str
        The letters T, Z and C of the axes along which they follow each other, slowest first; or I.
    text : bytes or None
        The description that says so: ImageJ's, OME's or tifffile's.
    imagej : tuple of tags
        Further tags of ImageJ, as tifffile writes them: code, type, count, value, once.
    exif : tuple of bytes or None
        The EXIF of the pages after the first, as in `Metadata`.
    """

    axes: str
    text: bytes | None = None
    imagej: tuple[tuple[int, int, int, bytes, bool], ...] = ()
    exif: tuple[bytes | None, ...] = ()


@dataclass(frozen=True)
class TiffLayout:
    """How a TIFF held its samples, so that it can be written back alike."""

    photometric: int
    compression: int
    predictor: int
    extrasamples: tuple[int, ...]
    density: tuple[tuple[int, int], tuple[int, int]] | None = None  # in a unit that is not told
    pages: TiffPages | None = None


@dataclass(frozen=True)
class Metadata:
    """The values that a file holds besides its pixels, carried to the output.

    Attributes
    ----------
    exif : bytes or None
        EXIF as a TIFF stream, without the ``Exif\\0\\0`` that JPEG puts before it.
    icc, xmp : bytes or None
        ICC profile and XMP packet, byte for byte.
    dpi : tuple of two floats, or None
        Horizontal and vertical resolution, pixels per inch.
    png : tuple of (name, data)
        Chunks that only PNG holds: colour meaning and texts.
    tiff : TiffLayout or None
        Set when the picture came from a TIFF.
    """

    exif: bytes | None = None
    icc: bytes | None = None
    dpi: tuple[float, float] | None = None
    xmp: bytes | None = None
    png: tuple[tuple[bytes, bytes], ...] = ()
    tiff: TiffLayout | None = None


@dataclass(frozen=True, eq=False)
class Picture:
    """Pixels and what belongs to them.

    Attributes
    ----------
    pixels : ndarray, (H, W) or (H, W, C), after the axes of a stack
        uint8, uint16, int16, float16, float32, float64 or bool (1-bit; True is white), in native
        byte order, rows as stored: an orientation tag is kept in the metadata, never applied.
    alpha : bool
        True when the last channel is alpha.
    format : str
        "PNG", "JPEG", "TIFF", "WebP", "BMP" or "PNM".
    metadata : Metadata
    notes : tuple of str
        One line for each thing that reading had to leave behind.
    stack : str
        What the first axes of the pixels are, a letter each: "" for a single picture, "Z" for the
        slices of a volume, "T" for the frames of a clip, "TZ" for volumes over time, "I" for pages
        of no known meaning.
    """

    pixels: NDArray[Any]
    alpha: bool
    format: str
    metadata: Metadata = field(default_factory=Metadata)
    notes: tuple[str, ...] = ()
    stack: str = ""

    @property
    def pages(self) -> int:
        """How many pictures of two axes these are."""
        return prod(self.pixels.shape[: len(self.stack)])

    @property
    def megapixels(self) -> float:
        """Height times width times pages, in millions."""
        return float(prod(self.pixels.shape[: len(self.stack) + 2]) / 1e6)

    @property
    def channel_axis(self) -> int | None:
        """The last, or None for a grey picture."""
        ndim = self.pixels.ndim
        return ndim - 1 if ndim == len(self.stack) + 3 else None

    def parts(self, along: str) -> Iterator[tuple[int | slice, ...]]:
        """Where in the pixels each part is that keeps, of the stack, only the axes ``along``."""
        axes = zip(self.stack, self.pixels.shape, strict=False)
        return product(*((slice(None),) if axis in along else range(n) for axis, n in axes))

    @property
    def colours(self) -> NDArray[Any]:
        """The pixels without their alpha channel."""
        return self.pixels[..., :-1] if self.alpha else self.pixels

    @property
    def premultiplied(self) -> bool:
        """True when the colours were stored multiplied by alpha, as some TIFFs do."""
        layout = self.metadata.tiff
        return self.alpha and layout is not None and layout.extrasamples[-1:] == (1,)

    def with_pixels(self, pixels: NDArray[Any]) -> Picture:
        """This picture with other pixels."""
        return replace(self, pixels=pixels)


def native(pixels: NDArray[Any]) -> NDArray[Any]:
    """Contiguous and in the byte order of this machine."""
    return np.ascontiguousarray(pixels, dtype=pixels.dtype.newbyteorder("="))
