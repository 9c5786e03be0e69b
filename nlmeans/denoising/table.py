"""The table: patch size, search size and h from the noise level."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Row:
    """Settings for relative noise levels up to `up_to`."""

    up_to: float
    patch_size: int
    search_size: int
    h_over_sigma: float


# Start: the table of "Non-Local Means Denoising" (Buades, Coll, Morel, IPOL 2011; grey: patch 3 to
# 11, search 21 to 35, h/sigma 0.4 to 0.3, for patchwise averages and sigma on 0 to 255). Corrected
# for pixelwise averages by benchmarks/tune.py on training images, which prints what each row loses
# against the best of its grid. Indexed by sigma over the image's own contrast, so that the same
# picture comes out whether it is stored in 8 bits, in 16 or as floats.
GREY = (Row(0.6, 3, 11, 1.0), Row(1.2, 5, 13, 0.7), Row(2.2, 7, 13, 0.6), Row(math.inf, 9, 17, 0.5))
COLOUR = (
    Row(0.3, 3, 13, 0.9),
    Row(0.85, 3, 17, 0.65),
    Row(2.2, 5, 21, 0.48),
    Row(math.inf, 7, 21, 0.45),
)

# Cubes. The best h/sigma with Gaussian noise of sigma 3 to 30, by the odd-numbered slices of a
# T1-weighted head phantom (181x217x181): two slabs of 12 whole slices and five crops of 20x40x40,
# whose relative noise is twice as high. Patches of 5 lose 1.1 dB in crops at sigma 5 and 0.1 dB at
# 20. Windows of 7, a third of the time, each with its best h/sigma, give from 0.20 dB less to 0.18
# dB more there, in the mean of 49 cases 0.01 dB less; but 0.4 dB less with Rician noise of 5 % and
# air around the head: what is large and flat asks for large windows. Where slabs and crops of one
# relative noise differ, h is nearer to what slabs ask for.
VOLUME = (
    Row(0.13, 3, 11, 1.1),
    Row(0.18, 3, 11, 0.85),
    Row(0.24, 3, 11, 0.8),
    Row(0.31, 3, 11, 0.7),
    Row(0.65, 3, 11, 0.6),
    Row(math.inf, 3, 11, 0.5),
)

# A clip takes its row, h among it, from the tables above, as its patches lie in a frame.
PATCH_FRAMES, SEARCH_FRAMES = 1, 5


def table_row(sigma: float, image: NDArray[Any], axis: int | None, *, volume: bool = False) -> Row:
    """The row for an image (H, W), or several (N, H, W), or with a channel axis, of noise sigma.

    Of a volume several slices.
    """
    channels = 1 if axis is None else image.shape[axis]
    level = relative_noise(sigma, image, axis)
    table = VOLUME if volume else GREY if channels == 1 else COLOUR
    return next(row for row in table if level <= row.up_to)


def relative_noise(sigma: float, image: NDArray[Any], axis: int | None) -> float:
    """sigma over the contrast: the standard deviation of the image without its noise.

    Independent of the image's units. Over several channels, or images (N, H, W), the mean of their
    variances counts.
    """
    planes = image[None] if axis is None else np.moveaxis(image, axis, 0)
    rows = planes.shape[-2:] if planes.ndim > 2 else (1, planes.shape[-1])  # a signal is one row
    planes = planes.reshape(-1, *rows)
    if planes.dtype == np.float16:  # it holds no scale above 65,504
        planes = planes.astype(np.float32)
    # Scaled first, so that squares of any magnitude stay finite.
    scale = max(abs(float(planes.max())), abs(float(planes.min())), sigma)
    if scale == 0:
        return 0.0
    variance = float(np.mean([_variance(p, scale) for p in planes]))
    signal = max(variance - (sigma / scale) ** 2, 0.0)
    return sigma / scale / math.sqrt(signal) if signal > 0 else math.inf


def _variance(plane: NDArray[Any], scale: float) -> float:
    """The variance of plane / scale, some rows at a time: no large image is copied whole."""
    mean = float(np.mean(plane, dtype=np.float64)) / scale
    blocks = np.array_split(plane, math.ceil(plane.size / 2**20))
    squares = (float(np.square(rows / scale - mean, dtype=np.float64).sum()) for rows in blocks)
    return sum(squares) / plane.size
