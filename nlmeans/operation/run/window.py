"""Prepare what the window kernel is given: scaled planes, index maps, constants, output."""

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nlmeans.base.progress import Progress, between
from nlmeans.kernels import driver, window
from nlmeans.kernels.centre import CENTRE_ONE, CENTRES
from nlmeans.kernels.exp2 import LOWEST32, LOWEST64
from nlmeans.operation.embed import Patches, mirror
from nlmeans.operation.run.window_layout import along_axes, window_layout

if TYPE_CHECKING:
    from nlmeans.operation.maps import Maps
    from nlmeans.operation.operation import Operation
    from nlmeans.operation.plan import Plan


def run_window(
    op: "Operation",
    plan: "Plan",
    image: NDArray[Any],
    guide: NDArray[Any] | None,
    threads: int | None,
    progress: Progress | None,
) -> NDArray[Any]:
    """The window kernel on planes (C, *grid), float32 or float64; the guide has its own planes."""
    assert isinstance(op.f.query, Patches)
    dtype = image.dtype.type
    guide_channels = None if guide is None else len(guide)
    axes, tiles, at = window_layout(op.f, op.over, image.shape, guide_channels, image.dtype)
    grid = tuple(axis.size for axis in axes)
    # A patch differs from itself by 0: its weight is one as it is computed, too.
    centre = CENTRE_ONE if op.f.centre == "as computed" else CENTRES[op.f.centre]
    radii = (*(a.patch for a in axes), *(a.search for a in axes))
    candidates = (*(-a.margin for a in axes), *(a.size + a.margin for a in axes))
    values = _centred(image.reshape(-1, *grid))
    features = values if guide is None else _centred(guide.reshape(-1, *grid))
    factors = along_axes(op.f.query.taps(image.ndim - 1), np.ones(1))
    counts = [int(np.count_nonzero(t)) for t in factors]
    exact = [t * n for t, n in zip(factors, counts, strict=True)]  # mean 1
    taps = [t.astype(dtype) for t in exact]
    deep = np.flatnonzero(taps[0])
    taps_z = np.tile(taps[0][deep], len(features.planes))  # one a plane of the patch
    # The kernel takes a row of taps padded for its four rows or columns at once; none if equal.
    plain = op.f.query.weighting != "gaussian" and min(counts[1:]) >= 3
    taps_y, taps_x = (None if plain else np.pad(t, 3) for t in taps[1:])
    skip = len(factors[1]) - counts[1] if plain else 0
    geometry = window.Geometry._make((*radii, *candidates, centre, skip))
    elements = len(features.planes) * math.prod(counts)
    scale, bias = 0.0, 0.0
    if op.f.maps is None:
        scale, bias = _exponent(op.f.scale, op.f.noise, features.scale, features.reach, elements)
    scales = _scales(scale, bias, values.scale, features.scale, _lowest(op.f.cut), dtype)
    integers = np.zeros((3, max(map(len, (geometry, tiles, at)))), dtype=np.intp)
    for row, numbers in zip(integers, (geometry, tiles, at), strict=True):
        row[: len(numbers)] = numbers
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
            _terms(op.f.maps, grid, features, elements, dtype),
            out,
            isolated,
            *mirrors,
            integers,
            np.array(scales),
            np.array(planes, dtype=np.intp),
            taps_z,
            taps_y,
            taps_x,
        ),
        np.zeros(plan.tiles, dtype=np.uint8),
        threads,
        between(progress, 0, 0.5 if isolated.size else 1),
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
                _terms(op.f.maps, grid, features, elements, np.float64),
                out,
                isolated,
                *mirrors,
                integers,
                scale,
                bias,
                max(_lowest(op.f.cut), NO_BEST),
                *exact,
            ),
            np.zeros(math.prod(grid[:2]), dtype=np.uint8),
            threads,
            between(progress, 0.5, 1),
        )
    if progress is not None and isolated.size:
        progress(1.0)
    return out.reshape(image.shape)


class _Centred(NamedTuple):
    """Planes (C, Z, Y, X) and what brings them near [-1, 1]: (planes - offset) * scale."""

    planes: NDArray[Any]
    offset: NDArray[Any]  # one a channel
    scale: float  # a power of two
    reach: float  # the largest magnitude so scaled: above 1 for the largest of numbers


def _centred(planes: NDArray[Any]) -> _Centred:
    """Adding a constant to a channel, or scaling by a power of two, then changes no difference;
    a constant channel is exactly 0; and squares neither overflow nor vanish.
    """
    low = planes.min(axis=(1, 2, 3))
    high = planes.max(axis=(1, 2, 3))
    half = float(np.max(high / 2 - low / 2))
    limit = 120 if planes.dtype == np.float32 else 1000
    exponent = -math.frexp(half)[1] if half > 0 else 0
    # Numba compiles anew for read-only arrays: so that it need not, all are.
    locked = planes.view()
    locked.flags.writeable = False
    scale = 2.0 ** min(max(exponent, -limit), limit)
    return _Centred(locked, low / 2 + high / 2, scale, max(half * scale, 1.0))


def _exponent(
    inverse_h2: float, noise: float, scale: float, reach: float, elements: int
) -> tuple[float, float]:
    """Scale and bias of 2^min(bias - scale D, 0), D the sum over `elements` scaled differences."""
    factor = min(inverse_h2 / scale / scale * math.log2(math.e) / elements, 2.0**900)
    largest = (2 * reach) ** 2 * elements  # of D
    return factor, factor * min(noise * scale * scale * elements, 2 * largest)


def _terms(
    maps: "Maps | None",
    grid: tuple[int, ...],
    of: _Centred,
    elements: int,
    dtype: type[np.floating[Any]],
) -> NDArray[Any] | None:
    """Of the exponent (s_i + s_j - D) u_i u_j the planes s and u, on the kernel's grid."""
    if maps is None:
        return None
    most = 2.0**40 if dtype is np.float32 else 2.0**400
    with np.errstate(over="ignore", divide="ignore"):
        # Beyond twice the largest difference, and h far below any difference, nothing changes.
        s = elements * np.minimum(maps.sigma * of.scale, 4 * of.reach) ** 2
        u = np.minimum(math.sqrt(math.log2(math.e) / elements) / of.scale / maps.h, most)
    planes = np.stack([s, u]).astype(dtype).reshape(-1, *grid)
    planes.flags.writeable = False
    return planes


def _lowest(cut: float) -> float:
    """The exponent of the smallest weight that counts."""
    return math.log2(cut) if cut else -math.inf


def _scales(
    scale: float,
    bias: float,
    image: float,
    guide: float,
    lowest: float,
    dtype: type[np.floating[Any]],
) -> "window.Scales":
    """The kernel's constants: finite in its float type, for its arithmetic knows no infinity."""
    single = dtype is np.float32
    limit, smallest = (2.0**90, 2.0**-96) if single else (2.0**800, 2.0**-960)
    lowest = max(lowest, LOWEST32 if single else LOWEST64)
    # Cut off far beyond where every possible D gives weight 0.
    cut = min(1.0, limit / scale) if scale > 0 else 1.0
    numbers = (image, guide, scale * cut, bias * cut, -limit, lowest, smallest)
    return window.Scales._make(dtype(number) for number in numbers)
