"""The reference is the truth for all other tests, so it is checked against sums written out."""

import math
import warnings

import numpy as np
import pytest
from conftest import by_reference

import nlmeans
from nlmeans import (
    PAIRWISE,
    Everywhere,
    Identity,
    Linear,
    Operation,
    Pairwise,
    Patches,
    Window,
    concatenation,
    dot_product,
    embedded_gaussian,
    gaussian,
    nl_means,
)

GRIDS = [(7,), (4, 5), (3, 2, 4)]


def softmax_rows(logits):
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("grid", GRIDS)
def test_embedded_gaussian_everywhere_is_softmax_attention(rng, grid):
    theta, phi, g = rng.normal(size=(3, 2, 3))
    bias = rng.normal(size=2)
    x = rng.normal(size=(*grid, 3))
    y = Operation(embedded_gaussian(theta, phi, scale=0.7), Linear(g, bias), Everywhere())(
        x, channel_axis=-1
    )
    flat = x.reshape(-1, 3)
    expected = softmax_rows(0.7 * (flat @ theta.T) @ (flat @ phi.T).T) @ (flat @ g.T + bias)
    np.testing.assert_allclose(y.reshape(-1, 2), expected, atol=1e-12)


@pytest.mark.parametrize("grid", GRIDS)
def test_dot_product_everywhere_divides_by_the_number_of_positions(rng, grid):
    theta, phi = rng.normal(size=(2, 2, 3))
    x = rng.normal(size=(*grid, 3))
    y = Operation(dot_product(theta, phi))(x, channel_axis=-1)
    flat = x.reshape(-1, 3)
    expected = (flat @ theta.T) @ (flat @ phi.T).T @ flat / len(flat)
    np.testing.assert_allclose(y.reshape(-1, 3), expected, atol=1e-12)


@pytest.mark.parametrize("grid", GRIDS)
def test_concatenation_everywhere_is_relu_of_the_joint_projection(rng, grid):
    theta, phi = rng.normal(size=(2, 2, 3))
    w = rng.normal(size=4)
    x = rng.normal(size=(*grid, 3))
    y = Operation(concatenation(w, theta, phi))(x, channel_axis=-1)
    flat = x.reshape(-1, 3)
    expected = np.zeros_like(flat)
    for i, xi in enumerate(flat):
        for xj in flat:
            joint = np.concatenate([theta @ xi, phi @ xj])
            expected[i] += max(w @ joint, 0) * xj / len(flat)
    np.testing.assert_allclose(y.reshape(-1, 3), expected, atol=1e-12)


def test_gaussian_in_a_window_by_hand():
    # patch 3, search 3 on a 1-D signal: mirrored patches, candidates inside only
    x = np.array([1.0, 4.0, 2.0])
    patches = np.array([[4, 1, 4], [1, 4, 2], [4, 2, 4]], dtype=float)
    h, sigma = 2.0, 0.5

    def weight(i, j):
        msd = ((patches[i] - patches[j]) ** 2).mean()
        return math.exp(-max(msd - 2 * sigma**2, 0) / h**2)

    w01, w12 = weight(0, 1), weight(1, 2)
    expected = [
        (x[0] + w01 * x[1]) / (1 + w01),
        (w01 * x[0] + x[1] + w12 * x[2]) / (w01 + 1 + w12),
        (w12 * x[1] + x[2]) / (w12 + 1),
    ]
    np.testing.assert_allclose(nl_means(sigma, h, 3, 3)(x), expected, rtol=1e-14)


def test_centre_rules_by_hand():
    x = np.array([0.0, 3.0, 1.0])
    w = np.exp(-((x[:, None] - x) ** 2) / 4)  # patch 1, h 2
    own = {"one": 1.0, "zero": 0.0, "max": max(w[1, 0], w[1, 2])}
    for rule, c in own.items():
        y = nl_means(0, 2, 1, 3, centre=rule)(x)
        expected = (w[1, 0] * x[0] + c * x[1] + w[1, 2] * x[2]) / (w[1, 0] + c + w[1, 2])
        assert y[1] == pytest.approx(expected, rel=1e-14)


def test_mirrored_candidates_by_hand():
    x = np.array([0.0, 3.0, 1.0])
    w = math.exp(-(3.0**2) / 4)
    y = nl_means(0, 2, 1, 3, border="mirror")(x)  # candidates of x[0]: 3, 0, 3
    assert y[0] == pytest.approx(2 * w * 3 / (2 * w + 1), rel=1e-14)


def test_isolated_position_keeps_weights_relative_to_the_best():
    # every other weight underflows even in float64; their quotient is still exact
    x = np.array([0.0, 1000.0, 2000.5])
    assert nl_means(0, 1, 1, 3, centre="zero")(x)[1] == 0.0
    assert nl_means(0, 1, 1, 3, centre="max")(x)[1] == 500.0


@pytest.mark.parametrize("centre", ["max", "zero"])
def test_a_position_without_candidates_keeps_its_value(centre):
    assert nl_means(1, 1, 3, 1, centre=centre)(np.array([5.0, 9.0])).tolist() == [5.0, 9.0]


@pytest.mark.parametrize("size", [(3,), 5, (3, 5), 99])
@pytest.mark.parametrize("border", ["inside", "mirror"])
def test_pairs_counts_the_positions_of_every_support(size, border):
    grid = (4,) if size == (3,) else (4, 6)
    for over in (Window(size, border), Everywhere()):
        counted = sum(len(list(over.positions(i, grid))) for i in np.ndindex(grid))
        assert over.pairs(grid) == counted


@pytest.mark.parametrize("centre", ["one", "max", "zero"])
def test_classical_is_an_embedded_gaussian(rng, centre):
    """theta = [2Q/h^2, 1], phi = [Q, -|Q|^2/h^2] gives the classical filter without its clamp."""
    x = rng.normal(size=(7, 6, 2))
    h = 0.8
    patches = Patches(3)
    q = patches(x)
    features = np.concatenate([q, (q**2).sum(-1, keepdims=True), np.ones((7, 6, 1))], axis=-1)
    d = q.shape[-1]
    theta, phi = np.zeros((2, d + 1, d + 2))
    theta[:d, :d] = 2 / h**2 * np.eye(d)
    theta[d, d + 1] = 1
    phi[:d, :d] = np.eye(d)
    phi[d, d] = -1 / h**2
    learned = embedded_gaussian(theta, phi)
    embedded = Operation(
        Pairwise(learned.name, learned.score, learned.weight, learned.normaliser,
                 learned.query, learned.key, centre="as computed" if centre == "one" else centre),
        Identity(), Window(5),
    )  # fmt: skip
    classical = Operation(gaussian(h, 0, 3, centre=centre), Identity(), Window(5))
    a = by_reference(embedded, x, guide=features, channel_axis=-1)
    b = by_reference(classical, x, channel_axis=-1)
    np.testing.assert_allclose(a, b, atol=1e-10)


def test_every_named_function_runs_over_every_support_and_dimension(rng):
    parameters = {"gaussian": {"h": 1.0, "patch_size": 3}, "concatenation": {"w": np.ones(4)}}
    for name, make in PAIRWISE.items():
        for over in (Everywhere(), Window(3), Window(3, "mirror")):
            for grid in ((5,), (4, 3), (2, 3, 2)):
                op = Operation(make(**parameters.get(name, {})), Identity(), over)
                y = op(rng.normal(size=(*grid, 2)), channel_axis=-1)
                assert y.shape == (*grid, 2)
                assert np.isfinite(y).all()


def test_a_new_function_is_one_definition_of_traits(rng):
    relu_dot = Pairwise("relu dot", "dot", "relu", "count")
    x = rng.normal(size=(6, 2))
    y = Operation(relu_dot)(x, channel_axis=-1)
    np.testing.assert_allclose(y, np.maximum(x @ x.T, 0) @ x / 6, atol=1e-14)


def test_relu_weights_that_sum_to_zero_give_zero():
    f = Pairwise("relu dot", "dot", "relu", "sum")
    y = Operation(f)(np.array([[1.0, 0], [-1, 0], [0, 0]]), channel_axis=-1)
    np.testing.assert_array_equal(y, [[1, 0], [-1, 0], [0, 0]])


def test_a_large_array_is_announced_with_a_time(monkeypatch):
    monkeypatch.setattr(nlmeans.reference, "ANNOUNCE_SECONDS", 1e-6)
    with pytest.warns(nlmeans.ReferenceWarning, match=r"on 81 pairs, about \d+ s"):
        Operation(dot_product())(np.zeros((9, 1)), channel_axis=-1)


def test_a_small_array_is_not_announced():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Operation(dot_product())(np.zeros((5, 1)), channel_axis=-1)


def test_progress_ends_at_one():
    seen = []
    Operation(dot_product())(np.zeros((5, 1)), channel_axis=-1, progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
