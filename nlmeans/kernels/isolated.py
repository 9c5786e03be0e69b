"""Isolated pixels: those whose weights, without a weight of 1 for the centre, are all tiny.

    y_i = sum_j w_ij x_j / sum_j w_ij,   w_ij = 2^(e_ij - max_k e_ik),   e = min(bias - scale D, 0)

Where all weights of a pixel underflow together their quotients still matter. They are divided by
the largest, and computed at exponents beyond float32's digits: in float64, patch by patch. The
window kernel marks these pixels; they are few, unless h is far below the noise.
"""

import numpy as np
from numba import njit, prange

from nlmeans.kernels.exp2 import exp2_clamped
from nlmeans.kernels.window import CENTRE_MAX, row_loop


@row_loop
def patch_distance(guide, rows, cols, y, x, dy, dx, patch):
    """D of the pair of patches with corners (y, x) and (y + dy, x + dx) of the index maps."""
    total = 0.0
    for c in range(guide.values.shape[0]):
        for k in range(len(patch.taps_y)):
            for m in range(len(patch.taps_x)):
                a = np.float64(guide.values[c, rows[y + k], cols[x + m]]) * guide.scale
                b = np.float64(guide.values[c, rows[y + dy + k], cols[x + dx + m]]) * guide.scale
                total += np.float64(patch.taps_y[k] * patch.taps_x[m]) * (a - b) ** 2
    return total


@row_loop
def average_pixel(y, x, image, guide, out, rows, cols, g, scale, bias, centre, patch):
    """One pixel, all weights divided by the largest."""
    low_y, end_y = max(-g.search_y, g.first_y - y), min(g.search_y, g.end_y - 1 - y) + 1
    low_x, end_x = max(-g.search_x, g.first_x - x), min(g.search_x, g.end_x - 1 - x) + 1
    corner_y, corner_x = y + g.search_y, x + g.search_x  # in the index maps, which have a halo
    exponents = np.empty((end_y - low_y) * (end_x - low_x))
    best = -(np.float64(2) ** 1000)
    k = 0
    for dy in range(low_y, end_y):
        for dx in range(low_x, end_x):
            D = patch_distance(guide, rows, cols, corner_y, corner_x, dy, dx, patch)
            exponents[k] = min(bias - D * scale, 0.0)
            if dy != 0 or dx != 0:
                best = max(best, exponents[k])
            k += 1

    sums = np.zeros(len(out))
    total = 0.0
    k = 0
    for dy in range(low_y, end_y):
        for dx in range(low_x, end_x):
            w = exp2_clamped(exponents[k] - best)
            k += 1
            if dy == 0 and dx == 0:  # without any candidate a pixel keeps its value
                w = 1.0 if centre == CENTRE_MAX or len(exponents) == 1 else 0.0
            total += w
            row, col = rows[corner_y + g.patch_y + dy], cols[corner_x + g.patch_x + dx]
            for c in range(len(out)):
                # of the offset's neighbourhood, lest sums lose the digits of a small range
                sums[c] += w * (np.float64(image.values[c, row, col]) - image.offset[c])
    for c in range(len(out)):
        out[c, y, x] = sums[c] / total + image.offset[c]


@row_loop
def average_rows(worker, workers, image, guide, out, isolated, rows, cols, g, scale, bias, centre,
                 patch, done, cancel):  # fmt: skip
    for y in range(worker, len(done), workers):
        for x in range(out.shape[2]):
            if cancel[0] != 0:
                return
            if isolated[y, x]:
                average_pixel(y, x, image, guide, out, rows, cols, g, scale, bias, centre, patch)
        done[y] = 1


@njit(parallel=True, nogil=True, cache=True)
def isolated_parallel(workers, image, guide, out, isolated, rows, cols, g, scale, bias, centre,
                      patch, done, cancel):  # fmt: skip
    for worker in prange(workers):
        average_rows(np.int64(worker), workers, image, guide, out, isolated, rows, cols, g, scale,
                     bias, centre, patch, done, cancel)  # fmt: skip


@njit(nogil=True, cache=True)
def isolated_serial(workers, image, guide, out, isolated, rows, cols, g, scale, bias, centre,
                    patch, done, cancel):  # fmt: skip
    for worker in range(workers):
        average_rows(worker, workers, image, guide, out, isolated, rows, cols, g, scale, bias,
                     centre, patch, done, cancel)  # fmt: skip
