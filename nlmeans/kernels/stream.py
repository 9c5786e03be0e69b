"""The stream kernel: each query against all keys of its part.

    y_i = sum_j w_ij v_j / C,    w = 2^s or max(s, 0)
    s_ij = scale * q_i . k_j + row_i + bias_j  or  min(noise - scale * |q_i - k_j|^2, 0) + bias_j

Nothing of the size of all pairs is stored: a thread takes some queries and goes through the keys in
blocks, each of which serves several groups of queries while it is in the cache. For 2^s all weights
are divided by 2^top, top the largest s so far, and sums of earlier blocks are brought to a new top
(M. Milakov, N. Gimelshein, "Online normalizer calculation for softmax", arXiv:1805.02867).

* Distances are sums of squared differences, not 2 q . k - |k|^2 - |q|^2: nothing cancels, and an
  addition runs beside every multiplication.
* Queries lie in lanes; keys and values are read row by row, each number spread over the lanes. No
  array is packed or padded, and tops and sums of weights are kept apart by the lanes themselves.
* Six keys, then six channels of the values, are summed at a time (rows.py), in 24 of 32 registers.
* A block is summed by itself and then added: rounding errors grow with the root of its length and
  of the number of blocks, not with the number of keys.

Blocks depend on the sizes alone and each query is worked off by one thread in one order: the result
has the same bits for any number of threads.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numba.np.unsafe.ndarray import to_fixed_tuple

from nlmeans.kernels.blocks import GROUPS, KEYS, ROWS, VECTORS, StreamBuffers
from nlmeans.kernels.codes import (
    BY_COUNT,
    BY_SUM,
    CENTRE_AS_COMPUTED,
    CENTRE_MAX,
    CENTRE_ONE,
    THE_SUM,
    WEIGHT_EXP,
)
from nlmeans.kernels.compiling import FUNCTION
from nlmeans.kernels.exp2 import exp2
from nlmeans.kernels.lanes import (
    FASTMATH,
    fill,
    lanes,
    larger,
    like,
    load,
    smaller,
    spread,
    store,
    zero_below,
)
from nlmeans.kernels.parallel import claim
from nlmeans.kernels.rows import (
    add_numbers,
    add_products,
    add_rows,
    add_squares,
    repeat,
    store_rows,
)

compiled = njit(fastmath=set(FASTMATH), **FUNCTION)
inlined = njit(fastmath=set(FASTMATH), forceinline=True, **FUNCTION)


class Traits(NamedTuple):
    """What is summed, and over what it is divided."""

    d: int
    channels: int
    distance: int  # 1 where s is of a distance, else 0
    weight: int  # WEIGHT_EXP or WEIGHT_RELU
    normaliser: int  # with THE_SUM the sum of f is given, for exp its log2
    centre: int


class ScoreScales(NamedTuple):
    """In the kernel's float type."""

    score: Any  # of q . k, or of |q - k|^2
    noise: Any
    lowest: Any  # a score below all others
    cut: Any  # distances' scores below this become the lowest


TRAITS, BUFFERS, SCALES = (len(kind._fields) for kind in (Traits, StreamBuffers, ScoreScales))


def scores_of(count):
    """The function that puts the scores of so many keys from j on, or their squared distances."""

    @inlined
    def put_scores(M, keys, bias, j, t, at, to, width):
        k, q = j * t.d, at.queries
        if t.distance:
            s = repeat(fill(M.dtype.type(0), VECTORS), count)
            for _ in range(t.d):
                s = add_squares(s, load(M, q, VECTORS), keys, k, t.d)
                q += width
                k += 1
            store_rows(M, to, s)
        else:
            s = add_numbers(repeat(load(M, at.rows, VECTORS), count), bias, j, 1)
            for _ in range(t.d):
                s = add_products(s, load(M, q, VECTORS), keys, k, t.d)
                q += width
                k += 1
            store_rows(M, to, s)

    return put_scores


def sums_of(count):
    """The function that sums n weights times so many channels, and adds that to earlier sums."""

    @inlined
    def add_sums(M, values, v, channels, n, at, to, width):
        s = repeat(fill(M.dtype.type(0), VECTORS), count)
        for w in range(at.weights, at.weights + n * width, width):
            s = add_products(s, load(M, w, VECTORS), values, v, 1)
            v += channels
        add_rows(M, to, load(M, at.factors, VECTORS), s)

    return add_sums


put_six_scores, put_one_score = scores_of(ROWS), scores_of(1)
add_six_sums, add_one_sum = sums_of(ROWS), sums_of(1)


@inlined
def turn_into_scores(M, bias, j, n, at, scales, width):
    """Squared distances become scores."""
    one = fill(M.dtype.type(1), VECTORS)
    zero, factor, noise = like(one, 0), like(one, scales.score), like(one, scales.noise)
    lowest, cut = like(one, scales.lowest), like(one, scales.cut)
    for i in range(at.weights, at.weights + n * width, width):
        s = smaller(noise - load(M, i, VECTORS) * factor, zero) + spread(bias, j, VECTORS)
        store(M, i, s + (one - zero_below(one, s, cut)) * lowest)
        j += 1


@inlined
def turn_into_weights(M, n, at, t, width):
    """The block's scores become weights; tops and totals follow, and factors for older sums."""
    top = load(M, at.tops, VECTORS)
    zero = total = like(top, 0)
    if t.weight == WEIGHT_EXP:
        higher = top
        for i in range(at.weights, at.weights + n * width, width):
            higher = larger(higher, load(M, i, VECTORS))
        for i in range(at.weights, at.weights + n * width, width):
            w = exp2(load(M, i, VECTORS) - higher)
            store(M, i, w)
            total = total + w
        factor = exp2(top - higher)
        store(M, at.tops, higher)
        store(M, at.factors, factor)
        total = load(M, at.totals, VECTORS) * factor + total
    else:
        for i in range(at.weights, at.weights + n * width, width):
            w = larger(load(M, i, VECTORS), zero)
            store(M, i, w)
            total = total + w
        total = load(M, at.totals, VECTORS) + total
    store(M, at.totals, total)


@compiled
def write_mean(M, out, values, i, lane, keys, scales, at, t, width):
    """One query's quotient of sums, with the weight of the centre."""
    kind = M.dtype.type
    top, total = M[at.tops + lane], M[at.totals + lane]
    if t.normaliser == THE_SUM:
        out[0, i] = top + np.log2(total) if t.weight == WEIGHT_EXP else total
        return
    others, own = kind(1), kind(0)
    if t.centre != CENTRE_AS_COMPUTED and top <= scales.lowest * kind(0.5):  # nobody else
        others, own = kind(0), kind(1)
    elif t.centre == CENTRE_MAX:
        own = kind(1)
    elif t.centre == CENTRE_ONE:
        others, own = np.exp2(min(top, kind(0))), np.exp2(-max(top, kind(0)))
    if t.normaliser == BY_SUM:
        whole = total * others + own
        if whole == 0:
            whole = kind(1)
        others, own = others / whole, own / whole
    else:
        others = np.exp2(top) if t.weight == WEIGHT_EXP else others
        others /= kind(keys if t.normaliser == BY_COUNT else 1)
    for c in range(t.channels):
        y = M[at.sums + c * width + lane] * others
        if own > 0:
            y += values[i * t.channels + c] * own
        out[c, i] = y


@inlined
def start_group(M, queries, rows, first, end, at, t, scales, width):
    """Put queries into lanes, and nothing into their sums."""
    for lane in range(end - first):
        for c in range(t.d):
            x = queries[(first + lane) * t.d + c]
            M[at.queries + c * width + lane] = x if t.distance else x * scales.score
        M[at.rows + lane] = rows[first + lane]
    zero = fill(M.dtype.type(0), VECTORS)
    for i in range(at.sums, at.rows, width):
        store(M, i, zero)
    store(M, at.totals, zero)
    store(M, at.tops, like(zero, scales.lowest) if t.weight == WEIGHT_EXP else zero)
    store(M, at.factors, like(zero, 1))


@inlined
def add_block(M, keys, values, bias, j, n, first, end, at, t, scales, width):
    """n keys from j on, to the sums of a group of queries."""
    whole = n // ROWS * ROWS
    for i in range(0, whole, ROWS):
        put_six_scores(M, keys, bias, j + i, t, at, at.weights + i * width, width)
    for i in range(whole, n):
        put_one_score(M, keys, bias, j + i, t, at, at.weights + i * width, width)
    if t.distance:
        turn_into_scores(M, bias, j, n, at, scales, width)
    if t.centre != CENTRE_AS_COMPUTED:
        for i in range(max(first, j), min(end, j + n)):
            M[at.weights + (i - j) * width + i - first] = scales.lowest
    turn_into_weights(M, n, at, t, width)
    whole, v = t.channels // ROWS * ROWS, j * t.channels
    for c in range(0, whole, ROWS):
        add_six_sums(M, values, v + c, t.channels, n, at, at.sums + c * width, width)
    for c in range(whole, t.channels):
        add_one_sum(M, values, v + c, t.channels, n, at, at.sums + c * width, width)


@inlined
def of_group(at, group):
    """The buffers of a group of queries."""
    away = group * (at.end - at.queries)
    return StreamBuffers(
        at.weights,
        at.queries + away,
        at.sums + away,
        at.rows + away,
        at.tops + away,
        at.totals + away,
        at.factors + away,
        at.end + away,
    )


@compiled
def stream_kernel(
    taken, queries, keys, values, rows, bias, floats, tasks, integers, out, done, cancel
):
    """Task by task until none is left, in buffers allocated once."""
    t = Traits(*to_fixed_tuple(integers[0], TRAITS))
    at = StreamBuffers(*to_fixed_tuple(integers[1], BUFFERS))
    scales = ScoreScales(*to_fixed_tuple(floats, SCALES))
    L = lanes(out)
    width = VECTORS * L
    buffer = np.zeros(at.queries + GROUPS * (at.end - at.queries) + L, out.dtype)
    M = buffer[(-(buffer.ctypes.data // buffer.itemsize)) % L :]
    while True:
        task = claim(taken)
        if task >= len(done):
            return
        start, stop, first_key, end_key = tasks[task]
        groups = (stop - start + width - 1) // width
        for g in range(groups):
            first = start + g * width
            start_group(
                M, queries, rows, first, min(first + width, stop), of_group(at, g), t, scales, width
            )
        for j in range(first_key, end_key, KEYS):
            if cancel[0] != 0:
                return
            for g in range(groups):
                first, n = start + g * width, min(KEYS, end_key - j)
                end, here = min(first + width, stop), of_group(at, g)
                add_block(M, keys, values, bias, j, n, first, end, here, t, scales, width)
        for i in range(start, stop):
            g = (i - start) // width
            lane, count, here = i - start - g * width, end_key - first_key, of_group(at, g)
            write_mean(M, out, values, i, lane, count, scales, here, t, width)
        done[task] = 1
