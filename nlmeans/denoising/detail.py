"""How much of a filter's change to take: the weight of least expected error, place by place."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlmeans.base.progress import Progress, between
from nlmeans.operation.filter import Box

Array = NDArray[Any]

# Of the Gaussian mean around a place, in pixels; in a clip it is of a frame. On ten images of
# Train400 at sigma 15, 25 and 50, the weights gain for "classic" 0.19, 0.16 and 0.07 dB, for
# "ridge" 0.03, 0.04 and 0.04. One weight for an image gains half of that, and with 8 the random
# divergence shows: 0.20, 0.15, 0.04 and 0.02, 0.02, -0.02. benchmarks/detail.py prints these.
SMOOTHING = 16.0
TRUNCATED = 4  # standard deviations at which that mean ends
STEP = 0.1  # of the divergence's difference quotient, in sigma
SEED = 0
FLOATS_HELD = 10  # arrays that are held beside those of the filter


@dataclass(frozen=True, eq=False)
class Detail:
    """A blend of a filter's result with the original, place by place; see `keep_detail`."""

    sigma: float | Array  # (*grid): Of white noise
    # positions of the whole image: random numbers are drawn for all of it, so that parts come out
    # as the whole does
    grid: tuple[int, ...]
    stack: str | None  # "clip" for sums within frames

    @property
    def halo(self) -> tuple[int, ...]:
        """How far the weights look, along each axis."""
        return tuple(round(TRUNCATED * s) for s in _smoothing(len(self.grid), self.stack))

    def __call__(
        self,
        values: Array,
        run: Callable[[Array, Progress | None], Array],
        part: Box,
        axis: int | None,
        progress: Progress | None,
    ) -> tuple[Array, Array]:
        """The blend on a part of the image, and its weights."""
        chosen = signs(self.grid, part, 1 if axis is None else values.shape[axis], axis)
        sigma = self.sigma if np.ndim(self.sigma) == 0 else np.asarray(self.sigma)[part]
        first, second = between(progress, 0, 0.5), between(progress, 0.5, 1)
        filtered = run(values, first)
        again = lambda seen: run(seen, second)  # noqa: E731
        return keep_detail(values, filtered, again, sigma, chosen, axis, self.stack)


def signs(grid: tuple[int, ...], part: Box, channels: int, axis: int | None) -> NDArray[np.int8]:
    """Random numbers -1 and 1 for a part of an array, drawn for the whole of it."""
    shape = grid if axis is None else (*grid, channels)
    chosen = np.random.default_rng(SEED).integers(0, 2, shape, dtype=np.int8)[part]
    chosen = 2 * chosen - 1
    return chosen if axis is None else np.moveaxis(chosen, -1, axis)


def keep_detail(
    values: Array,
    filtered: Array,
    run: Callable[[Array], Array],
    sigma: float | NDArray[np.float64],
    chosen: NDArray[np.int8],
    axis: int | None,
    stack: str | None,
) -> tuple[Array, Array]:
    """x + a (F(x) - x) with the weight a of least expected error, and a.

        a = sum of sigma^2 (1 - d_i) / sum of (F(x)_i - x_i)^2, cut to [0, 1],

    which minimises Stein's unbiased estimate of the error; the sums are over the channels and
    around a place, with the weights of a Gaussian. d_i, which adds up to the divergence of F, is
    b_i (F(x + e b) - F(x))_i / e with random signs b [1]_.

    - `values`, `filtered`: x and F(x).
    - `run`: f.
    - `sigma` (*grid): of white noise in x.
    - `chosen`: b.
    - `axis`: of channels.
    - `stack`: "clip" for sums within frames.

    Returns
    -------
    result : array of the values' shape
    weight : array (*grid)

    References
    ----------
    .. [1] S. Ramani, T. Blu, M. Unser, "Monte-Carlo SURE: a black-box optimization of
       regularization parameters for general denoising algorithms", IEEE Transactions on Image
       Processing 17(9), 2008.
    """
    from scipy.ndimage import gaussian_filter

    step = values.dtype.type(STEP * float(np.sqrt(np.mean(np.square(sigma)))))
    free = 1 - chosen * (run(values + step * chosen) - filtered) / step
    change = filtered - values
    squares = np.square(change)
    if axis is not None:
        free, squares = free.sum(axis=axis), squares.sum(axis=axis)
    widths = _smoothing(free.ndim, stack)
    expected = gaussian_filter(np.square(sigma) * free, widths, truncate=TRUNCATED)
    found = gaussian_filter(squares, widths, truncate=TRUNCATED)
    # Where nothing was changed the weight does not matter.
    weight = np.divide(expected, found, out=np.ones_like(found), where=found > 0)
    weight = np.clip(weight, 0, 1)
    spread = weight if axis is None else np.expand_dims(weight, axis)
    return values + spread.astype(values.dtype) * change, weight


def _smoothing(ndim: int, stack: str | None) -> tuple[float, ...]:
    depth = 0.0 if stack == "clip" else SMOOTHING
    return (depth,) * max(ndim - 2, 0) + (SMOOTHING,) * min(ndim, 2)
