"""Errors of reading and writing: one line each, which starts with the path."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from nlmeans.base.texts import shown

StrPath = str | os.PathLike[str]


class Unsupported(ValueError):
    """A sound file that is refused; the message says what was found and what to do."""


class ImageReadError(OSError):
    """An input that cannot be read; the message is one line that starts with its path."""


class ImageWriteError(OSError):
    """An output that cannot be written; the message is one line that starts with its path."""


@contextmanager
def reported(path: StrPath, failures: tuple[type[Exception], ...] = (Exception,)) -> Iterator[None]:
    """Say failures to write in one line that starts with the path; what says so already passes."""
    try:
        yield
    except (MemoryError, ImageReadError, ImageWriteError):
        raise
    except Unsupported as error:
        raise ImageWriteError(f"{shown(path)}: {error}") from error
    except failures as error:
        raise ImageWriteError(
            f"{shown(path)}: cannot be written ({cause_of(error)}); nothing was changed"
        ) from error


def cause_of(error: BaseException) -> str:
    """The text of an error of a library or of the system, short and on one line."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:150]}" if text else type(error).__name__


def several(count: int, things: str) -> str:
    """Why a file of more than one picture is refused."""
    return f"{count} {things}; only single pictures are read: split it first"


def palette_note(mode: str) -> str:
    """A note for pixels that were places in a palette."""
    return f"palette not kept: its colours become {mode}"
