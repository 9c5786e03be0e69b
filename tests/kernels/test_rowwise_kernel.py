"""The rowwise kernel and the rest that knows scikit-image's arithmetic, against the reference."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import by_reference

import nlmeans
from nlmeans import Operation, ParameterError, gaussian, nl_means
from nlmeans.operation.embed import Linear
from nlmeans.operation.scores import rough_exp

OURS = {"arithmetic": "scikit-image"}


@pytest.mark.parametrize(("sigma", "cut"), [(0.0, 0.0), (0.6, 0.1)])
@pytest.mark.parametrize("weighting", ["uniform", "gaussian", "off-centre"])
@pytest.mark.parametrize(
    ("shape", "patch", "search", "channel_axis"),
    [
        ((23,), 5, 7, None),
        ((35, 2), 3, 9, 1),
        ((2, 131), (3, 5), (3, 3), None),
        ((19, 4), (5, 3), (3, 5), None),
        ((6, 5, 3), 5, 7, 2),
        ((3, 4, 5), 3, 3, None),
        ((17, 3, 2, 2), (5, 1, 3), (3, 5, 3), -1),
        ((1, 1), 3, 5, None),
    ],
    ids=str,
)
def test_the_kernel_is_the_equation(shape, patch, search, channel_axis, weighting, cut, sigma, rng):
    x = rng.normal(100, 1, shape)
    op = nl_means(sigma, 0.9, patch, search, patch_weighting=weighting, cut=cut, **OURS)
    assert op.plan(shape, channel_axis=channel_axis).kernel == "rowwise"
    expected = by_reference(op, x, channel_axis=channel_axis)
    np.testing.assert_allclose(op(x, channel_axis=channel_axis), expected, rtol=1e-12)


def test_a_weight_is_cut_by_the_rows_before_the_last():
    op = nl_means(0, 1, (3, 1), (1, 3), cut=np.exp(-1.0), **OURS)

    def kept(*differences):
        """The weight of the second column for the middle of the first, in units of its own."""
        x = np.array([[0.0, d] for d in differences])
        y = op(x)[1, 0]
        return y / (x[1, 1] - y)

    assert kept(2.0, 0.5, 0.0) == 0  # 4/3 after the first row
    assert kept(1.0, 1.5, 0.0) == 0  # 3.25/3 after the second
    assert kept(0.0, 0.5, 2.0) == pytest.approx(rough(-4.25 / 3) / rough(0))  # 4.25/3 in all


def rough(t):
    return float(rough_exp(np.array(t)))


def test_rough_exp_is_within_its_bounds():
    t = np.linspace(-700, 0, 100001)
    ratio = rough_exp(t) / np.exp(t)
    assert 0.96 < ratio.min() < ratio.max() < 1.02
    assert rough_exp(np.array([-1e9, -np.inf]))[1] == rough_exp(np.array(-700.0))


def test_float32_threads_guide_and_units(rng):
    x = rng.normal(0, 1, (40, 150))
    op = nl_means(0.3, 0.8, 5, 7, patch_weighting="gaussian", cut=0.01, **OURS)
    one = op(x, threads=1)
    assert (op(x, threads=2) == one).all()
    single = op(x.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, one, atol=1e-5)
    part, guide = x[:7, :6], rng.normal(0, 1, (7, 6, 2))
    expected = by_reference(op, part[..., None], guide, channel_axis=-1)[..., 0]
    np.testing.assert_allclose(op(part, guide=guide), expected, rtol=1e-10, atol=1e-12)
    other = nl_means(0.3e120, 0.8e120, 5, 7, patch_weighting="gaussian", cut=0.01, **OURS)
    with np.errstate(over="raise", invalid="raise"):
        np.testing.assert_allclose(other(x * 1e120) / 1e120, one, rtol=1e-6, atol=1e-9)
    np.testing.assert_array_equal(op(np.full((5, 6), 0.1)), 0.1)


def test_what_the_kernel_lacks_goes_to_the_reference(rng):
    x = rng.normal(size=(4, 5))
    for op in (
        nl_means(0, 1, 3, 5, border="mirror", **OURS),
        Operation(gaussian(1, patch_size=3, **OURS), nlmeans.Linear([[2.0]]), nlmeans.Window(5)),
        Operation(gaussian(1, patch_size=3, cut=0.2, **OURS)),
        Operation(gaussian(1, patch_size=3, cut=0.2, **OURS), over=nlmeans.Regions(3)),
    ):
        assert op.plan(x.shape).kernel == "reference"
        np.testing.assert_allclose(op(x), by_reference(op, x))


def test_affinity_is_the_row_of_weights(rng):
    x = rng.normal(size=(9, 10))
    op = nl_means(0, 0.9, 3, 5, cut=0.2, **OURS)
    weights = op.affinity(x, (4, 5))
    assert weights.sum() == pytest.approx(1)
    assert (weights == 0).any()
    assert (weights * x).sum() == pytest.approx(op(x)[4, 5])


def test_it_says_so_and_goes_into_files(tmp_path):
    op = nl_means(20, 12, 5, 13, patch_weighting="gaussian", cut=0.01, **OURS)
    assert "as scikit-image computes it" in str(op)
    nlmeans.save_weights(tmp_path / "a.npz", nlmeans.Block(op))
    assert nlmeans.load_weights(tmp_path / "a.npz").block.operation == op


def test_where_it_has_no_meaning_it_is_refused():
    f = gaussian(1, patch_size=3, **OURS)
    for change in (
        {"centre": "max"},
        {"score": "dot"},
        {"query": Linear([[1.0]])},
        {"key_bias": Linear([[1.0]])},
    ):
        with pytest.raises(ParameterError, match="arithmetic is 'scikit-image'; it is for"):
            replace(f, **change)
    with pytest.raises(ParameterError, match="arithmetic is 'fast'"):
        nl_means(1, arithmetic="fast")
    with pytest.raises(ParameterError, match="takes no arithmetic"):
        nlmeans.denoise(np.eye(32), 1, method="ridge", **OURS)
