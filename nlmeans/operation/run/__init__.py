"""The kernels. Each is a record in a module of its own, which prepares what compiled code is given
and makes planes of its result. Numba is imported where a kernel runs, not before.
"""

from nlmeans.operation.run.linear import LINEAR
from nlmeans.operation.run.neighbourhood import NEIGHBOURHOOD
from nlmeans.operation.run.neighbours import NEIGHBOURS
from nlmeans.operation.run.reference import REFERENCE
from nlmeans.operation.run.rowwise import ROWWISE
from nlmeans.operation.run.sorted import SORTED
from nlmeans.operation.run.stream import STREAM
from nlmeans.operation.run.window import WINDOW

# The first that can run an operation does; the last can run any.
KERNELS = {
    kernel.name: kernel
    for kernel in (WINDOW, ROWWISE, LINEAR, SORTED, STREAM, NEIGHBOURHOOD, NEIGHBOURS, REFERENCE)
}
