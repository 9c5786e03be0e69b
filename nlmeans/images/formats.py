"""What each format is named, known by and able to hold, and the picture that passes between them.

Facts and plain values only: nothing here reads, writes or decodes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import product
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WebP",
    ".bmp": "BMP",
    ".pbm": "PNM",
    ".pgm": "PNM",
    ".ppm": "PNM",
    ".pnm": "PNM",
    ".pam": "PNM",
}
VIDEOS = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
    ".avi": "avi",
    ".mpg": "mpeg",
    ".mpeg": "mpeg",
}
SAMPLES = {
    "PNG": ("bool", "uint8", "uint16"),
    "JPEG": ("uint8",),
    "TIFF": ("bool", "uint8", "uint16", "int16", "float16", "float32", "float64"),
    "WebP": ("uint8",),
    "BMP": ("bool", "uint8"),
    "PNM": ("bool", "uint8", "uint16"),
}
WITH_ALPHA = ("PNG", "TIFF", "WebP")
CARRIED = {
    "PNG": ("exif", "icc", "dpi", "xmp", "png"),
    "JPEG": ("exif", "icc", "dpi", "xmp"),
    "TIFF": ("exif", "icc", "dpi", "xmp", "tiff"),
    "WebP": ("exif", "icc", "xmp"),
    "BMP": ("dpi",),
    "PNM": (),
}
LONGEST_SIDE = {"JPEG": 65500, "WebP": 16383}
JPEG_SEGMENT = 65500  # bytes of EXIF or XMP that one segment holds
STACKS = ("", "I", "Z", "T", "TZ")
PNM_KINDS = {".pbm": "1-bit", ".pgm": "grey", ".ppm": "RGB"}

SIGNATURES = {
    PNG_SIGNATURE: "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"BM": "BMP",
}
REFUSED = {
    b"GIF8": (
        "GIF; its 256 colours were chosen for that picture, and choosing them anew would undo "
        "the denoising: convert it to PNG first"
    ),
    b"\0\0\0\x0cjP  ": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"8BPS": "Photoshop (PSD)",
    b"v/1\x01": "OpenEXR",
    b"#?RADIANCE": "Radiance HDR",
    b"SIMPLE  =": "FITS",
    b"qoif": "QOI",
    b"\0\0\1\0": "icon (ICO)",
    b"%PDF": "PDF",
    b"%!PS": "PostScript",
    b"\xc5\xd0\xd3\xc6": "PostScript (EPS)",
    b"PK\x03\x04": "ZIP archive",
    b"\x1f\x8b": "gzip archive",
    b"\x93NUMPY": "NumPy array",
    b"\x89HDF": "HDF5",
    b"<svg": "SVG drawing",
    b"<?xml": "XML text",
    b"<!DOCTYPE": "HTML page",
    b"<html": "HTML page",
}
BRANDS = {b"avif": "AVIF", b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIF", b"crx ": "CR3 raw"}


class Unsupported(ValueError):
    """A sound file that is refused; the message says what was found and what to do."""


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
        What else ImageJ says, as tifffile writes it: code, type, count, value, once.
    exif : tuple of bytes or None
        That of the pages after the first, as in `Metadata`.
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
    """What a file says besides its pixels. All plain values, carried to the output.

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
        """The same picture with other pixels."""
        return replace(self, pixels=pixels)


def format_of(data: bytes) -> str:
    """Name of the format that the content begins like: a key of ``SAMPLES``, or another."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    if data[:1] == b"P" and data[1:2] in b"1234567Ff" and data[2:3].isspace():
        return "PNM"
    if data[4:8] == b"ftyp":
        return BRANDS.get(data[8:12], "a video or HEIF file")
    if data[128:132] == b"DICM":
        return "DICOM"
    for signature, name in (SIGNATURES | REFUSED).items():
        if data.startswith(signature):
            return name
    return "of an unknown kind"


def check_content(suffix: str, picture: Picture, quality: int | None) -> None:
    """Refuse what the format of a (lower-case, known) extension cannot hold."""
    name, pixels = FORMATS[suffix], picture.pixels
    _check_axes(picture)
    if picture.pages > 1 and name != "TIFF":
        msg = f"{picture.pages} pages; {name} holds a single picture: write TIFF"
        raise Unsupported(msg)
    _check_samples(name, pixels.dtype.name)
    _check_channels(name, suffix, picture)
    limit = LONGEST_SIDE.get(name)
    height, width = pixels.shape[len(picture.stack) :][:2]
    if limit is not None and max(height, width) > limit:
        size = f"{width} x {height} pixels"
        msg = f"{size}; {name} holds {limit} a side: write PNG or TIFF"
        raise Unsupported(msg)
    if quality is None:
        return
    if name not in ("JPEG", "WebP"):
        msg = f"quality {quality} has no meaning for {name}: leave it out, or write JPEG or WebP"
        raise Unsupported(msg)
    if not 1 <= quality <= 100:
        msg = f"quality {quality} is out of range: use 1 to 100"
        raise Unsupported(msg)


def _check_axes(picture: Picture) -> None:
    pixels, stack = picture.pixels, picture.stack
    if stack not in STACKS:
        msg = f"stack is {stack!r}: use one of {', '.join(map(repr, STACKS))}"
        raise Unsupported(msg)
    if pixels.ndim - len(stack) not in (2, 3) or pixels.size == 0:
        before = f" after the axes {stack}" if stack else ""
        needed = f"(H, W) or (H, W, C){before} with pixels in it is needed"
        msg = f"pixels of shape {pixels.shape}: {needed}"
        raise Unsupported(msg)


def _check_samples(name: str, dtype: str) -> None:
    if dtype in SAMPLES[name]:
        return
    fitting = [other for other, samples in SAMPLES.items() if dtype in samples]
    mend = f"write {' or '.join(fitting)}" if fitting else f"use {', '.join(SAMPLES['TIFF'])}"
    msg = f"{dtype} pixels; {name} holds {', '.join(SAMPLES[name])}: {mend}"
    raise Unsupported(msg)


def _check_channels(name: str, suffix: str, picture: Picture) -> None:
    pixels, axis = picture.pixels, picture.channel_axis
    channels = 1 if axis is None else pixels.shape[axis]
    colours = channels - picture.alpha
    if picture.alpha and name not in WITH_ALPHA and suffix != ".pam":
        msg = f"{name} holds no alpha: write {', '.join(WITH_ALPHA)}, or remove the alpha first"
        raise Unsupported(msg)
    if picture.premultiplied and name != "TIFF":
        msg = f"colours are multiplied by alpha, which {name} does not hold: write TIFF"
        raise Unsupported(msg)
    if pixels.dtype == bool and channels > 1:
        msg = f"1-bit pixels with {channels} channels; 1-bit is grey only: make them uint8 first"
        raise Unsupported(msg)
    if name != "TIFF" and colours not in (1, 3):
        msg = f"{colours} colour channels; {name} holds 1 (grey) or 3 (RGB): write TIFF"
        raise Unsupported(msg)
    if name == "WebP" and colours == 1:
        msg = "grey pixels; WebP holds RGB only: write PNG or TIFF"
        raise Unsupported(msg)
    kind = "1-bit" if pixels.dtype == bool else "grey" if channels == 1 else "RGB"
    if PNM_KINDS.get(suffix, kind) != kind:
        msg = f"{kind} pixels; {suffix} holds {PNM_KINDS[suffix]}: use .pnm"
        raise Unsupported(msg)


def fitted(name: str, picture: Picture) -> tuple[Picture, tuple[str, ...]]:
    """The picture as the format can hold it, and a line for what falls away."""
    metadata, notes = picture.metadata, []
    described = {
        "exif": "EXIF",
        "icc": "ICC profile",
        "xmp": "XMP",
        "dpi": f"resolution of {metadata.dpi[0]:g} x {metadata.dpi[1]:g} dpi"
        if metadata.dpi
        else "",
        "png": f"PNG chunks {', '.join(sorted({c.decode() for c, _ in metadata.png}))}",
    }
    dropped = {
        key: () if key == "png" else None
        for key in described
        if getattr(metadata, key) and key not in CARRIED[name]
    }
    notes += [f"{described[key]} not kept: {name} does not hold it" for key in dropped]
    for key in ("exif", "xmp") if name == "JPEG" else ():
        size = len(getattr(metadata, key) or b"")
        if size > JPEG_SEGMENT:
            dropped[key] = None
            notes.append(f"{described[key]} of {size} bytes not kept: JPEG holds {JPEG_SEGMENT}")
    pixels = native(picture.pixels)
    if picture.channel_axis is not None and pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    for axis in [k for k, n in enumerate(pixels.shape[: len(picture.stack)]) if n == 1][::-1]:
        stack = picture.stack[:axis] + picture.stack[axis + 1 :]
        pixels, picture = pixels.squeeze(axis), replace(picture, stack=stack)
    if name == "WebP" and picture.alpha and pixels[:, :, -1].min() == 255:
        pixels, picture = native(pixels[:, :, :3]), replace(picture, alpha=False)
        notes.append("alpha not kept: all of it is opaque, and WebP then stores none")
    metadata = replace(metadata, **dropped)  # type: ignore[arg-type]
    return replace(picture, pixels=pixels, format=name, metadata=metadata), tuple(notes)


def native(pixels: NDArray[Any]) -> NDArray[Any]:
    """Contiguous and in the byte order of this machine."""
    return np.ascontiguousarray(pixels, dtype=pixels.dtype.newbyteorder("="))


def palette_note(mode: str) -> str:
    """Of pixels that were places in a palette."""
    return f"palette not kept: its colours become {mode}"


def several(count: int, what: str) -> str:
    """Why a file of more than one picture is refused."""
    return f"{count} {what}; only single pictures are read: split it first"
