"""The rowwise kernel, given padded planes in float64, taps and a limit."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlmeans.base.scaling import exponent_of, middle_of
from nlmeans.kernels.tiles import VECTOR_BYTES
from nlmeans.operation.embed import Embedding, Identity, Patches, mirror
from nlmeans.operation.pairwise import Pairwise
from nlmeans.operation.run.arrays import to_zyx
from nlmeans.operation.run.call import Array, Call
from nlmeans.operation.run.kernel import Kernel, Problem, Work, tiles_of
from nlmeans.operation.support import Support, Window

Float64s = NDArray[np.float64]
LARGEST = 2.0**900
BAND, COLUMNS = 32, 128  # of a tile, along the first axis and the last of several
GUARD = 4 * VECTOR_BYTES // 8  # numbers behind a padded row: vectors are read beyond its end
# Where an array's axes lie: patches have their rows along the first, z, and vectors lie along the
# last, x.
AXES = {1: (0,), 2: (0, 2), 3: (0, 1, 2)}


def lacks(f: Pairwise, g: Embedding, over: Support) -> str | None:
    if f.arithmetic == "exact":
        return "exact weights"
    if not isinstance(g, Identity):
        return "a g that is not the identity"
    inside = isinstance(over, Window) and over.border == "inside"
    return None if inside else f"the support {str(over)!r}"


def work(of: Problem) -> Work:
    whole = BAND, 1, COLUMNS
    tile = tuple(min(whole[k], n) for k, n in zip(AXES[len(of.grid)], of.grid, strict=True))
    tiles = tiles_of(of.grid, tile)
    return Work(_operations(of), _memory(of), tile, tiles, 8, layout=tiles)


def _memory(of: Problem) -> int:
    """Bytes: planes and result in float64."""
    radius = of.f.query.radius(len(of.grid))
    padded = [n + 2 * r for n, r in zip(of.grid, radius, strict=True)]
    padded[-1] += GUARD
    guide = of.guide_channels or 0
    return 8 * (
        math.prod(padded) * (of.channels + guide) + of.positions * (2 * of.channels + guide)
    )


def _operations(of: Problem) -> int:
    """Squares, a row's sums along y and x, the sum over rows and its maximum, exp, and sums."""
    ndim = len(of.grid)
    z, y, x = to_zyx(AXES[ndim], [2 * r + 1 for r in of.f.query.radius(ndim)], 1)
    row = y * (3 * of.features + 2) + 2 * x
    # Without a y axis each weight serves both its ends; about a fifth is computed twice.
    weights = of.pairs if ndim == 3 else of.pairs * 3 // 5
    return weights * (row + 5 * z + 8) + of.pairs * (1 + 2 * of.channels)


def run(call: Call) -> Array:
    from nlmeans.kernels import driver, rowwise

    f, over, planes = call.f, call.over, call.planes
    assert isinstance(f.query, Patches)
    assert isinstance(over, Window)
    grid = planes.shape[1:]
    along = AXES[len(grid)]
    sides, patch = to_zyx(along, grid, 1), to_zyx(along, f.query.radius(len(grid)), 0)
    search = to_zyx(along, over.reach(grid), 0)
    values, middle, unit = _centred(planes.reshape(-1, *sides))
    features, feature_unit = values, unit
    if call.guide is not None:
        features, _, feature_unit = _centred(call.guide.reshape(-1, *sides))
    averaged, strides = _padded(values, patch)
    compared = averaged if call.guide is None else _padded(features, patch)[0]
    taps = to_zyx(along, f.query.taps(len(grid)), np.ones(1))
    scale = min(f.scale / feature_unit / feature_unit, LARGEST)
    noise = min(scale * feature_unit * feature_unit * f.noise, LARGEST)
    out = np.empty(values.shape)
    numbers = BAND, COLUMNS, *sides, *patch, *search, *strides, len(features), len(values)
    driver.run(
        rowwise.rowwise_kernel,
        (
            compared,
            averaged,
            out,
            np.array(rowwise.TileSizes._make(numbers), dtype=np.intp),
            scale / len(features) * taps[0],
            taps[1],
            taps[2],
            noise * taps[0],
            -math.log(f.cut) if f.cut else LARGEST,
        ),
        np.zeros(call.layout, dtype=np.uint8),
        call.threads,
        call.progress,
    )
    out /= unit
    out += middle
    return out.reshape(planes.shape).astype(planes.dtype, copy=False)


def _centred(planes: NDArray[Any]) -> tuple[Float64s, Float64s, float]:
    """(planes - middle) * unit, in [-1, 1] with the unit a power of two; a constant is then 0."""
    wide = planes.astype(np.float64)
    middle, half = middle_of(wide)
    unit = 2.0 ** -exponent_of(half, -1000, 1000)
    wide -= middle
    wide *= unit
    return wide, middle, unit


def _padded(planes: Float64s, patch: tuple[int, int, int]) -> tuple[Float64s, tuple[int, int, int]]:
    """Planes mirrored at their borders, flat, a guard behind each row; strides of y, z and c."""
    z, y, x = mirror(planes.shape[1:], patch)
    wide = np.zeros((len(planes), len(z), len(y), len(x) + GUARD))
    wide[..., : len(x)] = planes[:, z[:, None, None], y[:, None], x]
    row, plane = wide.shape[3], wide.shape[2] * wide.shape[3]
    return wide.reshape(-1), (row, plane, len(z) * plane)


ROWWISE = Kernel(
    "rowwise",
    5e10,
    "weights as scikit-image computes them: one row of patches after the other",
    lacks,
    work,
    run,
)
