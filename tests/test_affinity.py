"""The weights of one position are those of the reference, for every f, support and normaliser."""

import time

import numpy as np
import pytest

from nlmeans import (
    Everywhere,
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
from nlmeans.embed import mirror
from nlmeans.features import features
from nlmeans.reference import _sums_over_queries, _weight, scores_of, shares
from nlmeans.support import pool_of

GRID = (7, 6)
RNG = np.random.default_rng(11)
THETA, PHI = RNG.normal(size=(2, 3, 2))
PATCHED = Linear(RNG.normal(size=(2, 18)) / 9, of=Patches(3, "none"))
LOGIT = Linear(RNG.normal(size=(1, 2)))
POINTS = RNG.normal(size=(42, 3))
FUNCTIONS = {
    "gaussian": gaussian(1.3, 0.2, 3, centre="one"),
    "gaussian, centre max": gaussian(1.3, 0.2, (3, 1), patch_weighting="gaussian", centre="max"),
    "gaussian, centre zero": gaussian(1.3, centre="zero"),
    "embedded": embedded_gaussian(THETA, PHI, scale=0.7, key_bias=LOGIT),
    "embedded, patches": embedded_gaussian(PATCHED, PATCHED),
    "softmax over queries": embedded_gaussian(THETA, PHI, key_bias=LOGIT, softmax="queries"),
    "dot": dot_product(THETA, PHI, key_bias=LOGIT),
    "concatenation": concatenation(RNG.normal(size=6), THETA, PHI),
    "relu over queries": Pairwise("own", "dot", "relu", "query sum", Linear(THETA), Linear(PHI)),
    "learned distance": Pairwise(
        "own", "distance", "exp", "sum", PATCHED, Linear(PATCHED.weight + 0.1, of=PATCHED.of),
        scale=2.0, noise=0.3, key_bias=LOGIT,
    ),
}  # fmt: skip
SUPPORTS = {
    "everywhere": Everywhere(),
    "pooled": Everywhere(Pool(2, "mean")),
    "pooled after": Everywhere(Pool((3, 1), "max", "after")),
    "pooled flat": Everywhere(Pool(4, "stride", flat=True)),
    "tiles": Regions((3, 4)),
    "pooled tiles": Regions((0, 3), keys=Pool(2)),
    "labels": Regions(labels=RNG.integers(0, 3, GRID)),
    "inside": Window((3, 5)),
    "mirror": Window((5, 3), "mirror"),
    "wider than the array": Window(21, "mirror"),
    "nearest": Neighbours(POINTS, k=5),
    "within a radius": Neighbours(POINTS, radius=1.2),
}


def by_reference(op, x, i):
    """The weights that the double loop uses, on the grid that `affinity` promises."""
    grid = x.shape[:-1]
    for part, of in features(op.f, op.g, op.over, x, x):
        where = np.full(grid, -1)
        where[part] = np.arange(where[part].size).reshape(where[part].shape)
        if where[i] < 0:
            continue
        within = of.queries.shape[:-1]
        own = tuple(int(k) for k in np.unravel_index(where[i], within))
        scores = scores_of(op.f, of, own, op.over)
        if op.f.normaliser == "query sum":
            tops, totals = _sums_over_queries(op.f, of, op.over)
            weights = {j: _weight(op.f, s - tops[j]) for j, s in scores.items()}
            terms = {j: w / totals[j] if w else 0.0 for j, w in weights.items()}
        else:
            terms = shares(op.f, scores)
        shown = mirror(within, of.margin) if any(of.margin) else ()
        result = np.zeros(of.bias.shape if pool_of(op.over) else within)
        for j, w in terms.items():
            key = tuple(map(int, j))
            if any(of.margin):
                key = tuple(m[k + n] for m, k, n in zip(shown, key, of.margin, strict=True))
            result[key] += w
        if pool_of(op.over):
            return result
        whole = np.zeros(grid)
        whole[part] = result
        return whole
    raise AssertionError


@pytest.mark.parametrize("over", SUPPORTS)
@pytest.mark.parametrize("f", FUNCTIONS)
def test_equals_the_reference(f, over, rng):
    support, function = SUPPORTS[over], FUNCTIONS[f]
    if pool_of(support) and function.centre in ("max", "zero"):
        pytest.skip("no key is the position's own")
    points = isinstance(support, Neighbours)
    if "patches of" in str(function) and (points or over == "pooled flat"):
        pytest.skip("the patches are of images")
    x = rng.normal(size=(42, 2) if points else (*GRID, 2))
    op = Operation(function, over=support)
    for i in ((0,), (17,), (41,)) if points else ((0, 0), (3, 2), (6, 5), (1, 4)):
        found = op.affinity(x, i, channel_axis=-1)
        np.testing.assert_allclose(found, by_reference(op, x, i), rtol=1e-9, atol=1e-12)
        if op.f.normaliser == "sum":
            assert found.sum() == pytest.approx(1)


@pytest.mark.parametrize("border", ["inside", "mirror"])
@pytest.mark.parametrize("shape", [(40, 37), (3, 40), (60,), (9, 12, 11)])
def test_the_weights_average_to_what_the_operation_gives(border, shape, rng):
    x, guide = rng.normal(size=(2, *shape))
    op = nl_means(0.5, 0.8, 5, 7, border=border)
    y = op(x, guide=guide)
    for _ in range(5):
        i = tuple(int(rng.integers(0, n)) for n in shape)
        weights = op.affinity(x, i, guide=guide)
        assert weights.shape == shape
        assert (weights * x).sum() == pytest.approx(y[i], rel=1e-9)


def test_a_position_without_others_keeps_its_own_value(rng):
    op = nl_means(0.5, 0.8, 3, 1, centre="zero")
    assert op.affinity(rng.normal(size=(5, 5)), (2, 3)).sum() == 1


@pytest.mark.parametrize("over", [Window(35), Everywhere()])
def test_a_megapixel_takes_no_loop(over, rng):
    x = rng.normal(size=(1000, 1000)).astype(np.float32)
    op = Operation(gaussian(1, patch_size=3), over=over)
    start = time.perf_counter()
    assert op.affinity(x, (500, 300)).sum() == pytest.approx(1)
    assert time.perf_counter() - start < 20  # the loop takes hours everywhere


@pytest.mark.parametrize(
    ("position", "message"),
    [
        ((1,), "number per axis"),
        (3, "number per axis"),
        ((1.5, 2), "number per axis"),
        ((-1, 2), "outside"),
        ((1, 9), "outside"),
    ],
)
def test_positions_that_are_not_there_are_refused(position, message, rng):
    with pytest.raises(ValueError, match=message):
        nl_means(1, 1).affinity(rng.normal(size=(9, 9)), position)
