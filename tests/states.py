"""States of a child process that do not pass, each told by a line once it is reached.

A test starts the program after one of these, reads the line, and need not guess.
"""

import itertools
import threading
import time

REACHED = "reached\n"


def reached() -> None:
    print(REACHED, end="", flush=True)  # noqa: T201


def compiling() -> None:
    """The compiler is at work on a kernel, and never ends."""
    from numba.core import event

    from nlmeans.kernels.driver import THREAD_NAME

    class Never(event.Listener):
        def on_start(self, event):
            if threading.current_thread().name == THREAD_NAME:
                reached()
                threading.Event().wait()

        def on_end(self, event):
            pass

    event.register("numba:run_pass", Never())


def filtering() -> None:
    """A kernel runs, and goes on until it is cancelled."""
    from stand_in import endless_kernel

    from nlmeans.kernels import driver

    run, once = driver.run, itertools.count()

    def endless(kernel, arguments, done, threads, progress):
        def told(fraction):
            if fraction > 0 and next(once) == 0:
                reached()

        run(endless_kernel, (), done, threads, told)

    driver.run = endless


def passing() -> None:
    """Every look at the clock is a second and a half later: of no line that waits is waited for."""
    clock = itertools.count(time.time(), 1.5)
    time.time = lambda: next(clock)
