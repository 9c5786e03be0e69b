"""Noise from before JPEG compression: found, and taken out."""

import imageio.v3 as iio
import numpy as np
import pytest
from skimage import data
from skimage.metrics import peak_signal_noise_ratio as psnr

from nlmeans import ParameterError, denoise, estimate_sigma, settings_for
from nlmeans.noise import jpeg
from nlmeans.noise.jpeg import sigma_before_jpeg
from nlmeans.noise.kind import estimate_noise


def compressed(image, quality, **options):
    written = iio.imwrite("<bytes>", image, extension=".jpg", quality=quality, **options)
    return iio.imread(written, extension=".jpg")


def noisy(rng, image, sigma):
    return np.clip(np.rint(image + rng.normal(0, sigma, image.shape)), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def grey():
    return data.camera()[:256, 128:384]


@pytest.fixture(scope="module")
def colours():
    return data.astronaut()[:256, 100:356]


@pytest.mark.parametrize("quality", [60, 75, 90])
@pytest.mark.parametrize("sigma", [6, 12, 20])
def test_the_level_before_compression(rng, grey, colours, sigma, quality):
    for image, axis in ((grey, None), (colours, 2)):
        picture = compressed(noisy(rng, image, sigma), quality)
        assert sigma_before_jpeg(picture, axis) == pytest.approx(sigma, rel=0.2)


def test_what_is_measured_without_it_is_far_off(rng, colours):
    picture = compressed(noisy(rng, colours, 10), 75)
    assert estimate_sigma(picture, channel_axis=2).max() < 2
    found, levels = estimate_noise(picture, channel_axis=2)
    assert found.jpeg
    assert levels == pytest.approx([10] * 3, rel=0.2)


def test_other_pictures_are_left_to_other_estimates(rng, grey, colours):
    for sigma in (0, 2, 20):
        for image, axis in ((grey, None), (colours, 2)):
            assert sigma_before_jpeg(noisy(rng, image, sigma), axis) is None
            assert not estimate_noise(noisy(rng, image, sigma), channel_axis=axis)[0].jpeg
    picture = compressed(noisy(rng, grey, 10), 75)
    assert sigma_before_jpeg(picture.astype(np.uint16)) is None
    assert sigma_before_jpeg(np.stack([picture] * 2), 0) is None
    assert sigma_before_jpeg(picture[:15]) is None
    assert sigma_before_jpeg(picture[:40, :40]) is None  # too few blocks
    for flat in (0, 77, 255):
        assert sigma_before_jpeg(np.full((99, 99), flat, np.uint8)) is None


def test_patterns_and_drawings_are_no_jpeg(rng):
    glyphs = 50 + 150 * (rng.random((25, 25, 1, 1)) < 0.5) * rng.integers(0, 2, (25, 25, 8, 8))
    drawings = {
        "tiles of 8": np.tile(rng.integers(50, 200, (8, 8)), (25, 25)),
        "tiles of 16": np.tile(rng.integers(50, 200, (16, 16)), (13, 13)),
        "glyphs": glyphs.swapaxes(1, 2).reshape(200, 200),
        "enlarged": np.kron(rng.integers(20, 230, (50, 50)), np.ones((4, 4))),
        "steps": np.add.outer(np.arange(200), np.arange(200)) // 32 * 18 + 10,
    }
    for name, image in drawings.items():
        assert sigma_before_jpeg(image.astype(np.uint8)) is None, name


def test_blocks_are_found_wherever_they_begin(rng, grey):
    picture = compressed(noisy(rng, grey, 10), 75)
    whole = sigma_before_jpeg(picture)
    for y, x in ((1, 0), (3, 6), (7, 7)):
        assert sigma_before_jpeg(picture[y:, x:]) == pytest.approx(whole, rel=0.05)


def test_layouts_and_floats_agree(rng, colours):
    picture = compressed(noisy(rng, colours, 10), 80)
    last = sigma_before_jpeg(picture, 2)
    assert sigma_before_jpeg(np.moveaxis(picture, 2, 0), 0) == last
    grey = picture[..., 1]
    for found, levels in (estimate_noise(grey), estimate_noise(grey[..., None], channel_axis=2)):
        assert (found, levels.tolist()) == (
            estimate_noise(grey)[0],
            estimate_noise(grey)[1].tolist(),
        )
    floats = (picture / 255).astype(np.float32)
    found, levels = estimate_noise(floats, channel_axis=2)
    assert found.jpeg
    np.testing.assert_allclose(255 * levels, last)


def test_fine_steps_leave_the_usual_estimate(rng, grey):
    picture = compressed(noisy(rng, grey, 20), 98)
    assert not estimate_noise(picture)[0].jpeg
    assert settings_for(picture).sigma == pytest.approx(20, rel=0.1)


def test_rounded_noise_has_the_variance_of_the_formula(rng):
    for level, step in ((3.0, 10.0), (10.0, 10.0), (40.0, 10.0)):
        rounded = step * np.rint(rng.normal(0, level, 400_000) / step)
        expected = jpeg._variance(level, np.array([step]))[0]
        assert expected == pytest.approx(rounded.var(), rel=0.05)
        assert jpeg._solved(expected, np.array([step])) == pytest.approx(level, rel=1e-3)


@pytest.mark.parametrize(("quality", "gain"), [(75, 2.5), (90, 1.5)])
def test_more_noise_is_taken_out(rng, colours, quality, gain):
    picture = compressed(noisy(rng, colours, 12), quality)
    white = denoise(picture, noise="gaussian")
    assert psnr(colours, denoise(picture)) > psnr(colours, white) + gain


def test_clean_pictures_are_not_harmed(grey, colours):
    for image in (grey, colours):
        for quality in (60, 75, 90, 96):
            picture = compressed(image, quality)
            assert psnr(image, denoise(picture)) > psnr(image, picture) - 0.1


def test_keep_detail_is_for_white_noise(rng, grey):
    picture = compressed(noisy(rng, grey, 10), 75)
    with pytest.raises(ParameterError, match="went through JPEG"):
        denoise(picture, keep_detail=True)
    assert denoise(picture, keep_detail=True, noise="gaussian").shape == picture.shape


def test_the_commands_say_so(cli, rng, grey, tmp_path):
    path = tmp_path / "photo.jpg"
    iio.imwrite(path, noisy(rng, grey, 10), quality=75)
    for command in ("estimate", "denoise"):
        code, out, _ = cli(command, path)
        assert code == 0
        assert "before JPEG compression" in out
