"""Signals of one axis: denoise filters them as nl_means does."""

import numpy as np
import pytest

from nlmeans import denoise, estimate_sigma, nl_means, settings_for


def signal(rng, channels=(), sigma=5):
    clean = 50 * np.sin(np.arange(500) / 30)
    shape = (500, *channels)
    return np.reshape(clean, (500, *[1] * len(channels))) + rng.normal(0, sigma, shape)


@pytest.mark.parametrize("channels", [(), (3,)])
def test_a_signal_is_filtered_with_the_settings_of_the_table(rng, channels):
    x = signal(rng, channels)
    axis = -1 if channels else None
    used = settings_for(x, 5, channel_axis=axis)
    assert used.method == "classic"
    expected = nl_means(used.sigma, used.h, used.patch_size, used.search_size)
    found = denoise(x, 5, channel_axis=axis)
    assert found.shape == x.shape
    np.testing.assert_array_equal(found, expected(x, channel_axis=axis))
    clean = signal(rng, channels, 0)
    assert np.std(found - clean) < 0.7 * np.std(x - clean)


def test_masks_regions_and_detail_work_on_signals(rng):
    x = signal(rng)
    whole = denoise(x, 5)
    np.testing.assert_allclose(denoise(x, 5, region=np.s_[100:200]), whole[100:200], atol=1e-9)
    mask = np.arange(500) < 250
    np.testing.assert_allclose(denoise(x, 5, mask=mask), np.where(mask, whole, x), atol=1e-9)
    assert denoise(x, 5, keep_detail=True).shape == x.shape
    parts = denoise(x, 5, max_memory=3_000_000)
    np.testing.assert_allclose(parts, whole, atol=1e-9)


def test_what_a_signal_lacks_is_named(rng):
    x = signal(rng)
    with pytest.raises(ValueError, match=r"takes 2 axes, .* pass sigma"):
        denoise(x)
    with pytest.raises(ValueError, match="estimating its noise takes 2 axes"):
        estimate_sigma(x)
    with pytest.raises(ValueError, match="no signal of one axis; use 'classic'"):
        denoise(x, 5, method="ridge")
    with pytest.raises(ValueError, match="0 axes besides channels; denoise takes 1 or 2"):
        denoise(np.float64(3), 5)
