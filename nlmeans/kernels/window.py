"""The window kernel: Gaussian f on patches, identity g, a search window: the classical filter.

    y_i = sum_j w_ij x_j / sum_j w_ij,    w_ij = 2^min(bias - scale * D_ij, 0),

D_ij the sum of squared differences over the patch and the channels. For one shift (dy, dx) the
pairs are a and b = a + (dy, dx), and w_ab = w_ba: half the shifts serve both ends of every pair.

* D of neighbouring pairs share all but their edges. V holds, for each column, the sum over one
  column of the patch; a step down adds a row and takes one away. D is a running sum of V.
* Lanes: a row of a tile is cut into 16 segments, and position k of all segments makes one 512-bit
  vector. A neighbour in x is then the next vector: every load is aligned, and the running sum is
  over vectors, so that its cost does not depend on the patch size.
* Four neighbouring shifts together load and store the sums, and the row of a, once.
* All shifts of one dy are worked off row by row, so that rows stay in the first-level cache.
* Every inner loop is a function of its own over flat buffers with unsigned indices (no test for
  negative ones), without which Numba's loops did not vectorise.

Measured at 512x512, patch 7, search 21, one thread: 61 ms with V alone, 46 ms with lanes, 40 ms
with groups of four.

Running sums keep rounding errors of what has left them. So squared differences are clipped where
one alone makes the weight negligible, which changes no other weight, and the sums restart with
every tile and segment. Tiles depend on the
image's shape alone and each is worked off by one thread in one order: the result has the same bits
for any number of threads.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit, prange

from nlmeans.kernels.exp2 import exp2_clamped

# No reassoc: see exp2. nnan and ninf hold because the input is checked and scaled to [-1, 1].
FASTMATH = {"contract", "nsz", "arcp", "nnan", "ninf"}
row_loop = njit(fastmath=FASTMATH, nogil=True, error_model="numpy")

CENTRE_ONE, CENTRE_MAX, CENTRE_ZERO = 0, 1, 2
LANES = 16  # floats in a 512-bit vector
GROUP = 4  # shifts handled together
U = np.uint64
L = U(LANES)
L2, L3 = U(2 * LANES), U(3 * LANES)


class Geometry(NamedTuple):
    """Sizes in pixels, all integers: radii of patch and search, tile sizes, candidate range."""

    patch_y: int
    patch_x: int
    search_y: int
    search_x: int
    tile_y: int
    tile_x: int
    first_y: int  # candidates are first <= y < end, in image coordinates
    end_y: int
    first_x: int
    end_x: int


class Planes(NamedTuple):
    """An image (C, H, W) and what brings it into [-1, 1]: (values - offset) * scale."""

    values: Any
    offset: Any  # one a channel
    scale: Any  # a power of two, of the kernel's float type


class Patch(NamedTuple):
    """How the patch's pixels are weighted: taps along y and x, of mean 1."""

    taps_y: Any
    taps_x: Any
    uniform: bool  # all taps are 1


class Weighting(NamedTuple):
    """w = 2^min(bias - scale * D, 0) of a patch sum D, in the kernel's float type."""

    scale: Any
    bias: Any
    most: Any  # beyond this one squared difference alone makes the weight negligible
    smallest: Any  # of the sums of weights that are exact: below, see kernels/isolated.py
    centre: int  # CENTRE_ONE, CENTRE_MAX or CENTRE_ZERO


@row_loop
def start_columns(V, v, F, channels, plane, a, shift, stride, height, most, n):
    """V[x] = sum over `height` rows below a, and channels, of squared differences to a + shift."""
    zero = V.dtype.type(0)
    for x in range(n):
        V[v + x] = zero
    for c in range(channels):
        for k in range(height):
            i = c * plane + a + k * stride
            j = i + shift
            for x in range(n):
                d = F[i + x] - F[j + x]
                V[v + x] += min(d * d, most)


@row_loop
def step_columns(V, v, pitch, F, channels, plane, a, shift, stride, height, most, n):
    """Move V of four neighbouring shifts a row down: add row a + height, take away row a."""
    v1, v2, v3 = v + pitch, v + U(2) * pitch, v + U(3) * pitch
    for c in range(channels):
        i0 = c * plane + a
        j0 = i0 + shift
        i1 = i0 + height * stride
        j1 = i1 + shift
        for x in range(n):
            new, old = F[i1 + x], F[i0 + x]
            d, e = new - F[j1 + x], old - F[j0 + x]
            V[v + x] += min(d * d, most) - min(e * e, most)
            d, e = new - F[j1 + x + L], old - F[j0 + x + L]
            V[v1 + x] += min(d * d, most) - min(e * e, most)
            d, e = new - F[j1 + x + L2], old - F[j0 + x + L2]
            V[v2 + x] += min(d * d, most) - min(e * e, most)
            d, e = new - F[j1 + x + L3], old - F[j0 + x + L3]
            V[v3 + x] += min(d * d, most) - min(e * e, most)


@row_loop
def weighted_columns(V, v, F, channels, plane, a, shift, stride, taps, n):
    """V[x] = the same sum with row k of the patch weighted by taps[k]."""
    zero = V.dtype.type(0)
    for x in range(n):
        V[v + x] = zero
    for c in range(channels):
        for k in range(U(len(taps))):
            tap = taps[k]
            i = c * plane + a + k * stride
            j = i + shift
            for x in range(n):
                d = F[i + x] - F[j + x]
                V[v + x] += tap * (d * d)


@row_loop
def weights_of_columns(W, w, D, V, v, width, scale, bias, n):
    """W of D[k] = V[k] + ... + V[k + width - 1], per lane a running sum over positions k.

    D starts with a vector of zeros and the vector before V[v] is zero. LLVM keeps the running sum
    in a register: in one loop with the weights it costs as much as in a loop of its own.
    """
    ahead = (width - U(1)) * L
    for x in range(ahead):
        D[L + x] = D[x] + V[v + x]
    for x in range(n):
        d = D[ahead + x] + (V[v + ahead + x] - V[v - L + x])
        D[ahead + L + x] = d
        W[w + x] = exp2_clamped(bias - d * scale)


@row_loop
def weights_of_weighted_columns(W, w, V, v, taps, scale, bias, n):
    """W of D[k] = sum over m of taps[m] V[k + m]."""
    zero = W.dtype.type(0)
    for x in range(n):
        W[w + x] = zero
    for m in range(U(len(taps))):
        tap = taps[m]
        for x in range(n):
            W[w + x] += tap * V[v + m * L + x]
    for x in range(n):
        W[w + x] = exp2_clamped(bias - W[w + x] * scale)


@row_loop
def add_to_first(total, acc, W, w, pitch, X, channels, acc_plane, plane, here, there, n):
    """total += w and acc += w * X at a, for four shifts: one load and store of the sums."""
    w1, w2, w3 = w + pitch, w + U(2) * pitch, w + U(3) * pitch
    for x in range(n):
        total[here + x] += (W[w + x] + W[w1 + x]) + (W[w2 + x] + W[w3 + x])
    for c in range(channels):
        i = c * acc_plane + here
        j = c * plane + there
        for x in range(n):
            acc[i + x] += (W[w + x] * X[j + x] + W[w1 + x] * X[j + x + L]) + (
                W[w2 + x] * X[j + x + L2] + W[w3 + x] * X[j + x + L3]
            )


@row_loop
def add_to_second(total, acc, W, w, pitch, X, channels, acc_plane, plane, here, there, n):
    """The same at b = a + shift, where the four meet with a in different places.

    The rows of W have three vectors of zeros at either end, so that the four ranges are one.
    """
    w1, w2, w3 = w + pitch - L, w + U(2) * pitch - L2, w + U(3) * pitch - L3
    for x in range(n + L3):
        total[here + x] += (W[w + x] + W[w1 + x]) + (W[w2 + x] + W[w3 + x])
    for c in range(channels):
        i = c * acc_plane + here
        j = c * plane + there
        for x in range(n + L3):
            acc[i + x] += (W[w + x] * X[j + x] + W[w1 + x] * X[j + x - L]) + (
                W[w2 + x] * X[j + x - L2] + W[w3 + x] * X[j + x - L3]
            )


@row_loop
def keep_largest(largest, here, W, w, n):
    for x in range(n):
        largest[here + x] = max(largest[here + x], W[w + x])


@row_loop
def load_tile(buffer, planes, rows, columns, top, height, segment, halo, line):
    """Copy a tile with its halo into lanes, mirrored by the index maps, brought into [-1, 1].

    Lane l of vector k of a row holds column number l * segment + k of `columns`.
    """
    vectors = U(segment + 2 * halo)
    image, offset, scale = planes.values, planes.offset, planes.scale
    for c in range(U(image.shape[0])):
        for y in range(U(height)):
            row = U(rows[U(top) + y])
            for x in range(U(len(line))):
                line[x] = (image[c, row, columns[x]] - offset[c]) * scale
            start = (c * U(height) + y) * vectors * L
            # Lanes inside: outside, LLVM made 5 times the code of it, and no faster.
            for k in range(vectors):
                for lane in range(L):
                    buffer[start + k * L + lane] = line[lane * U(segment) + k]


@row_loop
def fill(buffer, value):
    for i in range(U(len(buffer))):
        buffer[i] = value


@row_loop
def add_shifts(F, X, acc, total, largest, V, D, W, slots, height, span, segment, halo_x, g, low_y,
               end_y, channels, planes, weighting, patch, cancel):  # fmt: skip
    """Add every pair of a loaded tile to `total` and `acc`, for both of its ends."""
    halo_y = g.patch_y + g.search_y
    S = np.int64((segment + 2 * halo_x) * LANES)
    stride = U(S)
    plane, acc_plane = U((height + 2 * halo_y) * S), U(height * S)
    n = U(segment * LANES)
    columns = n + U(2 * g.patch_x * LANES)
    side_y, side_x = U(len(patch.taps_y)), U(len(patch.taps_x))
    pitch, w_pitch = columns + L, n + U(2) * L3
    origin = halo_x * LANES  # position 0 of a row
    zero = W.dtype.type(0)
    for dy in range(g.search_y + 1):
        top = max(-dy, low_y)
        bottom = min(height, end_y - dy)
        first = -g.search_x if dy > 0 else 1
        fresh = True  # V has to be summed from scratch
        for y in range(top, bottom):
            if cancel[0] != 0:
                return
            if y < 0 and y + dy >= height:  # a lies above the tile and b below it
                fresh = True
                continue
            a = (y + halo_y) * S + origin
            corner = U(a - g.patch_y * S - g.patch_x * LANES)
            here = U(y * S + origin)
            for group in range(first, g.search_x + 1, GROUP):
                shift = U(dy * S + group * LANES)
                v = U(group - first) * pitch + L
                if patch.uniform and not fresh:
                    step_columns(V, v, pitch, F, channels, plane, corner - stride, shift, stride,
                                 side_y, weighting.most, columns)  # fmt: skip
                for k in range(GROUP):
                    dx = group + k
                    w, vk, sk = U(k) * w_pitch + L3, v + U(k) * pitch, shift + U(k) * L
                    if dx > g.search_x:
                        for x in range(n):
                            W[w + x] = zero
                        continue
                    if not patch.uniform:
                        weighted_columns(V, vk, F, channels, plane, corner, sk, stride,
                                         patch.taps_y, columns)  # fmt: skip
                        weights_of_weighted_columns(W, w, V, vk, patch.taps_x, weighting.scale,
                                                    weighting.bias, n)  # fmt: skip
                    else:
                        if fresh:
                            start_columns(V, vk, F, channels, plane, corner, sk, stride, side_y,
                                          weighting.most, columns)  # fmt: skip
                        weights_of_columns(W, w, D, V, vk, side_x, weighting.scale,
                                           weighting.bias, n)  # fmt: skip
                    for x in range(max(0, -dx)):
                        W[w + slots[x]] = zero
                    for x in range(max(0, min(span, span - dx)), len(slots)):
                        W[w + slots[x]] = zero
                    if weighting.centre == CENTRE_MAX:
                        if y >= 0:
                            keep_largest(largest, here, W, w, n)
                        if y + dy < height:
                            keep_largest(largest, here + sk, W, w, n)
                if y >= 0:
                    add_to_first(total, acc, W, L3, w_pitch, X, planes, acc_plane, plane, here,
                                 U(a) + shift, n)  # fmt: skip
                if y + dy < height:
                    add_to_second(total, acc, W, L3, w_pitch, X, planes, acc_plane, plane,
                                  here + shift, U(a), n)  # fmt: skip
            fresh = False


@row_loop
def gather_row(line, lanes, start, span, segment, halo_x, search_x, largest):
    """Sum, or take the largest of, what the lanes of a row hold of each column.

    A halo belongs to the columns of the neighbouring segments.
    """
    for x in range(U(span)):
        line[x] = 0
    for lane in range(LANES):
        first = lane * segment - search_x
        low, high = max(first, 0), min(first + segment + 2 * search_x, span)
        i = U(start + (low - first + halo_x - search_x) * LANES + lane)
        for x in range(U(low), U(max(high, low))):
            value = lanes[i]
            line[x] = max(line[x], value) if largest else line[x] + value
            i += L


@row_loop
def aligned(n, dtype):
    """Zeros that start on a cache line: unaligned vectors cost up to twice the time."""
    buffer = np.zeros(n + LANES, dtype)
    start = (-(buffer.ctypes.data // buffer.itemsize)) % LANES
    return buffer[start : start + n]


@row_loop
def write_tile(out, isolated, image, acc, total, largest, lines, y0, x0, height, width, left, span,
               segment, halo_x, search_x, weighting):  # fmt: skip
    """The quotient of the sums, with the centre's own weight, in the image's units."""
    row_total, row_largest, row_acc = lines[0], lines[1], lines[2:]
    stride = (segment + 2 * halo_x) * LANES
    zero, one = out.dtype.type(0), out.dtype.type(1)
    for y in range(height):
        start = y * stride
        gather_row(row_total, total, start, span, segment, halo_x, search_x, False)
        if weighting.centre == CENTRE_MAX:
            gather_row(row_largest, largest, start, span, segment, halo_x, search_x, True)
        for c in range(len(row_acc)):
            start = (c * height + y) * stride
            gather_row(row_acc[c], acc, start, span, segment, halo_x, search_x, False)
        for x in range(x0, x0 + width):
            i = x - left
            own = one
            if weighting.centre != CENTRE_ONE:
                own = row_largest[i] if weighting.centre == CENTRE_MAX else zero
                if row_total[i] < weighting.smallest:
                    isolated[y0 + y, x] = True
                    continue
            for c in range(len(row_acc)):
                value = (image.values[c, y0 + y, x] - image.offset[c]) * image.scale
                mean = (row_acc[c, i] + own * value) / (row_total[i] + own)
                out[c, y0 + y, x] = mean / image.scale + image.offset[c]


@row_loop
def filter_tiles(worker, workers, image, guide, same, out, isolated, rows, cols, g, weighting,
                 patch, done, cancel):  # fmt: skip
    """Every tile whose number is `worker` modulo `workers`, in buffers allocated once."""
    across = (out.shape[2] + g.tile_x - 1) // g.tile_x
    channels, planes = guide.values.shape[0], out.shape[0]
    halo_y, halo_x = g.patch_y + g.search_y, g.patch_x + g.search_x + GROUP - 1
    widest = min(g.tile_x + 2 * g.search_x, g.end_x - g.first_x)
    segment = (widest + LANES - 1) // LANES
    stride = (segment + 2 * halo_x) * LANES
    dtype = out.dtype
    X = aligned(planes * (g.tile_y + 2 * halo_y) * stride, dtype)
    F = X if same else aligned(channels * (g.tile_y + 2 * halo_y) * stride, dtype)
    acc = aligned(planes * g.tile_y * stride, dtype)
    total = aligned(g.tile_y * stride, dtype)
    largest = aligned(g.tile_y * stride if weighting.centre == CENTRE_MAX else 0, dtype)
    V = aligned((2 * g.search_x + GROUP) * (segment + 2 * g.patch_x + 1) * LANES, dtype)
    D = aligned((segment + 2 * g.patch_x + 1) * LANES, dtype)
    W = aligned(GROUP * (segment + 6) * LANES, dtype)
    slots = np.empty(segment * LANES, np.uint64)  # where column x of the tile is in a row of W
    for x in range(len(slots)):
        slots[x] = x % segment * LANES + x // segment
    columns = np.empty(segment * LANES + 2 * halo_x, np.uint64)
    lines = np.empty((planes + 2, len(columns)), dtype)

    for tile in range(worker, len(done), workers):
        if cancel[0] != 0:
            break
        y0 = tile // across * g.tile_y
        x0 = tile % across * g.tile_x
        height = min(g.tile_y, out.shape[1] - y0)
        width = min(g.tile_x, out.shape[2] - x0)
        # Both ends of a pair lie in columns left <= x < left + span: the outputs and, where there
        # are candidates, a search radius more.
        left = max(g.first_x, x0 - g.search_x)
        span = min(g.end_x, x0 + width + g.search_x) - left
        for x in range(len(columns)):
            # The index map has no halo for the group, nor for the last lanes: there the value
            # does not matter, as no candidate is.
            columns[x] = cols[min(max(left - (GROUP - 1) + x, 0), len(cols) - 1)]
        load_tile(X, image, rows, columns, y0, height + 2 * halo_y, segment, halo_x, lines[0])
        if not same:
            load_tile(F, guide, rows, columns, y0, height + 2 * halo_y, segment, halo_x, lines[0])
        fill(acc, dtype.type(0))
        fill(total, dtype.type(0))
        fill(largest, dtype.type(0))
        add_shifts(F, X, acc, total, largest, V, D, W, slots, height, span, segment, halo_x, g,
                   g.first_y - y0, g.end_y - y0, U(channels), U(planes), weighting, patch,
                   cancel)  # fmt: skip
        write_tile(out, isolated, image, acc, total, largest, lines, y0, x0, height, width, left,
                   span, segment, halo_x, g.search_x, weighting)  # fmt: skip
        done[tile] = 1


# Two functions of two names, not one function compiled twice: Numba's disk cache tells functions
# apart by name and source alone, not by their options.
@njit(parallel=True, nogil=True, cache=True)
def window_parallel(workers, image, guide, same, out, isolated, rows, cols, g, weighting, patch,
                    done, cancel):  # fmt: skip
    for worker in prange(workers):
        # int64 as in the serial kernel: prange counts in uint64, another 4 s of compiling
        filter_tiles(np.int64(worker), workers, image, guide, same, out, isolated, rows, cols, g,
                     weighting, patch, done, cancel)  # fmt: skip


@njit(nogil=True, cache=True)
def window_serial(workers, image, guide, same, out, isolated, rows, cols, g, weighting, patch,
                  done, cancel):  # fmt: skip
    for worker in range(workers):
        filter_tiles(worker, workers, image, guide, same, out, isolated, rows, cols, g, weighting,
                     patch, done, cancel)  # fmt: skip
