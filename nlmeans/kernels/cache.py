"""Keeps compiled kernels on disk, in a folder of the package's own.

In place of Numba's `cache=True`, which stops the program at a damaged file, and at import where no
folder can be written; whose key knows neither the options nor the functions that a kernel calls;
and whose index lets two processes that compile two signatures at once store one under the other's
name. Here every compiled signature is one file, put in place whole, with a checksum; the folder's
name holds a hash of all kernel sources. Whatever goes wrong costs compiling again, and is logged.

Only this package's kernels are touched: NUMBA_CACHE_DIR and NUMBA_CACHE_LOCATOR_CLASSES, set from
here, would redirect every Numba function in the process.
"""

import hashlib
import importlib.resources
import logging
import os
import pickle
import sys
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numba
import platformdirs
from numba.core.compiler import CompileResult
from numba.core.runtime.nrt import rtsys
from numba.core.serialize import dumps

DIGEST = hashlib.sha256
_log = logging.getLogger(__name__)


def keep_compiled(kernel: Any) -> None:
    """Give a jitted function this cache."""
    if not isinstance(kernel._cache, KernelCache):
        kernel._cache = KernelCache(kernel.py_func)


class KernelCache:
    """What Numba's dispatchers ask of a cache, for one function."""

    def __init__(self, function: Any) -> None:
        code = function.__code__
        self._name = function.__qualname__.replace("<locals>.", "")
        self._identity = (
            function.__module__,
            function.__qualname__,
            code.co_code,
            code.co_consts,
            sys.implementation.cache_tag,
        )

    @property
    def cache_path(self) -> str:
        return str(folder())

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        """The compiled function; None for one to be compiled."""
        try:
            # All that a kernel ready for use asks of Numba. refresh(), which Numba's own cache
            # calls, readies the compiler and imports scipy.linalg: 0.4 s of a run.
            rtsys.initialize(target_context)
            path = self._path(signature, target_context.codegen())
            check_owner(path.parent)
            data = path.read_bytes()
            size = DIGEST().digest_size
            if DIGEST(data[size:]).digest() != data[:size]:
                _log.info("%s is damaged: compiling again", path)
                return None
            return CompileResult._rebuild(target_context, *pickle.loads(data[size:]))
        except FileNotFoundError:
            return None
        except Exception as error:  # of Numba's, pickle's or the file system's
            _log.info("cannot load %s (%s): compiling", self._name, error)
            return None

    def save_overload(self, signature: Any, compiled: Any) -> None:
        try:
            if compiled.library.has_dynamic_globals:
                raise ValueError(f"{self._name} refers to addresses")
            path = self._path(signature, compiled.codegen)
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            check_owner(path.parent)
            data = dumps(compiled._reduce())
            _write_whole(path, DIGEST(data).digest() + data)
        except Exception as error:
            _warn_once(str(error))

    def _path(self, signature: Any, codegen: Any) -> Path:
        key = repr((self._identity, signature, codegen.magic_tuple()))
        return folder() / f"{self._name}-{DIGEST(key.encode()).hexdigest()[:32]}.kernel"

    def flush(self) -> None:
        """Numba asks for this before it compiles anew; a file is then replaced."""


def folder() -> Path:
    """NUMBA_CACHE_DIR, or the user's cache folder, and in it one for these very kernels."""
    chosen = numba.config.CACHE_DIR  # type: ignore[attr-defined]
    root = Path(chosen) if chosen else platformdirs.user_cache_path("nlmeans", appauthor=False)
    if not chosen and not root.is_absolute():  # "~" of a user without a home stays as it is
        raise OSError("there is no home folder")
    return root / _sources()


@cache
def _sources() -> str:
    """A hash of all kernel sources, and of what else makes other code of them.

    Not of the options that kernels/compiling.py sets, which no user's setting changes.
    """
    digest = DIGEST(numba.__version__.encode())
    digest.update(repr(numba.config.BOUNDSCHECK).encode())  # type: ignore[attr-defined]
    for source in sorted(importlib.resources.files(__package__).iterdir(), key=lambda f: f.name):
        if source.name.endswith(".py"):
            digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


@cache
def _warn_once(reason: str) -> None:
    _log.warning(
        "nlmeans: compiled kernels cannot be kept (%s): every run compiles them again; set "
        "NUMBA_CACHE_DIR to a folder of your own",
        reason,
    )


def check_owner(path: Path) -> None:
    """Compiled kernels are code: they are taken from, and put into, no folder that others write."""
    status = path.stat()
    if os.name == "posix" and (status.st_uid not in (0, os.geteuid()) or status.st_mode & 0o022):
        raise PermissionError(f"others can write to {path}")


def _write_whole(path: Path, data: bytes) -> None:
    """Under another name first, so that other processes see no part of it."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        Path(temporary).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(temporary).unlink()
        raise
