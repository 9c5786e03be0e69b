"""Kernels that compile in a second, for what surrounds the real ones. Run: its own small test."""

import time

import numpy as np
from numba import njit
from numba.extending import overload

from nlmeans.kernels import driver
from nlmeans.kernels.parallel import claim

COMPILING = 2.0  # seconds of slow_kernel


def wait():
    """Nothing, but it takes the compiler some time."""


@overload(wait)
def _wait():
    time.sleep(COMPILING)
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


def squares(kernel=kernel, dtype=np.float64, progress=None, out=None):
    """0, 1, 4, ... by the kernel."""
    out = np.full(100, -1, dtype) if out is None else out
    driver.run(kernel, (out,), np.zeros(len(out), np.uint8), None, progress)
    return out


def report(dtype=np.float64):
    """Whether the result is right, and how many compiled kernels were found."""
    right = bool(np.array_equal(squares(dtype=dtype), np.arange(100) ** 2))
    return f"{'right' if right else 'wrong'} {sum(kernel._cache_hits.values())}"
