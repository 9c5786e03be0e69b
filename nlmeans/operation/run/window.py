"""The window kernel, given scaled planes, index maps and constants."""

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nlmeans.base.progress import between
from nlmeans.base.scaling import exponent_of, middle_of, most_exponent
from nlmeans.kernels.codes import CENTRE_ONE, CENTRES
from nlmeans.kernels.tiles import Axes, Axis, Buffers, Tiles, count, cut, lay_out
from nlmeans.operation.embed import Embedding, Identity, Patches, mirror
from nlmeans.operation.maps import Maps
from nlmeans.operation.pairwise import Pairwise
from nlmeans.operation.run.arrays import locked, table, to_zyx
from nlmeans.operation.run.call import Array, Call
from nlmeans.operation.run.kernel import Kernel, Problem, Work
from nlmeans.operation.support import Support, Window

if TYPE_CHECKING:
    from nlmeans.kernels.window import Scales

MAP_PLANES = 2  # what a pair takes of sigma, and of h
# Where an array's axes lie. A sequence lies along y, which is cut into lanes.
AXES = {1: (1,), 2: (1, 2), 3: (0, 1, 2)}


class WindowLayout(NamedTuple):
    """How an array is cut, for the plan and for what runs."""

    axes: Axes  # sizes and radii along z, y and x
    tiles: Tiles
    buffers: Buffers


def lacks(f: Pairwise, g: Embedding, over: Support) -> str | None:
    trait = _lacking(f, g, over)
    return f"maps of sigma or h and {trait}" if trait and f.maps is not None else trait


def _lacking(f: Pairwise, g: Embedding, over: Support) -> str | None:
    if (f.score, f.weight, f.normaliser) != ("distance", "exp", "sum"):
        return f"score {f.score!r} with weight {f.weight!r} and C = {f.normaliser} of f"
    if f.arithmetic != "exact":
        return f"weights as {f.arithmetic} computes them"
    if f.key_bias is not None:
        return "a bias of the keys"
    if not isinstance(f.query, Patches) or f.query != f.key or f.query.weighting == "none":
        return "a distance of anything but patches"
    if not isinstance(g, Identity):
        return "a g that is not the identity"
    return None if isinstance(over, Window) else f"the support {str(over)!r}"


def work(of: Problem) -> Work:
    f, over, grid, itemsize = of.f, of.over, of.grid, of.dtype.itemsize
    assert isinstance(over, Window)
    along = AXES[len(grid)]
    sides = zip(grid, f.query.radius(len(grid)), over.reach(grid), over.margin(grid), strict=True)
    axes = to_zyx(along, [Axis(*side) for side in sides], Axis(1, 0, 0, 0))
    maps = 0 if f.maps is None else MAP_PLANES
    tiles = cut(axes, of.channels + (of.guide_channels or 0) + maps, itemsize)
    largest = f.centre == "max"
    buffers = lay_out(tiles, of.channels, of.guide_channels, largest, itemsize, maps)
    return Work(
        _operations(of),
        buffers.end * itemsize,
        tuple(tiles[k] for k in along),
        count(tiles, axes),
        itemsize,
        WindowLayout(axes, tiles, buffers),
    )


def _operations(of: Problem) -> int:
    """Half the pairs are computed: columns, patch sum, exponent, exp, and the two ends."""
    assert isinstance(of.f.query, Patches)
    ndim = len(of.grid)
    side_z, side_y, side_x = to_zyx(AXES[ndim], [2 * r + 1 for r in of.f.query.radius(ndim)], 1)
    # Of four neighbouring windows each adds the end of a run to the start of the next.
    if of.f.query.weighting != "gaussian":
        distance = of.features * side_z * (3 * (side_y + 3) + 3) / 4 + (side_x + 5) / 4
    else:
        distance = of.features * side_z * (3 + 8) * (side_y + 3) / 4 + 2 * (side_x + 3)
    of_maps = 0 if of.f.maps is None else 4
    return round(of.pairs / 2 * (distance + 3 + of_maps + 17 + 2 * (1 + 2 * of.channels)))


def run(call: Call) -> Array:
    from nlmeans.kernels import driver, window

    call = call.contiguous()
    f, shape = call.f, call.planes.shape
    assert isinstance(f.query, Patches)
    axes, tiles, at = call.layout
    grid, dtype = tuple(axis.size for axis in axes), call.planes.dtype.type
    # A patch differs from itself by 0: its weight is one as it is computed, too.
    centre = CENTRE_ONE if f.centre == "as computed" else CENTRES[f.centre]
    radii = (*(a.patch for a in axes), *(a.search for a in axes))
    candidates = (*(-a.margin for a in axes), *(a.size + a.margin for a in axes))
    values = _centred(call.planes.reshape(-1, *grid))
    features = values if call.guide is None else _centred(call.guide.reshape(-1, *grid))
    factors = to_zyx(AXES[len(shape) - 1], f.query.taps(len(shape) - 1), np.ones(1))
    counts = [int(np.count_nonzero(t)) for t in factors]
    exact = [t * n for t, n in zip(factors, counts, strict=True)]  # mean 1
    taps = [t.astype(dtype) for t in exact]
    deep = np.flatnonzero(taps[0])
    taps_z = np.tile(taps[0][deep], len(features.planes))  # one a plane of the patch
    # The kernel takes a row of taps padded for its four rows or columns at once; none if equal.
    plain = f.query.weighting != "gaussian" and min(counts[1:]) >= 3
    taps_y, taps_x = (None if plain else np.pad(t, 3) for t in taps[1:])
    skip = len(factors[1]) - counts[1] if plain else 0
    elements = len(features.planes) * math.prod(counts)
    scale, bias = (0.0, 0.0) if f.maps is not None else _exponent(f, features, elements)
    lowest = math.log2(f.cut) if f.cut else -math.inf  # exponent of the smallest weight that counts
    integers = table((*radii, *candidates, centre, skip), tiles, at)
    several = range(len(features.planes))
    planes = [c * at.source_c + z * at.source_z for c in several for z in deep]
    mirrors = mirror(grid, tuple(a.patch + a.search for a in axes))
    out = np.empty_like(values.planes)
    isolated = np.zeros(grid if centre != CENTRE_ONE else (0, 0, 0), dtype=np.bool_)
    driver.run(
        window.window_kernel,
        (
            values.planes,
            values.offset,
            features.planes,
            features.offset,
            _terms(f.maps, grid, features, elements, dtype),
            out,
            isolated,
            *mirrors,
            integers,
            np.array(_scales(scale, bias, values.scale, features.scale, lowest, dtype)),
            np.array(planes, dtype=np.intp),
            taps_z,
            taps_y,
            taps_x,
        ),
        np.zeros(count(tiles, axes), dtype=np.uint8),
        call.threads,
        between(call.progress, 0, 0.5 if isolated.size else 1),
    )
    if isolated.any():
        from nlmeans.kernels.isolated import NO_BEST, isolated_kernel

        driver.run(
            isolated_kernel,
            (
                values.planes,
                values.offset,
                values.scale,
                features.planes,
                features.scale,
                _terms(f.maps, grid, features, elements, np.float64),
                out,
                isolated,
                *mirrors,
                integers,
                scale,
                bias,
                max(lowest, NO_BEST),
                *exact,
            ),
            np.zeros(math.prod(grid[:2]), dtype=np.uint8),
            call.threads,
            between(call.progress, 0.5, 1),
        )
    if call.progress is not None and isolated.size:
        call.progress(1.0)
    return out.reshape(shape)


class _CentredPlanes(NamedTuple):
    """Planes (C, Z, Y, X) and what brings them near [-1, 1]: (planes - offset) * scale."""

    planes: Array
    offset: Array  # one a channel
    scale: float  # a power of two
    reach: float  # the largest magnitude so scaled: above 1 for the largest of numbers


def _centred(planes: Array) -> _CentredPlanes:
    middle, half = middle_of(planes)
    limit = most_exponent(planes.dtype)
    scale = 2.0 ** -exponent_of(half, -limit, limit)
    return _CentredPlanes(locked(planes), middle.reshape(-1), scale, max(half * scale, 1.0))


def _exponent(f: Pairwise, of: _CentredPlanes, elements: int) -> tuple[float, float]:
    """Scale and bias of 2^min(bias - scale D, 0), D the sum over `elements` scaled differences."""
    factor = min(f.scale / of.scale / of.scale * math.log2(math.e) / elements, 2.0**900)
    largest = (2 * of.reach) ** 2 * elements  # of D
    return factor, factor * min(f.noise * of.scale * of.scale * elements, 2 * largest)


def _terms(
    maps: Maps | None,
    grid: tuple[int, ...],
    of: _CentredPlanes,
    elements: int,
    dtype: type[np.floating[Any]],
) -> Array | None:
    """Planes s and u of the exponent (s_i + s_j - D) u_i u_j, on the kernel's grid."""
    if maps is None:
        return None
    most = 2.0**40 if dtype is np.float32 else 2.0**400
    with np.errstate(over="ignore", divide="ignore"):
        # Beyond twice the largest difference, and h far below any difference, nothing changes.
        s = elements * np.minimum(maps.sigma * of.scale, 4 * of.reach) ** 2
        u = np.minimum(math.sqrt(math.log2(math.e) / elements) / of.scale / maps.h, most)
    return locked(np.stack([s, u]).astype(dtype).reshape(-1, *grid))


def _scales(
    scale: float,
    bias: float,
    image: float,
    guide: float,
    lowest: float,
    dtype: type[np.floating[Any]],
) -> "Scales":
    """The kernel's constants: finite in its float type, for its arithmetic knows no infinity."""
    from nlmeans.kernels.exp2 import LOWEST32, LOWEST64
    from nlmeans.kernels.window import Scales

    single = dtype is np.float32
    limit, smallest = (2.0**90, 2.0**-96) if single else (2.0**800, 2.0**-960)
    lowest = max(lowest, LOWEST32 if single else LOWEST64)
    # Cut off far beyond where every possible D gives weight 0.
    cut = min(1.0, limit / scale) if scale > 0 else 1.0
    numbers = (image, guide, scale * cut, bias * cut, -limit, lowest, smallest)
    return Scales._make(dtype(number) for number in numbers)


WINDOW = Kernel(
    "window",
    4e10,
    "Gaussian f of patches, identity g, search window: one pass a shift",
    lacks,
    work,
    run,
    memory_of_thread=True,
    multiplies=False,
)
