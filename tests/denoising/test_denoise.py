"""The one-call interface: any dtype in, the same out; parameters chosen; errors in one line."""

import tracemalloc

import numpy as np
import pytest
from conftest import by_reference
from skimage import data
from skimage.metrics import peak_signal_noise_ratio

import nlmeans
from nlmeans import ParameterError, denoise, settings_for
from nlmeans.denoising.table import COLOUR, GREY, VOLUME, relative_noise

DTYPES = ["bool", "uint8", "uint16", "int16", "float16", "float32", "float64"]


@pytest.mark.parametrize(
    ("shape", "sigmas"), [((20, 20, 3), [10, 30]), ((20, 20), [1, 2]), ((20, 20), [])]
)
def test_as_many_sigmas_as_channels(shape, sigmas):
    with pytest.raises(ParameterError, match="sigma holds"):
        denoise(np.zeros(shape), sigmas)


@pytest.fixture(scope="module")
def camera():
    return data.camera()[100:228, 180:308].astype(np.float64)


def add_noise(image, sigma):
    return image + np.random.default_rng(3).normal(0, sigma, image.shape)


def psnr(clean, image):
    return peak_signal_noise_ratio(clean, image.astype(np.float64), data_range=255)


@pytest.mark.parametrize("sigma", [10, 25, 50])
@pytest.mark.parametrize("given", [True, False])
def test_gains_against_the_noise(camera, sigma, given):
    noisy = add_noise(camera, sigma)
    result = denoise(noisy, sigma if given else None)
    assert psnr(camera, result) > psnr(camera, noisy) + {10: 3.5, 25: 7, 50: 8}[sigma]


def test_estimated_and_given_sigma_differ_little(camera):
    noisy = add_noise(camera, 20)
    assert abs(psnr(camera, denoise(noisy)) - psnr(camera, denoise(noisy, 20))) < 0.15


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(40, 30), (40, 30, 1), (40, 30, 3), (1, 1), (2, 2), (1, 25)])
def test_dtype_and_shape_come_back(rng, dtype, shape):
    image = (rng.random(shape) * (1 if dtype == "bool" else 100)).round().astype(dtype)
    before = image.copy()
    image.flags.writeable = False
    result = denoise(image, sigma=0.5, h=2)
    assert result.dtype == image.dtype
    assert result.shape == image.shape
    np.testing.assert_array_equal(image, before)
    assert not np.shares_memory(result, image)


def test_foreign_byte_order_comes_back(rng):
    image = rng.integers(0, 4000, (30, 31)).astype(">u2")
    result = denoise(image, 50)
    assert result.dtype == image.dtype
    np.testing.assert_array_equal(result, denoise(image.astype(np.uint16), 50))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16"])
def test_integers_are_rounded_and_clipped(rng, dtype):
    limits = np.iinfo(dtype)
    image = np.full((20, 20), limits.max, dtype)
    image[:, :10] = limits.min
    result = denoise(image, sigma=3, h=4)
    np.testing.assert_array_equal(result, image)
    noisy = rng.integers(60, 90, (20, 20)).astype(dtype)
    operation = settings_for(noisy, sigma=8, method="classic").operation()
    exact = by_reference(operation, noisy)
    result = denoise(noisy, sigma=8, method="classic")
    assert np.abs(result - exact).max() <= 0.5 + 1e-3


def test_the_same_picture_in_any_units(camera):
    noisy = np.clip(add_noise(camera, 20), 0, 255).round()
    as_bytes = denoise(noisy.astype(np.uint8))
    for factor, dtype in ((257, np.uint16), (1, np.float64), (1 / 255, np.float64)):
        result = denoise((noisy * factor).astype(dtype))
        # Rounding decides which of two patches equally far away joins a group.
        assert (np.abs(result / factor - as_bytes) > 0.501).mean() < 0.01


@pytest.mark.parametrize("value", [0, 7, 255])
def test_constant_images_stay(value):
    image = np.full((33, 32), value, np.uint8)
    np.testing.assert_array_equal(denoise(image), image)
    np.testing.assert_array_equal(denoise(image, 5), image)


def test_sigma_zero_returns_a_copy(camera):
    result = denoise(camera, 0)
    np.testing.assert_array_equal(result, camera)
    assert not np.shares_memory(result, camera)


def test_alpha_is_kept_and_not_seen(camera):
    rng = np.random.default_rng(5)
    colour = rng.integers(0, 255, (40, 41, 3)).astype(np.uint8)
    alpha = rng.integers(0, 255, (40, 41, 1)).astype(np.uint8)
    for channels in (colour, colour[..., :1]):
        result = denoise(np.concatenate([channels, alpha], axis=-1), 20)
        np.testing.assert_array_equal(result[..., -1:], alpha)
        np.testing.assert_array_equal(result[..., :-1], denoise(channels, 20))


def test_alpha_can_be_named_or_denied(rng):
    planes = rng.normal(100, 20, (4, 30, 31)).astype(np.uint8)
    four = denoise(planes, 20, channel_axis=0)
    assert not np.array_equal(four[3], planes[3])
    kept = denoise(planes, 20, channel_axis=0, alpha=True)
    np.testing.assert_array_equal(kept[3], planes[3])
    last = np.moveaxis(planes, 0, -1)
    np.testing.assert_array_equal(denoise(last, 20, alpha=False), np.moveaxis(four, 0, -1))


def test_channels_are_filtered_jointly(rng):
    image = rng.normal(100, 20, (30, 31, 3))
    joint = denoise(image, 20)
    alone = denoise(image[..., 0], 20)
    assert np.abs(joint[..., 0] - alone).max() > 1
    np.testing.assert_allclose(
        denoise(np.moveaxis(image, -1, 1), 20, channel_axis=1), np.moveaxis(joint, -1, 1)
    )


def test_sigma_over_channels_is_the_root_of_the_mean_variance(rng):
    noise = rng.normal(size=(256, 256, 3)) * [5, 10, 20] + 100
    found = settings_for(noise).sigma
    assert found == pytest.approx(np.sqrt((25 + 100 + 400) / 3), rel=0.05)


def test_sigma_may_be_one_a_channel(rng):
    image = rng.normal(100, 20, (30, 31, 3))
    levels = nlmeans.estimate_sigma(image, channel_axis=-1)
    np.testing.assert_array_equal(denoise(image, levels), denoise(image))
    bad(ParameterError, "sigma is", image, [10, -1, 10])


def test_amount_blends_with_the_original(camera):
    noisy = add_noise(camera, 20)
    full = denoise(noisy, 20)
    np.testing.assert_allclose(denoise(noisy, 20, amount=0.25), 0.75 * noisy + 0.25 * full)
    np.testing.assert_array_equal(denoise(noisy, 20, amount=0), noisy)


def test_strength_scales_h(camera):
    assert settings_for(camera, 20, strength=0.5).h == settings_for(camera, 20).h / 2
    assert settings_for(camera, 20, h=8, strength=2).h == 16


def test_settings_are_what_denoise_uses(camera):
    noisy = add_noise(camera, 30)
    used = settings_for(noisy)
    np.testing.assert_array_equal(used.operation()(noisy), denoise(noisy))


def test_given_values_win_over_the_table(camera):
    used = settings_for(camera, 20, h=3, patch_size=(3, 5), search_size=9)
    assert (used.h, used.patch_size, used.search_size) == (3, (3, 5), 9)


def test_table_is_ordered_and_complete():
    for table in (GREY, COLOUR, VOLUME):
        bounds = [row.up_to for row in table]
        assert bounds == sorted(bounds)
        assert bounds[-1] == np.inf


def test_relative_noise_is_free_of_units(camera):
    noisy = add_noise(camera, 20)
    level = relative_noise(20, noisy, None)
    assert level == pytest.approx(20 / camera.std(), rel=0.05)
    assert relative_noise(20e30, (noisy * 1e30).astype(np.float32), None) == pytest.approx(level)
    assert relative_noise(1, np.zeros((4, 4)), None) == np.inf
    assert relative_noise(0, np.zeros((4, 4)), None) == 0


def test_search_window_larger_than_the_image(rng):
    image = rng.normal(100, 10, (15, 12))
    wide = denoise(image, 10, h=8, patch_size=3, search_size=9999)
    np.testing.assert_allclose(wide, denoise(image, 10, h=8, patch_size=3, search_size=29))


def test_lists_are_arrays():
    assert denoise(np.eye(20).tolist(), 0.1).shape == (20, 20)


def bad(exception, match, *args, **options):
    with pytest.raises(exception, match=match) as caught:
        denoise(*args, **options)
    assert "\n" not in str(caught.value)


def test_bad_images(rng):
    image = rng.normal(100, 10, (20, 20))
    bad(ValueError, r"shape \(\), 0 axes", np.float64(9), 1)
    bad(ValueError, r"5 axes", np.ones((2, 2, 2, 2, 2)), 1)
    bad(ValueError, "only up to 4; name it with channel_axis", np.ones((5, 20, 20)), 1)
    bad(ValueError, r"is empty: its shape is \(0, 20\)", image[:0], 1)
    bad(TypeError, "dtype int32; allowed are", image.astype(np.int32), 1)
    bad(TypeError, "dtype object", np.array([[None]]), 1)
    bad(TypeError, "dtype <U1", np.array([["a"]]), 1)
    bad(ValueError, "2x2.*pass sigma", np.ones((2, 2)))
    bad(ValueError, "alpha is True", image, 1, alpha=True)
    image[3, 4] = np.nan
    bad(ValueError, r"1 NaN or infinite values, the first at \(3, 4\)", image, 1)


def test_bad_parameters(rng):
    image = rng.normal(100, 10, (20, 20))
    for sigma in (-1, np.nan, np.inf, "loud"):
        bad(ParameterError, "sigma is", image, sigma)
    bad(ParameterError, "sigma is 256, above 255, the range of uint8", image.astype(np.uint8), 256)
    bad(ParameterError, "units", image / 255, 25)
    bad(ParameterError, "patch_size is 4; .*such as 5", image, 10, patch_size=4)
    bad(ParameterError, "search_size is -21", image, 10, search_size=-21)
    bad(ParameterError, "search_size is 1000001", image, 10, search_size=1000001)
    bad(ParameterError, "h is 0", image, 10, h=0)
    bad(ParameterError, "strength is 0", image, 10, strength=0)
    bad(ParameterError, "amount is 1.5", image, 10, amount=1.5)
    bad(ParameterError, "threads is 1.5", image, 10, threads=1.5)
    bad(ParameterError, "centre is 'none'", image, 10, centre="none")
    bad(ParameterError, "centre is 'none'", image, 0, centre="none")
    bad(ParameterError, "border is 'none'", np.zeros((20, 20)), border="none")
    bad(ParameterError, "h is", image, 10, strength=1e200, method="classic")
    bad(ParameterError, "h is", image, 10, strength=1e200)


def test_the_package_imports_without_numba():
    import subprocess
    import sys

    code = "import nlmeans, sys; nlmeans.denoise; assert 'numba' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert "denoise" in dir(nlmeans)
    assert callable(nlmeans.denoise)


@pytest.mark.parametrize("sigma", [None, 0.3])
def test_memory_is_that_of_the_result(rng, sigma):
    x = rng.standard_normal((3000, 1500), dtype=np.float32)
    denoise(x[:50, :50], sigma=sigma)
    tracemalloc.start()
    denoise(x, sigma=sigma, patch_size=3, search_size=3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.5 * x.nbytes
