"""The classical filter: the non-learned special case of the generic operation."""

from __future__ import annotations

from typing import Literal

from numpy.typing import ArrayLike

from nlmeans.base.checks import ParameterError, check_number
from nlmeans.operation.embed import Identity, PatchWeighting
from nlmeans.operation.maps import checked_map, is_map
from nlmeans.operation.operation import Operation
from nlmeans.operation.pairwise import Arithmetic, gaussian
from nlmeans.operation.support import Border, Window

# For 7x7 patches and 21x21 windows the best is 0.8 at sigma 15, 0.65 at 25 and 0.5 at 50 (on 0 to
# 255; every 20th image of Train400).
PLAIN_H_OVER_SIGMA = 0.65


def nl_means(
    sigma: float | ArrayLike = 0.0,
    h: float | ArrayLike | None = None,
    patch_size: int | tuple[int, ...] = 7,
    search_size: int | tuple[int, ...] = 21,
    *,
    patch_weighting: PatchWeighting = "uniform",
    centre: Literal["one", "max", "zero"] = "one",
    border: Border = "inside",
    cut: float = 0.0,
    arithmetic: Arithmetic = "exact",
) -> Operation:
    """Classical non-local means as an `Operation`.

    y_i = 1/C sum over the window of exp(-max(MSD_ij - 2 sigma^2, 0)/h^2) x_j

    Parameters
    ----------
    sigma : float, from 0, or array of the shape of the array's positions
        Standard deviation of the noise, in the array's own units.
    h : float, above 0, or array of the shape of the array's positions
        Filter strength, in the array's own units; 0.65 sigma by default, the best for the
        default sizes; `denoise` chooses sizes and h by the image. With a map of sigma or h a pair
        has sigma_i^2 + sigma_j^2 in place of 2 sigma^2, and h_i h_j in place of h^2.
    patch_size, search_size : odd int, or one per axis
        Full sides in pixels.
    patch_weighting : {"uniform", "gaussian", "off-centre"}
        Of the pixels in MSD, the patches' mean squared difference over pixels and channels; see
        `Patches`.
    centre : {"one", "max", "zero"}
        The weight of a pixel for itself: 1, the largest of the others, or 0.
    border : {"inside", "mirror"}
        Candidates inside the image only, or mirrored at its border. Patches are always mirrored.
    cut : float, 0 to 1
        Weights below this are 0.
    arithmetic : {"exact", "scikit-image"}
        Of the weights; see `Pairwise`.

    Raises
    ------
    ParameterError
        If a number is out of range, or both sigma and h are missing.

    References
    ----------
    A. Buades, B. Coll, J.-M. Morel, "A review of image denoising algorithms, with a new one",
    Multiscale Modeling and Simulation 4(2), 2005; "Non-Local Means Denoising", IPOL 2011.

    Examples
    --------
    >>> import numpy as np, nlmeans
    >>> op = nlmeans.nl_means(sigma=20, h=8, patch_size=5)
    >>> op(np.full((32, 32), 7, np.uint8)).max()
    np.uint8(7)
    """
    if not is_map(sigma):
        sigma = check_number("sigma", sigma, low=0)
    if h is None:
        sigmas = checked_map("sigma", sigma, 0.0)
        if not sigmas.all():
            raise ParameterError("h is missing and sigma is 0; give h, or a sigma above 0")
        h = PLAIN_H_OVER_SIGMA * sigmas
    return Operation(
        f=gaussian(
            h,
            sigma,
            patch_size,
            patch_weighting=patch_weighting,
            centre=centre,
            cut=cut,
            arithmetic=arithmetic,
        ),
        g=Identity(),
        over=Window(search_size, border),
    )
