"""Whether a file may be written at a place, and writing it: whole, or not at all."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nlmeans.base.texts import shown
from nlmeans.images.errors import StrPath, Unsupported
from nlmeans.images.formats import suffix_of

EXISTS = "exists already: choose another name, or pass overwrite=True"


def check_place(
    path: StrPath, known: Collection[str], overwrite: bool, source: StrPath | None
) -> str:
    """The suffix, one of those known; raise Unsupported where no such file may be written."""
    suffix = suffix_of(path, known)
    if not suffix:
        found = Path(path).suffix.lower()
        raise Unsupported(f"unknown extension {found!r}: use one of {', '.join(known)}")
    target = Path(os.path.realpath(path))
    if source is not None and target.exists() and target.samefile(source):
        raise Unsupported("is the input itself: choose another name")
    if os.path.lexists(path) and not overwrite:
        raise Unsupported(EXISTS)
    if target.exists() and not target.is_file():
        raise Unsupported("is a folder, pipe or device: choose another name")
    if not target.parent.is_dir():
        found = "is a file, not a folder" if target.parent.exists() else "does not exist"
        raise Unsupported(
            f"the folder {shown(target.parent)} {found}: create it first, or choose another"
        )
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise Unsupported(f"the folder {shown(target.parent)} is not writable: choose another")
    return suffix


@contextmanager
def in_place(target: Path, overwrite: bool) -> Iterator[Path]:
    """A new file beside ``target`` to write to, which takes that name when all went well.

    Without ``overwrite`` a file of that name, even one that appears only meanwhile, stays as it is
    (FileExistsError). With it, the new file takes over the permissions of the old. Whatever goes
    wrong, an interrupt too, the target is as it was and nothing else is left. An OSError of the
    new file names the target.
    """
    # a short name of its own: one made from the target's could be too long
    temporary = target.with_name(f".nlmeans-{secrets.token_hex(6)}.tmp")
    try:
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    except OSError as error:
        error.filename = str(target)
        raise
    try:
        yield temporary
        _sync(temporary, os.O_RDWR)
        if overwrite:
            with suppress(FileNotFoundError):
                temporary.chmod(stat.S_IMODE(target.stat().st_mode))
            temporary.replace(target)
        else:
            _claim(temporary, target)
    except BaseException as error:
        with suppress(FileNotFoundError):
            temporary.unlink()
        # An error of write() names no file; those without a number have a message of their own.
        if (
            isinstance(error, OSError)
            and error.errno is not None
            and (error.filename is None or str(error.filename) == str(temporary))
        ):
            error.filename = str(target)
        raise
    with suppress(OSError):  # where folders cannot be synced, the file itself already is
        _sync(target.parent, os.O_RDONLY)


def put_in_place(target: Path, data: bytes, overwrite: bool) -> None:
    """Write ``data`` as ``target``, as `in_place` does."""
    with in_place(target, overwrite) as temporary:
        temporary.write_bytes(data)


def _claim(temporary: Path, target: Path) -> None:
    """Take a name that is free; should a file appear there meanwhile, that file stays."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        try:
            temporary.replace(target)
        except BaseException:
            target.unlink()
            raise
    else:
        temporary.unlink()


def _sync(path: Path, flags: int) -> None:
    """Make what was written, or the names in a folder, last."""
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
