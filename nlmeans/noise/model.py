"""Noise as a value, and the transform that gives Poisson-Gaussian noise one standard deviation."""

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nlmeans.base.arrays import working_dtype
from nlmeans.base.checks import (
    LARGEST_NUMBER,
    SMALLEST_NUMBER,
    ParameterError,
    check_choice,
    check_number,
)

Array = NDArray[Any]
NoiseKind = Literal["gaussian", "poisson-gaussian", "rician"]
KINDS = ("gaussian", "poisson-gaussian", "rician")
LOWEST = 2 * math.sqrt(3 / 8)  # the transform of no photon
MOVED = 1e-3  # of the noise; usual filters move fewer than one pixel in a thousand by less


@dataclass(frozen=True)
class Noise:
    """A kind of noise; of Gaussian and Rician noise the level, sigma, is kept apart.

    Poisson-Gaussian noise of a pixel with mean m has the variance

        gain * (m - offset) + read_noise^2:

    m - offset is gain times a number of photons, which is Poisson distributed, and Gaussian noise
    of standard deviation read_noise is added.

    Attributes
    ----------
    kind : {"gaussian", "poisson-gaussian", "rician"}
    gain, read_noise, offset : tuple of float
        In the image's units, one or one a channel; empty but for Poisson-Gaussian noise.
    extent : float, from 1
        Over how many pixels a side the noise is alike; 1 for white noise.
    jpeg : bool
        Whether sigma is that of white noise before JPEG compression left some of it.

    Examples
    --------
    >>> noise = Noise("poisson-gaussian", gain=(4.0,), read_noise=(3.0,))
    >>> noise.variance(100)
    array([409.])
    """

    kind: NoiseKind = "gaussian"
    gain: tuple[float, ...] = ()
    read_noise: tuple[float, ...] = ()
    offset: tuple[float, ...] = (0.0,)
    extent: float = 1.0
    jpeg: bool = False

    def __post_init__(self) -> None:
        check_choice("kind", self.kind, KINDS)
        check_number("extent", self.extent, low=1)
        if self.kind != "poisson-gaussian":
            if self.gain or self.read_noise:
                raise ParameterError(
                    f"gain and read_noise are of poisson-gaussian noise, not {self.kind}"
                )
            return
        for gain in self.gain:
            check_number("gain", gain, low=SMALLEST_NUMBER, high=LARGEST_NUMBER)
        for level in self.read_noise:
            check_number("read_noise", level, low=0, high=LARGEST_NUMBER)
        for offset in self.offset:
            check_number("offset", offset, low=-LARGEST_NUMBER, high=LARGEST_NUMBER)
        if not self.gain or not self.read_noise:
            raise ParameterError(
                "poisson-gaussian noise takes a gain and a read_noise, one or one a channel"
            )

    @property
    def floats_held(self) -> int:
        """Arrays that are held while an image is transformed and back."""
        return 3 if self.kind == "poisson-gaussian" else 0

    def variance(self, mean: float | Array) -> Array:
        """Of Poisson-Gaussian noise where the image without noise is `mean`, channels last."""
        gain, read_noise, offset = map(np.array, (self.gain, self.read_noise, self.offset))
        return np.asarray(gain * (mean - offset) + read_noise**2)

    def stabilise(self, values: Array, axis: int | None) -> Array:
        """Poisson-Gaussian noise to noise of standard deviation 1; other values as they are.

        The generalised Anscombe transform [1]_, in photons p = (value - offset)/gain with read
        noise s = read_noise/gain:

            f(p) = 2 sqrt(max(p + 3/8 + s^2, 0))

        References
        ----------
        .. [1] F. Murtagh, J.-L. Starck, A. Bijaoui, "Image restoration with noise suppression
           using a multiresolution support", Astronomy and Astrophysics Supplement 112, 1995.
        """
        if self.kind != "poisson-gaussian":
            return values
        self._check_photons(values)
        return _stabilised(values, *self._parameters(values, axis))

    def _check_photons(self, values: Array) -> None:
        """Refuse parameters so far from the values that their dtype does not hold the photons."""
        dtype = working_dtype(values.dtype)
        most = float(np.finfo(dtype).max)
        gain, read_noise = min(self.gain), max(self.read_noise)
        offset = max(map(abs, self.offset))
        largest = offset + max(abs(float(values.min())), abs(float(values.max())))
        photons = largest / gain + (read_noise / gain) ** 2
        # The transform back takes the third power of the root of so many.
        if photons > math.sqrt(most) or max(*self.gain, read_noise, largest) > most / 8:
            raise ParameterError(
                f"gain is {gain:g}, read_noise {read_noise:g} and offset {offset:g}, too far from "
                f"values up to {largest - offset:g} for {dtype}; give them in the image's own units"
            )

    def restore(self, stabilised: Array, axis: int | None, of: Array | None = None) -> Array:
        """The exact unbiased inverse: the mean of values whose transforms have this mean.

        The transform is not linear, so that its algebraic inverse is biased. In photons,

            D^2/4 + sqrt(3/2)/(4 D) - 11/(8 D^2) + 5 sqrt(3/2)/(8 D^3) - 1/8 - s^2,

        the closed form of [2]_ for the inverse of the expectation, less the variance of the read
        noise as [3]_ found it.

        That is for averages. With `of`, the values that a filter made this result from, one that it
        did not move comes back as it was, and one that it moved by a thousandth of the noise or
        more as an average; between these the two are blended.

        References
        ----------
        .. [2] M. Makitalo, A. Foi, "A closed-form approximation of the exact unbiased inverse of
           the Anscombe variance-stabilizing transformation", IEEE Transactions on Image
           Processing 20(9), 2011.
        .. [3] M. Makitalo, A. Foi, "Optimal inversion of the generalized Anscombe transformation
           for Poisson-Gaussian noise", IEEE Transactions on Image Processing 22(1), 2013.
        """
        if self.kind != "poisson-gaussian":
            return stabilised
        parameters = self._parameters(stabilised, axis)
        result = _of_averages(stabilised, *parameters)
        if of is None:
            return result
        moved = np.subtract(stabilised, self.stabilise(of, axis))
        few = np.abs(moved, out=moved) < MOVED
        if few.any():
            own = [np.broadcast_to(each, few.shape)[few] for each in parameters]
            seen = _stabilised(of[few], *own)
            share = 1 - np.square(moved[few] / MOVED)
            result[few] += share * (of[few] - _of_averages(seen, *own))
        return result

    def _parameters(self, values: Array, axis: int | None) -> list[Array]:
        """Gain, variance of the read noise in photons and offset, along the channel axis."""
        shape = [1] * values.ndim
        if axis is not None:
            shape[axis] = -1
        parameters = []
        for name in ("gain", "read_noise", "offset"):
            numbers = getattr(self, name)
            channels = 1 if axis is None else values.shape[axis]
            if len(numbers) not in (1, channels):
                raise ParameterError(
                    f"{name} has {len(numbers)} numbers, the image {channels} "
                    f"channel{'s' * (channels > 1)}; give one, or one a channel"
                )
            dtype = working_dtype(values.dtype)
            parameters.append(np.array(numbers, dtype).reshape(shape if len(numbers) > 1 else 1))
        gain, read_noise, offset = parameters
        return [gain, (read_noise / gain) ** 2, offset]


def _stabilised(values: Array, gain: Array, spread: Array, offset: Array) -> Array:
    return np.asarray(2 * np.sqrt(np.maximum((values - offset) / gain + 3 / 8 + spread, 0)))


def _of_averages(stabilised: Array, gain: Array, spread: Array, offset: Array) -> Array:
    d = np.maximum(stabilised, LOWEST)
    c = math.sqrt(3 / 2)
    photons = d**2 / 4 + c / (4 * d) - 11 / (8 * d**2) + 5 * c / (8 * d**3) - 1 / 8 - spread
    return np.asarray(gain * photons + offset)
