"""Prepare what the stream kernel is given: exponents of 2, values in [-1, 1], tasks."""

import math
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nlmeans.base.progress import Progress, between
from nlmeans.kernels import blocks, driver, stream
from nlmeans.kernels.centre import CENTRE_AS_COMPUTED, CENTRES
from nlmeans.kernels.codes import BY_SUM, NORMALISERS, THE_SUM, WEIGHT_EXP, WEIGHTS
from nlmeans.operation.run.parts import Parts, parts_of
from nlmeans.operation.run.precision import LARGEST_EXPONENT, in_float64, largest_exponent
from nlmeans.operation.support import pool_of

if TYPE_CHECKING:
    from nlmeans.operation.operation import Operation

Array = NDArray[Any]


def run_stream(
    op: "Operation",
    planes: Array,
    guide: Array | None,
    threads: int | None,
    progress: Progress | None,
) -> Array:
    """The operation on planes (C, *grid), float32 or float64."""
    of = parts_of(op.f, op.g, op.over, planes, guide)
    scores = _scores(op, of)
    if planes.dtype == np.float32 and not scores.exact:
        del of, scores
        run = partial(run_stream, threads=threads, progress=progress)
        return in_float64(run, op, planes, guide)
    values, normaliser = of.values, NORMALISERS[op.f.normaliser]
    if op.f.normaliser == "query sum":
        half = between(progress, 0, 0.5)
        scores, values = _over_queries(scores, values, of.starts, threads, half)
        progress = between(progress, 0.5, 1)
    # An average is taken of differences from a middle: a constant then stays as it is.
    average = scores.weight == WEIGHT_EXP and normaliser == BY_SUM
    low, high = values.min(axis=0), values.max(axis=0)
    offset = low / 2 + high / 2 if average else np.zeros_like(low)
    power = _power_of_two(float(np.max(np.maximum(high - offset, offset - low))), low.dtype)
    shared = np.may_share_memory(values, planes)
    centred = np.subtract(values, offset, out=None if shared else values)
    centred *= power
    y = _run(scores, np.ascontiguousarray(centred), of.starts, normaliser, threads, progress)
    y /= power
    y += offset[:, None]
    return of.to_planes(y.T)


@dataclass
class _Scores:
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


def _scores(op: "Operation", of: Parts) -> _Scores:
    f, dtype = op.f, of.queries.dtype
    limit = 2.0**60 if dtype == np.float32 else 2.0**500
    unit = math.log2(math.e) if f.weight == "exp" else 1.0
    pooled = pool_of(op.over) is not None  # no key is a query's own then
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
    return _Scores(
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
    scores: _Scores,
    values: Array,
    starts: NDArray[np.intp],
    threads: int | None,
    progress: Progress | None,
) -> tuple[_Scores, Array]:
    """Scores and values that need no further division: each key's are divided by its own sum."""
    swapped = replace(
        scores, queries=scores.keys, keys=scores.queries, row=scores.bias, bias=scores.row
    )
    totals = _run(swapped, values[:, :0], starts[:, ::-1], THE_SUM, threads, progress)[0]
    if scores.weight == WEIGHT_EXP:  # the kernel adds no `row` to a distance
        return replace(scores, bias=-totals if scores.distance else scores.bias - totals), values
    divisible = totals[:, None] > 0
    zero = np.zeros_like(values)
    return scores, np.divide(values, totals[:, None], out=zero, where=divisible)


def _run(
    scores: _Scores,
    values: Array,
    starts: NDArray[np.intp],
    normaliser: int,
    threads: int | None,
    progress: Progress | None,
) -> Array:
    """The kernel: results (channels, N), or with THE_SUM the sums (1, N)."""
    dtype = scores.queries.dtype
    (count, d), channels = scores.queries.shape, values.shape[1]
    at_once = blocks.task_size(count, dtype.itemsize)
    tasks = [
        (first, min(first + at_once, end), first_key, end_key)
        for (start, first_key), (end, end_key) in pairwise(starts)
        for first in range(start, end, at_once)
    ]
    traits = (d, channels, scores.distance, scores.weight, normaliser, scores.centre)
    integers = np.zeros((2, stream.BUFFERS), dtype=np.intp)
    integers[0, : stream.TRAITS] = stream.Traits._make(traits)
    integers[1] = blocks.lay_out(d, channels, dtype.itemsize)
    lowest = -(2.0**100) if dtype == np.float32 else -(2.0**1000)
    cut = math.log2(scores.cut) if scores.cut else lowest
    scales = stream.Scales(scores.scale, scores.noise, lowest, cut)
    out = np.empty((max(channels, 1), count), dtype=dtype)
    arrays = (scores.queries, scores.keys, values, scores.row, scores.bias)
    driver.run(
        stream.stream_kernel,
        (
            *map(_flat, arrays),
            np.array(scales, dtype=dtype),
            np.array(tasks, dtype=np.intp),
            integers,
            out,
        ),
        np.zeros(len(tasks), dtype=np.uint8),
        threads,
        progress,
    )
    return out


def _flat(array: Array) -> Array:
    """In one row, and locked: Numba compiles anew for read-only arrays, so all are."""
    flat = array.reshape(-1)
    flat.flags.writeable = False
    return flat


def _power_of_two(largest: float, dtype: np.dtype[Any]) -> float:
    """What brings numbers up to the largest into [-1, 1]."""
    limit = 120 if dtype == np.float32 else 1000
    return 2.0 ** min(max(-math.frexp(largest)[1], -limit), limit)
