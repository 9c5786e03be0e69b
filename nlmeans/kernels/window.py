"""The window kernel: Gaussian f on patches, identity g, a search window: the classical filter.

    y_i = sum_j w_ij x_j / sum_j w_ij,    w_ij = 2^min(bias - scale * D_ij, 0),

D_ij the sum of squared differences over the patch and the channels; images and volumes alike.

* w_ab = w_ba: half the shifts serve both ends a and b = a + shift of every pair.
* Patch sums: first along y, of four rows under four shifts at once, then along x, of four columns.
  Four windows share most of what they add up. Nothing is subtracted: running sums, which subtract
  what leaves the window, kept rounding errors of it, up to 4e-4 of the range beside strong edges.
* Vectors hold one pixel of each of 16 segments (see tiles.py): no load is unaligned.
* Weights stay vectors from the patch sums to the sums of both ends, and each is loaded once for
  four multiplications: kernels that did the ends one after the other took 15 % more time.

Tiles depend on the array's shape alone and each is worked off by one thread in one order: the
result has the same bits for any number of threads.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit, prange
from numba.np.unsafe.ndarray import to_fixed_tuple

from nlmeans.kernels.exp2 import exp2
from nlmeans.kernels.lanes import (
    FASTMATH,
    fill,
    join,
    lanes,
    larger,
    like,
    load,
    part,
    smaller,
    store,
)  # fmt: skip
from nlmeans.kernels.tiles import COLUMNS, ROWS, SHIFTS, Buffers, Tiles

compiled = njit(fastmath=set(FASTMATH), nogil=True, error_model="numpy")
inlined = njit(fastmath=set(FASTMATH), nogil=True, error_model="numpy", forceinline=True)

CENTRE_ONE, CENTRE_MAX, CENTRE_ZERO = 0, 1, 2


class Geometry(NamedTuple):
    """Radii of patch and search and candidates first <= i < end, in pixels; the centre rule."""

    patch_z: int
    patch_y: int
    patch_x: int
    search_z: int
    search_y: int
    search_x: int
    first_z: int
    first_y: int
    first_x: int
    end_z: int
    end_y: int
    end_x: int
    centre: int  # CENTRE_ONE, CENTRE_MAX or CENTRE_ZERO


class Scales(NamedTuple):
    """In the kernel's float type."""

    image: Any  # the factor, a power of two, that brings values into [-1, 1]
    guide: Any
    scale: Any  # w = 2^min(bias - scale * D, 0) of a patch sum D
    bias: Any
    masked: Any  # a bias that makes any weight negligible
    smallest: Any  # of the sums of weights that are exact: below, see kernels/isolated.py


class Box(NamedTuple):
    """First ends of a tile's pairs: low <= i < end along z and y; the tile's columns."""

    low_z: int
    low_y: int
    end_z: int
    end_y: int
    x: int
    width: int


@inlined
def squares(M, i, j):
    """(M[i] - M[j + k])^2 for four neighbouring shifts k."""
    x = load(M, i, 1)
    x = join(x, x)
    d = join(x, x) - load(M, j, SHIFTS)
    return d * d


@inlined
def four_rows(M, a, b, stride, side):
    """Sums of squares over `side` rows from each of four rows downward.

    Each is the end of one run of rows and the start of the next. Running sums in memory took 30 %
    more time; eight rows at a time, which compute less, were no faster.
    """
    s3 = fill(M.dtype.type(0), SHIFTS)
    for row in range(3, side):
        s3 = s3 + squares(M, a + row * stride, b + row * stride)
    s2 = s3 + squares(M, a + 2 * stride, b + 2 * stride)
    s1 = s2 + squares(M, a + stride, b + stride)
    s0 = s1 + squares(M, a, b)
    a += side * stride
    b += side * stride
    p1 = squares(M, a, b)
    p2 = p1 + squares(M, a + stride, b + stride)
    p3 = p2 + squares(M, a + 2 * stride, b + 2 * stride)
    return s0, s1 + p1, s2 + p2, s3 + p3


@inlined
def four_weighted_rows(M, a, b, stride, taps, side):
    """The same with rows weighted by taps[3:-3]; the three taps at either end are zero."""
    s0 = s1 = s2 = s3 = fill(M.dtype.type(0), SHIFTS)
    for row in range(side + 3):
        d = squares(M, a + row * stride, b + row * stride)
        s0 = s0 + like(d, taps[row + 3]) * d
        s1 = s1 + like(d, taps[row + 2]) * d
        s2 = s2 + like(d, taps[row + 1]) * d
        s3 = s3 + like(d, taps[row]) * d
    return s0, s1, s2, s3


@inlined
def put_shifts(M, to, shift, v):
    store(M, to, part(v, 0))
    store(M, to + shift, part(v, 1))
    store(M, to + 2 * shift, part(v, 2))
    store(M, to + 3 * shift, part(v, 3))


@inlined
def put_rows(M, to, row, shift, v0, v1, v2, v3):
    """Put down one column's sums of four rows under four shifts."""
    put_shifts(M, to, shift, v0)
    put_shifts(M, to + row, shift, v1)
    put_shifts(M, to + 2 * row, shift, v2)
    put_shifts(M, to + 3 * row, shift, v3)


@compiled
def put_columns(M, to, row, shift, a, b, stride, side, planes):
    """Patch sums along y, z and the channels of four rows under four shifts, in four columns."""
    L = lanes(M)
    for column in range(0, COLUMNS * L, L):
        i, j = a + column, b + column
        v0, v1, v2, v3 = four_rows(M, i, j, stride, side)
        for k in range(1, len(planes)):
            u0, u1, u2, u3 = four_rows(M, i + planes[k], j + planes[k], stride, side)
            v0, v1, v2, v3 = v0 + u0, v1 + u1, v2 + u2, v3 + u3
        put_rows(M, to + column, row, shift, v0, v1, v2, v3)


@compiled
def put_weighted_columns(M, to, row, shift, a, b, stride, taps_y, side, taps_z, planes):
    L = lanes(M)
    for column in range(0, COLUMNS * L, L):
        i, j = a + column, b + column
        v0 = v1 = v2 = v3 = fill(M.dtype.type(0), SHIFTS)
        for k in range(len(planes)):
            u0, u1, u2, u3 = four_weighted_rows(
                M, i + planes[k], j + planes[k], stride, taps_y, side
            )
            tap = like(v0, taps_z[k])
            v0, v1, v2, v3 = v0 + tap * u0, v1 + tap * u1, v2 + tap * u2, v3 + tap * u3
        put_rows(M, to + column, row, shift, v0, v1, v2, v3)


@inlined
def four_columns(M, row, start, mask, side):
    """Sums of `side` columns, from each of four columns onward; found as in `four_rows`."""
    L = lanes(M)
    s3 = fill(M.dtype.type(0), 1)
    for k in range(3, side):
        s3 = s3 + load(M, row + (start + k * L & mask), 1)
    s2 = s3 + load(M, row + (start + 2 * L & mask), 1)
    s1 = s2 + load(M, row + (start + L & mask), 1)
    s0 = s1 + load(M, row + (start & mask), 1)
    start += side * L
    p1 = load(M, row + (start & mask), 1)
    p2 = p1 + load(M, row + (start + L & mask), 1)
    p3 = p2 + load(M, row + (start + 2 * L & mask), 1)
    return join(join(s0, s1 + p1), join(s2 + p2, s3 + p3))


@inlined
def four_weighted_columns(M, row, start, mask, taps, side):
    L = lanes(M)
    s0 = s1 = s2 = s3 = fill(M.dtype.type(0), 1)
    for k in range(side + 3):
        v = load(M, row + (start + k * L & mask), 1)
        s0, s1 = s0 + like(v, taps[k + 3]) * v, s1 + like(v, taps[k + 2]) * v
        s2, s3 = s2 + like(v, taps[k + 1]) * v, s3 + like(v, taps[k]) * v
    return join(join(s0, s1), join(s2, s3))


@inlined
def weights_of(d, scale, first, second):
    """2^min(bias - scale * d, 0) of four columns under two shifts, each with a bias a lane."""
    first, second = join(first, first), join(second, second)
    bias = join(join(first, first), join(second, second))
    return exp2(smaller(bias - d * like(d, scale), like(d, 0.0)))


@inlined
def add_pairs(M, sums_a, sums_b, total_a, total_b, values_a, values_b, weights, totals):
    """sums[a] += w x[b] and sums[b] += w x[a]; with `totals` also total[a] += w, total[b] += w.

    Column k of a meets column m = k + s of b under shift s. In the order of m each weight, and
    each column of b, is loaded once.
    """
    L = lanes(M)
    x0, x1 = load(M, values_a, 1), load(M, values_a + L, 1)
    x2, x3 = load(M, values_a + 2 * L, 1), load(M, values_a + 3 * L, 1)
    a0 = a1 = a2 = a3 = t0 = t1 = t2 = t3 = fill(M.dtype.type(0), 1)
    for m in range(COLUMNS + SHIFTS - 1):
        x, b = load(M, values_b + m * L, 1), load(M, sums_b + m * L, 1)
        t = load(M, total_b + m * L, 1)
        if m < SHIFTS:
            w = load(M, weights + m * COLUMNS * L, 1)
            a0, t0, b, t = a0 + w * x, t0 + w, b + w * x0, t + w
        if 0 < m <= SHIFTS:
            w = load(M, weights + ((m - 1) * COLUMNS + 1) * L, 1)
            a1, t1, b, t = a1 + w * x, t1 + w, b + w * x1, t + w
        if 1 < m <= SHIFTS + 1:
            w = load(M, weights + ((m - 2) * COLUMNS + 2) * L, 1)
            a2, t2, b, t = a2 + w * x, t2 + w, b + w * x2, t + w
        if m > 2:
            w = load(M, weights + ((m - 3) * COLUMNS + 3) * L, 1)
            a3, t3, b, t = a3 + w * x, t3 + w, b + w * x3, t + w
        store(M, sums_b + m * L, b)
        if totals:
            store(M, total_b + m * L, t)
    # Only now, for in one row the columns of b are among those of a.
    store(M, sums_a, load(M, sums_a, COLUMNS) + join(join(a0, a1), join(a2, a3)))
    if totals:
        store(M, total_a, load(M, total_a, COLUMNS) + join(join(t0, t1), join(t2, t3)))


@compiled
def keep_largest(M, first, second, weights):
    L = lanes(M)
    for s in range(SHIFTS):
        w = load(M, weights + s * COLUMNS * L, COLUMNS)
        store(M, first, larger(load(M, first, COLUMNS), w))
        b = second + s * L
        store(M, b, larger(load(M, b, COLUMNS), w))


@compiled
def put_bias(M, t, at, box, z, y, rows, dz, dy, g, scales):
    """The bias of each lane: where either end is no candidate the weight is to be negligible."""
    i = at.bias
    for r in range(rows):
        for lane_z in range(t.lanes_z):
            a_z = box.low_z + lane_z * t.depth + z
            for lane_y in range(t.lanes_y):
                a_y = box.low_y + lane_y * t.height + y + r
                inside = a_z < box.end_z and a_y < box.end_y
                inside = inside and a_z + dz < g.end_z and g.first_y <= a_y + dy < g.end_y
                M[i] = scales.bias if inside else scales.masked
                i += 1


@compiled
def mask_columns(M, weights, first, x, first_x, end_x):
    """Zero the weights of columns that are no candidates, at either end of a pair."""
    L = lanes(M)
    zero = fill(M.dtype.type(0), 1)
    for s in range(SHIFTS):
        for k in range(COLUMNS):
            a = x + k
            b = a + first + s
            if min(a, b) < first_x or max(a, b) >= end_x:
                store(M, weights + (s * COLUMNS + k) * L, zero)


@compiled
def add_block(M, t, at, box, z, y, rows, dz, dy, g, scales, planes, taps_z, taps_y, taps_x,
              channels):  # fmt: skip
    """Add the pairs of up to four rows of the box whose ends lie (dz, dy, any dx) apart."""
    L = lanes(M)
    row = t.ring * L
    shift = ROWS * row
    mask = row - 1
    side_y, side_x = 2 * g.patch_y + 1, 2 * g.patch_x + 1
    uniform = len(taps_y) == 0
    put_bias(M, t, at, box, z, y, rows, dz, dy, g, scales)
    corner = z * at.source_z + (y + t.up) * at.source_y + t.left * L
    centre = corner + g.patch_z * at.source_z + g.patch_y * at.source_y + g.patch_x * L
    here = z * at.sums_z + (y + t.up) * at.sums_y + t.left * L
    source_away = dz * at.source_z + dy * at.source_y
    sums_away = dz * at.sums_z + dy * at.sums_y
    ahead = (2 * g.patch_x + COLUMNS - 1) // COLUMNS
    first_x, end_x = g.first_x - box.x, g.end_x - box.x
    none, masked = fill(M.dtype.type(0), COLUMNS), fill(scales.masked, 1)
    for first in range(-g.search_x if dz > 0 or dy > 0 else 1, g.search_x + 1, SHIFTS):
        shifts = min(SHIFTS, g.search_x + 1 - first)
        if shifts < SHIFTS:  # of the last group: others keep no weight of the group before
            for i in range(at.weights, at.bias, COLUMNS * L):
                store(M, i, none)
        low = max(-max(first + shifts - 1, 0), first_x)
        end = min(box.width + max(-first, 0), end_x)
        for i in range((end - low + COLUMNS - 1) // COLUMNS + ahead):
            to = at.columns + (i * COLUMNS * L & mask)
            a = at.source + corner + (low + i * COLUMNS) * L
            b = a + source_away + first * L
            if uniform:
                put_columns(M, to, row, shift, a, b, at.source_y, side_y, planes)
            else:
                put_weighted_columns(M, to, row, shift, a, b, at.source_y, taps_y, side_y, taps_z,
                                     planes)  # fmt: skip
            if i < ahead:
                continue
            x = low + (i - ahead) * COLUMNS
            start = (i - ahead) * COLUMNS * L
            inside = x >= first_x - min(first, 0)
            inside = inside and x + COLUMNS <= end_x - max(first + SHIFTS - 1, 0)
            for r in range(rows):
                bias = load(M, at.bias + r * L, 1)
                for s in range(0, shifts, 2):
                    v = at.columns + r * row + s * shift
                    if uniform:
                        d = join(four_columns(M, v, start, mask, side_x),
                                 four_columns(M, v + shift, start, mask, side_x))  # fmt: skip
                    else:
                        d = join(
                            four_weighted_columns(M, v, start, mask, taps_x, side_x),
                            four_weighted_columns(M, v + shift, start, mask, taps_x, side_x),
                        )
                    second = bias if s + 1 < shifts else masked
                    w = weights_of(d, scales.scale, bias, second)
                    store(M, at.weights + s * COLUMNS * L, w)
                if not inside:
                    mask_columns(M, at.weights, first, x, first_x, end_x)
                sums_a = here + r * at.sums_y + x * L
                sums_b = sums_a + sums_away + first * L
                x_a = at.values + centre + r * at.source_y + x * L
                x_b = x_a + source_away + first * L
                total_a, total_b = at.total + sums_a, at.total + sums_b
                add_pairs(M, at.sums + sums_a, at.sums + sums_b, total_a, total_b, x_a, x_b,
                          at.weights, True)  # fmt: skip
                for c in range(1, channels):
                    plane = at.sums + c * at.sums_c
                    add_pairs(M, plane + sums_a, plane + sums_b, total_a, total_b,
                              x_a + c * at.source_c, x_b + c * at.source_c, at.weights,
                              False)  # fmt: skip
                if g.centre == CENTRE_MAX:
                    keep_largest(M, at.largest + sums_a, at.largest + sums_b, at.weights)


@compiled
def load_tile(M, t, at, box, image, offset, scale, zs, ys, columns, start, g):
    """Copy a tile with its halo into lanes, mirrored by the index maps, brought into [-1, 1].

    Beyond the maps, in the padding, the value does not matter, as no candidate is.
    """
    L = lanes(M)
    for c in range(image.shape[0]):
        for z in range(t.source_z):
            for y in range(t.source_y):
                first = start + c * at.source_c + z * at.source_z + y * at.source_y
                for lane in range(L):
                    i_z = box.low_z + lane // t.lanes_y * t.depth + z + g.search_z
                    i_y = box.low_y + lane % t.lanes_y * t.height + y - t.up + g.search_y
                    plane = zs[min(i_z, len(zs) - 1)]
                    row = image[c, plane, ys[min(max(i_y, 0), len(ys) - 1)]]
                    i = first + lane
                    for x in range(len(columns)):
                        M[i] = (row[columns[x]] - offset[c]) * scale
                        i += L


@compiled
def find_row(places, t, at, box, z, y, lanes_):
    """Where a row of the tile begins in the sums of each lane that holds it; how many do."""
    n = 0
    for lane in range(lanes_):
        i_z = z - box.low_z - lane // t.lanes_y * t.depth
        i_y = y - box.low_y - lane % t.lanes_y * t.height + t.up
        if 0 <= i_z < t.sums_z and 0 <= i_y < t.sums_y:
            places[n] = i_z * at.sums_z + i_y * at.sums_y + t.left * lanes_ + lane
            n += 1
    return n


@compiled
def write_row(out, isolated, image, offset, M, places, t, at, box, z, y, g, scales):
    """One row of the tile: the quotient of the sums, with the centre's own weight."""
    L = lanes(M)
    n = find_row(places, t, at, box, z, y, L)
    for i in range(box.width):
        x = box.x + i
        own, total = out.dtype.type(g.centre == CENTRE_ONE), out.dtype.type(0)
        for k in range(n):
            total += M[at.total + places[k] + i * L]
            if g.centre == CENTRE_MAX:
                own = max(own, M[at.largest + places[k] + i * L])
        if g.centre != CENTRE_ONE and total < scales.smallest:
            isolated[z, y, x] = True
            continue
        for c in range(out.shape[0]):
            value = (image[c, z, y, x] - offset[c]) * scales.image
            mean = own * value
            for k in range(n):
                mean += M[at.sums + c * at.sums_c + places[k] + i * L]
            out[c, z, y, x] = mean / (total + own) / scales.image + offset[c]


@compiled
def filter_tiles(worker, workers, image, image_offset, guide, guide_offset, out, isolated, zs, ys,
                 xs, integers, floats, planes, taps_z, taps_y, taps_x, done, cancel):  # fmt: skip
    """Every tile whose number is `worker` modulo `workers`, in buffers allocated once."""
    g = Geometry(*to_fixed_tuple(integers[0], 13))
    t = Tiles(*to_fixed_tuple(integers[1], 16))
    at = Buffers(*to_fixed_tuple(integers[2], 17))
    scales = Scales(*to_fixed_tuple(floats, 6))
    channels, depth, height, width = out.shape
    L = lanes(out)
    buffer = np.empty(at.end + L, out.dtype)
    M = buffer[(-(buffer.ctypes.data // buffer.itemsize)) % L :]
    places = np.empty(L, np.intp)
    columns = np.empty(t.source_x, np.uint64)
    across_y, across_x = -(-height // t.tile_y), -(-width // t.tile_x)
    zero = fill(M.dtype.type(0), 1)
    for tile in range(worker, len(done), workers):
        z0 = tile // (across_y * across_x) * t.tile_z
        y0 = tile // across_x % across_y * t.tile_y
        x0 = tile % across_x * t.tile_x
        end_z, end_y = min(z0 + t.tile_z, depth), min(y0 + t.tile_y, height)
        box = Box(max(g.first_z, z0 - g.search_z), max(g.first_y, y0 - g.search_y), end_z,
                  min(g.end_y, end_y + t.up), x0, min(t.tile_x, width - x0))  # fmt: skip
        for x in range(t.source_x):
            columns[x] = xs[min(max(x0 + x + g.search_x - t.left, 0), len(xs) - 1)]
        load_tile(M, t, at, box, image, image_offset, scales.image, zs, ys, columns, at.values, g)
        if at.source != at.values:
            load_tile(M, t, at, box, guide, guide_offset, scales.guide, zs, ys, columns, at.source,
                      g)  # fmt: skip
        for i in range(at.total, at.columns, L):
            store(M, i, zero)
        for dz in range(g.search_z + 1):
            for dy in range(-t.up if dz > 0 else 0, g.search_y + 1):
                for z in range(t.depth):
                    for y in range(0, t.height, ROWS):
                        if cancel[0] != 0:
                            return
                        add_block(M, t, at, box, z, y, min(ROWS, t.height - y), dz, dy, g, scales,
                                  planes, taps_z, taps_y, taps_x, channels)  # fmt: skip
        for z in range(z0, end_z):
            for y in range(y0, end_y):
                write_row(out, isolated, image, image_offset, M, places, t, at, box, z, y, g,
                          scales)  # fmt: skip
        done[tile] = 1


# Two functions of two names, not one function compiled twice: the kernel cache tells functions
# apart by name and source alone, not by their options.
@njit(parallel=True, nogil=True)
def window_parallel(workers, image, image_offset, guide, guide_offset, out, isolated, zs, ys, xs,
                    integers, floats, planes, taps_z, taps_y, taps_x, done, cancel):  # fmt: skip
    for worker in prange(workers):
        # int64 as in the serial kernel: prange counts in uint64, another 4 s of compiling
        filter_tiles(np.int64(worker), workers, image, image_offset, guide, guide_offset, out,
                     isolated, zs, ys, xs, integers, floats, planes, taps_z, taps_y, taps_x, done,
                     cancel)  # fmt: skip


@njit(nogil=True)
def window_serial(workers, image, image_offset, guide, guide_offset, out, isolated, zs, ys, xs,
                  integers, floats, planes, taps_z, taps_y, taps_x, done, cancel):  # fmt: skip
    for worker in range(workers):
        filter_tiles(worker, workers, image, image_offset, guide, guide_offset, out, isolated, zs,
                     ys, xs, integers, floats, planes, taps_z, taps_y, taps_x, done,
                     cancel)  # fmt: skip
