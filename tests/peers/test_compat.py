"""The call that scikit-image has: its signature, dtypes and errors, and its picture."""

import inspect
import re

import numpy as np
import pytest
from skimage import data
from skimage.restoration import denoise_nl_means as theirs

from nlmeans import peers
from nlmeans.peers.skimage import denoise_nl_means as ours


def test_signature():
    expected = inspect.signature(theirs).parameters
    found = dict(inspect.signature(ours).parameters)
    assert found.pop("threads").kind is inspect.Parameter.KEYWORD_ONLY
    assert [(p.name, p.default, p.kind) for p in found.values()] == [
        (p.name, p.default, p.kind) for p in expected.values()
    ]


@pytest.fixture(scope="module")
def noisy():
    clean = data.astronaut()[30:110, 200:280] / 255
    return clean + np.random.default_rng(0).normal(0, 0.08, clean.shape)


@pytest.mark.parametrize("fast_mode", [True, False])
@pytest.mark.parametrize("colour", [True, False])
@pytest.mark.parametrize(
    "options", [{}, {"h": 0.06, "sigma": 0.08}, {"patch_size": 3, "patch_distance": 5}], ids=str
)
def test_its_picture_but_for_the_error_of_its_exp(noisy, fast_mode, colour, options):
    x = noisy if colour else noisy[..., 1]
    options = {"fast_mode": fast_mode, "channel_axis": -1 if colour else None, **options}
    a, b = theirs(x, **options), ours(x, **options)
    if not fast_mode:
        np.testing.assert_allclose(b, a, atol=1e-10)
    assert np.abs(a - b).max() < 0.005
    assert np.abs(a - b).mean() < 0.0006


@pytest.mark.parametrize(
    "dtype", ["bool", "uint8", "int8", "uint16", "int16", "uint32", "float16", "float32", "float64"]
)
@pytest.mark.parametrize("preserve_range", [True, False])
def test_dtype_and_range(dtype, preserve_range):
    x = data.camera()[100:124, 200:224]
    if dtype == "bool":
        x = x > np.median(x)
    elif np.dtype(dtype).kind == "f":
        x = (x / 255).astype(dtype)
    else:
        x = (x // 2).astype(dtype)
        x *= np.iinfo(dtype).max // 127
    h = float(np.ptp(x.astype(float))) if preserve_range else 1.0
    options = {"h": h, "preserve_range": preserve_range}
    a, b = theirs(x, 3, 3, **options), ours(x, 3, 3, **options)
    assert b.dtype == a.dtype
    assert np.abs(a - b).max() < 0.01 * float(np.ptp(a))


def test_fast_mode_in_float32_is_that_in_float64_but_for_weights_at_the_cut(noisy):
    options = {"h": 0.06, "sigma": 0.08}
    exact = peers.from_skimage(5, 6, **options)(noisy[..., 1])
    for offset in (0, 100):  # float32 holds no digits of the range beside a large offset
        found = ours(noisy[..., 1] + offset, 5, 6, **options) - offset
        assert np.abs(found - exact).max() < 0.0004
        assert np.quantile(np.abs(found - exact), 0.9) < 2e-6
    huge = ours(noisy * 1e60, 5, 6, h=0.06e60, sigma=0.08e60, channel_axis=-1)
    same = ours(noisy, 5, 6, channel_axis=-1, **options)
    np.testing.assert_allclose(huge / 1e60, same, atol=0.0004)
    assert (ours(np.full((9, 9), 0.1), 3, 2) == 0.1).all()
    hot = noisy[..., 1].copy()
    hot[5, 5] = 1e6  # of which float32 leaves no digits of the rest
    exact = peers.from_skimage(5, 6, **options)(hot)
    np.testing.assert_allclose(ours(hot, 5, 6, **options), exact, atol=1e-9)


def test_channels_first_and_even_patch_size(noisy):
    x = noisy
    last = ours(x, 4, 3, channel_axis=-1)
    first = ours(np.moveaxis(x, -1, 0), 4, 3, channel_axis=0)
    np.testing.assert_array_equal(np.moveaxis(first, 0, -1), last)
    np.testing.assert_array_equal(ours(x, 5, 3, channel_axis=-1), last)


def test_volumes(rng):
    x = rng.normal(0.5, 0.02, (10, 11, 12)).astype(np.float32)
    for fast_mode in (True, False):
        a = theirs(x, 3, 2, 0.05, fast_mode)
        b = ours(x, 3, 2, 0.05, fast_mode)
        assert b.dtype == np.float32
        assert np.abs(a - b).max() < 0.02 * np.abs(a - x).max()
    coloured = rng.normal(0.5, 0.02, (6, 7, 8, 2))
    a, b = (f(coloured, 3, 2, 0.05, channel_axis=-1) for f in (theirs, ours))
    assert np.abs(a - b).max() < 0.02 * np.abs(a - coloured).max()


def test_axes_of_size_one_stay():
    x = np.zeros((20, 20, 1))
    assert ours(x, channel_axis=-1).shape == x.shape


def test_a_patch_of_one_pixel(rng):
    x = rng.random((12, 12)).astype(np.float32)
    np.testing.assert_allclose(ours(x, 1, 2, h=0.2), theirs(x, 1, 2, h=0.2), atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "options"),
    [((9,), {}), ((9, 9), {"channel_axis": 1}), ((4, 4, 4, 4, 4), {}),
     ((5, 5, 5, 2), {"channel_axis": -1, "fast_mode": False})],
)  # fmt: skip
def test_not_implemented_as_there(shape, options):
    for function in (theirs, ours):
        with pytest.raises(NotImplementedError):
            function(np.zeros(shape), 3, 2, **options)


def test_four_axes_are_refused_with_what_to_do(rng):
    image = rng.random((2, 4, 5, 6))
    with pytest.raises(NotImplementedError, match="4 axes besides channels") as refusal:
        ours(image, 3, 1)
    text = str(refusal.value)
    assert "\n" not in text
    code = re.search(r"numpy\.stack\(.*\)$", text)[0].replace("...", "3, 1")
    done = eval(code, {"numpy": np, "denoise_nl_means": ours, "image": image})
    np.testing.assert_array_equal(done[1], ours(image[1], 3, 1))


def test_what_is_refused_here_alone(rng):
    with pytest.raises(ValueError, match="NaN"):
        ours(np.full((9, 9), np.nan))
    with pytest.raises(ValueError, match="h is 0"):
        ours(rng.random((9, 9)), h=0)


@pytest.mark.parametrize("x", [np.zeros((0, 5)), np.zeros((9, 9), complex)])
def test_empty_and_complex_are_errors(x):
    with pytest.raises((ValueError, TypeError)):
        ours(x)
