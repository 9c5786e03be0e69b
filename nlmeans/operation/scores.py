"""The score of a pair, and another program's arithmetic of it, as the literal loops take them."""

from math import inf, log, prod

import numpy as np
from numpy.typing import NDArray

from nlmeans.operation.embed import Patches
from nlmeans.operation.pairwise import Pairwise


def score(
    f: Pairwise,
    query: NDArray[np.float64],
    key: NDArray[np.float64],
    terms: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
) -> float:
    """The scaled score of one query and one key, without the key's bias.

    With maps, `terms` are theirs of the two: sigma_i^2 and 1/h_i, sigma_j^2 and 1/h_j.
    """
    if f.score == "distance":
        noise, scale = f.noise, f.scale
        if terms is not None:
            (noise_i, scale_i), (noise_j, scale_j) = terms
            noise, scale = noise + noise_i + noise_j, scale * scale_i * scale_j
        return -max(float(((query - key) ** 2).sum()) - noise, 0.0) * scale
    if f.score == "dot":
        return f.scale * float(query @ key)
    return f.scale * float(query.item() + key.item())


def rough_exp(s: NDArray[np.float64]) -> NDArray[np.float64]:
    """exp(s) within 4 % for s from -700 to 0; lower ones count as -700.

    2^20 s/log(2) + 1023 2^20 - 60801, without its fraction, is the upper half of the bits of a
    double near exp(s): N. Schraudolph, "A Fast, Compact Approximation of the Exponential Function",
    Neural Computation 11(4), 1999.

    Examples
    --------
    >>> rough_exp(np.array([0.0, -1.0])).round(3).tolist()
    [0.971, 0.375]
    """
    product = np.trunc(np.maximum(s, -700.0) * 1512775.3951951856938)
    return (product.astype(np.int64) + 1072632447 << 32).view(np.float64)


def cut_by_rows(
    f: Pairwise, query: NDArray[np.float64], keys: NDArray[np.float64], axes: int
) -> NDArray[np.bool_]:
    """Whether rows of the patches make a weight 0, of query (d,) and keys (..., d).

    See `Pairwise.arithmetic`; `axes` are those of the array besides channels.
    """
    assert isinstance(f.query, Patches)
    sides = [2 * r + 1 for r in f.query.radius(axes)]
    squares = ((keys - query) ** 2).reshape(*keys.shape[:-1], -1, sides[0], prod(sides[1:]))
    rows = squares.sum((-3, -1)) - f.noise * f.query.taps(axes)[0]
    first = np.cumsum(rows, axis=-1)[..., :-1]
    limit = -log(f.cut) if f.cut else inf
    cut: NDArray[np.bool_] = np.any(f.scale * first > limit, axis=-1)
    return cut
