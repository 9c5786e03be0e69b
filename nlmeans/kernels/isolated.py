"""Isolated pixels: those whose weights, without a weight of 1 for the centre, are all tiny.

    y_i = sum_j w_ij x_j / sum_j w_ij,   w_ij = 2^(e_ij - max_k e_ik),   e = min(bias - scale D, 0)

Where all weights of a pixel underflow together their quotients still matter. They are divided by
the largest, and computed at exponents beyond float32's digits: in float64. The window kernel marks
these pixels. They are few, unless h is far below what patches differ by: then they are nearly all,
so that a run of them in a row is averaged together, a vector of pixels at a time. The sums follow
the largest exponent found so far, after each row of shifts.
"""

from typing import Any, NamedTuple

import numpy as np
from numba.np.unsafe.ndarray import to_fixed_tuple

from nlmeans.kernels.codes import CENTRE_MAX
from nlmeans.kernels.exp2 import LOWEST64, exp2_above
from nlmeans.kernels.lanes import (
    fill,
    lanes,
    larger,
    like,
    load,
    load_anywhere,
    smaller,
    store,
    zero_below,
)
from nlmeans.kernels.parallel import claim
from nlmeans.kernels.window import GEOMETRY, Geometry, compiled

RUN = 64  # pixels that are averaged together, at most
NO_BEST, NO_CANDIDATE = -(2.0**1000), -(2.0**1001)  # exponents below any other


class Places(NamedTuple):
    """Where a thread's buffers lie, in float64, and the strides of those with a neighbourhood."""

    row: int
    plane: int
    channel: int
    features: int  # (channels, planes, rows, columns) around a run, mirrored at the border
    values: int
    maps: int
    columns: int  # sums over the patch, but along x
    exponents: int  # of a row of shifts
    best: int
    total: int
    sums: int
    end: int


class ExponentTerms(NamedTuple):
    """The exponent of a pair: min(bias - scale D, 0), with D weighted by the taps."""

    scale: float
    bias: float
    lowest: float  # an exponent below it is that of no candidate
    taps_z: Any
    taps_y: Any
    taps_x: Any


@compiled
def find_places(g, features, values, maps):
    """For so many channels of features and of values, and so many maps."""
    row = (RUN + 2 * (g.search_x + g.patch_x) + 15) // 8 * 8
    plane = row * (2 * (g.search_y + g.patch_y) + 1)
    channel = plane * (2 * (g.search_z + g.patch_z) + 1)
    of_values = features * channel
    of_maps = of_values + values * channel
    columns = of_maps + maps * channel
    exponents = columns + row
    best = exponents + RUN * (2 * g.search_x + 1)
    return Places(
        row,
        plane,
        channel,
        0,
        of_values,
        of_maps,
        columns,
        exponents,
        best,
        best + RUN,
        best + 2 * RUN,
        best + (2 + values) * RUN,
    )


@compiled
def load_around(M, to, at, image, offset, scale, zs, ys, xs, z, y, x, count, g):
    """Copy what the patches of `count` pixels from (z, y, x) on, and of all candidates, hold."""
    for c in range(image.shape[0]):
        for i in range(2 * (g.search_z + g.patch_z) + 1):
            for k in range(2 * (g.search_y + g.patch_y) + 1):
                first = to + c * at.channel + i * at.plane + k * at.row
                line = image[c, zs[z + i], ys[y + k]]
                for m in range(count + 2 * (g.search_x + g.patch_x)):
                    M[first + m] = (np.float64(line[xs[x + m]]) - offset[c]) * scale


@compiled
def put_exponents(M, at, to, here, away, count, features, maps, centre, terms):
    """The exponents of `count` pixels under one shift; `here` is the first one's patch."""
    L = lanes(M)
    for m in range(0, count + len(terms.taps_x) - 1, L):
        s = fill(np.float64(0), 1)
        for c in range(features):
            for i in range(len(terms.taps_z)):
                for k in range(len(terms.taps_y)):
                    a = at.features + c * at.channel + here + i * at.plane + k * at.row + m
                    d = load_anywhere(M, a, 1) - load_anywhere(M, a + away, 1)
                    s = s + like(s, terms.taps_z[i] * terms.taps_y[k]) * (d * d)
        store(M, at.columns + m, s)
    for m in range(0, count, L):
        D = fill(np.float64(0), 1)
        for k in range(len(terms.taps_x)):
            D = D + like(D, terms.taps_x[k]) * load_anywhere(M, at.columns + m + k, 1)
        if maps is None:  # known as it is compiled
            e = like(D, terms.bias) - D * like(D, terms.scale)
        else:
            a = at.maps + centre + m
            b = a + away
            s = load_anywhere(M, a, 1) + load_anywhere(M, b, 1)
            u = load_anywhere(M, a + at.channel, 1) * load_anywhere(M, b + at.channel, 1)
            e = (s - D) * u
        e = smaller(e, like(e, 0.0))
        none = like(e, NO_CANDIDATE)
        store(M, to + m, e + (none - zero_below(none, e, like(e, terms.lowest))))


@compiled
def add_candidates(M, at, shifts, first, count, values):
    """Add a row of shifts to the sums of `count` pixels; `first` is where the first one looks."""
    L = lanes(M)
    for m in range(0, count, L):
        before = load(M, at.best + m, 1)
        best = before
        for k in range(shifts):
            best = larger(best, load(M, at.exponents + k * RUN + m, 1))
        store(M, at.best + m, best)
        factor = exp2_above(before - best, LOWEST64)
        store(M, at.total + m, load(M, at.total + m, 1) * factor)
        for c in range(values):
            i = at.sums + c * RUN + m
            store(M, i, load(M, i, 1) * factor)
        for k in range(shifts):
            w = exp2_above(load(M, at.exponents + k * RUN + m, 1) - best, LOWEST64)
            store(M, at.total + m, load(M, at.total + m, 1) + w)
            for c in range(values):
                i = at.sums + c * RUN + m
                x = load_anywhere(M, at.values + c * at.channel + first + k + m, 1)
                store(M, i, load(M, i, 1) + w * x)


@compiled
def average_run(M, at, z, y, x, count, features, values, maps, g, terms):
    """The sums of `count` pixels from (z, y, x) on over their candidates."""
    corner = g.search_z * at.plane + g.search_y * at.row + g.search_x
    centre = corner + g.patch_z * at.plane + g.patch_y * at.row + g.patch_x
    for m in range(RUN):
        M[at.best + m] = NO_BEST
    for m in range(at.total, at.end):
        M[m] = 0.0
    shifts = 2 * g.search_x + 1
    for dz in range(max(-g.search_z, g.first_z - z), min(g.search_z, g.end_z - 1 - z) + 1):
        for dy in range(max(-g.search_y, g.first_y - y), min(g.search_y, g.end_y - 1 - y) + 1):
            for k in range(shifts):
                dx = k - g.search_x
                to, away = at.exponents + k * RUN, dz * at.plane + dy * at.row + dx
                put_exponents(M, at, to, corner, away, count, features, maps, centre, terms)
                low, end = min(g.first_x - x - dx, count), max(g.end_x - x - dx, 0)
                if dz == 0 and dy == 0 and dx == 0:
                    low = count  # the centre has a weight of its own
                for m in range(low):
                    M[to + m] = NO_CANDIDATE
                for m in range(end, count):
                    M[to + m] = NO_CANDIDATE
            first = centre + dz * at.plane + dy * at.row - g.search_x
            add_candidates(M, at, shifts, first, count, values)


@compiled
def isolated_kernel(
    taken,
    image,
    offset,
    image_scale,
    guide,
    guide_scale,
    maps,
    out,
    isolated,
    zs,
    ys,
    xs,
    integers,
    scale,
    bias,
    lowest,
    taps_z,
    taps_y,
    taps_x,
    done,
    cancel,
):
    """Row after row, until none is left to claim."""
    g = Geometry(*to_fixed_tuple(integers[0], GEOMETRY))
    terms = ExponentTerms(scale, bias, lowest, taps_z, taps_y, taps_x)
    height, width = out.shape[2:]
    features, values = guide.shape[0], image.shape[0]
    at = find_places(g, features, values, 0 if maps is None else 2)
    buffer = np.zeros(at.end + 8)
    M = buffer[(-(buffer.ctypes.data // buffer.itemsize)) % 8 :]
    none = np.zeros(max(features, 2))
    centre = g.search_z + g.patch_z, g.search_y + g.patch_y, g.search_x + g.patch_x
    own_at = at.values + centre[0] * at.plane + centre[1] * at.row + centre[2]
    while True:
        row = claim(taken)
        if row >= len(done):
            return
        z, y = row // height, row % height
        x = 0
        while x < width:
            if not isolated[z, y, x]:
                x += 1
                continue
            if cancel[0] != 0:
                return
            count = 1
            for m in range(1, min(RUN, width - x)):
                if isolated[z, y, x + m]:
                    count = m + 1
            load_around(M, at.features, at, guide, none, guide_scale, zs, ys, xs, z, y, x, count, g)
            load_around(M, at.values, at, image, offset, image_scale, zs, ys, xs, z, y, x, count, g)
            if maps is not None:
                load_around(M, at.maps, at, maps, none, 1.0, zs, ys, xs, z, y, x, count, g)
            average_run(M, at, z, y, x, count, features, values, maps, g, terms)
            for m in range(count):
                if not isolated[z, y, x + m]:
                    continue
                own = 1.0 if g.centre == CENTRE_MAX else 0.0
                for c in range(values):
                    if M[at.best + m] == NO_BEST:  # without any candidate it keeps its value
                        out[c, z, y, x + m] = image[c, z, y, x + m]
                        continue
                    mean = M[at.sums + c * RUN + m] + own * M[own_at + c * at.channel + m]
                    mean /= M[at.total + m] + own
                    out[c, z, y, x + m] = mean / image_scale + offset[c]
            x += count
        done[row] = 1
