"""The group kernel: like patches are averaged with the weights of least expected error.

For each reference patch, on a grid of `step` pixels and at the far borders, the k most like it in
the search window make a group. With Y their pixels, a patch a column, X the same of the pilot,
both less the group's mean patch, n pixels and noise of variance s,

    T = X^T X / (n s) + a I + b 11^T,    Theta = I - (a + b k) T^-1,    Z = mean + Y Theta,

and what Z says of a pixel counts in its average 1 / (|column of Theta|^2 + 1/k).

* A vector holds one pixel of 16 patches of a group, or one difference to 16 candidates.
* A tile of references adds to pixels as far as patches and search reach. Tiles are taken in four
  turns, every other one along both axes; those of one turn have no pixel in common. So each sum
  has one order, and the result the same bits, for any number of threads.
"""

import numpy as np
from numba import njit
from numba.np.unsafe.ndarray import to_fixed_tuple

from nlmeans.kernels.compiling import FUNCTION
from nlmeans.kernels.group_sizes import PAIR, ROWS, GroupBuffers, GroupSizes
from nlmeans.kernels.lanes import (
    FASTMATH,
    bits_at_most,
    count_bits,
    fill,
    get,
    lanes,
    like,
    load,
    load_anywhere,
    lowest_bit,
    number_of,
    put,
    spread,
    store,
)
from nlmeans.kernels.parallel import claim
from nlmeans.kernels.rows import add_numbers, add_products, repeat, scaled, spread_rows

compiled = njit(fastmath=set(FASTMATH), **FUNCTION)
SIZES, BUFFERS = len(GroupSizes._fields), len(GroupBuffers._fields)
inlined = njit(fastmath=set(FASTMATH), forceinline=True, **FUNCTION)


@inlined
def references(size, patch, step):
    """How many references there are along an axis: the last one is at the border."""
    return (size - patch + step - 1) // step + 1


@compiled
def find_distances(M, at, S, match, y, x, top, rows, left, columns):
    """Sums of squared differences between a reference and all candidates, row by row.

    None but the reference itself has 0, so that it is always among the chosen.
    """
    L = PAIR * lanes(M)
    here = y * S.stride + x
    far = number_of(M, np.int64(0x7F000000) << (0 if M.itemsize == 4 else 32))
    for row in range(rows):
        for first in range(0, S.across, L):
            there = (top + row) * S.stride + left + first
            sums = fill(M.dtype.type(1e-30), PAIR)
            for c in range(S.planes):
                for r in range(S.patch):
                    a = c * S.plane + here + r * S.stride
                    b = c * S.plane + there + r * S.stride
                    for k in range(S.patch):
                        d = load_anywhere(match, b + k, PAIR)
                        d = d - spread(match, a + k, PAIR)
                        sums = sums + d * d
            store(M, at.distances + row * S.across + first, sums)
        for k in range(columns, S.across):
            M[at.distances + row * S.across + k] = far
    M[at.distances + (y - top) * S.across + x - left] = 0


@inlined
def count_at_most(M, first, end, limit):
    L = PAIR * lanes(M)
    count = 0
    for i in range(first, end, L):
        v = load(M, i, PAIR)
        count += count_bits(bits_at_most(v, like(v, limit)))
    return count


@compiled
def choose(M, at, S, rows, columns, top, left, places):
    """The candidates of smallest distance, in their order; of equal ones the first. How many."""
    L = PAIR * lanes(M)
    first, end = at.distances, at.distances + rows * S.across
    k = min(S.group, rows * columns)
    shift = 0 if M.itemsize == 4 else 32
    low, high = np.int64(0), np.int64(0x7E000000) << shift
    limit = number_of(M, high)
    while low < high:
        middle = low + ((high - low) >> 1)  # the sum itself could overflow
        limit = number_of(M, middle)
        count = count_at_most(M, first, end, limit)
        if count == k:
            high = middle
            break
        if count > k:
            high = middle
        else:
            low = middle + 1
    limit = number_of(M, high)
    below = 0
    if high > 0:
        below = count_at_most(M, first, end, number_of(M, high - 1))
    equal = k - below
    n = 0
    for i in range(first, end, L):
        v = load(M, i, PAIR)
        bits = bits_at_most(v, like(v, limit))
        while bits != 0:
            j = i + lowest_bit(bits)
            bits &= bits - 1
            if M[j] == limit:
                if equal == 0:
                    continue
                equal -= 1
            j -= first
            places[n] = (top + j // S.across) * S.stride + left + j % S.across
            n += 1
    return n


@compiled
def gather(M, to, mean, S, image, first, planes, places, n):
    """Put the group's patches into columns and take their mean off."""
    L = lanes(M)
    q = 0
    for c in range(first, first + planes):
        for r in range(S.patch):
            for k in range(S.patch):
                a = c * S.plane + r * S.stride + k
                total = M.dtype.type(0)
                for j in range(n):
                    value = get(image, a + get(places, j))
                    put(M, to + j, value)
                    total += value
                total /= n
                M[mean + q] = total
                for j in range(n, S.padded):
                    put(M, to + j, total)
                for j in range(0, S.padded, L):
                    v = load(M, to + j, 1)
                    store(M, to + j, v - like(v, total))
                to += S.padded
                q += 1


@compiled
def least_noise(M, at, S, n, pixels, noise):
    """The noise, but at most twice what the group varies: clipping can have taken it away.

    Twice, for the patches most alike vary less than their noise.
    """
    L = lanes(M)
    sums = fill(M.dtype.type(0), 1)
    for i in range(at.values, at.values + pixels * S.padded, L):
        v = load(M, i, 1)
        sums = sums + v * v
    store(M, at.column, sums)
    total = M.dtype.type(0)
    for i in range(L):
        total += M[at.column + i]
    return min(noise, max(2 * total / max(n - 1, 1), noise * M.dtype.type(1e-9)))


@compiled
def find_matrix(M, at, S, columns, n, pixels, inverse_noise, a, b):
    """T, with the identity's multiple a + b n where there are no patches."""
    L = lanes(M)
    K = S.padded
    for i in range(0, K, ROWS):
        for j in range(0, K, L):
            zero = fill(M.dtype.type(0), 1)
            sums = repeat(zero, ROWS)
            for q in range(columns, columns + pixels * K, K):
                sums = add_products(sums, load(M, q + j, 1), M, q + i, 1)
            sums = scaled(sums, like(zero, inverse_noise), like(zero, b))
            spread_rows(M, at.matrix + i * K + j, K, sums)
    for i in range(n):
        M[at.matrix + i * K + i] += a
        for j in range(n, K):
            M[at.matrix + i * K + j] = M[at.matrix + j * K + i] = 0
    for i in range(n, K):
        for j in range(n, K):
            M[at.matrix + i * K + j] = (a + b * n) * (i == j)


@compiled
def invert(M, at, S, n, smallest):
    """The matrix, symmetric and positive, by Gauss-Jordan elimination in place."""
    L = lanes(M)
    K = S.padded
    one = M.dtype.type(1)
    for i in range(n):
        pivot_row = at.matrix + i * K
        inverse = one / max(M[pivot_row + i], smallest)
        for r in range(K):
            put(M, at.column + r, get(M, at.matrix + r * K + i))
        M[at.column + i] = 0
        for j in range(0, K, L):
            pivots = load(M, pivot_row + j, 1)
            pivots = pivots * like(pivots, inverse)
            store(M, pivot_row + j, pivots)
            for r in range(0, K, 4):
                to = at.matrix + r * K + j
                f = at.column + r
                v0, v1 = load(M, to, 1), load(M, to + K, 1)
                v2, v3 = load(M, to + 2 * K, 1), load(M, to + 3 * K, 1)
                store(M, to, v0 - spread(M, f, 1) * pivots)
                store(M, to + K, v1 - spread(M, f + 1, 1) * pivots)
                store(M, to + 2 * K, v2 - spread(M, f + 2, 1) * pivots)
                store(M, to + 3 * K, v3 - spread(M, f + 3, 1) * pivots)
        for r in range(K):
            put(M, at.matrix + r * K + i, -get(M, at.column + r) * inverse)
        M[pivot_row + i] = inverse
    for i in range(n, K):
        M[at.matrix + i * K + i] = one / M[at.matrix + i * K + i]


@compiled
def find_weights(M, at, S, n, factor):
    """Theta in place of the inverse; in `column` what each patch counts."""
    L = lanes(M)
    K = S.padded
    one = M.dtype.type(1)
    for j in range(0, K, L):
        squares = fill(M.dtype.type(0), 1)
        for i in range(K):
            to = at.matrix + i * K + j
            v = load(M, to, 1)
            v = like(v, -factor) * v
            store(M, to, v)
            squares = squares + v * v
        store(M, at.column + j, squares)
    for i in range(n):
        v = M[at.matrix + i * K + i]
        M[at.matrix + i * K + i] = one + v
        squares = M[at.column + i] + one + 2 * v  # of the column with 1 added on the diagonal
        M[at.column + i] = one / (max(squares, M.dtype.type(0)) + one / n)


@compiled
def find_results(M, at, S, pixels):
    """(mean + Y Theta) times what each patch counts."""
    L = lanes(M)
    K = S.padded
    for q in range(0, pixels, ROWS):
        y = at.values + q * K
        for j in range(0, K, L):
            zero = fill(M.dtype.type(0), 1)
            sums = repeat(zero, ROWS)
            for i in range(K):
                sums = add_products(sums, load(M, at.matrix + i * K + j, 1), M, y + i, K)
            sums = add_numbers(sums, M, at.mean + q, 1)
            sums = scaled(sums, load(M, at.column + j, 1), zero)
            spread_rows(M, at.results + q * K + j, K, sums)


@compiled
def scatter(M, at, S, sums, counts, part, first, planes, places, n):
    """Add the patches where they come from; what they count at their first pixel alone."""
    q = at.results
    for c in range(first, first + planes):
        for r in range(S.patch):
            for k in range(S.patch):
                a = c * S.plane + r * S.stride + k
                for j in range(n):
                    i = a + get(places, j)
                    put(sums, i, get(sums, i) + get(M, q + j))
                q += S.padded
    for j in range(n):
        counts[part * S.plane + places[j]] += M[at.column + j]


@compiled
def filter_group(M, at, S, y, x, noisy, pilot, match, sums, counts, floats, places):
    """The group of one reference."""
    top, left = max(y - S.reach, 0), max(x - S.reach, 0)
    rows = min(y + S.reach, S.height - S.patch) - top + 1
    columns = min(x + S.reach, S.width - S.patch) - left + 1
    find_distances(M, at, S, match, y, x, top, rows, left, columns)
    n = choose(M, at, S, rows, columns, top, left, places)
    a, b = floats[0], floats[1] / M.dtype.type(n)
    for part in range(min(S.planes, 2)):
        first, planes = part, 1 if part == 0 else S.planes - 1
        pixels = planes * S.patch * S.patch
        columns_at = at.values
        if len(pilot) > 0:
            gather(M, at.pilot, at.mean, S, pilot, first, planes, places, n)
            columns_at = at.pilot
        gather(M, at.values, at.mean, S, noisy, first, planes, places, n)
        noise = floats[2 + part] * M.dtype.type(pixels)
        if len(pilot) == 0:
            noise = least_noise(M, at, S, n, pixels, noise)
        find_matrix(M, at, S, columns_at, n, pixels, M.dtype.type(1) / noise, a, b)
        invert(M, at, S, n, M.dtype.type(1e-3))
        find_weights(M, at, S, n, a + b * M.dtype.type(n))
        find_results(M, at, S, pixels)
        scatter(M, at, S, sums, counts, part, first, planes, places, n)


@compiled
def filter_groups(taken, turn, noisy, pilot, match, sums, counts, integers, floats, done, cancel):
    """The tiles of one turn, one by one until none is left."""
    S = GroupSizes(*to_fixed_tuple(integers[0], SIZES))
    at = GroupBuffers(*to_fixed_tuple(integers[1], BUFFERS))
    L = lanes(sums)
    buffer = np.zeros(at.end + L, sums.dtype)
    M = buffer[(-(buffer.ctypes.data // buffer.itemsize)) % L :]
    places = np.empty(S.padded, np.intp)
    most_y = references(S.height, S.patch, S.step)
    most_x = references(S.width, S.patch, S.step)
    across = (-(-most_x // S.tile) + 1 - turn % 2) // 2  # tiles of this turn, along x
    while True:
        tile = claim(taken)
        if tile >= len(done):
            return
        tile_y, tile_x = turn // 2 + tile // across * 2, turn % 2 + tile % across * 2
        for j in range(tile_y * S.tile, min((tile_y + 1) * S.tile, most_y)):
            for i in range(tile_x * S.tile, min((tile_x + 1) * S.tile, most_x)):
                if cancel[0] != 0:
                    return
                y = min(j * S.step, S.height - S.patch)
                x = min(i * S.step, S.width - S.patch)
                filter_group(M, at, S, y, x, noisy, pilot, match, sums, counts, floats, places)
        done[tile] = 1
