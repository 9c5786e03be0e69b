"""Averages of Rician magnitudes without their bias."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlmeans.noise.rician import exponent_of
from nlmeans.operation.operation import Operation

Array = NDArray[Any]


def unbiased_average(
    operation: Operation, values: Array, sigma: float | Array, **options: Any
) -> Array:
    """sqrt(max(average of squares less 2 sigma^2, 0)), with the weights that `values` give.

    sigma is one number, or one for each position.

    The correction of averages of squares is that of [1]_.

    References
    ----------
    .. [1] N. Wiest-Daessle, S. Prima, P. Coupe, S. P. Morrissey, C. Barillot, "Rician noise
       removal by non-local means filtering for low signal-to-noise ratio MRI", MICCAI 2008.
    """
    exponent = exponent_of(values)
    noise = 2 * np.ldexp(np.asarray(sigma), -exponent) ** 2
    axis = options.get("channel_axis")
    if noise.ndim and axis is not None:
        noise = np.expand_dims(noise, axis)
    squares = np.square(np.ldexp(values, -exponent)) - noise.astype(values.dtype)
    squares = operation(squares, guide=values, **options)
    return np.asarray(np.ldexp(np.sqrt(np.maximum(squares, 0, out=squares)), exponent))
