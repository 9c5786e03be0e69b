"""Put a file in place whole, or not at all."""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path


def put_in_place(target: Path, data: bytes, overwrite: bool) -> None:
    """Write ``data`` beside ``target``, then give it that name.

    Without ``overwrite`` a file of that name, even one that appears only meanwhile, stays as it is
    (FileExistsError). With it, the new file takes over the permissions of the old. Whatever goes
    wrong, an interrupt too, the target is as it was and nothing else is left.
    """
    # a short name of its own: one made from the target's could be too long
    temporary = target.with_name(f".nlmeans-{secrets.token_hex(6)}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    descriptor = os.open(temporary, flags, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if overwrite:
            with suppress(FileNotFoundError):
                temporary.chmod(stat.S_IMODE(target.stat().st_mode))
            temporary.replace(target)
        else:
            _claim(temporary, target)
    except BaseException:
        with suppress(FileNotFoundError):
            temporary.unlink()
        raise
    _sync_folder(target.parent)


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


def _sync_folder(folder: Path) -> None:
    """Make the new name last; where folders cannot be synced, the file itself already is."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
