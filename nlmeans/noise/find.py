"""Which noise an image is taken to have: what the caller says of it, and estimates of the rest."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlmeans.base.arrays import grid_shape, whole_range
from nlmeans.base.axes import Auto, Layout
from nlmeans.base.checks import ParameterError, check_choice, check_number
from nlmeans.noise.kind import estimate_noise
from nlmeans.noise.level import MOST_SLICES, estimate_sigma, estimate_stack_sigma, joint_sigma
from nlmeans.noise.model import KINDS, Noise, NoiseKind
from nlmeans.noise.patches import PATCHES, SIDE
from nlmeans.noise.rician import check_magnitudes, estimate_rician_sigma
from nlmeans.noise.trust import trust_in

Array = NDArray[Any]
Asked = NoiseKind | Auto | Noise
Levels = float | Sequence[float] | NDArray[np.floating[Any]]

# Seconds for each patch that a noise level, or kind and level, are estimated from. Images from
# 256x256 on have about the same number of them: 0.02 and 0.04 s a channel.
LEVEL_OF_PATCH, KIND_OF_PATCH = 0.35e-6, 0.6e-6
RANGE_OF_NUMBER = 5e-9  # and for each number of the image, which is searched for its range


@dataclass(frozen=True)
class NoiseAsked:
    """What the caller of `denoise` says of the noise, checked: `noise_asked` makes it."""

    # a Noise where its parameters are told, else its kind; "auto" where that is to be found too
    noise: Asked = "auto"
    # the level, one for all channels or one per channel; None where it is not told
    sigma: tuple[float, ...] | None = None

    @property
    def kind(self) -> NoiseKind | Auto:
        return self.noise.kind if isinstance(self.noise, Noise) else self.noise

    @property
    def estimated(self) -> bool:
        """Whether the level is to be estimated: neither sigma nor a gain is told."""
        told = isinstance(self.noise, Noise) and self.noise.gain
        return self.sigma is None and not told


@dataclass(frozen=True)
class Found:
    """The noise that an image has."""

    noise: Noise
    # its level for a filter of all channels: in the image's units, or 1 for Poisson-Gaussian noise,
    # which is that of the stabilised image
    sigma: float
    # its standard deviation in the image's units, one for all channels or one per channel; of
    # Poisson-Gaussian noise at each channel's mean
    levels: tuple[float, ...]
    trust: float  # the share of what a filter removes that is taken out, see `trust_in`
    estimated: bool  # whether the level was estimated

    @property
    def level(self) -> float:
        """The standard deviation over all channels, in the image's units."""
        return joint_sigma(self.levels)


def noise_asked(
    noise: Asked = "auto",
    sigma: Levels | None = None,
    gain: Levels | None = None,
    read_noise: Levels | None = None,
) -> NoiseAsked:
    """Check what is said of the noise; parameters as in `denoise`, sigma no map."""
    if gain is None and read_noise is not None:
        raise ParameterError(
            f"read_noise is {read_noise}, but gain is missing; give both or neither"
        )
    if isinstance(noise, Noise):
        if gain is not None:
            raise ParameterError("gain is given twice: as such and in noise; give it once")
    else:
        check_choice("noise", noise, ("auto", *KINDS))
    kind = noise.kind if isinstance(noise, Noise) else noise
    if gain is not None and kind not in ("auto", "poisson-gaussian"):
        raise ParameterError(
            f"gain is {gain}, but noise is {kind!r}; gain is of 'poisson-gaussian' noise"
        )
    if sigma is not None and (gain is not None or kind == "poisson-gaussian"):
        raise ParameterError(
            f"sigma is {sigma}, but the noise is Poisson-Gaussian, of no one level; give gain and "
            "read_noise instead"
        )
    if gain is not None:
        read_noise = 0.0 if read_noise is None else read_noise
        gains, levels = np.atleast_1d(gain).tolist(), np.atleast_1d(read_noise).tolist()
        return NoiseAsked(Noise("poisson-gaussian", tuple(gains), tuple(levels)))
    if sigma is None:
        return NoiseAsked(noise)
    each = tuple(check_number("sigma", level, low=0) for level in np.atleast_1d(sigma))
    return NoiseAsked(noise, each)


def find(colours: Array, layout: Layout, asked: NoiseAsked, *, trusted: bool = False) -> Found:
    """What noise an image, volume or clip has: as told, or else estimated.

    - `colours`: without its alpha channel.
    - `trusted`: whether an estimate is trusted whatever it is, as where h is given.
    """
    noise, sigma, levels = _told_or_estimated(colours, layout, asked)
    axis, trust = layout.channel_axis, 1.0
    if noise.kind == "poisson-gaussian":
        levels = _at_means(noise, colours, axis)
    # Texture does not pass for these: magnitudes are fitted, correlated noise has its own bounds.
    if asked.estimated and not trusted and noise.kind != "rician" and noise.extent == 1:
        trust = trust_in(joint_sigma(levels), colours, axis)
    return Found(noise, sigma, levels, trust, asked.estimated)


def _told_or_estimated(
    colours: Array, layout: Layout, asked: NoiseAsked
) -> tuple[Noise, float, tuple[float, ...]]:
    """The noise, its sigma, and levels that hold unless it is Poisson-Gaussian."""
    axis, stack, named = layout.channel_axis, layout.stack is not None, asked.noise
    if isinstance(named, Noise) and named.kind == "poisson-gaussian":
        return named, 1.0, ()
    if asked.sigma is None and named in ("auto", "poisson-gaussian"):
        noise, each = estimate_noise(
            colours, channel_axis=axis, stack=stack, signal_dependent=named == "poisson-gaussian"
        )
        return noise, joint_sigma(each), tuple(each.tolist())
    noise = named if isinstance(named, Noise) else Noise("gaussian" if named == "auto" else named)
    if noise.kind == "rician":
        check_magnitudes(colours)
    if asked.sigma is not None:
        _check_levels(asked.sigma, colours, axis)
        levels = asked.sigma
    elif noise.kind == "rician":
        levels = (estimate_rician_sigma(colours, channel_axis=axis, stack=stack),)
    else:
        estimate = estimate_stack_sigma if stack else estimate_sigma
        levels = tuple(np.atleast_1d(estimate(colours, channel_axis=axis)).tolist())
    return noise, joint_sigma(levels), levels


def _at_means(noise: Noise, colours: Array, channel_axis: int | None) -> tuple[float, ...]:
    """Standard deviation of Poisson-Gaussian noise at the mean of every channel."""
    planes = colours[None] if channel_axis is None else np.moveaxis(colours, channel_axis, 0)
    variance = noise.variance(np.array([plane.mean(dtype=np.float64) for plane in planes]))
    return tuple(np.sqrt(np.maximum(variance, 0)).tolist())


def estimating_seconds(shape: tuple[int, ...], layout: Layout, asked: NoiseAsked) -> float:
    """About how long `find` takes on an image, volume or clip: none where nothing is estimated."""
    if not asked.estimated:
        return 0.0
    axis = layout.channel_axis
    *depth, height, width = grid_shape(shape, axis)
    planes = (1 if axis is None else shape[axis] - layout.alpha) * min(
        math.prod(depth), MOST_SLICES
    )
    patches = min(max(height - SIDE + 1, 0) * max(width - SIDE + 1, 0), PATCHES)
    each = LEVEL_OF_PATCH if asked.kind in ("gaussian", "rician") else KIND_OF_PATCH
    return RANGE_OF_NUMBER * math.prod(shape) + planes * patches * each


def _check_levels(levels: tuple[float, ...], colours: Array, channel_axis: int | None) -> None:
    """Refuse levels that are not one per channel, or beyond the range.

    A sigma beyond the range is most likely meant in other units: 25 for an image in [0, 1].
    """
    channels = 1 if channel_axis is None else colours.shape[channel_axis]
    if len(levels) not in (1, channels):
        raise ParameterError(
            f"sigma holds {len(levels)} numbers and the image {channels} channels; give one "
            "number, or one a channel"
        )
    sigma = joint_sigma(levels)
    if colours.dtype.kind == "f":
        largest = max(abs(float(colours.min())), abs(float(colours.max())))
        limit, of = 2 * largest, "twice the largest magnitude in the image"
    else:
        limit, of = whole_range(colours.dtype), f"the range of {colours.dtype}"
    if sigma > limit > 0:
        raise ParameterError(
            f"sigma is {sigma:g}, above {limit:g}, {of}; give it in the image's own units"
        )
