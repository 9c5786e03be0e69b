"""The reference is the truth for all other tests, so it is checked against sums written out."""

import math
import warnings

import numpy as np
import pytest
from conftest import by_reference

import nlmeans
from nlmeans import (
    PAIRWISE,
    Block,
    Chain,
    Everywhere,
    Identity,
    Linear,
    Neighbours,
    Operation,
    Pairwise,
    Patches,
    Pool,
    Regions,
    Window,
    concatenation,
    dot_product,
    embedded_gaussian,
    gaussian,
    nl_means,
)
from nlmeans.operation.reference import reference

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
        Pairwise(
            learned.name,
            learned.score,
            learned.weight,
            learned.normaliser,
            learned.query,
            learned.key,
            centre="as computed" if centre == "one" else centre,
        ),
        Identity(),
        Window(5),
    )
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


def flat_softmax(rng, **options):
    """Features (6, 5, 2) and what softmax attention makes of them, both flattened."""
    x = rng.normal(size=(6, 5, 2))
    op = Operation(embedded_gaussian(**options))
    return x.reshape(-1, 2), op(x, channel_axis=-1).reshape(-1, 2)


def test_the_key_bias_shifts_the_logits_of_a_key(rng):
    weight = rng.normal(size=(1, 2))
    x, y = flat_softmax(rng, key_bias=weight)
    np.testing.assert_allclose(y, softmax_rows(x @ x.T + (x @ weight.T).T) @ x, atol=1e-12)
    x = rng.normal(size=(7, 2))
    y = Operation(dot_product(key_bias=weight))(x, channel_axis=-1)
    np.testing.assert_allclose(y, (x @ x.T + (x @ weight.T).T) @ x / 7, atol=1e-12)


def test_softmax_over_queries_gives_columns_that_sum_to_one(rng):
    x, y = flat_softmax(rng, softmax="queries")
    np.testing.assert_allclose(y, softmax_rows((x @ x.T).T).T @ x, atol=1e-12)


def test_softmax_over_queries_in_a_window(rng):
    x = rng.normal(size=(6, 1))
    near = abs(np.subtract.outer(np.arange(6), np.arange(6))) <= 1
    f = np.exp(x @ x.T) * near
    y = Operation(embedded_gaussian(softmax="queries"), over=Window(3))(x, channel_axis=-1)
    np.testing.assert_allclose(y, f / f.sum(axis=0) @ x, atol=1e-12)


@pytest.mark.parametrize("kind", ["max", "mean", "stride"])
@pytest.mark.parametrize("order", ["before", "after"])
def test_subsampled_keys_by_hand(rng, kind, order):
    pick = {"max": np.max, "mean": np.mean, "stride": lambda b, axis: b[:, 0, :, 0]}[kind]
    phi, g = rng.normal(size=(2, 2, 2))
    x = rng.normal(size=(5, 7, 2))

    def pool(a):
        return pick(a[:4, :6].reshape(2, 2, 2, 3, 2), axis=(1, 3)).reshape(-1, 2)

    first = order == "before"
    keys = pool(x) @ phi.T if first else pool(x @ phi.T)
    values = pool(x) @ g.T if first else pool(x @ g.T)
    over = Everywhere(Pool((2, 3), kind, order))
    y = Operation(embedded_gaussian(phi=phi), Linear(g), over)(x, channel_axis=-1)
    flat = x.reshape(-1, 2)
    np.testing.assert_allclose(y.reshape(-1, 2), softmax_rows(flat @ keys.T) @ values, atol=1e-12)
    y = Operation(dot_product(phi=phi), Linear(g), over)(x, channel_axis=-1)
    np.testing.assert_allclose(y.reshape(-1, 2), flat @ keys.T @ values / 4, atol=1e-12)


@pytest.mark.parametrize("name", ["phi is another matrix", "phi is theta"])
def test_a_cut_that_could_leave_no_weight_is_refused(name):
    """Only the rules for the centre say what a position is that is like no other."""
    matrices = (Identity(), Linear([[2.0]]) if "another" in name else Identity())
    with pytest.raises(nlmeans.ParameterError, match="use centre 'one', 'max' or 'zero'") as caught:
        Pairwise("any", "distance", "exp", "sum", *matrices, cut=0.1)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("kind", ["max", "mean", "stride"])
@pytest.mark.parametrize("order", ["before", "after"])
def test_keys_pooled_do_not_depend_on_how_phi_is_spelled(rng, kind, order):
    """A concatenation's w is no part of phi; any other matrix is, also one upon another."""
    x = rng.normal(size=(5, 7, 1))
    patch, middle = Patches(3, "none"), np.eye(9)
    minus = Linear([[-1]], of=Linear([[1]]))
    for one, other in (
        (concatenation([1, -1]), concatenation([1, -1], [[1]], [[1]])),
        (
            concatenation([1.0, -1.0] * 9, patch, patch),
            concatenation([1.0, -1.0] * 9, Linear(middle, of=patch), Linear(middle, of=patch)),
        ),
        (dot_product(phi=minus), dot_product(phi=[[-1]])),
        (embedded_gaussian(phi=minus), embedded_gaussian(phi=[[-1]])),
    ):
        over = Everywhere(Pool((2, 3), kind, order))
        y, again = (Operation(f, over=over)(x, channel_axis=-1) for f in (one, other))
        np.testing.assert_allclose(y, again, atol=1e-12)


def test_w_of_a_concatenation_meets_the_pooled_keys(rng):
    x = rng.normal(size=(6, 1))
    over = Everywhere(Pool(2, "max", "after"))
    y = Operation(concatenation([1, -1]), over=over)(x, channel_axis=-1)
    keys = x.reshape(3, 2).max(axis=1)
    expected = np.maximum(x - keys, 0) @ keys / 3
    np.testing.assert_allclose(y[:, 0], expected, atol=1e-12)


def test_a_flat_pool_takes_the_flattened_index(rng):
    x = rng.normal(size=(3, 5, 1))
    y = Operation(embedded_gaussian(), over=Everywhere(Pool(2, flat=True)))(x, channel_axis=-1)
    keys = x.reshape(-1)[:14].reshape(7, 2).max(axis=1)[:, None]
    flat = x.reshape(-1, 1)
    np.testing.assert_allclose(y.reshape(-1, 1), softmax_rows(flat @ keys.T) @ keys, atol=1e-12)


def test_groups_of_frames_and_tiles_are_filtered_apart(rng):
    x = rng.normal(size=(5, 4, 3, 2))
    f = embedded_gaussian(scale=0.5)
    y = Operation(f, over=Regions((2, 0, 2)))(x, channel_axis=-1)
    for t in (slice(0, 2), slice(2, 4), slice(4, 5)):
        for column in (slice(0, 2), slice(2, 3)):
            alone = Operation(f)(x[t, :, column], channel_axis=-1)
            np.testing.assert_allclose(y[t, :, column], alone, atol=1e-12)


def test_regions_pool_their_own_keys(rng):
    x = rng.normal(size=(6, 4, 2))
    over = Regions((3, 0), keys=Pool(2))
    y = Operation(embedded_gaussian(), over=over)(x, channel_axis=-1)
    alone = Operation(embedded_gaussian(), over=Everywhere(Pool(2)))(x[3:], channel_axis=-1)
    np.testing.assert_allclose(y[3:], alone, atol=1e-12)


def test_regions_of_equal_labels(rng):
    x = rng.normal(size=(4, 5, 2))
    labels = rng.integers(-1, 2, (4, 5))
    y = Operation(embedded_gaussian(), over=Regions(labels=labels))(x, channel_axis=-1)
    for label in (-1, 0, 1):
        own = x[labels == label]
        np.testing.assert_allclose(y[labels == label], softmax_rows(own @ own.T) @ own, atol=1e-12)


def test_patches_of_a_region_look_at_the_whole_array(rng):
    x = rng.normal(size=(8, 6))
    y = Operation(gaussian(1.0, 0, 3), over=Regions((4, 6)))(x)
    patches = Patches(3)(x[..., None])
    top = patches[:4].reshape(-1, 9)
    w = np.exp(-((top[:, None] - top) ** 2).sum(-1))
    expected = (w @ x[:4].reshape(-1)) / w.sum(axis=1)
    np.testing.assert_allclose(y[:4].reshape(-1), expected, atol=1e-12)


@pytest.mark.parametrize("which", [{"k": 4}, {"radius": 0.5}])
def test_neighbours_of_unstructured_positions(rng, which):
    points, x = rng.uniform(size=(12, 3)), rng.normal(size=(12, 2))
    over = Neighbours(points, **which)
    y = Operation(embedded_gaussian(), over=over)(x, channel_axis=-1)
    distances = np.linalg.norm(points[:, None] - points, axis=-1)
    pairs = 0
    for i in range(12):
        near = np.argsort(distances[i])[:4] if "k" in which else distances[i] <= 0.5
        expected = softmax_rows(x[i : i + 1] @ x[near].T) @ x[near]
        np.testing.assert_allclose(y[i : i + 1], expected, atol=1e-12)
        pairs += len(x[near])
    assert over.pairs((12,)) == pairs


def test_every_point_is_its_own_neighbour_even_among_equal_ones():
    over = Neighbours(np.zeros((9, 2)), k=2)
    for i in range(9):
        assert (i,) in list(over.positions((i,), (9,)))


def test_a_block_adds_the_projected_result_to_its_input(rng):
    theta, phi, g = rng.normal(size=(3, 2, 4))
    w_z, b_z = rng.normal(size=(4, 2)), rng.normal(size=4)
    x = rng.normal(size=(5, 3, 4))
    op = Operation(embedded_gaussian(theta, phi), Linear(g))
    y = op(x, channel_axis=-1)
    z = Block(op, Linear(w_z, b_z))(x, channel_axis=-1)
    np.testing.assert_allclose(z, y @ w_z.T + b_z + x, atol=1e-12)
    first = Block(op, Linear(w_z, b_z))(np.moveaxis(x, -1, 0), channel_axis=0)
    np.testing.assert_allclose(np.moveaxis(first, 0, -1), z, atol=1e-12)
    with pytest.raises(ValueError, match="gives 2 channels and x has 4"):
        Block(op)(x, channel_axis=-1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda op: Block(op, out=np.eye(2)), "out is of type ndarray"),
        (lambda op: Block(op.f), "operation is of type Pairwise"),
        (lambda op: Chain((Block(op), op)), "block 1 is of type Operation"),
    ],
)
def test_parts_of_another_kind_are_refused_in_one_line(make, message):
    with pytest.raises(TypeError, match=message) as caught:
        make(nl_means(1, 1))
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("over", [Window(3), Window(3, "mirror"), Everywhere(), Regions((3, 2))])
def test_an_out_that_only_takes_the_middle_of_a_patch_changes_nothing(rng, over):
    x = rng.normal(size=(6, 7))
    op = Operation(gaussian(1, 1), over=over)  # over a window as nl_means(1, 1, 1, 3)
    middle = Linear(np.eye(9)[4:5], of=Patches(3, "none"))
    np.testing.assert_allclose(Block(op, middle, residual=False)(x), op(x), atol=1e-12)


def test_no_mirrored_softmax_over_queries_beyond_the_border():
    f = nlmeans.embedded_gaussian(softmax="queries")
    out = nlmeans.Linear(np.ones((1, 9)), of=nlmeans.Patches(3))
    window = nlmeans.Operation(f, over=nlmeans.Window(3, "mirror"))
    with pytest.raises(ValueError, match='give the window border "inside"'):
        nlmeans.Block(window, out)(np.eye(5))
    nlmeans.Block(window)(np.eye(5))
    nlmeans.Block(nlmeans.Operation(f, over=nlmeans.Window(3)), out)(np.eye(5))


@pytest.mark.parametrize("over", [Window(3), Everywhere(), Regions(4)])
def test_beyond_the_border_out_sees_the_result_mirrored(rng, over):
    x = rng.normal(size=8)
    op = Operation(gaussian(1), over=over)
    w = rng.normal(size=(1, 3))
    y = np.pad(op(x), 1, mode="reflect")
    expected = np.convolve(y, w[0, ::-1], mode="valid")
    z = Block(op, Linear(w, of=Patches(3, "none")), residual=False)(x)
    np.testing.assert_allclose(z, expected, atol=1e-12)


def test_the_second_block_of_a_chain_sees_the_input_and_the_first_result(rng):
    x = rng.normal(size=(4, 3, 2))
    one = Block(Operation(embedded_gaussian()))
    two = Block(Operation(embedded_gaussian(), Linear(rng.normal(size=(2, 4)))), residual=False)
    expected = two(np.concatenate([x, one(x, channel_axis=-1)], axis=-1), channel_axis=-1)
    np.testing.assert_allclose(Chain((one, two))(x, channel_axis=-1), expected, atol=1e-12)


@pytest.mark.parametrize("batch_axis", [0, -1])
def test_a_batch_is_filtered_array_by_array(rng, batch_axis):
    x, guide = rng.normal(size=(2, 3, 4, 5, 2))
    op = Operation(embedded_gaussian())
    seen = []
    axis = 1 if batch_axis else 3
    whole = op(x, guide=guide, channel_axis=axis, batch_axis=batch_axis, progress=seen.append)
    for k in range(x.shape[batch_axis]):
        one = np.take(x, k, batch_axis), np.take(guide, k, batch_axis)
        alone = op(one[0], guide=one[1], channel_axis=axis if batch_axis else 2)
        np.testing.assert_array_equal(np.take(whole, k, batch_axis), alone)
    assert seen[-1] == 1.0
    assert seen == sorted(seen)
    with pytest.raises(ValueError, match="both 0"):
        op(x, channel_axis=0, batch_axis=0)


def test_a_large_array_is_announced_with_a_time(monkeypatch):
    monkeypatch.setattr("nlmeans.operation.reference.ANNOUNCE_SECONDS", 1e-6)
    op = Operation(dot_product())
    with pytest.warns(nlmeans.ReferenceWarning, match=r"on 81 pairs, about \d+ s"):
        reference(op.f, op.g, op.over, np.zeros((9, 1)))


def test_a_small_array_is_not_announced():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        by_reference(Operation(dot_product()), np.zeros((5, 1)), channel_axis=-1)


def test_progress_ends_at_one():
    seen = []
    op = Operation(dot_product())
    reference(op.f, op.g, op.over, np.zeros((5, 1)), progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
