"""The weights of one position: f(x_i, x_j)/C(x) for every j, without those of other positions."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nlmeans.operation.embed import Identity, mirror
from nlmeans.operation.features import Features, features
from nlmeans.operation.pairwise import Pairwise
from nlmeans.operation.scores import Float64s, cut_by_rows, scores, weights
from nlmeans.operation.support import Neighbours, Part, Position, Regions, Support, Window, pool_of

Indices = NDArray[np.intp]
MOST_PAIRS = 2**22  # whose scores are in memory at once


def affinity(f: Pairwise, over: Support, x: Float64s, i: Position) -> Float64s:
    """See `Operation.affinity`; x is what f looks at, (*grid, C)."""
    grid = x.shape[:-1]
    if not isinstance(over, Window):
        return _of_part(f, over, x, i)
    # Nothing further away counts: queries that share a key with i, their keys and their patches.
    sharing = 2 if f.normaliser == "query sum" else 1
    embeds = [f.query, f.key] + ([] if f.key_bias is None else [f.key_bias])
    patch = np.max([embed.radius(len(grid)) for embed in embeds], axis=0)
    far = np.array(over.radius(len(grid))) * sharing + patch
    low, end = np.maximum(np.array(i) - far, 0), np.minimum(np.array(i) + far + 1, grid)
    near = tuple(slice(a, b) for a, b in zip(low, end, strict=True))
    result = np.zeros(grid)
    if f.maps is not None:
        f = replace(f, maps=f.maps[near])
    result[near] = _of_part(f, over, x[near], tuple(int(k) for k in np.array(i) - low))
    return result


def _of_part(f: Pairwise, over: Support, x: Float64s, i: Position) -> Float64s:
    """Weights in the part of the support that i is in: the others have nothing to do with it."""
    grid = x.shape[:-1]
    for part, of in features(f, Identity(), over, x, x):
        own = _place(part, i, grid)
        if own is None:
            continue
        keys = _keys(over, of, own)
        on_keys = np.zeros(of.bias.shape)
        on_keys.reshape(-1)[keys] = _shares(f, over, of, own, keys)
        if pool_of(over) is not None:
            return on_keys
        if any(of.margin):
            outside = on_keys
            on_keys = np.zeros(grid)
            np.add.at(on_keys, np.ix_(*mirror(grid, of.margin)), outside)
        result = np.zeros(grid)
        result[part] = on_keys
        return result
    raise AssertionError  # the parts cover the grid


def _place(part: Part, i: Position, grid: tuple[int, ...]) -> Position | None:
    """Where i lies in the part, if it does."""
    if isinstance(part[0], slice):
        ranges = [range(n)[each] for n, each in zip(grid, part, strict=True)]
        inside = all(k in each for k, each in zip(i, ranges, strict=True))
        return tuple(each.index(k) for k, each in zip(i, ranges, strict=True)) if inside else None
    members = np.flatnonzero(np.all([each == k for k, each in zip(i, part, strict=True)], axis=0))
    return (int(members[0]),) if len(members) else None


def _keys(over: Support, of: Features, own: Position) -> Indices:
    """S(i), as indices into the flattened grid of keys."""
    shape = of.bias.shape
    if isinstance(over, Neighbours):
        return np.array([j for (j,) in over.positions(own, shape)], dtype=np.intp)
    if not isinstance(over, Window):
        return np.arange(of.bias.size)
    ranges = [
        np.arange(max(k + m - r, 0), min(k + m + r + 1, n))
        for k, m, r, n in zip(own, of.margin, over.radius(len(own)), shape, strict=True)
    ]
    return np.ravel_multi_index(np.ix_(*ranges), shape).reshape(-1)


def _shares(f: Pairwise, over: Support, of: Features, own: Position, keys: Indices) -> Float64s:
    """f(x_i, x_j)/C(x) for the keys in S(i)."""
    key = of.keys.reshape(-1, of.keys.shape[-1])[keys]
    terms = None
    if of.terms is not None:
        terms = of.terms[0][own][None], of.terms[1].reshape(-1, 2)[keys]
    s = scores(f, of.queries[own][None], key, terms)[0] + of.bias.reshape(-1)[keys]
    if f.normaliser == "query sum":
        return _shares_of_queries(f, over, of, keys, s)
    if f.arithmetic != "exact":
        s[cut_by_rows(f, of.queries[own], key, len(own))] = -np.inf
    elif f.cut:
        s[np.exp(s) < f.cut] = -np.inf
    if f.centre != "as computed" and pool_of(over) is None:
        _apply_centre(f, of, own, keys, s)
    # Dividing f and C by the largest f changes nothing and keeps exp in range.
    top = s.max() if (f.weight, f.normaliser) == ("exp", "sum") else 0.0
    w = weights(f, s - top)
    return _divided(w, w.sum() if f.normaliser == "sum" else np.float64(len(w)))


def _divided(w: Float64s, c: Float64s | np.float64) -> Float64s:
    """Weights over their sums; where a weight is 0, the sum may be, too."""
    return np.divide(w, c, out=np.zeros_like(w), where=w != 0)


def _apply_centre(f: Pairwise, of: Features, own: Position, keys: Indices, s: Float64s) -> None:
    """The rule for the weight a position gives to itself, in place."""
    shifted = tuple(k + m for k, m in zip(own, of.margin, strict=True)) if any(of.margin) else own
    itself = keys == np.ravel_multi_index(shifted, of.bias.shape)
    highest = s[~itself].max(initial=-np.inf)
    if f.centre == "one" or highest == -np.inf:  # nobody else: the position keeps its value
        s[itself] = 0.0
    else:
        s[itself] = highest if f.centre == "max" else -np.inf


def _shares_of_queries(
    f: Pairwise, over: Support, of: Features, keys: Indices, own: Float64s
) -> Float64s:
    """f(x_i, x_j) over its sum for the key j over all the queries that have it."""
    key = of.keys.reshape(-1, of.keys.shape[-1])[keys]
    bias = of.bias.reshape(-1)[keys]
    count = of.queries[..., 0].size
    some = max(MOST_PAIRS // len(keys), 1)
    tops = own if f.weight == "exp" else np.zeros(len(keys))  # largest scores met so far
    totals = np.zeros(len(keys))
    for first in range(0, count, some):
        queries = np.arange(first, min(first + some, count))
        every = scores(f, of.queries.reshape(count, -1)[queries], key) + bias
        every[~_has(over, of, queries, keys)] = -np.inf
        top = np.maximum(tops, every.max(axis=0)) if f.weight == "exp" else tops
        totals = totals * np.exp(tops - top) + weights(f, every - top).sum(axis=0)
        tops = top
    return _divided(weights(f, own - tops), totals)


def _has(over: Support, of: Features, queries: Indices, keys: Indices) -> NDArray[np.bool_]:
    """Whether the key (column) is in S of the query (row)."""
    if isinstance(over, Window):
        grid = of.queries.shape[:-1]
        both = np.unravel_index(queries, grid), np.unravel_index(keys, of.bias.shape)
        has = np.ones((len(queries), len(keys)), np.bool_)
        for row, column, m, r in zip(*both, of.margin, over.radius(len(grid)), strict=True):
            has &= abs(row[:, None] + m - column) <= r
        return has
    if not isinstance(over, Neighbours):
        return np.ones((len(queries), len(keys)), np.bool_)
    order, starts, numbers = over.lists
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    lists = (order[numbers[starts[k] : starts[k + 1]]] for k in rank[queries])
    return np.stack([np.isin(keys, each) for each in lists])


def spread_weights(values: Float64s, over: Support, grid: tuple[int, ...]) -> Float64s:
    """Weights of sub-sampled keys on all the positions of their blocks; others as they are.

    Raises ValueError if the keys have no places in the grid.
    """
    pool = pool_of(over)
    if pool is None:
        return values
    if pool.flat or isinstance(over, Regions):
        which = "as one sequence" if pool.flat else "region by region"
        raise ValueError(f"the keys are pooled {which}: there is no map of them")
    spread = np.kron(values, np.ones(pool.sides(grid)))
    result = np.zeros(grid)  # what fills no block at an axis' end is no key
    result[tuple(slice(0, n) for n in spread.shape)] = spread
    return result
