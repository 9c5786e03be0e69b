"""Prepare what a kernel is given: scaled planes, index maps, constants, output."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nlmeans.embed import Patches, mirror
from nlmeans.kernels import driver, window
from nlmeans.plan import Plan
from nlmeans.support import Window

if TYPE_CHECKING:
    from nlmeans.operation import Operation

CENTRE_CODES = {
    "as computed": window.CENTRE_ONE,
    "one": window.CENTRE_ONE,
    "max": window.CENTRE_MAX,
    "zero": window.CENTRE_ZERO,
}


def run_window(
    op: "Operation",
    plan: Plan,
    image: NDArray[Any],
    guide: NDArray[Any] | None,
    threads: int | None,
    progress: Callable[[float], None] | None,
) -> NDArray[Any]:
    """The window kernel on planes (C, H, W), float32 or float64; the guide has its own planes."""
    patches, over = op.f.query, op.over
    assert isinstance(patches, Patches)
    assert isinstance(over, Window)
    grid = image.shape[1:]
    dtype = image.dtype.type
    patch, search, margin = patches.radius(2), over.reach(grid), over.margin(grid)
    candidates = [(-m, n + m) for n, m in zip(grid, margin, strict=True)]
    rows, cols = mirror(grid, tuple(p + s for p, s in zip(patch, search, strict=True)))
    geometry = window.Geometry._make((*patch, *search, *plan.tile, *candidates[0], *candidates[1]))
    taps = [(t * len(t)).astype(dtype) for t in patches.taps(2)]  # mean 1
    weighted = window.Patch(taps[0], taps[1], patches.weighting == "uniform")
    values = _centred(image)
    features = values if guide is None else _centred(guide)

    elements = len(features.values) * math.prod(len(t) for t in taps)
    scale, bias = _exponent(op.f.scale, op.f.noise, float(features.scale), elements)
    limit, smallest = (2.0**100, 2.0**-96) if dtype is np.float32 else (2.0**900, 2.0**-960)
    # Cut off far beyond where every possible D gives weight 0: no infinity, so no NaN.
    cut = min(1.0, limit / scale) if scale > 0 else 1.0
    negligible = -math.log2(smallest) + 32
    most = min((negligible + bias * cut) / (scale * cut), 4.0) if scale > 0 else 4.0
    centre = CENTRE_CODES[op.f.centre]
    weighting = window.Weighting(
        dtype(scale * cut), dtype(bias * cut), dtype(most), dtype(smallest), centre
    )
    out = np.empty_like(image)
    isolated = np.zeros(grid if centre != window.CENTRE_ONE else (0, 0), dtype=np.bool_)
    driver.run(
        window.window_parallel, window.window_serial,
        (values, features, guide is None, out, isolated, rows, cols, geometry, weighting, weighted),
        np.zeros(plan.tiles, dtype=np.uint8), threads,
        _part(progress, 0, 0.5 if isolated.size else 1),
    )  # fmt: skip
    if isolated.any():
        from nlmeans.kernels.isolated import isolated_parallel, isolated_serial

        driver.run(
            isolated_parallel, isolated_serial,
            (values, features, out, isolated, rows, cols, geometry, scale, bias, centre, weighted),
            np.zeros(grid[0], dtype=np.uint8), threads, _part(progress, 0.5, 1),
        )  # fmt: skip
    if progress is not None and isolated.size:
        progress(1.0)
    return out


def _part(
    progress: Callable[[float], None] | None, start: float, end: float
) -> Callable[[float], None] | None:
    """Progress of one of two passes, as part of the whole."""
    if progress is None:
        return None
    return lambda fraction: progress(start + fraction * (end - start))


def _centred(values: NDArray[Any]) -> window.Planes:
    """Offset per channel and one power-of-two scale that bring the planes into [-1, 1].

    Adding a constant to a channel, or scaling by a power of two, then changes no difference; a
    constant channel is exactly 0; and squares neither overflow nor vanish.
    """
    low = values.min(axis=(1, 2))
    high = values.max(axis=(1, 2))
    half = float(np.max(high / 2 - low / 2))
    limit = 120 if values.dtype == np.float32 else 1000
    exponent = -math.frexp(half)[1] if half > 0 else 0
    scale = 2.0 ** min(max(exponent, -limit), limit)
    # Numba compiles anew for read-only arrays: so that it need not, all are.
    locked = values.view()
    locked.flags.writeable = False
    return window.Planes(locked, low / 2 + high / 2, values.dtype.type(scale))


def _exponent(inverse_h2: float, noise: float, scale: float, elements: int) -> tuple[float, float]:
    """Scale and bias of 2^min(bias - scale D, 0), D the sum over `elements` scaled differences."""
    factor = min(inverse_h2 / scale / scale * math.log2(math.e) / elements, 2.0**900)
    largest = 4.0 * elements  # of D: differences lie in [-2, 2]
    return factor, factor * min(noise * scale * scale * elements, 2 * largest)
