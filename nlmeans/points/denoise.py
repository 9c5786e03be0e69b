"""Denoising of point clouds: the classical filter on heights over local frames.

Around every point a plane is fitted. The heights of the points nearby, resampled over that plane
on a small grid turned to the surface's own directions, are the patch; the point's own height is
the value. Heights are averaged with weights of patches alike, by the same Operation that filters
images, and the point moves along the normal to the average height: corners and ridges find points
that lie on like corners and ridges, where the mean of neighbours would round them off.

J.-E. Deschaud, F. Goulette, "Point Cloud Non Local Denoising Using Local Surface Descriptor
Similarity", PCV 2010. T. Guillemot, A. Almansa, T. Boubekeur, "Non Local Point Set Surfaces",
3DIMPVT 2012.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nlmeans.base.arrays import checked_array
from nlmeans.base.checks import check_number, check_threads, check_whole
from nlmeans.base.cost import Cost, check_limit, not_enough
from nlmeans.base.machine import cores
from nlmeans.base.progress import between, part_of
from nlmeans.base.scaling import exponent_of, largest_of
from nlmeans.operation.operation import Operation
from nlmeans.operation.pairwise import gaussian
from nlmeans.operation.support import Neighbours
from nlmeans.points.surfaces import (
    AT_ONCE,
    Float64s,
    Indices,
    noise_level,
    point_side,
    surface_around,
)

FEWEST = 10  # distinct points that make a surface
# Chosen on tori, octahedra and folded sheets, sampled evenly and unevenly, with noise from 0.1 to
# 1.5 of the side of the square that a point has on the surface.
SEARCH_NEIGHBOURS = 150
PATCH_FEWEST, PATCH_GROWTH, PATCH_MOST = 30, 80, 128  # neighbours: without noise, per side, at most
STRENGTH = 1.3  # h, in standard deviations of a patch's noise
TWICE = 0.6  # noise, in sides, from which on a second iteration gains
# Of a neighbour of a point on a thread, as measured: of patches and of the search together.
SECONDS_A_NEIGHBOUR, BYTES_A_NEIGHBOUR = 6e-7, 400
RESIDUAL = 0.35  # of the noise left by an iteration, which the next one meets


def denoise_points(
    points: ArrayLike,
    sigma: float | None = None,
    *,
    patch_neighbours: int | None = None,
    search_neighbours: int | None = None,
    strength: float = 1.0,
    iterations: int | None = None,
    threads: int | None = None,
    max_memory: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> NDArray[Any]:
    """Move the points of a scanned surface to where the surface seems to be.

    Parameters
    ----------
    points : array (N, 3)
        float16, float32 or float64, in any unit and order; never changed. Equal points stay equal.
    sigma : float, optional
        Standard deviation of the noise along each axis, in the points' unit; estimated by default.
    patch_neighbours : int, 6 to N, optional
        Nearest points that a patch is made of; by default 30 to 128, the more the noisier.
    search_neighbours : int, 1 to N, optional
        Nearest points whose patches are compared; 150 by default, or all if there are fewer.
    strength : float
        Factor of the filter's h: below 1 keeps more detail, above 1 removes more noise.
    iterations : int, optional
        How often all this is done; by default once, or twice if points are hardly farther apart
        than the noise is wide.
    threads : int, optional
        At most this many; all that the process may use by default.
    max_memory : int, optional
        Bytes that may be taken above the points, as `expected_points_cost` counts them; what takes
        more is refused.
    progress : callable, optional
        Called now and then with the fraction done, 0 to 1.

    Returns
    -------
    array (N, 3) of the same dtype, in the same order

    Raises
    ------
    TypeError, ValueError
        If the points are no (N, 3) of floats, hold NaN, or are fewer than 10 distinct ones.
    ParameterError
        If a number is out of its range.
    MemoryError
        If max_memory cannot be kept: in one line with both figures.

    Examples
    --------
    >>> import numpy as np, nlmeans
    >>> rng = np.random.default_rng(0)
    >>> plane = rng.uniform(-1, 1, (2000, 3)) * [1, 1, 0]
    >>> noisy = plane + rng.normal(0, 0.01, plane.shape)
    >>> denoised = nlmeans.denoise_points(noisy, sigma=0.01)
    >>> bool(denoised[:, 2].std() < 0.5 * noisy[:, 2].std())
    True
    """
    check_limit(max_memory)
    cloud = _Cloud.of(points)
    count = len(cloud.distinct)
    if sigma is not None:
        sigma = check_number("sigma", sigma, low=0)
    search = _neighbours("search_neighbours", search_neighbours, SEARCH_NEIGHBOURS, 1, count)
    strength = check_number("strength", strength, low=0, above=True)
    if iterations is not None:
        check_whole("iterations", iterations)
    check_threads(threads)
    level = noise_level(cloud.distinct, threads) if sigma is None else sigma / cloud.unit
    relative = level / point_side(cloud.distinct, threads)
    usual = round(min(PATCH_FEWEST + PATCH_GROWTH * relative, PATCH_MOST))
    patch = _neighbours("patch_neighbours", patch_neighbours, usual, 6, count)

    if iterations is None:
        iterations = 2 if relative > TWICE else 1
    needed = expected_points_cost(count, patch, search, threads=threads).bytes
    if max_memory is not None and needed > max_memory:
        raise not_enough(needed, max_memory)
    moved = cloud.distinct
    for k in range(iterations):
        if level > 0:
            part = part_of(progress, k, iterations)
            moved = _moved(moved, level, patch, search, strength * STRENGTH, threads, part)
        level *= RESIDUAL
    if progress is not None:
        progress(1.0)
    return cloud.like_given(moved)


def expected_points_cost(
    count: int,
    patch_neighbours: int = PATCH_FEWEST,
    search_neighbours: int = SEARCH_NEIGHBOURS,
    iterations: int = 1,
    *,
    threads: int | None = None,
) -> Cost:
    """About how long `denoise_points` takes on so many points, and the memory above them.

    Measured on clouds of 5000, 20 000 and 100 000 points.

    Examples
    --------
    >>> import nlmeans
    >>> nlmeans.expected_points_cost(1_000_000, threads=1).bytes > 1e9
    True
    """
    workers = threads or cores()
    neighbours = patch_neighbours + search_neighbours
    # Lists of neighbours, patches and padded rows of them; a part of the points for each thread.
    held = count * (1700 + 16 * patch_neighbours + 8 * search_neighbours)
    held += workers * AT_ONCE * (patch_neighbours + 10) * BYTES_A_NEIGHBOUR
    return Cost(iterations * count * neighbours * SECONDS_A_NEIGHBOUR / workers, held)


def estimate_points_sigma(points: ArrayLike, *, threads: int | None = None) -> float:
    """The standard deviation of the noise of a point cloud along each axis, in its own unit.

    The lower quartile of what is left of neighbourhoods beside the quadrics fitted to them, so that
    edges, where none fits, do not count. Structure finer than the neighbourhoods counts as noise.

    Parameters and errors are those of `denoise_points`.

    Examples
    --------
    >>> import numpy as np, nlmeans
    >>> rng = np.random.default_rng(0)
    >>> plane = rng.uniform(-1, 1, (2000, 3)) * [1, 1, 0]
    >>> sigma = nlmeans.estimate_points_sigma(plane + rng.normal(0, 0.01, plane.shape))
    >>> bool(0.009 < sigma < 0.011)
    True
    """
    check_threads(threads)
    cloud = _Cloud.of(points)
    return noise_level(cloud.distinct, threads) * cloud.unit


class _Cloud(NamedTuple):
    """Distinct points about the origin, within [-1, 1]: no unit or place changes the result."""

    given: NDArray[Any]
    distinct: Float64s
    places: Indices  # of the points given among the distinct ones
    middle: Float64s
    unit: float  # a power of two

    @classmethod
    def of(cls, points: ArrayLike) -> _Cloud:
        given = checked_array("points", points)
        if given.dtype.kind != "f":
            raise TypeError(
                f"points has dtype {given.dtype}; positions are floats: use astype(float)"
            )
        if given.ndim != 2 or given.shape[1] != 3:
            raise ValueError(f"points has shape {given.shape}; (N, 3) is needed: a row a point")
        distinct, places = np.unique(given, axis=0, return_inverse=True)
        if len(distinct) < FEWEST:
            raise ValueError(
                f"points has {len(distinct)} distinct points; at least {FEWEST} are needed"
            )
        exact = distinct.astype(np.float64)
        middle = exact.min(axis=0) / 2 + exact.max(axis=0) / 2
        exact -= middle
        unit = 2.0 ** exponent_of(largest_of(exact))
        return cls(given, exact / unit, places.reshape(-1), middle, unit)

    def like_given(self, moved: Float64s) -> NDArray[Any]:
        if moved is self.distinct:
            return self.given.copy()
        return (moved * self.unit + self.middle).astype(self.given.dtype)[self.places]


def _neighbours(name: str, number: int | None, usual: int, low: int, count: int) -> int:
    if number is None:
        return min(usual, count)
    return check_whole(
        name, number, low=low, high=count, otherwise=", the number of distinct points"
    )


def _moved(
    points: Float64s,
    sigma: float,
    patch: int,
    search: int,
    strength: float,
    threads: int | None,
    progress: Callable[[float], None] | None,
) -> Float64s:
    """The points, moved along their normals to the non-local mean of their heights."""
    surface = surface_around(points, patch, threads, between(progress, 0, 0.6))
    noise = sigma * math.sqrt(surface.share)  # what a sample of a patch has of it
    operation = Operation(
        gaussian(h=strength * noise, sigma=noise), over=Neighbours(points, k=search)
    )
    heights = operation(
        surface.heights, guide=surface.patches, threads=threads, progress=between(progress, 0.6, 1)
    )
    return points + (heights - surface.heights)[:, None] * surface.normals
