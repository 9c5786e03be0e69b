"""Prepare what the rowwise kernel is given: padded planes in float64, taps, limit."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nlmeans.base.progress import Progress
from nlmeans.kernels import driver, rowwise
from nlmeans.operation.embed import Patches, mirror
from nlmeans.operation.run.rowwise_layout import AXES, BAND, COLUMNS, GUARD
from nlmeans.operation.support import Window

if TYPE_CHECKING:
    from nlmeans.operation.operation import Operation
    from nlmeans.operation.plan import Plan

Float64s = NDArray[np.float64]
LARGEST = 2.0**900


def run_rowwise(
    op: "Operation",
    plan: "Plan",
    planes: NDArray[Any],
    guide: NDArray[Any] | None,
    threads: int | None,
    progress: Progress | None,
) -> NDArray[Any]:
    """The rowwise kernel on planes (C, *grid), float32 or float64; the guide has its own planes."""
    f, over = op.f, op.over
    assert isinstance(f.query, Patches)
    assert isinstance(over, Window)
    grid = planes.shape[1:]
    along = AXES[len(grid)]

    def three(numbers: tuple[int, ...], missing: int) -> list[int]:
        given = dict(zip(along, numbers, strict=True))
        return [given.get(axis, missing) for axis in range(3)]

    sides, patch = three(grid, 1), three(f.query.radius(len(grid)), 0)
    search = three(over.reach(grid), 0)
    values, middle, unit = _centred(planes.reshape(-1, *sides))
    features, feature_unit = values, unit
    if guide is not None:
        features, _, feature_unit = _centred(guide.reshape(-1, *sides))
    averaged, strides = _padded(values, patch)
    compared = averaged if guide is None else _padded(features, patch)[0]
    taps = [np.ones(1)] * 3
    for axis, factor in zip(along, f.query.taps(len(grid)), strict=True):
        taps[axis] = factor
    scale = min(f.scale / feature_unit / feature_unit, LARGEST)
    noise = min(scale * feature_unit * feature_unit * f.noise, LARGEST)
    out = np.empty(values.shape)
    numbers = BAND, COLUMNS, *sides, *patch, *search, *strides, len(features), len(values)
    sizes = rowwise.Sizes._make(numbers)
    driver.run(
        rowwise.rowwise_kernel,
        (
            compared,
            averaged,
            out,
            np.array(sizes, dtype=np.intp),
            scale / len(features) * taps[0],
            taps[1],
            taps[2],
            noise * taps[0],
            -math.log(f.cut) if f.cut else LARGEST,
        ),
        np.zeros(plan.tiles, dtype=np.uint8),
        threads,
        progress,
    )
    out /= unit
    out += middle
    return out.reshape(planes.shape).astype(planes.dtype, copy=False)


def _centred(planes: NDArray[Any]) -> tuple[Float64s, Float64s, float]:
    """(planes - middle) * unit, in [-1, 1] with the unit a power of two; a constant is then 0."""
    wide = planes.astype(np.float64)
    low, high = (ends(wide, axis=(1, 2, 3), keepdims=True) for ends in (np.min, np.max))
    middle = low / 2 + high / 2
    half = float(np.max(high / 2 - low / 2))
    exponent = -math.frexp(half)[1] if half > 0 else 0
    unit = 2.0 ** min(max(exponent, -1000), 1000)
    wide -= middle
    wide *= unit
    return wide, middle, unit


def _padded(planes: Float64s, patch: list[int]) -> tuple[Float64s, tuple[int, int, int]]:
    """Planes mirrored at their borders, flat, a guard behind each row; strides of y, z and c."""
    z, y, x = mirror(planes.shape[1:], tuple(patch))
    wide = np.zeros((len(planes), len(z), len(y), len(x) + GUARD))
    wide[..., : len(x)] = planes[:, z[:, None, None], y[:, None], x]
    row, plane = wide.shape[3], wide.shape[2] * wide.shape[3]
    return wide.reshape(-1), (row, plane, len(z) * plane)
