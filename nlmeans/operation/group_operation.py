"""What `GroupMeans` does to one group of like patches, as an Operation."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from nlmeans.base.arrays import checked_array
from nlmeans.base.checks import LARGEST_NUMBER, SMALLEST_NUMBER, check_number
from nlmeans.operation.embed import Linear
from nlmeans.operation.operation import Operation
from nlmeans.operation.pairwise import dot_product


def group_operation(patches: ArrayLike, sigma: float) -> Operation:
    """The average of least expected error over a group of patches, as a dot product.

        z_i = sum over j of f(p_i, p_j) y_j
        f(p_i, p_j) = 1/k + theta(p_i) . theta(p_j),  theta(p) = (P P^T + n sigma^2 I)^-1/2 (p - m)

    The positions are the k patches of n pixels, m is their mean, and p_1 - m to p_k - m are the
    columns of P. Where the patches p are free of noise and y is p with noise of variance sigma^2,
    no other weights that sum to 1 and do not depend on the noise have a smaller expected squared
    error.

    Parameters
    ----------
    patches : array (k, n), k from 2
        Those of the pilot, or the noisy ones.
    sigma : float, above 0
        Standard deviation of the noise, in the units of the patches.

    Returns
    -------
    Operation
        Called on noisy patches (k, n) with channel_axis=-1, and with the patches given here as its
        guide unless they are the same.

    Raises
    ------
    TypeError, ValueError
        If the patches are no such array, or sigma is out of its range, in one line.

    References
    ----------
    S. Herbreteau, C. Kervrann, "Towards a unified view of unsupervised non-local methods for image
    denoising: the NL-Ridge approach", ICIP 2022. Their weights, P^T P (P^T P + n sigma^2 I)^-1, are
    P^T (P P^T + n sigma^2 I)^-1 P: a dot product of embedded patches.

    Examples
    --------
    >>> import numpy as np, nlmeans
    >>> noisy = np.random.default_rng(0).normal(100, 5, (30, 49))  # of an even area
    >>> average = nlmeans.group_operation(noisy, sigma=5)
    >>> average.affinity(noisy, 0, channel_axis=-1).sum().round(6).item()  # the weights of one
    1.0
    >>> bool(average(noisy, channel_axis=-1).std() < 4)
    True
    """
    patches = checked_array("patches", patches)
    if patches.ndim != 2 or len(patches) < 2:
        raise ValueError(
            f"patches have shape {patches.shape}; k rows of n pixels are needed, k from 2"
        )
    sigma = check_number("sigma", sigma, low=SMALLEST_NUMBER, high=LARGEST_NUMBER)
    patches = patches.astype(np.float64)
    count, pixels = patches.shape
    mean = patches.mean(axis=0)
    _, spreads, directions = np.linalg.svd(patches - mean, full_matrices=False)
    # Directions in which no patch differs from the mean but by rounding add nothing to a product.
    differs = spreads > np.finfo(np.float64).eps * max(count, pixels) * np.abs(patches).max()
    factors = differs / np.hypot(spreads, np.sqrt(pixels) * sigma)
    theta = factors[:, None] * directions
    embedding = Linear(theta, -theta @ mean)
    same = Linear(np.zeros((1, pixels)), [1.0])
    return Operation(dot_product(embedding, embedding, scale=count, key_bias=same))
