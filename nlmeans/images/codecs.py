"""Encoded bytes to pixels and back: PNG, JPEG, WebP, BMP and PNM (TIFF: ``tiff.py``).

Nothing here opens a file. A picture that is refused raises :class:`Unsupported` with the reason
and the mend; a damaged one raises whatever its library raises, and ``images.py`` says it in a line.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlmeans.images.formats import (
    PNG_SIGNATURE,
    Metadata,
    Picture,
    Unsupported,
    native,
    palette_note,
    several,
)

EXIF_PREFIX = b"Exif\0\0"
XMP_KEYWORD = b"XML:com.adobe.xmp\0"
EXTENSION = {"PNG": ".png", "JPEG": ".jpg", "WebP": ".webp", "BMP": ".bmp"}  # as imageio wants it

# Chunks that only PNG has, written back as they were: how colours are meant, and texts.
PNG_KEPT = {b"gAMA", b"cHRM", b"sRGB", b"cICP", b"tEXt", b"zTXt", b"iTXt"}
PNG_PIXELS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
PNG_FRAMES = {b"IDAT", b"IEND", b"fcTL", b"fdAT"}
PNG_NO_PIXELS = b"\0\0\0\0IDAT\x35\xaf\x06\x1e"
PNG_READ = PNG_PIXELS | {b"pHYs", b"iCCP", b"eXIf"}  # the latter by Pillow
PNG_STALE = {b"tIME"}  # when the pixels were last changed: no loss
# Segments of a JPEG that are its coding, or that Pillow reads for us.
JPEG_READ = (b"JFIF", b"JFXX", EXIF_PREFIX, b"http://ns.adobe.com/xap/", b"ICC_PROFILE\0", b"Adobe")

# Pillow's modes that are read as they are: sample type and channels.
MODES: dict[str, tuple[str, tuple[int, ...]]] = {
    "1": ("bool", ()),
    "L": ("uint8", ()),
    "LA": ("uint8", (2,)),
    "RGB": ("uint8", (3,)),
    "RGBA": ("uint8", (4,)),
}
PALETTES = ("P", "PA")
PNG_DEPTHS = {1: "bool", 8: "uint8", 16: "uint16"}
PNG_CHANNELS: dict[int, tuple[int, ...]] = {0: (), 2: (3,), 4: (2,), 6: (4,)}


# --------------------------------------------------------------------------- reading


def read_png(data: bytes) -> Picture:
    """PNG of 1, 2, 4, 8 or 16 bits, grey, palette or colour, alpha or colour key."""
    chunks = list(_png_chunks(data))
    names = [name for name, _ in chunks]
    first = names.index(b"IDAT") if b"IDAT" in names else len(names)
    front = b"".join(
        raw for i, (name, raw) in enumerate(chunks) if i < first or name not in PNG_FRAMES
    )
    pixels_only = PNG_SIGNATURE + b"".join(raw for name, raw in chunks if name in PNG_PIXELS)
    # Texts and EXIF may stand behind the pixels; before them, Pillow finds all without decoding.
    image, mode = _pillow_header(PNG_SIGNATURE + front + PNG_NO_PIXELS, "PNG")
    # Pillow cuts 16-bit colour to 8 bits, and does not scale the colour key of 2- and 4-bit grey.
    # The decoders get the pixels only: imageio stumbles over damaged EXIF, and libpng prints its
    # warnings about the other chunks to the terminal.
    if data[24] == 16 or b"tRNS" in names:
        from imagecodecs import png_decode

        pixels = native(png_decode(pixels_only))
    else:
        pixels = _imageio_pixels(pixels_only, mode)
    kept = tuple(
        (name, raw[8:-4])
        for name, raw in chunks
        if name in PNG_KEPT and not raw[8:].startswith(XMP_KEYWORD)
    )
    lost = sorted(name.decode("latin-1") for name in set(names) - PNG_READ - PNG_KEPT - PNG_STALE)
    notes = (f"PNG chunks not kept: {', '.join(lost)}",) if lost else ()
    notes = (*_of_palette(image, mode), *notes)
    return _picture(pixels, "PNG", replace(_metadata(image.info), png=kept), notes)


def read_jpeg(data: bytes) -> Picture:
    """JPEG of one (grey) or three (colour) components."""
    image, mode = _pillow_header(data, "JPEG")
    lost = sorted({name for name, body in image.applist if not body.startswith(JPEG_READ)})
    notes: tuple[str, ...] = (f"JPEG segments not kept: {', '.join(lost)}",) if lost else ()
    frames = getattr(image, "n_frames", 1)
    if frames > 1:  # MPO: phones put a gain map or a second view behind the photograph
        notes += (f"{frames - 1} further pictures inside the JPEG not kept",)
    if image.info.get("jfif_unit") not in (1, 2) and image.info.get("dpi") == (72, 72):
        del image.info["dpi"]  # Pillow's guess for EXIF that does not say
    return _picture(_imageio_pixels(data, mode), "JPEG", _metadata(image.info), notes)


def read_webp(data: bytes) -> Picture:
    """A still WebP, lossy or lossless."""
    image, mode = _pillow_header(data, "WEBP")
    return _picture(_imageio_pixels(data, mode), "WebP", _metadata(image.info))


def read_bmp(data: bytes) -> Picture:
    """BMP of any depth."""
    image, mode = _pillow_header(data, "BMP")
    notes = _of_palette(image, mode)
    return _picture(_imageio_pixels(data, mode), "BMP", _metadata(image.info), notes)


def read_pnm(data: bytes) -> Picture:
    """PBM, PGM, PPM, and PAM up to four channels, of 1, 8 or 16 bits."""
    from netpbmfile import NetpbmFile

    if data[:2] in (b"PF", b"Pf"):
        msg = "PFM is not read: save it as a float TIFF first"
        raise Unsupported(msg)
    with NetpbmFile(io.BytesIO(data)) as file:
        if file.frames > 1:
            raise Unsupported(several(file.frames, "pictures in a row"))
        if file.maxval not in (1, 255, 65535):
            msg = (
                f"largest value {file.maxval} (maxval); 1, 255 and 65535 are read: "
                "rescale it first, with `pamdepth 255` or `pamdepth 65535`"
            )
            raise Unsupported(msg)
        if file.depth > 4 or (file.maxval == 1 and file.depth > 1):
            msg = f"PAM with {file.depth} channels of maxval {file.maxval}: save it as TIFF first"
            raise Unsupported(msg)
        pixels = native(file.asarray())
        if file.maxval == 1:
            pixels = pixels.astype(bool)
        if file.magicnumber in ("P1", "P4"):
            pixels = ~pixels  # in a PBM, and only there, 1 is black
        alpha = file.tupltype.endswith("_ALPHA")
    return Picture(pixels, alpha, "PNM")


def _pillow_header(data: bytes, name: str) -> tuple[Any, str]:
    """Open without decoding; the image and the mode to read it in, or a refusal."""
    from PIL import Image

    image = Image.open(io.BytesIO(data), formats=[name])
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and name != "JPEG":
        raise Unsupported(several(frames, "frames"))
    mode = image.mode
    if mode in PALETTES:
        mode = "RGBA" if image.has_transparency_data else "RGB"
    if mode not in MODES and not (name == "PNG" and data[24] == 16):
        what = "CMYK inks" if mode == "CMYK" else f"pixels of mode {mode}"
        msg = f"{what}; grey, RGB and RGBA are read: convert it to RGB first"
        raise Unsupported(msg)
    return image, mode


def _of_palette(image: Any, mode: str) -> tuple[str, ...]:
    return (palette_note(mode),) if image.mode in PALETTES else ()


def _imageio_pixels(data: bytes, mode: str) -> NDArray[Any]:
    import imageio.v3 as iio

    pixels = iio.imread(data, plugin="pillow", index=0, mode=mode)
    # Pillow's 1-bit pixels come as bool whose true bytes are 255: sums over them go wrong
    return pixels.view(np.uint8) != 0 if pixels.dtype == bool else native(pixels)


def _metadata(info: dict[Any, Any]) -> Metadata:
    exif = (info.get("exif") or b"").removeprefix(EXIF_PREFIX)
    dpi = tuple(float(v) for v in info.get("dpi", ()))
    sound = len(dpi) == 2 and all(0 < v < float("inf") for v in dpi)
    xmp = info.get("xmp")
    return Metadata(
        exif=exif or None,
        icc=info.get("icc_profile") or None,
        dpi=(dpi[0], dpi[1]) if sound else None,
        xmp=(xmp.encode() if isinstance(xmp, str) else xmp) or None,
    )


def _picture(
    pixels: NDArray[Any], name: str, metadata: Metadata, notes: tuple[str, ...] = ()
) -> Picture:
    alpha = pixels.ndim == 3 and pixels.shape[2] in (2, 4)
    return Picture(pixels, alpha, name, metadata, notes)


# --------------------------------------------------------------------------- writing


def write_png(picture: Picture) -> bytes:
    """Lossless, 1, 8 or 16 bits."""
    if picture.pixels.dtype == np.uint16:
        from imagecodecs import png_encode

        data = bytes(png_encode(picture.pixels))
    else:
        data = _imageio_bytes(picture, {})
    end_of_header = len(PNG_SIGNATURE) + 25
    return data[:end_of_header] + _png_metadata(picture.metadata) + data[end_of_header:]


def write_jpeg(picture: Picture, quality: int) -> bytes:
    """Colours at full resolution (4:4:4)."""
    options = {"quality": quality, "subsampling": 0, **_pillow_options(picture.metadata)}
    if "exif" in options:
        options["exif"] = EXIF_PREFIX + options["exif"]
    return _imageio_bytes(picture, options)


def write_webp(picture: Picture, quality: int | None) -> bytes:
    """Lossless, colours under transparent pixels too, unless a quality is given."""
    options: dict[str, Any] = {"lossless": True} if quality is None else {"quality": quality}
    return _imageio_bytes(picture, options | {"exact": True} | _pillow_options(picture.metadata))


def write_bmp(picture: Picture) -> bytes:
    """1, 8 or 24 bits."""
    # Pillow would claim 96 dpi when nothing is known.
    return _imageio_bytes(picture, {"dpi": picture.metadata.dpi or (0, 0)})


def write_pnm(picture: Picture, suffix: str) -> bytes:
    """PBM, PGM or PPM as the pixels ask; PAM for ``.pam``. Always binary."""
    from netpbmfile import imwrite

    pixels, buffer = picture.pixels, io.BytesIO()
    maxval = {"bool": 1, "uint8": 255, "uint16": 65535}[pixels.dtype.name]
    if suffix == ".pam":
        imwrite(buffer, pixels, magicnumber="P7", maxval=maxval)
    elif maxval == 1:
        imwrite(buffer, ~pixels, magicnumber="P4", maxval=1)
    else:
        imwrite(buffer, pixels, magicnumber="P5" if pixels.ndim == 2 else "P6", maxval=maxval)
    return buffer.getvalue()


def header(data: bytes, name: str) -> tuple[str, tuple[int, ...]]:
    """Sample type and shape that a file just encoded claims to hold."""
    if name == "PNG":
        width, height, depth, colour = struct.unpack(">IIBB", data[16:26])
        return PNG_DEPTHS[depth], (height, width, *PNG_CHANNELS[colour])
    if name == "PNM":
        from netpbmfile import NetpbmFile

        with NetpbmFile(io.BytesIO(data)) as file:
            dtype = {1: "bool", 255: "uint8", 65535: "uint16"}[file.maxval]
            return dtype, file.shape
    from PIL import Image

    with Image.open(io.BytesIO(data), formats=[name]) as image:
        dtype, channels = MODES[image.mode]
        return dtype, (image.height, image.width, *channels)


def _imageio_bytes(picture: Picture, options: dict[str, Any]) -> bytes:
    import imageio.v3 as iio

    extension = EXTENSION[picture.format]
    encoded = iio.imwrite(
        "<bytes>", picture.pixels, plugin="pillow", extension=extension, **options
    )
    return bytes(encoded or b"")


def _pillow_options(metadata: Metadata) -> dict[str, Any]:
    """Pillow's keywords for what is there."""
    options = {
        "exif": metadata.exif,
        "icc_profile": metadata.icc,
        "dpi": metadata.dpi,
        "xmp": metadata.xmp,
    }
    return {key: value for key, value in options.items() if value is not None}


def _png_metadata(metadata: Metadata) -> bytes:
    """The ancillary chunks, encoded by Pillow around a single pixel and cut out."""
    from PIL import Image, PngImagePlugin

    info = PngImagePlugin.PngInfo()
    for name, body in metadata.png:
        info.add(name, body)
    if metadata.xmp is not None:
        info.add(b"iTXt", XMP_KEYWORD + b"\0\0\0\0" + metadata.xmp)
    options = _pillow_options(replace(metadata, xmp=None))
    buffer = io.BytesIO()
    Image.new("L", (1, 1)).save(buffer, "PNG", pnginfo=info, **options)
    return b"".join(
        chunk
        for name, chunk in _png_chunks(buffer.getvalue())
        if name not in (b"IHDR", b"IDAT", b"IEND")
    )


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name of each chunk, and all its bytes: length, name, body, checksum."""
    start = len(PNG_SIGNATURE)
    while start + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, start)
        end = start + 12 + length
        yield data[start + 4 : start + 8], data[start:end]
        start = end
