"""max(q_i + k_j, 0), sorted: the keys that count for a query are the largest ones.

    sum_j max(q_i + k_j, 0) v_j = q_i S_i + T_i,
    S_i, T_i the sums of v_j, k_j v_j over the j with k_j > -q_i

Sums over the largest keys, for every number of them, take one pass over sorted keys: N log N
operations instead of N^2. All in float64, as q_i S_i and T_i can be far larger than their sum.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from nlmeans.operation.embed import Embedding
from nlmeans.operation.pairwise import Pairwise
from nlmeans.operation.run.arrays import divided
from nlmeans.operation.run.call import Array, Call
from nlmeans.operation.run.kernel import Kernel, Problem, Work, lacks_traits
from nlmeans.operation.run.parts import parts_of
from nlmeans.operation.support import Everywhere, Regions, Support

Float64s = NDArray[np.float64]


def lacks(f: Pairwise, g: Embedding, over: Support) -> str | None:
    if (f.score, f.weight) != ("sum", "relu"):
        return f"score {f.score!r} with weight {f.weight!r}"
    return lacks_traits(f, over, Everywhere | Regions)


def work(of: Problem) -> Work:
    operations = of.positions * (2 * of.positions.bit_length() + 6 * of.values)
    memory = of.embedded + 8 * 8 * of.positions
    return Work(operations, memory, of.grid, 1, of.dtype.itemsize)


def run(call: Call) -> Array:
    f, of = call.f, parts_of(call)
    queries = f.scale * of.queries[:, 0].astype(np.float64)
    keys = f.scale * of.keys[:, 0].astype(np.float64) + of.bias
    y = np.empty((of.values.shape[1], len(queries)), dtype=call.planes.dtype)
    for (query, key), (end_query, end_key) in pairwise(of.starts):
        q, k, values = queries[query:end_query], keys[key:end_key], of.values[key:end_key].T
        ramps = Ramps(q, k)
        if f.normaliser == "query sum":
            values = divided(values, Ramps(k, q).sum_of(np.ones(len(q))))
        for channel, row in zip(values, y, strict=True):
            row[query:end_query] = ramps.sum_of(channel)
            if call.progress is not None:
                call.progress(float(end_query / len(queries)))
        part = y[:, query:end_query]
        if f.normaliser == "sum":
            part[:] = divided(part, ramps.sum_of(np.ones(len(k))))
        elif f.normaliser == "count":
            part /= len(k)
    return of.to_planes(y.T)


class Ramps:
    """max(q_i + k_j, 0) for all pairs, to be multiplied by vectors."""

    def __init__(self, queries: Float64s, keys: Float64s) -> None:
        self.order = np.argsort(-keys, kind="stable")
        # About a middle, so that a large common part of the keys does not cost digits.
        middle = (keys.min() + keys.max()) / 2
        self.keys = keys[self.order] - middle
        self.queries = queries + middle
        self.counts = np.searchsorted(-self.keys, self.queries)  # of keys above -q_i

    def sum_of(self, values: Array) -> Float64s:
        """sum_j max(q_i + k_j, 0) v_j, for every i."""
        v = values[self.order].astype(np.float64)
        sums = np.concatenate([[0.0], np.cumsum(v)])
        v *= self.keys
        total: Float64s = self.queries * sums[self.counts]
        sums[1:] = np.cumsum(v)
        total += sums[self.counts]
        return total


SORTED = Kernel(
    "sorted",
    1e9,
    "max(q + k, 0) over all keys: q times a sum over the largest keys, and a sum",
    lacks,
    work,
    run,
    parallel="no",
)
