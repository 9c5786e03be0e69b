"""The noise level: right on texture, blind to clipping, the same in every unit and dtype."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from skimage import data

from nlmeans import denoise, settings_for
from nlmeans.noise.level import estimate_sigma

FLOATS = ("float16", "float32", "float64")


def noisy(image, sigma, seed=0):
    return image + np.random.default_rng(seed).normal(0, sigma, image.shape)


def white(shape, sigma=1.0, seed=0):
    return noisy(np.zeros(shape), sigma, seed)


def to_uint8(image):
    return np.rint(np.clip(image, 0, 255)).astype(np.uint8)


@pytest.fixture(scope="module")
def camera():
    return data.camera().astype(float)


def disc():
    y, x = np.mgrid[:128, :100]
    return (y - 60) ** 2 + (x - 50) ** 2 < 1600


# --------------------------------------------------------------------------- accuracy


@pytest.mark.parametrize("sigma", [5, 10, 20, 40])
@pytest.mark.parametrize(
    ("name", "own"), [("camera", 0.5), ("astronaut", 1.2), ("brick", 0.5), ("gravel", 2.1)]
)
def test_photographs(name, own, sigma):
    image = getattr(data, name)().astype(float)
    grey = image[..., 1] if image.ndim == 3 else image
    estimate = estimate_sigma(noisy(grey, sigma))
    assert 0.98 * sigma < estimate < 1.02 * np.hypot(sigma, own)


@pytest.mark.parametrize("name", ["grass", "gravel", "brick"])
def test_texture_is_not_taken_for_noise(name):
    image = noisy(getattr(data, name)().astype(float), 10)
    assert abs(estimate_sigma(image) - 10) < 1.2  # the wavelet median is off by more than twice


@pytest.mark.parametrize(
    ("name", "most"), [("camera", 0.5), ("brick", 0.5), ("cell", 0.3), ("astronaut", 1.3)]
)
def test_clean_photographs_are_called_clean(name, most):
    image = getattr(data, name)()
    levels = estimate_sigma(image, channel_axis=-1 if image.ndim == 3 else None)
    assert np.max(levels) < most


def test_white_noise_is_met_on_average():
    estimates = [estimate_sigma(white((64, 64), 3, seed)) for seed in range(40)]
    assert np.mean(estimates) == pytest.approx(3, rel=0.015)
    assert np.std(estimates) < 0.04 * 3


def test_sub_sampled_image():
    assert estimate_sigma(white((1200, 900), 7)) == pytest.approx(7, rel=0.01)


@pytest.mark.parametrize("shape", [(16, 16), (16, 200), (17, 31)])
def test_small_images(shape):
    estimates = [estimate_sigma(white(shape, 2, seed)) for seed in range(20)]
    assert np.mean(estimates) == pytest.approx(2, rel=0.15)
    assert all(1 < e < 3 for e in estimates)


def test_rounding_counts_as_noise():
    image = np.rint(noisy(np.full((256, 256), 100.4), 1)).astype(np.uint8)
    assert estimate_sigma(image) == pytest.approx(np.sqrt(1 + 1 / 12), rel=0.03)


# --------------------------------------------------------------------------- nearly clean pictures


def middle_of(name, blur):
    image = getattr(data, name)()
    rows, columns = (n // 2 - 128 for n in image.shape)
    return gaussian_filter(image[rows : rows + 256, columns : columns + 256].astype(float), blur)


def psnr(clean, image):
    return 10 * np.log10(255**2 / np.mean((clean - image) ** 2))


@pytest.mark.parametrize("sigma", [1, 2, 3])
@pytest.mark.parametrize("blur", [0.5, 0.7, 0.9])  # as resized pictures are
@pytest.mark.parametrize("name", ["grass", "gravel"])
def test_soft_texture_is_no_correlated_noise(name, blur, sigma):
    clean = middle_of(name, blur)
    image = to_uint8(noisy(clean, sigma))
    assert settings_for(image).noise.extent == 1
    for method in ("classic", "ridge"):
        assert psnr(clean, denoise(image, method=method)) > psnr(clean, image) - 0.1


@pytest.mark.parametrize("sigma", [1, 2, 3])
@pytest.mark.parametrize(("name", "lost"), [("gravel", 0.1), ("brick", 0.1), ("grass", 0.8)])
def test_texture_survives_at_its_own_sharpness(name, lost, sigma):
    clean = getattr(data, name)()[-256:, -256:].astype(float)
    image = to_uint8(noisy(clean, sigma))
    assert psnr(clean, denoise(image)) > psnr(clean, image) - lost


# Grass went through JPEG: rounding to its steps had changed it by 4.5 already.
@pytest.mark.parametrize(
    ("name", "change"), [("gravel", 0.5), ("brick", 0.5), ("camera", 0.5), ("grass", 2)]
)
def test_clean_texture_is_hardly_changed(name, change):
    clean = getattr(data, name)()[-256:, -256:]
    assert np.sqrt(np.mean((denoise(clean).astype(float) - clean) ** 2)) < change


# --------------------------------------------------------------------------- clipping


@pytest.mark.parametrize("sigma", [2, 10, 25])
@pytest.mark.parametrize("offset", [400, -400])
def test_a_third_of_the_image_is_saturated(camera, sigma, offset):
    image = noisy(camera, sigma)
    image[:171] += offset
    clipped = to_uint8(image)
    assert np.mean((clipped == 0) | (clipped == 255)) > 1 / 3
    assert abs(estimate_sigma(clipped) - sigma) < 0.03 * sigma + 0.15


def test_noise_cut_in_half_by_saturation(camera):
    image = camera.copy()
    image[:171] = 257  # most of the noise there is lost, not all of it
    assert estimate_sigma(to_uint8(noisy(image, 10))) == pytest.approx(10, rel=0.03)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_clipped_ramp_in_any_range(dtype):
    ramp = noisy(np.broadcast_to(np.linspace(-60, 315, 300), (200, 300)), 10)
    scale = {"uint8": 1, "uint16": 16, "float32": 1 / 255}[dtype]
    image = np.clip(ramp, 0, 255) * scale
    image = (image if dtype == "float32" else np.rint(image)).astype(dtype)
    assert estimate_sigma(image) == pytest.approx(10 * scale, rel=0.03)


def test_nearly_everything_is_saturated(camera):
    image = noisy(camera, 10)
    image[:480] = 300
    assert estimate_sigma(to_uint8(image)) == pytest.approx(10, rel=0.1)


def test_dark_image_whose_lowest_value_is_no_clipping_level():
    image = to_uint8(noisy(np.full((256, 256), 3.0), 1))
    assert estimate_sigma(image) == pytest.approx(image.std(), rel=0.05)


@pytest.mark.parametrize("sigma", [30, 50])
def test_clipping_at_both_ends_at_once(camera, sigma):
    assert estimate_sigma(to_uint8(noisy(camera, sigma))) == pytest.approx(sigma, rel=0.1)


# --------------------------------------------------------------------------- images without noise


@pytest.mark.parametrize("value", [0, 7, 255])
@pytest.mark.parametrize("dtype", ["uint8", "int16", *FLOATS])
def test_constant(value, dtype):
    level = estimate_sigma(np.full((40, 30), value, dtype=dtype))
    assert level == 0.0
    assert type(level) is float


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((20, 20), dtype=bool),
        np.repeat([0, 255], 32)[np.newaxis].repeat(64, axis=0).astype(np.uint8),
        disc(),
        disc() * np.uint8(200) + np.uint8(11),
        disc() * 0.3 + 0.1,
        np.where(np.arange(100) > 80, 90, disc() * 200).astype(np.uint8),
    ],
    ids=["false", "halves", "disc", "grey disc", "float disc", "three levels"],
)
def test_drawings_have_no_noise(image):
    assert estimate_sigma(image) == 0.0


def test_ramp_and_checkerboard_have_no_noise():
    y, x = np.indices((80, 90))
    assert estimate_sigma(y * 3.7 + x) < 1e-12
    assert estimate_sigma((y + x) % 2 == 0) < 1e-12


def test_random_bits_are_noise():
    bits = np.random.default_rng(0).random((128, 128)) < 0.5
    assert estimate_sigma(bits) == pytest.approx(0.5, rel=0.03)


# --------------------------------------------------------------------------- units and dtypes


@settings(max_examples=20, deadline=None)
@given(exponent=st.integers(-900, 900), offset=st.floats(-1e3, 1e3))
def test_scale_is_exact_and_offset_does_not_matter(exponent, offset):
    image = white((40, 50), 3)
    level = estimate_sigma(image)
    assert estimate_sigma(np.ldexp(image, exponent)) == np.ldexp(level, exponent)
    assert estimate_sigma(image + offset) == pytest.approx(level, rel=1e-9)


def test_flips_transposition_and_sign(camera):
    image = noisy(camera[:100, :137], 5)
    level = estimate_sigma(image)
    assert estimate_sigma(-image) == level
    for other in (image[::-1], image[:, ::-1], image.T):
        assert estimate_sigma(other) == pytest.approx(level, rel=1e-9)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", ">u2", *FLOATS])
def test_dtypes_agree(camera, dtype):
    image = to_uint8(noisy(camera, 10))
    level = estimate_sigma(image)
    assert estimate_sigma(image.astype(dtype)) == level


def test_negative_int16(camera):
    image = to_uint8(noisy(camera, 10)).astype(np.int16)
    assert estimate_sigma(image - np.int16(30000)) == pytest.approx(estimate_sigma(image), rel=1e-9)


@pytest.mark.parametrize(
    ("scale", "dtype"),
    [
        (1e37, "float32"),
        (1e-37, "float32"),
        (1e307, "float64"),
        (1e-307, "float64"),
        (1e-318, "float64"),
        (1e4, "float16"),
    ],
)
def test_extreme_magnitudes(scale, dtype):
    image = white((60, 60))
    level = estimate_sigma((image * scale).astype(dtype))
    assert level / scale == pytest.approx(estimate_sigma(image), rel=1e-3)


def test_one_pixel_of_1e30_is_ignored():
    image = white((100, 100), 3)
    image[50, 50] = 1e30
    assert estimate_sigma(image) == pytest.approx(3, rel=0.05)


def test_offset_of_a_million():
    assert estimate_sigma(white((128, 128), 1) + 1e9) == pytest.approx(1, rel=0.05)


# --------------------------------------------------------------------------- layout


def test_strides_and_read_only(camera):
    image = noisy(camera[:120, :90], 5)
    level = estimate_sigma(image)
    wide = np.full((240, 270), np.nan)
    wide[::2, ::3] = image
    fixed = image.copy()
    fixed.flags.writeable = False
    for same in (np.asfortranarray(image), wide[::2, ::3], fixed, image.tolist()):
        assert estimate_sigma(np.asarray(same)) == level
    np.testing.assert_array_equal(fixed, image)


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3])
def test_channels_are_images_of_their_own(axis):
    planes = [noisy(data.astronaut()[:150, :128, c].astype(float), 5 * (c + 1)) for c in range(3)]
    levels = estimate_sigma(np.stack(planes, axis=axis), channel_axis=axis)
    assert levels.dtype == np.float64
    assert levels.tolist() == [estimate_sigma(p) for p in planes]


def test_one_channel_gives_an_array():
    image = white((32, 32))
    assert estimate_sigma(image[..., np.newaxis], channel_axis=2).tolist() == [
        estimate_sigma(image)
    ]


@pytest.mark.parametrize("shape", [(4000, 4000), (100, 160_000), (160_000, 100), (16, 700_001)])
def test_large_images_take_bounded_memory_and_give_the_same_bits(shape):
    values = to_uint8(white(1_000_003, 10) + 128)  # a prime number: no pattern on the grid
    image = np.resize(values, shape)
    tracemalloc.start()
    level = estimate_sigma(image)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40e6
    assert level == pytest.approx(10, rel=0.03)
    assert estimate_sigma(image) == level


# --------------------------------------------------------------------------- errors


def one_line(error):
    message = str(error.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("dtype", ["uint32", "int8", "int64", "complex64", "object", "U1"])
def test_other_dtypes(dtype):
    with pytest.raises(TypeError) as error:
        estimate_sigma(np.zeros((20, 20), dtype=dtype))
    assert f"dtype {np.dtype(dtype)}; allowed are bool, uint8" in one_line(error)


@pytest.mark.parametrize(
    ("shape", "axis", "message"),
    [
        ((2, 2), None, "image is 2x2; estimating its noise needs at least 16x16; pass sigma"),
        ((15, 400), None, "image is 15x400; estimating its noise needs at least 16x16; pass sigma"),
        ((40, 9, 3), 2, "image is 40x9; estimating its noise needs at least 16x16; pass sigma"),
        ((3, 40, 9), 0, "image is 40x9; estimating its noise needs at least 16x16; pass sigma"),
        ((0, 20), None, "image is empty: its shape is (0, 20)"),
        ((20, 20, 0), 2, "image is empty: its shape is (20, 20, 0)"),
        ((), None, "image has shape (); estimating its noise takes 2 axes"),
        ((20,), None, "image has shape (20,); estimating its noise takes 2 axes"),
        ((20, 20, 3), None, "image has shape (20, 20, 3); estimating its noise takes 2 axes"),
        ((20, 20), -1, "image has shape (20, 20); estimating its noise takes 2 axes"),
        ((20, 20, 3), 3, "channel_axis is 3, but image has 3 axes; allowed are -3 to 2"),
        ((20, 20, 3), -4, "channel_axis is -4, but image has 3 axes; allowed are -3 to 2"),
    ],
)
def test_shapes(shape, axis, message):
    with pytest.raises(ValueError, match=r"^(image|channel_axis) ") as error:
        estimate_sigma(np.zeros(shape), channel_axis=axis)
    assert one_line(error).startswith(message)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", FLOATS)
def test_not_finite(value, dtype):
    image = white((20, 30)).astype(dtype)
    image[3, 7] = image[3, 8] = image[11, 2] = value
    with pytest.raises(ValueError, match="NaN") as error:
        estimate_sigma(image)
    assert one_line(error).startswith("image holds 3 NaN or infinite values, the first at (3, 7)")


def test_not_finite_in_a_channel():
    image = white((20, 30, 3))
    image[4, 5, 2] = np.nan
    with pytest.raises(ValueError, match=r"1 NaN .* at \(4, 5, 2\)"):
        estimate_sigma(image, channel_axis=-1)
