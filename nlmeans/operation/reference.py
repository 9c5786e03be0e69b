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

from nlmeans.operation.embed import Embedding
from nlmeans.operation.features import Features, features
from nlmeans.operation.pairwise import Pairwise
from nlmeans.operation.scores import Float64s, cut_by_rows, rough_exp
from nlmeans.operation.support import Position, Support, pool_of

ANNOUNCE_SECONDS = 10.0


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
    y = np.zeros((*grid, 0))
    done = 0
    for part, of in features(f, g, over, x, guide):
        if done == 0:
            y = np.zeros((*grid, of.values.shape[-1]))
            _announce(f, of, over.pairs(grid))
        sums = _sums_over_queries(f, of, over) if f.normaliser == "query sum" else None
        within = of.queries.shape[:-1]
        of_part = np.zeros((*within, of.values.shape[-1]))
        for i in np.ndindex(within):
            scores = scores_of(f, of, i, over)
            if sums is not None:
                tops, totals = sums
                weights = {j: _weight(f, s - tops[j]) for j, s in scores.items()}
                terms = {j: w / totals[j] for j, w in weights.items() if w}
            else:
                terms = shares(f, scores)
            for j, w in terms.items():
                of_part[i] += w * of.values[_shifted(j, of.margin)] if w else 0.0
            done += 1
            if progress is not None:
                progress(done / math.prod(grid))
        y[part] = of_part
    return y


def score(
    f: Pairwise, query: Float64s, key: Float64s, terms: tuple[Float64s, Float64s] | None = None
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


def scores_of(f: Pairwise, of: Features, i: Position, over: Support) -> dict[Position, float]:
    """The scaled score of i with every j in S(i), the rule for the centre applied."""
    scores = {}
    grid = of.queries.shape[:-1]
    for j in over.positions(i, grid):
        k = _shifted(j, of.margin)
        if f.arithmetic != "exact" and cut_by_rows(f, of.queries[i], of.keys[k], len(grid)):
            continue
        terms = None if of.terms is None else (of.terms[0][i], of.terms[1][k])
        scores[j] = score(f, of.queries[i], of.keys[k], terms) + float(of.bias[k])
    if f.centre in ("max", "zero"):
        del scores[i]
        scores = _above_cut(f, scores)
        if not scores:
            return {i: 0.0}  # nobody to average with: the position keeps its value
        if f.centre == "max":
            scores[i] = max(scores.values())
    elif f.centre == "one" and pool_of(over) is None:  # else no key is i itself
        scores[i] = 0.0
    return _above_cut(f, scores)


def _above_cut(f: Pairwise, scores: dict[Position, float]) -> dict[Position, float]:
    if not f.cut or f.arithmetic != "exact":
        return scores
    return {j: s for j, s in scores.items() if math.exp(s) >= f.cut}


def shares(f: Pairwise, scores: dict[Position, float]) -> dict[Position, float]:
    """f(x_i, x_j) / C(x) for every j in S(i)."""
    # Dividing f and C by the largest f changes nothing and keeps exp in range.
    top = max(scores.values()) if (f.weight, f.normaliser) == ("exp", "sum") else 0.0
    weights = {j: _weight(f, s - top) for j, s in scores.items()}
    c = sum(weights.values()) if f.normaliser == "sum" else len(weights)
    return {j: w / c if w else 0.0 for j, w in weights.items()}


def _weight(f: Pairwise, s: float) -> float:
    if f.arithmetic != "exact":
        return float(rough_exp(np.array(s)))
    if f.weight == "exp":
        return math.exp(s)
    return s if f.weight == "identity" else max(s, 0.0)


def _sums_over_queries(
    f: Pairwise, of: Features, over: Support
) -> tuple[dict[Position, float], dict[Position, float]]:
    """For every key the score taken off for exp, and the sum of f over the queries i."""
    columns: dict[Position, list[float]] = {}
    for i in np.ndindex(of.queries.shape[:-1]):
        for j, s in scores_of(f, of, i, over).items():
            columns.setdefault(j, []).append(s)
    tops = {j: max(column) if f.weight == "exp" else 0.0 for j, column in columns.items()}
    totals = {j: sum(_weight(f, s - tops[j]) for s in column) for j, column in columns.items()}
    return tops, totals


def _shifted(j: Position, margin: tuple[int, ...]) -> Position:
    return tuple(k + m for k, m in zip(j, margin, strict=True)) if any(margin) else j


def _announce(f: Pairwise, of: Features, pairs: int) -> None:
    """Warn before the work starts if a few pairs say that all of them take long."""
    tried = 200
    query, key = (each.reshape(-1, each.shape[-1])[0] for each in (of.queries, of.keys))
    start = time.perf_counter()
    for _ in range(tried):
        math.exp(min(score(f, query, key), 0.0))
    # The rest of the loop, indices and sums, takes about as long again.
    seconds = 2 * (time.perf_counter() - start) / tried * pairs
    if seconds > ANNOUNCE_SECONDS:
        message = (
            f"the float64 reference works on {pairs:.2g} pairs, about {seconds:.0f} s; "
            "op.plan(shape) says why no fast kernel runs; channels have to be named by channel_axis"
        )
        warnings.warn(message, ReferenceWarning, stacklevel=4)
