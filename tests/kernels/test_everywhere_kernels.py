"""The kernels over everywhere and over regions: stream, linear, sorted; against the reference."""

import itertools

import numpy as np
import pytest
from conftest import by_reference
from processes import run_python
from skimage import data

from nlmeans import (
    Everywhere,
    Linear,
    Operation,
    Pairwise,
    Patches,
    Pool,
    Regions,
    concatenation,
    dot_product,
    embedded_gaussian,
    gaussian,
)

TOLERANCE = {np.float32: 2e-5, np.float64: 1e-11}  # of the largest result
FORMS = [(1,), (2,), (11,), (3, 5), (2, 3, 2)]
# Of its seconds, on a busy machine.
pytestmark = pytest.mark.filterwarnings("ignore::nlmeans.operation.reference.ReferenceWarning")
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def assert_equals_reference(op, x, kernel, channel_axis=-1, guide=None, tolerance=1):
    shape = x.shape
    assert op.plan(shape, channel_axis=channel_axis, dtype=x.dtype).kernel == kernel
    y = op(x, channel_axis=channel_axis, guide=guide)
    expected = by_reference(op, x, guide, channel_axis)
    assert y.shape == expected.shape
    assert y.dtype == x.dtype
    size = max(np.abs(expected).max(), np.abs(x).max() / 10)
    assert np.abs(y - expected).max() <= tolerance * TOLERANCE[x.dtype.type] * size


def matrices(rng, d, channels, count=2):
    return rng.normal(size=(count, d, channels)) / np.sqrt(channels)


def functions(rng, channels, d=3):
    """Every f that a kernel here has, and the kernel."""
    theta, phi = matrices(rng, d, channels)
    bias = rng.normal(size=(1, channels))
    w = rng.normal(size=2 * d)
    a, b = Linear(theta[:1]), Linear(phi[:1], [0.3])
    for key_bias in (None, bias):
        for softmax in ("keys", "queries"):
            f = embedded_gaussian(theta, phi, scale=0.7, key_bias=key_bias, softmax=softmax)
            yield f, "stream"
        yield dot_product(theta, phi, scale=0.7, key_bias=key_bias), "linear"
        bias_ = None if key_bias is None else Linear(key_bias)
        for normaliser in ("sum", "count", "query sum"):
            for f in (
                Pairwise(
                    "exp", "dot", "exp", normaliser, Linear(theta), Linear(phi), 0.4, key_bias=bias_
                ),
                Pairwise("exp", "sum", "exp", normaliser, a, b, 0.4, key_bias=bias_),
                Pairwise(
                    "exp",
                    "distance",
                    "exp",
                    normaliser,
                    Linear(theta),
                    Linear(phi),
                    0.4,
                    0.3,
                    key_bias=bias_,
                ),
                Pairwise(
                    "relu",
                    "dot",
                    "relu",
                    normaliser,
                    Linear(theta),
                    Linear(phi),
                    0.4,
                    key_bias=bias_,
                ),
            ):
                yield f, "stream"
            f = Pairwise("relu", "sum", "relu", normaliser, a, b, -0.4, key_bias=bias_)
            yield f, "sorted"
        f = Pairwise("sum", "sum", "identity", "count", a, b, 0.4, key_bias=bias_)
        yield f, "linear"
    yield concatenation(w, theta, phi, bias=-0.2), "sorted"
    for centre, sigma in itertools.product(("one", "max", "zero"), (0.0, 0.2)):
        yield gaussian(0.8, sigma, centre=centre), "stream"
        yield gaussian(0.8, sigma, centre=centre, cut=0.1), "stream"


@DTYPES
@pytest.mark.parametrize("form", FORMS)
def test_every_function_over_every_form(rng, dtype, form):
    x = rng.normal(size=(*form, 4)).astype(dtype)
    g = Linear(rng.normal(size=(3, 4)), rng.normal(size=3))
    for f, kernel in functions(rng, 4):
        assert_equals_reference(Operation(f, g), x, kernel)


@DTYPES
def test_sizes_about_those_of_blocks(rng, dtype):
    """Positions: of vectors and blocks of keys. d and channels: of the rows summed together."""
    for n in (31, 32, 33, 47, 48, 49, 64, 65, 97):
        theta, phi = matrices(rng, 5, 2)
        x = rng.normal(size=(n, 2)).astype(dtype)
        assert_equals_reference(Operation(embedded_gaussian(theta, phi)), x, "stream")
    for d, outputs in ((1, 1), (2, 5), (6, 6), (7, 7), (13, 12), (20, 17)):
        theta, phi = matrices(rng, d, 3)
        x = rng.normal(size=(20, 3)).astype(dtype)
        for f in (
            embedded_gaussian(theta, phi),
            Pairwise("exp", "distance", "exp", "sum", Linear(theta), Linear(phi), 0.4),
        ):
            op = Operation(f, Linear(rng.normal(size=(outputs, 3))))
            assert_equals_reference(op, x, "stream")


@DTYPES
@pytest.mark.parametrize("form", [(7,), (4, 5), (2, 3, 4)])
def test_pools_and_regions(rng, dtype, form):
    x = rng.normal(size=(*form, 3)).astype(dtype)
    g = Linear(rng.normal(size=(2, 3)))
    labels = rng.integers(0, 3, form)
    supports = [
        Everywhere(Pool(2)),
        Everywhere(Pool(2, "mean", "after")),
        Everywhere(Pool(3, "stride", flat=True)),
        Regions((0,) * (len(form) - 1) + (3,)),
        Regions((0,) * (len(form) - 1) + (4,), keys=Pool(2, flat=True)),
        Regions(labels=labels),
    ]
    for over, (f, kernel) in itertools.product(supports, functions(rng, 3)):
        if (f.centre in ("max", "zero") or f.cut) and over.keys is not None:
            continue
        assert_equals_reference(Operation(f, g, over), x, kernel)


@DTYPES
def test_channels_first_guides_and_patches(rng, dtype):
    x = rng.normal(size=(3, 5, 7)).astype(dtype)
    guide = rng.normal(size=(2, 5, 7)).astype(dtype)
    for f in (
        gaussian(0.7, 0.1, 3, centre="max"),
        embedded_gaussian(Patches(3), Patches(3), scale=0.5),
        dot_product(Patches(3, "none"), Patches(3, "none")),
    ):
        kernel = "linear" if f.weight == "identity" else "stream"
        assert_equals_reference(Operation(f), x, kernel, 0)
        assert_equals_reference(Operation(f), x, kernel, 0, guide)


@DTYPES
@pytest.mark.parametrize("size", [1e3, 1e6])
def test_huge_logits_neither_overflow_nor_lose_the_largest(rng, dtype, size):
    x = rng.normal(size=(40, 3)).astype(dtype)
    for f in (
        embedded_gaussian(scale=size),
        embedded_gaussian(scale=size, softmax="queries"),
        embedded_gaussian(key_bias=[[size, 0, -size]]),
        gaussian(1 / size, centre="max"),
        gaussian(1 / size, centre="zero"),
        gaussian(1 / size, 0.1, centre="one"),
    ):
        # A logit of 10^6 is rounded by 10^-10 in float64.
        assert_equals_reference(Operation(f), x, "stream", tolerance=max(1, size / 1e4))


@DTYPES
@pytest.mark.parametrize("centre", ["one", "max", "zero"])
@pytest.mark.parametrize("h", [1e-150, 1e-20, 1e20, 1e150])
def test_extreme_widths(rng, dtype, centre, h):
    x = rng.normal(size=(30, 2)).astype(dtype)
    x[7] = x[20]
    assert_equals_reference(Operation(gaussian(h, centre=centre)), x, "stream")


@DTYPES
@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_values_of_any_size(rng, dtype, size):
    x = (rng.normal(size=(30, 2)) * size).astype(dtype)
    for f in (gaussian(size), embedded_gaussian(scale=1 / size**2), gaussian(size, size / 9)):
        assert_equals_reference(Operation(f), x, "stream")


@DTYPES
def test_a_constant_stays_and_one_added_is_added(rng, dtype):
    x = rng.integers(0, 99, size=(70, 3)).astype(dtype)
    for f in (gaussian(30, 5, centre="max"), embedded_gaussian(scale=1e-3, softmax="keys")):
        y = Operation(f)(np.full((70, 3), 123.4, dtype=dtype), channel_axis=-1)
        np.testing.assert_array_equal(y, np.full((70, 3), 123.4, dtype=dtype))
    op = Operation(gaussian(30, 5))
    np.testing.assert_allclose(
        op(x + 1000, channel_axis=-1) - 1000, op(x, channel_axis=-1), atol=2e-4
    )


@DTYPES
def test_several_groups_of_queries_share_a_block_of_keys(rng, dtype):
    """Against the formula in NumPy: with so many positions the reference takes too long."""
    n = 16418 if dtype == np.float32 else 8209
    x = rng.normal(size=(n, 2)).astype(dtype)
    op = Operation(gaussian(0.5, centre="zero"))
    assert op.plan(x.shape, channel_axis=1, dtype=dtype).tile > (64,)
    y = op(x, channel_axis=1)
    for i in (0, 70, n // 2, n - 1):
        w = np.exp(-((x[i].astype(float) - x) ** 2).mean(axis=1) / 0.25)
        w[i] = 0
        np.testing.assert_allclose(y[i], w @ x / w.sum(), atol=1e-5)


@DTYPES
def test_threads_change_no_bit(rng, dtype):
    x = rng.normal(size=(700, 5)).astype(dtype)
    theta, phi = matrices(rng, 9, 5)
    for f in (
        embedded_gaussian(theta, phi),
        embedded_gaussian(theta, phi, softmax="queries"),
        gaussian(0.5, 0.1),
        dot_product(theta, phi),
        concatenation(rng.normal(size=18), theta, phi),
    ):
        one, two = (Operation(f)(x, channel_axis=-1, threads=n) for n in (1, 2))
        np.testing.assert_array_equal(one, two)


def test_progress_rises_to_one(rng):
    x = rng.normal(size=(700, 3))
    for f, _ in functions(rng, 3):
        for over in (Everywhere(), Regions(100)):
            seen = []
            Operation(f, over=over)(x, channel_axis=-1, progress=seen.append)
            assert seen == sorted(seen)
            assert seen[-1] == 1


@DTYPES
def test_ties_and_extremes_when_sorted(rng, dtype):
    f = Pairwise("relu", "sum", "relu", "count")
    for x in (
        np.zeros(40),
        rng.integers(-2, 3, 90),
        np.r_[rng.normal(size=50), 1e15, -1e15, 1e-15],
        1e6 + rng.integers(0, 9, 60),
    ):
        assert_equals_reference(Operation(f), x.astype(dtype)[:, None], "sorted")


def test_where_no_weight_is_above_zero_the_result_is_zero():
    for score in ("dot", "sum"):
        for normaliser in ("sum", "count", "query sum"):
            f = Pairwise(
                "relu", score, "relu", normaliser, key=Linear([[-1.0]]), key_bias=Linear([[-9.0]])
            )
            np.testing.assert_array_equal(Operation(f)(np.array([1.0, 2.0, 5.0])), 0)


def test_many_keys_lose_no_digits_in_float32(rng):
    """Sums of 10^5 numbers of one sign."""
    x = (100 + rng.normal(size=(100_000, 1))).astype(np.float32)
    y = Operation(dot_product())(x, channel_axis=-1)
    np.testing.assert_allclose(y[:, 0], x[:, 0] * np.mean(x.astype(float) ** 2), rtol=1e-6)
    w = np.array([1, 1])
    y = Operation(concatenation(w))(x[:, 0])
    values = x[:, 0].astype(float)
    np.testing.assert_allclose(y, values * values.mean() + np.mean(values**2), rtol=1e-6)


def test_the_classical_filter_is_an_embedded_gaussian():
    """theta = [2 Q/h^2, 1], phi = [Q, -|Q|^2/h^2]: facts of two kernels' different arithmetic."""
    image = data.camera()[100:148, 200:256].astype(np.float32)
    h, patches = 16.0, Patches(5)
    q = patches(image[..., None] - image.mean())
    bias = -(q.astype(np.float64) ** 2).sum(axis=-1, keepdims=True) / h**2
    guide = np.concatenate([q, bias.astype(np.float32)], axis=-1)
    d = q.shape[-1]
    learned = embedded_gaussian(
        theta=Linear(np.eye(d, d + 1) * 2 / h**2),
        phi=Linear(np.eye(d, d + 1)),
        key_bias=np.eye(1, d + 1, d),
    )
    y = Operation(learned)(image, guide=guide)
    classical = Operation(gaussian(h, 0, 5))(image)
    assert np.abs(classical - image).max() > 1
    assert np.abs(y - classical).max() <= 1e-4 * np.ptp(image)


def test_kernels_are_kept(tmp_path):
    """A second process loads what the first one compiled."""
    code = """
        import numpy as np, nlmeans
        nlmeans.Operation(nlmeans.embedded_gaussian())(np.eye(9, dtype=np.float32))
    """
    run_python(code, NUMBA_CACHE_DIR=str(tmp_path))
    kept = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.kernel")}
    assert sum(p.name.startswith("stream_kernel") for p in kept) == 1
    run_python(code, NUMBA_CACHE_DIR=str(tmp_path))
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.kernel")} == kept


@pytest.mark.parametrize(
    "make", [dot_product, embedded_gaussian, lambda t, p: concatenation([1, 2], t, p)]
)
def test_matrices_that_do_not_fit_are_named(make):
    x = np.ones((4, 2))
    for theta, phi, message in (
        (np.ones((1, 3)), np.ones((1, 2)), "1x3 matrix meets 2 channels"),
        (np.ones((1, 2)), np.ones((1, 3)), "1x3 matrix meets 2 channels"),
    ):
        with pytest.raises(ValueError, match=message):
            Operation(make(theta, phi))(x, channel_axis=-1)
    for make in (dot_product, embedded_gaussian):
        with pytest.raises(ValueError, match="equally many"):
            Operation(make(np.ones((1, 2)), np.ones((2, 2))))(x, channel_axis=-1)
        with pytest.raises(ValueError, match="key_bias gives 2 numbers"):
            Operation(make(key_bias=np.ones((2, 2))))(x, channel_axis=-1)


@pytest.mark.parametrize("over", [Everywhere(), Everywhere(Pool(2))])
def test_a_product_that_float32_does_not_hold(over):
    x = np.array([1e20, 2e20, 1e20, 2e20], np.float32)
    op = Operation(dot_product(scale=1e-40), over=over)
    np.testing.assert_allclose(op(x), op(x.astype(np.float64)), rtol=1e-6)
    assert op(x).dtype == np.float32


def test_the_input_is_not_changed_and_shares_no_memory(rng):
    x = rng.normal(size=(9, 8, 3))
    before = x.copy()
    x.flags.writeable = False
    for f, _ in functions(rng, 3):
        y = Operation(f)(x, channel_axis=-1)
        np.testing.assert_array_equal(x, before)
        assert not np.shares_memory(x, y)


def test_plans_name_kernel_and_costs():
    op = Operation(
        embedded_gaussian(np.ones((32, 64)), np.ones((32, 64))), Linear(np.ones((32, 64)))
    )
    plan = op.plan((64, 128, 128), channel_axis=0)
    assert plan.kernel == "stream"
    assert plan.pairs == 16384**2
    assert plan.operations > 2 * plan.pairs * 64
    assert plan.memory < 32 * 2**20  # in float64, where large logits ask for it
    assert (plan.tile, plan.tiles) == ((256,), 64)
    assert "of 256" in str(plan)
    parts = Operation(embedded_gaussian(), over=Regions((8, 8))).plan((20, 16))
    assert parts.tiles == 6
    assert parts.pairs == 4 * 64**2 + 2 * 32**2
    no = Operation(Pairwise("?", "distance", "relu", "count")).plan((9, 9))
    assert no.kernel == "reference"
    assert "'distance' with weight 'relu'" in no.reason


def test_plan_imports_no_numba():
    run_python("""
        import sys, nlmeans
        print(nlmeans.Operation(nlmeans.embedded_gaussian()).plan((99, 99)))
        nlmeans.Operation(nlmeans.dot_product())([1.0, 2.0])
        assert "numba" not in sys.modules
    """)
