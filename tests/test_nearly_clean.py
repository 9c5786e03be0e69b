"""Pictures of 8 to 16 bits as floats: the noise of their levels."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage import data

import nlmeans
from nlmeans import denoise, estimate_noise
from nlmeans.arrays import whole_levels


def middle_of(name, side=256):
    image = getattr(data, name)()
    rows, columns = (n // 2 - side // 2 for n in image.shape[:2])
    return image[rows : rows + side, columns : columns + side].astype(float)


def in_bytes(clean, sigma, seed=0):
    noise = np.random.default_rng(seed).normal(0, sigma, clean.shape)
    return np.rint(np.clip(clean + noise, 0, 255)).astype(np.uint8)


# --------------------------------------------------------------------------- levels as floats


@pytest.mark.parametrize(
    ("bits", "dtype"),
    [(8, "float16"), (8, "float32"), (8, "float64"), (12, "float32"), (16, "float32")],
)
def test_levels_are_found_exactly(bits, dtype):
    top = 2**bits - 1
    levels = np.random.default_rng(0).integers(0, top + 1, (40, 50, 3))
    for scaled in ((levels / top).astype(dtype), levels.astype(dtype) * np.array(1 / top, dtype)):
        found, step = whole_levels(scaled)
        np.testing.assert_array_equal(found, levels)
        assert step == 1 / top


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_other_floats_are_left_alone(dtype):
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 256, (40, 50)) / 255
    off = levels.copy()
    off[-1, -1] = 0.5 / 255
    for image in (rng.random((40, 50)), off, -levels, 2 * levels, 1e-6 * levels):
        given = image.astype(dtype)
        found, step = whole_levels(given)
        assert found is given
        assert step == 1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_picture_has_the_noise_of_its_levels(dtype):
    clean = 25 + 30 * gaussian_filter(np.random.default_rng(1).normal(size=(160, 160)), 6) * 10
    photons = np.random.default_rng(0).poisson(np.clip(clean, 1, None) / 3) * 3
    for image in (in_bytes(middle_of("camera"), 10), np.clip(photons, 0, 255).astype(np.uint8)):
        scaled = (image / 255).astype(dtype)
        noise, sigma = estimate_noise(image)
        again, scaled_sigma = estimate_noise(scaled)
        assert again.kind == noise.kind
        for name in ("gain", "read_noise", "offset"):
            expected = [number / 255 for number in getattr(noise, name)]
            assert getattr(again, name) == pytest.approx(expected, rel=1e-12)
        if noise.kind == "gaussian":
            assert scaled_sigma == pytest.approx(sigma / 255, rel=1e-12)
            assert nlmeans.estimate_sigma(scaled) == pytest.approx(sigma[0] / 255, rel=1e-12)
        difference = np.rint(255.0 * denoise(scaled)) - denoise(image)
        assert np.abs(difference).max() <= 1
        assert np.mean(difference != 0) < 0.01  # of equal distances, rounding decides
