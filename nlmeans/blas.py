"""NumPy's and SciPy's linear algebra on no more threads than asked for."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

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
        from threadpoolctl import ThreadpoolController

        found = ThreadpoolController().select(user_api="blas")
        usual = max((library.num_threads for library in found.lib_controllers), default=threads)
        with found.limit(limits=min(threads, usual)):
            yield
    finally:
        _held.release()
