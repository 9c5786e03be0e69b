"""The neighbours kernel: any f, any values, over lists of neighbours.

    y_i = 1/C_i sum_j w_ij v_j,    w_ij = weight(scale * score(q_i, k_j) + bias_j),    j in S(i)

S(i) is lists[starts[i]:starts[i + 1]]. Rows of queries, keys and values are padded with zeros to
whole vectors, so that one position's row is read with aligned loads, wherever it lies.

Scores are sums of the rows' own dtype; scaling, exponents and sums of weights are in float64: one
number a pair, which costs less than the row that comes with it. exp is taken of the score less the
largest of the row.

Each row is summed by one thread in the order of its list: the same bits for any number of threads.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numba.np.unsafe.ndarray import to_fixed_tuple

from nlmeans.kernels.codes import (
    BY_COUNT,
    BY_SUM,
    CENTRE_AS_COMPUTED,
    CENTRE_MAX,
    CENTRE_ONE,
    CENTRE_ZERO,
    THE_SUM,
    WEIGHT_EXP,
    WEIGHT_RELU,
)
from nlmeans.kernels.compiling import FUNCTION
from nlmeans.kernels.exp2 import exp2
from nlmeans.kernels.lanes import fill, lanes, like, load, store, total
from nlmeans.kernels.parallel import claim
from nlmeans.kernels.tiles import NEIGHBOUR_ROWS

DISTANCE, DOT = range(2)
LOG2_E = 1.4426950408889634
HIGHEST = 1e300  # of scores, which thus stay finite, as vectors have to

compiled = njit(**FUNCTION)


class Codes(NamedTuple):
    """What f and C are."""

    score: int
    weight: int
    normaliser: int
    centre: int
    bias_of_row: int  # 1: bias_i in place of bias_j


class Constants(NamedTuple):
    scale: float  # of the scores, with what the rows have been multiplied by taken out
    noise: float  # taken off distances
    unit: float  # what 1 in values stands for


CODES, CONSTANTS = len(Codes._fields), len(Constants._fields)


@compiled
def scores_of(i, queries, keys, width, neighbours, bias, kind, numbers, scores):
    """The scaled score of every neighbour; the largest, and the place of i itself or -1."""
    L = lanes(queries)
    own, top = -1, -HIGHEST
    for m in range(len(neighbours)):
        j = np.intp(neighbours[m])
        sums = fill(queries.dtype.type(0), 1)
        for c in range(0, width, L):
            q, k = load(queries, i * width + c, 1), load(keys, j * width + c, 1)
            if kind.score == DISTANCE:
                q = k = q - k
            sums = sums + q * k
        s = np.float64(total(sums))
        if kind.score == DISTANCE:
            s = -max(s - numbers.noise, 0.0)
        s *= numbers.scale
        if len(bias) > 0:
            s += bias[i if kind.bias_of_row else j]
        s = min(max(s, -HIGHEST), HIGHEST)
        if j == i:
            own = m
            if kind.centre == CENTRE_ONE:
                s = 0.0
            elif kind.centre != CENTRE_AS_COMPUTED:  # known once the others are
                s = -HIGHEST
        scores[m] = s
        top = max(top, s)
    return top, own


@compiled
def weights_from(scores, count, top, own, kind):
    """Scores become weights, up to the factor exp(top) for exp; returns their sum."""
    if kind.weight == WEIGHT_EXP:
        if kind.centre == CENTRE_MAX or (kind.centre == CENTRE_ZERO and count == 1):
            scores[own] = top
        L = lanes(scores)
        for m in range(0, count, L):
            t = load(scores, m, 1) - like(load(scores, m, 1), top)
            store(scores, m, exp2(t * like(t, LOG2_E)))
        if kind.centre == CENTRE_ZERO and count > 1:
            scores[own] = 0.0  # of equally few neighbours all might be as far
    elif kind.weight == WEIGHT_RELU:
        for m in range(count):
            scores[m] = max(scores[m], 0.0)
    c = 0.0
    for m in range(count):
        c += scores[m]
    return c


@compiled
def unit_of(weights, count):
    """Divide the weights by the largest, for the values' dtype may not hold it; returns that."""
    unit = 0.0
    for m in range(count):
        unit = max(unit, abs(weights[m]))
    if unit == 0:
        return 1.0
    for m in range(count):
        weights[m] /= unit
    return unit


@compiled
def write_average(row, weights, neighbours, values, width, offset, factor, numbers, sums):
    """factor * sum of weights[m] values[j] + offset, one vector of channels at a time."""
    L = lanes(values)
    for first in range(0, width, L):
        acc = fill(values.dtype.type(0), 1)
        for m in range(len(neighbours)):
            v = load(values, np.intp(neighbours[m]) * width + first, 1)
            acc = acc + like(v, values.dtype.type(weights[m])) * v
        store(sums, 0, acc)
        for c in range(first, min(first + L, len(row))):
            row[c] = np.float64(sums[c - first]) * factor * numbers.unit + offset[c]


@compiled
def aligned_buffer(count, like_this):
    """Uninitialised, for whole vectors."""
    L = lanes(like_this)
    buffer = np.empty(count + 2 * L, like_this.dtype)
    return buffer[(-(buffer.ctypes.data // buffer.itemsize)) % L :]


@compiled
def neighbours_kernel(
    taken,
    queries,
    keys,
    values,
    sizes,
    starts,
    lists,
    bias,
    offset,
    codes,
    floats,
    out,
    done,
    cancel,
):
    kind = Codes(*to_fixed_tuple(codes, CODES))
    numbers = Constants(*to_fixed_tuple(floats, CONSTANTS))
    scores = aligned_buffer(sizes[2], floats)
    scores[:] = -HIGHEST
    sums = aligned_buffer(lanes(values), values)
    while True:
        tile = claim(taken)
        if tile >= len(done):
            return
        for i in range(tile * NEIGHBOUR_ROWS, min((tile + 1) * NEIGHBOUR_ROWS, len(out))):
            if cancel[0] != 0:
                return
            neighbours = lists[starts[i] : starts[i + 1]]
            count = len(neighbours)
            top, own = scores_of(
                i, queries, keys, sizes[0], neighbours, bias, kind, numbers, scores
            )
            c = weights_from(scores, count, top, own, kind)
            if kind.normaliser == THE_SUM:
                out[i, 0] = top + np.log(c) if kind.weight == WEIGHT_EXP else c
                continue
            factor = 1.0
            if kind.normaliser == BY_SUM:
                factor = 1.0 / c if c != 0 else 0.0
            else:
                if kind.weight == WEIGHT_EXP:
                    factor = np.exp(top)
                if kind.normaliser == BY_COUNT:
                    factor /= count
            if kind.weight != WEIGHT_EXP:
                factor *= unit_of(scores, count)
            write_average(
                out[i], scores, neighbours, values, sizes[1], offset, factor, numbers, sums
            )
        done[tile] = 1
