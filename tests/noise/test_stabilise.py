"""Signal-dependent, correlated and Rician noise: transform, estimates, what denoise does."""

import numpy as np
import pytest
from scenes import magnitude, micrograph, poisson_gaussian
from scipy.ndimage import gaussian_filter

import nlmeans
from nlmeans import Noise, ParameterError, denoise, estimate_noise, settings_for


def psnr(clean, image):
    return 10 * np.log10(255**2 / np.mean((clean - image) ** 2))


@pytest.mark.parametrize("read_noise", [0.0, 2.0, 8.0])
@pytest.mark.parametrize("mean", [6.0, 20.0, 100.0, 1000.0])
def test_the_transform_gives_noise_one_deviation_and_the_inverse_no_bias(mean, read_noise, rng):
    noise = Noise("poisson-gaussian", gain=(2.0,), read_noise=(read_noise,))
    values = poisson_gaussian(np.full(400_000, mean), 2.0, read_noise, rng)
    stabilised = noise.stabilise(values, None)
    assert stabilised.std() == pytest.approx(1, abs=0.12 if mean < 20 else 0.03)
    restored = float(noise.restore(stabilised.mean(keepdims=True), None)[0])
    assert restored == pytest.approx(mean, abs=0.1 + 0.002 * mean)
    # The algebraic inverse is off by a quarter of a photon.
    algebraic = stabilised.mean() ** 2 * 2 / 4 - 2 * 3 / 8 - read_noise**2 / 2
    assert abs(algebraic - mean) > abs(restored - mean)


def test_nothing_stays_nothing():
    noise = Noise("poisson-gaussian", gain=(3.0,), read_noise=(0.0,), offset=(5.0,))
    dark = noise.stabilise(np.full(4, 5.0), None)
    assert noise.restore(dark, None) == pytest.approx(5)


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
def test_a_filter_that_averages_nothing_changes_nothing(dtype, rng):
    """Also values far below the offset, which the transform cuts off: 23 became 94."""
    image = rng.integers(0, 256, (20, 24)).astype(dtype)
    noise = Noise("poisson-gaussian", gain=(9.0,), read_noise=(2.0,), offset=(94.0,))
    result = denoise(image, noise=noise, search_size=1)
    assert result == pytest.approx(image, abs=0 if dtype == "uint8" else 1e-3)


def test_the_inverse_goes_over_into_the_identity(rng):
    """Step by step as the filter does, and to the inverse for averages where it moves much."""
    noise = Noise("poisson-gaussian", gain=(2.0,), read_noise=(3.0,))
    values = poisson_gaussian(np.full(1000, 7.0), 2.0, 3.0, rng)
    seen = noise.stabilise(values, None)
    results = [noise.restore(seen + moved, None, of=values) for moved in np.linspace(0, 2e-3, 401)]
    assert results[0] == pytest.approx(values, abs=1e-9)
    assert results[-1] == pytest.approx(noise.restore(seen + 2e-3, None), abs=1e-12)
    assert np.abs(np.diff(results, axis=0)).max() < 0.05


@pytest.mark.parametrize(("gain", "read_noise"), [(1.0, 5.0), (5.0, 0.0), (15.0, 4.0)])
@pytest.mark.parametrize("units", [1.0, 1 / 255, 257.0])
def test_gain_and_read_noise_are_found_in_any_units(gain, read_noise, units, rng):
    clean = micrograph()
    noisy = units * poisson_gaussian(clean, gain, read_noise, rng)
    noise, sigma = estimate_noise(noisy)
    assert noise.kind == "poisson-gaussian"
    assert noise.extent == 1
    assert sigma == pytest.approx([1])
    true = gain * clean + read_noise**2
    found = noise.variance(units * clean) / units**2
    assert np.median(found / true) == pytest.approx(1, abs=0.15)
    assert noise.gain[0] / units == pytest.approx(gain, rel=0.2)


@pytest.mark.parametrize("sigma", [5.0, 20.0])
def test_gaussian_noise_is_told_from_signal_dependent(sigma, rng):
    noisy = micrograph() + rng.normal(0, sigma, (192, 192))
    noise, found = estimate_noise(noisy)
    assert noise == Noise()
    assert found == pytest.approx([nlmeans.estimate_sigma(noisy)])
    assert np.array_equal(denoise(noisy), denoise(noisy, noise="gaussian"))


def test_every_channel_has_its_gain(rng):
    clean = np.stack([micrograph(), micrograph()])
    noisy = clean + np.sqrt(np.array([2.0, 8.0])[:, None, None] * clean) * rng.normal(
        size=clean.shape
    )
    noise, _ = estimate_noise(noisy, channel_axis=0)
    assert noise.gain == pytest.approx([2, 8], rel=0.2)
    assert psnr(clean, denoise(noisy, channel_axis=0)) > psnr(clean, noisy) + 6


def test_poisson_noise_is_removed_better_than_as_gaussian(rng):
    clean = micrograph()
    noisy = poisson_gaussian(clean, 6.0, 2.0, rng).clip(0, 255).round().astype(np.uint8)
    auto = denoise(noisy)
    assert auto.dtype == np.uint8
    assert psnr(clean, auto) > psnr(clean, denoise(noisy, noise="gaussian")) + 1
    told = denoise(noisy, gain=6, read_noise=2)
    assert psnr(clean, auto) > psnr(clean, told) - 1


def test_a_stack_has_one_gain(rng):
    clip = np.stack([poisson_gaussian(micrograph(), 5.0, 2.0, rng) for _ in range(4)])
    used = settings_for(clip, stack="clip")
    assert used.noise.gain == pytest.approx([5], rel=0.15)
    assert np.array_equal(
        denoise(clip, stack="clip"), denoise(clip, stack="clip", **used.arguments())
    )


@pytest.mark.parametrize("kind", ["gaussian", "poisson-gaussian"])
def test_correlated_noise_is_seen_and_removed(kind, rng):
    clean = micrograph((256, 256))
    white = gaussian_filter(rng.normal(size=clean.shape), 0.8)
    level = 8 if kind == "gaussian" else np.sqrt(4 * clean)
    noisy = clean + level * white / white.std()
    noise, sigma = estimate_noise(noisy)
    assert noise.kind == kind
    assert 1.3 < noise.extent < 2
    if kind == "gaussian":
        assert sigma == pytest.approx([8], rel=0.12)
    else:
        assert noise.gain == pytest.approx([4], rel=0.25)
    assert psnr(clean, denoise(noisy)) > psnr(clean, denoise(noisy, noise="gaussian")) + 3


def test_an_extent_makes_sizes_larger(rng):
    noisy = micrograph() + rng.normal(0, 10, (192, 192))
    white = settings_for(noisy, 10, noise=Noise())
    wide = settings_for(noisy, 10, noise=Noise(extent=2.0))
    assert (wide.patch_size, wide.search_size) == (
        2 * white.patch_size + 1,
        2 * white.search_size + 1,
    ) or (abs(wide.search_size - 2 * white.search_size) <= 1)
    assert wide.h == white.h


def test_constant_images_come_back():
    image = np.full((64, 64), 7, np.uint8)
    for kind in ("auto", "gaussian", "poisson-gaussian", "rician"):
        assert np.array_equal(denoise(image, noise=kind), image)


@pytest.mark.parametrize("shape", [(16, 16), (20, 300)])
def test_small_images_are_taken_as_gaussian_or_fitted(shape, rng):
    noisy = rng.normal(100, 10, shape)
    assert denoise(noisy).shape == shape
    assert denoise(noisy, noise="poisson-gaussian").std() < noisy.std()


def head():
    z, y, x = (np.mgrid[:24, :48, :48] - np.array([12, 24, 24])[:, None, None, None]) / 24
    radius = np.sqrt(4 * z**2 + y**2 + x**2)
    return np.where(radius < 0.9, 60.0 + 60 * (radius < 0.5) + 30 * (x > 0), 0.0)


def test_rician_bias_is_removed(rng):
    clean = head()
    noisy = magnitude(clean, 10, rng)
    result = denoise(noisy, 10, noise="rician", stack="volume")
    background = clean == 0
    assert noisy[background].mean() > 12
    assert result[background].mean() < 4
    gaussian = denoise(noisy, 10, stack="volume")
    assert np.mean((result - clean) ** 2) < 0.5 * np.mean((gaussian - clean) ** 2)


def test_rician_level_is_found(rng):
    noisy = magnitude(head(), 10, rng)
    assert settings_for(noisy, noise="rician", stack="volume").sigma == pytest.approx(10, rel=0.1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"noise": "salt"}, "noise is 'salt'; allowed are 'auto', 'gaussian'"),
        ({"gain": 0}, "gain is 0; allowed are finite numbers from 1e-150"),
        ({"gain": 2, "read_noise": -1}, "read_noise is -1; allowed are finite numbers from 0"),
        ({"read_noise": 3}, "read_noise is 3, but gain is missing"),
        ({"gain": 2, "sigma": 3}, "sigma is 3, but the noise is Poisson-Gaussian"),
        ({"gain": 2, "noise": "rician"}, "gain is 2, but noise is 'rician'"),
        ({"gain": 1e-160}, "gain is 1e-160; allowed are"),
        ({"gain": 1, "read_noise": 1e200}, "read_noise is 1e.200; allowed are"),
        ({"gain": (1, 2)}, "gain has 2 numbers, the image 1 channel;"),
    ],
)
def test_what_does_not_go_together_is_refused(options, words, rng):
    with pytest.raises(ParameterError, match=words.replace("(", r"\(")) as error:
        denoise(rng.normal(100, 5, (32, 32)), **options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("gain", "read_noise", "offset"),
    [(1e-50, 0, 0), (1, 1e30, 0), (1e50, 0, 0), (1, 0, 1e30), (1, 0, 1e40)],
)
def test_gains_far_from_the_image_are_refused(gain, read_noise, offset):
    noise = Noise("poisson-gaussian", (gain,), (read_noise,), (offset,))
    with pytest.raises(ParameterError, match=r"gain is .* in the image's own units"):
        denoise(np.eye(32, dtype=np.uint8) * 99, noise=noise)


def test_an_offset_is_finite():
    with pytest.raises(ParameterError, match="offset is inf"):
        Noise("poisson-gaussian", (1.0,), (1.0,), (np.inf,))


@pytest.mark.parametrize("exponent", [-80, 70])
@pytest.mark.parametrize("given", [True, False])
def test_rician_noise_in_any_units(exponent, given, rng):
    noisy = magnitude(micrograph((40, 40)), 10, rng).astype(np.float32)
    unit = 2.0**exponent
    sigma = 10.0 if given else None
    plain = denoise(noisy, sigma, noise="rician")
    scaled = denoise(np.ldexp(noisy, exponent), sigma and sigma * unit, noise="rician")
    np.testing.assert_allclose(np.ldexp(scaled, -exponent), plain, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("sigma", [2, None])
def test_negative_magnitudes_are_refused(sigma):
    image = np.eye(32) * 9
    image[3, 4] = -1
    with pytest.raises(ParameterError, match=r"down to -1, .* magnitudes are from 0"):
        denoise(image, sigma, noise="rician")


def test_texture_that_is_brighter_is_not_taken_for_noise(rng):
    y, x = np.mgrid[:192, :192]
    texture = np.sin(x * (1.0 + y / 192)) * np.sin(1.3 * y) * (0.2 + np.abs(np.sin(x * y / 700)))
    level = np.linspace(10, 200, 192)[:, None]
    noisy = level + 0.15 * level * texture + rng.normal(0, 2, (192, 192))
    noise, _ = estimate_noise(noisy)
    assert noise == Noise()
