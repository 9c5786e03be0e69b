"""Learning matrices: the model is the block, its gradient is right, and learning gains."""

import imageio.v3 as iio
import numpy as np
import pytest
from conftest import ROOT, by_reference

import nlmeans
from nlmeans import Block, ParameterError
from nlmeans.learning import fit as fitting
from nlmeans.learning.crops import STRIDE, hidden, renoised, sample
from nlmeans.learning.matrices import as_block, by_free, changed, classical
from nlmeans.learning.model import BlockShape, Example, apply, error_and_gradient, squared_error
from nlmeans.learning.pairs import Pair, split
from nlmeans.operation.embed import widen


def some_matrices(rng, channels=2):
    """Off the start in every way that learning can go."""
    start = classical(3, channels, 0.8)
    return start, rng.normal(size=start.flat().size) * 0.1


def picture(rng, shape=(64, 64)):
    """Stripes and blocks, on 0 to 255."""
    y, x = np.indices(shape)
    return 60.0 * ((x + y) // 9 % 2) + 70.0 * (y // 16 % 2) + 40 * np.sin(x / 9)


@pytest.mark.parametrize("noise", [0.0, 1.5])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("share", [1.0, 0.1])
def test_the_gradient_is_that_of_finite_differences(share, noise, channels, rng):
    start, free = some_matrices(rng, channels)
    geometry = BlockShape(1, 2, noise)
    side = 2 * geometry.margin
    of = Example(
        rng.normal(size=(9 + side, 10 + side, channels)),
        rng.normal(size=(9, 10, channels)),
        rng.random((9, 10, 1)) < share,
    )

    def error(at):
        return squared_error(changed(start, at), geometry, of)

    total, gradient = error_and_gradient(changed(start, free), geometry, of)
    assert total == pytest.approx(error(free))
    by = by_free(gradient)
    ends = np.cumsum([each.size for each in start])
    for part in np.split(np.arange(free.size), ends[:-1]):  # no matrix hides behind the others
        for _ in range(5):
            step = np.zeros(free.size)
            step[part] = rng.normal(size=len(part)) * 1e-6
            found = error(free + step) - error(free - step)
            size = np.linalg.norm(by[part]) * np.linalg.norm(step)
            assert found == pytest.approx(2 * by @ step, abs=1e-5 * size)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_model_is_the_block(channels, rng):
    start, free = some_matrices(rng, channels)
    geometry, unit = BlockShape(1, 2, 1.5), 20.0
    matrices = changed(start, free)
    block = as_block(matrices, unit, geometry.noise, search=5)
    x = rng.normal(100, 30, (8, 7, channels))
    wide = widen(x, (geometry.margin,) * 2)
    found = block(x, channel_axis=-1)
    np.testing.assert_allclose(found, unit * apply(matrices, geometry, wide / unit), rtol=1e-9)
    # in the middle of an image, the border plays no part
    np.testing.assert_allclose(block(wide, channel_axis=-1)[4:-4, 4:-4], found, rtol=1e-9)


def test_a_block_commutes_with_adding_a_constant(rng):
    start, free = some_matrices(rng)
    block = as_block(changed(start, free), 20.0, 1.5, search=5)
    x = rng.normal(100, 30, (8, 7, 2))
    shifted = block(x + 50, channel_axis=-1)
    np.testing.assert_allclose(shifted, block(x, channel_axis=-1) + 50, rtol=1e-9)


def test_the_start_is_patchwise_non_local_means(rng):
    """Every patch is averaged with the weights of its centre; then the overlaps are."""
    sigma, h, x = 20.0, 14.0, rng.normal(100, 30, (9, 8))
    start = as_block(classical(3, 1, h / sigma), sigma, 2 * (sigma / h) ** 2, 5)
    wide = widen(x, (6, 6))
    op = nlmeans.nl_means(sigma, h, 3, 5)
    total = np.zeros(x.shape)
    for dy, dx in np.ndindex(3, 3):
        # the pixel at (dy, dx) of every patch, averaged with the weights of the patches
        shifted = np.roll(wide, (1 - dy, 1 - dx), (0, 1))
        estimate = by_reference(op, shifted, wide)
        total += estimate[7 - dy : 16 - dy, 7 - dx : 15 - dx]
    np.testing.assert_allclose(start(x), total / 9, rtol=1e-9)


def test_learning_gains_on_other_images_and_starts_from_the_classical_filter(rng):
    clean = [picture(rng), picture(rng).T[:50], picture(rng)[::-1]]
    noisy = [image + rng.normal(0, 25, image.shape) for image in clean]
    told, seen = [], []
    fit = nlmeans.fit_weights(
        clean,
        noisy,
        sigma=25,
        patch_size=3,
        search_size=7,
        crops=12,
        crop_size=16,
        steps=8,
        report=told.append,
        progress=seen.append,
    )
    assert isinstance(fit.block, Block)
    assert [*fit.steps] == told
    assert [step.step for step in told] == list(range(len(told)))
    assert told[-1].training < told[0].training
    assert seen == sorted(seen)
    assert seen[-1] == 1
    other = picture(rng).T[:24, 10:34]
    test = other + rng.normal(0, 25, other.shape)
    before, after = (((run(test) - other) ** 2).mean() for run in (fit.start, fit.block))
    assert after < before
    assert "step" in str(fit)


def test_learns_from_noisy_images_alone(rng):
    clean = [picture(rng, (96, 96)), picture(rng, (96, 96)).T]
    noisy = [image + rng.normal(0, 25, image.shape) for image in clean]
    fit = nlmeans.fit_weights(
        None, noisy, patch_size=3, search_size=5, crops=60, crop_size=26, steps=6
    )
    assert fit.sigma == pytest.approx(25, rel=0.2)
    assert fit.steps[-1].training < fit.steps[0].training
    x, truth = (each[0][:32, :32] for each in (noisy, clean))
    before, after = (((run(x) - truth) ** 2).mean() for run in (fit.start, fit.block))
    assert after < 0.95 * before


def test_what_is_learned_from_without_clean_images_has_independent_errors(rng):
    """Else the block would learn to keep noise."""
    noise = rng.normal(0, 3, (300, 300, 1))
    pairs = [Pair(noise, None)]
    (of,) = sample(pairs, "recorruption", 1, 290, 5, 3.0, np.random.default_rng(1))
    inside = of.x[5:-5, 5:-5]
    assert inside.std() == pytest.approx(1, rel=0.02)
    assert abs(np.mean(inside * of.target)) < 0.03


def test_masked_pixels_keep_nothing_of_their_own_noise_and_are_as_noisy_as_others(rng):
    """Else the block would learn to keep noise, its own or that of images with nothing hidden."""
    m, geometry = classical(3, 1, 0.6), BlockShape(1, 2, 2 / 0.6**2)
    x = rng.laplace(0, 3 / np.sqrt(2), (300, 300, 1))
    examples = sample([Pair(x, None)], "masking", 20, 80, 4, 3.0, np.random.default_rng(1))
    made = renoised(examples, m, geometry, np.random.default_rng(2))
    shown, target = (
        np.concatenate([part[of.counting] for part, of in zip(parts, made, strict=True)])
        for parts in ([of.x[4:-4, 4:-4] for of in made], [of.target for of in made])
    )
    assert len(target) == 20 * (80 // STRIDE) ** 2
    assert shown.std() == pytest.approx(1, rel=0.05)
    assert abs(np.mean(shown * target)) < 0.05
    for of in made:
        np.testing.assert_array_equal(of.x[4:-4, 4:-4][~of.counting], of.target[~of.counting])


def test_what_stands_in_masked_pixels_does_not_depend_on_them(rng):
    x = rng.normal(size=(30, 28, 2))
    shown, where = hidden(x, 5, np.random.default_rng(1))
    assert not where[:5].any()
    assert where[5:-5].any()
    other = np.where(where, 1e6 * rng.normal(size=x.shape), x)
    np.testing.assert_array_equal(hidden(other, 5, np.random.default_rng(1))[0], shown)


@pytest.mark.parametrize("kind", ["normal", "uniform"])
def test_masking_lowers_the_true_error_on_another_picture(kind, rng):
    def noise(shape):
        if kind == "normal":
            return rng.normal(0, 25, shape)
        return 25 * np.sqrt(3) * rng.uniform(-1, 1, shape)

    noisy = [clean + noise(clean.shape) for clean in (picture(rng, (96, 96)), picture(rng).T)]
    fit = nlmeans.fit_weights(
        None,
        noisy,
        sigma=25,
        patch_size=5,
        search_size=7,
        crops=150,
        steps=5,
        supervision="masking",
    )
    other = picture(rng)[::-1]
    test = other + noise(other.shape)
    before, after = (((run(test) - other) ** 2).mean() for run in (fit.start, fit.block))
    assert after < 0.95 * before


@pytest.mark.parametrize(
    ("count", "share", "apart"),
    [(2, 0.2, 1), (2, 0.75, 1), (3, 0.9, 2), (10, 0.2, 2), (10, 0.9, 9)],
)
def test_crops_are_held_out_from_images_of_their_own(count, share, apart):
    pairs = [Pair(np.full((9, 9, 1), k), None) for k in range(count)]
    (training, held), (crops, crops_held) = split(pairs, 20, share)
    shown, hidden_ones = ({int(pair.noisy[0, 0, 0]) for pair in some} for some in (training, held))
    assert len(hidden_ones) == apart
    assert shown | hidden_ones == {*range(count)}
    assert not shown & hidden_ones
    assert (crops, crops_held) == (20 - round(20 * share), round(20 * share))


def test_of_one_image_both_parts_are_taken():
    pairs = [Pair(np.zeros((9, 9, 1)), None)]
    assert split(pairs, 10, 0.2) == ((pairs, pairs), (8, 2))


def descended(monkeypatch, by_held, patience, steps=10):
    """A descent whose held-out errors are these: the matrices it gives, and those of each step."""
    start, geometry = classical(3, 1, 0.8), BlockShape(1, 2, 1.5)
    rng = np.random.default_rng(0)
    side = 2 * geometry.margin
    training, held = (
        [Example(x, rng.normal(size=(9, 9, 1)), np.full((9, 9, 1), True))]
        for x in rng.normal(size=(2, 9 + side, 9 + side, 1))
    )
    seen, told = [], []
    true = fitting._error

    def error(matrices, geometry, examples):
        if examples is not held:
            return true(matrices, geometry, examples)
        seen.append(matrices.flat())
        return by_held[len(seen) - 1]

    monkeypatch.setattr(fitting, "_error", error)
    found = fitting.descend(
        start, geometry, training, held, steps, patience, lambda *step: told.append(step)
    )
    return found.flat(), seen, told


def test_the_matrices_best_on_what_is_held_out_are_given(monkeypatch):
    found, seen, told = descended(monkeypatch, [5.0, 4.0, 3.0, 3.5, 3.4, 3.3, 3.2, 3.1], 4)
    np.testing.assert_array_equal(found, seen[2])
    assert not np.array_equal(found, seen[-1])
    assert [step for step, *_ in told] == [*range(7)]  # four steps without gain end it


def test_patience_begins_anew_with_every_gain(monkeypatch):
    found, seen, told = descended(monkeypatch, [5.0, 6.0, 4.0, 4.5, 4.5, 1.0], 2)
    np.testing.assert_array_equal(found, seen[2])
    assert len(told) == 5


def test_one_seed_gives_one_result(rng):
    clean = [picture(rng, (40, 40))]
    noisy = [clean[0] + rng.normal(0, 25, (40, 40))]
    options = {"sigma": 25, "patch_size": 3, "search_size": 5, "crops": 6, "crop_size": 10}
    a, b, c = (
        nlmeans.fit_weights(clean, noisy, steps=2, seed=seed, **options) for seed in (3, 3, 4)
    )
    assert a == b
    assert a.block != c.block


def test_colour(rng):
    clean = np.stack([picture(rng, (40, 40))] * 3)
    noisy = clean + rng.normal(0, 25, clean.shape)
    fit = nlmeans.fit_weights(
        [clean],
        [noisy],
        sigma=25,
        patch_size=3,
        search_size=5,
        crops=6,
        crop_size=10,
        steps=2,
        channel_axis=0,
    )
    assert fit.block(noisy[:, :9, :9], channel_axis=0).shape == (3, 9, 9)


@pytest.mark.parametrize(
    ("clean", "noisy", "options", "message"),
    [
        ([], [], {}, "0 noisy images"),
        ([np.zeros((9, 9))], [np.zeros((9, 9))] * 2, {}, "2 noisy images and 1 clean"),
        ([np.zeros((9, 8))], [np.zeros((9, 9))], {}, "one shape"),
        (None, [np.zeros(9)], {}, r"noisy\[0\] has shape \(9,\)"),
        (None, [np.zeros((9, 9))], {"patch_size": 4}, "patch_size"),
        (None, [np.zeros((9, 9))], {"search_size": 1}, "from 3"),
        (None, [np.zeros((9, 9))], {"crops": 0}, "crops is 0"),
        (None, [np.zeros((9, 9))], {"held_out": 1}, "held_out"),
        (None, [np.zeros((9, 9))], {"sigma": 0}, "sigma"),
        (None, [np.zeros((20, 20))], {}, "no noise"),
        (None, [np.zeros((20, 30))], {"sigma": 1}, r"noisy\[0\] is 20x30; .* 27x27 are needed"),
        (None, [np.zeros((30, 30))], {"supervision": "r2r"}, "supervision is 'r2r'"),
        ([np.zeros((9, 9))], [np.zeros((9, 9))], {"supervision": "masking"}, "leave out one"),
        (None, [np.full((9, 9), np.nan)], {"sigma": 1}, "NaN"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(clean, noisy, options, message):
    with pytest.raises((ParameterError, ValueError), match=message):
        nlmeans.fit_weights(clean, noisy, **options)


def test_the_sample_weights_gain_on_a_picture_they_were_not_learned_from():
    folder = ROOT / "sample_images"
    weights = nlmeans.load_weights(folder / "camera.safetensors")
    assert (weights.sigma, weights.input_range) == (20, 255)
    part = (slice(90, 114), slice(150, 174))
    clean, noisy = (
        iio.imread(folder / name)[part].astype(np.float32)
        for name in ("camera.png", "camera_noisy.png")
    )
    errors = [
        ((result - clean) ** 2).mean()
        for result in (nlmeans.denoise(noisy, 20, method="classic"), weights(noisy))
    ]
    assert errors[1] < errors[0]
