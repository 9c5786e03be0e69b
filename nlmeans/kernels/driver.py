"""Runs parallel kernels: one at a time, off the caller's thread, with progress and cancel.

One at a time because Numba's workqueue layer aborts the process when two threads enter it at once,
and because concurrent callers would oversubscribe the cores. Off the caller's thread because
neither compiled code nor the compiler sees Ctrl-C: the caller waits in Python and, interrupted,
leaves. What it leaves behind keeps its arrays alive, sees `cancel` and stops.

One thread for all calls: a new one for each means a new team of OpenMP threads, 34 ms instead of
25 for 512x512 on two cores. A daemon, for executors refuse work while the interpreter shuts down.
"""

import atexit
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

import numba
import numpy as np
from numba.core import event
from numba.core.compiler_lock import global_compiler_lock
from numba.core.dispatcher import Dispatcher
from numpy.typing import NDArray

from nlmeans.base.machine import usable_threads
from nlmeans.kernels.compiling import compile_for
from nlmeans.kernels.parallel import address_of, call_one, call_workers

THREAD_NAME = "nlmeans-kernel"
POLL_SECONDS = 0.05
STOP_SECONDS = 0.1  # a kernel looks at cancel more often; the compiler does not


@dataclass
class _Job:
    call: Callable[[NDArray[np.uint8]], None]  # of cancel
    cancel: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(1, dtype=np.uint8))
    finished: threading.Event = field(default_factory=threading.Event)
    failure: BaseException | None = None

    def run(self) -> None:
        try:
            if self.cancel[0] == 0:
                self.call(self.cancel)
        except BaseException as error:  # handed to the caller's thread
            self.failure = error
        finally:
            self.finished.set()


_starting = threading.Lock()
_jobs: "SimpleQueue[_Job] | None" = None
_running: _Job | None = None
_forked_from_openmp = False


def run(
    kernel: Callable[..., None],
    arguments: tuple[Any, ...],
    done: NDArray[np.uint8],
    threads: int | None,
    progress: Callable[[float], None] | None,
) -> None:
    """Call kernel(taken, *arguments, done, cancel) by all workers and wait for them.

    They run in parallel, but for a child forked from a process that has used OpenMP.

    Parameters
    ----------
    kernel : jitted function
        It works off the tiles that claim(taken) gives it, and writes nothing once cancel[0] is 1.
    done : array (tiles,)
        Set to 1 by the kernel, tile by tile.
    threads : int or None
        At most this many workers; None for as many as the process may use.
    progress : callable or None
        Called on the caller's thread with the fraction of tiles done; it must not run a kernel.

    Raises RuntimeError if Numba's compiler is switched off. Raises MemoryError if a kernel ended
    without having done its tiles. Raises BaseException whatever the kernel, the progress callable
    or an interrupt raised. After an interrupt the kernel has been told to stop; one that is still
    compiling goes on to do that, and the next call waits for it.
    """
    if not isinstance(kernel, Dispatcher):
        raise RuntimeError(
            "NUMBA_DISABLE_JIT is set, and kernels only run compiled; unset it, or use"
            " nlmeans.operation.reference"
        )
    available = numba.get_num_threads()
    workers = min(threads or usable_threads(), available, len(done))

    def call(cancel: NDArray[np.uint8]) -> None:
        numba.set_num_threads(workers)
        given = (np.zeros(1, dtype=np.int64), *arguments, done, cancel)
        address = address_of(kernel, compile_for(kernel, given))
        caller = call_one if _forked_from_openmp else call_workers
        compile_for(caller, (address, workers, given))
        with suppress(SystemError):  # what comes of a worker's failure, if it is heard of at all
            caller(address, workers, given)
        if not done.all() and cancel[0] == 0:
            raise MemoryError(
                "a thread found no memory for its buffers; use fewer threads or a smaller window"
            )

    job = _Job(call)
    try:
        _start(job)
        while not job.finished.wait(POLL_SECONDS):
            if progress is not None:
                progress(float(done.mean()))
    except BaseException:
        job.cancel[0] = 1
        job.finished.wait(STOP_SECONDS)
        raise
    if job.failure is not None:
        raise job.failure
    if job.cancel[0] != 0:
        raise RuntimeError("the filter was stopped, as the interpreter is shutting down")
    if progress is not None:
        progress(1.0)


def busy() -> bool:
    """Whether a kernel runs or compiles, maybe one that its caller has left."""
    return _running is not None


def _start(job: _Job) -> None:
    """Give the job to the kernel thread, which is made on first use."""
    global _jobs
    with _starting:
        if _jobs is None:
            jobs: SimpleQueue[_Job] = SimpleQueue()
            thread = threading.Thread(target=_work, args=(jobs,), name=THREAD_NAME, daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the interpreter is shutting down and starts no threads
                job.run()
                return
            _jobs = jobs
    _jobs.put(job)


def _work(jobs: "SimpleQueue[_Job]") -> None:
    global _running
    while True:
        _running = jobs.get()
        _running.run()
        _running = None


class _StopCompiling(event.Listener):
    """Ends the kernel thread's compilation at its next pass, of which some take seconds."""

    def on_start(self, event: Any) -> None:
        if threading.current_thread().name == THREAD_NAME:
            raise SystemExit

    def on_end(self, event: Any) -> None:
        pass


@atexit.register
def _stop_at_exit() -> None:
    """Wait for the kernel thread: of 14 exits while it compiled, 2 ended in a crash."""
    job = _running
    if job is None:
        return
    job.cancel[0] = 1
    with event.install_listener("numba:run_pass", _StopCompiling()):
        while not job.finished.is_set():
            with suppress(KeyboardInterrupt):
                job.finished.wait()


def _before_fork() -> None:
    """A child forked while another thread compiles would wait for Numba's lock for ever."""
    global_compiler_lock.acquire()


def _after_fork_in_parent() -> None:
    global_compiler_lock.release()


def _after_fork_in_child() -> None:
    """Here the kernel's thread is gone, its lock may be taken, and OpenMP would kill the child."""
    global _starting, _jobs, _running, _forked_from_openmp
    global_compiler_lock.release()
    _starting = threading.Lock()
    _jobs = _running = None
    try:
        layer = numba.threading_layer()  # type: ignore[attr-defined]
    except ValueError:  # no parallel kernel has run yet
        layer = None
    _forked_from_openmp = layer == "omp"


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
