"""Principal components of an image's patches as theta = phi."""

import tracemalloc

import numpy as np
import pytest
from conftest import by_reference

import nlmeans
from nlmeans import Linear, ParameterError, Patches
from nlmeans.learning.pca import _some_patches


@pytest.fixture
def noisy(rng):
    stripes = 100.0 * (np.indices((60, 64)).sum(0) // 8 % 2)
    return stripes + rng.normal(0, 20, stripes.shape)


def theta(block):
    assert block.operation.f.query == block.operation.f.key
    return block.operation.f.query.weight


def test_components_are_orthonormal_and_the_first_is_the_mean(noisy):
    rows = theta(nlmeans.pca_weights(noisy, 20, patch_size=5, components=25)) * 5
    np.testing.assert_allclose(rows @ rows.T, np.eye(25), atol=1e-9)
    np.testing.assert_allclose(rows[0], 1 / 5)


def test_all_components_are_classical_non_local_means(noisy):
    block = nlmeans.pca_weights(noisy, 20, h=12, patch_size=3, search_size=5, components=9)
    x = noisy[:12, :11]
    np.testing.assert_allclose(block(x), by_reference(nlmeans.nl_means(20, 12, 3, 5), x), rtol=1e-9)


def test_parallel_analysis_finds_no_components_in_noise_and_few_in_stripes(noisy, rng):
    noise = rng.normal(100, 20, (200, 200))
    assert len(theta(nlmeans.pca_weights(noise, 20))) <= 20  # of 49, the first is the mean
    assert 2 <= len(theta(nlmeans.pca_weights(noisy, 20))) <= 12
    ramp = np.add.outer(np.arange(64.0), 2 * np.arange(64.0)) * 5
    gradient = nlmeans.pca_weights(ramp + rng.normal(0, 1, ramp.shape), 1)
    assert 2 <= len(theta(gradient)) <= 8  # mean, slope and what mirrored borders add


def test_colour_patches_are_in_the_order_of_patches(rng):
    image = rng.normal(100, 20, (3, 30, 30))
    block = nlmeans.pca_weights(image, 20, patch_size=3, channel_axis=0)
    assert block.operation.f.query.of == Patches(3, "none")
    assert theta(block).shape[1] == 27
    assert block(image[:, :8, :8], channel_axis=0).shape == (3, 8, 8)


@pytest.mark.parametrize(("shape", "axis"), [((30, 25), None), ((30, 25, 3), -1)])
def test_the_patches_looked_at_are_those_of_the_embedding(shape, axis, rng):
    planes = rng.normal(size=(shape[-1] if axis else 1, *shape[:2]))
    some = _some_patches(Patches(5, "none"), planes, 3)
    every = Patches(5, "none")(np.moveaxis(planes, 0, -1)).reshape(30 * 25, -1)
    places = np.random.default_rng(3).permutation(30 * 25)
    np.testing.assert_array_equal(some, every[places])


def test_not_all_patches_of_a_large_picture_are_made(rng):
    planes = rng.normal(size=(1, 1000, 1000))
    tracemalloc.start()
    try:
        _some_patches(Patches(7, "none"), planes, 0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 60e6  # all of them are 392e6 bytes


@pytest.mark.parametrize("d", [4, 25])
def test_h_falls_with_the_cube_root_of_the_components(noisy, d):
    f = nlmeans.pca_weights(noisy, 20, patch_size=5, components=d).operation.f
    assert f.scale == pytest.approx((2.8 * 20 * d ** (-1 / 3)) ** -2)
    assert f.noise == 2 * 20**2


def test_one_seed_gives_one_result_and_units_do_not_matter(noisy):
    a, b = (nlmeans.pca_weights(noisy, 20, seed=3) for _ in range(2))
    assert a == b
    scaled = nlmeans.pca_weights(noisy / 255, 20 / 255, seed=3)
    np.testing.assert_allclose(theta(scaled), theta(a), atol=1e-7)
    assert isinstance(a.operation.f.key, Linear)


@pytest.mark.parametrize(
    ("image", "options", "message"),
    [
        (np.zeros((20, 20)), {}, "no noise"),
        (np.zeros((20, 20)), {"sigma": -1}, "sigma"),
        (np.eye(20), {"sigma": 0}, "sigma is 0; allowed"),
        (np.eye(20), {"sigma": 1, "patch_size": 1}, "patch_size is 1, .* one channel"),
        (np.zeros((20, 20)), {"sigma": 1, "components": 50}, "1 to 49"),
        (np.zeros((20, 20)), {"sigma": 1, "components": 2.5}, "components is 2.5"),
        (np.zeros((20, 20)), {"sigma": 1, "h": 0}, "h is 0"),
        (np.zeros(20), {"sigma": 1}, "two axes"),
        (np.zeros((20, 20)), {"sigma": 1, "patch_size": 4}, "patch_size"),
    ],
)
def test_what_cannot_be_used_is_refused(image, options, message):
    with pytest.raises((ParameterError, ValueError), match=message):
        nlmeans.pca_weights(image, **options)


def test_the_command_writes_what_denoise_reads(cli, tmp_path, noisy):
    import imageio.v3 as iio

    iio.imwrite("in.png", noisy[:40, :40].clip(0, 255).astype(np.uint8))
    code, out, err = cli("weights", "from-image", "in.png", "w.npz", "--sigma", 20, "--json")
    assert (code, err) == (0, "")
    assert '"sigma": 20' in out
    loaded = nlmeans.load_weights("w.npz")
    assert (loaded.input_range, loaded.sigma) == (255, 20)
    image = iio.imread("in.png")
    assert loaded.block == nlmeans.pca_weights(image, 20)
    code, _, err = cli("weights", "from-image", "in.png", "w.npz")
    assert code == 1
    assert "exists already" in err
    assert len(err.splitlines()) == 1
