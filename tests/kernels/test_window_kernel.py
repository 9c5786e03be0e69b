"""The fast classical filter against the reference, and the properties of its mathematics."""

import itertools

import numpy as np
import pytest
from conftest import by_reference
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nlmeans import nl_means
from nlmeans.kernels.exp2 import exp2
from nlmeans.kernels.lanes import load, store

TOLERANCE = {np.float32: 1e-4, np.float64: 1e-9}  # of the value range


def assert_equals_reference(op, x, guide=None, channel_axis=None):
    y = op(x, guide=guide, channel_axis=channel_axis)
    expected = by_reference(op, x, guide, channel_axis)
    span = float(x.max()) - float(x.min())
    assert np.abs(y - expected).max() <= TOLERANCE[x.dtype.type] * (span or 1)


DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@DTYPES
@pytest.mark.parametrize("patch_size", [1, 3, 5, 7, 9, 11])
def test_sizes_from_patch_side_upward(rng, dtype, patch_size):
    op = nl_means(0.5, 0.6, patch_size, 5)
    for side in range(patch_size, patch_size + 10):
        for shape in ((side, 3), (2, side)):
            assert_equals_reference(op, rng.normal(size=shape).astype(dtype))
    assert_equals_reference(op, rng.normal(size=(patch_size + 1, patch_size + 2)).astype(dtype))


@DTYPES
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 2), (11, 7), (3, 17)])
@pytest.mark.parametrize("border", ["inside", "mirror"])
@pytest.mark.parametrize("patch_weighting", ["uniform", "gaussian", "off-centre"])
def test_options_against_the_reference(rng, dtype, shape, border, patch_weighting):
    x = rng.normal(3, 1, size=shape).astype(dtype)
    sizes = [(3, 5), (1, 3), ((3, 5), (7, 3)), (7, 9)]
    for centre, (patch, search), h in itertools.product(["one", "max", "zero"], sizes, [0.02, 0.7]):
        op = nl_means(
            0.3, h, patch, search, centre=centre, border=border, patch_weighting=patch_weighting
        )
        assert_equals_reference(op, x)


@DTYPES
@pytest.mark.parametrize("shape", [(1,), (3,), (50,), (1, 1, 1), (5, 7, 6), (2, 1, 9), (20, 3, 4)])
@pytest.mark.parametrize("border", ["inside", "mirror"])
@pytest.mark.parametrize("patch_weighting", ["uniform", "gaussian", "off-centre"])
def test_sequences_and_volumes(rng, dtype, shape, border, patch_weighting):
    x = rng.normal(size=shape).astype(dtype)
    for centre, h in itertools.product(["one", "max", "zero"], [0.02, 0.7]):
        options = {"centre": centre, "border": border, "patch_weighting": patch_weighting}
        assert_equals_reference(nl_means(0.3, h, 3, 5, **options), x)
    if len(shape) == 3:
        whole = nl_means(0.3, 0.7, 5, 3, border=border, patch_weighting=patch_weighting)
        assert_equals_reference(whole, x)
        op = nl_means(0.3, 0.7, (1, 5, 3), (3, 5, 7), border=border)
        assert_equals_reference(op, x)
        channels = rng.normal(size=(*shape, 2)).astype(dtype)
        assert_equals_reference(op, channels, rng.normal(size=(*shape, 3)).astype(dtype), -1)


@DTYPES
@pytest.mark.parametrize("shape", [(70, 3, 4), (40, 33, 2), (9, 70, 5), (3, 4, 150)])
def test_volumes_of_several_tiles_and_lanes_along_z(rng, dtype, shape):
    x = rng.normal(size=shape).astype(dtype)
    op = nl_means(0.3, 0.7, 3, 3)
    assert_equals_reference(op, x)
    assert op.plan(shape).kernel == "window"


@DTYPES
@pytest.mark.parametrize("channels", range(1, 7))
def test_channels(rng, dtype, channels):
    x = rng.normal(size=(9, 8, channels)).astype(dtype)
    op = nl_means(0.4, 0.5, 3, 7)
    assert_equals_reference(op, x, channel_axis=-1)
    assert_equals_reference(op, np.moveaxis(x, -1, 0), channel_axis=0)


@DTYPES
@pytest.mark.parametrize("guide_channels", [None, 1, 3])
def test_guide(rng, dtype, guide_channels):
    x = rng.normal(size=(9, 8, 2)).astype(dtype)
    guide = rng.normal(100, 30, size=(9, 8) if guide_channels is None else (9, 8, guide_channels))
    op = nl_means(5, 20, 3, 7, centre="max")
    y = op(x, guide=guide, channel_axis=-1)
    deep = guide[..., None] if guide_channels is None else guide
    expected = by_reference(op, x, deep.astype(dtype), channel_axis=-1)
    assert np.abs(y - expected).max() <= TOLERANCE[dtype] * np.ptp(x)


def test_a_guide_of_many_channels_cuts_the_tiles_that_run(rng):
    """Its buffers make tiles smaller: those planned and those worked off have to be the same."""
    x = rng.normal(size=(64, 64, 64)).astype(np.float32)
    op = nl_means(0.3, 0.5, 3, 5)
    guide = np.stack([x] * 12, axis=-1)
    assert op.plan(x.shape, guide_channels=12).tile != op.plan(x.shape).tile
    np.testing.assert_allclose(op(x, guide=guide), op(x), atol=1e-5)


def test_guide_decides_alone(rng):
    x = rng.normal(size=(12, 12))
    flat = np.zeros((12, 12))
    y = nl_means(0, 1, 3, 99)(x, guide=flat)  # all alike in the guide: the plain mean
    np.testing.assert_allclose(y, x.mean(), rtol=1e-12)


OPTIONS = pytest.mark.parametrize(
    "options",
    [
        {},
        {"patch_weighting": "gaussian"},
        {"patch_weighting": "off-centre"},
        {"centre": "max", "border": "mirror"},
        {"centre": "zero"},
        {"border": "mirror"},
    ],
    ids=str,
)


@DTYPES
@OPTIONS
def test_seams_of_tiles_show_nothing(rng, dtype, options):
    """Whole images with seams of rows or columns, against crops around the seams."""
    op = nl_means(0.3, 0.5, 3, 5, **options)
    tall = rng.normal(size=(1100, 9)).astype(dtype)
    wide = rng.normal(size=(4, 300)).astype(dtype)
    step = op.plan(tall.shape).tile[0]
    assert step < 600
    for row in (step // 2, step):  # where segments, that is lanes, and tiles end
        part = slice(row - 9, row + 9)
        rows = by_reference(op, tall[part])[4:-4]
        assert np.abs(op(tall)[row - 5 : row + 5] - rows).max() <= TOLERANCE[dtype] * np.ptp(tall)
    step = op.plan(wide.shape).tile[1]
    assert step <= 128
    for column in (step, 2 * step):
        columns = by_reference(op, wide[:, column - 9 : column + 9])[:, 4:-4]
        found = op(wide)[:, column - 5 : column + 5]
        assert np.abs(found - columns).max() <= TOLERANCE[dtype] * np.ptp(wide)


@DTYPES
@OPTIONS
def test_options_with_channels_and_a_guide(rng, dtype, options):
    op = nl_means(0.3, 0.5, 3, 5, **options)
    x = rng.normal(size=(7, 6, 3)).astype(dtype)
    assert_equals_reference(op, x, channel_axis=-1)
    assert_equals_reference(op, x, rng.normal(size=(7, 6, 2)).astype(dtype), channel_axis=-1)


@DTYPES
@pytest.mark.parametrize("border", ["inside", "mirror"])
def test_windows_taller_than_a_tile(rng, dtype, border):
    x = rng.normal(size=(140, 2)).astype(dtype)
    assert_equals_reference(nl_means(0.3, 0.5, 3, (601, 3), border=border), x)


def test_guide_keeps_its_own_precision(rng):
    x = rng.normal(0, 10, size=(12, 12)).astype(np.float32)
    op = nl_means(10, 8, 3, 5)
    far = op(x, guide=x.astype(np.float64) + 1e9)
    assert far.dtype == np.float32
    np.testing.assert_allclose(far, op(x), atol=1e-3)
    assert np.isfinite(op(x, guide=x.astype(np.float64) * 1e40)).all()


def test_a_grey_image_takes_a_guide_with_channels_last(rng):
    x, guide = rng.normal(size=(8, 9)), rng.normal(size=(8, 9, 3))
    op = nl_means(0.3, 0.5, 3, 5)
    expected = op(x[..., None], guide=guide, channel_axis=-1)[..., 0]
    np.testing.assert_array_equal(op(x, guide=guide), expected)


def test_noise_a_thousand_times_stronger_next_door_does_not_reach_the_flat_part(rng):
    """Running sums that kept its rounding errors were off by 0.8 sigma here."""
    x = np.concatenate([rng.normal(0, 921, (30, 12)), rng.normal(0, 1, (30, 20))], axis=1)
    x = x.astype(np.float32)
    op = nl_means(1, 0.3, 3, 5)
    flat = slice(16, None)
    assert np.abs(op(x)[:, flat] - by_reference(op, x)[:, flat]).max() < 0.01


@pytest.mark.parametrize("scale", [1e-30, 1e30, 5e37])
def test_magnitudes_neither_overflow_nor_vanish(rng, scale):
    x = rng.normal(size=(12, 13))
    expected = nl_means(0.3, 0.5, 3, 7)(x)
    y = nl_means(0.3 * scale, 0.5 * scale, 3, 7)((x * scale).astype(np.float32))
    np.testing.assert_allclose(y / scale, expected, atol=1e-4 * np.ptp(x))


@pytest.mark.parametrize("h", [1e-150, 1e-20, 1e-3])
def test_h_towards_zero_is_the_identity(rng, h):
    x = rng.normal(size=(12, 13))
    np.testing.assert_array_equal(nl_means(0, h, 3, 7)(x), nl_means(0, h, 3, 1)(x))
    np.testing.assert_allclose(nl_means(0, h, 3, 7)(x), x, atol=1e-12)


def test_h_towards_infinity_is_the_mean_of_the_window(rng):
    x = rng.normal(size=(9, 9))
    np.testing.assert_allclose(nl_means(0, 1e150, 3, 99)(x), x.mean(), rtol=1e-12)


def test_large_offset_loses_no_accuracy(rng):
    """Distances of an image far from zero: 1e-4 of its range, not of its values."""
    x = (rng.normal(size=(15, 14)) + 1000).astype(np.float32)
    assert_equals_reference(nl_means(0.3, 0.5, 5, 9), x)


def test_a_strong_edge_leaves_no_trace_in_flat_parts(rng):
    """Running sums that pass an edge keep its rounding error: tiles and float32 have to bear it."""
    x = rng.normal(0, 1e-3, size=(64, 24)).astype(np.float32)
    x[20:24] += 1
    assert_equals_reference(nl_means(1e-3, 8e-4, 5, 5), x)


DATA = arrays(
    np.float32,
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
    elements=st.floats(-100, 100, width=32),
)
FEW = settings(max_examples=60, deadline=None)
OP = nl_means(8, 12, 3, 7)


@given(DATA)
@FEW
def test_property_result_stays_within_the_input(x):
    y = OP(x)
    slack = 1e-5 * max(np.ptp(x), 1e-6)
    assert x.min() - slack <= y.min()
    assert y.max() <= x.max() + slack


@given(DATA, st.sampled_from([np.flipud, np.fliplr, np.rot90, np.transpose]))
@FEW
def test_property_flips_and_turns_commute(x, turn):
    x = x.astype(np.float64)
    np.testing.assert_allclose(OP(turn(x)), turn(OP(x)), atol=1e-9)


@given(DATA, st.integers(-1000, 1000))
@FEW
def test_property_adding_a_constant_commutes(x, constant):
    x = np.rint(x).astype(np.float64)
    np.testing.assert_allclose(OP(x + constant), OP(x) + constant, atol=1e-9)


@given(st.floats(-1e6, 1e6, width=32), st.integers(1, 9), st.integers(1, 9))
@FEW
def test_property_constants_stay_exactly(value, height, width):
    x = np.full((height, width), value, dtype=np.float32)
    np.testing.assert_array_equal(OP(x), x)


@given(DATA, st.permutations([0, 1, 2]))
@FEW
def test_property_channel_permutations_commute(x, order):
    image = np.stack([x, x[::-1], 2 * x], axis=-1).astype(np.float64)
    y = OP(image, channel_axis=-1)
    np.testing.assert_allclose(OP(image[..., order], channel_axis=-1), y[..., order], atol=1e-9)


@given(DATA)
@FEW
def test_property_equal_channels_are_filtered_like_one(x):
    x = x.astype(np.float64)
    y = OP(np.stack([x] * 3), channel_axis=0)
    np.testing.assert_allclose(y, np.stack([OP(x)] * 3), atol=1e-9)


@pytest.mark.parametrize(("dtype", "bound"), [(np.float32, 2.5e-7), (np.float64, 1e-15)])
def test_exp2_is_accurate_and_exact_at_zero(dtype, bound):
    from numba import njit

    from nlmeans.kernels.lanes import VECTOR_BYTES

    lanes = VECTOR_BYTES // np.dtype(dtype).itemsize

    @njit
    def each(memory):
        for k in range(0, len(memory), lanes):
            store(memory, k, exp2(load(memory, k, 1)))

    def powers(t):
        space = np.zeros(len(t) + 2 * lanes, dtype)
        start = -space.ctypes.data % VECTOR_BYTES // space.itemsize
        memory = space[start : start + -(-len(t) // lanes) * lanes]
        memory[: len(t)] = t
        each(memory)
        return memory[: len(t)]

    t = np.linspace(-100, 0, 200001).astype(dtype)
    exact = np.exp2(t.astype(np.longdouble))
    assert np.abs(powers(t) / exact - 1).max() < bound
    assert powers(np.zeros(1)).tolist() == [1.0]
    assert 0 < powers(np.array([-1e30]))[0] < 1e-37


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("centre", ["one", "max", "zero"])
@pytest.mark.parametrize("border", ["inside", "mirror"])
def test_weights_below_the_cut_are_zero(rng, dtype, centre, border):
    x = rng.normal(size=(20, 17)).astype(dtype)
    for cut in (0.3, 0.9):  # 0.9 leaves many positions without any other
        op = nl_means(0.3, 0.7, 3, 5, centre=centre, border=border, cut=cut)
        y = op(x)
        np.testing.assert_allclose(y, by_reference(op, x), atol=2e-6)
        whole = nl_means(0.3, 0.7, 3, 5, centre=centre, border=border)(x)
        assert abs(y - whole).max() > 0.1
    assert 0.3 < (y == x).mean() < 1


@pytest.mark.parametrize("centre", ["max", "zero"])
@pytest.mark.parametrize("border", ["inside", "mirror"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_isolated_pixels_in_rows_of_any_length(rng, centre, border, dtype):
    x = rng.normal(100, 20, size=(5, 150)).astype(dtype)
    x[:, 40:47] = x[:, 90:140:9] = 100  # some pixels have others like them
    for h in (1.0, 0.01):
        op = nl_means(5, h, 3, (3, 9), centre=centre, border=border)
        assert_equals_reference(op, x)
    wide = nl_means(5, 1, (1, 3), (3, 201), centre=centre, border=border, cut=0.5)
    assert_equals_reference(wide, x)
    colours = rng.normal(100, 20, size=(4, 70, 3)).astype(dtype)
    assert_equals_reference(op, colours, rng.normal(size=(4, 70, 2)).astype(dtype), -1)
