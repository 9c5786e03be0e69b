"""NumPy's and SciPy's linear algebra on no more threads than asked for."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def blas_at_most(threads: int | None) -> Iterator[None]:
    """Within the block BLAS runs on at most so many threads; None for as many as it would.

    The limit is the process's own: other threads that multiply meanwhile have it too.
    """
    if threads is None:
        yield
        return
    from threadpoolctl import ThreadpoolController

    found = ThreadpoolController().select(user_api="blas")
    usual = max((library.num_threads for library in found.lib_controllers), default=threads)
    with found.limit(limits=min(threads, usual)):
        yield
