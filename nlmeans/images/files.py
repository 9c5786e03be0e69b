"""Read and write image files of any format that is known."""

from __future__ import annotations

import os
import stat
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from nlmeans.base.texts import EXISTS, shown
from nlmeans.images import codecs
from nlmeans.images.atomic import put_in_place
from nlmeans.images.formats import (
    FORMATS,
    SAMPLES,
    VIDEOS,
    Picture,
    Unsupported,
    check_content,
    fitted,
    format_of,
)

StrPath = str | os.PathLike[str]
JPEG_QUALITY = 95


class ImageReadError(OSError):
    """An input that cannot be read; the message is one line that starts with its path."""


class ImageWriteError(OSError):
    """An output that cannot be written; the message is one line that starts with its path."""


# --------------------------------------------------------------------------- reading


def load(path: StrPath) -> Picture:
    """Read an image file.

    The name is that of a file, whatever it looks like; the format is told by the content, and an
    extension that says otherwise is an error.

    Parameters
    ----------
    path : path-like
        A PNG, JPEG, WebP, BMP or PNM file with one picture in it, or a TIFF of any number of
        pages of one kind.

    Returns
    -------
    Picture
        ``pixels`` (H, W) or (H, W, C), sample type as in the file; palettes become RGB or RGBA.
        Those of a stack have its axes before these, and ``stack`` says what they are. ImageJ's,
        OME's and tifffile's axes T, Z and C are understood.

    Raises
    ------
    ImageReadError
        Missing, unreadable, damaged or unsupported; one line that starts with the path.

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> from nlmeans.images import Picture, load, save
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(f"{folder}/a.png", Picture(np.eye(3, dtype=np.uint16), alpha=False, format="PNG"))
    ...     load(f"{folder}/a.png").pixels.dtype
    ()
    dtype('uint16')
    """
    data = file_bytes(path)
    name = _known_format(path, data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what matters of them is an error or a note
            picture = _decode(name, data)
    except Unsupported as error:
        msg = f"{shown(path)}: {name}: {error}"
        raise ImageReadError(msg) from error
    except MemoryError:
        raise
    except Exception as error:
        msg = f"{shown(path)}: {_read_failure(name, error)}"
        raise ImageReadError(msg) from error
    if picture.pixels.size == 0:
        msg = f"{shown(path)}: holds no pixels (shape {picture.pixels.shape})"
        raise ImageReadError(msg)
    return picture


def file_bytes(path: StrPath, most: int = -1) -> bytes:
    """The content of a file, or `most` bytes of it; what is no file, or empty, is refused."""
    try:
        mode = Path(path).stat().st_mode
        if stat.S_ISDIR(mode):
            msg = f"{shown(path)}: is a folder; name the files in it"
            raise ImageReadError(msg)
        if not stat.S_ISREG(mode):
            msg = f"{shown(path)}: is a pipe or device; save its content to a file first"
            raise ImageReadError(msg)
        with Path(path).open("rb") as file:
            data = file.read(most)
    except ImageReadError:
        raise
    except FileNotFoundError as error:
        msg = f"{shown(path)}: no such file; check the name and the folder"
        raise ImageReadError(msg) from error
    except (OSError, ValueError) as error:
        msg = f"{shown(path)}: cannot be opened ({cause_of(error)}); check name and permissions"
        raise ImageReadError(msg) from error
    if not data:
        msg = f"{shown(path)}: is empty (0 bytes); fetch it again"
        raise ImageReadError(msg)
    return data


def _known_format(path: StrPath, data: bytes) -> str:
    """The format by content, which the extension, if there is one, must not contradict."""
    name = format_of(data)
    formats = ", ".join(SAMPLES)
    if name not in SAMPLES:
        mend = (
            "" if name[-5:] == "first" else f"; {formats} are read: convert it to PNG or TIFF first"
        )
        if Path(path).suffix.lower() in VIDEOS:
            mend = "; video is read by `nlmeans denoise` alone"
        msg = f"{shown(path)}: is {name}{mend}"
        raise ImageReadError(msg)
    suffix = Path(path).suffix.lower()
    if suffix and FORMATS.get(suffix) != name:
        fitting = [known for known, held in FORMATS.items() if held == name]
        msg = f"{shown(path)}: is named {suffix} but holds {name}: rename it to {fitting[0]}"
        raise ImageReadError(msg)
    return name


def _decode(name: str, data: bytes) -> Picture:
    if name == "TIFF":
        from nlmeans.images.tiff import read_tiff

        return read_tiff(data)
    readers = {
        "PNG": codecs.read_png,
        "JPEG": codecs.read_jpeg,
        "WebP": codecs.read_webp,
        "BMP": codecs.read_bmp,
        "PNM": codecs.read_pnm,
    }
    return readers[name](data)


def _read_failure(name: str, error: Exception) -> str:
    if type(error).__name__ == "DecompressionBombError":
        return f"{name} too large ({cause_of(error)}): crop it, or save it as TIFF"
    return (
        f"cannot be read as {name} ({cause_of(error)}); it is damaged or cut short: fetch it again"
    )


# --------------------------------------------------------------------------- checking


def check_output(
    path: StrPath,
    picture: Picture,
    *,
    overwrite: bool = False,
    quality: int | None = None,
    source: StrPath | None = None,
) -> None:
    """Find out, before any work, whatever would keep ``picture`` from being saved at ``path``.

    Parameters
    ----------
    path : path-like
        The output; its extension chooses the format.
    picture : Picture
        One with the sample type, shape and alpha of the result; the input will do.
    overwrite : bool
        Whether a file that is there may be replaced.
    quality : int, 1 to 100, optional
        For JPEG and WebP.
    source : path-like, optional
        The input. An output that is the same file, by whatever name, is refused.

    Raises
    ------
    ImageWriteError
        One line: the path, what is wrong, what is allowed, what to do.
    """
    with reported(path):
        check_place(path, FORMATS, overwrite, source)
        check_content(Path(path).suffix.lower(), picture, quality)


def check_place(
    path: StrPath, known: Iterable[str], overwrite: bool, source: StrPath | None
) -> None:
    suffix = Path(path).suffix.lower()
    if suffix not in known:
        msg = f"unknown extension {suffix!r}: use one of {', '.join(known)}"
        raise Unsupported(msg)
    target = Path(os.path.realpath(path))
    if source is not None and target.exists() and target.samefile(source):
        msg = "is the input itself: choose another name"
        raise Unsupported(msg)
    if os.path.lexists(path) and not overwrite:
        raise Unsupported(EXISTS)
    if target.exists() and not target.is_file():
        msg = "is a folder, pipe or device: choose another name"
        raise Unsupported(msg)
    if not target.parent.is_dir():
        found = "is a file, not a folder" if target.parent.exists() else "does not exist"
        msg = f"the folder {shown(target.parent)} {found}: create it first, or choose another"
        raise Unsupported(msg)
    if not os.access(target.parent, os.W_OK | os.X_OK):
        msg = f"the folder {shown(target.parent)} is not writable: choose another"
        raise Unsupported(msg)


# --------------------------------------------------------------------------- writing


def save(
    path: StrPath, picture: Picture, *, overwrite: bool = False, quality: int | None = None
) -> tuple[str, ...]:
    """Write an image file: all of it or nothing.

    The file is encoded in memory, written beside its place under another name, and put in place
    when it is on the disk. What was there before stays untouched until that moment.

    Parameters
    ----------
    path : path-like
        The extension chooses the format. With ``overwrite``, a symbolic link stays and the file
        that it points to is replaced.
    picture : Picture
        Pixels are written in their own sample type; nothing is converted.
    overwrite : bool
        Whether a file that is there may be replaced; it keeps its permissions.
    quality : int, 1 to 100, optional
        For JPEG (default 95) and WebP (default: lossless).

    Returns
    -------
    tuple of str
        One line for each thing that the format could not hold.

    Raises
    ------
    ImageWriteError
        As :func:`check_output`, or what the disk had to say. Nothing is left behind.
    """
    check_output(path, picture, overwrite=overwrite, quality=quality)
    picture, notes = fitted(FORMATS[Path(path).suffix.lower()], picture)
    with reported(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data, more = _encode(picture, Path(path).suffix.lower(), quality)
        _check_header(data, picture)
        put_in_place(Path(os.path.realpath(path)), data, overwrite)
    return notes + more


def _encode(picture: Picture, suffix: str, quality: int | None) -> tuple[bytes, tuple[str, ...]]:
    if picture.format == "TIFF":
        from nlmeans.images.tiff_writing import write_tiff

        return write_tiff(picture)
    if picture.format == "PNG":
        return codecs.write_png(picture), ()
    if picture.format == "JPEG":
        return codecs.write_jpeg(picture, quality or JPEG_QUALITY), ()
    if picture.format == "WebP":
        return codecs.write_webp(picture, quality), ()
    if picture.format == "BMP":
        return codecs.write_bmp(picture), ()
    return codecs.write_pnm(picture, suffix), ()


def _check_header(data: bytes, picture: Picture) -> None:
    """The encoded file must claim just what was asked for."""
    if picture.format == "TIFF":
        from nlmeans.images.tiff_writing import header

        found = header(data, picture)
    else:
        found = codecs.header(data, picture.format)
    asked = picture.pixels.dtype.name, picture.pixels.shape
    if found != asked:
        msg = f"the {picture.format} encoder made {found} of {asked}: please report this"
        raise Unsupported(msg)


# --------------------------------------------------------------------------- messages


@contextmanager
def reported(path: StrPath) -> Iterator[None]:
    """Say every failure to write in one line that starts with the path."""
    try:
        yield
    except MemoryError:
        raise
    except Unsupported as error:
        msg = f"{shown(path)}: {error}"
        raise ImageWriteError(msg) from error
    except Exception as error:
        msg = f"{shown(path)}: cannot be written ({cause_of(error)}); nothing was changed"
        raise ImageWriteError(msg) from error


def cause_of(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:150]}" if text else type(error).__name__
