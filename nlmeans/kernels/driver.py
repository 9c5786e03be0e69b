"""Runs parallel kernels: one at a time, off the caller's thread, with progress and cancel.

One at a time because Numba's workqueue layer aborts the process when two threads enter it at once,
and because concurrent callers would oversubscribe the cores. Off the caller's thread because
compiled code never sees Ctrl-C: the caller waits in Python and tells the kernel to stop.

One thread for all calls: a new one for each means a new team of OpenMP threads, 34 ms instead of
25 for 512x512 on two cores. A daemon, for executors refuse work while the interpreter shuts down.
"""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

POLL_SECONDS = 0.05

_one_at_a_time = threading.Lock()
_jobs: "SimpleQueue[Callable[[], None]] | None" = None
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
        Called on the caller's thread with the fraction of tiles done; it must not run a kernel.

    Raises
    ------
    BaseException
        Whatever the kernel, the progress callable or an interrupt raised, after the kernel has
        stopped.
    """
    cancel = np.zeros(1, dtype=np.uint8)
    available = numba.get_num_threads()
    workers = min(threads or available, available, len(done))
    failures: list[BaseException] = []

    finished = threading.Event()

    def job() -> None:
        try:
            if _forked_from_openmp:
                serial(1, *arguments, done, cancel)
            else:
                numba.set_num_threads(workers)
                parallel(workers, *arguments, done, cancel)
        except BaseException as error:  # handed to the caller's thread
            failures.append(error)
        finally:
            finished.set()

    with _one_at_a_time:
        _start(job)
        try:
            while not finished.wait(POLL_SECONDS):
                if progress is not None:
                    progress(float(done.mean()))
        except BaseException:
            cancel[0] = 1
            while not finished.is_set():  # it still writes to the arrays, and holds the cores
                with suppress(KeyboardInterrupt):
                    finished.wait()
            raise
    if failures:
        raise failures[0]
    if progress is not None:
        progress(1.0)


def _start(job: Callable[[], None]) -> None:
    """Give the job to the kernel thread, which is made on first use."""
    global _jobs
    if _jobs is None:
        jobs: SimpleQueue[Callable[[], None]] = SimpleQueue()
        thread = threading.Thread(target=_work, args=(jobs,), name="nlmeans-kernel", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the interpreter is shutting down and starts no threads
            job()
            return
        _jobs = jobs
    _jobs.put(job)


def _work(jobs: "SimpleQueue[Callable[[], None]]") -> None:
    while True:
        jobs.get()()


def _after_fork_in_child() -> None:
    """Here the kernel's thread is gone, its lock may be taken, and OpenMP would kill the child."""
    global _one_at_a_time, _jobs, _forked_from_openmp
    _one_at_a_time = threading.Lock()
    _jobs = None
    try:
        layer = numba.threading_layer()  # type: ignore[attr-defined]
    except ValueError:  # no parallel kernel has run yet
        layer = None
    _forked_from_openmp = layer == "omp"


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
