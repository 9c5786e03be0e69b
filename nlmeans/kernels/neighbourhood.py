"""The neighbourhood kernel: any f over a search window: attention to what lies around.

    y_i = 1/C(x) * sum over j in the window of f(q_i, k_j) v_j

* A vector holds 16 neighbouring queries along x. Four such vectors, below one another, meet six
  keys at a time (products.py), so that each key is loaded once for four multiplications.
* Keys, biases and values of one row lie together, a number c of all positions after the other, so
  that what 64 queries need of a row fits the first-level cache.
* For exp a running maximum a query: whatever was summed shrinks where the maximum grows, which is
  exact for any scores. Weights are 2^t, log2(e) being part of the query's factor.
* Beyond the array keys and values are 0 and the bias says that they weigh nothing: along x nothing
  is asked twice.

Each block of 64 queries is worked off by one thread in one order: the result has the same bits for
any number of threads.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numba.np.unsafe.ndarray import to_fixed_tuple

from nlmeans.kernels.codes import (
    BY_COUNT,
    BY_SUM,
    CENTRE_AS_COMPUTED,
    CENTRE_MAX,
    CENTRE_ONE,
    THE_SUM,
    WEIGHT_EXP,
    WEIGHT_RELU,
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
    load_anywhere,
    store,
    store_anywhere,
)
from nlmeans.kernels.parallel import claim
from nlmeans.kernels.products import (
    add_values,
    fetch,
    gather,
    put_distances,
    put_past,
    put_products,
)
from nlmeans.kernels.strips import BLOCKS, CHANNELS, MOST_KEYS, ROWS, SHIFTS, Scratch, Sizes

compiled = njit(fastmath=set(FASTMATH), **FUNCTION)

# Rows of the table of strides: of one number to the next, along z, y and x, and how many numbers.
QUERIES, OWN, BIAS, KEYS, VALUES = 0, 1, 2, 3, 4


class Numbers(NamedTuple):
    """In the kernel's float type."""

    query: Any  # factors of what is given
    key: Any
    bias: Any
    distance: Any  # score = min(noise - distance * its factor, 0)
    noise: Any
    least: Any  # scores of distances below it are masked
    value: Any
    masked: Any  # a score that makes any weight negligible; 0 for weight "identity"
    unset: Any  # above it, and below any other: the maximum of no scores


SIZES, SCRATCH, NUMBERS = (len(kind._fields) for kind in (Sizes, Scratch, Numbers))


@compiled
def put_ends(R, to, beyond, s):
    """What lies before and behind the positions of a row."""
    for x in range(to, to + s.left):
        R[x] = beyond
    for x in range(to + s.left + s.keys_x, to + s.step):
        R[x] = beyond


@compiled
def put_rows(R, to, source, start, strides, factor, s):
    """Numbers of every position of a row, each number of all positions in a row of R."""
    L = lanes(R)
    plane, next_, several = strides[0], strides[3], strides[4]
    for c in range(several):
        put_ends(R, to + c * s.step, factor - factor, s)
    to += s.left
    whole = s.keys_x // L * L
    for c in range(several if next_ == 1 else 0):
        for x in range(0, whole, L):
            v = load_anywhere(source, start + c * plane + x, 1)
            store_anywhere(R, to + c * s.step + x, v * like(v, factor))
    for x in range(0, whole if next_ != 1 else 0, L):
        for c in range(several):
            v = gather(source, start + c * plane + x * next_, next_)
            store_anywhere(R, to + c * s.step + x, v * like(v, factor))
    for c in range(several):
        for x in range(whole, s.keys_x):
            R[to + c * s.step + x] = source[start + c * plane + x * next_] * factor


@compiled
def lay_out_row(R, row, bias, keys, values, strides, s, n):
    """Bias, keys and values of one row."""
    z, y = row // s.keys_y, row % s.keys_y
    to = row * (1 + s.d + s.channels) * s.step
    i = z * strides[BIAS, 1] + y * strides[BIAS, 2]
    put_rows(R, to, bias, i, strides[BIAS], n.bias, s)
    put_ends(R, to, n.masked, s)
    i = z * strides[KEYS, 1] + y * strides[KEYS, 2]
    put_rows(R, to + s.step, keys, i, strides[KEYS], n.key, s)
    i = z * strides[VALUES, 1] + y * strides[VALUES, 2]
    put_rows(R, to + (1 + s.d) * s.step, values, i, strides[VALUES], n.value, s)


@compiled
def load_queries(M, at, queries, own, strides, s, n, z, y, x):
    """Four vectors of queries; those beyond the array are the last ones again."""
    L = lanes(M)
    plane, next_ = strides[QUERIES, 0], strides[QUERIES, 3]
    for r in range(ROWS):
        row = min(y + r, s.height - 1)
        i = z * strides[QUERIES, 1] + row * strides[QUERIES, 2] + x * next_
        to = at.queries + r * L
        if x + L <= s.width:
            for c in range(s.d):
                v = gather(queries, i + c * plane, next_)
                store(M, to + c * ROWS * L, v * like(v, n.query))
        else:
            for c in range(s.d):
                for lane in range(L):
                    k = i + c * plane + min(lane, s.width - 1 - x) * next_
                    M[to + c * ROWS * L + lane] = queries[k] * n.query
        for lane in range(L):
            column = min(x + lane, s.width - 1)
            i = z * strides[OWN, 1] + row * strides[OWN, 2] + column * strides[OWN, 3]
            M[at.own + r * L + lane] = own[i]


@compiled
def mask(M, at, keys, first, end, row, masked):
    """Keys that a row of queries does not see."""
    L = lanes(M)
    nothing = fill(masked, 1)
    for k in range(keys):
        if not first <= k < end:
            store(M, at.weights + (k * ROWS + row) * L, nothing)


@compiled
def weigh(M, at, keys, s):
    """Put weights in place of scores, and add them up."""
    L = lanes(M)
    step = ROWS * L
    end = at.weights + keys * step
    if s.weight == WEIGHT_EXP:
        before = load(M, at.top, ROWS)
        top = before
        for i in range(at.weights, end, step):
            top = larger(top, load(M, i, ROWS))
        shrink = exp2(before - top)
        total = load(M, at.total, ROWS) * shrink
        for i in range(at.weights, end, step):
            w = exp2(load(M, i, ROWS) - top)
            store(M, i, w)
            total = total + w
        store(M, at.top, top)
        store(M, at.shrink, shrink)
        store(M, at.total, total)
    elif s.weight == WEIGHT_RELU:
        own, total = load(M, at.own, ROWS), load(M, at.total, ROWS)
        for i in range(at.weights, end, step):
            w = larger(load(M, i, ROWS) + own, like(own, 0.0))
            store(M, i, w)
            total = total + w
        store(M, at.total, total)


@compiled
def add_rows(M, R, places, at, keys, s, row, two):
    """Add the weighted values of all channels: of rows row and row + 1, or of all four."""
    L = lanes(M)
    to, shrink, weights = at.sums + row * L, at.shrink + row * L, at.weights + row * L
    begin = (1 + s.d) * s.step
    c = 0
    while c < s.channels:
        here, source = to + c * ROWS * L, begin + c * s.step
        left = s.channels - c
        if two:
            if left >= CHANNELS:
                add_values(M, here, shrink, weights, keys, R, places, source, s.step, 2, CHANNELS)
            else:
                add_values(M, here, shrink, weights, keys, R, places, source, s.step, 2, 1)
        elif left >= CHANNELS:
            add_values(M, here, shrink, weights, keys, R, places, source, s.step, ROWS, CHANNELS)
        elif left >= 2:
            add_values(M, here, shrink, weights, keys, R, places, source, s.step, ROWS, 2)
        else:
            add_values(M, here, shrink, weights, keys, R, places, source, s.step, ROWS, 1)
        c += CHANNELS if left >= CHANNELS else (2 if left >= 2 and not two else 1)


@compiled
def score_rows(M, R, places, at, keys, s, n, row, two):
    L = lanes(M)
    queries = at.queries + row * L
    for k in range(0, keys, SHIFTS):
        to = at.weights + (k * ROWS + row) * L
        if s.distance != 0:
            factor, noise, least = n.distance, n.noise, n.least
            put_distances(
                M, to, queries, R, places, k, s.step, s.d, factor, noise, least, n.masked, ROWS
            )
        elif two:
            put_products(M, to, queries, R, places, k, s.step, s.d, 2)
        else:
            put_products(M, to, queries, R, places, k, s.step, s.d, ROWS)


@compiled
def add_keys(M, R, places, at, s, n, z, y, x, key_z, y0, y1, x0, x1):
    """Add keys of rows y0 to y1 and shifts x0 to x1 to what four vectors of queries sum up."""
    L = lanes(M)
    wide = x1 - x0
    keys = (y1 - y0) * wide
    block = (1 + s.d + s.channels) * s.step
    k = 0
    for row in range(key_z * s.keys_y + y0, key_z * s.keys_y + y1):
        here = row * block + s.left + x + s.first_x
        for i in range(here + x0, here + x1):
            places[k] = i
            k += 1
    for more in range(SHIFTS):  # fill up a group
        places[keys + more] = places[keys - 1]
    rows = min(ROWS, s.height - y)
    first_r = max(0, y0 - (y + s.first_y + s.side_y - 1))
    last_r = min(rows - 1, y1 - 1 - (y + s.first_y))
    two = (last_r < 2 or first_r >= 2) and s.distance == 0
    row = 2 if first_r >= 2 and two else 0
    score_rows(M, R, places, at, keys, s, n, row, two)
    for r in range(ROWS):
        first = max(0, y + r + s.first_y - y0) * wide
        end = min(y1 - y0, y + r + s.first_y + s.side_y - y0) * wide if r < rows else 0
        if first > 0 or end < keys:
            mask(M, at, keys, first, end, r, n.masked)
        if s.centre != CENTRE_AS_COMPUTED and key_z == z + s.first_z + s.side_z // 2:
            k_y, k_x = y + r + s.first_y + s.side_y // 2, s.side_x // 2
            if y0 <= k_y < y1 and x0 <= k_x < x1:
                own = n.masked if s.centre != CENTRE_ONE else n.masked - n.masked
                k = (k_y - y0) * wide + k_x - x0
                store(M, at.weights + (k * ROWS + r) * L, fill(own, 1))
    weigh(M, at, keys, s)
    add_rows(M, R, places, at, keys, s, row, two)


@compiled
def fetch_rows(R, s, key_z, y0, y1, x, columns):
    """Ask for what the next queries down need: the second-level cache has it when they come."""
    several = 1 + s.d + s.channels
    first = (key_z * s.keys_y + y0) * several * s.step + s.left + x
    for start in range(first, first + (y1 - y0) * several * s.step, s.step):
        for i in range(start, start + columns, lanes(R)):
            fetch(R, i)


@compiled
def write_block(out, M, R, at, s, z, y, x, past):
    """The quotients of four vectors of queries, or what stands in their place."""
    L = lanes(M)
    block = (1 + s.d + s.channels) * s.step
    count_z = min(z + s.first_z + s.side_z, s.keys_z) - max(z + s.first_z, 0)
    width = min(L, s.width - x)
    for r in range(min(ROWS, s.height - y)):
        i_y = y + r
        count_y = min(i_y + s.first_y + s.side_y, s.keys_y) - max(i_y + s.first_y, 0)
        row = (z + s.first_z + s.side_z // 2) * s.keys_y + i_y + s.first_y + s.side_y // 2
        own = row * block + (1 + s.d) * s.step + s.left + x + s.first_x + s.side_x // 2
        for lane in range(width):
            k = r * L + lane
            top, total = np.float64(M[at.top + k]), np.float64(M[at.total + k])
            if s.normaliser == THE_SUM:
                is_exp = s.weight == WEIGHT_EXP
                out[(z * s.height + i_y) * s.width + x + lane] = (
                    top + np.log2(total) if is_exp else total
                )
                continue
            factor = 1.0
            nobody = s.weight == WEIGHT_EXP and total < 0.5  # the largest weight is 1
            if s.centre == CENTRE_MAX or nobody:
                total += 1.0
                for c in range(s.channels):
                    M[at.sums + c * ROWS * L + k] += R[own + c * s.step + lane]
            if s.normaliser == BY_SUM:
                factor = 1 / total if total > 0 else 0.0
            elif s.weight == WEIGHT_EXP:
                factor = 2.0**top
            if s.normaliser == BY_COUNT:
                i_x = x + lane
                count_x = min(i_x + s.first_x + s.side_x, s.keys_x) - max(i_x + s.first_x, 0)
                factor /= count_z * count_y * count_x
            M[at.shrink + k] = factor
        factors = load(M, at.shrink + r * L, 1)
        for c in range(s.channels):
            k = at.sums + (c * ROWS + r) * L
            store(M, k, load(M, k, 1) * factors)
            to = ((c * s.depth + z) * s.height + i_y) * s.width + x
            if past:
                put_past(out, to, load(M, k, 1))
            elif width == L:
                store_anywhere(out, to, load(M, k, 1))
            else:
                for lane in range(width):
                    out[to + lane] = M[k + lane]


@compiled
def neighbourhood_kernel(
    taken,
    laid_out,
    queries,
    own,
    bias,
    keys,
    values,
    strides,
    R,
    out,
    integers,
    floats,
    done,
    cancel,
):
    """Row of keys by row of keys, or then tile by tile, until none is left.

    One function, for each that calls others has LLVM optimise those once more.
    """
    s = Sizes(*to_fixed_tuple(integers[0], SIZES))
    at = Scratch(*to_fixed_tuple(integers[1], SCRATCH))
    n = Numbers(*to_fixed_tuple(floats, NUMBERS))
    L = lanes(out)
    buffer = np.empty(at.end + L, out.dtype)
    M = buffer[(-(buffer.ctypes.data // buffer.itemsize)) % L :]
    places = np.empty(MOST_KEYS + SHIFTS, np.intp)
    across_x, across_y = -(-s.width // L), -(-s.height // (BLOCKS * ROWS))
    zero, one, unset = fill(n.key - n.key, ROWS), fill(out.dtype.type(1), ROWS), fill(n.unset, ROWS)
    past = s.width % L == 0 and out.ctypes.data % (L * out.itemsize) == 0
    while True:
        tile = claim(taken)
        if tile >= len(done):
            return
        if not laid_out:
            if cancel[0] != 0:
                return
            lay_out_row(R, tile, bias, keys, values, strides, s, n)
            done[tile] = 1
            continue
        z, x = tile // (across_x * across_y), tile // across_y % across_x * L
        low = tile % across_y * BLOCKS * ROWS
        x0 = max(0, -(min(x + L, s.width) - 1 + s.first_x))
        end_x = min(s.side_x, s.keys_x - x - s.first_x)
        group = max(1, MOST_KEYS // (end_x - x0))
        end_z = min(z + s.first_z + s.side_z, s.keys_z)
        for y in range(low, min(low + BLOCKS * ROWS, s.height), ROWS):
            load_queries(M, at, queries, own, strides, s, n, z, y, x)
            for i in range(at.total, at.end, ROWS * L):
                store(M, i, zero)
            store(M, at.top, unset)
            store(M, at.shrink, one)
            end_y = min(min(y + ROWS, s.height) - 1 + s.first_y + s.side_y, s.keys_y)
            for key_z in range(max(z + s.first_z, 0), end_z):
                below, columns = min(end_y + ROWS, s.keys_y), L - 1 + end_x - x0
                fetch_rows(R, s, key_z, end_y, below, x + s.first_x + x0, columns)
                for y0 in range(max(y + s.first_y, 0), end_y, group):
                    y1 = min(y0 + group, end_y)
                    for k in range(x0, end_x, MOST_KEYS):
                        if cancel[0] != 0:
                            return
                        x1 = min(k + MOST_KEYS, end_x)
                        add_keys(M, R, places, at, s, n, z, y, x, key_z, y0, y1, k, x1)
            write_block(out, M, R, at, s, z, y, x, past)
        done[tile] = 1
