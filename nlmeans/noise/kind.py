"""What noise an image holds: Gaussian or Poisson-Gaussian, white, correlated or compressed."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nlmeans.base.arrays import checked_array, checked_axis, grid_shape, whole_levels
from nlmeans.base.axes import stack_axis
from nlmeans.noise.jpeg import luma_weights, sigma_before_jpeg
from nlmeans.noise.level import (
    LOW_MEDIAN,
    checked_channels,
    estimate_stack_sigma,
    flat_variance,
    joint_sigma,
    spread_slices,
    white_level,
)
from nlmeans.noise.model import Noise
from nlmeans.noise.patches import HIGH, ODD, ORDER, SIDE, Spectra, spectra_of

Array = NDArray[Any]

_LOWEST, _ABOVE_LOWEST = (ORDER <= 1), (ORDER == 2) | (ORDER == 3)
_TAILS = (ORDER > 3) & (ORDER < 7)  # codecs leave these, and slopes of the image are below them

# Chosen on some of Train400 and the odd-numbered Kodak24 images with simulated noise: Gaussian of
# 1 to 50, Poisson-Gaussian of gain 0.5 to 24 on images darkened as micrographs are, clipped and
# rounded to 0..255, and noise blurred, interpolated or gone through JPEG.
_DARK, _BRIGHT = 0.3, 0.02  # of a group's pixels on the lowest, highest value: more are left out
_LEAST_ROUND = 0.02  # relative error of a group's variance that is always expected
_GROWTH = 1.6  # of the variance over the range of means, from which it depends on the signal
_LEAST_FLAT = 0.01  # of a group's patches, lest texture that is brighter passes for noise
_HEAVIEST = 1.08  # fourth moment over that of a Gaussian: noise up to 1.03, brighter texture 1.1 up
_MISFIT = 0.45  # of one level for all means that a line leaves at most; white noise 0.48 to 1
_FLATTEST, _FEWEST = 0.02, 50  # patches of a group whose spectrum is the noise's
_QUANTILE = 0.25  # of the groups by their variance: texture only adds
_EXCESS = 6.5  # of the mean over the highest frequencies, from which noise is correlated
# Excess times the share of patches as flat as those, at least: where a codec was at work, and else.
_EVIDENCE = (0.5, 1.7)
_WIDEST = 2.75  # extent: demosaicking and JPEG reach 2.7 (PolyU), texture out of focus 2.8 to 4
# Of white noise before JPEG: what of its luma JPEG leaves at most, and what is left where steps so
# fine changed so little that more patches tell it better.
_LEFT, _UNTOUCHED = 1.1, 0.8
# Fourth moment over that of a Gaussian: 1.12 to 1.55 for texture of nearly clean pictures, above 2
# where a codec set most coefficients to zero (PolyU; no simulation here went as far).
_TEXTURE = (1.11, 1.6)


def estimate_noise(
    image: ArrayLike,
    *,
    channel_axis: int | None = None,
    stack: bool = False,
    signal_dependent: bool = False,
) -> tuple[Noise, NDArray[np.float64]]:
    """Estimate the kind of the noise of an image and its parameters.

    Patches are sorted by their mean into 16 groups of one size. The method of `estimate_sigma`
    gives each group's variance v, and through these (mean m, variance v)

        v = gain * m + (read_noise^2 - gain * offset)

    is fitted, robustly and relative to v. One image does not tell read_noise from offset: a
    negative constant is taken as an offset without read noise, another as read noise without
    offset. Groups with many pixels on the lowest or highest value are left out if others remain.
    The noise counts as Gaussian, of one level, unless v grows by 1.6 over the means, a line leaves
    less than 0.45 of the misfit, half of the groups have 1 % of patches without more than noise of
    that line, and the highest frequencies of the flattest patches have the kurtosis of a Gaussian,
    within 8 % in the median over the groups, as brighter texture has more. Correlated noise need
    not meet the last two.

    The spectrum of the noise is that of the flattest 2 % of the patches of a group, once
    stabilised, in the group at a quarter of all by variance. The noise is correlated if the
    spectrum is on average over 6.5 times what its highest frequencies are, and if this number times
    the share of patches as flat as those is above 1.7: white noise under texture has few. And over
    those patches, mean(c^4) / (3 mean(c^2)^2) of the coefficients c with i + j from 4 to 6 must on
    average not be between 1.11 and 1.6: it is 1 for Gaussian noise, more where patches hold unlike
    amounts of texture, and above 2 where a codec set most coefficients to zero; there 0.5 does in
    place of 1.7. Nor may the extent be above 2.75: that is texture out of focus.
    Patches are chosen by the frequencies of even i + j where those of odd i + j are measured, and
    the reverse: for stationary noise that is alike when mirrored the two are uncorrelated, so
    that choosing does not bias what is measured. The extent is (sum of squared autocorrelation)
    to the power 1/2, the side in pixels that one independent value takes.

    An image of 8 bits that went through JPEG is looked at by `sigma_before_jpeg` too. Its level
    counts where the noise seems white and is less than 0.8 of it, as steps of quantisation took the
    rest; and where it seems correlated, unless there is more of it than white noise of that level
    would have put into luma: such noise was correlated before.

    Parameters
    ----------
    image : (rows, columns) array, or (images, rows, columns) with `stack`, and a channel axis
        As in `estimate_sigma`.
    channel_axis : int, optional
        The axis that holds the channels.
    stack : bool
        Whether the first of the other axes is that of the images of a volume or clip.
    signal_dependent : bool
        That it depends on the signal is known; otherwise Gaussian noise is considered too.

    Returns
    -------
    noise : Noise
        With one gain, read noise and offset a channel if it is Poisson-Gaussian; `jpeg` is set if
        sigma is that before compression.
    sigma : (channels,) array
        Its standard deviation in the image's units; 1 for Poisson-Gaussian noise, once stabilised.

    Raises
    ------
    TypeError, ValueError
        As `estimate_sigma`.

    References
    ----------
    .. [1] A. Foi, M. Trimeche, V. Katkovnik, K. Egiazarian, "Practical Poissonian-Gaussian noise
       modeling and fitting for single-image raw-data", IEEE Transactions on Image Processing
       17(10), 2008: the model, and pairs of local mean and deviation that a line is fitted to.

    Examples
    --------
    >>> import numpy as np
    >>> from nlmeans.noise.kind import estimate_noise
    >>> clean = np.add.outer(np.arange(200.0), np.arange(200.0)) / 2 + 10
    >>> noisy = 5.0 * np.random.default_rng(0).poisson(clean / 5)
    >>> noise, _ = estimate_noise(noisy)
    >>> noise.kind, round(noise.gain[0])
    ('poisson-gaussian', 5)
    """
    array = checked_array("image", image)
    axis = checked_axis("image", array.ndim, channel_axis)
    if stack and len(grid_shape(array.shape, axis)) == 3:  # else `estimate_stack_sigma` says so
        array = spread_slices(array, axis)
    array, step = whole_levels(array)
    if stack:
        white = np.atleast_1d(np.asarray(estimate_stack_sigma(array, channel_axis=channel_axis)))
    else:
        checked_channels(array, channel_axis)
    spectra = channel_spectra(array, axis, stack)
    if not stack:
        white = np.array([white_level(channel) for channel in spectra])
    noise, sigma = _noise_of(array, axis, stack, spectra, white, signal_dependent)
    before = None if stack or signal_dependent else sigma_before_jpeg(array, axis)
    if before is not None:
        left = _LEFT * before * float(np.linalg.norm(luma_weights(len(white))))
        whole = joint_sigma(sigma if noise.kind == "gaussian" else white)
        if whole < (left if noise.extent > 1 else _UNTOUCHED * before):
            noise, sigma = Noise(jpeg=True), np.full_like(white, before)
    if noise.kind == "gaussian":
        return noise, step * sigma
    gain, read_noise, offset = (
        tuple(step * number for number in numbers)
        for numbers in (noise.gain, noise.read_noise, noise.offset)
    )
    return replace(noise, gain=gain, read_noise=read_noise, offset=offset), sigma


def channel_spectra(array: Array, axis: int | None, stack: bool) -> list[Spectra]:
    """The spectra of every channel: of an image, or of the images of a stack together."""
    if stack:
        array = np.moveaxis(spread_slices(array, axis), stack_axis(axis), 0)
        axis = axis if axis is None or axis == 0 else axis - 1
    images = array if stack else array[None]
    planes = images[:, None] if axis is None else np.moveaxis(images, axis + 1, 1)
    return [spectra_of([image[k] for image in planes]) for k in range(planes.shape[1])]


def _noise_of(
    array: Array,
    axis: int | None,
    stack: bool,
    spectra: list[Spectra],
    white: Array,
    signal_dependent: bool,
) -> tuple[Noise, Array]:
    """The noise of an image that no codec quantised, with these levels if it is white."""
    if all(channel.low == channel.high for channel in spectra):
        return Noise(), white
    lines = [_line(channel) for channel in spectra]
    noise, unit = Noise(), white
    if signal_dependent or any(line.depends for line in lines):
        noise = _poisson_gaussian(lines)
        unit = np.ones(len(spectra))
        spectra = channel_spectra(noise.stabilise(array, axis), axis, stack)
    correlation = _correlation(spectra)
    if correlation is None:
        return noise, unit
    variance, extent = correlation
    if noise.kind == "gaussian":
        return replace(noise, extent=extent), np.sqrt(variance)
    gain = tuple((np.array(noise.gain) * variance).tolist())
    read_noise = tuple((np.array(noise.read_noise) * np.sqrt(variance)).tolist())
    return replace(noise, gain=gain, read_noise=read_noise, extent=extent), unit


def level_rows(spectra: Spectra) -> Array:
    """The mean, variance, and shares of dark and bright pixels of each group, a row each."""
    rows = []
    for group in spectra.groups:
        variance = flat_variance(spectra, group)
        means = (each[group].mean() for each in (spectra.mean, spectra.dark, spectra.bright))
        rows.append((variance, *means))
    return np.array(rows)


@dataclass(frozen=True)
class _Line:
    """v = slope m + constant, fitted for means m from low to high; all of scaled values."""

    scale: float
    slope: float
    constant: float
    low: float
    high: float
    depends: bool  # on the signal, clearly


def _line(spectra: Spectra) -> _Line:
    """The variance of a channel's noise as a line over the mean."""
    scale = spectra.scale
    variance, mean, dark, bright = level_rows(spectra).T
    usable = variance > 0
    unclipped = usable & (dark <= _DARK) & (bright <= _BRIGHT)
    if unclipped.sum() >= max(len(mean) // 4, 3):
        usable = unclipped
    if usable.sum() < 3 or np.ptp(mean[usable]) == 0:
        level = float(np.median(variance[usable])) if usable.any() else 0.0
        return _Line(scale, 0.0, level, float(mean.min()), float(mean.max()), depends=False)
    mean, variance = mean[usable], variance[usable]
    slope, constant = _robust_line(mean, variance)
    low, high = float(mean.min()), float(mean.max())
    ends = slope * np.array([low, high]) + constant
    flat = np.abs(np.log(variance / np.median(variance))).sum()
    line = np.maximum(slope * mean + constant, 0.1 * variance.min())
    misfit = np.abs(np.log(variance / line)).sum()
    depends = ends[1] > _GROWTH * max(ends[0], 0.0) and misfit < _MISFIT * flat
    if depends and (
        _flat_share(spectra, slope, constant) < _LEAST_FLAT or _tails(spectra) > _HEAVIEST
    ):
        # Correlated noise holds more at low frequencies than at the high ones measured.
        depends = _correlation([spectra]) is not None
    return _Line(scale, slope, constant, low, high, bool(depends))


def _tails(spectra: Spectra) -> float:
    """Kurtosis over 3 of the highest frequencies of a group's flattest patches: the median."""
    found = []
    for group in spectra.groups:
        high = spectra.flattest(group, 0, _few_of(group))[HIGH]
        found.append(np.square(high).mean() / (3 * max(high.mean() ** 2, 1e-30)))
    return float(np.median(found))


def _few_of(group: Array) -> int:
    """How many of a group's patches tell its spectrum."""
    return min(max(_FEWEST, int(_FLATTEST * len(group))), len(group))


def _flat_share(spectra: Spectra, slope: float, constant: float) -> float:
    """Share of patches that hold no more than noise of these variances: median over the groups."""
    shares = []
    for group in spectra.groups:
        variance = slope * spectra.mean[group].mean() + constant
        shares.append(np.mean(spectra.sums[0, group] <= LOW_MEDIAN * variance))
    return float(np.median(shares))


def _robust_line(mean: Array, variance: Array) -> tuple[float, float]:
    """The line through two of the points that is nearest to all, then least squares near it."""
    i, j = np.triu_indices(len(mean), 1)
    apart = mean[i] != mean[j]
    i, j = i[apart], j[apart]
    slopes = (variance[j] - variance[i]) / (mean[j] - mean[i])
    lines = np.stack([slopes, variance[i] - slopes * mean[i]])
    lines = np.concatenate([lines, [[0.0], [np.median(variance)]]], axis=1)
    least = 0.3 * variance.min()  # of what a line predicts: the logarithm of less would count all
    predicted = np.maximum(np.outer(lines[0], mean) + lines[1][:, None], least)
    line = lines[:, np.abs(np.log(variance / predicted)).sum(axis=1).argmin()]
    points = np.stack([mean, np.ones_like(mean)], axis=1)
    for _ in range(10):
        predicted = np.maximum(points @ line, least)
        error = variance / predicted - 1
        # Tukey's biweight, at three times the standard deviation that the median error tells.
        spread = max(1.4826 * float(np.median(np.abs(error))), _LEAST_ROUND)
        weights = np.clip(1 - (error / (3 * spread)) ** 2, 0, None) / predicted
        line = np.linalg.lstsq(points * weights[:, None], variance * weights, rcond=None)[0]
    return float(line[0]), float(line[1])


def _poisson_gaussian(lines: list[_Line]) -> Noise:
    gains, read_noises, offsets = [], [], []
    for line in lines:
        middle = line.slope * (line.low + line.high) / 2 + line.constant
        # Noise that does not grow with the signal: a gain that changes it by 1 % over the range, or
        # over a hundredth of the values where all means are alike.
        apart = max(line.high - line.low, 0.01 * max(abs(line.low), abs(line.high)), 1e-6)
        least = 0.01 * max(middle, 1e-12) / apart
        slope = max(line.slope, least)
        constant = line.constant if line.slope >= least else middle
        gains.append(slope / line.scale)
        read_noises.append(math.sqrt(max(constant, 0.0)) / line.scale)
        offsets.append(max(-constant / slope, 0.0) / line.scale)
    return Noise("poisson-gaussian", tuple(gains), tuple(read_noises), tuple(offsets))


def _correlation(channels: list[Spectra]) -> tuple[Array, float] | None:
    """Variance a channel and extent of correlated noise; None where it seems white."""
    found = [_spectrum(channel) for channel in channels]
    spectra = np.array([spectrum for spectrum, _ in found])
    means = spectra.mean(axis=1)
    if not means.all():
        return None
    excess = float(np.mean(means / np.maximum(spectra[:, HIGH].mean(axis=1), 1e-6 * means)))
    tails = float(np.mean([tails for _, tails in found]))
    if excess < _EXCESS or _TEXTURE[0] < tails < _TEXTURE[1]:
        return None
    share = np.mean([_flat_as(*pair) for pair in zip(channels, spectra, strict=True)])
    if excess * share < (_EVIDENCE[0] if tails > _TEXTURE[1] else _EVIDENCE[1]):
        return None
    extent = float(np.mean(np.sqrt(np.square(spectra).mean(axis=1)) / means))
    scales = np.array([channel.scale for channel in channels])
    return None if extent > _WIDEST else (means / scales**2, max(1.0, extent))


def _spectrum(channel: Spectra) -> tuple[Array, float]:
    """Mean square of every frequency over the flattest patches, and their kurtosis over 3."""
    found = []
    fourth = np.zeros(SIDE**2)
    for group in channel.groups:
        spectrum = np.empty(SIDE**2)
        for chosen_by, measured in ((1, ~ODD), (2, ODD)):
            here = channel.flattest(group, chosen_by, _few_of(group))[measured]
            spectrum[measured] = here.mean(axis=1)
            least = np.maximum(spectrum[measured], 1e-30)
            fourth[measured] += np.square(here / least[:, None]).mean(axis=1)
        # The lowest frequencies hold slopes of the image: noise has no more there than just above.
        above = spectrum[_ABOVE_LOWEST].mean()
        spectrum[_LOWEST] = np.minimum(spectrum[_LOWEST], above)
        spectrum[0] = above
        found.append(spectrum)
    found.sort(key=np.mean)
    return found[int(_QUANTILE * (len(found) - 1))], float(fourth[_TAILS].mean()) / (3 * len(found))


def _flat_as(channel: Spectra, spectrum: Array) -> float:
    """The share of patches that hold no more than noise of this spectrum."""
    # Frequencies that a codec took away do not count more than a twentieth of the mean would.
    precision = 1 / np.maximum(spectrum, max(0.05 * spectrum.mean(), 1e-30))
    precision[0] = 0
    return channel.share_within(precision, float(spectrum @ precision))
