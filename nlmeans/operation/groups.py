"""Averages within groups of like patches, with the weights of least expected error."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nlmeans.base.arrays import (
    checked_array,
    checked_axis,
    from_planes,
    grid_shape,
    to_planes,
    whole_range,
    working_dtype,
)
from nlmeans.base.blas import blas_at_most
from nlmeans.base.checks import (
    LARGEST_NUMBER,
    SMALLEST_NUMBER,
    check_number,
    check_size,
    check_threads,
    check_whole,
)
from nlmeans.base.cost import Cost
from nlmeans.base.machine import cores
from nlmeans.base.progress import Progress, between
from nlmeans.base.scaling import exponent_of, middle_of
from nlmeans.kernels.group_sizes import GroupBuffers, GroupSizes, lay_out, tiles_by_turn
from nlmeans.operation.run.arrays import locked, table

Array = NDArray[Any]
# Without a pilot: 0 is the estimate without bias, whose weights have no bound in directions in
# which a group varies less than the noise. On Train400 0.1 to 0.5 differ by less than 0.1 dB.
CAUTION = 0.25
# Of the noise, as a part of the image's range, below which float32 does not hold the weights.
FINEST_FLOAT32 = 2.0**-9
# Of the noise, as a part of that range, and of the range: float32 holds what is computed of them.
COARSEST_FLOAT32, LARGEST_EXPONENT = 2.0**40, 100
# Noise beyond these parts of the range counts as they do: with less, float64 finds no weights.
LEAST_NOISE, MOST_NOISE = 2.0**-24, 2.0**100

RATE = 3e10  # operations a second on one thread, see `Kernel` in operation/run
FLOATS_HELD = 10  # at once for each number of a padded image


@dataclass(frozen=True)
class GroupMeans:
    """Averages of like patches with the weights of least expected error, for images.

    For every reference patch, the k patches most like it in the search window are the positions of
    an operation of their own, a dot product whose theta = phi comes from the group itself:

        op(y) = group_operation(p, sigma),   op(y)_i = sum over j of f(p_i, p_j) y_j
        z = op(y)                    with a pilot, whose patches p are taken as the truth,
        z = ((1 + c) op(y) - y) / c  without one: p = y, and sqrt(c) sigma in place of sigma.

    The first has the least expected squared error of all weights that sum to 1. The second has the
    least of Stein's unbiased estimate of it as c goes to 0; c = 0.25 bounds the weights. There, for
    sigma^2 counts twice the variance within the group if that is less, as where clipping took noise
    away. Each pixel's result is the mean of what all groups say of it, patch i with one over the
    sum of its squared weights.

    Parameters
    ----------
    sigma : float, above 0
        Standard deviation of the noise, in the array's own units.
    patch_size, search_size : odd int
        Full sides in pixels.
    group_size : int, from 2
        k; at most as many as there are candidates.
    step : int, from 1 to patch_size
        Pixels between reference patches along each axis.
    chroma_strength : float, above 0
        Several channels are taken apart into their mean and their differences (an orthonormal
        cosine transform along the channels), with weights of their own; this multiplies sigma in
        the differences.

    References
    ----------
    S. Herbreteau, C. Kervrann, "Towards a unified view of unsupervised non-local methods for image
    denoising: the NL-Ridge approach", ICIP 2022.

    Examples
    --------
    >>> import numpy as np, nlmeans
    >>> noisy = np.random.default_rng(0).normal(100, 20, (40, 50))
    >>> first = nlmeans.GroupMeans(sigma=20, group_size=16)(noisy)
    >>> second = nlmeans.GroupMeans(sigma=20)(noisy, pilot=first)
    >>> second.shape, bool(second.std() < 5)
    ((40, 50), True)
    """

    sigma: float
    patch_size: int = 7
    group_size: int = 64
    search_size: int = 31
    step: int = 5
    chroma_strength: float = 1.0

    def __post_init__(self) -> None:
        check_number("sigma", self.sigma, low=SMALLEST_NUMBER, high=LARGEST_NUMBER)
        check_number("chroma_strength", self.chroma_strength, low=1e-6, high=1e6)
        check_size("patch_size", (self.patch_size,))
        check_size("search_size", (self.search_size,))
        check_whole("group_size", self.group_size, low=2, high=1024)
        check_whole("step", self.step, high=self.patch_size)

    def __call__(
        self,
        x: ArrayLike,
        *,
        pilot: ArrayLike | None = None,
        channel_axis: int | None = None,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> Array:
        """Average the like patches of an image.

        Parameters
        ----------
        x : array (H, W), and a channel axis if one is named
            bool, uint8, uint16, int16, float16, float32 or float64; never changed.
        pilot : array of x's shape, optional
            An estimate without the noise, by which patches are chosen and weighted.
        channel_axis, threads, progress
            As an `Operation` takes them.

        Returns
        -------
        array of x's shape, float64 for float64, else float32

        Raises
        ------
        TypeError, ValueError
            For an array or argument that is not allowed, in one line.
        """
        x = checked_array("x", x)
        axis = checked_axis("x", x.ndim, channel_axis)
        check_threads(threads)
        if x.ndim - (axis is not None) != 2:
            raise ValueError(
                f"x has shape {x.shape}; groups of patches take 2 axes, and one more with "
                "channel_axis"
            )
        dtype = working_dtype(x.dtype)
        planes = to_planes(x, axis, dtype)
        guide = None
        if pilot is not None:
            pilot = checked_array("pilot", pilot)
            if pilot.shape != x.shape:
                raise ValueError(
                    f"pilot has shape {pilot.shape} and x {x.shape}; they have to be the same"
                )
            guide = to_planes(pilot, axis, dtype)
        return from_planes(self._run(planes, guide, threads, progress).astype(dtype), axis)

    def halo(self, ndim: int) -> tuple[int, ...]:
        """How far from a pixel its result depends on the image, along each axis."""
        return (2 * (self.search_size // 2) + self.patch_size,) * ndim

    def on(self, part: tuple[slice, ...]) -> GroupMeans:
        """Nothing depends on the part: these groups."""
        return self

    def plan(self, shape: tuple[int, ...], **options: Any) -> None:
        """None: each group is an operation of its own."""

    def cost(
        self,
        shape: tuple[int, ...],
        *,
        channel_axis: int | None = None,
        dtype: Any = np.float32,
        threads: int | None = None,
    ) -> Cost:
        """About what a call takes on an image of this shape and dtype."""
        axis = checked_axis("the array", len(shape), channel_axis)
        channels, grid = 1 if axis is None else shape[axis], grid_shape(shape, axis)
        itemsize = self._itemsize(np.dtype(dtype))
        sizes, parts = self._layout(channels, grid, itemsize)
        tiles = tiles_by_turn(sizes)
        references = (sizes.height / sizes.step + 1) * (sizes.width / sizes.step + 1)
        pixels, group = sizes.patch**2, sizes.padded
        # Distances; two products with a matrix of the group's side, and its inverse, for the mean
        # of the channels and, with several, for their differences.
        each = 3 * channels * pixels * (2 * sizes.reach + 1) * sizes.across
        each += min(channels, 2) * 2 * group**3 + channels * 4 * group**2 * pixels
        workers = min(threads or cores(), max(tiles))
        held = FLOATS_HELD * channels * sizes.plane + workers * parts.end
        rate = RATE * 4 / itemsize * workers
        return Cost(each * references / rate, int(held * itemsize))

    def __str__(self) -> str:
        chroma = f", {self.chroma_strength:g} times that in the differences between channels"
        return (
            f"groups of the {self.group_size} patches of side {self.patch_size} most like one "
            f"within {self.search_size}, every {self.step} pixels; weights for noise of "
            f"{self.sigma:g}{chroma if self.chroma_strength != 1 else ''}"
        )

    def _run(
        self, planes: Array, pilot: Array | None, threads: int | None, progress: Progress | None
    ) -> Array:
        channels, height, width = planes.shape
        units = self._units(planes)
        sizes, parts = self._layout(channels, (height, width), units.dtype.itemsize)
        noisy = _prepared(planes, units, sizes, threads)
        guide = None if pilot is None else _prepared(pilot, units, sizes, threads)
        sums, counts = _sums(noisy, guide, sizes, parts, units, threads, progress)
        for axis in (1, 2):  # every patch counts at its first pixel: spread over the patch
            counts = _spread(counts, sizes.patch, axis)
        within = (slice(None), slice(0, height), slice(0, width))
        sums, counts = sums[within], counts[within]
        sums[:1] /= counts[:1]
        sums[1:] /= counts[1:]
        if channels > 1:
            with blas_at_most(threads):
                sums = np.tensordot(cosines(channels).astype(units.dtype).T, sums, axes=1)
        return np.asarray(sums / units.dtype.type(units.scale) + units.offset)

    def _layout(
        self, channels: int, grid: tuple[int, ...], itemsize: int
    ) -> tuple[GroupSizes, GroupBuffers]:
        height, width = grid
        numbers = self.patch_size, self.group_size, self.search_size, self.step
        return lay_out(channels, (height, width), *numbers, itemsize)

    def _itemsize(self, dtype: np.dtype[Any]) -> int:
        """Bytes of a number computed with, at most: the range of floats is not known here."""
        known = dtype.kind in "biu"
        faint = not known or self.sigma < FINEST_FLOAT32 * whole_range(dtype)
        return 8 if faint else working_dtype(dtype).itemsize

    def _units(self, planes: Array) -> _Units:
        """Those in which the values lie in [-1, 1]: a power of two is undone exactly."""
        offset, half = middle_of(planes)
        exponent = exponent_of(half, -1000, 1000)
        scale = 2.0**-exponent
        noise, chroma_noise = (
            min(max(self.sigma * scale * strength, LEAST_NOISE), MOST_NOISE)
            for strength in (1.0, self.chroma_strength)
        )
        fits = noise >= FINEST_FLOAT32 and max(noise, chroma_noise) <= COARSEST_FLOAT32
        fits = fits and abs(exponent) <= LARGEST_EXPONENT
        dtype = planes.dtype if fits else np.dtype(np.float64)
        return _Units(offset, scale, noise, chroma_noise, dtype)


class _Units(NamedTuple):
    """The kernel's values are (x - offset) * scale, of this dtype."""

    offset: Array  # a number a channel
    scale: float
    noise: float  # sigma in these units, of the mean of the channels
    chroma_noise: float  # and of their differences
    dtype: np.dtype[Any]


def _prepared(planes: Array, units: _Units, sizes: GroupSizes, threads: int | None) -> Array:
    """Planes in the kernel's units, as it takes them: channels apart, rows padded, flat."""
    planes = (planes - units.offset).astype(units.dtype) * units.dtype.type(units.scale)
    if len(planes) > 1:
        with blas_at_most(threads):
            planes = np.tensordot(cosines(len(planes)).astype(units.dtype), planes, axes=1)
    missing = [(0, n - m) for n, m in zip(sizes[:2], planes.shape[1:], strict=True)]
    planes = np.pad(planes, [(0, 0), *missing], mode="reflect")
    flat = np.pad(planes, [(0, 0), (0, 0), (0, sizes.stride - sizes.width)]).reshape(-1)
    return locked(flat)


def _sums(
    noisy: Array,
    pilot: Array | None,
    sizes: GroupSizes,
    parts: GroupBuffers,
    units: _Units,
    threads: int | None,
    progress: Progress | None,
) -> tuple[Array, Array]:
    """Weighted sums of what groups say about each pixel, and what patches count, at their first
    pixel, for the mean of the channels and for the differences.
    """
    from nlmeans.kernels import driver, groups  # Numba is imported where it is used

    sums = np.zeros((sizes.planes, sizes.height, sizes.stride), units.dtype)
    counts = np.zeros((min(sizes.planes, 2), sizes.height, sizes.stride), units.dtype)
    integers = table(sizes, parts)
    caution = (CAUTION, 1.0) if pilot is None else (1.0, 0.0)
    constants = np.array([*caution, units.noise**2, units.chroma_noise**2], units.dtype)
    guide, match = (noisy[:0], noisy) if pilot is None else (pilot, pilot)
    tiles = tiles_by_turn(sizes)
    for turn, here in enumerate(tiles):
        if here == 0:
            continue
        before = sum(tiles[:turn])
        part = between(progress, before / sum(tiles), (before + here) / sum(tiles))
        driver.run(
            groups.filter_groups,
            (turn, noisy, guide, match, sums.reshape(-1), counts.reshape(-1), integers, constants),
            np.zeros(here, dtype=np.uint8),
            threads,
            part,
        )
    return sums, counts


def cosines(count: int) -> NDArray[np.float64]:
    """The orthonormal cosine transform (DCT-II): the mean first, then the differences."""
    n = np.arange(count)
    rows = np.cos(math.pi * np.outer(n, 2 * n + 1) / (2 * count)) * math.sqrt(2 / count)
    rows[0] = math.sqrt(1 / count)
    return np.asarray(rows, dtype=np.float64)


def _spread(counts: Array, side: int, axis: int) -> Array:
    """Sums, at every place, over it and the side - 1 before it along an axis."""
    result = counts.copy()
    here, there = [slice(None)] * 3, [slice(None)] * 3
    for k in range(1, side):
        here[axis], there[axis] = slice(k, None), slice(0, counts.shape[axis] - k)
        result[tuple(here)] += counts[tuple(there)]
    return result
