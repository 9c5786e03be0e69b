"""Groups of like patches, against an Operation a group, in float64."""

import numpy as np
import pytest

from nlmeans import GroupMeans, ParameterError, denoise, group_operation
from nlmeans.operation.groups import CAUTION, cosines


def literal(x, pilot, op):
    """`GroupMeans` of an array (C, H, W), one group after the other."""
    basis = cosines(len(x))
    x = np.tensordot(basis, np.asarray(x, float), 1)
    seen = x if pilot is None else np.tensordot(basis, np.asarray(pilot, float), 1)
    p, reach = op.patch_size, op.search_size // 2
    sums, counts = np.zeros_like(x), np.zeros_like(x)
    ends = [n - p for n in x.shape[1:]]
    grid = [sorted({*range(0, end, op.step), end}) for end in ends]

    def patch(image, y, x):
        return image[..., y : y + p, x : x + p]

    for at in [(y, x) for y in grid[0] for x in grid[1]]:
        near = [
            range(max(0, a - reach), min(e, a + reach) + 1) for a, e in zip(at, ends, strict=True)
        ]
        candidates = [(y, x) for y in near[0] for x in near[1]]
        far = [((patch(seen, *c) - patch(seen, *at)) ** 2).sum() for c in candidates]
        group = [candidates[i] for i in np.argsort(far, kind="stable")[: op.group_size]]
        for planes, strength in ([0], 1), (list(range(1, len(x))), op.chroma_strength):
            if not planes:
                continue
            y, pixels = (
                np.stack([patch(image[planes], *c).ravel() for c in group]) for image in (x, seen)
            )
            noise = op.sigma * strength
            if pilot is None:
                spread = 2 * ((y - y.mean(axis=0)) ** 2).sum() / max(len(y) - 1, 1)
                noise = min(noise, np.sqrt(spread / y.shape[1])) * np.sqrt(CAUTION)
            average = group_operation(pixels, noise)
            result = average(y, guide=pixels, channel_axis=-1)
            theta = np.stack([average.affinity(pixels, i, channel_axis=-1) for i in range(len(y))])
            if pilot is None:
                result = ((1 + CAUTION) * result - y) / CAUTION
                theta = ((1 + CAUTION) * theta - np.eye(len(y))) / CAUTION
            np.testing.assert_allclose(theta.sum(axis=1), 1, atol=1e-6)
            counted = 1 / (theta**2).sum(axis=1)
            for j, (a, b) in enumerate(group):
                here = (planes, slice(a, a + p), slice(b, b + p))
                sums[here] += counted[j] * result[j].reshape(-1, p, p)
                counts[here] += counted[j]
    return np.tensordot(basis.T, sums / counts, 1)


def noisy(rng, *shape):
    waves = np.add.outer(np.sin(np.arange(shape[-2]) / 3), np.cos(np.arange(shape[-1]) / 4))
    return 100 + 30 * waves + rng.normal(0, 10, shape)


def test_the_operation_of_a_group_is_ridge_regression(rng):
    """The published weights, and that none with the same sums do better."""
    k, n, sigma = 12, 9, 5.0
    clean = rng.normal(0, 10, (k, n)) + 100
    op = group_operation(clean, sigma)
    theta = np.stack([op.affinity(clean, i, channel_axis=-1) for i in range(k)], axis=1)
    less = (clean - clean.mean(axis=0)).T
    gram = less.T @ less
    ridge = gram @ np.linalg.inv(gram + n * sigma**2 * np.eye(k))
    np.testing.assert_allclose(theta, 1 / k + ridge, atol=1e-10)

    def risk(theta):
        return ((clean.T @ theta - clean.T) ** 2).sum() + n * sigma**2 * (theta**2).sum()

    for _ in range(20):
        other = rng.normal(0, 1e-3, (k, k))
        assert risk(theta + other - other.mean(axis=0)) > risk(theta)
    noisy = clean + rng.normal(0, sigma, clean.shape)
    np.testing.assert_allclose(op(noisy, guide=clean, channel_axis=-1), theta.T @ noisy)


@pytest.mark.parametrize(
    ("dtype", "offset", "spread"),
    [("uint16", 30000, 100), ("float32", 1000, 1), ("float64", 30000, 0.1)],
)
def test_the_operation_of_a_group_far_from_zero(rng, dtype, offset, spread):
    patches = rng.normal(offset, spread, (30, 49)).astype(dtype)
    found = group_operation(patches, spread / 2)(patches, channel_axis=-1)
    y = patches.astype(float)
    less = (y - y.mean(axis=0)).T
    gram = less.T @ less
    weights = gram @ np.linalg.inv(gram + 49 * (spread / 2) ** 2 * np.eye(30)) + 1 / 30
    np.testing.assert_allclose(found, weights @ y, atol=1e-3 * spread)
    alike = np.repeat(y[:3], 4, axis=0)
    same = group_operation(alike, 1e-10)(alike, channel_axis=-1)
    np.testing.assert_allclose(same, alike, atol=1e-3 * spread)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("shape", "op"),
    [
        ((1, 31, 24), GroupMeans(10, 7, 16, 15, 5)),
        ((1, 24, 30), GroupMeans(10, 5, 40, 9, 4)),  # 40 of a multiple of 16
        ((1, 9, 40), GroupMeans(10, 7, 64, 31, 7)),  # groups smaller than asked for
        ((3, 20, 22), GroupMeans(10, 3, 20, 11, 3, chroma_strength=1.5)),
        ((2, 18, 17), GroupMeans(10, 5, 8, 7, 5)),
    ],
)
def test_equals_the_formulas(rng, shape, op, dtype):
    x = noisy(rng, *shape).astype(dtype)
    tolerance = 2e-3 if dtype == "float32" else 1e-9
    first = op(x, channel_axis=0)
    assert first.dtype == dtype
    np.testing.assert_allclose(first, literal(x, None, op), atol=tolerance)
    second = op(x, pilot=first, channel_axis=0)
    np.testing.assert_allclose(second, literal(x, first, op), atol=tolerance)


def test_the_same_bits_for_any_number_of_threads(rng):
    x = noisy(rng, 130, 90).astype(np.float32)
    op = GroupMeans(10, group_size=16)
    one = op(x, threads=1)
    np.testing.assert_array_equal(op(x, threads=2), one)
    np.testing.assert_array_equal(op(x[:, ::-1][:, ::-1], threads=3), one)


def test_a_constant_and_units_change_nothing(rng):
    x = noisy(rng, 40, 36)
    op = GroupMeans(10, group_size=16)
    y = op(x)
    np.testing.assert_allclose(op(x + 1e6), y + 1e6, atol=1e-6)
    scaled = GroupMeans(10e-6, group_size=16)(x * 1e-6)
    np.testing.assert_allclose(scaled * 1e6, y, atol=1e-6)
    np.testing.assert_array_equal(op(np.full((20, 21), 7.0)), np.full((20, 21), 7.0))


def test_channels_can_change_places(rng):
    x = noisy(rng, 3, 40, 36)
    y = GroupMeans(10)(x, pilot=x, channel_axis=0)
    swapped = GroupMeans(10)(x[[2, 0, 1]], pilot=x[[2, 0, 1]], channel_axis=0)
    np.testing.assert_allclose(swapped, y[[2, 0, 1]], atol=1e-8)


@pytest.mark.parametrize("level", [0.001, 0.1, 1])
def test_areas_with_less_than_the_noise_stay_calm(rng, level):
    """Clipping takes noise away: weights must not blow up what is left."""
    x = rng.normal(100, level * 10, (40, 40))
    assert GroupMeans(10, group_size=16)(x).std() <= 0.75 * x.std()


@pytest.mark.parametrize("shape", [(1, 1), (3, 40), (7, 7), (8, 6)])
def test_small_images(rng, shape):
    x = noisy(rng, *shape)
    assert GroupMeans(10)(x).shape == shape
    assert np.isfinite(GroupMeans(10)(x, pilot=x)).all()


def test_faint_noise_takes_float64(rng):
    x = noisy(rng, 30, 30).astype(np.float32)
    op = GroupMeans(0.01, group_size=16)
    np.testing.assert_allclose(op(x)[None], literal(x[None], None, op), atol=1e-4)


@pytest.mark.parametrize("largest", [1e-40, 1e-35, 1, 1e35, 1e38])
@pytest.mark.parametrize("sigma", [1e-150, 1e-40, 1, 1e19, 1e31, 1e150])
def test_extreme_values_and_noise_stay_in_the_range(largest, sigma):
    x = np.zeros((32, 32), np.float32)
    x[3] = largest
    for pilot in (None, x):
        for chroma in (1e-6, 1e6):
            result = GroupMeans(sigma, chroma_strength=chroma)(x, pilot=pilot)
            assert np.isfinite(result).all()
            assert np.abs(result).max() <= 3 * x.max()  # weights can be negative


def test_units_far_from_one_change_nothing(rng):
    x = noisy(rng, 30, 30).astype(np.float32)
    plain = GroupMeans(10)(x)
    for exponent in (-120, 115):
        scaled = GroupMeans(10 * 2.0**exponent)(np.ldexp(x, exponent))
        np.testing.assert_allclose(np.ldexp(scaled, -exponent), plain, rtol=1e-3)


def test_any_strength_of_ridge(rng):
    x = noisy(rng, 32, 32).astype(np.uint8)
    result = denoise(x, sigma=10, strength=1e30, method="ridge")
    assert result.std() < x.std()


def test_what_is_refused(rng):
    x = noisy(rng, 30, 30)
    for options in ({"sigma": 0}, {"step": 8}, {"group_size": 1}, {"patch_size": 4}):
        with pytest.raises(ParameterError, match=next(iter(options))):
            GroupMeans(**{"sigma": 1, **options})
    with pytest.raises(ValueError, match="2 axes"):
        GroupMeans(1)(x[0])
    with pytest.raises(ValueError, match="pilot has shape"):
        GroupMeans(1)(x, pilot=x[1:])
    with pytest.raises(ValueError, match="k rows of n pixels"):
        group_operation(x[:1], 1)
    with pytest.raises(ParameterError, match="sigma"):
        group_operation(x, 0)


def test_printed():
    assert "64 patches of side 7" in str(GroupMeans(3))
    assert "2 times" in str(GroupMeans(3, chroma_strength=2))
