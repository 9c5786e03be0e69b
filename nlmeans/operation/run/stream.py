"""The stream kernel, given exponents of 2, values in [-1, 1] and tasks."""

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from nlmeans.base.scaling import exponent_of, most_exponent
from nlmeans.kernels.blocks import lay_out, task_size, thread_bytes
from nlmeans.kernels.codes import (
    BY_SUM,
    CENTRE_AS_COMPUTED,
    CENTRES,
    NORMALISERS,
    THE_SUM,
    WEIGHT_EXP,
    WEIGHTS,
)
from nlmeans.operation.embed import Embedding
from nlmeans.operation.pairwise import Pairwise
from nlmeans.operation.run.arrays import divided, locked, table
from nlmeans.operation.run.call import LARGEST_EXPONENT, Array, Call, largest_exponent, unit_of
from nlmeans.operation.run.kernel import Kernel, Problem, Work, lacks_traits
from nlmeans.operation.run.parts import Parts, parts_of
from nlmeans.operation.support import Everywhere, Regions, Support, pool_of


def lacks(f: Pairwise, g: Embedding, over: Support) -> str | None:
    if f.weight == "identity" or (f.weight, f.score) == ("relu", "distance"):
        return f"score {f.score!r} with weight {f.weight!r}"
    return lacks_traits(f, over, Everywhere | Regions)


def work(of: Problem) -> Work:
    score = (3 if of.f.score == "distance" else 2) * of.d
    memory = of.embedded + thread_bytes(of.positions, of.d, of.values, of.held)
    size = task_size(of.positions, of.dtype.itemsize)
    tiles = sum(math.ceil(n / size) for n in of.over.sizes(of.grid))
    operations = of.pairs * (score + 2 * of.values + 17)
    return Work(operations, memory, (size,), tiles, of.dtype.itemsize)


def run(call: Call) -> Array:
    of = parts_of(call)
    scores = _scores(call, of)
    if call.planes.dtype == np.float32 and not scores.exact:
        del of, scores
        return run(call.wider()).astype(np.float32)
    values, normaliser = of.values, NORMALISERS[call.f.normaliser]
    if call.f.normaliser == "query sum":
        scores, values = _over_queries(scores, values, of.starts, call.within(0, 0.5))
        call = call.within(0.5, 1)
    # An average is taken of differences from a middle: a constant then stays as it is.
    average = scores.weight == WEIGHT_EXP and normaliser == BY_SUM
    low, high = values.min(axis=0), values.max(axis=0)
    offset = low / 2 + high / 2 if average else np.zeros_like(low)
    largest, limit = np.maximum(high - offset, offset - low).max(), most_exponent(low.dtype)
    power = 2.0 ** -exponent_of(float(largest), -limit, limit)
    shared = np.may_share_memory(values, call.planes)
    centred = np.subtract(values, offset, out=None if shared else values)
    centred *= power
    y = _run(scores, np.ascontiguousarray(centred), of.starts, normaliser, call)
    y /= power
    y += offset[:, None]
    return of.to_planes(y.T)


@dataclass
class _ScoreTerms:
    """What s of a pair is made of, in the units of the weight: of 2^s for exp."""

    queries: Array
    keys: Array
    row: Array  # one a query
    bias: Array  # one a key
    scale: float
    noise: float
    cut: float  # the smallest weight that counts
    distance: bool
    weight: int
    centre: int
    exact: bool  # as far as the arrays' dtype goes


def _scores(call: Call, of: Parts) -> _ScoreTerms:
    f, dtype = call.f, of.queries.dtype
    limit = 2.0**60 if dtype == np.float32 else 2.0**500
    unit = unit_of(f)
    pooled = pool_of(call.over) is not None  # no key is a query's own then
    queries, keys = (np.ascontiguousarray(a) for a in (of.queries, of.keys))
    row = np.zeros(len(queries), dtype=dtype)
    bias = (unit * of.bias).astype(dtype)
    scale, noise, largest = f.scale * unit, 0.0, largest_exponent(f, queries, keys, of.bias)
    if f.score == "distance":
        low = np.minimum(queries.min(axis=0), keys.min(axis=0)).astype(np.float64)
        high = np.maximum(queries.max(axis=0), keys.max(axis=0))
        furthest = float(((high - low) ** 2).sum())
        in_range = furthest == 0 or 1 / limit < furthest < limit
        # Cut off far beyond where all distances but those of equals give weight 0.
        scale = min(scale, limit / furthest) if furthest else 0.0
        noise = scale * min(f.noise, 2 * furthest)
    elif f.score == "sum":
        row = (scale * queries[:, 0]).astype(dtype)
        bias += (scale * keys[:, 0]).astype(dtype)
        queries, keys = queries[:, :0], keys[:, :0]
        in_range = abs(scale) < limit
    else:
        in_range = abs(scale) < limit
    return _ScoreTerms(
        queries,
        keys,
        row,
        bias,
        scale,
        noise,
        f.cut,
        distance=f.score == "distance",
        weight=WEIGHTS[f.weight],
        centre=CENTRE_AS_COMPUTED if pooled else CENTRES[f.centre],
        exact=in_range and largest <= (LARGEST_EXPONENT if f.weight == "exp" else limit),
    )


def _over_queries(
    scores: _ScoreTerms, values: Array, starts: Array, call: Call
) -> tuple[_ScoreTerms, Array]:
    """Scores and values that need no further division: each key's are divided by its own sum."""
    swapped = replace(
        scores, queries=scores.keys, keys=scores.queries, row=scores.bias, bias=scores.row
    )
    totals = _run(swapped, values[:, :0], starts[:, ::-1], THE_SUM, call)[0]
    if scores.weight == WEIGHT_EXP:  # the kernel adds no `row` to a distance
        return replace(scores, bias=-totals if scores.distance else scores.bias - totals), values
    return scores, divided(values, totals[:, None])


def _run(scores: _ScoreTerms, values: Array, starts: Array, normaliser: int, call: Call) -> Array:
    """The kernel: results (channels, N), or with THE_SUM the sums (1, N)."""
    from nlmeans.kernels import driver, stream

    dtype = scores.queries.dtype
    (count, d), channels = scores.queries.shape, values.shape[1]
    at_once = task_size(count, dtype.itemsize)
    tasks = [
        (first, min(first + at_once, end), first_key, end_key)
        for (start, first_key), (end, end_key) in pairwise(starts)
        for first in range(start, end, at_once)
    ]
    traits = (d, channels, scores.distance, scores.weight, normaliser, scores.centre)
    lowest = -(2.0**100) if dtype == np.float32 else -(2.0**1000)
    cut = math.log2(scores.cut) if scores.cut else lowest
    scales = stream.ScoreScales(scores.scale, scores.noise, lowest, cut)
    out = np.empty((max(channels, 1), count), dtype=dtype)
    arrays = (scores.queries, scores.keys, values, scores.row, scores.bias)
    driver.run(
        stream.stream_kernel,
        (
            *(locked(array.reshape(-1)) for array in arrays),
            np.array(scales, dtype=dtype),
            np.array(tasks, dtype=np.intp),
            table(traits, lay_out(d, channels, dtype.itemsize)),
            out,
        ),
        np.zeros(len(tasks), dtype=np.uint8),
        call.threads,
        call.progress,
    )
    return out


STREAM = Kernel(
    "stream",
    8e10,
    "every query against all keys, in blocks: sums follow the largest score so far",
    lacks,
    work,
    run,
)
