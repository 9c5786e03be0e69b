"""Scores of a result against the clean picture, both of 8 bits, by scikit-image's metrics."""

import math
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlmeans.compare.cases import Bytes

# Of SSIM there are two conventions in use, which differ by up to several hundredths.
PSNR = "PSNR"
SSIM_GAUSSIAN = "SSIM (Gaussian 11x11)"  # Wang et al. 2004; MATLAB; the published tables
SSIM_UNIFORM = "SSIM (uniform 7x7)"  # scikit-image's default
NAMES = (PSNR, SSIM_GAUSSIAN, SSIM_UNIFORM)


def quantised(picture: NDArray[np.floating[Any]]) -> Bytes:
    """A picture in [0, 1] rounded and clipped to 8 bits, as the published tables score it."""
    levels: Bytes = np.clip(np.rint(picture * 255), 0, 255).astype(np.uint8)
    return levels


def scores(clean: Bytes, result: Bytes) -> dict[str, float]:
    """All scores by name.

    PSNR is 10 log10(255^2 / MSE), MSE over pixels and channels, infinite where both are equal.
    SSIM is the mean over pixels at least 5 (3) from the border, and over channels: with a Gaussian
    window of standard deviation 1.5 and population variances, as Wang et al. define it, and with
    scikit-image's defaults, a uniform window and sample variances.

    References
    ----------
    Z. Wang, A. C. Bovik, H. R. Sheikh, E. P. Simoncelli, "Image quality assessment: from error
    visibility to structural similarity", IEEE Transactions on Image Processing 13(4), 2004.

    Examples
    --------
    >>> import numpy as np
    >>> found = scores(np.zeros((16, 16), np.uint8), np.full((16, 16), 255, np.uint8))
    >>> found["PSNR"]
    0.0
    """
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    ssim = partial(
        structural_similarity,
        clean,
        result,
        data_range=255,
        channel_axis=-1 if clean.ndim == 3 else None,
    )
    equal = np.array_equal(clean, result)
    return {
        PSNR: math.inf if equal else float(peak_signal_noise_ratio(clean, result, data_range=255)),
        SSIM_GAUSSIAN: float(ssim(gaussian_weights=True, sigma=1.5, use_sample_covariance=False)),
        SSIM_UNIFORM: float(ssim()),
    }
