"""Weights from one image: patches compared in their principal components, without learning."""

from __future__ import annotations

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from nlmeans.base.arrays import image_planes
from nlmeans.base.checks import ParameterError, check_number, check_whole
from nlmeans.denoising.table import table_row
from nlmeans.noise.level import estimate_sigma, joint_sigma
from nlmeans.operation.block import Block
from nlmeans.operation.embed import Linear, Patches, widen
from nlmeans.operation.operation import Operation
from nlmeans.operation.pairwise import Pairwise
from nlmeans.operation.support import Window

Floats = NDArray[np.float64]
MOST_PATCHES = 20_000  # of the image that the components come from
SHUFFLES = 5
# The fewer numbers a distance has, the further its noise spreads: h/sigma is this times d^(-1/3).
# Best for d from 3 to 49 at sigma 25 and 50, on crops of every 50th image of Train400, where d of 6
# to 16 are best: 0.3 dB above all 49 components at sigma 25, 0.4 at 50.
H_OVER_SIGMA = 2.8


def pca_weights(
    image: ArrayLike,
    sigma: float | None = None,
    *,
    h: float | None = None,
    patch_size: int | tuple[int, ...] = 7,
    search_size: int | tuple[int, ...] | None = None,
    components: int | None = None,
    channel_axis: int | None = None,
    seed: int = 0,
) -> Block:
    """Non-local means with distances between an image's own principal components of patches.

    f = exp(-max(|theta P_i - theta P_j|^2 - 2 sigma^2, 0) / h^2), the rows of theta d components
    over sqrt(d): the patch's mean, whose variance would hide that of others, and the first
    components of patches without it. These are found by parallel analysis: they count as long as
    their variance exceeds what the same patches give with each pixel shuffled among them.

    Parameters
    ----------
    image : array (H, W), or with channels along `channel_axis`
    sigma : float, above 0, optional
        Standard deviation of the noise in the image's own units; estimated by default.
    h : float, above 0, optional
        Filter strength in the image's own units; 2.8 sigma d^(-1/3) by default.
    patch_size, search_size : odd int, or one per axis
        Full sides in pixels; the window by default as `denoise` takes it.
    components : int, from 1, optional
        d; by parallel analysis by default.
    channel_axis : int, optional
    seed : int
        Of the shuffles.

    Returns
    -------
    Block
        For images in the units of this one.

    Raises
    ------
    TypeError, ValueError
        In one line, for an image or a number that is not allowed, or an image without noise.

    References
    ----------
    T. Tasdizen, "Principal neighborhood dictionaries for nonlocal means image denoising", IEEE
    Transactions on Image Processing 18(12), 2009; J. L. Horn, "A rationale and test for the number
    of factors in factor analysis", Psychometrika 30, 1965.

    Examples
    --------
    >>> import numpy as np, nlmeans
    >>> stripes = 100.0 * (np.indices((64, 64)).sum(0) // 8 % 2)
    >>> noisy = stripes + np.random.default_rng(0).normal(0, 20, stripes.shape)
    >>> block = nlmeans.pca_weights(noisy, patch_size=5)
    >>> block.operation.f.query.weight.shape
    (4, 25)
    """
    planes = image_planes("image", image, channel_axis)
    if sigma is None:
        sigma = joint_sigma(estimate_sigma(planes, channel_axis=0))
        if sigma == 0:
            raise ValueError("the image holds no noise to be removed; give sigma")
    sigma = check_number("sigma", sigma, low=0, above=True)
    patches = Patches(patch_size, "none")
    samples = _some_patches(patches, planes, seed)
    if samples.shape[1] == 1:
        raise ParameterError(
            f"patch_size is {patch_size!r}, and the image has one channel: patches of one number "
            "have no components; take a patch_size from 3"
        )
    rows, found = _components(samples, seed)
    if components is not None:
        found = check_whole("components", components, high=len(rows))
    if h is None:
        h = H_OVER_SIGMA * sigma * found ** (-1 / 3)
    h = check_number("h", h, low=0, above=True)
    if search_size is None:
        search_size = table_row(sigma, planes, 0).search_size
    theta = Linear(rows[:found] / math.sqrt(found), of=patches)
    f = Pairwise(
        "principal components",
        "distance",
        "exp",
        "sum",
        theta,
        theta,
        scale=1 / h**2,
        noise=2 * sigma**2,
    )
    return Block(Operation(f, over=Window(search_size)), residual=False)


def _some_patches(patches: Patches, planes: Floats, seed: int) -> Floats:
    """(count, P), at random places."""
    count = min(MOST_PATCHES, planes[0].size)
    places = np.random.default_rng(seed).permutation(planes[0].size)[:count]
    grid = planes.shape[1:]
    radius = patches.radius(len(grid))
    wide = widen(np.moveaxis(planes, 0, -1), radius)
    sides = tuple(2 * r + 1 for r in radius)
    every = sliding_window_view(wide, sides, axis=tuple(range(len(grid))))  # a view: no copies
    some = every[np.unravel_index(places, grid)].reshape(count, -1)
    return np.ascontiguousarray(some, np.float64)


def _components(samples: Floats, seed: int) -> tuple[Floats, int]:
    """All components as rows, the mean first, and how many chance does not explain."""
    rng = np.random.default_rng(seed)
    centred = samples - samples.mean(axis=1, keepdims=True)
    centred -= centred.mean(axis=0)
    variances, columns = np.linalg.eigh(centred.T @ centred)
    by_chance = np.zeros(len(variances))
    for _ in range(SHUFFLES):
        shuffled = rng.permuted(centred, axis=0)
        by_chance += np.linalg.eigvalsh(shuffled.T @ shuffled) / SHUFFLES
    # The mean has no variance left. By chance it is spread over one direction more.
    by_chance *= len(by_chance) / (len(by_chance) - 1)
    exceed = variances[:0:-1] > by_chance[:0:-1]
    count = len(exceed) if exceed.all() else int(np.argmin(exceed))
    rows = columns.T[:0:-1]
    # The sign of a component is arbitrary: its largest entry is made positive.
    largest = rows[np.arange(len(rows)), np.abs(rows).argmax(axis=1)]
    mean = np.full((1, len(columns)), len(columns) ** -0.5)
    return np.concatenate([mean, rows * np.sign(largest)[:, None]]), 1 + count
