"""The operation as a value: frozen, comparable, printable; its plan; what goes in and out."""

import dataclasses
import pickle
from math import ceil

import numpy as np
import pytest

import nlmeans
from nlmeans import (
    Everywhere,
    Identity,
    Linear,
    Neighbours,
    Operation,
    Pairwise,
    ParameterError,
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


def test_is_a_frozen_comparable_hashable_picklable_value():
    make = lambda: Operation(embedded_gaussian(np.eye(2)), Linear(np.eye(2)), Window(3))  # noqa: E731
    a, b = make(), make()
    assert a == b
    assert hash(a) == hash(b)
    assert a != Operation(embedded_gaussian(2 * np.eye(2)), Linear(np.eye(2)), Window(3))
    assert pickle.loads(pickle.dumps(a)) == a
    with pytest.raises(dataclasses.FrozenInstanceError):
        a.over = Everywhere()


def test_matrices_are_copied_and_locked():
    weight = np.eye(2)
    linear = Linear(weight)
    weight[0, 0] = 9
    assert linear.weight[0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        linear.weight[0, 0] = 9


def test_nl_means_is_composed_of_the_parts_it_names():
    assert nl_means(20, 8, 5, 15, centre="max", border="mirror") == Operation(
        f=gaussian(8, 20, 5, centre="max"), g=Identity(), over=Window(15, "mirror")
    )


def test_prints_the_equation_with_its_numbers():
    text = str(nl_means(sigma=20, h=8, patch_size=5, search_size=(3, 15)))
    assert "y_i = 1/C(x) sum over j in S(i) of f(x_i, x_j) g(x_j)" in text
    assert "exp(-max(|Q_i - Q_j|^2 - 800, 0) / 64), Q = uniform patches of side 5" in text
    assert "window of side 3x15, candidates inside only" in text
    text = str(Operation(concatenation([1, 2], None, np.eye(1)), Linear([[3.0]], [1.0])))
    assert "max((theta_i + phi_j), 0)" in text
    assert "number of keys" in text
    assert "W x + b" in text


@pytest.mark.parametrize(
    ("op", "shape", "kernel", "reason"),
    [
        (nl_means(1, 1), (64, 64), "window", "one pass a shift"),
        (nl_means(1, 1), (64,), "window", "one pass a shift"),
        (nl_means(1, 1), (8, 8, 8), "window", "one pass a shift"),
        (Operation(gaussian(1.0)), (8, 8), "stream", "in blocks"),
        (Operation(dot_product()), (8, 8), "linear", "one matrix"),
        (Operation(concatenation([1, 1])), (8, 8), "sorted", "largest keys"),
        (Operation(dot_product(), over=Window(3)), (8, 8), "neighbourhood", "'dot'"),
        (Operation(gaussian(1.0), Linear([[2.0]]), Window(3)), (8, 8), "neighbourhood", "g that"),
    ],
)
def test_plan_names_kernel_and_reason(op, shape, kernel, reason):
    plan = op.plan(shape)
    assert plan.kernel == kernel
    assert reason in plan.reason
    for word in ("kernel", "because", "pairs", "operations", "memory"):
        assert word in str(plan)


def test_plan_counts():
    plan = nl_means(1, 1, 7, 21, border="mirror").plan((100, 200, 3), channel_axis=2)
    assert plan.pairs == 100 * 200 * 441
    assert plan.channels == 3
    assert plan.tiles == ceil(100 / plan.tile[0]) * ceil(200 / plan.tile[1])
    assert plan.operations > 10 * plan.pairs
    double = nl_means(1, 1, 7, 21).plan((100, 200, 3), channel_axis=2, dtype=np.float64)
    assert double.memory > plan.memory


def test_plan_imports_no_numba():
    import subprocess
    import sys

    code = (
        "import sys, nlmeans; print(nlmeans.nl_means(1, 1).plan((99, 99))); "
        "assert 'numba' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize("grid", [(9,), (9, 8), (4, 3, 5)])
@pytest.mark.parametrize("channels", [None, 1, 3])
def test_shapes_stay(rng, grid, channels):
    shape = grid if channels is None else (*grid, channels)
    axis = None if channels is None else -1
    for dtype in (np.float32, np.float64):
        y = nl_means(1, 1, 3, 3)(rng.normal(size=shape).astype(dtype), channel_axis=axis)
        assert y.shape == shape
        assert y.dtype == dtype


def test_linear_g_changes_the_channels_and_gives_floats(rng):
    image = rng.integers(0, 255, (5, 4, 3)).astype(np.uint8)
    y = Operation(embedded_gaussian(scale=1e-4), Linear(np.ones((2, 3))))(image, channel_axis=-1)
    assert y.shape == (5, 4, 2)
    assert y.dtype == np.float32
    signal = Operation(embedded_gaussian(), Linear(np.ones((2, 1))))(np.ones(6))
    assert signal.shape == (6, 2)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "uint16", "int16", "float16", "float32"])
def test_averages_keep_the_dtype(rng, dtype):
    x = rng.integers(0, 2, (9, 9)).astype(dtype)
    assert nl_means(0.2, 0.2, 3, 5)(x).dtype == dtype


def test_input_is_not_changed_and_may_be_read_only_or_strided(rng):
    base = rng.normal(size=(40, 30))
    for x in (base[::2, ::3], base[::-1], np.asfortranarray(base), base.astype(">f8")):
        before = x.copy()
        x.flags.writeable = False
        y = nl_means(0.3, 0.3, 3, 5)(x)
        np.testing.assert_array_equal(x, before)
        np.testing.assert_array_equal(y, nl_means(0.3, 0.3, 3, 5)(np.ascontiguousarray(x)))
        assert not np.shares_memory(x, y)


def bad(exception, match, call):
    with pytest.raises(exception, match=match) as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [0, -3, 4, 10**6, 3.5, "7", None, True, (3, 4)])
def test_bad_sizes(size):
    bad(ParameterError, "patch_size is .*odd whole numbers from 1", lambda: nl_means(1, 1, size))
    bad(ParameterError, "search_size is .*odd whole numbers", lambda: nl_means(1, 1, 3, size))


@pytest.mark.parametrize("value", [-1, np.nan, np.inf, "high", "2", True, np.True_, 10**400])
def test_bad_numbers(value):
    bad(ParameterError, "sigma is .* finite numbers from 0", lambda: nl_means(value, 1))
    bad(ParameterError, "h is .* finite numbers from 1e-150", lambda: nl_means(1, value))
    bad(ParameterError, "scale is", lambda: dot_product(scale=value if value != -1 else np.nan))


def test_bad_traits():
    good = {"name": "x", "score": "dot", "weight": "exp", "normaliser": "sum"}
    for change in (
        {"score": "dist"},
        {"weight": "gauss"},
        {"normaliser": "n"},
        {"centre": "middle"},
        {"noise": -1},
        {"scale": np.inf},
        {"weight": "identity"},
        {"score": "distance", "scale": -1},
        {"scale": "2"},
        {"noise": True},
    ):
        bad(ParameterError, "is", lambda change=change: Pairwise(**{**good, **change}))


def test_bad_names_list_what_is_allowed():
    bad(ParameterError, "'one', 'max', 'zero'", lambda: nl_means(1, 1, centre="two"))
    bad(ParameterError, "'inside', 'mirror'", lambda: nl_means(1, 1, border="reflect"))
    bad(ParameterError, "'uniform', 'gaussian'", lambda: nl_means(1, 1, patch_weighting="flat"))


def test_bad_parts():
    bad(ParameterError, "h is missing", nl_means)
    for sigma in ("loud", None, [1, -2], np.nan):
        bad(ParameterError, "sigma is", lambda sigma=sigma: nl_means(sigma))
    bad(TypeError, "f is 'gaussian'", lambda: Operation("gaussian"))
    bad(TypeError, "over is 21", lambda: Operation(gaussian(1), over=21))
    bad(ValueError, "a matrix", lambda: Linear([1, 2]))
    bad(ValueError, r"asks for \(1,\)", lambda: Linear([[1, 2]], [1, 2]))
    bad(ValueError, "NaN", lambda: Linear([[np.nan]]))
    bad(TypeError, "weight holds complex", lambda: Linear([[1 + 2j]]))
    bad(TypeError, "bias holds complex", lambda: Linear([[1]], [1j]))
    bad(TypeError, "w holds complex", lambda: concatenation([1j, 1]))
    bad(TypeError, "positions holds complex", lambda: Neighbours([[1j]], k=1))
    bad(ValueError, "even length", lambda: concatenation([1, 2, 3]))
    bad(
        ValueError,
        "only 'exp' with 'sum'",
        lambda: dataclasses.replace(dot_product(), centre="zero"),
    )


def test_bad_shapes_in_plans():
    op = nl_means(1, 1, 3, 3)
    for shape in ((0, 5), 5, (2.5, 3), (-1, 4), "ab"):
        bad(ValueError, "whole numbers above 0", lambda shape=shape: op.plan(shape))
    bad(TypeError, "dtype complex128", lambda: op.plan((5, 5), dtype=complex))
    bad(ValueError, "allowed are -2 to 1", lambda: op.plan((5, 5), channel_axis=2))
    assert op.plan((10**10, 10**10)).pairs > 10**20


def test_bad_arrays(rng):
    op = nl_means(1, 1, 3, 3)
    x = rng.normal(size=(6, 5))
    bad(ValueError, r"is empty: its shape is \(0, 5\)", lambda: op(x[:0]))
    bad(ValueError, "0 axes", lambda: op(np.float64(3)))
    bad(ValueError, "4 axes", lambda: op(np.zeros((2, 2, 2, 2))))
    bad(TypeError, "dtype complex128; allowed are bool, uint8", lambda: op(x + 1j))
    bad(TypeError, "dtype int64", lambda: op(np.arange(9)))
    bad(ValueError, "allowed are -2 to 1", lambda: op(x, channel_axis=2))
    bad(TypeError, "channel_axis is 'last'", lambda: op(x, channel_axis="last"))
    bad(ValueError, "threads is 0", lambda: op(x, threads=0))
    x[2, 3] = np.nan
    x[4, 4] = np.inf
    bad(ValueError, r"2 NaN or infinite values, the first at \(2, 3\)", lambda: op(x))
    bad(TypeError, "masked", lambda: op(np.ma.masked_greater(np.eye(4), 0)))
    bad(ValueError, "guide has shape", lambda: op(np.eye(4), guide=np.eye(5)))
    wide = Operation(embedded_gaussian(np.ones((1, 3))))
    bad(ValueError, "1x3 matrix meets 2 channels", lambda: wide(np.ones((4, 2)), channel_axis=-1))
    lone = Operation(embedded_gaussian(np.ones((1, 2))))
    bad(ValueError, "equally many", lambda: lone(np.ones((4, 2)), channel_axis=-1))
    bad(ParameterError, "has 3 numbers", lambda: nl_means(1, 1, (3, 3, 3))(np.eye(4)))


@pytest.mark.parametrize(
    "over", [Regions(2), Regions((4, 0)), Regions((30, 5)), Regions((5, 8), keys=Pool(2)), None],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("grid", [(9, 10), (7, 5)])
def test_sizes_and_pairs_of_regions_are_those_of_their_parts(over, grid, rng):
    if over is None:
        over = Regions(labels=rng.integers(0, 4, grid))
    shapes = [np.empty(grid)[part].shape for part in over.parts(grid)]
    assert sorted(over.sizes(grid)) == sorted(map(np.prod, shapes))
    assert over.pairs(grid) == sum(Everywhere(over.keys).pairs(shape) for shape in shapes)


@pytest.mark.parametrize("weight", ["exp", "identity", "relu"])
@pytest.mark.parametrize("over", [Everywhere(), Regions(2), Window(3), Neighbours(np.eye(5), k=2)])
def test_a_sum_of_several_numbers_is_refused(weight, over, rng):
    normaliser = "sum" if weight == "exp" else "count"
    op = Operation(Pairwise("own", "sum", weight, normaliser), over=over)
    x = rng.normal(size=(5, 3))
    bad(ValueError, "3 numbers a position", lambda: op(x, channel_axis=-1))
    bad(ValueError, "3 numbers a position", lambda: op.affinity(x, (1,), channel_axis=-1))


def test_public_names_are_importable_and_documented():
    for name in nlmeans.__all__:
        value = getattr(nlmeans, name)
        if callable(value):
            assert value.__doc__, name
            assert not value.__doc__.startswith(f"{name}("), "a dataclass's own docstring"
    assert Patches(3)(np.zeros((4, 4, 1))).shape == (4, 4, 9)


@pytest.mark.parametrize("grid", [(9,), (6, 5), (4, 3, 5)])
@pytest.mark.parametrize(("channels", "outputs"), [(4, 1), (4, 3), (1, 4)])
def test_a_matrix_on_patches_is_the_matrix_times_the_patches(grid, channels, outputs, rng):
    patches, size = Patches(3, "none"), channels * 3 ** len(grid)
    weight, bias = rng.normal(size=(outputs, size)), rng.normal(size=outputs)
    x = rng.normal(size=(*grid, channels))
    expected = patches(x) @ weight.T + bias
    np.testing.assert_allclose(Linear(weight, bias, of=patches)(x), expected, atol=1e-12)
    with pytest.raises(ValueError, match="channels"):
        Linear(weight, bias, of=patches)(np.concatenate([x, x], axis=-1))
