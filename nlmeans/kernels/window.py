"""The window kernel: Gaussian f on patches, identity g, a search window: the classical filter.

    y_i = sum_j w_ij x_j / sum_j w_ij,    w_ij = 2^min(bias - scale * D_ij, 0),

D_ij the sum of squared differences over the patch and the channels; images and volumes alike.

* w_ab = w_ba: half the shifts serve both ends a and b = a + shift of every pair.
* Patch sums: first along y, of four rows under three shifts at once, then along x, of four columns.
  Four windows share most of what they add up. Nothing is subtracted: running sums, which subtract
  what leaves the window, kept rounding errors of it, up to 4e-4 of the range beside strong edges.
* The shifts taken together lie along y, as the sums do: rows of b are loaded once for all three.
  Four shifts along x took 6 % more time, in volumes 50 %, whose tiles then reach further; four
  along y 5 %: 21 is three times seven.
* Vectors hold one pixel of each of 16 segments (see tiles.py): no load is unaligned.
* Rows and planes that no lane needs under a shift are passed over: clips took 18 to 30 % more time.
* Weights stay vectors from the patch sums to the sums of both ends, and each is loaded once for
  the sums of a channel at both: kernels that did one end after the other took 15 % more time.
* Weights and sums use different parts of a core, but computing the weights of one block between
  the sums of the block before took 11 to 18 % more (in C, by another compiler: 13 % less).

Tiles depend on the array and the operation alone, and each is worked off by one thread in one
order: the result has the same bits for any number of threads.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numba.np.unsafe.ndarray import to_fixed_tuple

from nlmeans.kernels.codes import CENTRE_MAX, CENTRE_ONE
from nlmeans.kernels.compiling import FUNCTION
from nlmeans.kernels.exp2 import exp2_above
from nlmeans.kernels.lanes import FASTMATH, fill, join, lanes, larger, like, load, smaller, store
from nlmeans.kernels.parallel import claim
from nlmeans.kernels.tiles import ABOVE, COLUMNS, ROWS, SHIFTS, Buffers, Tiles

compiled = njit(fastmath=set(FASTMATH), **FUNCTION)
inlined = njit(fastmath=set(FASTMATH), forceinline=True, **FUNCTION)


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
    skip: int  # rows and columns at the start of uniform patches that do not count


class Scales(NamedTuple):
    """In the kernel's float type."""

    image: Any  # the factor, a power of two, that brings values into [-1, 1]
    guide: Any
    scale: Any  # w = 2^min(bias - scale * D, 0) of a patch sum D
    bias: Any
    masked: Any  # a bias that makes any weight 0
    lowest: Any  # exponent: smaller weights are 0
    smallest: Any  # of the sums of weights that are exact: below, see kernels/isolated.py


GEOMETRY, SCALES = len(Geometry._fields), len(Scales._fields)
TILES, BUFFERS = len(Tiles._fields), len(Buffers._fields)


class Box(NamedTuple):
    """Places of a tile's pairs: low <= i < end along z and y; the tile's rows and columns."""

    low_z: int
    low_y: int
    end_z: int
    end_y: int
    y: int
    height: int
    x: int
    width: int


@inlined
def minus(x, b):
    return x - b[0], x - b[1], x - b[2]


@inlined
def plus(s, t):
    return s[0] + t[0], s[1] + t[1], s[2] + t[2]


@inlined
def plus_squares(s, d):
    return s[0] + d[0] * d[0], s[1] + d[1] * d[1], s[2] + d[2] * d[2]


@inlined
def load_row(M, i, stride):
    """The b's of one row under three shifts: the row and the two below it."""
    return load(M, i, 1), load(M, i + stride, 1), load(M, i + 2 * stride, 1)


@inlined
def next_row(M, i, b):
    """The b's of the row above: all but one are those of the row below."""
    return load(M, i, 1), b[0], b[1]


@inlined
def four_rows(M, a, b, stride, side):
    """Sums of squares over `side` rows from each of four rows downward, under three shifts.

    Each is the end of one run of rows and the start of the next. From the last row upward, for then
    two of three b's are those of the row before: half the loads. The papers' side has its loop
    unrolled, here and in `four_columns`: 5 % less time, 0.2 s more of compiling.
    """
    if side == 7:
        return four_rows_of(M, a, b, stride, 7)
    return four_rows_of(M, a, b, stride, side)


@inlined
def four_rows_of(M, a, b, stride, side):
    zero = fill(M.dtype.type(0), 1)
    none = zero, zero, zero
    i, j = a + (side + 2) * stride, b + (side + 2) * stride
    v = load_row(M, j, stride)
    d3 = minus(load(M, i, 1), v)
    i, j = i - stride, j - stride
    v = next_row(M, j, v)
    d2 = minus(load(M, i, 1), v)
    i, j = i - stride, j - stride
    v = next_row(M, j, v)
    p1 = plus_squares(none, minus(load(M, i, 1), v))
    p2 = plus_squares(p1, d2)
    p3 = plus_squares(p2, d3)
    s3 = none
    for _ in range(3, side):
        i, j = i - stride, j - stride
        v = next_row(M, j, v)
        s3 = plus_squares(s3, minus(load(M, i, 1), v))
    i, j = i - stride, j - stride
    v = next_row(M, j, v)
    s2 = plus_squares(s3, minus(load(M, i, 1), v))
    i, j = i - stride, j - stride
    v = next_row(M, j, v)
    s1 = plus_squares(s2, minus(load(M, i, 1), v))
    i, j = i - stride, j - stride
    v = next_row(M, j, v)
    s0 = plus_squares(s1, minus(load(M, i, 1), v))
    return s0, plus(s1, p1), plus(s2, p2), plus(s3, p3)


@inlined
def plus_times(s, tap, d):
    return s[0] + tap * d[0], s[1] + tap * d[1], s[2] + tap * d[2]


@inlined
def four_weighted_rows(M, a, b, stride, taps, side):
    """As `four_rows`, with rows weighted by taps[3:-3]; the three taps at either end are zero."""
    zero = fill(M.dtype.type(0), 1)
    none = zero, zero, zero
    s0 = s1 = s2 = s3 = none
    for row in range(side + 3):
        d = minus(load(M, a + row * stride, 1), load_row(M, b + row * stride, stride))
        d = plus_squares(none, d)
        s0 = plus_times(s0, like(zero, taps[row + 3]), d)
        s1 = plus_times(s1, like(zero, taps[row + 2]), d)
        s2 = plus_times(s2, like(zero, taps[row + 1]), d)
        s3 = plus_times(s3, like(zero, taps[row]), d)
    return s0, s1, s2, s3


@inlined
def put_shifts(M, to, shift, v):
    store(M, to, v[0])
    store(M, to + shift, v[1])
    store(M, to + 2 * shift, v[2])


@inlined
def put_rows(M, to, row, shift, v0, v1, v2, v3):
    """Put down one column's sums of four rows under three shifts."""
    put_shifts(M, to, shift, v0)
    put_shifts(M, to + row, shift, v1)
    put_shifts(M, to + 2 * row, shift, v2)
    put_shifts(M, to + 3 * row, shift, v3)


@compiled
def put_columns(M, to, row, shift, a, b, stride, side, planes):
    """Patch sums along y, z and the channels of four rows under three shifts, in four columns."""
    L = lanes(M)
    for column in range(0, COLUMNS * L, L):
        i, j = a + column, b + column
        v0, v1, v2, v3 = four_rows(M, i + planes[0], j + planes[0], stride, side)
        for k in range(1, len(planes)):
            u0, u1, u2, u3 = four_rows(M, i + planes[k], j + planes[k], stride, side)
            v0, v1, v2, v3 = plus(v0, u0), plus(v1, u1), plus(v2, u2), plus(v3, u3)
        put_rows(M, to + column, row, shift, v0, v1, v2, v3)


@compiled
def weigh_columns(M, to, row, shift, a, b, stride, taps_y, side, taps_z, planes):
    L = lanes(M)
    for column in range(0, COLUMNS * L, L):
        i, j = a + column, b + column
        zero = fill(M.dtype.type(0), 1)
        v0 = v1 = v2 = v3 = (zero, zero, zero)
        for k in range(len(planes)):
            u0, u1, u2, u3 = four_weighted_rows(
                M, i + planes[k], j + planes[k], stride, taps_y, side
            )
            tap = like(zero, taps_z[k])
            v0, v1 = plus_times(v0, tap, u0), plus_times(v1, tap, u1)
            v2, v3 = plus_times(v2, tap, u2), plus_times(v3, tap, u3)
        put_rows(M, to + column, row, shift, v0, v1, v2, v3)


@inlined
def four_columns(M, row, start, mask, side):
    """Sums of `side` columns, from each of four columns onward; found as in `four_rows`."""
    if side == 7:
        return four_columns_of(M, row, start, mask, 7)
    return four_columns_of(M, row, start, mask, side)


@inlined
def four_columns_of(M, row, start, mask, side):
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
def weights_of(d, scales, bias):
    """2^min(bias - scale * d, 0) of four columns, 0 where that is below 2^lowest."""
    bias = join(bias, bias)
    t = smaller(join(bias, bias) - d * like(d, scales.scale), like(d, 0.0))
    return exp2_above(t, scales.lowest)


@inlined
def local_weights(M, d, a, b, plane, scales, bias):
    """2^min((s_a + s_b - d) * u_a * u_b, 0) of four columns, with the maps s and u at both ends."""
    bias = join(bias, bias)
    s = load(M, a, COLUMNS) + load(M, b, COLUMNS)
    u = load(M, a + plane, COLUMNS) * load(M, b + plane, COLUMNS)
    t = smaller((s - d) * u, like(d, 0.0)) + join(bias, bias)
    return exp2_above(t, scales.lowest)


@inlined
def add_pairs(M, at, sums_a, sums_b, total_a, total_b, values_a, values_b, weights, totals):
    """sums[a] += w x[b] and sums[b] += w x[a]; with `totals` also total[a] += w, total[b] += w.

    Row r of a meets row m = r + s of b under shift s. In the order of m each weight, and each row
    of b, is loaded once.
    """
    step, sums_y, source_y = COLUMNS * lanes(M), at.sums_y, at.source_y
    x0, x1 = load(M, values_a, 1), load(M, values_a + source_y, 1)
    x2, x3 = load(M, values_a + 2 * source_y, 1), load(M, values_a + 3 * source_y, 1)
    a0 = a1 = a2 = a3 = t0 = t1 = t2 = t3 = fill(M.dtype.type(0), 1)
    for m in range(ROWS + SHIFTS - 1):
        x, b = load(M, values_b, 1), load(M, sums_b, 1)
        t = load(M, total_b, 1)
        if m < SHIFTS:
            w = load(M, weights + m * step, 1)
            a0, t0, b, t = a0 + w * x, t0 + w, b + w * x0, t + w
        if 1 <= m < 1 + SHIFTS:
            w = load(M, weights + (SHIFTS + m - 1) * step, 1)
            a1, t1, b, t = a1 + w * x, t1 + w, b + w * x1, t + w
        if 2 <= m < 2 + SHIFTS:
            w = load(M, weights + (2 * SHIFTS + m - 2) * step, 1)
            a2, t2, b, t = a2 + w * x, t2 + w, b + w * x2, t + w
        if 3 <= m < 3 + SHIFTS:
            w = load(M, weights + (3 * SHIFTS + m - 3) * step, 1)
            a3, t3, b, t = a3 + w * x, t3 + w, b + w * x3, t + w
        store(M, sums_b, b)
        if totals:
            store(M, total_b, t)
        values_b, sums_b, total_b = values_b + source_y, sums_b + sums_y, total_b + sums_y
    # Only now, for in one column the rows of b are among those of a.
    add_rows(M, sums_a, sums_y, a0, a1, a2, a3)
    if totals:
        add_rows(M, total_a, sums_y, t0, t1, t2, t3)


@inlined
def add_rows(M, to, row, v0, v1, v2, v3):
    store(M, to, load(M, to, 1) + v0)
    store(M, to + row, load(M, to + row, 1) + v1)
    store(M, to + 2 * row, load(M, to + 2 * row, 1) + v2)
    store(M, to + 3 * row, load(M, to + 3 * row, 1) + v3)


@compiled
def keep_largest(M, first, second, sums_y, weights):
    step = COLUMNS * lanes(M)
    for r in range(ROWS):
        for s in range(SHIFTS):
            w = load(M, weights + (r * SHIFTS + s) * step, 1)
            a, b = first + r * sums_y, second + (r + s) * sums_y
            store(M, a, larger(load(M, a, 1), w))
            store(M, b, larger(load(M, b, 1), w))


@compiled
def put_biases(M, t, at, box, z, y, up, rows, dz, first, shifts, g, scales):
    """The bias of each lane: where either end is no candidate the weight is to be 0."""
    i = at.bias
    for r in range(ROWS):
        for s in range(SHIFTS):
            for lane_z in range(t.lanes_z):
                a_z = box.low_z + lane_z * t.depth + z
                for lane_y in range(t.lanes_y):
                    i_y = box.low_y + lane_y * t.height + y + r
                    a_y = i_y + up
                    b_y = a_y + first + s
                    inside = r < rows and s < shifts and a_z < box.end_z and i_y < box.end_y
                    inside = inside and a_z + dz < g.end_z and a_y < g.end_y
                    inside = inside and g.first_y <= b_y < g.end_y
                    M[i] = scales.bias if inside else scales.masked
                    i += 1


@compiled
def add_block(
    M, t, at, box, z, y, dz, half, g, scales, planes, taps_z, taps_y, taps_x, channels, maps, cancel
):
    """Add the pairs of up to four rows of the box whose ends lie (dz, dy, dx) apart.

    One of two opposite shifts: dz > 0, or dz = 0 < dx, or dz = dx = 0 < dy, the last being the
    second half of dz = 0. Where the taps along y and x are None, Numba leaves out what weighted
    patches take, and 0.6 s of compiling.
    """
    rows = min(ROWS, t.height - y)
    first_dx = -g.search_x if dz > 0 else 1 - half
    first_dy = 1 if half == 1 else -g.search_y
    L = lanes(M)
    row = t.ring * L
    shift = ROWS * row
    mask = row - 1
    side_y, side_x = 2 * g.patch_y + 1 - g.skip, 2 * g.patch_x + 1 - g.skip
    patch = g.patch_z * at.source_z + g.patch_y * at.source_y + g.patch_x * L
    ahead = (2 * g.patch_x + COLUMNS - 1) // COLUMNS
    first_x, end_x = g.first_x - box.x, g.end_x - box.x
    none = fill(M.dtype.type(0), COLUMNS)
    end_dx = 1 if first_dx == 0 else g.search_x + 1
    for first in range(first_dy, g.search_y + 1, SHIFTS):
        shifts = min(SHIFTS, g.search_y + 1 - first)
        # Below its place in the box lies a under shifts upward, so that b is there. The box then
        # reaches no further than the search above the tile.
        up = max(-first - ABOVE, 0)
        corner = z * at.source_z + (y + up + ABOVE) * at.source_y + g.search_x * L
        here = z * at.sums_z + (y + up + ABOVE) * at.sums_y + g.search_x * L
        if t.lanes_y == 1:  # else some lane has rows of the tile
            above = box.y - box.low_y - y - up  # so many of the rows
            below = above + box.height
            if above >= rows + max(first + shifts - 1, 0) or below <= min(first, 0):
                continue
        put_biases(M, t, at, box, z, y, up, rows, dz, first, shifts, g, scales)
        if shifts < SHIFTS or rows < ROWS:  # others keep no weight of the group before
            for i in range(at.weights, at.bias, COLUMNS * L):
                store(M, i, none)
        for dx in range(first_dx, end_dx):
            if cancel[0] != 0:
                return
            low = max(-max(dx, 0), first_x - min(dx, 0))
            end = min(box.width + max(-dx, 0), end_x - max(dx, 0))
            source_away = dz * at.source_z + first * at.source_y + dx * L
            sums_away = dz * at.sums_z + first * at.sums_y + dx * L
            for i in range((end - low + COLUMNS - 1) // COLUMNS + ahead):
                to = at.columns + (i * COLUMNS * L & mask)
                a = at.source + corner + g.skip * at.source_y + (low + i * COLUMNS) * L
                if taps_y is None:
                    put_columns(M, to, row, shift, a, a + source_away, at.source_y, side_y, planes)
                else:
                    b, step = a + source_away, at.source_y
                    weigh_columns(M, to, row, shift, a, b, step, taps_y, side_y, taps_z, planes)
                if i < ahead:
                    continue
                x = low + (i - ahead) * COLUMNS
                start = ((i - ahead) * COLUMNS + g.skip) * L
                for r in range(rows):
                    for s in range(shifts):
                        v = at.columns + r * row + s * shift
                        if taps_y is None:
                            d = four_columns(M, v, start, mask, side_x)
                        else:
                            d = four_weighted_columns(M, v, start, mask, taps_x, side_x)
                        k = r * SHIFTS + s
                        bias = load(M, at.bias + k * L, 1)
                        if maps is None:  # known as it is compiled
                            w = weights_of(d, scales, bias)
                        else:
                            i_a = at.maps + corner + patch + x * L + r * at.source_y
                            i_b = i_a + source_away + s * at.source_y
                            w = local_weights(M, d, i_a, i_b, at.source_c, scales, bias)
                        store(M, at.weights + k * COLUMNS * L, w)
                for k in range(min(COLUMNS, end - x)):
                    w = at.weights + k * L
                    sums_a = here + (x + k) * L
                    sums_b = sums_a + sums_away
                    x_a = at.values + corner + patch + (x + k) * L
                    x_b = x_a + source_away
                    total_a, total_b = at.total + sums_a, at.total + sums_b
                    a, b = at.sums + sums_a, at.sums + sums_b
                    add_pairs(M, at, a, b, total_a, total_b, x_a, x_b, w, True)
                    for _ in range(1, channels):
                        a, b = a + at.sums_c, b + at.sums_c
                        x_a, x_b = x_a + at.source_c, x_b + at.source_c
                        add_pairs(M, at, a, b, total_a, total_b, x_a, x_b, w, False)
                    if g.centre == CENTRE_MAX:
                        keep_largest(M, at.largest + sums_a, at.largest + sums_b, at.sums_y, w)


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
                    i_y = box.low_y + lane % t.lanes_y * t.height + y + g.search_y - ABOVE
                    plane = zs[min(i_z, len(zs) - 1)]
                    row = image[c, plane, ys[min(max(i_y, 0), len(ys) - 1)]]
                    i = first + lane
                    for x in range(len(columns)):
                        M[i] = (row[columns[x]] - offset[c]) * scale
                        i += L


@compiled
def find_row(places, t, at, box, z, y, lanes_, g):
    """Where a row of the tile begins in the sums of each lane that holds it; how many do."""
    n = 0
    for lane in range(lanes_):
        i_z = z - box.low_z - lane // t.lanes_y * t.depth
        i_y = y - box.low_y - lane % t.lanes_y * t.height + ABOVE
        if 0 <= i_z < t.sums_z and 0 <= i_y < t.sums_y:
            places[n] = i_z * at.sums_z + i_y * at.sums_y + g.search_x * lanes_ + lane
            n += 1
    return n


@compiled
def write_row(out, isolated, image, offset, M, places, t, at, box, z, y, g, scales):
    """One row of the tile: the quotient of the sums, with the centre's own weight."""
    L = lanes(M)
    n = find_row(places, t, at, box, z, y, L, g)
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
def window_kernel(
    taken,
    image,
    image_offset,
    guide,
    guide_offset,
    maps,
    out,
    isolated,
    zs,
    ys,
    xs,
    integers,
    floats,
    planes,
    taps_z,
    taps_y,
    taps_x,
    done,
    cancel,
):
    """Tile by tile until none is left, in buffers allocated once."""
    g = Geometry(*to_fixed_tuple(integers[0], GEOMETRY))
    t = Tiles(*to_fixed_tuple(integers[1], TILES))
    at = Buffers(*to_fixed_tuple(integers[2], BUFFERS))
    scales = Scales(*to_fixed_tuple(floats, SCALES))
    channels, depth, height, width = out.shape
    L = lanes(out)
    buffer = np.empty(at.end + L, out.dtype)
    M = buffer[(-(buffer.ctypes.data // buffer.itemsize)) % L :]
    places = np.empty(L, np.intp)
    columns = np.empty(t.source_x, np.uint64)
    across_y, across_x = -(-height // t.tile_y), -(-width // t.tile_x)
    zero = fill(M.dtype.type(0), 1)
    while True:
        tile = claim(taken)
        if tile >= len(done):
            return
        z0 = tile // (across_y * across_x) * t.tile_z
        y0 = tile // across_x % across_y * t.tile_y
        x0 = tile % across_x * t.tile_x
        end_z, end_y = min(z0 + t.tile_z, depth), min(y0 + t.tile_y, height)
        box = Box(
            max(g.first_z, z0 - g.search_z),
            max(g.first_y, y0 - g.search_y),
            end_z,
            min(g.end_y, end_y + ABOVE),
            y0,
            end_y - y0,
            x0,
            min(t.tile_x, width - x0),
        )
        for x in range(t.source_x):
            columns[x] = xs[min(x0 + x, len(xs) - 1)]
        load_tile(M, t, at, box, image, image_offset, scales.image, zs, ys, columns, at.values, g)
        if at.source != at.values:
            load_tile(
                M, t, at, box, guide, guide_offset, scales.guide, zs, ys, columns, at.source, g
            )
        if maps is not None:
            none = np.zeros(len(maps), out.dtype)
            load_tile(M, t, at, box, maps, none, out.dtype.type(1), zs, ys, columns, at.maps, g)
        for i in range(at.total, at.columns, L):
            store(M, i, zero)
        for dz in range(g.search_z + 1):
            first_z, last_z = 0, t.depth
            if t.lanes_z == 1:  # else some lane has planes of the tile
                first_z = max(z0 - dz - box.low_z, 0)
                last_z = min(end_z, g.end_z - dz) - box.low_z
            for z in range(first_z, last_z):
                for y in range(0, t.height, ROWS):
                    for half in range(1 if dz > 0 else 2):
                        if cancel[0] != 0:
                            return
                        add_block(
                            M,
                            t,
                            at,
                            box,
                            z,
                            y,
                            dz,
                            half,
                            g,
                            scales,
                            planes,
                            taps_z,
                            taps_y,
                            taps_x,
                            channels,
                            maps,
                            cancel,
                        )
        for z in range(z0, end_z):
            for y in range(y0, end_y):
                write_row(
                    out, isolated, image, image_offset, M, places, t, at, box, z, y, g, scales
                )
        done[tile] = 1
