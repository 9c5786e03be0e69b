"""The literal equation as a kernel, for what no other can run."""

import numpy as np

from nlmeans.operation.embed import Embedding
from nlmeans.operation.pairwise import Pairwise
from nlmeans.operation.reference import reference
from nlmeans.operation.run.call import Array, Call
from nlmeans.operation.run.kernel import Kernel, Problem, Work
from nlmeans.operation.support import Support


def lacks(f: Pairwise, g: Embedding, over: Support) -> str | None:
    return None


def work(of: Problem) -> Work:
    of_maps = 4 if of.f.maps is not None else 0
    operations = of.pairs * (3 * of.d + 2 * of.values + 4 + of_maps)
    memory = 8 * of.positions * (2 * of.d + 2 * of.values + of_maps)
    return Work(operations, memory, of.grid, 1, of.dtype.itemsize)


def run(call: Call) -> Array:
    x, seen = (np.moveaxis(planes, 0, -1) for planes in (call.planes, call.seen))
    return np.moveaxis(reference(call.f, call.g, call.over, x, seen, call.progress), -1, 0)


REFERENCE = Kernel(
    "reference",
    1e7,
    "no fast kernel has {lacking}: the literal float64 loops run",
    lacks,
    work,
    run,
    parallel="no",
)
