"""What noise an image holds: Gaussian or Poisson-Gaussian, white or correlated."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nlmeans.layout import stack_axis
from nlmeans.noise import estimate_sigma, estimate_stack_sigma, flat_variance, spread_slices
from nlmeans.spectra import SIDE, clipping_levels, dct, grid_patches
from nlmeans.stabilise import Noise

Array = NDArray[Any]

_ORDER = np.add.outer(np.arange(SIDE), np.arange(SIDE)).ravel()  # i + j of a frequency
_LOWEST, _LOW, _HIGH = (_ORDER <= 1), (_ORDER == 2) | (_ORDER == 3), (_ORDER > 9)
_BASIS = dct().T

# Chosen on some of Train400 and the odd-numbered Kodak24 images with simulated noise: Gaussian of
# 1 to 50, Poisson-Gaussian of gain 0.5 to 24 on images darkened as micrographs are, clipped and
# rounded to 0..255, and noise blurred, interpolated or gone through JPEG.
_BINS, _FEWEST_IN_BIN = 16, 300  # of patches by their mean
_DARK, _BRIGHT = 0.3, 0.02  # of a bin's pixels on the lowest, highest value: more are left out
_LEAST_ROUND = 0.02  # relative error of a bin's variance that is always expected
_GROWTH = 1.6  # of the variance over the range of means, from which it depends on the signal
_MISFIT = 0.45  # of one level for all means that a line leaves at most; white noise 0.48 to 1
_FLATTEST, _FEWEST = 0.005, 200  # patches whose spectrum is the noise's
_EXCESS = 4.0  # of the mean over the highest frequencies, from which noise is correlated
_FLAT_SHARE = 0.05  # of patches that have to be as flat as those

_FREQUENCIES = SIDE**2 - 1
_MEDIAN = _FREQUENCIES * (1 - 2 / (9 * _FREQUENCIES)) ** 3  # of chi-square (Wilson, Hilferty)


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
    The noise counts as Gaussian, of one level, unless v grows by 1.6 over the means and a line
    leaves less than 0.45 of the misfit.

    Noise is correlated if the spectrum of the flattest 0.5 % of the patches, stabilised, is on
    average over 4 times what its highest frequencies are, and if 5 % of the patches are as flat.
    Patches are chosen by the frequencies of even i + j where those of odd i + j are measured, and
    the reverse: for stationary noise that is alike when mirrored the two are uncorrelated, so
    that choosing does not bias what is measured. The extent is (sum of squared autocorrelation)
    to the power 1/2, the side in pixels that one independent value takes.

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
        With one gain, read noise and offset a channel if it is Poisson-Gaussian.
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
    >>> from nlmeans.noise_fit import estimate_noise
    >>> clean = np.add.outer(np.arange(200.0), np.arange(200.0)) / 2
    >>> noisy = 5.0 * np.random.default_rng(0).poisson(clean / 5)
    >>> noise, _ = estimate_noise(noisy)
    >>> noise.kind, round(noise.gain[0])
    ('poisson-gaussian', 5)
    """
    levels = (estimate_stack_sigma if stack else estimate_sigma)(image, channel_axis=channel_axis)
    sigma = np.atleast_1d(np.asarray(levels, np.float64))  # and the arguments are checked
    array = np.asarray(image)
    largest = max(abs(float(array.max())), abs(float(array.min())))
    if not sigma.any():
        return Noise(), sigma
    scale = math.ldexp(1.0, -max(math.frexp(largest)[1], -1022))
    channels = channel_images(array, channel_axis, stack)
    found = [[_spectra(plane, scale) for plane in planes] for planes in channels]
    lines = [_line(spectra) for spectra in found]
    noise, unit = Noise(), sigma
    if signal_dependent or any(line.depends for line in lines):
        noise = _poisson_gaussian(lines, scale)
        unit = np.ones(len(channels))
        scale = 1.0
        channels = channel_images(noise.stabilise(array, channel_axis), channel_axis, stack)
        found = [[_spectra(plane, scale) for plane in planes] for planes in channels]
    correlation = _correlation(found)
    if correlation is None:
        return noise, unit
    variance, extent = correlation
    if noise.kind == "gaussian":
        return replace(noise, extent=extent), np.sqrt(variance) / scale
    gain = tuple((np.array(noise.gain) * variance).tolist())
    read_noise = tuple((np.array(noise.read_noise) * np.sqrt(variance)).tolist())
    return replace(noise, gain=gain, read_noise=read_noise, extent=extent), unit


def channel_images(array: Array, axis: int | None, stack: bool) -> list[list[Array]]:
    """The images of every channel: several of a stack."""
    if stack:
        array = np.moveaxis(spread_slices(array, axis), stack_axis(axis), 0)
        axis = axis if axis is None or axis == 0 else axis - 1
    images = array if stack else array[None]
    planes = images[:, None] if axis is None else np.moveaxis(images, axis + 1, 1)
    return [[image[k] for image in planes] for k in range(planes.shape[1])]


def level_groups(plane: Array) -> Array:
    """Rows of mean, variance and shares of dark and bright pixels, by patches of like means."""
    return _groups(_spectra(plane, 1.0))


@dataclass(frozen=True)
class _Spectra:
    """Of the patches of a plane: mean, squared DCT, shares of pixels on clipping levels."""

    mean: Array
    squares: Array
    dark: Array
    bright: Array

    def of(self, which: Array) -> "_Spectra":
        return _Spectra(*(part[which] for part in vars(self).values()))


def _spectra(plane: Array, scale: float) -> _Spectra:
    low, high = float(plane.min()), float(plane.max())
    clipped = clipping_levels(plane, low, high)
    parts = []
    for patches in grid_patches(plane, scale):
        first = patches[:, :1].copy()
        coefficients = (patches - first) @ _BASIS
        shares = (
            (patches == level * scale).mean(axis=1) if level in clipped else np.zeros(len(patches))
            for level in (low, high)
        )
        parts.append((coefficients[:, 0] / SIDE + first[:, 0], np.square(coefficients), *shares))
    return _Spectra(*(np.concatenate(part) for part in zip(*parts, strict=True)))


@dataclass(frozen=True)
class _Line:
    """v = slope m + constant, fitted for means m from low to high."""

    slope: float
    constant: float
    low: float
    high: float
    depends: bool  # on the signal, clearly


def _line(found: list[_Spectra]) -> _Line:
    """The variance of a channel's noise as a line over the mean."""
    groups = np.concatenate([_groups(spectra) for spectra in found])
    mean, variance, dark, bright = groups.T
    usable = variance > 0
    unclipped = usable & (dark <= _DARK) & (bright <= _BRIGHT)
    if unclipped.sum() >= max(len(mean) // 4, 3):
        usable = unclipped
    if usable.sum() < 3 or np.ptp(mean[usable]) == 0:
        level = float(np.median(variance[usable])) if usable.any() else 0.0
        return _Line(0.0, level, float(mean.min()), float(mean.max()), depends=False)
    mean, variance = mean[usable], variance[usable]
    slope, constant = _robust_line(mean, variance)
    low, high = float(mean.min()), float(mean.max())
    ends = slope * np.array([low, high]) + constant
    flat = np.abs(np.log(variance / np.median(variance))).sum()
    line = np.maximum(slope * mean + constant, 0.1 * variance.min())
    misfit = np.abs(np.log(variance / line)).sum()
    depends = ends[1] > _GROWTH * max(ends[0], 0.0) and misfit < _MISFIT * flat
    return _Line(slope, constant, low, high, bool(depends))


def _groups(spectra: _Spectra) -> Array:
    """Rows of mean, variance, shares of dark and bright pixels: one for patches of like means."""
    mostly = np.maximum(spectra.dark, spectra.bright) <= 0.5
    if mostly.sum() >= _BINS * _FEWEST_IN_BIN:
        spectra = spectra.of(mostly)
    count = max(1, min(_BINS, len(spectra.mean) // _FEWEST_IN_BIN))
    rows = []
    for which in np.array_split(np.argsort(spectra.mean, kind="stable"), count):
        group = spectra.of(which)
        high = group.squares[:, _HIGH]
        energy = group.squares[:, 1:].sum(axis=1) - high.sum(axis=1)
        variance = flat_variance(energy, high, np.full(len(energy), np.inf))
        rows.append((group.mean.mean(), variance, group.dark.mean(), group.bright.mean()))
    return np.array(rows)


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


def _poisson_gaussian(lines: list[_Line], scale: float) -> Noise:
    gains, read_noises, offsets = [], [], []
    for line in lines:
        middle = line.slope * (line.low + line.high) / 2 + line.constant
        # Noise that does not grow with the signal: a gain that changes it by 1 % over the range.
        least = 0.01 * max(middle, 1e-12) / max(line.high - line.low, 1e-6)
        slope = max(line.slope, least)
        constant = line.constant if line.slope >= least else middle
        gains.append(slope / scale)
        read_noises.append(math.sqrt(max(constant, 0.0)) / scale)
        offsets.append(max(-constant / slope, 0.0) / scale)
    return Noise("poisson-gaussian", tuple(gains), tuple(read_noises), tuple(offsets))


def _correlation(found: list[list[_Spectra]]) -> tuple[Array, float] | None:
    """Variance a channel and extent of correlated noise; None where it seems white."""
    variances, excesses, extents, shares = [], [], [], []
    for channel in found:
        parts = [_spectrum(spectra) for spectra in channel]
        spectrum = np.median([part for part, _ in parts], axis=0)
        mean = spectrum.mean()
        if mean == 0:
            return None
        variances.append(mean)
        excesses.append(mean / max(spectrum[_HIGH].mean(), 1e-30))
        extents.append(math.sqrt(np.square(spectrum).mean()) / mean)
        shares.append(np.median([share for _, share in parts]))
    if np.mean(excesses) < _EXCESS or np.mean(shares) < _FLAT_SHARE:
        return None
    return np.array(variances), max(1.0, float(np.mean(extents)))


def _spectrum(spectra: _Spectra) -> tuple[Array, float]:
    """Mean square of every frequency over the flattest patches; the share of patches as flat."""
    free = (spectra.dark <= 0.1) & (spectra.bright <= 0.1)
    squares = spectra.squares[free] if free.mean() > 0.05 else spectra.squares
    count = min(max(_FEWEST, int(_FLATTEST * len(squares))), len(squares))
    spectrum = np.empty(SIDE**2)
    odd = _ORDER % 2 == 1
    for chosen_by, measured in ((odd, ~odd), (~odd, odd)):
        energy = squares[:, chosen_by & (_ORDER > 0)].sum(axis=1)
        flattest = np.argpartition(energy, count - 1)[:count]
        spectrum[measured] = squares[flattest][:, measured].mean(axis=0)
    # The lowest frequencies hold slopes of the image: noise has no more there than just above.
    above = spectrum[_LOW].mean()
    share = (squares[:, 1:] / np.maximum(spectrum[1:], 1e-30)).sum(axis=1) <= _MEDIAN
    spectrum[_LOWEST] = np.minimum(spectrum[_LOWEST], above)
    spectrum[0] = above
    return spectrum, float(share.mean())
