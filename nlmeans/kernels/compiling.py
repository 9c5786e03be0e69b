"""Compiles kernels with few of LLVM's optimisations: their vectors are written out.

For the window kernel, 512x512: 9 s of compiling at level 1 instead of 17 s at Numba's usual 3, and
the same speed.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numba
from numba.core import config
from numba.core.compiler_lock import global_compiler_lock
from numba.core.dispatcher import Dispatcher

from nlmeans.kernels.cache import keep_compiled

# Of functions that compiled code calls, by name or by address. What Numba would wrap around each,
# for calls from Python and from C, takes 0.8 of 8 s for the window kernel.
FUNCTION: dict[str, Any] = {
    "nogil": True, "error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True,
}  # fmt: skip
OPTIONS = {"OPT": type(config.OPT)(1), "LOOP_VECTORIZE": 0, "SLP_VECTORIZE": 0}  # type: ignore[attr-defined]


def compile_for(kernel: Dispatcher, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """Compile, or load, what a call with these arguments runs; the arguments' types."""
    signature = tuple(map(numba.typeof, arguments))
    if signature not in kernel.overloads:  # what is there waits for no other compilation
        keep_compiled(kernel)
        with _light_optimisation():
            kernel.compile(signature)
    return signature


@contextmanager
def _light_optimisation() -> Iterator[None]:
    """Numba reads its options as it compiles; the lock keeps other threads from seeing these.

    The many objects that a compiler makes set off collections of garbage, of which there is little:
    a tenth of the time.
    """
    with global_compiler_lock:
        collecting = gc.isenabled()
        usual = {name: getattr(config, name) for name in OPTIONS}
        try:
            gc.disable()
            for name, value in OPTIONS.items():
                setattr(config, name, value)
            yield
        finally:
            for name, value in usual.items():
                setattr(config, name, value)
            if collecting:
                gc.enable()
