"""Isolated pixels: those whose weights, without a weight of 1 for the centre, are all tiny.

    y_i = sum_j w_ij x_j / sum_j w_ij,   w_ij = 2^(e_ij - max_k e_ik),   e = min(bias - scale D, 0)

Where all weights of a pixel underflow together their quotients still matter. They are divided by
the largest, and computed at exponents beyond float32's digits: in float64, patch by patch. The
window kernel marks these pixels; they are few, unless h is far below the noise.
"""

import numpy as np
from numba.np.unsafe.ndarray import to_fixed_tuple

from nlmeans.kernels.centre import CENTRE_MAX
from nlmeans.kernels.parallel import claim
from nlmeans.kernels.window import GEOMETRY, Geometry, compiled


@compiled
def patch_distance(guide, scale, zs, ys, xs, a, b, taps_z, taps_y, taps_x):
    """D of the pair of patches with corners a and b, places (z, y, x) in the index maps."""
    total = 0.0
    for c in range(guide.shape[0]):
        for i in range(len(taps_z)):
            for k in range(len(taps_y)):
                for m in range(len(taps_x)):
                    u = guide[c, zs[a[0] + i], ys[a[1] + k], xs[a[2] + m]]
                    v = guide[c, zs[b[0] + i], ys[b[1] + k], xs[b[2] + m]]
                    d = (np.float64(u) - np.float64(v)) * scale
                    total += np.float64(taps_z[i] * taps_y[k] * taps_x[m]) * d * d
    return total


@compiled
def average_pixel(z, y, x, image, offset, guide, guide_scale, maps, out, zs, ys, xs, g, scale, bias,
                  lowest, taps_z, taps_y, taps_x):  # fmt: skip
    """One pixel, all weights divided by the largest."""
    low_z, end_z = max(-g.search_z, g.first_z - z), min(g.search_z, g.end_z - 1 - z) + 1
    low_y, end_y = max(-g.search_y, g.first_y - y), min(g.search_y, g.end_y - 1 - y) + 1
    low_x, end_x = max(-g.search_x, g.first_x - x), min(g.search_x, g.end_x - 1 - x) + 1
    z, y, x = z + g.search_z, y + g.search_y, x + g.search_x  # in the index maps, with a halo
    exponents = np.empty((end_z - low_z) * (end_y - low_y) * (end_x - low_x))
    best = -(np.float64(2) ** 1000)
    k = found = 0
    for dz in range(low_z, end_z):
        for dy in range(low_y, end_y):
            for dx in range(low_x, end_x):
                D = patch_distance(guide, guide_scale, zs, ys, xs, (z, y, x),
                                   (z + dz, y + dy, x + dx), taps_z, taps_y, taps_x)  # fmt: skip
                if maps is None:
                    exponents[k] = min(bias - D * scale, 0.0)
                else:
                    i, j = zs[z + g.patch_z], ys[y + g.patch_y]
                    m, n = zs[z + g.patch_z + dz], ys[y + g.patch_y + dy]
                    here, there = xs[x + g.patch_x], xs[x + g.patch_x + dx]
                    s = maps[0, i, j, here] + maps[0, m, n, there]
                    u = maps[1, i, j, here] * maps[1, m, n, there]
                    exponents[k] = min((s - D) * u, 0.0)
                if (dz != 0 or dy != 0 or dx != 0) and exponents[k] >= lowest:
                    best = max(best, exponents[k])
                    found += 1
                k += 1

    sums = np.zeros(len(out))
    total = 0.0
    k = 0
    for dz in range(low_z, end_z):
        for dy in range(low_y, end_y):
            for dx in range(low_x, end_x):
                w = np.exp2(exponents[k] - best) if exponents[k] >= lowest else 0.0
                k += 1
                if dz == 0 and dy == 0 and dx == 0:  # without any candidate a pixel keeps its value
                    w = 1.0 if g.centre == CENTRE_MAX or found == 0 else 0.0
                total += w
                i, j, m = zs[z + g.patch_z + dz], ys[y + g.patch_y + dy], xs[x + g.patch_x + dx]
                for c in range(len(out)):
                    # of the offset's neighbourhood, lest sums lose the digits of a small range
                    sums[c] += w * (np.float64(image[c, i, j, m]) - offset[c])
    i, j, m = zs[z + g.patch_z], ys[y + g.patch_y], xs[x + g.patch_x]
    for c in range(len(out)):
        out[c, i, j, m] = sums[c] / total + offset[c]


@compiled
def isolated_kernel(taken, image, offset, guide, guide_scale, maps, out, isolated, zs, ys,
                 xs, integers, scale, bias, lowest, taps_z, taps_y, taps_x, done,
                 cancel):  # fmt: skip
    g = Geometry(*to_fixed_tuple(integers[0], GEOMETRY))
    height, width = out.shape[2:]
    while True:
        row = claim(taken)
        if row >= len(done):
            return
        z, y = row // height, row % height
        for x in range(width):
            if cancel[0] != 0:
                return
            if isolated[z, y, x]:
                average_pixel(z, y, x, image, offset, guide, guide_scale, maps, out, zs, ys, xs, g,
                              scale, bias, lowest, taps_z, taps_y, taps_x)  # fmt: skip
        done[row] = 1
