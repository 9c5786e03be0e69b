"""Shared by PNG, JPEG, WebP and BMP: Pillow opens files, and imageio codes the pixels."""

from __future__ import annotations

import io
from typing import Any

import imageio.v3 as iio
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nlmeans.images.errors import Unsupported, palette_note, several
from nlmeans.images.picture import Metadata, Picture, native

EXIF_PREFIX = b"Exif\0\0"
# Pillow's modes that are read as they are: sample type and channels.
MODES: dict[str, tuple[str, tuple[int, ...]]] = {
    "1": ("bool", ()),
    "L": ("uint8", ()),
    "LA": ("uint8", (2,)),
    "RGB": ("uint8", (3,)),
    "RGBA": ("uint8", (4,)),
}
PALETTES = ("P", "PA")


def opened(data: bytes, name: str, *, deep: bool = False) -> tuple[Any, str]:
    """Open without decoding; the image and the mode to read it in, or a refusal.

    A ``deep`` image is decoded by another library, which takes any mode.
    """
    image = Image.open(io.BytesIO(data), formats=[name])
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and name != "JPEG":
        raise Unsupported(several(frames, "frames"))
    mode = image.mode
    if mode in PALETTES:
        mode = "RGBA" if image.has_transparency_data else "RGB"
    if mode not in MODES and not deep:
        colours = "CMYK inks" if mode == "CMYK" else f"pixels of mode {mode}"
        raise Unsupported(f"{colours}; grey, RGB and RGBA are read: convert it to RGB first")
    return image, mode


def palette_notes(image: Any, mode: str) -> tuple[str, ...]:
    """A line where the pixels are places in a palette."""
    return (palette_note(mode),) if image.mode in PALETTES else ()


def decoded(data: bytes, mode: str) -> NDArray[Any]:
    """The pixels of the only, or first, picture."""
    pixels = iio.imread(data, plugin="pillow", index=0, mode=mode)
    # Pillow's 1-bit pixels come as bool whose true bytes are 255: sums over them go wrong
    return pixels.view(np.uint8) != 0 if pixels.dtype == bool else native(pixels)


def encoded(picture: Picture, options: dict[str, Any]) -> bytes:
    """The picture in its format, with options of Pillow's."""
    extension = f".{picture.format.lower()}"
    return bytes(
        iio.imwrite("<bytes>", picture.pixels, plugin="pillow", extension=extension, **options)
        or b""
    )


def header(data: bytes, picture: Picture) -> tuple[str, tuple[int, ...]]:
    """Sample type and shape that a file just encoded claims to hold."""
    with Image.open(io.BytesIO(data), formats=[picture.format]) as image:
        dtype, channels = MODES[image.mode]
        return dtype, (image.height, image.width, *channels)


def metadata_options(metadata: Metadata) -> dict[str, Any]:
    """Pillow's keywords for what is there."""
    options = {
        "exif": metadata.exif,
        "icc_profile": metadata.icc,
        "dpi": metadata.dpi,
        "xmp": metadata.xmp,
    }
    return {key: value for key, value in options.items() if value is not None}


def picture_of(
    pixels: NDArray[Any],
    name: str,
    info: dict[Any, Any],
    notes: tuple[str, ...] = (),
    chunks: tuple[tuple[bytes, bytes], ...] = (),
) -> Picture:
    """A picture with what Pillow found besides the pixels, and chunks of a PNG.

    Its alpha, if there is any, is the second or fourth channel.
    """
    exif = (info.get("exif") or b"").removeprefix(EXIF_PREFIX)
    dpi = tuple(float(v) for v in info.get("dpi", ()))
    sound = len(dpi) == 2 and all(0 < v < float("inf") for v in dpi)
    xmp = info.get("xmp")
    metadata = Metadata(
        exif=exif or None,
        icc=info.get("icc_profile") or None,
        dpi=(dpi[0], dpi[1]) if sound else None,
        xmp=(xmp.encode() if isinstance(xmp, str) else xmp) or None,
        png=chunks,
    )
    alpha = pixels.ndim == 3 and pixels.shape[2] in (2, 4)
    return Picture(pixels, alpha, name, metadata, notes)
