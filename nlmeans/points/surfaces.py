"""The surface around every point of a cloud: normals, heights over local planes, patches, noise.

Normals are given consistent sides after H. Hoppe et al., "Surface Reconstruction from Unorganized
Points", SIGGRAPH 1992.
"""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nlmeans.base.blas import blas_at_most
from nlmeans.base.progress import Progress, between

Float64s = NDArray[np.float64]
Indices = NDArray[np.intp]

WINDOW = 0.7  # standard deviation of the plane's weights, in radii of the patch
GRID, SPAN = 5, 0.85  # of a patch: samples along a side, and half its width in radii
SAMPLE = 0.25  # standard deviation of what a sample takes in, in radii
TAPS = 0.75  # standard deviation of the weights of a patch's samples, in radii
FAINT = 0.05  # weight of height 0 in every sample, which decides where no point is near
AT_ONCE = 1024  # points worked on together
FITTED, WIDEST = 24, 384  # neighbours to estimate the noise from: at first, at most
LOW, LOW_NORMAL = 0.25, -0.6745  # quantile of their residuals that counts, and the normal's
THIN = 0.25  # noise, in radii of a neighbourhood, up to which it looks like a surface
MOST_FITTED = 5000  # neighbourhoods looked at for the noise
ORIENTED = 10  # neighbours whose normals are compared
TINY = 1e-100  # radius of neighbourhoods too small for their squares


def point_side(points: Float64s, threads: int | None) -> float:
    """Of the square that a point has on the surface, in the median."""
    neighbours = min(FITTED, len(points))
    _, radii = _nearest(points, neighbours, threads, math.ceil(len(points) / MOST_FITTED))
    return float(np.median(radii)) * math.sqrt(math.pi / neighbours)


class Surface(NamedTuple):
    normals: Float64s  # (N, 3)
    heights: Float64s  # (N,), of the points over their planes
    patches: Float64s  # (N, GRID^2), heights around, weighted
    share: float  # of the noise's variance that a sample of a patch has, in the median


def surface_around(
    points: Float64s, neighbours: int, threads: int | None, progress: Progress | None
) -> Surface:
    """Planes, normals on one side of the surface, heights and patches."""
    nearest, radii = _nearest(points, neighbours, threads)

    def planes(chunk: slice) -> tuple[Float64s, Float64s]:
        return _planes(points[nearest[chunk]], radii[chunk])

    def patches(chunk: slice) -> tuple[Float64s, Float64s]:
        return _patches(points[nearest[chunk]], radii[chunk], centres[chunk], normals[chunk])

    centres, normals = _in_chunks(planes, len(points), threads, between(progress, 0, 0.3))
    normals = _on_one_side(normals, nearest[:, :ORIENTED])
    around, shares = _in_chunks(patches, len(points), threads, between(progress, 0.3, 1))
    heights = ((points - centres) * normals).sum(axis=1)
    return Surface(normals, heights, around, float(np.median(shares)))


def _in_chunks(
    work: Callable[[slice], tuple[Float64s, ...]],
    count: int,
    threads: int | None,
    progress: Progress | None = None,
) -> list[Float64s]:
    """The arrays that `work` makes of parts of `count` points, put together."""
    from nlmeans.base.machine import usable_threads

    chunks = [slice(k, k + AT_ONCE) for k in range(0, count, AT_ONCE)]
    done = []
    pool = ThreadPoolExecutor(threads or usable_threads())
    with blas_at_most(1):  # in each of the pool's threads
        try:
            for k, arrays in enumerate(pool.map(work, chunks)):
                done.append(arrays)
                if progress is not None:
                    progress((k + 1) / len(chunks))
        finally:
            pool.shutdown(cancel_futures=True)
    return [np.concatenate(parts) for parts in zip(*done, strict=True)]


def _nearest(
    points: Float64s, neighbours: int, threads: int | None, step: int = 1
) -> tuple[Indices, Float64s]:
    """The nearest of every step-th point, itself first, and how far they reach."""
    from scipy.spatial import cKDTree

    some = points[::step]
    distances, nearest = cKDTree(points).query(some, k=neighbours, workers=threads or -1)
    return nearest, np.maximum(distances[:, -1], TINY)


def _planes(near: Float64s, radii: Float64s) -> tuple[Float64s, Float64s]:
    """The weighted mean of a point's neighbourhood and the direction it varies least in."""
    away = near - near[:, :1]
    weights = _window((away**2).sum(axis=2), radii)
    centres = np.einsum("ik,ikd->id", weights, near)
    away = (near - centres[:, None]) / radii[:, None, None]
    covariances = np.einsum("ik,ikd,ike->ide", weights, away, away, optimize=True)
    return centres, np.linalg.eigh(covariances)[1][:, :, 0]


def _window(squares: Float64s, radii: Float64s) -> Float64s:
    """Weights of neighbours by their squared distance, summing to 1."""
    weights: Float64s = np.exp(-squares / (2 * (WINDOW * radii[:, None]) ** 2))
    weights /= weights.sum(axis=1, keepdims=True)
    return weights


def _on_one_side(normals: Float64s, nearest: Indices) -> Float64s:
    """Normals turned so that those of neighbours agree, along the edges where they are most alike.

    The side itself is arbitrary, and one for each part of the cloud that hangs together.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import (
        breadth_first_order,
        connected_components,
        minimum_spanning_tree,
    )

    count, several = nearest.shape
    i, j = np.repeat(np.arange(count), several), nearest.reshape(-1)
    apart = 1.001 - np.abs((normals[i] * normals[j]).sum(axis=1))  # 0 would be no edge
    places = (i.astype(np.int32), j.astype(np.int32))  # SciPy before 1.17 takes no others
    tree = minimum_spanning_tree(csr_array((apart, places), (count, count)))
    _, parts = connected_components(tree, directed=False)
    firsts = np.unique(parts, return_index=True)[1]
    links = csr_array((np.ones(len(firsts) - 1), (firsts[:-1], firsts[1:])), (count, count))
    _, parents = breadth_first_order(tree + links, 0, directed=False)
    parents[0] = 0
    signs = np.where((normals * normals[parents]).sum(axis=1) < 0, -1.0, 1.0)
    while parents.any():  # the sign against the parent's parent, against its parent's parent, ...
        signs *= signs[parents]
        parents = parents[parents]
    return normals * signs[:, None]


def _patches(
    near: Float64s, radii: Float64s, centres: Float64s, normals: Float64s
) -> tuple[Float64s, Float64s]:
    """Heights around points, resampled; and the share of the noise's variance in a sample."""
    heights = ((near - centres[:, None]) @ normals[:, :, None])[..., 0]
    away = near - near[:, :1]
    weights = _window((away**2).sum(axis=2), radii)
    u, v = _turned(away @ _tangents(normals) / radii[:, None, None], weights * heights)
    samples = np.linspace(-SPAN, SPAN, GRID)
    along_u, along_v = (np.exp(-((t[:, :, None] - samples) ** 2) / (2 * SAMPLE**2)) for t in (u, v))
    across = along_u.transpose(0, 2, 1)
    total = across @ along_v + FAINT
    resampled = (across * heights[:, None]) @ along_v / total
    variances = across**2 @ along_v**2 / total**2
    taps = np.exp(-np.add.outer(samples**2, samples**2) / (2 * TAPS**2))
    taps /= taps.sum()
    # f divides by the number of samples, as by that of a patch's pixels.
    patches = (resampled * np.sqrt(taps * taps.size)).reshape(len(near), -1)
    return patches, (variances * taps).sum(axis=(1, 2))


def _tangents(normals: Float64s) -> Float64s:
    """Two directions at right angles to a normal and to each other, as columns."""
    helper = np.where(np.abs(normals[:, :1]) < 0.9, [[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]])
    first = np.cross(normals, helper)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    return np.stack([first, np.cross(normals, first)], axis=2)


def _turned(away: Float64s, heights: Float64s) -> tuple[Float64s, Float64s]:
    """Tangent coordinates turned to where heights curve most, the heavier side of each positive.

    Angle and sides follow from moments of the (weighted) heights, and so turn with the surface.
    """
    u, v = away[..., 0], away[..., 1]
    uu, uv, vv = ((heights * t).sum(axis=1) for t in (u * u, u * v, v * v))
    angle = np.arctan2(2 * uv, uu - vv) / 2
    angle += np.where(uu + vv < 0, np.pi / 2, 0)
    c, s = np.cos(angle)[:, None], np.sin(angle)[:, None]
    turned = (c * u + s * v, c * v - s * u)
    first, second = (
        t * np.where((heights * t * t * t).sum(axis=1) < 0, -1, 1)[:, None] for t in turned
    )
    return first, second


def noise_level(points: Float64s, threads: int | None) -> float:
    """Residuals of quadrics, of neighbourhoods wide enough for the noise found in them."""
    step = math.ceil(len(points) / MOST_FITTED)
    neighbours = min(FITTED, len(points))
    while True:
        nearest, radii = _nearest(points, neighbours, threads, step)
        (variances,) = _in_chunks(
            partial(_residuals, points, nearest, radii), len(nearest), threads
        )
        freedom = neighbours - 6
        low = float(np.quantile(variances, LOW)) / _chi_square(freedom)
        sigma = math.sqrt(low)
        if sigma < THIN * float(np.median(radii)) or 2 * neighbours > min(WIDEST, len(points)):
            return sigma
        neighbours *= 2


def _residuals(
    points: Float64s, nearest: Indices, radii: Float64s, chunk: slice
) -> tuple[Float64s]:
    """The variance about a quadric over each neighbourhood's plane."""
    near, unit = points[nearest[chunk]], radii[chunk]
    away = (near - near.mean(axis=1, keepdims=True)) / unit[:, None, None]
    axes = np.linalg.eigh(away.transpose(0, 2, 1) @ away)[1]
    heights, u, v = np.moveaxis(away @ axes, 2, 0)
    terms = np.stack([np.ones_like(u), u, v, u * u, u * v, v * v], axis=2)
    turned = terms.transpose(0, 2, 1)
    faint = 1e-9 * np.eye(6)  # for points on a line, where no quadric is the best
    fit = np.linalg.solve(turned @ terms + faint, turned @ heights[:, :, None])
    left = heights - (terms @ fit)[..., 0]
    return ((left**2).sum(axis=1) / (heights.shape[1] - 6) * unit**2,)


def _chi_square(freedom: int) -> float:
    """The quantile LOW of a chi-square variable over its mean (Wilson and Hilferty, 1931)."""
    spread = 2 / (9 * freedom)
    return (1 - spread + LOW_NORMAL * math.sqrt(spread)) ** 3
