"""The methods of `denoise` by name."""

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio

import nlmeans
from nlmeans import Operation, ParameterError, Ridge, denoise, settings_for


@pytest.fixture(scope="module")
def clean():
    from skimage import data

    return data.camera()[96:192, 180:300].astype(np.float32)


@pytest.fixture
def noisy(clean, rng):
    return (clean + rng.normal(0, 20, clean.shape)).astype(np.float32)


def psnr(clean, result):
    return peak_signal_noise_ratio(clean, result, data_range=255)


def test_ridge_is_the_default_and_better(clean, noisy):
    best, classic = denoise(noisy, 20), denoise(noisy, 20, method="classic")
    np.testing.assert_array_equal(best, denoise(noisy, 20, method="ridge"))
    assert psnr(clean, best) > psnr(clean, classic) + 0.5


def test_ridge_is_its_three_parts(noisy):
    used = settings_for(noisy, 20)
    op = used.operation()
    assert isinstance(op, Ridge)
    pilot = (op.classic(noisy) + op.first(noisy)) / 2
    np.testing.assert_allclose(op(noisy), op.second(noisy, pilot=pilot), atol=1e-3)
    np.testing.assert_array_equal(op(noisy), denoise(noisy, 20))
    np.testing.assert_array_equal(op.classic(noisy), denoise(noisy, 20, method="classic"))
    assert "classic" in str(op)


def test_ridge_near_the_largest_float(noisy):
    large = (2e38 + 1e36 * noisy / 255).astype(np.float32)
    result = denoise(large, 1e35, method="ridge")
    assert np.isfinite(result).all()
    assert result.astype(float).std() < large.astype(float).std()


def test_what_only_classic_has_asks_for_it(noisy):
    for own in ({"h": 10}, {"patch_size": 5}, {"centre": "max"}, {"border": "mirror"}):
        np.testing.assert_array_equal(
            denoise(noisy, 20, **own), denoise(noisy, 20, method="classic", **own)
        )
        with pytest.raises(ParameterError, match=next(iter(own))):
            denoise(noisy, 20, method="ridge", **own)


def test_small_images_and_stacks_are_classic(noisy):
    assert isinstance(settings_for(noisy[:9], 20).operation(), Operation)
    stack = np.stack([noisy] * 3)
    assert settings_for(stack, 20, stack="volume").method == "classic"
    with pytest.raises(ParameterError, match="no clip"):
        denoise(stack, 20, stack="clip", method="ridge")
    pages = denoise(stack, 20, stack="pages")
    np.testing.assert_array_equal(pages[1], denoise(noisy, 20))


def test_stabilised_noise_takes_ridge_and_rician_noise_classic(clean, noisy, rng):
    photons = rng.poisson(clean / 4) * 4.0
    found = denoise(photons, gain=4)
    assert settings_for(photons, gain=4).method == "ridge"
    assert psnr(clean, found) > psnr(clean, denoise(photons, gain=4, method="classic")) + 0.3
    magnitudes = abs(noisy)
    assert settings_for(magnitudes, 20, noise="rician").method == "classic"
    with pytest.raises(ParameterError, match="Rician"):
        denoise(magnitudes, 20, noise="rician", method="ridge")


def test_an_unknown_method_is_refused(noisy):
    with pytest.raises(ParameterError, match="'ridge', 'classic'"):
        denoise(noisy, 20, method="best")


def test_strength_of_colour(rng, clean):
    colours = np.stack([clean, 0.5 * clean, 255 - clean], axis=-1)
    noisy = colours + rng.normal(0, 20, colours.shape)
    first = settings_for(noisy, 20, strength=0.5, chroma_strength=3).operation().first
    assert (first.sigma, first.chroma_strength) == (10, 3)
    with pytest.raises(ParameterError, match="chroma_strength is 3"):
        settings_for(noisy, 20, chroma_strength=3, method="classic")
    weak, strong = (nlmeans.denoise(noisy, 20, chroma_strength=strength) for strength in (0.3, 1))
    assert np.diff(weak - colours).std() > 1.2 * np.diff(strong - colours).std()


def test_progress_goes_from_0_to_1(noisy):
    seen = []
    denoise(noisy, 20, progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1


def test_shell(cli, noisy):
    import tifffile

    tifffile.imwrite("a.tif", noisy)
    assert cli("denoise", "a.tif", "--sigma", 20, "--method", "classic")[0] == 0
    np.testing.assert_array_equal(
        tifffile.imread("a_denoised.tif"), denoise(noisy, 20, method="classic")
    )
    code, out, _ = cli("denoise", "a.tif", "-o", "b.tif", "--sigma", 20, "--strength", 0.9)
    assert code == 0
    assert "ridge" in out
    np.testing.assert_array_equal(tifffile.imread("b.tif"), denoise(noisy, 20, strength=0.9))
    assert "second" in cli("plan", "a.tif")[1]
    code, _, err = cli("denoise", "a.tif", "-o", "c.tif", "--method", "ridge", "--h", 9)
    assert code != 0
    assert "takes no h" in err
