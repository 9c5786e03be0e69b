"""The rowwise kernel: the classical filter with the weights that scikit-image's slow mode computes.

    y_i = sum_j w_ij x_j / sum_j w_ij,    w_ij = e(-max(D_ij, 0)),    D_ij = sum_m d_ijm

d_ijm is what row m of the patch adds to the scaled distance, m along the first axis; e is
Schraudolph's exponential, and w_ij is 0 where a sum of the first rows, but not of all, is above a
limit. The window kernel sums columns first and knows no such sums.

A tile is a band of planes, one row and some columns of the array. For every shift each padded row
of it is differenced and summed along y and x once, and then serves all the patches that hold it.
w_ij = w_ji: where both lie in one row, as in images they all do, half the shifts serve both ends.
All is in float64.
"""

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit
from numba.extending import intrinsic
from numba.np.unsafe.ndarray import to_fixed_tuple

from nlmeans.kernels.compiling import FUNCTION
from nlmeans.kernels.lanes import (
    FASTMATH,
    fill,
    lanes,
    larger,
    like,
    load_anywhere,
    store_anywhere,
    zero_below,
)
from nlmeans.kernels.parallel import claim

compiled = njit(fastmath=set(FASTMATH), **FUNCTION)
inlined = njit(fastmath=set(FASTMATH), forceinline=True, **FUNCTION)

VECTORS = 4  # at once: each number of a patch is spread out once for all of them

# 2^20/log(2) and 1023 * 2^20 - 60801: the least root mean square error; see `schraudolph`.
SLOPE, OFFSET = 1512775.3951951856938, 1072632447
LOWEST = -700.0  # of exponents; beyond is nothing that counts


class TileSizes(NamedTuple):
    """Sizes of a tile and the array, radii of patch and search, strides of the padded arrays."""

    band: int  # of a tile, along z; along y it is 1
    columns: int
    depth: int
    height: int
    width: int
    patch_z: int
    patch_y: int
    patch_x: int
    search_z: int
    search_y: int
    search_x: int
    row: int
    plane: int
    channel: int
    features: int
    values: int


SIZES = len(TileSizes._fields)


@intrinsic
def rough_exp(typing: Any, t: Any) -> Any:
    """e^t within 4 % for doubles -700 <= t <= 0: a product makes the upper half of the bits."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        def each(bits: int, number: int) -> Any:
            kind = ir.VectorType(ir.IntType(bits), t.count)
            return kind, ir.Constant(kind, [number] * t.count)

        vector = context.get_value_type(t)
        product = builder.fmul(values[0], ir.Constant(vector, [SLOPE] * t.count))
        small, offset = each(32, OFFSET)
        upper = builder.add(builder.fptosi(product, small), offset)
        wide, shift = each(64, 32)
        return builder.bitcast(builder.shl(builder.sext(upper, wide), shift), vector)

    return t(t), code


@inlined
def take(array, i):
    return load_anywhere(array, i, VECTORS)


@compiled
def put_row(M, sums, to, features, a, b, width, s, taps_y, taps_x):
    """Squared differences of two padded rows, summed along the patch's y and x."""
    L = VECTORS * lanes(M)
    for x in range(0, width + 2 * s.patch_x, L):
        total = fill(0.0, VECTORS)
        for k in range(len(taps_y)):
            i = k * s.row + x
            squares = fill(0.0, VECTORS)
            for _ in range(s.features):
                d = take(features, a + i) - take(features, b + i)
                squares = squares + d * d
                i += s.channel
            total = total + like(total, taps_y[k]) * squares
        store_anywhere(sums, x, total)
    for x in range(0, width, L):
        total = fill(0.0, VECTORS)
        for k in range(len(taps_x)):
            total = total + like(total, taps_x[k]) * take(sums, x + k)
        store_anywhere(M, to + x, total)


@compiled
def put_weights(weights, M, start, step, width, taps_z, noises, noisy, limit):
    """Weights of one row of queries, and zeros behind them."""
    L = VECTORS * lanes(M)
    last = len(taps_z) - 1
    for x in range(0, width, L):
        total = fill(0.0, VECTORS)
        largest = total
        if not noisy:  # no sum is below the one before: a seventh less time
            for m in range(last):
                total = total + like(total, taps_z[m]) * take(M, start + m * step + x)
            largest = total
        else:
            for m in range(last):
                row = like(total, taps_z[m]) * take(M, start + m * step + x)
                total = total + (row - like(total, noises[m]))
                largest = larger(largest, total)
        row = like(total, taps_z[last]) * take(M, start + last * step + x)
        total = total + (row - like(total, noises[last]))
        none = like(total, 0.0)
        t = larger(none - larger(total, none), like(total, LOWEST))
        store_anywhere(weights, x, zero_below(rough_exp(t), none - largest, like(total, -limit)))
    for x in range(width, width + L):
        weights[x] = 0.0


@compiled
def add_row(sums, to, channel, weights, first, values, start, width, s):
    """sum += w, the weights from `first` on, and for every channel sum += w x, from `start` on.

    What is behind a row of sums may change: there is room for that.
    """
    L = VECTORS * lanes(sums)
    for x in range(0, width, L):
        w = take(weights, first + x)
        store_anywhere(sums, to + x, take(sums, to + x) + w)
        i, k = to + channel + x, start + x
        for _ in range(s.values):
            store_anywhere(sums, i, take(sums, i) + w * take(values, k))
            i += channel
            k += s.channel


@compiled
def rowwise_kernel(
    taken, features, values, out, integers, taps_z, taps_y, taps_x, noises, limit, done, cancel
):
    """Tile by tile until none is left; `out` is (channels, Z, Y, X)."""
    s = TileSizes(*to_fixed_tuple(integers, SIZES))
    L = VECTORS * lanes(values)
    step = s.columns + s.search_x + 2 * L
    M = np.empty((s.band + s.search_z + 2 * s.patch_z) * step)
    squares = np.empty(step + 2 * s.patch_x)
    weights = np.empty(step)
    channel = s.band * step
    sums = np.empty((1 + s.values) * channel)
    across = -(-s.width // s.columns)
    noisy = noises.max() > 0.0
    own = s.patch_z * s.plane + s.patch_y * s.row + s.patch_x  # from a patch's corner to its middle
    while True:
        tile = claim(taken)
        if tile >= len(done):
            return
        first_z, y = tile // across // s.height * s.band, tile // across % s.height
        first_x = tile % across * s.columns
        end_z, end_x = min(first_z + s.band, s.depth), min(first_x + s.columns, s.width)
        sums[:] = 0.0
        for dy in range(max(-s.search_y, -y), min(s.search_y, s.height - 1 - y) + 1):
            row = y * s.row
            for dz in range(0 if dy == 0 else -s.search_z, s.search_z + 1):
                if cancel[0] != 0:
                    return
                for dx in range(0 if dy == 0 and dz == 0 else -s.search_x, s.search_x + 1):
                    # Within the tile's row w_ij = w_ji: half the shifts serve i and j = i + shift.
                    both = dy == 0 and (dz > 0 or dx > 0)
                    z0, z1 = max(first_z - dz * both, -dz, 0), min(end_z, s.depth - dz)
                    x0 = max(first_x - max(dx, 0) * both, -dx, 0)
                    x1 = min(end_x + max(-dx, 0) * both, s.width - dx, s.width)
                    if x0 >= x1 or z0 >= z1:
                        continue
                    away = dz * s.plane + dy * s.row + dx
                    for z in range(z0, z1 + 2 * s.patch_z):
                        to, a = (z - z0) * step, z * s.plane + row + x0
                        put_row(M, squares, to, features, a, a + away, x1 - x0, s, taps_y, taps_x)
                    for z in range(z0, z1):
                        put_weights(
                            weights, M, (z - z0) * step, step, x1 - x0, taps_z, noises, noisy, limit
                        )
                        start = z * s.plane + row + own
                        if z >= first_z:
                            x, end = max(x0, first_x), min(x1, end_x)
                            to = (z - first_z) * step + x - first_x
                            i, n = start + x + away, end - x
                            add_row(sums, to, channel, weights, x - x0, values, i, n, s)
                        if both and z + dz < end_z:
                            x, end = max(x0, first_x - dx), min(x1, end_x - dx)
                            to = (z + dz - first_z) * step + x + dx - first_x
                            i, n = start + x, end - x
                            add_row(sums, to, channel, weights, x - x0, values, i, n, s)
        for z in range(first_z, end_z):
            for x in range(first_x, end_x):
                i = (z - first_z) * step + x - first_x
                for c in range(s.values):
                    out[c, z, y, x] = sums[i + (1 + c) * channel] / sums[i]
        done[tile] = 1
