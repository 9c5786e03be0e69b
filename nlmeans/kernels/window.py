"""Gaussian f on patches, identity g, a search window, on planes: the classical filter.

    y_i = sum_j w_ij x_j / sum_j w_ij,    w_ij = 2^min(bias - scale * D_ij, 0),

D_ij the sum of squared differences over the patch and the channels. For one shift (dy, dx) the
pairs are a and b = a + (dy, dx). Four facts make it fast:

* D of neighbouring pairs share all but their edges: V holds, for each column, the sum of one
  column of the patch; a step down adds a row and takes one away; D adds patch-side columns of V.
* w_ab = w_ba: half the shifts serve both ends of every pair.
* Every inner loop runs along a row of flat buffers with unsigned indices (no wrap-around test),
  so that it vectorises; each is a function of its own. Measured at 7x7 patches: 5 to 7 ns a pixel
  and shift as plain loops over slices, 0.4 in this form, 0.3 with half the shifts.
* A tile (a band of rows, at most TILE_WIDTH columns) with its halo stays in the second-level
  cache. Running sums restart with each tile, so float32 does not drift.

Tiles depend on the image's shape alone and each is worked off by one thread in one order: the
result has the same bits for any number of threads.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit, prange

from nlmeans.kernels.exp2 import exp2_clamped

# No reassoc: see exp2. nnan and ninf hold because the input is checked and scaled to [-1, 1].
FASTMATH = {"contract", "nsz", "arcp", "nnan", "ninf"}
row_loop = njit(fastmath=FASTMATH, nogil=True, error_model="numpy")

CENTRE_ONE, CENTRE_MAX, CENTRE_ZERO = 0, 1, 2
PADDING = 16  # floats in a 512-bit vector: rows of weights are rounded up to whole vectors
U = np.uint64


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
def start_columns(V, F, channels, plane, a, shift, stride, height, n):
    """V[x] = sum over `height` rows below a, and channels, of squared differences to a + shift."""
    zero = V.dtype.type(0)
    for x in range(n):
        V[x] = zero
    for c in range(channels):
        for k in range(height):
            i = c * plane + a + k * stride
            j = i + shift
            for x in range(n):
                d = F[i + x] - F[j + x]
                V[x] += d * d


@row_loop
def step_columns(V, F, channels, plane, a, shift, stride, height, n):
    """Move V one row down: add row a + height, take away row a."""
    for c in range(channels):
        i0 = c * plane + a
        j0 = i0 + shift
        i1 = i0 + height * stride
        j1 = i1 + shift
        for x in range(n):
            d = F[i1 + x] - F[j1 + x]
            e = F[i0 + x] - F[j0 + x]
            V[x] += d * d - e * e


@row_loop
def weighted_columns(V, F, channels, plane, a, shift, stride, taps, n):
    """V[x] = the same sum with row k of the patch weighted by taps[k]."""
    zero = V.dtype.type(0)
    for x in range(n):
        V[x] = zero
    for c in range(channels):
        for k in range(U(len(taps))):
            tap = taps[k]
            i = c * plane + a + k * stride
            j = i + shift
            for x in range(n):
                d = F[i + x] - F[j + x]
                V[x] += tap * (d * d)


@row_loop
def sum_columns(D, V, width, n):
    """D[x] = V[x] + ... + V[x + width - 1], width odd; four taps a pass spare loads and stores."""
    if width & U(3) == U(1):
        k = U(1)
        for x in range(n):
            D[x] = V[x]
    else:
        k = U(3)
        for x in range(n):
            D[x] = V[x] + V[x + U(1)] + V[x + U(2)]
    while k < width:
        for x in range(n):
            i = x + k
            D[x] += (V[i] + V[i + U(1)]) + (V[i + U(2)] + V[i + U(3)])
        k += U(4)


@row_loop
def sum_weighted_columns(D, V, taps, n):
    """D[x] = sum over k of taps[k] V[x + k]."""
    zero = D.dtype.type(0)
    for x in range(n):
        D[x] = zero
    for k in range(U(len(taps))):
        tap = taps[k]
        for x in range(n):
            D[x] += tap * V[x + k]


@row_loop
def distances_to_weights(D, scale, bias, n):
    for x in range(n):
        D[x] = exp2_clamped(bias - D[x] * scale)


@row_loop
def add_weighted(total, acc, w, X, channels, plane, here, there, n):
    """total += w and acc += w * X for one end of every pair in the row."""
    for x in range(n):
        total[here + x] += w[x]
        acc[here + x] += w[x] * X[there + x]
    for c in range(U(1), channels):
        i = c * plane + here
        j = c * plane + there
        for x in range(n):
            acc[i + x] += w[x] * X[j + x]


@row_loop
def keep_largest(largest, w, here, n):
    for x in range(n):
        largest[here + x] = max(largest[here + x], w[x])


@row_loop
def load_tile(buffer, image, rows, cols, top, left, height, width, stride, plane, offset, scale):
    """Copy a tile with its halo into the flat buffer, mirrored by the index maps, scaled."""
    for c in range(image.shape[0]):
        for y in range(height):
            start = c * plane + y * stride
            for x in range(width):
                value = image[c, rows[top + y], cols[left + x]]
                buffer[start + x] = (value - offset[c]) * scale


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
def isolated_pixel(y, x, guide, rows, cols, X, middle, stride, plane, g, weighting, guide_scale,
                   taps_y, taps_x, centre, result):  # fmt: skip
    """One pixel with all weights divided by the largest: exact where they underflow together.

    Without the centre's weight of 1 all weights of an isolated pixel can be tiny, and their
    quotients still matter: at exponents beyond float32's digits too, so in float64 from the
    unscaled guide. Rare, so done pixel by pixel.
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
            for c in range(len(result)):
                sums[c] += w * X[U(c) * plane + middle + U(dy * np.int64(stride) + dx)]
    for c in range(len(result)):
        result[c] = sums[c] / total


@row_loop
def filter_tile(F, X, channels, planes, plane, stride, acc, total, largest, V, w, result,
                out, y0, x0, g, weighting, uniform, taps_y, taps_x, centre,
                value_offset, value_scale, guide, rows, cols, guide_scale, cancel):  # fmt: skip
    """All shifts over one loaded tile, then the quotient into `out`."""
    height = min(g.tile_y, out.shape[1] - y0)
    width = min(g.tile_x, out.shape[2] - x0)
    halo_y, halo_x = g.patch_y + g.search_y, g.patch_x + g.search_x
    low_y, end_y = g.first_y - y0, g.end_y - y0  # candidates, in the tile's coordinates
    low_x, end_x = g.first_x - x0, g.end_x - x0
    side_y, side_x = U(len(taps_y)), U(len(taps_x))
    zero = acc.dtype.type(0)
    for i in range(U(planes) * plane):
        acc[i] = zero
    for i in range(plane):
        total[i] = zero
    for i in range(U(len(largest))):
        largest[i] = zero
    S = np.int64(stride)

    for dy in range(g.search_y + 1):
        if cancel[0] != 0:
            return
        top = max(-dy, low_y)
        bottom = min(height, end_y - dy)
        for dx in range(-g.search_x if dy > 0 else 1, g.search_x + 1):
            # Columns of a: one end in the tile, both ends among the candidates.
            left = max(min(0, -dx), low_x, low_x - dx)
            right = min(max(width, width - dx), end_x, end_x - dx)
            if right <= left:
                continue
            n = U(right - left)
            whole = (n + U(PADDING - 1)) // U(PADDING) * U(PADDING)
            columns = whole + side_x
            shift = U(dy * S + dx)
            corner = U((top + g.search_y) * S + left + g.search_x)
            if uniform:
                start_columns(V, F, channels, plane, corner, shift, stride, side_y, columns)
            for y in range(top, bottom):
                corner = U((y + g.search_y) * S + left + g.search_x)
                a = U((y + halo_y) * S + left + halo_x)
                b = a + shift
                if uniform:
                    sum_columns(w, V, side_x, whole)
                else:
                    weighted_columns(V, F, channels, plane, corner, shift, stride, taps_y, columns)
                    sum_weighted_columns(w, V, taps_x, whole)
                distances_to_weights(w, weighting.scale, weighting.bias, whole)
                for x in range(n, whole):
                    w[x] = zero
                if y >= 0:
                    add_weighted(total, acc, w, X, planes, plane, a, b, whole)
                    if centre == CENTRE_MAX:
                        keep_largest(largest, w, a, whole)
                if y + dy < height:
                    add_weighted(total, acc, w, X, planes, plane, b, a, whole)
                    if centre == CENTRE_MAX:
                        keep_largest(largest, w, b, whole)
                if uniform and y + 1 < bottom:
                    step_columns(V, F, channels, plane, corner, shift, stride, side_y, columns)

    one = acc.dtype.type(1)
    for y in range(height):
        for x in range(width):
            i = U((y + halo_y) * S + x + halo_x)
            own = one
            if centre == CENTRE_MAX:
                own = largest[i]
            elif centre == CENTRE_ZERO:
                own = zero
            if centre != CENTRE_ONE and total[i] < weighting.smallest:
                isolated_pixel(y0 + y, x0 + x, guide, rows, cols, X, i, stride, plane, g,
                               weighting, guide_scale, taps_y, taps_x, centre, result)  # fmt: skip
            else:
                for c in range(planes):
                    j = U(c) * plane + i
                    result[c] = (acc[j] + own * X[j]) / (total[i] + own)
            for c in range(planes):
                out[c, y0 + y, x0 + x] = result[c] / value_scale + value_offset[c]


@row_loop
def filter_tiles(worker, workers, image, guide, out, rows, cols, g, weighting, uniform, taps_y,
                 taps_x, centre, image_offset, image_scale, guide_offset, guide_scale, same,
                 done, cancel):  # fmt: skip
    """Every tile whose number is `worker` modulo `workers`, in buffers allocated once."""
    across = (out.shape[2] + g.tile_x - 1) // g.tile_x
    halo_y, halo_x = g.patch_y + g.search_y, g.patch_x + g.search_x
    stride = (g.tile_x + 2 * halo_x + 2 * PADDING) // PADDING * PADDING
    plane = (g.tile_y + 2 * halo_y) * stride + 4 * PADDING
    channels, planes = guide.shape[0], out.shape[0]
    dtype = out.dtype
    X = np.zeros(planes * plane, dtype)
    F = X if same else np.zeros(channels * plane, dtype)
    acc = np.empty(planes * plane, dtype)
    total = np.empty(plane, dtype)
    largest = np.empty(plane if centre == CENTRE_MAX else 0, dtype)
    V = np.zeros(stride + 2 * PADDING, dtype)
    w = np.zeros(stride + 2 * PADDING, dtype)
    result = np.empty(planes, dtype)
    for tile in range(worker, len(done), workers):
        if cancel[0] != 0:
            break
        y0 = tile // across * g.tile_y
        x0 = tile % across * g.tile_x
        height = min(g.tile_y, out.shape[1] - y0) + 2 * halo_y
        width = min(g.tile_x, out.shape[2] - x0) + 2 * halo_x
        load_tile(X, image, rows, cols, y0, x0, height, width, stride, plane,
                  image_offset, image_scale)  # fmt: skip
        if not same:
            load_tile(F, guide, rows, cols, y0, x0, height, width, stride, plane,
                      guide_offset, guide_scale)  # fmt: skip
        filter_tile(F, X, U(channels), U(planes), U(plane), U(stride), acc, total, largest, V, w,
                    result, out, y0, x0, g, weighting, uniform, taps_y, taps_x, centre,
                    image_offset, image_scale, guide, rows, cols, guide_scale, cancel)  # fmt: skip
        done[tile] = 1


# Two functions of two names, not one function compiled twice: Numba's disk cache tells functions
# apart by name and source alone, not by their options.
@njit(parallel=True, nogil=True, cache=True)
def window_parallel(workers, image, guide, out, rows, cols, g, weighting, uniform, taps_y, taps_x,
                    centre, image_offset, image_scale, guide_offset, guide_scale, same, done,
                    cancel):  # fmt: skip
    for worker in prange(workers):
        filter_tiles(worker, workers, image, guide, out, rows, cols, g, weighting, uniform, taps_y,
                     taps_x, centre, image_offset, image_scale, guide_offset, guide_scale, same,
                     done, cancel)  # fmt: skip


@njit(nogil=True, cache=True)
def window_serial(workers, image, guide, out, rows, cols, g, weighting, uniform, taps_y, taps_x,
                  centre, image_offset, image_scale, guide_offset, guide_scale, same, done,
                  cancel):  # fmt: skip
    for worker in range(workers):
        filter_tiles(worker, workers, image, guide, out, rows, cols, g, weighting, uniform, taps_y,
                     taps_x, centre, image_offset, image_scale, guide_offset, guide_scale, same,
                     done, cancel)  # fmt: skip
