"""NumPy's and SciPy's linear algebra on no more threads than asked for."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any


@contextmanager
def blas_at_most(threads: int | None) -> Iterator[None]:
    """Within the block BLAS runs on at most so many threads; None for as many as it would.

    The limit is the process's own: other threads that multiply meanwhile have it too.
    """
    if threads is None:
        yield
        return
    libraries = _libraries(len(sys.modules))
    usual = max((each.num_threads for each in libraries.lib_controllers), default=threads)
    with libraries.limit(limits=min(threads, usual)):
        yield


@lru_cache(maxsize=1)
def _libraries(modules: int) -> Any:
    """Those of BLAS. Looking for them takes 1 ms, and new ones come with new modules."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")
