"""Runs parallel kernels: one at a time, off the caller's thread, with progress and cancel.

One kernel thread for the process, for three reasons: Numba's workqueue layer aborts when two
threads enter it at once; concurrent callers would oversubscribe the cores; and the calling thread
stays free to see Ctrl-C, which compiled code never does.
"""

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

POLL_SECONDS = 0.05

_executor: ThreadPoolExecutor | None = None
_forked_from_openmp = False


def run(
    parallel: Callable[..., None],
    serial: Callable[..., None],
    arguments: tuple[Any, ...],
    done: NDArray[np.uint8],
    threads: int | None,
    progress: Callable[[float], None] | None,
) -> None:
    """Call kernel(workers, *arguments, done, cancel) and wait for it.

    Parameters
    ----------
    parallel, serial : kernels of the same arguments
        The serial one runs where a parallel one cannot: in a child forked from a process that
        has used OpenMP.
    done : array (tiles,)
        Set to 1 by the kernel, tile by tile.
    threads : int or None
        At most this many workers; None for as many as Numba uses in the caller's thread.
    progress : callable or None
        Called on the caller's thread with the fraction of tiles done.

    Raises
    ------
    KeyboardInterrupt
        After the kernel has stopped.
    """
    cancel = np.zeros(1, dtype=np.uint8)
    available = numba.get_num_threads()
    workers = min(threads or available, available, len(done))

    def job() -> None:
        if _forked_from_openmp:
            serial(1, *arguments, done, cancel)
        else:
            numba.set_num_threads(workers)
            parallel(workers, *arguments, done, cancel)

    future = _submit(job)
    try:
        while not _finished(future):
            if progress is not None:
                progress(float(done.mean()))
    except BaseException:
        cancel[0] = 1
        if not future.cancel():
            future.exception()  # the kernel still writes to the arrays: wait until it has stopped
        raise
    future.result()
    if progress is not None:
        progress(1.0)


def _finished(future: "Future[None]") -> bool:
    try:
        future.exception(timeout=POLL_SECONDS)
    except TimeoutError:
        return False
    return True


def _submit(job: Callable[[], None]) -> "Future[None]":
    global _executor
    if _executor is None:
        _executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="nlmeans-kernel")
    return _executor.submit(job)


def _after_fork_in_child() -> None:
    """The kernel thread does not exist here, and a used OpenMP would kill this process."""
    global _executor, _forked_from_openmp
    _executor = None
    try:
        _forked_from_openmp = numba.threading_layer() == "omp"  # type: ignore[attr-defined]
    except ValueError:  # no parallel kernel has run yet
        _forked_from_openmp = False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
