"""The equation as it is written: float64, one loop over i, one over j. Every fast path is tested
against it.

    y_i = 1/C(x) * sum over j in S(i) of f(x_i, x_j) g(x_j)
"""

import math
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlmeans.embed import Embedding, Floats, widen
from nlmeans.pairwise import Pairwise, score
from nlmeans.support import Position, Support

ANNOUNCE_SECONDS = 10.0
Float64s = NDArray[np.float64]


class ReferenceWarning(UserWarning):
    """The slow reference works on a large array."""


def reference(
    f: Pairwise,
    g: Embedding,
    over: Support,
    x: NDArray[Any],
    guide: NDArray[Any] | None = None,
    progress: Callable[[float], None] | None = None,
) -> Float64s:
    """Run the operation literally.

    Parameters
    ----------
    f, g, over
        The parts of an Operation.
    x : array (*grid, C)
        Where g takes its values from.
    guide : array (*grid, C'), optional
        Where f takes its features from; x by default.
    progress : callable, optional
        Called with the fraction done.

    Returns
    -------
    array (*grid, outputs of g), float64
    """
    x = np.asarray(x, dtype=np.float64)
    guide = x if guide is None else np.asarray(guide, dtype=np.float64)
    grid = x.shape[:-1]
    margin = over.margin(grid)
    values = _embedded(lambda wide: (g(wide),), g.radius(len(grid)), x, margin)[0]
    reach = tuple(map(max, f.query.radius(len(grid)), f.key.radius(len(grid))))
    queries, keys = _embedded(f.features, reach, guide, margin)

    y = np.zeros((*grid, values.shape[-1]))
    _announce(f, queries, keys, over.pairs(grid))
    for done, i in enumerate(np.ndindex(grid)):
        weights = weights_of(f, queries, keys, i, over, margin)
        c = sum(weights.values()) if f.normaliser == "sum" else len(weights)
        for j, w in weights.items():
            y[i] += w / c * values[_shifted(j, margin)] if w else 0.0
        if progress is not None:
            progress((done + 1) / math.prod(grid))
    return y


def weights_of(
    f: Pairwise,
    queries: Float64s,
    keys: Float64s,
    i: Position,
    over: Support,
    margin: tuple[int, ...],
) -> dict[Position, float]:
    """f(x_i, x_j) for every j in S(i), up to a common factor where C = sum of f cancels it."""
    grid = tuple(n - 2 * m for n, m in zip(queries.shape[:-1], margin, strict=True))
    query = queries[_shifted(i, margin)]
    scores = {j: score(f, query, keys[_shifted(j, margin)]) for j in over.positions(i, grid)}
    if f.weight == "identity":
        return scores
    if f.weight == "relu":
        return {j: max(s, 0.0) for j, s in scores.items()}

    if f.centre in ("max", "zero"):
        del scores[i]
        if not scores:
            return {i: 1.0}  # nobody to average with: the position keeps its value
        if f.centre == "max":
            scores[i] = max(scores.values())
    elif f.centre == "one":
        scores[i] = 0.0
    # Dividing f and C by the largest f changes nothing and keeps exp in range.
    top = max(scores.values()) if f.normaliser == "sum" else 0.0
    return {j: math.exp(s - top) for j, s in scores.items()}


def _embedded(
    embed: Callable[[Floats], tuple[Floats, ...]],
    reach: tuple[int, ...],
    x: Float64s,
    margin: tuple[int, ...],
) -> list[Float64s]:
    """Embeddings at every position of the grid widened by `margin`, x mirrored beyond it."""
    wide = widen(x, tuple(m + r for m, r in zip(margin, reach, strict=True)))
    inner = tuple(slice(r, n - r) for r, n in zip(reach, wide.shape, strict=False))
    return [np.asarray(e[inner], dtype=np.float64) for e in embed(wide)]


def _shifted(j: Position, margin: tuple[int, ...]) -> Position:
    return tuple(k + m for k, m in zip(j, margin, strict=True))


def _announce(f: Pairwise, queries: Float64s, keys: Float64s, pairs: int) -> None:
    """Warn before the work starts if a few pairs say that all of them take long."""
    tried = 200
    first = (0,) * (queries.ndim - 1)
    start = time.perf_counter()
    for _ in range(tried):
        math.exp(min(score(f, queries[first], keys[first]), 0.0))
    # The rest of the loop, indices and sums, takes about as long again.
    seconds = 2 * (time.perf_counter() - start) / tried * pairs
    if seconds > ANNOUNCE_SECONDS:
        message = (
            f"the float64 reference works on {pairs:.2g} pairs, about {seconds:.0f} s; "
            "op.plan(shape) says why no fast kernel runs; channels have to be named by channel_axis"
        )
        warnings.warn(message, ReferenceWarning, stacklevel=4)
