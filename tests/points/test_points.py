"""Point clouds: surfaces come back, edges stay, and nothing depends on place, unit or order."""

import runpy

import numpy as np
import pytest
from conftest import ROOT

import nlmeans.points.denoise as points_module
from nlmeans import denoise_points, estimate_points_sigma
from nlmeans.points.surfaces import _on_one_side, point_side

with pytest.MonkeyPatch.context() as patch:  # the script imports its neighbours
    patch.syspath_prepend(ROOT / "benchmarks")
    BENCHMARK = runpy.run_path(str(ROOT / "benchmarks" / "points.py"))
sphere, cube, scan, measure, rms = map(BENCHMARK.get, ("sphere", "cube", "scan", "measure", "rms"))


@pytest.fixture
def ball(rng):
    """A noisy unit sphere of 1500 points."""
    points = rng.normal(size=(1500, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return points + rng.normal(0, 0.03, points.shape)


def left_of_noise(surface, noise, **options):
    """RMS distance to the surface after denoising, over that before."""
    noisy = surface.clean + np.random.default_rng(1).normal(0, noise, surface.clean.shape)
    moved = denoise_points(noisy, **options)
    return rms(surface.distance(moved)) / rms(surface.distance(noisy))


@pytest.mark.parametrize(
    ("make", "sigma"), [(sphere, 0.02), (cube, 0.02), (scan, 0.01)], ids=["sphere", "cube", "scan"]
)
def test_the_distance_to_the_surface_falls_by_half(rng, make, sigma):
    assert left_of_noise(make(6000, rng), sigma) < 0.5


def test_edges_stay_sharper_than_with_an_average_of_neighbours(rng):
    result = measure(cube(15000, rng), 0.015, rng)
    assert result.filtered[1] < 0.85 * result.averaged[1]
    assert result.filtered[1] < 0.7 * result.noisy[1]


def test_a_second_iteration_helps_where_the_noise_is_as_wide_as_points_are_apart(rng):
    surface = sphere(3000, rng)
    once, twice = (left_of_noise(surface, 0.06, sigma=0.06, iterations=n) for n in (1, 2))
    assert twice < 0.8 * once


@pytest.mark.parametrize("make", [sphere, cube, scan])
@pytest.mark.parametrize("sigma", [0.01, 0.03])
def test_noise_is_estimated(rng, make, sigma):
    clean = make(6000, rng).clean
    found = estimate_points_sigma(clean + rng.normal(0, sigma, clean.shape))
    assert 0.85 < found / sigma < 1.15


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_and_input_stay(ball, dtype):
    points = ball.astype(dtype)
    before = points.copy()
    points.flags.writeable = False
    moved = denoise_points(points, 0.03)
    assert (moved.dtype, moved.shape) == (dtype, points.shape)
    assert np.array_equal(points, before)
    assert not np.array_equal(moved, points)


def test_place_unit_and_order_do_not_matter(rng, ball):
    moved = denoise_points(ball, 0.03)
    order = rng.permutation(len(ball))
    np.testing.assert_allclose(denoise_points(ball[order], 0.03), moved[order], atol=1e-9)
    far = denoise_points(ball * 1000 + [4e5, 5e6, 100], 30.0)
    np.testing.assert_allclose((far - [4e5, 5e6, 100]) / 1000, moved, atol=1e-6)
    q, _ = np.linalg.qr(rng.normal(size=(3, 3)))  # turned, and maybe mirrored
    np.testing.assert_allclose(denoise_points(ball @ q, 0.03), moved @ q, atol=1e-7)


def test_same_bits_for_any_number_of_threads(ball):
    assert np.array_equal(denoise_points(ball, threads=1), denoise_points(ball, threads=2))


def test_equal_points_stay_equal(ball):
    moved = denoise_points(np.repeat(ball, 3, axis=0), 0.03)
    assert np.array_equal(moved[::3], moved[1::3])
    assert np.array_equal(moved[::3], moved[2::3])
    np.testing.assert_allclose(moved[::3], denoise_points(ball, 0.03), atol=1e-12)


def test_points_move_along_the_normal_alone(rng):
    plane = rng.uniform(-1, 1, (3000, 3)) * [1, 1, 0]
    noisy = plane + rng.normal(0, 0.01, plane.shape)
    steps = np.abs(denoise_points(noisy, 0.01) - noisy)
    assert steps[:, 2].mean() > 10 * steps[:, :2].mean()


def test_without_noise_nothing_moves(rng):
    plane = np.round(rng.uniform(-1, 1, (500, 3)), 3) * [1, 1, 0]
    assert np.array_equal(denoise_points(plane, 0), plane)
    assert np.abs(denoise_points(plane) - plane).max() < 1e-9


@pytest.mark.parametrize("shape", ["line", "spread", "clusters", "specks", "ten"])
def test_clouds_that_are_no_surface(rng, shape):
    points = {
        "line": np.linspace(0, 1, 300)[:, None] * [1.0, 2.0, 0.0],
        "spread": rng.uniform(size=(300, 3)),
        "clusters": np.concatenate([rng.normal(size=(150, 3)), 1e6 + rng.normal(size=(150, 3))]),
        "specks": np.concatenate([1e-200 * rng.normal(size=(299, 3)), np.ones((1, 3))]),
        "ten": rng.normal(size=(10, 3)),
    }[shape]
    for sigma in (None, 0.1):
        moved = denoise_points(points, sigma, iterations=2)
        assert np.isfinite(moved).all()


def test_normals_are_turned_to_one_side(rng):
    from scipy.spatial import cKDTree

    parts = [rng.normal(size=(400, 3)) for _ in range(2)]
    outward = np.concatenate([p / np.linalg.norm(p, axis=1, keepdims=True) for p in parts])
    points = outward + np.repeat([[0, 0, 0], [9, 9, 9]], 400, axis=0)
    nearest = cKDTree(points).query(points, k=8)[1]
    turned = _on_one_side(outward * rng.choice([-1, 1], (800, 1)), nearest)
    signs = (turned * outward).sum(axis=1).round()
    assert all(abs(part.sum()) == 400 for part in np.split(signs, 2))


@pytest.mark.parametrize(("share", "expected"), [(0.3, 1), (0.5, 1), (0.7, 2), (1.2, 2)])
def test_two_iterations_where_the_noise_is_wide_and_h_by_the_noise(monkeypatch, share, expected):
    """The second meets what the first leaves of the noise, 0.35 of it."""
    y, x = np.mgrid[:20, :20]
    grid = np.stack([x, y, 0 * x], axis=-1).reshape(-1, 3) / 10.0
    made = []
    true = points_module.gaussian

    def gaussian(h, sigma):
        made.append((h, sigma))
        return true(h=h, sigma=sigma)

    monkeypatch.setattr(points_module, "gaussian", gaussian)
    sigma = share * point_side(grid, 1)
    denoise_points(grid, sigma, patch_neighbours=30, search_neighbours=20)
    assert len(made) == expected
    for h, noise in made:
        assert h == pytest.approx(1.3 * noise)
    if expected == 2:
        assert made[1][1] == pytest.approx(0.35 * made[0][1], rel=0.2)
    made.clear()
    denoise_points(grid, sigma, patch_neighbours=30, search_neighbours=20, strength=2, iterations=1)
    assert made[0][0] == pytest.approx(2.6 * made[0][1])


def test_progress_rises_to_one(ball):
    seen = []
    denoise_points(ball, iterations=2, progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    assert len(seen) > 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sigma": -1}, "sigma is -1"),
        ({"patch_neighbours": 1501}, "patch_neighbours is 1501; .* to 1500, the number"),
        ({"patch_neighbours": 5}, "patch_neighbours is 5"),
        ({"search_neighbours": 0}, "search_neighbours is 0"),
        ({"strength": 0}, "strength is 0"),
        ({"iterations": 0}, "iterations is 0"),
        ({"threads": 0}, "threads is 0"),
    ],
)
def test_bad_arguments_in_one_line(ball, arguments, message):
    with pytest.raises(ValueError, match=message) as caught:
        denoise_points(ball, **arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("points", "kind", "message"),
    [
        (np.zeros((20, 2)), ValueError, r"shape \(20, 2\)"),
        (np.zeros((20, 3), int), TypeError, "int64"),
        (np.ones((20, 3), np.uint8), TypeError, "positions are floats"),
        (np.ones((20, 3)), ValueError, "1 distinct points; at least 10"),
        (np.full((20, 3), np.nan), ValueError, "60 NaN or infinite"),
    ],
)
def test_bad_points_in_one_line(points, kind, message):
    with pytest.raises(kind, match=message) as caught:
        denoise_points(points)
    assert "\n" not in str(caught.value)
    with pytest.raises(kind, match=message):
        estimate_points_sigma(points)
