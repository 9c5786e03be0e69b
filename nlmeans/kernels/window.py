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

Running sums restart with every tile and segment, so float32 does not drift. Tiles depend on the
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


class Weighting(NamedTuple):
    """w = 2^min(bias - scale * D, 0) of a patch sum D."""

    scale: Any  # of the kernel's float type, as bias
    bias: Any
    smallest: Any  # below this sum of weights a pixel is isolated: see isolated_pixel
    exact_scale: float  # the same in float64
    exact_bias: float


@row_loop
def start_columns(V, v, F, channels, plane, a, shift, stride, height, n):
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
                V[v + x] += d * d


@row_loop
def step_columns(V, v, pitch, F, channels, plane, a, shift, stride, height, n):
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
            V[v + x] += d * d - e * e
            d, e = new - F[j1 + x + L], old - F[j0 + x + L]
            V[v1 + x] += d * d - e * e
            d, e = new - F[j1 + x + L2], old - F[j0 + x + L2]
            V[v2 + x] += d * d - e * e
            d, e = new - F[j1 + x + L3], old - F[j0 + x + L3]
            V[v3 + x] += d * d - e * e


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
def patch_distance(guide, rows, cols, y, x, dy, dx, scale, taps_y, taps_x):
    """D of the pair of patches with corners (y, x) and (y + dy, x + dx), directly in float64."""
    total = 0.0
    for c in range(guide.shape[0]):
        for k in range(len(taps_y)):
            for m in range(len(taps_x)):
                a = np.float64(guide[c, rows[y + k], cols[x + m]]) * scale
                b = np.float64(guide[c, rows[y + dy + k], cols[x + dx + m]]) * scale
                total += np.float64(taps_y[k] * taps_x[m]) * (a - b) ** 2
    return total


@row_loop
def isolated_pixel(y, x, image, guide, rows, cols, g, weighting, guide_scale, taps_y, taps_x,
                   centre, result):  # fmt: skip
    """One pixel with all weights divided by the largest: exact where they underflow together.

    Without the centre's weight of 1 all weights of an isolated pixel can be tiny, and their
    quotients still matter: at exponents beyond float32's digits too, so in float64 and from the
    images themselves. Rare, so done pixel by pixel.
    """
    low_y, end_y = max(-g.search_y, g.first_y - y), min(g.search_y, g.end_y - 1 - y) + 1
    low_x, end_x = max(-g.search_x, g.first_x - x), min(g.search_x, g.end_x - 1 - x) + 1
    corner_y, corner_x = y + g.search_y, x + g.search_x  # in the index maps, which have a halo
    exponents = np.empty((end_y - low_y) * (end_x - low_x))
    best = -(np.float64(2) ** 1000)
    k = 0
    for dy in range(low_y, end_y):
        for dx in range(low_x, end_x):
            D = patch_distance(guide, rows, cols, corner_y, corner_x, dy, dx, guide_scale,
                               taps_y, taps_x)  # fmt: skip
            exponents[k] = min(weighting.exact_bias - D * weighting.exact_scale, 0.0)
            if dy != 0 or dx != 0:
                best = max(best, exponents[k])
            k += 1

    sums = np.zeros(len(result))
    total = 0.0
    k = 0
    for dy in range(low_y, end_y):
        for dx in range(low_x, end_x):
            w = exp2_clamped(exponents[k] - best)
            k += 1
            if dy == 0 and dx == 0:
                w = 1.0 if centre == CENTRE_MAX or len(exponents) == 1 else 0.0
            total += w
            row, col = rows[corner_y + g.patch_y + dy], cols[corner_x + g.patch_x + dx]
            for c in range(len(result)):
                sums[c] += w * np.float64(image[c, row, col])
    for c in range(len(result)):
        result[c] = sums[c] / total


@row_loop
def load_tile(buffer, image, rows, columns, top, height, segment, halo, offset, scale, line):
    """Copy a tile with its halo into lanes, mirrored by the index maps, brought into [-1, 1].

    Lane l of vector k of a row holds column number l * segment + k of `columns`.
    """
    vectors = U(segment + 2 * halo)
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
               end_y, channels, planes, weighting, uniform, taps_y, taps_x, centre,
               cancel):  # fmt: skip
    """Add every pair of a loaded tile to `total` and `acc`, for both of its ends."""
    halo_y = g.patch_y + g.search_y
    S = np.int64((segment + 2 * halo_x) * LANES)
    stride = U(S)
    plane, acc_plane = U((height + 2 * halo_y) * S), U(height * S)
    n = U(segment * LANES)
    columns = n + U(2 * g.patch_x * LANES)
    side_y, side_x = U(len(taps_y)), U(len(taps_x))
    pitch, w_pitch = columns + L, n + U(2) * L3
    origin = halo_x * LANES  # position 0 of a row
    zero = W.dtype.type(0)
    for dy in range(g.search_y + 1):
        if cancel[0] != 0:
            return
        top = max(-dy, low_y)
        bottom = min(height, end_y - dy)
        first = -g.search_x if dy > 0 else 1
        for y in range(top, bottom):
            a = (y + halo_y) * S + origin
            corner = U(a - g.patch_y * S - g.patch_x * LANES)
            here = U(y * S + origin)
            for group in range(first, g.search_x + 1, GROUP):
                shift = U(dy * S + group * LANES)
                v = U(group - first) * pitch + L
                if uniform and y > top:
                    step_columns(V, v, pitch, F, channels, plane, corner - stride, shift, stride,
                                 side_y, columns)  # fmt: skip
                for k in range(GROUP):
                    dx = group + k
                    w, vk, sk = U(k) * w_pitch + L3, v + U(k) * pitch, shift + U(k) * L
                    if dx > g.search_x:
                        for x in range(n):
                            W[w + x] = zero
                        continue
                    if not uniform:
                        weighted_columns(V, vk, F, channels, plane, corner, sk, stride, taps_y,
                                         columns)  # fmt: skip
                        weights_of_weighted_columns(W, w, V, vk, taps_x, weighting.scale,
                                                    weighting.bias, n)  # fmt: skip
                    else:
                        if y == top:
                            start_columns(V, vk, F, channels, plane, corner, sk, stride, side_y,
                                          columns)  # fmt: skip
                        weights_of_columns(W, w, D, V, vk, side_x, weighting.scale,
                                           weighting.bias, n)  # fmt: skip
                    for x in range(max(0, -dx)):
                        W[w + slots[x]] = zero
                    for x in range(max(0, min(span, span - dx)), len(slots)):
                        W[w + slots[x]] = zero
                    if centre == CENTRE_MAX:
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
def filter_tiles(worker, workers, image, guide, out, rows, cols, g, weighting, uniform, taps_y,
                 taps_x, centre, image_offset, image_scale, guide_offset, guide_scale, same,
                 done, cancel):  # fmt: skip
    """Every tile whose number is `worker` modulo `workers`, in buffers allocated once."""
    across = (out.shape[2] + g.tile_x - 1) // g.tile_x
    channels, planes = guide.shape[0], out.shape[0]
    halo_y, halo_x = g.patch_y + g.search_y, g.patch_x + g.search_x + GROUP - 1
    widest = min(g.tile_x + 2 * g.search_x, g.end_x - g.first_x)
    segment = (widest + LANES - 1) // LANES
    stride = (segment + 2 * halo_x) * LANES
    dtype = out.dtype
    X = aligned(planes * (g.tile_y + 2 * halo_y) * stride, dtype)
    F = X if same else aligned(channels * (g.tile_y + 2 * halo_y) * stride, dtype)
    acc = aligned(planes * g.tile_y * stride, dtype)
    total = aligned(g.tile_y * stride, dtype)
    largest = aligned(g.tile_y * stride if centre == CENTRE_MAX else 0, dtype)
    V = aligned((2 * g.search_x + GROUP) * (segment + 2 * g.patch_x + 1) * LANES, dtype)
    D = aligned((segment + 2 * g.patch_x + 1) * LANES, dtype)
    W = aligned(GROUP * (segment + 6) * LANES, dtype)
    slots = np.empty(segment * LANES, np.uint64)
    for x in range(len(slots)):
        slots[x] = x % segment * LANES + x // segment
    line = np.empty(segment * LANES + 2 * halo_x, dtype)
    columns = np.empty(len(line), np.uint64)
    row_acc = np.empty((planes, segment * LANES), dtype)
    row_total = np.empty(segment * LANES, dtype)
    row_largest = np.empty(segment * LANES, dtype)
    result = np.empty(planes, dtype)
    one, zero = dtype.type(1), dtype.type(0)

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
        for x in range(len(columns)):
            # The index maps have no halo for the group, nor for the last lanes: there the value
            # does not matter, as no candidate is.
            column = min(max(left - (GROUP - 1) + x, 0), len(cols) - 1)
            columns[x] = cols[column]
        span = min(g.end_x, x0 + width + g.search_x) - left
        load_tile(X, image, rows, columns, y0, height + 2 * halo_y, segment, halo_x,
                  image_offset, image_scale, line)  # fmt: skip
        if not same:
            load_tile(F, guide, rows, columns, y0, height + 2 * halo_y, segment, halo_x,
                      guide_offset, guide_scale, line)  # fmt: skip
        fill(acc, zero)
        fill(total, zero)
        fill(largest, zero)
        add_shifts(F, X, acc, total, largest, V, D, W, slots, height, span, segment, halo_x, g,
                   g.first_y - y0, g.end_y - y0, U(channels), U(planes), weighting, uniform,
                   taps_y, taps_x, centre, cancel)  # fmt: skip

        for y in range(height):
            k = y * stride
            gather_row(row_total, total, k, span, segment, halo_x, g.search_x, False)
            if centre == CENTRE_MAX:
                gather_row(row_largest, largest, k, span, segment, halo_x, g.search_x, True)
            for c in range(planes):
                k = (c * height + y) * stride
                gather_row(row_acc[c], acc, k, span, segment, halo_x, g.search_x, False)
            for x in range(x0, x0 + width):
                i = x - left
                if centre != CENTRE_ONE and row_total[i] < weighting.smallest:
                    isolated_pixel(y0 + y, x, image, guide, rows, cols, g, weighting, guide_scale,
                                   taps_y, taps_x, centre, result)  # fmt: skip
                    for c in range(planes):
                        out[c, y0 + y, x] = result[c]
                    continue
                own = one
                if centre == CENTRE_MAX:
                    own = row_largest[i]
                elif centre == CENTRE_ZERO:
                    own = zero
                for c in range(planes):
                    value = (image[c, y0 + y, x] - image_offset[c]) * image_scale
                    mean = (row_acc[c, i] + own * value) / (row_total[i] + own)
                    out[c, y0 + y, x] = mean / image_scale + image_offset[c]
        done[tile] = 1


# Two functions of two names, not one function compiled twice: Numba's disk cache tells functions
# apart by name and source alone, not by their options.
@njit(parallel=True, nogil=True, cache=True)
def window_parallel(workers, image, guide, out, rows, cols, g, weighting, uniform, taps_y, taps_x,
                    centre, image_offset, image_scale, guide_offset, guide_scale, same, done,
                    cancel):  # fmt: skip
    for worker in prange(workers):
        # int64 as in the serial kernel: prange counts in uint64, another 4 s of compiling
        filter_tiles(np.int64(worker), workers, image, guide, out, rows, cols, g, weighting,
                     uniform, taps_y, taps_x, centre, image_offset, image_scale, guide_offset,
                     guide_scale, same, done, cancel)  # fmt: skip


@njit(nogil=True, cache=True)
def window_serial(workers, image, guide, out, rows, cols, g, weighting, uniform, taps_y, taps_x,
                  centre, image_offset, image_scale, guide_offset, guide_scale, same, done,
                  cancel):  # fmt: skip
    for worker in range(workers):
        filter_tiles(worker, workers, image, guide, out, rows, cols, g, weighting, uniform, taps_y,
                     taps_x, centre, image_offset, image_scale, guide_offset, guide_scale, same,
                     done, cancel)  # fmt: skip
