"""Kernels that compile in a second, for what surrounds the real ones. Run: its own small test."""

import threading

import numpy as np
from numba import njit
from numba.extending import overload

from nlmeans.kernels import driver
from nlmeans.kernels.parallel import claim

# The compiler has come to `slow_kernel`, and waits there until it is told to go on.
compiling, go_on = threading.Event(), threading.Event()


def wait():
    """Nothing, but the compiler takes as long as a test wants it to."""


@overload(wait)
def _wait():
    compiling.set()
    go_on.wait()
    return lambda: None


@njit(nogil=True)
def kernel(taken, out, done, cancel):
    while True:
        i = claim(taken)
        if i >= len(done):
            return
        if cancel[0] != 0:
            break
        out[i] = i * i
        done[i] = 1


@njit(nogil=True)
def slow_kernel(taken, out, done, cancel):
    wait()
    kernel(taken, out, done, cancel)


@njit(nogil=True)
def held_kernel(taken, out, done, cancel):
    """Told to go on by any value in out[-1]; until then it says in done[0] that it runs."""
    while out[-1] == -1 and cancel[0] == 0:
        done[0] = 1
        claim(taken)  # an atomic operation: the loop looks at its arrays each time
    taken[0] = 0
    kernel(taken, out, done, cancel)


@njit(nogil=True)
def endless_kernel(taken, done, cancel):
    """Runs until it is cancelled."""
    while cancel[0] == 0:
        done[0] = 1
        claim(taken)


def squares(kernel=kernel, dtype=np.float64, progress=None, out=None, threads=None):
    """0, 1, 4, ... by the kernel."""
    out = np.full(100, -1, dtype) if out is None else out
    driver.run(kernel, (out,), np.zeros(len(out), np.uint8), threads, progress)
    return out


def report(dtype=np.float64):
    """Whether the result is right, and how many compiled kernels were found."""
    right = bool(np.array_equal(squares(dtype=dtype), np.arange(100) ** 2))
    return f"{'right' if right else 'wrong'} {sum(kernel._cache_hits.values())}"
