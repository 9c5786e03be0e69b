"""The noise level of an image, estimated from the image alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nlmeans.base.arrays import checked_array, checked_axis, grid_shape, whole_levels
from nlmeans.base.axes import stack_axis
from nlmeans.noise.patches import HIGH, MIDDLE, ORDER, SIDE, Spectra, order_of, spectra_of

Array = NDArray[Any]

MOST_SLICES = 15  # of a stack looked at; odd, so that the median is one of them
_SMALLEST = 16  # side of an image; the standard error is 15 % there, 3 % at 64
_FEWEST = 200  # flattest patches always used: these, or the share of all
_FEWEST_SHARE = 0.005
_UNCLIPPED_SHARE = 0.1  # of patches kept however close they lie to a clipping level
_GROWTH = 1.06**2  # of the variance over that of the flattest, lest texture admit more texture
_ROUNDS = 20  # 3 to 8 are usual
# Of the correction for texture, chosen on Train400 and the odd-numbered Kodak24 images: the share
# of flattest patches whose middle frequencies are looked at; what these hold over the noise from
# which it counts; what of that the highest hold; by how much these have to differ from white
# Gaussian noise for all of it to count; and what is left at least.
_LOOKED_AT, _FEWEST_LOOKED_AT = 0.02, 50
_EXCESS, _IN_HIGHEST, _DIFFERENCE, _LEAST_LEFT = 1.1, 0.6, 0.4, 0.05

_HIGH_ORDER = ORDER[HIGH]
_LOW_COUNT = SIDE**2 - 1 - np.count_nonzero(HIGH)
LOW_MEDIAN = _LOW_COUNT * (1 - 2 / (9 * _LOW_COUNT)) ** 3  # of chi-square, by Wilson and Hilferty


@overload
def estimate_sigma(image: ArrayLike, *, channel_axis: None = None) -> float: ...


@overload
def estimate_sigma(image: ArrayLike, *, channel_axis: int) -> NDArray[np.float64]: ...


def estimate_sigma(
    image: ArrayLike, *, channel_axis: int | None = None
) -> float | NDArray[np.float64]:
    """Estimate the standard deviation of additive white Gaussian noise.

    Each 8x8 patch goes through the orthonormal discrete cosine transform (DCT), which turns white
    noise of variance sigma^2 into independent coefficients of that variance. With E the energy of
    the 48 lower frequencies, the mean left out, and V_k the mean square of coefficient k of the
    15 highest (i + j > 9) over the patches with E <= m sigma^2, m the median of chi-square,

        sigma^2 = mean of the largest group of smallest V_k whose mean is not above its median.

    The right side depends on sigma through the choice of patches and is iterated, from the
    flattest patches on. The choice uses other coefficients than the estimate, so that choosing
    does not bias it; the last step leaves out frequencies that hold texture.

    Where no patch is flat, the highest frequencies of all hold some. So with M the mean square of
    the middle frequencies (i + j from 6 to 9) over the flattest 2 % of the patches,

        sigma^2 - 0.6 e max(M - (1.1 + 10/sqrt(patches)) sigma^2, 0)

    is what is returned, and at least 0.05 sigma^2. The evidence e goes from 0 to 1 as the product
    of two numbers that are 1 for white Gaussian noise goes from 1 to 1.4: the kurtosis of the
    highest coefficients of the patches measured, over 3, and V at i + j = 10 over that at 12 to 14.
    For M, patches are chosen by the frequencies of even i + j where odd ones are measured, and the
    reverse.

    Patches whose mean is within 3 sigma of a clipping level, or with more than half their pixels
    on one, do not count: clipping took their noise away. A clipping level is the lowest or highest
    value of the image if more than 0.1 % of the pixels have it.

    Parameters
    ----------
    image : (rows, columns) array, or 3-D with `channel_axis`
        bool, uint8, uint16, int16, float16, float32 or float64; at least 16x16; all finite.
        It is not changed.
    channel_axis : int, optional
        The axis that holds the channels.

    Returns
    -------
    float, or (channels,) float64 array with `channel_axis`
        In the units of `image`: grey levels for uint8. 0 for a constant image.

    Raises
    ------
    TypeError
        The dtype is another one.
    ValueError
        Wrong number of dimensions, no such channel axis, an image too small or empty, NaN or
        infinite values.

    Notes
    -----
    The noise must be white. JPEG compression, demosaicking and resizing take away the highest
    frequencies of the noise, and the estimate falls below its standard deviation: `estimate_noise`
    looks for that. Film grain and
    the rounding to integers (0.29) count as noise.

    The standard error on flat images is 15 % at 16x16, 3 % at 64x64 and 0.5 % at 256x256. Texture
    without a flat spot can add more: 1 grey level at sigma 5, the worst of Set12 and Kodak24. Film
    grain adds as noise does, up to 1.2 grey levels at sigma 1: an estimate below 2 % of the image's
    range may be texture, which is why `denoise` does not trust it fully.
    Noise of less than about half a step of an integer image is underestimated.

    Every image is looked at in at most about 65536 patches on a regular grid, so that time and
    memory are bounded and the same image always gives the same value. Floats in [0, 1] that hold
    the levels of 8 to 16 bits are looked at as these levels, with a copy of that size.

    References
    ----------
    .. [1] N. Ponomarenko, V. Lukin, M. Zriakhov, A. Kaarna, J. Astola, "An automatic approach to
       lossy compression of AVIRIS images", IGARSS 2007: flat blocks chosen by low frequencies,
       measured in high ones.
    .. [2] X. Liu, M. Tanaka, M. Okutomi, "Single-image noise level estimation for blind
       denoising", IEEE Transactions on Image Processing 22(12), 2013: flat patches chosen by the
       noise level itself, iterated.
    .. [3] G. Chen, F. Zhu, P. A. Heng, "An efficient statistical method for image noise level
       estimation", ICCV 2015: the largest group of smallest values whose mean is their median.

    Examples
    --------
    >>> import numpy as np
    >>> from nlmeans.noise.level import estimate_sigma
    >>> ramp = np.add.outer(np.arange(200.0), np.arange(300.0))
    >>> noisy = ramp + np.random.default_rng(0).normal(0, 20, ramp.shape)
    >>> round(estimate_sigma(noisy))
    20
    >>> estimate_sigma(np.stack([noisy, noisy / 2]), channel_axis=0).round()
    array([20., 10.])
    """
    channels, step = whole_levels(checked_channels(image, channel_axis))
    levels = [step * white_level(spectra_of([channel])) for channel in channels]
    return levels[0] if channel_axis is None else np.array(levels)


@overload
def estimate_stack_sigma(stack: ArrayLike, *, channel_axis: None = None) -> float: ...


@overload
def estimate_stack_sigma(stack: ArrayLike, *, channel_axis: int) -> NDArray[np.float64]: ...


def estimate_stack_sigma(
    stack: ArrayLike, *, channel_axis: int | None = None
) -> float | NDArray[np.float64]:
    """Estimate the standard deviation of the noise in a volume or clip: one level for all of it.

    The median over the images along the first axis of what `estimate_sigma` finds in each, at most
    15 of them, spread evenly. Constant images, such as the empty ends of a volume, do not count.

    Parameters
    ----------
    stack : (images, rows, columns) array, or 4-D with `channel_axis`
        As in `estimate_sigma`.
    channel_axis : int, optional
        The axis that holds the channels. The first of the others is that of the images.

    Returns
    -------
    float, or (channels,) float64 array with `channel_axis`
        In the units of `stack`. 0 where all images are constant.

    Raises
    ------
    TypeError, ValueError
        As `estimate_sigma`, whose smallest image is that of the images here.

    Examples
    --------
    >>> import numpy as np, nlmeans
    >>> noisy = np.random.default_rng(0).normal(100, 20, (9, 64, 64))
    >>> noisy[4] *= 3  # one bad image changes little
    >>> round(nlmeans.estimate_stack_sigma(noisy))
    20
    """
    array = checked_array("stack", stack)
    axis = checked_axis("stack", array.ndim, channel_axis)
    if len(grid_shape(array.shape, axis)) != 3:
        raise ValueError(
            f"stack has shape {array.shape}; estimating its noise takes 3 axes, and one more with "
            "channel_axis"
        )
    images = np.moveaxis(spread_slices(array, axis), stack_axis(axis), 0)
    within = axis and axis - 1  # without the axis of the images
    each = [np.atleast_1d(estimate_sigma(image, channel_axis=within)) for image in images]
    found = [levels for levels in each if levels.any()]
    levels = np.median(found or each, axis=0)
    return float(levels[0]) if axis is None else np.asarray(levels)


def spread_slices(stack: NDArray[Any], channel_axis: int | None) -> NDArray[Any]:
    """The images of a stack that its estimates look at: at most 15, spread evenly."""
    along = stack_axis(channel_axis)
    count = stack.shape[along]
    if count <= MOST_SLICES:
        return stack
    few = min(count, MOST_SLICES)
    return np.take(stack, [(2 * k + 1) * count // (2 * few) for k in range(few)], axis=along)


def joint_sigma(levels: float | Sequence[float] | NDArray[np.float64]) -> float:
    """One level for channels filtered together: the root of the mean of their variances.

    MSD is a mean over channels, so noise of these levels adds twice this level squared to it.
    """
    each = np.atleast_1d(levels)
    return math.hypot(*each) / math.sqrt(len(each))


def checked_channels(image: ArrayLike, channel_axis: int | None) -> NDArray[Any]:
    """The image as (channel, row, column), checked."""
    array = checked_array("image", image)
    axis = checked_axis("image", array.ndim, channel_axis)
    if len(grid_shape(array.shape, axis)) != 2:
        raise ValueError(
            f"image has shape {array.shape}; estimating its noise takes 2 axes, and one more with "
            "channel_axis; for others pass sigma"
        )
    channels = array[np.newaxis] if axis is None else np.moveaxis(array, axis, 0)
    rows, columns = channels.shape[1:]
    if min(rows, columns) < _SMALLEST:
        raise ValueError(
            f"image is {rows}x{columns}; estimating its noise needs at least "
            f"{_SMALLEST}x{_SMALLEST}; pass sigma"
        )
    return channels


def white_level(spectra: Spectra) -> float:
    """The level of the noise of one channel if it is white; see `estimate_sigma`."""
    # Measured (benchmarks/noise_level.py): RMSE on Kodak24 at sigma 5 and 25 is 0.18 and 0.13;
    # the wavelet median of scikit-image has 1.60 and 0.74, [3] alone 3.39 and 1.14, the smallest
    # eigenvalue of the flattest patches 0.30 and 0.28, the flattest 0.5 % of blocks 0.21 and 0.32.
    if spectra.low == spectra.high:
        return 0.0
    margin = None  # distance from clipping levels
    if spectra.clipped:
        margin = np.abs(np.subtract.outer(spectra.clipped, spectra.mean)).min(axis=0)
        margin[spectra.dark + spectra.bright > 0.5] = -np.inf
    variance = flat_variance(spectra, margin=margin)
    kept = None if margin is None else margin >= 3 * math.sqrt(variance)
    if kept is None or np.count_nonzero(kept) >= _FEWEST_LOOKED_AT:
        sums, high = spectra.sums, spectra.highest
        if kept is not None and not kept.all():
            sums, high = sums[:, kept], high[:, kept]
        variance = _without_texture(variance, sums, high)
    return math.sqrt(variance) / spectra.scale


def flat_variance(
    spectra: Spectra, which: Array | None = None, margin: Array | None = None
) -> float:
    """Fixed point of variance -> flat patches away from clipping levels -> variance.

    - `which`: the patches that count; all by default.
    - `margin` (patches,): distance of the mean of those from the nearest clipping level, -inf for
      no use at all.
    """
    energy = spectra.sums[0] if which is None else spectra.sums[0, which]
    order = order_of(energy)
    high = spectra.highest.take(order if which is None else which[order], axis=1)
    energy = energy[order]
    enough = -math.inf
    if margin is not None:
        margin = margin[order]
        unclipped = np.sort(margin[margin > -np.inf])
        # With no patch unclipped, as in a drawing in two colours, all of them count.
        if len(unclipped):
            enough = float(unclipped[-math.ceil(_UNCLIPPED_SHARE * len(unclipped))])
    kept, used, flattest = np.arange(len(order)), (0, 0), 0.0
    variance = 0.0
    for _ in range(_ROUNDS):
        if margin is not None:
            kept = np.flatnonzero(margin >= min(3 * math.sqrt(variance), enough))
        fewest = max(min(_FEWEST, len(kept)), int(_FEWEST_SHARE * len(kept)))
        seen = energy if margin is None else energy[kept]
        count = max(fewest, int(np.searchsorted(seen, LOW_MEDIAN * variance, side="right")))
        if used == (len(kept), count):
            break
        if used[0] != len(kept):
            flattest = _smallest_group(_means(high, kept[:fewest]))
        used = (len(kept), count)
        all_flat = _smallest_group(_means(high, kept[:count])) if count > fewest else flattest
        variance = min(all_flat, _GROWTH * flattest)
    return variance


def _means(rows: Array, which: Array) -> Array:
    """The mean of each row over these places, which are in order."""
    end = int(which[-1]) + 1
    if end == len(which):
        return np.asarray(np.add.reduce(rows[:, :end], axis=1) / np.float64(end))
    weights = np.zeros(end, rows.dtype)  # three times as fast as copies of the places
    weights[which] = 1
    return np.asarray(np.einsum("ij,j->i", rows[:, :end], weights) / np.float64(len(which)))


def _without_texture(variance: float, sums: Array, high: Array) -> float:
    """The variance less the texture that the flattest of these patches seem to hold."""
    low = sums[0]
    fewest = min(max(_FEWEST, int(_FEWEST_SHARE * len(low))), len(low)) - 1
    flat = high[:, low <= max(LOW_MEDIAN * variance, np.partition(low, fewest)[fewest])]
    each = np.asarray(flat.mean(axis=1), np.float64)
    level = float(each.mean())
    if level == 0:
        return variance
    decay = each[_HIGH_ORDER == 10].mean() / max(each[_HIGH_ORDER > 11].mean(), 1e-6 * level)
    relative = flat / flat.dtype.type(level)
    kurtosis = float(np.square(relative, out=relative).mean()) / 3
    evidence = min(max(decay * kurtosis - 1, 0.0) / _DIFFERENCE, 1.0)

    count = min(max(_FEWEST_LOOKED_AT, int(_LOOKED_AT * len(low))), len(low))
    middle = 0.0
    for chosen_by, measured in ((1, 4), (2, 3)):
        flattest = np.argpartition(sums[chosen_by], count - 1)[:count]
        middle += float(sums[measured, flattest].mean()) / np.count_nonzero(MIDDLE)
    by_chance = 10 / math.sqrt(len(low))  # patches overlap: two standard errors, about
    texture = evidence * max(middle - (_EXCESS + by_chance) * variance, 0.0)
    return float(max(variance - _IN_HIGHEST * texture, _LEAST_LEFT * variance))


def _smallest_group(values: Array) -> float:
    """Mean of the largest group of smallest values whose mean is not above their median.

    The median is the value next above the middle: of equal expected values, all are taken.
    """
    ordered = sorted(values.tolist())  # of 15: NumPy would take ten times as long
    means = [total / (k + 1) for k, total in enumerate(accumulate(ordered))]
    sizes = range(len(ordered), 2, -1)
    size = next((n for n in sizes if means[n - 1] <= ordered[(n + 1) // 2]), 2)  # two always pass
    return float(means[size - 1])
