"""Which noise an image is taken to have: what the caller says of it, and estimates of the rest."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlmeans.base.arrays import grid_shape, whole_range
from nlmeans.base.axes import Auto, Layout
from nlmeans.base.checks import ParameterError, check_choice, check_number
from nlmeans.noise.kind import estimate_noise
from nlmeans.noise.level import MOST_SLICES, estimate_sigma, estimate_stack_sigma, joint_sigma
from nlmeans.noise.model import KINDS, Kind, Noise
from nlmeans.noise.patches import PATCHES, SIDE
from nlmeans.noise.rician import check_magnitudes, estimate_rician_sigma

Array = NDArray[Any]
Asked = Kind | Auto | Noise
Levels = float | Sequence[float] | NDArray[np.floating[Any]]

# Seconds for each patch that a noise level, or kind and level, are estimated from: of images from
# 256x256 on, of which at most so many patches are looked at, it is about the same for all, 0.06 and
# 0.17 s a channel. And for each number of the image, which is searched for its range and contrast.
LEVEL_OF_PATCH, KIND_OF_PATCH, RANGE_OF_NUMBER = 0.9e-6, 2.6e-6, 5e-9


def noise_asked(
    noise: Asked, sigma: Levels | None, gain: Levels | None, read_noise: Levels | None
) -> Asked:
    """The noise that the arguments name, or the kind that is to be estimated."""
    if gain is None and read_noise is not None:
        message = f"read_noise is {read_noise}, but gain is missing; give both or neither"
        raise ParameterError(message)
    if isinstance(noise, Noise):
        if gain is not None:
            message = "gain is given twice: as such and in noise; give it once"
            raise ParameterError(message)
    else:
        check_choice("noise", noise, ("auto", *KINDS))
    kind = noise.kind if isinstance(noise, Noise) else noise
    if gain is not None and kind not in ("auto", "poisson-gaussian"):
        message = f"gain is {gain}, but noise is {kind!r}; gain is of 'poisson-gaussian' noise"
        raise ParameterError(message)
    if sigma is not None and (gain is not None or kind == "poisson-gaussian"):
        message = (
            f"sigma is {sigma}, but the noise is Poisson-Gaussian, of no one level; give gain and "
            "read_noise instead"
        )
        raise ParameterError(message)
    if gain is not None:
        read_noise = 0.0 if read_noise is None else read_noise
        gains, levels = np.atleast_1d(gain).tolist(), np.atleast_1d(read_noise).tolist()
        return Noise("poisson-gaussian", tuple(gains), tuple(levels))
    if noise == "auto" and sigma is not None:
        return "gaussian"
    return noise


def noise_of(
    colours: Array, layout: Layout, sigma: Levels | None, asked: Asked
) -> tuple[Noise, float]:
    """The noise of an image and its sigma, given or estimated."""
    axis, stack = layout.channel_axis, layout.stack is not None
    if isinstance(asked, Noise) and asked.kind == "poisson-gaussian":
        return asked, 1.0
    if sigma is None and asked in ("auto", "poisson-gaussian"):
        depends = asked == "poisson-gaussian"
        found, levels = estimate_noise(
            colours, channel_axis=axis, stack=stack, signal_dependent=depends
        )
        return found, joint_sigma(levels)
    noise = asked if isinstance(asked, Noise) else Noise("gaussian" if asked == "auto" else asked)
    if noise.kind == "rician":
        check_magnitudes(colours)
    if sigma is not None:
        each = [check_number("sigma", level, low=0) for level in np.atleast_1d(sigma)]
        channels = 1 if axis is None else colours.shape[axis]
        if len(each) not in (1, channels):
            message = (
                f"sigma holds {len(each)} numbers and the image {channels} channels; give one "
                "number, or one a channel"
            )
            raise ParameterError(message)
        level = joint_sigma(np.array(each))
        _check_within_range(level, colours)
        return noise, level
    if noise.kind == "rician":
        return noise, estimate_rician_sigma(colours, channel_axis=axis, stack=stack)
    estimate = estimate_stack_sigma if stack else estimate_sigma
    return noise, joint_sigma(estimate(colours, channel_axis=axis))


def level_of(noise: Noise, sigma: float, colours: Array, channel_axis: int | None) -> float:
    """Standard deviation of noise in the image's units: sigma, or that at the channels' means."""
    if noise.kind != "poisson-gaussian":
        return sigma
    axis = None if channel_axis is None else channel_axis % colours.ndim
    others = tuple(k for k in range(colours.ndim) if k != axis)
    variance = noise.variance(colours.mean(axis=others, dtype=np.float64))
    return math.sqrt(max(float(variance.mean()), 0.0))


def estimating_seconds(shape: tuple[int, ...], layout: Layout, asked: Asked) -> float:
    """About how long `noise_of` takes, where it estimates, on an image, volume or clip."""
    axis = layout.channel_axis
    *depth, height, width = grid_shape(shape, axis)
    planes = (1 if axis is None else shape[axis] - layout.alpha) * min(
        math.prod(depth), MOST_SLICES
    )
    patches = min(max(height - SIDE + 1, 0) * max(width - SIDE + 1, 0), PATCHES)
    kind = asked.kind if isinstance(asked, Noise) else asked
    known = kind in ("gaussian", "rician")
    each = LEVEL_OF_PATCH if known else KIND_OF_PATCH
    return RANGE_OF_NUMBER * math.prod(shape) + planes * patches * each


def _check_within_range(sigma: float, colours: Array) -> None:
    """A sigma beyond the range is most likely meant in other units: 25 for an image in [0, 1]."""
    if colours.dtype.kind == "f":
        largest = max(abs(float(colours.min())), abs(float(colours.max())))
        limit, of = 2 * largest, "twice the largest magnitude in the image"
    else:
        limit, of = whole_range(colours.dtype), f"the range of {colours.dtype}"
    if sigma > limit > 0:
        message = f"sigma is {sigma:g}, above {limit:g}, {of}; give it in the image's own units"
        raise ParameterError(message)
