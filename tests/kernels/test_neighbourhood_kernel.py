"""Attention over a search window against the reference, for every trait, and its properties."""

from itertools import product

import numpy as np
import pytest
from conftest import by_reference
from skimage import data

import nlmeans
from nlmeans import Identity, Linear, Operation, Window
from nlmeans.operation.embed import Patches
from nlmeans.operation.pairwise import Pairwise, dot_product, embedded_gaussian

TOLERANCE = {np.float32: 2e-5, np.float64: 1e-12}
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
BORDERS = pytest.mark.parametrize("border", ["inside", "mirror"])


def assert_equals_reference(op, x, guide=None, tolerance=None):
    """Channels are last."""
    y = op(x, guide=guide, channel_axis=-1)
    expected = by_reference(op, x, guide, channel_axis=-1)
    assert op.plan(x.shape, channel_axis=-1, dtype=x.dtype).kernel == "neighbourhood"
    assert y.dtype == x.dtype
    limit = (tolerance or TOLERANCE[x.dtype.type]) * max(1, np.abs(expected).max())
    assert np.abs(y - expected).max() <= limit


def attention(rng, channels, d, outputs, over, **options):
    theta, phi, g = (rng.normal(size=(n, channels)) for n in (d, d, outputs))
    return Operation(embedded_gaussian(theta, phi, scale=d**-0.5, **options), Linear(g), over)


def functions(rng, channels):
    """Every allowed combination of traits."""
    one, other = (rng.normal(size=(4, channels)) for _ in range(2))
    scores, weights = ("dot", "distance", "sum"), ("exp", "identity", "relu")
    normalisers, centres = ("sum", "count", "query sum"), ("as computed", "one", "max", "zero")
    for score, weight, normaliser, centre, biased in product(
        scores, weights, normalisers, centres, (False, True)
    ):
        if weight == "identity" and normaliser != "count":
            continue
        if centre != "as computed" and (weight, normaliser) != ("exp", "sum"):
            continue
        numbers = 1 if score == "sum" else 4
        yield Pairwise(
            "any",
            score,
            weight,
            normaliser,
            Linear(one[:numbers]),
            Linear(other[:numbers]),
            scale=0.7,
            noise=0.5 if score == "distance" else 0.0,
            centre=centre,
            key_bias=Linear(one[:1], [0.3]) if biased else None,
        )


@DTYPES
@BORDERS
@pytest.mark.parametrize(("shape", "size"), [((9,), 5), ((5, 6), 3), ((2, 3, 4), (3, 3, 1))])
def test_every_trait(rng, dtype, border, shape, size):
    x = rng.normal(size=(*shape, 3)).astype(dtype)
    g = Linear(rng.normal(size=(2, 3)))
    for f in functions(rng, 3):
        assert_equals_reference(Operation(f, g, Window(size, border)), x)


SHAPES = [(1,), (2,), (16,), (40,), (1, 1), (1, 20), (20, 1), (3, 33), (11, 17), (37, 5),
          (1, 1, 1), (4, 1, 6), (3, 5, 18)]  # fmt: skip


@DTYPES
@BORDERS
@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_and_windows(rng, dtype, border, shape):
    x = rng.normal(size=(*shape, 2)).astype(dtype)
    for size in (1, 3, 5):
        assert_equals_reference(attention(rng, 2, 3, 2, Window(size, border)), x)


@DTYPES
@pytest.mark.parametrize("shape", [(7,), (60,), (6, 7), (2, 3, 4)])
def test_windows_larger_than_the_array(rng, dtype, shape):
    x = rng.normal(size=(*shape, 2)).astype(dtype)
    for border, size in (("inside", 9999), ("inside", 151), ("mirror", 13)):
        if border == "mirror" and len(shape) == 3:
            size = 7
        for softmax in ("keys", "queries"):
            op = attention(rng, 2, 3, 2, Window(size, border), softmax=softmax)
            assert_equals_reference(op, x)


@DTYPES
@pytest.mark.parametrize(
    ("d", "outputs"), [(1, 1), (2, 7), (3, 6), (5, 40), (40, 5), (17, 13), (8, 8), (33, 2), (6, 12)]
)
def test_numbers_of_queries_and_values(rng, dtype, d, outputs):
    x = rng.normal(size=(6, 9, 3)).astype(dtype)
    for over in (Window(3), Window((5, 3), "mirror")):
        assert_equals_reference(attention(rng, 3, d, outputs, over), x)


@DTYPES
def test_tiles_and_vectors_leave_no_seams(rng, dtype):
    """An array of several tiles along each axis, against crops about their seams."""
    op = attention(rng, 3, 4, 3, Window(5), key_bias=rng.normal(size=(1, 3)))
    x = rng.normal(size=(75, 70, 3)).astype(dtype)
    tile = op.plan(x.shape, channel_axis=-1, dtype=dtype).tile
    y = op(x, channel_axis=-1)
    for row, column in ((tile[0], tile[1]), (2 * tile[0], 3 * tile[1]), (8, 2 * tile[1])):
        near = x[row - 5 : row + 5, column - 5 : column + 5]
        expected = by_reference(op, near, channel_axis=-1)[2:-2, 2:-2]
        found = y[row - 3 : row + 3, column - 3 : column + 3]
        assert np.abs(found - expected).max() <= TOLERANCE[dtype] * np.abs(expected).max()


@DTYPES
def test_a_guide_and_embeddings_of_patches(rng, dtype):
    x, guide = (rng.normal(size=(7, 8, c)).astype(dtype) for c in (2, 3))
    theta, phi = (Linear(rng.normal(size=(5, 27)), of=Patches(3, "none")) for _ in range(2))
    f = embedded_gaussian(theta, phi, scale=0.1)
    for border in ("inside", "mirror"):
        op = Operation(f, Identity(), Window(5, border))
        y = op(x, guide=guide, channel_axis=-1)
        expected = by_reference(op, x, guide, channel_axis=-1)
        assert np.abs(y - expected).max() <= TOLERANCE[dtype]


@pytest.mark.parametrize("size", [1e2, 1e4, 1e15, 1e30])
def test_huge_scores_neither_overflow_nor_vanish(rng, size):
    """One key takes all: which one is certain where scores differ by more than they are rounded."""
    x = np.rint(rng.normal(size=(6, 7, 2)) * 8)
    f = embedded_gaussian(scale=size)
    for dtype in (np.float32, np.float64):
        for over in (Window(5), Window(3, "mirror")):
            assert_equals_reference(Operation(f, over=over), x.astype(dtype))
    bias = embedded_gaussian(key_bias=[[size, -size]])
    assert_equals_reference(Operation(bias, over=Window(5)), x.astype(np.float32), tolerance=1e-3)


@BORDERS
def test_large_logits_take_no_digits_from_float32(rng, border):
    theta, phi = rng.normal(size=(2, 8, 8)) * 0.3
    x = rng.normal(200, 1, size=(9, 8, 8)).astype(np.float32)
    for options in ({}, {"softmax": "queries"}, {"key_bias": rng.normal(size=(1, 8)) * 99}):
        op = Operation(embedded_gaussian(theta, phi, **options), over=Window(5, border))
        expected = op(x.astype(np.float64), channel_axis=-1)
        found = op(x, channel_axis=-1)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * np.abs(expected).max())


def test_magnitudes_that_float32_cannot_square(rng):
    x = rng.normal(size=(6, 7, 2)).astype(np.float32)
    for factor in (1e-30, 1e30):
        large = (x * factor).astype(np.float32)
        f = Pairwise("any", "distance", "exp", "sum", scale=factor**-2, noise=0.1 * factor**2)
        dot = embedded_gaussian(scale=factor**-2)
        for each in (f, dot):
            op = Operation(each, over=Window(3))
            expected = by_reference(op, large, channel_axis=-1)
            y = op(large, channel_axis=-1)
            np.testing.assert_allclose(y / factor, expected / factor, atol=1e-4)


def test_scores_too_large_for_any_float_are_refused(rng):
    op = Operation(embedded_gaussian(scale=1e300), over=Window(3))
    with pytest.raises(ValueError, match="too large to be summed"):
        op(rng.normal(size=(4, 4)) * 1e10)


def test_exp_over_a_count_keeps_its_size():
    """C = N divides by no sum of f: exp(80) is left, which float32 holds."""
    f = Pairwise("any", "dot", "exp", "count")
    y = Operation(f, over=Window(3))(np.full((5, 5), 80**0.5, np.float32))
    np.testing.assert_allclose(y, np.exp(80) * 80**0.5, rtol=1e-4)


@DTYPES
@pytest.mark.parametrize("centre", ["one", "max", "zero"])
@pytest.mark.parametrize("cut", [1e-3, 0.4, 1.0])
def test_weights_below_the_cut_are_zero(rng, dtype, centre, cut):
    x = np.rint(rng.normal(size=(6, 9, 2)) * 2).astype(dtype)
    f = Pairwise("any", "distance", "exp", "sum", scale=0.3, noise=1.0, centre=centre, cut=cut)
    for over in (Window(3), Window(5, "mirror")):
        assert_equals_reference(Operation(f, Linear([[1.0, 2.0]]), over), x)


@pytest.mark.parametrize("centre", ["one", "max", "zero"])
def test_a_position_without_others_keeps_its_value(rng, centre):
    f = Pairwise("any", "distance", "exp", "sum", centre=centre)
    x = rng.normal(size=(5, 4))
    np.testing.assert_allclose(Operation(f, over=Window(1))(x), x, rtol=1e-15)
    np.testing.assert_allclose(Operation(f, over=Window(3))(x[:1, :1]), x[:1, :1], rtol=1e-15)


@pytest.mark.parametrize("flip", [np.flipud, np.fliplr, lambda x: np.transpose(x, (1, 0, 2))])
def test_flips_commute(rng, flip):
    x = rng.normal(size=(23, 37, 3))
    for softmax in ("keys", "queries"):
        op = attention(rng, 3, 4, 3, Window(7), softmax=softmax)
        found, expected = (op(flip(x), channel_axis=-1), flip(op(x, channel_axis=-1)))
        np.testing.assert_allclose(found, expected, atol=1e-12)


@DTYPES
@pytest.mark.parametrize("softmax", ["keys", "queries"])
def test_threads_change_no_bit(rng, dtype, softmax):
    x = rng.normal(size=(70, 50, 3)).astype(dtype)
    op = attention(rng, 3, 8, 5, Window(9), softmax=softmax)
    alone = op(x, channel_axis=-1, threads=1)
    for threads in (2, 3, None):
        np.testing.assert_array_equal(op(x, channel_axis=-1, threads=threads), alone)


def test_arrays_of_a_batch_and_channel_orders(rng):
    x = rng.normal(size=(3, 9, 8, 4)).astype(np.float32)
    op = attention(rng, 4, 4, 4, Window(5))
    whole = op(x, channel_axis=-1, batch_axis=0)
    for one, y in zip(x, whole, strict=True):
        np.testing.assert_array_equal(op(one, channel_axis=-1), y)
        first = op(np.moveaxis(one, -1, 0), channel_axis=0)
        np.testing.assert_allclose(np.moveaxis(first, 0, -1), y, atol=1e-5)


def test_input_stays_and_progress_reaches_one(rng):
    x = rng.normal(size=(40, 40, 3)).astype(np.float32)
    x.flags.writeable = False
    before = x.copy()
    told: list[float] = []
    attention(rng, 3, 4, 3, Window(9), softmax="queries")(x, channel_axis=-1, progress=told.append)
    np.testing.assert_array_equal(x, before)
    assert told == sorted(told)
    assert told[-1] == 1


def test_count_divides_by_the_keys_inside():
    y = Operation(dot_product(), over=Window(3))(np.ones((4, 5)))
    np.testing.assert_allclose(y, 1, rtol=1e-15)


@pytest.mark.parametrize("patch_weighting", ["uniform", "gaussian"])
def test_the_classical_filter_is_attention(patch_weighting):
    """theta = [2 Q/h^2, 1] and phi = [Q, -|Q|^2/h^2]: softmax attention over the same window."""
    image = data.camera()[200:260, 180:250].astype(np.float32)
    patches, h = Patches(5, patch_weighting), 12.0
    classical = nlmeans.nl_means(0, h, 5, 11, patch_weighting=patch_weighting)
    assert classical.plan(image.shape).kernel == "window"
    q = patches((image - image.mean())[..., None])
    one = np.ones_like(q[..., :1])
    bias = -(q**2).sum(-1, keepdims=True) / np.float32(h**2)
    features = np.concatenate([q, one, bias], axis=-1)
    d = q.shape[-1]
    theta = 2 / h**2 * np.eye(d + 1, d + 2)
    theta[d] = np.eye(d + 2)[d]
    phi = np.eye(d + 1, d + 2)
    phi[d] = np.eye(d + 2)[d + 1]
    learned = Operation(embedded_gaussian(theta, phi), over=Window(11))
    assert learned.plan(image.shape, guide_channels=d + 2).kernel == "neighbourhood"
    y = learned(image, guide=features)
    assert np.abs(y - classical(image)).max() <= 1e-4 * np.ptp(image)
    biased = Operation(embedded_gaussian(theta[:d], phi[:d], key_bias=phi[d:]), over=Window(11))(
        image, guide=features
    )
    assert np.abs(biased - classical(image)).max() <= 1e-4 * np.ptp(image)
