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

    image_offset, image_scale = _centred(image)
    guide_offset, guide_scale = (image_offset, image_scale) if guide is None else _centred(guide)
    features = image if guide is None else guide
    taps = [t * len(t) for t in patches.taps(2)]  # mean 1: uniform patches need no product
    elements = len(features) * math.prod(len(t) for t in taps)

    out = np.empty_like(image)
    done = np.zeros(plan.tiles, dtype=np.uint8)
    driver.run(
        window.window_parallel,
        window.window_serial,
        (
            image, features, out, rows, cols,
            window.Geometry._make((*patch, *search, *plan.tile, *candidates[0], *candidates[1])),
            _weighting(op.f.scale, op.f.noise, guide_scale, elements, dtype),
            patches.weighting == "uniform",
            taps[0].astype(dtype), taps[1].astype(dtype),
            CENTRE_CODES[op.f.centre],
            image_offset, dtype(image_scale), guide_offset, dtype(guide_scale),
            guide is None,
        ),
        done, threads, progress,
    )  # fmt: skip
    return out


def _centred(planes: NDArray[Any]) -> tuple[NDArray[Any], float]:
    """Offset per channel and one power-of-two scale that bring the planes into [-1, 1].

    Adding a constant to a channel, or scaling by a power of two, then changes no difference; a
    constant channel is exactly 0; and squares neither overflow nor vanish.
    """
    low = planes.min(axis=(1, 2))
    high = planes.max(axis=(1, 2))
    half = float(np.max(high / 2 - low / 2))
    limit = 120 if planes.dtype == np.float32 else 1000
    exponent = -math.frexp(half)[1] if half > 0 else 0
    return low / 2 + high / 2, 2.0 ** min(max(exponent, -limit), limit)


def _weighting(
    inverse_h2: float, noise: float, scale: float, elements: int, dtype: type[Any]
) -> window.Weighting:
    """The constants of 2^min(bias - scale D, 0), D the sum over `elements` scaled differences."""
    float_limit, smallest = (2.0**100, 2.0**-96) if dtype is np.float32 else (2.0**900, 2.0**-960)
    # Cut off far beyond where every possible D gives weight 0, or 1: no infinity, so no NaN.
    free = min(noise * scale * scale * elements, 8.0 * elements)
    exact = min(inverse_h2 / scale / scale * math.log2(math.e) / elements, 2.0**900)
    factor = min(exact, float_limit)
    return window.Weighting(
        dtype(factor), dtype(factor * free), dtype(smallest), exact, exact * free
    )
