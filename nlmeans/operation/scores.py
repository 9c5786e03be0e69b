"""The scores and weights of pairs, many at a time, and another program's arithmetic of them."""

from math import inf, log, prod

import numpy as np
from numpy.typing import NDArray

from nlmeans.operation.embed import Patches
from nlmeans.operation.pairwise import Pairwise

Float64s = NDArray[np.float64]


def scores(
    f: Pairwise, queries: Float64s, keys: Float64s, terms: tuple[Float64s, Float64s] | None = None
) -> Float64s:
    """(queries, keys), scaled, without the keys' biases.

    With maps, `terms` are theirs of both: rows of sigma_i^2 and 1/h_i, of sigma_j^2 and 1/h_j.
    """
    if f.score == "dot":
        return f.scale * (queries @ keys.T)
    if f.score == "sum":
        return f.scale * (queries + keys.T)
    noise: float | Float64s = f.noise
    scale: float | Float64s = f.scale
    if terms is not None:
        (noise_i, scale_i), (noise_j, scale_j) = (each.T for each in terms)
        noise = noise + noise_i[:, None] + noise_j
        scale = scale * scale_i[:, None] * scale_j
    squares = np.stack([((keys - one) ** 2).sum(-1) for one in queries])
    distances: Float64s = np.maximum(squares - noise, 0)
    return -scale * distances


def weights(f: Pairwise, scores: Float64s) -> Float64s:
    """f of scores less any that exp is kept in range by; minus infinity has none."""
    if f.arithmetic != "exact":
        return np.where(np.isfinite(scores), rough_exp(scores), 0.0)
    if f.weight == "exp":
        return np.exp(scores)
    return scores if f.weight == "identity" else np.maximum(scores, 0)


def rough_exp(s: Float64s) -> Float64s:
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


def cut_by_rows(f: Pairwise, query: Float64s, keys: Float64s, axes: int) -> NDArray[np.bool_]:
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
