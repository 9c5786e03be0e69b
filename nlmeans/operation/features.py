"""What the equation sums over: queries, keys, biases and values, for every part of the support."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nlmeans.operation.embed import Embedding, Floats, Identity, Linear, widen
from nlmeans.operation.pairwise import Pairwise
from nlmeans.operation.support import Part, Support, pool_of


class Features(NamedTuple):
    """A part's grid of queries and its grid of keys, d numbers each.

    Where a window reaches beyond the array the keys' grid is wider by `margin` at every end; where
    keys are sub-sampled it is that of the pool.
    """

    queries: NDArray[Any]  # (*grid, d)
    keys: NDArray[Any]  # (*grid of keys, d)
    bias: NDArray[Any]  # (*grid of keys,), of the keys
    values: NDArray[Any]  # (*grid of keys, channels), which the sum is of
    margin: tuple[int, ...]
    terms: tuple[NDArray[Any], NDArray[Any]] | None = None  # of maps: of queries, of keys


def features(
    f: Pairwise, g: Embedding, over: Support, x: Floats, guide: Floats
) -> Iterator[tuple[Part, Features]]:
    """Features of an array (*grid, C) and the guide (*grid, C') that f looks at, in their dtypes.

    Yields
    ------
    part : index
        Takes the positions of the part out of an array (*grid, C).
    features : Features

    Raises ValueError if matrices do not fit the channels or one another, or give several numbers
    for a "sum".
    """
    grid = x.shape[:-1]
    margin, pool = over.margin(grid), pool_of(over)
    queries = _embedded(f.query, guide, (0,) * len(grid))
    pooled_first = pool is not None and pool.order == "before"
    phi, w = _around_pool(f) if pool is not None else (f.key, Identity())
    if not pooled_first:
        keyed = (_embedded(phi, guide, margin), _biases(f, guide, margin), _embedded(g, x, margin))
    terms = None if f.maps is None else f.maps.terms
    for part in over.parts(grid):
        if pool is not None and pooled_first:
            pooled = pool(guide[part])
            inside = (0,) * (pooled.ndim - 1)
            keys, bias, values = f.key(pooled), _biases(f, pooled, inside), g(pool(x[part]))
        elif pool is not None:
            keys, bias, values = (pool(each[part]) for each in keyed)
            keys = w(keys)
        else:
            keys, bias, values = keyed if any(margin) else (each[part] for each in keyed)
        if queries.shape[-1] != keys.shape[-1]:
            raise ValueError(
                f"queries have {queries.shape[-1]} numbers a position and keys {keys.shape[-1]}; "
                "theta and phi have to give equally many"
            )
        if f.score == "sum" and queries.shape[-1] != 1:
            raise ValueError(
                f"queries and keys have {queries.shape[-1]} numbers a position; the score 'sum' "
                "adds one of each, so theta and phi have to give one"
            )
        of_maps = None
        if terms is not None:
            of_maps = (terms[part], widen(terms, margin) if any(margin) else terms[part])
        yield part, Features(queries[part], keys, bias[..., 0], values, margin, of_maps)


def _around_pool(f: Pairwise) -> tuple[Embedding, Embedding]:
    """phi, and what acts on it once it is pooled: a concatenation's w, which is no part of phi."""
    if f.score == "sum" and isinstance(f.key, Linear):
        return f.key.of, Linear(f.key.weight, f.key.bias)
    return f.key, Identity()


def _embedded(embed: Embedding, x: Floats, margin: tuple[int, ...]) -> Floats:
    """At every position of the grid widened by `margin`, the array mirrored beyond its borders."""
    if not any(margin):
        return embed(x)
    radius = embed.radius(len(margin))
    wide = embed(widen(x, tuple(m + r for m, r in zip(margin, radius, strict=True))))
    return wide[tuple(slice(r, n - r) for r, n in zip(radius, wide.shape, strict=False))]


def _biases(f: Pairwise, x: Floats, margin: tuple[int, ...]) -> Floats:
    if f.key_bias is None:
        shape = tuple(n + 2 * m for n, m in zip(x.shape, margin, strict=False))
        return np.broadcast_to(np.zeros((), x.dtype), (*shape, 1))
    bias = _embedded(f.key_bias, x, margin)
    if bias.shape[-1] != 1:
        raise ValueError(f"key_bias gives {bias.shape[-1]} numbers a position; it has to give one")
    return bias
