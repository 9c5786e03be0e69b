"""Read and write image files of any format that is known."""

from __future__ import annotations

import os
import stat
import warnings
from pathlib import Path

from nlmeans.base.texts import shown
from nlmeans.images.atomic import check_place, put_in_place
from nlmeans.images.errors import ImageReadError, StrPath, Unsupported, cause_of, reported
from nlmeans.images.fitting import check_content, fitted
from nlmeans.images.formats import (
    FORMATS,
    ONE_FRAME,
    VIDEOS,
    Format,
    format_for,
    format_of,
    suffix_of,
)
from nlmeans.images.picture import Picture

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
    source = _known_format(path, data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what matters of them is an error or a note
            picture = source.read(data)
    except Unsupported as error:
        raise ImageReadError(f"{shown(path)}: {source.name}: {error}") from error
    except MemoryError:
        raise
    except Exception as error:
        raise ImageReadError(f"{shown(path)}: {_read_failure(source.name, error)}") from error
    if picture.pixels.size == 0:
        raise ImageReadError(f"{shown(path)}: holds no pixels (shape {picture.pixels.shape})")
    return picture


def file_bytes(path: StrPath, most: int = -1) -> bytes:
    """The content of a file, or `most` bytes of it; what is no file, or empty, is refused."""
    try:
        mode = Path(path).stat().st_mode
        if stat.S_ISDIR(mode):
            raise ImageReadError(f"{shown(path)}: is a folder; name the files in it")
        if not stat.S_ISREG(mode):
            raise ImageReadError(
                f"{shown(path)}: is a pipe or device; save its content to a file first"
            )
        with Path(path).open("rb") as file:
            data = file.read(most)
    except ImageReadError:
        raise
    except FileNotFoundError as error:
        raise ImageReadError(
            f"{shown(path)}: no such file; check the name and the folder"
        ) from error
    except (OSError, ValueError) as error:
        raise ImageReadError(
            f"{shown(path)}: cannot be opened ({cause_of(error)}); check name and permissions"
        ) from error
    if not data:
        raise ImageReadError(f"{shown(path)}: is empty (0 bytes); fetch it again")
    return data


def _known_format(path: StrPath, data: bytes) -> Format:
    """The format by content, which the extension, if there is one, must not contradict."""
    found = format_of(data)
    if not found.samples:
        advice = ONE_FRAME if suffix_of(path, VIDEOS) else found.advice
        raise ImageReadError(f"{shown(path)}: is {found.name}; {advice}")
    suffix = Path(path).suffix.lower()
    if suffix and not suffix_of(path, found.suffixes):
        mend = f"rename it to {found.suffixes[0]}"
        raise ImageReadError(f"{shown(path)}: is named {suffix} but holds {found.name}: {mend}")
    return found


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
        suffix = check_place(path, FORMATS, overwrite, source)
        check_content(format_for(path), suffix, picture, quality)


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
    target = format_for(path)
    picture, notes = fitted(target, picture)
    with reported(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data, more = target.write(picture, suffix_of(path, target.suffixes), quality)
        _check_header(target, data, picture)
        put_in_place(Path(os.path.realpath(path)), data, overwrite)
    return notes + more


def _check_header(target: Format, data: bytes, picture: Picture) -> None:
    """The encoded file must claim just what was asked for."""
    found = target.header(data, picture)
    asked = picture.pixels.dtype.name, picture.pixels.shape
    if found != asked:
        raise Unsupported(f"the {target.name} encoder made {found} of {asked}: please report this")
