"""Nearly clean pictures with nothing given: no harm, and levels of 8 bits as floats alike."""

import json

import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy.ndimage import gaussian_filter
from skimage import data

import nlmeans
from nlmeans import Noise, denoise, estimate_noise, settings_for
from nlmeans.base.arrays import whole_levels
from nlmeans.base.axes import Layout
from nlmeans.noise.find import find, noise_asked
from nlmeans.noise.trust import trust_in


def middle_of(name, side=256):
    image = getattr(data, name)()
    rows, columns = (n // 2 - side // 2 for n in image.shape[:2])
    return image[rows : rows + side, columns : columns + side].astype(float)


def in_bytes(clean, sigma, seed=0):
    noise = np.random.default_rng(seed).normal(0, sigma, clean.shape)
    return np.rint(np.clip(clean + noise, 0, 255)).astype(np.uint8)


def gain(clean, noisy, result):
    """In dB, over the noisy image."""
    before, after = (np.mean((clean - image) ** 2) for image in (noisy, result))
    return 10 * np.log10(before / after)


@pytest.fixture(scope="module")
def grainy():
    """Grass with so little noise that an estimate is not all noise."""
    return in_bytes(middle_of("grass", 128), 2)


# --------------------------------------------------------------------------- how much is trusted


def test_a_few_bright_objects_do_not_make_noise_look_faint(rng):
    sky = np.full((128, 128), 1000.0)
    sky[tuple(rng.integers(0, 128, (2, 15)))] = 65535
    for noise in (30, 300):
        image = np.clip(rng.normal(sky, noise), 0, 65535).astype(np.uint16)
        assert settings_for(image).trust == 1


def test_trust_grows_with_the_noise_in_any_units(grainy):
    levels = np.linspace(0.5, 8, 30)
    trust = [trust_in(level, grainy) for level in levels]
    assert trust == sorted(trust)
    assert (trust[0], trust[-1]) == (0, 1)
    for scale, offset in ((257, 0), (1 / 255, -3)):
        other = grainy.astype(float) * scale + offset
        assert [trust_in(scale * level, other) for level in levels] == pytest.approx(trust)
    assert trust_in(0.0, grainy) == trust_in(1.0, np.zeros((20, 20))) == 1


def test_hot_pixels_do_not_make_noise_look_small():
    dim = np.random.default_rng(0).normal(200, 20, (300, 300))
    dim[:, 150:] += 400
    assert trust_in(20, dim) == 1
    dim[[7, 90], [100, 30]] = 60000
    assert trust_in(20, dim) == 1


def test_trust_is_of_all_channels_however_they_are_stored():
    """Of a large picture some positions are looked at, with all their channels."""
    ramp = np.linspace(0, 255, 1500).astype(np.uint8)
    image = np.full((1000, 1500, 3), 40, np.uint8)
    image[..., 1:] = ramp[:, None]
    planes = np.moveaxis(image, -1, 0)
    for stored, axis in ((image, 2), (np.ascontiguousarray(planes), 0), (image[..., ::-1], 2)):
        assert trust_in(1.0, stored, axis) == 0
        assert 0.3 < trust_in(2.0, stored, axis) < 0.5


def test_trust_in_the_largest_of_floats(rng):
    image = np.where(rng.random((64, 64)) < 0.5, -1.0, 1.0) * 1e308
    assert trust_in(1e308, image) == 1
    assert trust_in(1e300, image) == 0


@pytest.mark.parametrize("method", ["classic", "ridge"])
def test_so_much_is_taken_out_where_sigma_is_estimated(grainy, method):
    image = grainy.astype(np.float32)
    used = settings_for(image, method=method)
    assert 0.1 < used.trust < 0.9
    full = denoise(image, used.sigma, method=method)
    found = denoise(image, method=method)
    np.testing.assert_allclose(found, image + used.trust * (full - image), atol=1e-4)
    np.testing.assert_array_equal(found, denoise(image, **used.arguments()))
    half = denoise(image, method=method, amount=0.5)
    np.testing.assert_allclose(half, (image + found) / 2, atol=1e-4)


def test_a_region_has_the_trust_of_the_whole(grainy):
    image, region = grainy.astype(np.float32), np.s_[30:60, 50:90]
    assert settings_for(image[region]).trust != settings_for(image).trust
    np.testing.assert_allclose(
        denoise(image, method="classic", region=region),
        denoise(image, method="classic")[region],
        atol=1e-4,
    )


@pytest.mark.parametrize(
    "given",
    [{"sigma": 2}, {"h": 2}, {"gain": 0.1}, {"noise": Noise(extent=2)}, {"keep_detail": True}],
)
def test_what_is_told_is_trusted(grainy, given):
    assert settings_for(grainy).trust < 1
    assert settings_for(grainy, **given).trust == 1


def test_without_trust_the_image_is_copied(grainy):
    image = in_bytes(gaussian_filter(middle_of("grass"), 1.2), 1)
    used = settings_for(image)
    assert used.sigma > 0.5
    assert used.trust == 0
    assert used.operation() is None
    np.testing.assert_array_equal(denoise(image), image)


def test_signal_dependent_noise_counts_at_the_mean():
    noise = Noise("poisson-gaussian", gain=(2.0, 4.0), read_noise=(3.0, 0.0))
    image = np.stack([np.full((4, 4), 8.0), np.full((4, 4), 16.0)])
    layout = Layout(channel_axis=0, alpha=False, stack=None)
    found = find(image, layout, noise_asked(noise))
    assert found.levels == pytest.approx([5, 8])
    assert found.level == pytest.approx(np.sqrt((25 + 64) / 2))
    assert find(image, layout, noise_asked(Noise(), 7.0)).level == 7


# --------------------------------------------------------------------------- no harm


@pytest.mark.parametrize("sigma", [1, 2, 3])
@pytest.mark.parametrize("name", ["grass", "gravel", "brick", "camera"])
def test_nearly_clean_pictures_are_not_harmed(name, sigma):
    clean = middle_of(name)
    image = in_bytes(clean, sigma)
    for method in ("classic", "ridge"):
        assert gain(clean, image, denoise(image, method=method)) > -0.1


def test_the_noise_of_flat_pictures_still_goes():
    clean = np.zeros((128, 128)) + 100
    clean[:, 64:] = 200
    image = in_bytes(clean, 2)
    assert gain(clean, image, denoise(image)) > 8


@pytest.mark.parametrize("sigma", [0.5, 1, 2])
@pytest.mark.parametrize("name", ["grass", "gravel"])
@pytest.mark.parametrize("blur", [2, 3])
def test_texture_out_of_focus_is_no_correlated_noise(name, blur, sigma):
    clean = gaussian_filter(middle_of(name), blur)
    image = in_bytes(clean, sigma)
    assert settings_for(image).noise.extent == 1
    assert gain(clean, image, denoise(image, method="classic")) > -0.1


def test_the_shell_says_how_much(tmp_path, monkeypatch, grainy):
    from click.testing import CliRunner
    from nlmeans.cli.main import main

    monkeypatch.chdir(tmp_path)
    Image.fromarray(grainy).save("grass.png")
    arguments = ["denoise", "grass.png", "--method", "classic"]
    text = CliRunner().invoke(main, arguments).output
    trust = settings_for(grainy).trust
    assert f"filtered at {trust:.0%}: may be texture" in text
    record = json.loads(CliRunner().invoke(main, [*arguments, "--json", "--overwrite"]).output)
    assert record["trust"] == trust
    clean = in_bytes(gaussian_filter(middle_of("grass"), 1.2), 1)
    Image.fromarray(clean).save("soft.png")
    text = CliRunner().invoke(main, ["denoise", "soft.png"]).output
    assert "which may be texture: not filtered" in text
    text = CliRunner().invoke(main, ["strengths", "soft.png", "-o", "sheet.png"]).output
    assert "all are alike" in text
    text = CliRunner().invoke(main, ["plan", "soft.png"]).output
    assert "it may be texture: the picture would not be filtered" in text
    text = CliRunner().invoke(main, ["affinity", "soft.png", "--at", "9,9", "-o", "map.png"]).output
    assert "map.png" in text
    still = np.full_like(clean, 50)
    tifffile.imwrite("pages.tif", np.stack([still, clean]), photometric="minisblack")
    text = CliRunner().invoke(main, ["denoise", "pages.tif"]).output
    assert "which may be texture: not filtered" in text


def test_an_image_takes_no_depth(grainy):
    for image in (grainy, np.full_like(grainy, 7)):
        with pytest.raises(ValueError, match=r"patch_size is \(3, 3, 3\); an image takes"):
            denoise(image, patch_size=(3, 3, 3))


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


def test_levels_of_large_arrays_in_any_order():
    levels = np.random.default_rng(0).integers(0, 256, (300, 350, 3)).astype(np.uint8)
    scaled = (levels / 255).astype(np.float32)
    for view in (slice(None), np.s_[::-1, ::2], np.s_[..., 1]):
        found, step = whole_levels(scaled[view])
        np.testing.assert_array_equal(found, levels[view])
        assert step == 1 / 255
    turned = np.moveaxis(scaled, -1, 0)
    np.testing.assert_array_equal(whole_levels(turned)[0], np.moveaxis(levels, -1, 0))
    for place in ((0, 0, 1), (299, 349, 2), (150, 151, 1)):  # most are seen by no sample
        off = scaled.copy()
        off[place] = 0.5 / 255
        assert whole_levels(off)[0] is off


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
