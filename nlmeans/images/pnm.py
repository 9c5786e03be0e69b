"""PBM, PGM, PPM, and PAM up to four channels, of 1, 8 or 16 bits."""

import io

from netpbmfile import NetpbmFile, imwrite

from nlmeans.images.errors import Unsupported, several
from nlmeans.images.picture import Picture, native

LARGEST = {"bool": 1, "uint8": 255, "uint16": 65535}


def read(data: bytes) -> Picture:
    """The picture; in a PBM, and only there, 1 is black."""
    if data[:2] in (b"PF", b"Pf"):
        raise Unsupported("PFM is not read: save it as a float TIFF first")
    with NetpbmFile(io.BytesIO(data)) as file:
        if file.frames > 1:
            raise Unsupported(several(file.frames, "pictures in a row"))
        if file.maxval not in LARGEST.values():
            raise Unsupported(
                f"largest value {file.maxval} (maxval); 1, 255 and 65535 are read: "
                "rescale it first, with `pamdepth 255` or `pamdepth 65535`"
            )
        if file.depth > 4 or (file.maxval == 1 and file.depth > 1):
            raise Unsupported(
                f"PAM with {file.depth} channels of maxval {file.maxval}: save it as TIFF first"
            )
        pixels = native(file.asarray())
        if file.maxval == 1:
            pixels = pixels.astype(bool)
        if file.magicnumber in ("P1", "P4"):
            pixels = ~pixels
        alpha = file.tupltype.endswith("_ALPHA")
    return Picture(pixels, alpha, "PNM")


def write(picture: Picture, suffix: str, _quality: int | None) -> tuple[bytes, tuple[str, ...]]:
    """PBM, PGM or PPM as the pixels ask; PAM for ``.pam``. Always binary."""
    pixels, buffer = picture.pixels, io.BytesIO()
    maxval = LARGEST[pixels.dtype.name]
    if suffix == ".pam":
        imwrite(buffer, pixels, magicnumber="P7", maxval=maxval)
    elif maxval == 1:
        imwrite(buffer, ~pixels, magicnumber="P4", maxval=1)
    else:
        imwrite(buffer, pixels, magicnumber="P5" if pixels.ndim == 2 else "P6", maxval=maxval)
    return buffer.getvalue(), ()


def header(data: bytes, _picture: Picture) -> tuple[str, tuple[int, ...]]:
    """Sample type and shape that a file just encoded claims to hold."""
    with NetpbmFile(io.BytesIO(data)) as file:
        (dtype,) = (name for name, largest in LARGEST.items() if largest == file.maxval)
        return dtype, file.shape
