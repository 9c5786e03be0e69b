"""What noise an image holds: Gaussian or Poisson-Gaussian, white, correlated or compressed."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nlmeans.base.arrays import checked_array, checked_axis, grid_shape, whole_levels
from nlmeans.base.axes import stack_axis
from nlmeans.base.scaling import exponent_of, largest_of
from nlmeans.noise.jpeg import luma_weights, sigma_before_jpeg
from nlmeans.noise.level import (
    LOW_MEDIAN,
    estimate_sigma,
    estimate_stack_sigma,
    flat_variance,
    joint_sigma,
    spread_slices,
)
from nlmeans.noise.model import Noise
from nlmeans.noise.patches import (
    BASIS,
    ORDER,
    PATCHES,
    SIDE,
    clipping_levels,
    grid_patches,
    patch_count,
)

Array = NDArray[Any]

_LOWEST, _LOW, _HIGH = (ORDER <= 1), (ORDER == 2) | (ORDER == 3), (ORDER > 9)
_TOLD_BY = (ORDER > 0) & ~_HIGH  # frequencies that tell how flat a patch is
_TAILS = (ORDER > 3) & (ORDER < 7)  # codecs leave these, and slopes of the image are below them

# Chosen on some of Train400 and the odd-numbered Kodak24 images with simulated noise: Gaussian of
# 1 to 50, Poisson-Gaussian of gain 0.5 to 24 on images darkened as micrographs are, clipped and
# rounded to 0..255, and noise blurred, interpolated or gone through JPEG.
_BINS, _FEWEST_IN_BIN = 16, 300  # of patches by their mean
_DARK, _BRIGHT = 0.3, 0.02  # of a bin's pixels on the lowest, highest value: more are left out
_LEAST_ROUND = 0.02  # relative error of a bin's variance that is always expected
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
    levels = (estimate_stack_sigma if stack else estimate_sigma)(array, channel_axis=channel_axis)
    white = np.atleast_1d(np.asarray(levels, np.float64))  # and the arguments are checked
    noise, sigma = _noise_of(array, axis, stack, white, signal_dependent)
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


def _noise_of(
    array: Array, channel_axis: int | None, stack: bool, white: Array, signal_dependent: bool
) -> tuple[Noise, Array]:
    """The noise of an image that no codec quantised, with these levels if it is white."""
    if array.min() == array.max():
        return Noise(), white
    scale = math.ldexp(1.0, -exponent_of(largest_of(array)))
    channels = channel_images(array, channel_axis, stack)
    lines = [_line(planes, scale) for planes in channels]
    noise, unit = Noise(), white
    if signal_dependent or any(line.depends for line in lines):
        noise = _poisson_gaussian(lines, scale)
        unit = np.ones(len(channels))
        scale = 1.0
        channels = channel_images(noise.stabilise(array, channel_axis), channel_axis, stack)
    correlation = _correlation(channels, scale)
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


def level_groups(planes: list[Array], scale: float = 1.0) -> Array:
    """Rows of mean, variance, shares of dark and bright pixels: one for patches of like means."""
    return _level_rows(_spectra(planes, scale))


def _level_rows(spectra: _Spectra) -> Array:
    rows = []
    for which in spectra.groups():
        squares = spectra.squares[which].astype(np.float64)
        high = squares[:, _HIGH]
        energy = squares[:, 1:].sum(axis=1) - high.sum(axis=1)
        variance = flat_variance(energy, high, np.full(len(energy), np.inf))
        dark, bright = (part[which].mean() for part in (spectra.dark, spectra.bright))
        rows.append((spectra.mean[which].mean(), variance, dark, bright))
    return np.array(rows)


@dataclass(frozen=True)
class _Spectra:
    """Of the patches of planes: mean, squared DCT, shares of pixels on clipping levels."""

    mean: Array
    squares: Array
    dark: Array
    bright: Array

    def groups(self) -> list[Array]:
        """Which patches are of like means; those mostly clipped are left out if others remain."""
        order = np.argsort(self.mean, kind="stable")
        free = np.maximum(self.dark, self.bright)[order] <= 0.5
        if free.sum() >= _BINS * _FEWEST_IN_BIN:
            order = order[free]
        return np.array_split(order, max(1, min(_BINS, len(order) // _FEWEST_IN_BIN)))


def _spectra(planes: list[Array], scale: float) -> _Spectra:
    low, high = (float(f([f(plane) for plane in planes])) for f in (np.min, np.max))
    most = PATCHES // len(planes)
    counts = [patch_count(plane, most) for plane in planes]
    mean, dark, bright = np.zeros((3, sum(counts)))
    squares = np.empty((sum(counts), SIDE**2), np.float32)  # the largest array that is held
    done = 0
    for plane in planes:
        clipped = clipping_levels(plane, low, high)
        for patches in grid_patches(plane, scale, most):
            part = slice(done, done + len(patches))
            first = patches[:, :1].copy()
            coefficients = (patches - first) @ BASIS
            mean[part] = coefficients[:, 0] / SIDE + first[:, 0]
            np.square(coefficients, out=squares[part], casting="same_kind")
            for level, shares in ((low, dark), (high, bright)):
                if level in clipped:
                    shares[part] = (patches == level * scale).mean(axis=1)
            done += len(patches)
    return _Spectra(mean, squares, dark, bright)


@dataclass(frozen=True)
class _Line:
    """v = slope m + constant, fitted for means m from low to high."""

    slope: float
    constant: float
    low: float
    high: float
    depends: bool  # on the signal, clearly


def _line(planes: list[Array], scale: float) -> _Line:
    """The variance of a channel's noise as a line over the mean."""
    spectra = _spectra(planes, scale)
    mean, variance, dark, bright = _level_rows(spectra).T
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
    if depends and (
        _flat_share(spectra, slope, constant) < _LEAST_FLAT or _tails(spectra) > _HEAVIEST
    ):
        # Correlated noise holds more at low frequencies than at the high ones measured.
        depends = _correlation([planes], scale) is not None
    return _Line(slope, constant, low, high, bool(depends))


def _tails(spectra: _Spectra) -> float:
    """Kurtosis over 3 of the highest frequencies of a group's flattest patches: the median."""
    found = []
    for which in spectra.groups():
        squares = spectra.squares[which]
        count = min(max(_FEWEST, int(_FLATTEST * len(which))), len(which))
        flattest = np.argpartition(squares @ _TOLD_BY.astype(np.float32), count - 1)[:count]
        high = squares[flattest][:, _HIGH].astype(np.float64)
        found.append(np.square(high).mean() / (3 * max(high.mean() ** 2, 1e-30)))
    return float(np.median(found))


def _flat_share(spectra: _Spectra, slope: float, constant: float) -> float:
    """Share of patches that hold no more than noise of these variances: median over the groups."""
    shares = []
    for which in spectra.groups():
        variance = slope * spectra.mean[which].mean() + constant
        energy = spectra.squares[which] @ _TOLD_BY.astype(np.float32)
        shares.append(np.mean(energy <= LOW_MEDIAN * variance))
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


def _correlation(channels: list[list[Array]], scale: float) -> tuple[Array, float] | None:
    """Variance a channel and extent of correlated noise; None where it seems white."""
    found = [_spectrum(_spectra(planes, scale)) for planes in channels]
    spectra = np.array([spectrum for spectrum, _, _ in found])
    means = spectra.mean(axis=1)
    if not means.all():
        return None
    excess = float(np.mean(means / np.maximum(spectra[:, _HIGH].mean(axis=1), 1e-6 * means)))
    share, tails = np.mean([others for _, *others in found], axis=0)
    evidence = _EVIDENCE[0] if tails > _TEXTURE[1] else _EVIDENCE[1]
    if excess < _EXCESS or excess * share < evidence or _TEXTURE[0] < tails < _TEXTURE[1]:
        return None
    extent = float(np.mean(np.sqrt(np.square(spectra).mean(axis=1)) / means))
    return None if extent > _WIDEST else (means, max(1.0, extent))


def _spectrum(spectra: _Spectra) -> tuple[Array, float, float]:
    """Mean square of every frequency over the flattest patches, their share, their kurtosis."""
    odd = ORDER % 2 == 1
    found = []
    fourth = np.zeros(SIDE**2)
    for which in spectra.groups():
        squares = spectra.squares[which]
        count = min(max(_FEWEST, int(_FLATTEST * len(which))), len(which))
        spectrum = np.empty(SIDE**2)
        for chosen_by, measured in ((odd, ~odd), (~odd, odd)):
            energy = squares @ (chosen_by & (ORDER > 0)).astype(np.float32)
            flattest = np.argpartition(energy, count - 1)[:count]
            here = squares[flattest][:, measured].astype(np.float64)
            spectrum[measured] = here.mean(axis=0)
            least = np.maximum(spectrum[measured], 1e-30)
            fourth[measured] += np.square(here / least).mean(axis=0)
        # The lowest frequencies hold slopes of the image: noise has no more there than just above.
        above = spectrum[_LOW].mean()
        spectrum[_LOWEST] = np.minimum(spectrum[_LOWEST], above)
        spectrum[0] = above
        found.append(spectrum)
    found.sort(key=np.mean)
    spectrum = found[int(_QUANTILE * (len(found) - 1))]
    # Frequencies that a codec took away do not count more than a twentieth of the mean would.
    precision = 1 / np.maximum(spectrum, max(0.05 * spectrum.mean(), 1e-30))
    precision[0] = 0
    flat = spectra.squares @ precision.astype(np.float32) <= spectrum @ precision
    return spectrum, float(flat.mean()), float(fourth[_TAILS].mean()) / (3 * len(found))
