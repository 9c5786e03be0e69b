"""Made-up pictures and their noise."""

import numpy as np


def micrograph(shape=(192, 192)):
    """Dark, with bright blobs and an edge, 4 to 160."""
    y, x = np.mgrid[: shape[0], : shape[1]] / shape[0]
    blobs = np.exp(-((y - 0.3) ** 2 + (x - 0.4) ** 2) / 0.03) + np.exp(-((y - 0.7) ** 2) / 0.01)
    return 4 + 100 * blobs + 40 * (x > 0.8)


def poisson_gaussian(clean, gain, read_noise, rng):
    return gain * rng.poisson(clean / gain) + rng.normal(0, read_noise, clean.shape)


def magnitude(clean, sigma, rng):
    real, imaginary = rng.normal(0, sigma, (2, *clean.shape))
    return np.hypot(clean + real, imaginary)
