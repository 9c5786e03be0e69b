"""PNG of 1, 2, 4, 8 or 16 bits, grey, palette or colour, alpha or colour key."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from PIL import Image, PngImagePlugin

from nlmeans.images import pillow
from nlmeans.images.picture import Metadata, Picture, native

SIGNATURE = b"\x89PNG\r\n\x1a\n"
XMP_KEYWORD = b"XML:com.adobe.xmp\0"

# Chunks that only PNG has, written back as they were: how colours are meant, and texts.
KEPT = {b"gAMA", b"cHRM", b"sRGB", b"cICP", b"tEXt", b"zTXt", b"iTXt"}
PIXELS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
FRAMES = {b"IDAT", b"IEND", b"fcTL", b"fdAT"}
NO_PIXELS = b"\0\0\0\0IDAT\x35\xaf\x06\x1e"
READ = PIXELS | {b"pHYs", b"iCCP", b"eXIf"}  # the latter by Pillow
STALE = {b"tIME"}  # when the pixels were last changed: no loss

DEPTHS = {1: "bool", 8: "uint8", 16: "uint16"}
CHANNELS: dict[int, tuple[int, ...]] = {0: (), 2: (3,), 4: (2,), 6: (4,)}


def read(data: bytes) -> Picture:
    """The picture, exact at any depth; colours of a palette become RGB or RGBA."""
    chunks = list(_chunks(data))
    names = [name for name, _ in chunks]
    first = names.index(b"IDAT") if b"IDAT" in names else len(names)
    front = b"".join(raw for i, (name, raw) in enumerate(chunks) if i < first or name not in FRAMES)
    pixels_only = SIGNATURE + b"".join(raw for name, raw in chunks if name in PIXELS)
    deep = data[24:25] == b"\x10"
    # Texts and EXIF may stand behind the pixels; before them, Pillow finds all without decoding.
    image, mode = pillow.opened(SIGNATURE + front + NO_PIXELS, "PNG", deep=deep)
    # Pillow cuts 16-bit colour to 8 bits, and does not scale the colour key of 2- and 4-bit grey.
    # The decoders get the pixels only: imageio stumbles over damaged EXIF, and libpng prints its
    # warnings about the other chunks to the terminal.
    if deep or b"tRNS" in names:
        from imagecodecs import png_decode

        pixels = native(png_decode(pixels_only))
    else:
        pixels = pillow.decoded(pixels_only, mode)
    kept = tuple(
        (name, raw[8:-4])
        for name, raw in chunks
        if name in KEPT and not raw[8:].startswith(XMP_KEYWORD)
    )
    lost = sorted(name.decode("latin-1") for name in set(names) - READ - KEPT - STALE)
    notes = pillow.palette_notes(image, mode)
    notes += (f"PNG chunks not kept: {', '.join(lost)}",) if lost else ()
    return pillow.picture_of(pixels, "PNG", image.info, notes, chunks=kept)


def write(picture: Picture, _suffix: str, _quality: int | None) -> tuple[bytes, tuple[str, ...]]:
    """Lossless, 1, 8 or 16 bits."""
    if picture.pixels.dtype == np.uint16:
        from imagecodecs import png_encode

        data = bytes(png_encode(picture.pixels))
    else:
        data = pillow.encoded(picture, {})
    end_of_header = len(SIGNATURE) + 25
    return data[:end_of_header] + _metadata_chunks(picture.metadata) + data[end_of_header:], ()


def header(data: bytes, _picture: Picture) -> tuple[str, tuple[int, ...]]:
    """Sample type and shape that a file just encoded claims to hold."""
    width, height, depth, colour = struct.unpack(">IIBB", data[16:26])
    return DEPTHS[depth], (height, width, *CHANNELS[colour])


def _metadata_chunks(metadata: Metadata) -> bytes:
    """The ancillary chunks, encoded by Pillow around a single pixel and cut out."""
    info = PngImagePlugin.PngInfo()
    for name, body in metadata.png:
        info.add(name, body)
    if metadata.xmp is not None:
        info.add(b"iTXt", XMP_KEYWORD + b"\0\0\0\0" + metadata.xmp)
    options = pillow.metadata_options(replace(metadata, xmp=None))
    buffer = io.BytesIO()
    Image.new("L", (1, 1)).save(buffer, "PNG", pnginfo=info, **options)
    return b"".join(
        chunk
        for name, chunk in _chunks(buffer.getvalue())
        if name not in (b"IHDR", b"IDAT", b"IEND")
    )


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name of each chunk, and all its bytes: length, name, body, checksum."""
    start = len(SIGNATURE)
    while start + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, start)
        end = start + 12 + length
        yield data[start + 4 : start + 8], data[start:end]
        start = end
