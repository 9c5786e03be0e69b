"""sigma and h that differ from position to position: the fast kernel against the equation."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from conftest import by_reference

import nlmeans
from nlmeans import Everywhere, Linear, Operation, ParameterError, Window, gaussian, nl_means

TOLERANCE = {np.float32: 1e-4, np.float64: 1e-9}  # of the value range
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def maps_for(rng, shape):
    """sigma and h from nearly nothing to twice the noise."""
    return rng.uniform(0, 1, shape), rng.uniform(0.02, 2, shape)


def assert_equals_reference(op, x, guide=None, channel_axis=None):
    y = op(x, guide=guide, channel_axis=channel_axis)
    assert op.plan(x.shape, channel_axis=channel_axis).kernel == "window"
    expected = by_reference(op, x, guide, channel_axis)
    assert np.abs(y - expected).max() <= TOLERANCE[x.dtype.type] * (np.ptp(x) or 1)


def test_the_reference_is_the_formula(rng):
    """Spelled out for single pixels, that a mistake in what all paths share would show."""
    x, sigma, h = rng.normal(size=5), *maps_for(rng, 5)
    op = Operation(gaussian(h, sigma), over=nlmeans.Window(5))
    for i in range(5):
        weights = {
            j: math.exp(-max((x[i] - x[j]) ** 2 - sigma[i] ** 2 - sigma[j] ** 2, 0) / (h[i] * h[j]))
            for j in range(max(i - 2, 0), min(i + 3, 5))
        }
        total = sum(weights.values())
        expected = sum(w * x[j] for j, w in weights.items()) / total
        assert by_reference(op, x)[i] == pytest.approx(expected, rel=1e-12)
        found = op.affinity(x, i)
        assert found[list(weights)] == pytest.approx([w / total for w in weights.values()])


@DTYPES
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 2), (21, 17), (7,), (5, 7, 6)])
@pytest.mark.parametrize("border", ["inside", "mirror"])
def test_maps_against_the_reference(rng, dtype, shape, border):
    x = rng.normal(3, 1, size=shape).astype(dtype)
    sigma, h = maps_for(rng, shape)
    for centre, weighting in itertools.product(["one", "max", "zero"], ["uniform", "gaussian"]):
        options = {"centre": centre, "border": border, "patch_weighting": weighting}
        assert_equals_reference(nl_means(sigma, h, 3, 5, **options), x)
    assert_equals_reference(nl_means(0.3, h, 3, 5, border=border), x)
    assert_equals_reference(nl_means(sigma, 0.5, 3, 5, border=border, cut=0.1), x)


@DTYPES
def test_maps_with_channels_and_a_guide(rng, dtype):
    x = rng.normal(size=(12, 11, 3)).astype(dtype)
    op = nl_means(*maps_for(rng, (12, 11)), 3, 5)
    assert_equals_reference(op, x, channel_axis=-1)
    guide = rng.normal(size=(12, 11, 2)).astype(dtype)
    assert_equals_reference(op, x, guide, channel_axis=-1)


@DTYPES
def test_pixels_with_tiny_weights_alone(rng, dtype):
    """Without a weight of 1 at the centre they are divided by the largest, in float64."""
    x = rng.normal(size=(9, 10)).astype(dtype)
    sigma, h = 0.1 * rng.uniform(0, 1, x.shape), rng.choice([0.003, 0.5], x.shape)
    for centre in ("max", "zero"):
        assert_equals_reference(nl_means(sigma, h, 3, 5, centre=centre), x)


@DTYPES
def test_seams_of_tiles_show_nothing(rng, dtype):
    for shape, axis in (((1100, 9), 0), ((4, 300), 1)):
        x = rng.normal(size=shape).astype(dtype)
        sigma, h = maps_for(rng, shape)
        whole = nl_means(sigma, h, 3, 5)(x)
        step = nl_means(sigma, h, 3, 5).plan(shape).tile[axis]
        part = [slice(None), slice(None)]
        part[axis] = slice(step - 9, step + 9)
        part = tuple(part)
        crop = by_reference(nl_means(sigma[part], h[part], 3, 5), x[part])
        inner = [slice(None), slice(None)]
        inner[axis] = slice(4, -4)
        inner = tuple(inner)
        assert np.abs(whole[part][inner] - crop[inner]).max() <= TOLERANCE[dtype] * np.ptp(x)


@DTYPES
@pytest.mark.parametrize("options", [{}, {"centre": "max"}, {"patch_weighting": "gaussian"}])
def test_constant_maps_are_numbers(rng, dtype, options):
    x = rng.normal(size=(40, 150)).astype(dtype)
    ones = np.ones(x.shape)
    expected = nl_means(0.4, 0.5, 5, 7, **options)(x)
    for sigma, h in ((0.4 * ones, 0.5 * ones), (0.4 * ones, 0.5), (0.4, 0.5 * ones)):
        found = nl_means(sigma, h, 5, 7, **options)(x)
        assert np.abs(found - expected).max() <= 1e-2 * TOLERANCE[dtype] * np.ptp(x)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_magnitudes_neither_overflow_nor_vanish(rng, scale):
    x, (sigma, h) = rng.normal(size=(12, 13)), maps_for(rng, (12, 13))
    expected = nl_means(sigma, h, 3, 7)(x)
    y = nl_means(sigma * scale, h * scale, 3, 7)((x * scale).astype(np.float32))
    np.testing.assert_allclose(y / scale, expected, atol=1e-4 * np.ptp(x))


def test_h_near_zero_keeps_a_pixel_and_large_h_is_the_mean(rng):
    x = rng.normal(size=(12, 13))
    h = np.full(x.shape, 1e-150)
    h[:, 8:] = 1e150
    y = nl_means(0, h, 1, 5)(x)
    np.testing.assert_allclose(y[:, :6], x[:, :6], atol=1e-12)
    np.testing.assert_allclose(y[6, 10], x[4:9, 8:13].mean(), rtol=1e-9)


def test_without_a_window_the_reference_runs(rng):
    x, (sigma, h) = rng.normal(size=(6, 5)), maps_for(rng, (6, 5))
    op = Operation(gaussian(h, sigma))
    assert op.plan(x.shape).kernel == "reference"
    assert "maps" in op.plan(x.shape).reason
    wide = Operation(gaussian(h, sigma), over=nlmeans.Window(21))
    np.testing.assert_allclose(op(x), wide(x), atol=1e-9)


@pytest.mark.parametrize("over", [Window(5), Window(3, "mirror"), Everywhere()])
def test_weights_of_maps_with_a_key_bias(rng, over):
    x, (sigma, h) = rng.normal(size=(6, 5, 1)), maps_for(rng, (6, 5))
    f = replace(gaussian(h, sigma, centre="max"), key_bias=Linear([[1.5]]))
    op = Operation(f, over=over)
    y = op(x, channel_axis=-1)
    for i in ((0, 0), (3, 2), (5, 4)):
        weights = op.affinity(x, i, channel_axis=-1)
        assert (weights * x[..., 0]).sum() == pytest.approx(y[i][0], rel=1e-9)


def test_what_maps_are_refused(rng):
    ones = np.ones((4, 5))
    op = nl_means(ones, 2 * ones)
    for call in (op, lambda x: op.affinity(x, (0, 0)), lambda x: op.plan(x.shape)):
        with pytest.raises(ValueError, match=r"\(4, 5\).*\(5, 4\)"):
            call(np.zeros((5, 4)))
    with pytest.raises(ValueError, match=r"\(4, 5\).*\(5, 4\)"):
        nl_means(ones, ones.T)
    bad = ones.copy()
    for value in (-1, np.nan, np.inf):
        bad[1, 2] = value
        with pytest.raises(ParameterError, match=rf"sigma is {float(value)} at \(1, 2\)"):
            nl_means(bad, 1)
    bad[1, 2] = 0
    with pytest.raises(ParameterError, match=r"h is 0.0 at \(1, 2\); .* above 0"):
        nl_means(1, bad)
    with pytest.raises(ParameterError, match="h is missing"):
        nl_means(bad)
    with pytest.raises(TypeError, match="complex"):
        nl_means(1j * ones, 1)


def test_operations_with_maps_are_values(rng):
    sigma, h = maps_for(rng, (4, 5))
    op = nl_means(sigma, h)
    assert op == nl_means(sigma.copy(), h.copy())
    assert op != nl_means(sigma, 2 * h)
    assert hash(op) == hash(nl_means(sigma, h))
    assert "h_i h_j" in str(op)
    sigma[:] = 0
    assert op.f.maps.sigma.any()  # it keeps its own
