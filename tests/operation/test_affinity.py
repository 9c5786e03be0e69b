"""The weights of one position are those of the reference, for every f, support and normaliser."""

import imageio.v3 as iio
import numpy as np
import pytest
from conftest import ROOT

from nlmeans import (
    Block,
    Chain,
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
    save_weights,
)
from nlmeans.images.drawing import SIDE, Weights, draw_weights, ramp
from nlmeans.operation.embed import mirror
from nlmeans.operation.features import features
from nlmeans.operation.reference import _sums_over_queries, _weight, scores_of, shares
from nlmeans.operation.scores import scores
from nlmeans.operation.support import pool_of

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
    "gaussian, cut": gaussian(1.3, 0.2, 3, cut=0.2),
    "gaussian, cut, centre max": gaussian(0.3, 0.2, 3, cut=0.9, centre="max"),
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


def fits(f, over):
    """A centre takes a key of the position's own, a patch an image."""
    support, function = SUPPORTS[over], FUNCTIONS[f]
    if pool_of(support) and (function.centre in ("max", "zero") or function.cut):
        return False
    flat = isinstance(support, Neighbours) or over == "pooled flat"
    return not (flat and "patches of" in str(function))


@pytest.mark.parametrize(
    ("f", "over"), [(f, over) for f in FUNCTIONS for over in SUPPORTS if fits(f, over)]
)
def test_equals_the_reference(f, over, rng):
    support, function = SUPPORTS[over], FUNCTIONS[f]
    points = isinstance(support, Neighbours)
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
def test_a_megapixel_takes_no_loop(over, rng, monkeypatch):
    """All pairs are scored by one call: one per pair, a million of them, would take hours."""
    calls = []

    def counted(*arguments):
        calls.append(arguments)
        return scores(*arguments)

    monkeypatch.setattr("nlmeans.operation.affinity.scores", counted)
    x = rng.normal(size=(1000, 1000)).astype(np.float32)
    op = Operation(gaussian(1, patch_size=3), over=over)
    assert op.affinity(x, (500, 300)).sum() == pytest.approx(1)
    assert len(calls) == 1


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


# --------------------------------------------------------------------------- the picture

SAMPLE = ROOT / "sample_images" / "camera_noisy.png"


def test_the_picture_is_clear_where_nothing_is_given_and_coloured_where_most_is():
    grey = np.tile([0.0, 100.0], (40, 20))
    weights = np.zeros((40, 40))
    weights[10, 20], weights[12, 20] = 0.75, 0.25
    drawn = draw_weights(grey, [Weights((10, 20), weights)]).astype(int)
    zoom = SIDE // 40
    whole = drawn[: 40 * zoom, : 40 * zoom]
    pixel = whole[zoom // 2 :: zoom, zoom // 2 :: zoom]
    assert pixel.shape == (40, 40, 3)
    spread = np.ptp(pixel, axis=2)
    assert set(zip(*np.nonzero(spread > 40), strict=True)) == {(10, 20), (12, 20)}
    np.testing.assert_allclose(pixel[10, 20], ramp(np.array(1.0)), atol=25)
    assert pixel[10, 20].sum() > pixel[12, 20].sum()  # lighter for more
    assert drawn.shape[1] > 40 * zoom  # the window is enlarged beside it


def test_the_colours_grow_lighter_evenly():
    from skimage.color import rgb2lab

    lightness = rgb2lab(ramp(np.linspace(0, 1, 33))[None] / 255)[0, :, 0]
    steps = np.diff(lightness)
    assert (steps > 0).all()
    assert steps.max() < 1.5 * steps.min()


def test_a_large_picture_and_weights_everywhere_make_one_panel(rng):
    grey = rng.normal(size=(1400, 700))
    drawn = draw_weights(grey, [Weights((3, 4), np.ones((1400, 700)))])
    assert drawn.shape[0] < 700
    assert drawn.shape[1] < 400


@pytest.mark.parametrize("shape", [(1, 2000), (2000, 1), (3, 5000), (1, 1)])
@pytest.mark.parametrize("side", [1, 3, 5000])
def test_a_picture_however_narrow_is_drawn(shape, side):
    weights = np.zeros(shape)
    weights[:side, :side] = 1
    drawn = draw_weights(np.zeros(shape), [Weights((0, 0), weights)])
    assert drawn.dtype == np.uint8
    assert min(drawn.shape[:2]) > 1


def test_the_command_draws_classical_and_learned_weights(cli, tmp_path):
    code, out, err = cli("affinity", SAMPLE, "--at", "120,80", "-o", "map.png", "--sigma", 20)
    assert (code, err) == (0, "")
    assert "120,80: 121 weights above 1 %" in out
    assert iio.imread("map.png").ndim == 3
    (tmp_path / "in.png").write_bytes(SAMPLE.read_bytes())
    code, out, err = cli("affinity", "in.png", "--sigma", 20)
    assert (code, err) == (0, "")
    assert "in.png -> in_affinity.png: 128,128: " in out
    code, out, err = cli("affinity", "in.png", "-o", "in.png", "--overwrite")
    assert code == 1
    assert "is the input" in err
    code, out, err = cli("weights", "from-image", SAMPLE, "w.safetensors")
    assert (code, err) == (0, "")
    points = ("--at", "120,80", "--at", "0,255")
    code, out, err = cli("affinity", SAMPLE, *points, "-o", "two.png", "--weights", "w.safetensors")
    assert (code, err) == (0, "")
    assert "0,255: " in out


def test_the_command_names_negative_weights_and_the_block_that_is_drawn(cli):
    negative = Block(Operation(dot_product([[1.0]], [[-1.0]])), residual=True)
    save_weights("w.npz", negative)
    code, out, err = cli("affinity", SAMPLE, "-o", "a.png", "--weights", "w.npz")
    assert (code, err) == (0, "")
    assert ": no weights above 0, and " in out
    assert ", which are not drawn" in out
    smooth = Block(Operation(gaussian(0.1), over=Window(3)), residual=False)
    save_weights("w.npz", Chain((smooth, smooth)), overwrite=True)
    code, out, err = cli("affinity", SAMPLE, "-o", "b.png", "--weights", "w.npz")
    assert code == 0
    assert "of a chain of 2 blocks, the first is drawn" in err
    assert "negative" not in out


def test_weights_of_pooled_keys_lie_on_their_blocks(rng):
    x = rng.normal(size=(9, 11))
    over = Everywhere(Pool((2, 4), "mean"))
    weights = Operation(embedded_gaussian(), over=over).affinity(x, (3, 5))
    shown = Operation(embedded_gaussian(), over=over).spread(weights, x.shape)
    expected = np.zeros(x.shape)
    for y, column in np.ndindex(8, 8):  # the last row and three columns fill no block
        expected[y, column] = weights[y // 2, column // 4]
    np.testing.assert_array_equal(shown, expected)


def test_learned_weights_for_other_channels_are_refused_with_both_numbers(cli, tmp_path):
    theta = Linear(np.ones((2, 4)))
    save_weights("w.npz", Block(Operation(embedded_gaussian(theta, theta))))
    code, _, err = cli("affinity", SAMPLE, "-o", "a.png", "--weights", "w.npz")
    assert code == 1
    assert "the image has 1 channel and the weights take 4" in err


@pytest.mark.parametrize(
    ("over", "message"),
    [
        (Everywhere(Pool(4, flat=True)), "pooled as one sequence"),
        (Regions((4, 4), keys=Pool(2)), "pooled region by region"),
        (Regions((4, 4), keys=Pool(1)), "pooled region by region"),
    ],
)
def test_no_map_of_keys_that_lie_elsewhere(over, message, rng):
    x = rng.normal(size=(8, 11))
    weights = Operation(embedded_gaussian(), over=over).affinity(x, (3, 5))
    with pytest.raises(ValueError, match=message):
        Operation(embedded_gaussian(), over=over).spread(weights, x.shape)


def test_a_link_stays_one(cli, tmp_path):
    (tmp_path / "link.png").symlink_to("map.png")
    for _ in range(2):
        assert cli("affinity", SAMPLE, "--sigma", 20, "-o", "link.png", "--overwrite")[0] == 0
        assert (tmp_path / "link.png").is_symlink()
        assert iio.imread("map.png").ndim == 3


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--at", "120", "-o", "a.png"), 2, "'120' is no position; give X,Y"),
        (("--at", "1,2", "-o", "a.jpg"), 2, "written as a .png"),
        (("--at", "300,2", "-o", "a.png"), 2, "outside"),
        (("--at", "1,2", "-o", "there.png"), 1, "exists already"),
        (("--at", "1,2", "-o", "a.png", "--sigma", "0"), 1, "holds no noise"),
        (("--at", "1,2", "-o", "no/a.png"), 1, "does not exist: create it first"),
        (("--at", "1,2", "-o", "a.png", "--layout", "mmcv"), 2, "--weights"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(cli, tmp_path, arguments, code, message):
    (tmp_path / "there.png").write_bytes(b"mine")
    found, out, err = cli("affinity", SAMPLE, *arguments)
    assert (found, out) == (code, "")
    assert message in err
    assert len(err.splitlines()) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["there.png"]
    assert (tmp_path / "there.png").read_bytes() == b"mine"
