"""Neighbours of unstructured positions: the kernel against the reference, and who they are."""

from dataclasses import replace

import numpy as np
import pytest

from nlmeans import (
    Linear,
    Neighbours,
    Operation,
    concatenation,
    dot_product,
    embedded_gaussian,
    gaussian,
)
from nlmeans.operation.pairwise import Pairwise
from nlmeans.operation.reference import reference

TOLERANCE = {np.float32: 1e-5, np.float64: 1e-12}
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
COUNT, CHANNELS = 70, 5


def functions(rng):
    """Every score, weight, C and rule for the centre."""

    def embed(numbers):
        return Linear(rng.normal(size=(numbers, CHANNELS)))

    bias = embed(1)
    return {
        "gaussian": gaussian(0.7, 0.3),
        "gaussian, centre max": gaussian(0.5, centre="max"),
        "gaussian, centre zero": gaussian(0.01, centre="zero"),
        "softmax": embedded_gaussian(embed(3), embed(3), scale=0.3, key_bias=bias),
        "softmax of many": embedded_gaussian(embed(20), embed(20)),
        "softmax over queries": embedded_gaussian(
            embed(3), embed(3), key_bias=bias, softmax="queries"
        ),
        "dot": dot_product(embed(3), embed(3), scale=-0.5, key_bias=bias),
        "concatenation": concatenation(rng.normal(size=6), embed(3), embed(3)),
        "relu over queries": Pairwise(
            "own", "sum", "relu", "query sum", embed(1), embed(1), key_bias=bias
        ),
        "exp over count": Pairwise("own", "dot", "exp", "count", embed(2), embed(2), 0.1),
        "relu over sum": Pairwise("own", "dot", "relu", "sum", embed(2), embed(2)),
        "unlike embeddings": Pairwise("own", "distance", "exp", "sum", embed(2), embed(2), 0.4),
    }


NAMES = list(functions(np.random.default_rng(0)))


def cloud(rng, dtype):
    return rng.normal(size=(COUNT, 3)), rng.normal(2, 1, size=(COUNT, CHANNELS)).astype(dtype)


def error(op, x, guide=None):
    y = op(x, guide=guide, channel_axis=-1)
    expected = reference(op.f, op.g, op.over, x, guide)
    assert op.plan(x.shape, channel_axis=-1).kernel == "neighbours"
    return np.abs(y - expected).max() / np.abs(expected).max()


@DTYPES
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("which", [{"k": 1}, {"k": 7}, {"radius": 0.8}], ids=str)
def test_every_function_against_the_reference(rng, dtype, name, which):
    points, x = cloud(rng, dtype)
    f, over = functions(rng)[name], Neighbours(points, **which)
    assert error(Operation(f, over=over), x) < TOLERANCE[dtype]
    assert error(Operation(f, Linear(rng.normal(size=(18, CHANNELS))), over), x) < TOLERANCE[dtype]


@DTYPES
def test_guide_decides_and_x_is_averaged(rng, dtype):
    points, guide = cloud(rng, dtype)
    x = rng.normal(size=COUNT).astype(dtype)
    op = Operation(gaussian(0.6), over=Neighbours(points, k=9))
    expected = reference(op.f, op.g, op.over, x[:, None], guide)[:, 0]
    np.testing.assert_allclose(op(x, guide=guide), expected, rtol=0, atol=TOLERANCE[dtype] * 4)


@pytest.mark.parametrize("name", NAMES)
def test_same_bits_for_any_number_of_threads(rng, name):
    points = rng.normal(size=(2000, 2))  # several tiles
    x = rng.normal(size=(2000, CHANNELS)).astype(np.float32)
    op = Operation(functions(rng)[name], over=Neighbours(points, k=20))
    results = [op(x, channel_axis=-1, threads=n) for n in (1, 2, 3)]
    assert all(np.array_equal(results[0], other) for other in results[1:])


@pytest.mark.parametrize("size", [2.0**-700, 2.0**-30, 2.0**660, 2.0**1020])
@pytest.mark.parametrize("which", [{"k": 7}, {"radius": 0.8}], ids=str)
def test_positions_of_any_size(rng, size, which):
    points = rng.uniform(-1, 1, (COUNT, 3))
    scaled = {name: n if name == "k" else n * size for name, n in which.items()}
    expected, found = Neighbours(points, **which).lists, Neighbours(points * size, **scaled).lists
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_array_equal(one, other)
    everybody = Neighbours(points * min(size, 1), radius=1e308).lists
    assert len(everybody.numbers) == COUNT**2


def test_order_of_the_points_does_not_matter(rng):
    points, x = cloud(rng, np.float64)
    f = functions(rng)["softmax"]
    shuffled = rng.permutation(COUNT)
    y = Operation(f, over=Neighbours(points, radius=1.0))(x, channel_axis=-1)
    z = Operation(f, over=Neighbours(points[shuffled], radius=1.0))(x[shuffled], channel_axis=-1)
    np.testing.assert_allclose(z, y[shuffled], rtol=1e-12)


def test_equal_values_stay_exactly(rng):
    points, guide = cloud(rng, np.float32)
    x = np.full(COUNT, 0.1, np.float32)
    op = Operation(gaussian(0.5), over=Neighbours(points, k=12))
    assert np.array_equal(op(x, guide=guide), x)


@DTYPES
@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_large_and_small_numbers(rng, dtype, size):
    points, x = cloud(rng, dtype)
    plain = Operation(gaussian(0.5, 0.2), over=Neighbours(points, k=9))(x, channel_axis=-1)
    op = Operation(gaussian(0.5 * size, 0.2 * size), over=Neighbours(points, k=9))
    scaled = op(x * dtype(size), channel_axis=-1)
    np.testing.assert_allclose(scaled / dtype(size), plain, rtol=1e-4)


def test_weights_that_float32_does_not_hold(rng):
    x = (rng.normal(size=(COUNT, CHANNELS)) * 1e20).astype(np.float32)
    f = replace(dot_product(), weight="relu", normaliser="sum")
    op = Operation(f, over=Neighbours(rng.random((COUNT, 2)), k=6))
    expected = reference(op.f, op.g, op.over, x)
    error = np.abs(op(x, channel_axis=-1) - expected).max()
    assert error < 1e-5 * np.abs(expected).max()


def test_large_logits_take_no_digits_from_float32(rng):
    theta, phi = rng.normal(size=(2, 8, 8)) * 0.3
    x = rng.normal(200, 1, size=(COUNT, 8)).astype(np.float32)
    over = Neighbours(rng.random((COUNT, 3)), k=9)
    for softmax in ("keys", "queries"):
        op = Operation(embedded_gaussian(theta, phi, softmax=softmax), over=over)
        expected = op(x.astype(np.float64), channel_axis=-1)
        found = op(x, channel_axis=-1)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * np.abs(expected).max())


def test_far_apart_features_keep_their_value_and_extreme_logits_choose_one(rng):
    points = rng.normal(size=(COUNT, 3))
    x = rng.permutation(np.arange(COUNT, dtype=np.float32))
    over = Neighbours(points, k=9)
    assert np.array_equal(Operation(gaussian(1e-140), over=over)(x), x)
    chosen = Operation(embedded_gaussian(scale=1e30), over=over)(x + 1)
    highest = [max(x[j] for (j,) in over.positions((i,), (COUNT,))) for i in range(COUNT)]
    np.testing.assert_allclose(chosen, np.array(highest) + 1)


def test_everybody_is_its_own_neighbour_even_among_equal_points(rng):
    points = np.repeat(rng.normal(size=(5, 3)), 20, axis=0)
    for which in ({"k": 3}, {"radius": 0.0}):
        over = Neighbours(points, **which)
        for i in range(len(points)):
            assert (i,) in list(over.positions((i,), (100,)))
    x = np.arange(100.0)
    alone = Operation(gaussian(1.0), over=Neighbours(rng.normal(size=(100, 3)), radius=0.0))
    assert np.array_equal(alone(x), x)


@pytest.mark.parametrize("count", [100, 5000])  # within what is looked for together, and beyond
def test_neighbours_are_the_nearest(rng, count):
    points = rng.normal(size=(count, 2))
    i = 17
    distances = np.linalg.norm(points - points[i], axis=1)
    nearest = [j for (j,) in Neighbours(points, k=6).positions((i,), (count,))]
    assert nearest == sorted(np.argsort(distances)[:6].tolist())
    within = [j for (j,) in Neighbours(points, radius=0.3).positions((i,), (count,))]
    assert within == np.flatnonzero(distances <= 0.3).tolist()
    assert Neighbours(points, k=count).pairs((count,)) == count**2


@pytest.mark.parametrize(
    ("positions", "which", "message"),
    [
        (np.zeros((9, 2)), {"k": 10}, "k is 10; .* to 9, the number of positions"),
        (np.zeros((9, 2)), {"k": 0}, "k is 0"),
        (np.zeros((9, 2)), {}, "give one of the two"),
        (np.zeros((9, 2)), {"k": 2, "radius": 1.0}, "give one of the two"),
        (np.zeros((9, 2)), {"radius": -1.0}, "radius is -1"),
        (np.zeros(9), {"k": 2}, r"shape \(9,\)"),
        (np.array([[0.0, np.nan], [1, 2]]), {"k": 1}, "1 positions hold NaN .* row 0"),
    ],
)
def test_bad_input_in_one_line(positions, which, message):
    with pytest.raises(ValueError, match=message) as caught:
        Neighbours(positions, **which)
    assert "\n" not in str(caught.value)


def test_an_array_of_another_length_is_refused(rng):
    op = Operation(gaussian(1.0), over=Neighbours(np.zeros((9, 2)), k=2))
    with pytest.raises(ValueError, match="the support has 9 points"):
        op(np.zeros(8))


def test_progress_and_cancelling(rng):
    points = rng.normal(size=(20000, 2))
    x = rng.normal(size=20000)
    op = Operation(embedded_gaussian(softmax="queries"), over=Neighbours(points, k=40))
    seen = []
    op(x, progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0

    def stop(fraction):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        op(x, progress=stop)
    op(x)


def test_plan_says_what_runs(rng):
    op = Operation(gaussian(1.0), over=Neighbours(rng.normal(size=(1000, 3)), k=10))
    plan = op.plan((1000,), guide_channels=25)
    assert (plan.kernel, plan.pairs, plan.tiles) == ("neighbours", 10000, 4)
    assert 1000 * 64 * 4 < plan.memory < 2**21
    assert "neighbours" in str(plan)
