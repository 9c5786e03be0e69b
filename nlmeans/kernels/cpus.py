"""How many threads a kernel may use."""

import numba

from nlmeans.machine import cores


def usable_threads() -> int:
    """The least of what the system, Numba in this thread, and the container allow; at least 1."""
    return min(cores(), int(numba.get_num_threads()))
