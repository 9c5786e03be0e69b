"""How near do denoised point clouds come to the true surface, and how sharp do edges stay?

    python benchmarks/points.py

Data: made up. Time: about a minute.

RMS distances to the surface over sigma. The plain average of the k nearest points takes the k, of
several, that is best for the surface as a whole; the filter estimates its noise level.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from measure import options_of
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from nlmeans import denoise_points

Points = NDArray[np.float64]
AVERAGED = (4, 6, 8, 12, 16, 24, 32, 48, 64)  # neighbours
SEED = 3


class Shape(NamedTuple):
    name: str
    clean: Points
    distance: Callable[[Points], NDArray[np.float64]]
    edge: NDArray[np.bool_]  # points near an edge


def sphere(count: int, rng: np.random.Generator) -> Shape:
    points = rng.normal(size=(count, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return Shape(
        "sphere", points, lambda p: np.linalg.norm(p, axis=1) - 1, np.zeros(count, np.bool_)
    )


def cube(count: int, rng: np.random.Generator) -> Shape:
    points = rng.uniform(-1, 1, (count, 3))
    points[np.arange(count), rng.integers(3, size=count)] = rng.choice([-1, 1], count)
    second = np.sort(np.abs(points), axis=1)[:, 1]
    return Shape("cube", points, to_cube, second > 0.96)


def to_cube(points: Points) -> NDArray[np.float64]:
    beyond = np.abs(points) - 1
    inside = np.minimum(beyond.max(axis=1), 0)
    distance: NDArray[np.float64] = np.linalg.norm(np.maximum(beyond, 0), axis=1) - inside
    return distance


def scan(count: int, rng: np.random.Generator) -> Shape:
    """Bumps on a plain, seen obliquely from one place: uneven, with the far sides missing."""
    eye = np.array([-2.5, 0.3, 1.5])
    across, down = np.tan(rng.uniform(-0.4, 0.4, 2 * count)), rng.uniform(-0.95, -0.38, 2 * count)
    rays = np.stack([np.ones_like(across), across, down], axis=1)
    near, far = np.full(len(rays), np.nan), 0.0
    for step in np.arange(1.0, 4.5, 0.004):  # the first crossing of each ray
        place = eye + step * rays
        below = np.isnan(near) & (place[:, 2] < height(place[:, 0], place[:, 1]))
        near[below] = far
        far = step
    low, high = near, near + 0.004
    for _ in range(30):
        middle = (low + high) / 2
        place = eye + middle[:, None] * rays
        below = place[:, 2] < height(place[:, 0], place[:, 1])
        low, high = np.where(below, low, middle), np.where(below, middle, high)
    points = eye + low[:, None] * rays
    points = points[(np.abs(points[:, :2]) < 1).all(axis=1)][:count]  # NaN is not below 1
    x, y = np.meshgrid(*2 * (np.arange(-1.2, 1.2, 0.003),), indexing="ij")
    truth = np.stack([x.ravel(), y.ravel(), height(x, y).ravel()], axis=1)
    slopes = np.gradient(height(x, y), 0.003)
    normals = np.stack([-slopes[0].ravel(), -slopes[1].ravel(), np.ones(x.size)], axis=1)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    tree = cKDTree(truth)

    def distance(p: Points) -> NDArray[np.float64]:
        at = tree.query(p)[1]
        apart: NDArray[np.float64] = ((p - truth[at]) * normals[at]).sum(axis=1)
        return apart

    return Shape("scan", points, distance, np.zeros(len(points), np.bool_))


def height(x: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
    places = ((-0.5, -0.4, 0.2), (-0.3, 0.5, 0.15), (0.3, -0.1, 0.25), (0.6, 0.6, 0.12))
    bumps = sum(0.9 * w * np.exp(-((x - a) ** 2 + (y - b) ** 2) / w**2) for a, b, w in places)
    return bumps + 0.03 * np.sin(9 * x + 2 * y)


def average(points: Points, neighbours: int) -> Points:
    mean: Points = points[cKDTree(points).query(points, k=neighbours)[1]].mean(axis=1)
    return mean


def rms(values: NDArray[Any]) -> float:
    return float(np.sqrt(np.mean(values**2))) if values.size else float("nan")


class Distances(NamedTuple):
    """RMS distances, over all points and near edges."""

    noisy: tuple[float, float]
    filtered: tuple[float, float]
    averaged: tuple[float, float]
    neighbours: int  # of the average
    seconds: float


def measure(surface: Shape, sigma: float, rng: np.random.Generator, **options: Any) -> Distances:
    noisy = surface.clean + rng.normal(0, sigma, surface.clean.shape)

    def both(points: Points) -> tuple[float, float]:
        apart = surface.distance(points)
        return rms(apart), rms(apart[surface.edge])

    start = time.perf_counter()
    filtered = denoise_points(noisy, **options)
    seconds = time.perf_counter() - start
    averages = [(both(average(noisy, k)), k) for k in AVERAGED]
    averaged, neighbours = min(averages)
    return Distances(both(noisy), both(filtered), averaged, neighbours, seconds)


def main() -> None:
    options_of(__doc__).parse_args()
    rng = np.random.default_rng(SEED)
    surfaces = [sphere(20000, rng), cube(30000, rng), scan(20000, rng)]
    denoise_points(surfaces[0].clean[:100], 0.01)  # compiles
    print("surface  points  sigma   noisy  filtered        k nearest    edges: filtered  k nearest")
    for surface in surfaces:
        for sigma in (0.005, 0.01, 0.02):
            got = measure(surface, sigma, rng)
            left = f"{got.filtered[0] / sigma:.2f} ({got.filtered[0] / got.noisy[0] - 1:+.0%})"
            mean = f"{got.averaged[0] / sigma:.2f} (k {got.neighbours})"
            edges = (
                f"{got.filtered[1] / sigma:15.2f}  {got.averaged[1] / sigma:9.2f}"
                if surface.edge.any()
                else ""
            )
            print(
                f"{surface.name:7}  {len(surface.clean):6}  {sigma:5}   {got.noisy[0] / sigma:5.2f}"
                f"  {left:14}  {mean:12} {edges}  {got.seconds:.1f} s"
            )


if __name__ == "__main__":
    main()
