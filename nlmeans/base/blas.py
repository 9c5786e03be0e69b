"""NumPy's and SciPy's linear algebra on no more threads than asked for."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

_held = threading.Lock()


@contextmanager
def blas_at_most(threads: int | None) -> Iterator[None]:
    """Within the block BLAS runs on at most so many threads; None for as many as it would.

    The limit is the process's own: other threads that multiply meanwhile have it too. Of several
    that ask at once the first has its way and the others set nothing, for what one saved while
    another's limit held would stay behind as the usual number.
    """
    if threads is None or not _held.acquire(blocking=False):
        yield
        return
    try:
        libraries = _libraries(len(sys.modules))
        usual = max((each.num_threads for each in libraries.lib_controllers), default=threads)
        with libraries.limit(limits=min(threads, usual)):
            yield
    finally:
        _held.release()


@lru_cache(maxsize=1)
def _libraries(modules: int) -> Any:
    """Those of BLAS. Looking for them takes 1 ms, and new ones come with new modules."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")
