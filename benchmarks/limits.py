"""What can this machine do: multiply-adds, additions, exponentials, memory?

    python benchmarks/limits.py [--threads 2]

Data: none. Time: about 10 seconds.

One core with the filter's own vectors of float32, and all cores together. Eight independent chains
hide the latency of an operation; 16 of them in turn make loads and stores negligible.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from measure import options_of
from numba import njit

from nlmeans.kernels.exp2 import exp2
from nlmeans.kernels.lanes import FASTMATH, lanes, like, load, store
from nlmeans.kernels.tiles import VECTOR_BYTES

STEPS = 16
ATTEMPTS = 5
CHAINS = 8
fast = njit(fastmath=set(FASTMATH), nogil=True, error_model="numpy")


@fast
def multiply_add(x: Any, y: Any, repeats: int) -> None:
    for _ in range(repeats):
        for i in range(0, len(x), CHAINS * lanes(x)):
            v = load(x, i, CHAINS)
            a, b = like(v, 0.999), like(v, 0.001)
            for _ in range(STEPS):
                v = v * a + b
            store(x, i, v)


@fast
def add(x: Any, y: Any, repeats: int) -> None:
    for _ in range(repeats):
        for i in range(0, len(x), CHAINS * lanes(x)):
            v = load(x, i, CHAINS)
            b = like(v, y[0])
            for _ in range(STEPS):
                v = v + b
            store(x, i, v)


@fast
def exponential(x: Any, y: Any, repeats: int) -> None:
    for _ in range(repeats):
        for i in range(0, len(x), CHAINS * lanes(x)):
            store(y, i, exp2(load(x, i, CHAINS)))


@fast
def copy(x: Any, y: Any, repeats: int) -> None:
    for _ in range(repeats):
        for i in range(np.uint64(len(x))):
            y[i] = x[i] + np.float32(1)


IN_CACHE, IN_MEMORY = 4096, 16 * 2**20
# name, kernel, floats in x, operations (or bytes) for each, repeats, unit
PROBES = (
    ("multiply-add, as 2 operations", multiply_add, IN_CACHE, 2 * STEPS, 20_000, "Gop/s"),
    ("addition", add, IN_CACHE, STEPS, 20_000, "Gop/s"),
    ("exp2, polynomial", exponential, IN_CACHE, 1, 40_000, "G/s"),
    ("memory, read and write", copy, IN_MEMORY, 8, 4, "GB/s"),
)


def measure_limits(threads: int) -> dict[str, dict[str, Any]]:
    """The best of some attempts, on one core and on `threads` together: in 10^9 a second."""
    return {
        name: {
            "one": _best(kernel, floats, each, repeats, 1),
            "all": _best(kernel, floats, each, repeats, threads),
            "unit": unit,
        }
        for name, kernel, floats, each, repeats, unit in PROBES
    }


def _best(kernel: Callable[..., None], floats: int, each: int, repeats: int, threads: int) -> float:
    arrays = [(_aligned(floats, -1.0), _aligned(floats, 1e-3)) for _ in range(threads)]
    kernel(*arrays[0], 1)
    seconds = []
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(ATTEMPTS):
            start = time.perf_counter()
            list(pool.map(lambda xy: kernel(*xy, repeats), arrays))
            seconds.append(time.perf_counter() - start)
    return threads * floats * each * repeats / min(seconds) / 1e9


def _aligned(floats: int, value: float) -> Any:
    """So many float32 numbers that begin where vectors may."""
    space = np.full(floats + VECTOR_BYTES, value, np.float32)
    start = -space.ctypes.data % VECTOR_BYTES // space.itemsize
    return space[start : start + floats]


def main() -> None:
    parser = options_of(__doc__)
    parser.add_argument("--threads", type=int, default=2)
    threads = parser.parse_args().threads
    for name, rates in measure_limits(threads).items():
        one, together = (f"{rates[key]:.3g} {rates['unit']}" for key in ("one", "all"))
        print(f"{name}: {one} on one core, {together} on {threads}")


if __name__ == "__main__":
    main()
