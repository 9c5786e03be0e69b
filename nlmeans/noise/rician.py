"""Rician noise of magnitude images: its level, and averages without its bias.

A magnitude m of a complex signal A with Gaussian noise of standard deviation sigma in both parts
is Rician distributed. Its mean is above A, most where A is small, but E[m^2] = A^2 + 2 sigma^2.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlmeans.base.arrays import whole_levels
from nlmeans.base.checks import ParameterError
from nlmeans.noise.kind import channel_spectra, level_rows
from nlmeans.noise.level import spread_slices

Array = NDArray[Any]


def check_magnitudes(image: Array) -> None:
    low = image.min()
    if low < 0:
        raise ParameterError(
            f"the image holds values down to {low:g}, and noise is 'rician'; magnitudes are from "
            "0: take another noise, or the magnitude of the signal"
        )


def estimate_rician_sigma(image: Array, *, channel_axis: int | None, stack: bool) -> float:
    """Standard deviation of the Gaussian noise in both parts of a magnitude image.

    Groups of patches of like mean have a mean and a variance, from which Koay's fixed point [1]_
    finds sigma; the median over the groups counts. Groups without noise, such as a background set
    to 0, do not.

    References
    ----------
    .. [1] C. G. Koay, P. J. Basser, "Analytically exact correction scheme for signal extraction
       from noisy magnitude MR signals", Journal of Magnetic Resonance 179(2), 2006.
    """
    image, step = whole_levels(spread_slices(image, channel_axis) if stack else image)
    found = []
    for spectra in channel_spectra(image, channel_axis, stack):
        variance, mean = level_rows(spectra)[:, :2].T
        seen = variance > 0
        if seen.any():
            variance = np.median(_gaussian_variance(mean[seen], variance[seen]))
            found.append(math.sqrt(variance) / spectra.scale)
    return step * math.hypot(*found) / math.sqrt(len(found)) if found else 0.0


def _gaussian_variance(mean: Array, variance: Array) -> Array:
    """sigma^2 of a Rician variable of this mean and variance."""
    table = np.concatenate([np.linspace(0, 8, 400), [1e4]])  # A/sigma
    share, ratio = _moments(table)
    return np.asarray(variance / np.interp(mean / np.sqrt(variance), ratio, share))


def _moments(signal: Array) -> tuple[Array, Array]:
    """Variance over sigma^2, and mean over standard deviation, for A/sigma."""
    from scipy.special import ive

    half = signal**2 / 4
    mean = math.sqrt(math.pi / 2) * ((1 + 2 * half) * ive(0, half) + 2 * half * ive(1, half))
    with np.errstate(invalid="ignore"):
        share = np.where(signal < 100, 2 + signal**2 - mean**2, 1.0)
    return share, mean / np.sqrt(share)
