"""Numbers that the image's own dtype cannot hold: everything is computed on wider numbers."""

from functools import partial

import numpy as np
import pytest

import nlmeans
from nlmeans import compat, denoise, nl_means

HUGE = 1e5  # beyond float16, whose largest number is 65,504

CALLS = {
    "sigma": partial(denoise, sigma=HUGE),
    "h": partial(denoise, sigma=10, h=HUGE),
    "classic": partial(denoise, sigma=HUGE, method="classic"),
    "sigma per channel": partial(denoise, sigma=(10, HUGE, HUGE), channel_axis=-1),
    "keep_detail": partial(denoise, sigma=HUGE, method="classic", keep_detail=True),
    "gain": partial(denoise, gain=HUGE, read_noise=HUGE),
    "stack": partial(denoise, sigma=HUGE, stack="volume"),
    "nl_means": nl_means(sigma=HUGE, h=HUGE),
    "compat": partial(compat.denoise_nl_means, h=HUGE, sigma=HUGE),
}


@pytest.mark.parametrize("name", CALLS)
def test_settings_beyond_float16(name, rng):
    shape = (9, 10, 3) if "channel" in name else (3, 9, 10) if name == "stack" else (9, 10)
    image = rng.uniform(0, 6e4, shape).astype(np.float16)
    result = CALLS[name](image)
    wide = CALLS[name](image.astype(np.float64))
    assert np.isfinite(result).all()
    np.testing.assert_allclose(result, wide, rtol=2e-3)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float16"])
def test_noise_of_values_at_both_ends_of_a_dtype(dtype, rng):
    """Differences of the values, and their squares, do not fit into the dtype."""
    info = np.finfo(dtype) if dtype == "float16" else np.iinfo(dtype)
    image = rng.choice(np.array([info.min, info.max], dtype), (40, 40))
    assert nlmeans.estimate_sigma(image) == pytest.approx(
        nlmeans.estimate_sigma(image.astype(np.float64)), rel=1e-3
    )
