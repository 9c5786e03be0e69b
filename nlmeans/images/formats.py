"""The formats of files: how each is named and recognised, and what it holds.

A format that is read and written has a record in `PICTURES` and a module of its lower-case name
beside this one, with ``read(data)``, ``write(picture, suffix, quality)`` and
``header(data, picture)``. The module, and the library it needs, is imported when it is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import ModuleType

from nlmeans.images.errors import StrPath
from nlmeans.images.picture import SAMPLES, Picture

Notes = tuple[str, ...]
Header = tuple[str, tuple[int, ...]]  # sample type and shape


@dataclass(frozen=True)
class Format:
    """A format of files; of one that is only recognised, a name and what to do."""

    name: str
    suffixes: tuple[str, ...] = ()  # what names of its files end in; the first one is usual
    signature: bytes = b""  # regular expression that its content begins with
    samples: tuple[str, ...] = ()  # types of samples that it holds
    carries: tuple[str, ...] = ()  # fields of Metadata that it holds
    colours: tuple[int, ...] = (1, 3)  # channels besides alpha that it holds; (): any number
    alpha: tuple[str, ...] = ()  # suffixes under which it holds an alpha channel
    drops_opaque_alpha: bool = False  # it stores no alpha channel that is opaque everywhere
    kinds: Mapping[str, str] = field(default_factory=dict)  # what a suffix is for: grey, ...
    pages: bool = False  # it holds more than one picture
    lossy: bool = False  # it takes a quality
    longest_side: int | None = None  # in pixels
    largest_text: int | None = None  # bytes of EXIF, and of XMP
    advice: str = ""  # what to do with a file that is not read here

    def read(self, data: bytes) -> Picture:
        """The picture in a file; raises Unsupported, or whatever the library does."""
        picture: Picture = self._module.read(data)
        return picture

    def write(self, picture: Picture, suffix: str, quality: int | None) -> tuple[bytes, Notes]:
        """The content of a file, and a line for each thing that it does not hold."""
        written: tuple[bytes, Notes] = self._module.write(picture, suffix, quality)
        return written

    def header(self, data: bytes, picture: Picture) -> Header:
        """Sample type and shape that a file just encoded of a picture claims to hold."""
        header: Header = self._module.header(data, picture)
        return header

    @property
    def _module(self) -> ModuleType:
        return import_module(f"nlmeans.images.{self.name.lower()}")


PICTURES = (
    Format(
        "PNG",
        (".png",),
        rb"\x89PNG\r\n\x1a\n",
        samples=("bool", "uint8", "uint16"),
        carries=("exif", "icc", "dpi", "xmp", "png"),
        alpha=(".png",),
    ),
    Format(
        "JPEG",
        (".jpg", ".jpeg"),
        rb"\xff\xd8\xff",
        samples=("uint8",),
        carries=("exif", "icc", "dpi", "xmp"),
        lossy=True,
        longest_side=65500,
        largest_text=65500,  # what one segment holds
    ),
    Format(
        "TIFF",
        (".tif", ".tiff"),
        rb"II[*+]\0|MM\0[*+]",  # + for BigTIFF
        samples=SAMPLES,
        carries=("exif", "icc", "dpi", "xmp", "tiff"),
        colours=(),
        alpha=(".tif", ".tiff"),
        pages=True,
    ),
    Format(
        "WebP",
        (".webp",),
        rb"RIFF.{4}WEBP",
        samples=("uint8",),
        carries=("exif", "icc", "xmp"),
        colours=(3,),
        alpha=(".webp",),
        lossy=True,
        drops_opaque_alpha=True,
        longest_side=16383,
    ),
    Format("BMP", (".bmp",), rb"BM", samples=("bool", "uint8"), carries=("dpi",)),
    Format(
        "PNM",
        (".pbm", ".pgm", ".ppm", ".pnm", ".pam"),
        rb"P[1-7Ff]\s",
        samples=("bool", "uint8", "uint16"),
        alpha=(".pam",),
        kinds={".pbm": "1-bit", ".pgm": "grey", ".ppm": "RGB"},
    ),
)
FORMATS = {suffix: each.name for each in PICTURES for suffix in each.suffixes}

# What FFmpeg calls the containers of video; `nlmeans.images.video` reads them.
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

CONVERT = f"{', '.join(each.name for each in PICTURES)} are read: convert it to PNG or TIFF first"
ONE_FRAME = "only `nlmeans denoise` reads video: save a frame of it as PNG first"
# Known by their content, and not read here. The names are what a file "is".
FOREIGN = (
    Format(
        "GIF",
        signature=rb"GIF8",
        advice="its 256 colours were chosen for that picture, and choosing them anew would undo "
        "the denoising: convert it to PNG first",
    ),
    *(
        Format(name, signature=signature, advice=CONVERT)
        for signature, name in {
            rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51": "JPEG 2000",
            rb"\0\0\0\x0cJXL |\xff\x0a": "JPEG XL",
            rb".{4}ftypavi[fs]": "AVIF",
            rb".{4}ftyphe(ic|ix|im|is|vc|vx|vm|vs)": "HEIC",
            rb".{4}ftypm(if|sf)1": "HEIF",
            rb".{4}ftypcrx ": "CR3 raw",
            rb"8BPS": "Photoshop (PSD)",
            rb"v/1\x01": "OpenEXR",
            rb"#\?RADIANCE": "Radiance HDR",
            rb"SIMPLE  =": "FITS",
            rb".{128}DICM": "DICOM",
            rb"qoif": "QOI",
            rb"\0\0\x01\0": "icon (ICO)",
            rb"%PDF": "PDF",
            rb"%!PS": "PostScript",
            rb"\xc5\xd0\xd3\xc6": "PostScript (EPS)",
            rb"PK\x03\x04": "ZIP archive",
            rb"\x1f\x8b": "gzip archive",
            rb"\x93NUMPY": "NumPy array",
            rb"\x89HDF": "HDF5",
            rb"<svg": "SVG drawing",
            rb"<\?xml": "XML text",
            rb"<!DOCTYPE|<html": "HTML page",
        }.items()
    ),
    *(
        Format(f"a video ({name})", signature=signature, advice=ONE_FRAME)
        for signature, name in {
            rb".{4}ftypqt  ": "QuickTime",
            rb".{4}ftyp": "MP4",  # whose pictures are above
            rb"\x1aE\xdf\xa3": "Matroska or WebM",
            rb"RIFF.{4}AVI ": "AVI",
            rb"\0\0\x01[\xb3\xba]": "MPEG",
        }.items()
    ),
)
UNKNOWN = Format("of an unknown kind", advice=CONVERT)


def format_of(data: bytes) -> Format:
    """The format that the content begins like."""
    known = (*PICTURES, *FOREIGN)
    return next((f for f in known if re.match(f.signature, data, re.DOTALL)), UNKNOWN)


def format_for(path: StrPath) -> Format:
    """The format that a name of a known suffix asks for."""
    return next(each for each in PICTURES if suffix_of(path, each.suffixes))


def suffix_of(path: StrPath, suffixes: Iterable[str]) -> str:
    """The longest of the suffixes that the name ends in, or ""; ".nii.gz" would be one."""
    rest = Path(path).name.lower()[1:]  # a name that is nothing but a suffix has none
    return max(filter(rest.endswith, suffixes), key=len, default="")
