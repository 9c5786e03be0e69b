"""The neighbours kernel, given padded rows, lists and constants."""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nlmeans.base.scaling import exponent_of
from nlmeans.kernels.codes import BY_SUM, CENTRES, NORMALISERS, THE_SUM, WEIGHTS
from nlmeans.kernels.tiles import NEIGHBOUR_ROWS, VECTOR_BYTES
from nlmeans.operation.embed import Embedding
from nlmeans.operation.features import features
from nlmeans.operation.neighbour_lists import AT_ONCE, BYTES_WHILE_FOUND, Lists
from nlmeans.operation.pairwise import Pairwise
from nlmeans.operation.run.arrays import aligned, divided
from nlmeans.operation.run.call import Array, Call, fits_float32
from nlmeans.operation.run.kernel import Kernel, Problem, Work, lacks_traits
from nlmeans.operation.support import Neighbours, Support

Rows = NDArray[Any]  # (N, d)
LARGEST = 1e300  # of factors: far beyond where weights are 0, 1 or infinite


def lacks(f: Pairwise, g: Embedding, over: Support) -> str | None:
    return "a smallest weight" if f.cut else lacks_traits(f, over, Neighbours)


def work(of: Problem) -> Work:
    f, over, positions, d, values = of.f, of.over, of.positions, of.d, of.values
    assert isinstance(over, Neighbours)
    passes = 2 if f.normaliser == "query sum" else 1
    rows = (d, values) if f.query == f.key else (d, d, values)
    padded = VECTOR_BYTES * sum(math.ceil(n * of.held / VECTOR_BYTES) for n in rows)
    lists = 16 * positions + 4 * of.pairs
    # While they are found: once more, and the tree. Then rows in order, and in float64.
    finding = 4 * of.pairs + positions * (40 + 16 * over.points.shape[1])
    found = of.embedded + positions * (padded + 16 * max(d, values))
    found += (passes - 1) * (lists + 2 * of.pairs)
    some = min(AT_ONCE, positions) * of.pairs // positions * BYTES_WHILE_FOUND
    return Work(
        of.pairs * passes * (3 * d + 2 * values + 30),
        lists + max(finding, found) + some,
        (NEIGHBOUR_ROWS,),
        math.ceil(positions / NEIGHBOUR_ROWS),
        of.dtype.itemsize,
    )


def run(call: Call) -> Array:
    call = call.contiguous()
    f, over, dtype = call.f, call.over, call.planes.dtype
    assert isinstance(over, Neighbours)
    lists = over.lists
    ((_, of),) = features(f, call.g, over, call.planes.T, call.seen.T)
    if not fits_float32(f, of.queries, of.keys, of.bias):
        del of
        return run(call.wider()).astype(np.float32)
    queries, keys, values = (each[lists.order] for each in (of.queries, of.keys, of.values))
    scored = _scored(f, queries, keys, dtype)
    bias = np.zeros(0) if f.key_bias is None else of.bias[lists.order].astype(np.float64)
    if f.normaliser == "query sum":
        ones, turned = np.ones((len(values), 1)), scored.turned()
        totals = _run(turned, ones, _transposed(lists), bias, THE_SUM, call.within(0, 0.5))[:, 0]
        if f.weight == "exp":
            bias = (bias if len(bias) else 0.0) - totals
        else:
            values = divided(values, totals[:, None])
        call = call.within(0.5, 1)
    y = np.empty((values.shape[1], len(values)), dtype)
    y[:, lists.order] = _run(scored, values, lists, bias, NORMALISERS[f.normaliser], call).T
    return y


class _ScoreRows(NamedTuple):
    """Rows whose products or distances are scores, once multiplied by scale."""

    queries: NDArray[Any]  # padded, flat
    keys: NDArray[Any]
    width: int
    scale: float
    noise: float

    def turned(self) -> "_ScoreRows":
        return self._replace(queries=self.keys, keys=self.queries)


def _scored(f: Pairwise, queries: Rows, keys: Rows, dtype: np.dtype[Any]) -> _ScoreRows:
    """Rows in [-1, 1], so that squares neither overflow nor vanish; distances about the middle."""
    if f.score == "sum":  # q + k = (q, 1) . (1, k)
        ones = np.ones_like(queries)
        queries, keys = np.hstack([queries, ones]), np.hstack([ones, keys])
    if f.score != "distance":
        q, q_unit = _scaled(queries, 0.0)
        k, k_unit = _scaled(keys, 0.0)
        scale = _limited(f.scale * q_unit * k_unit)
        return _ScoreRows(_padded(q, dtype), _padded(k, dtype), _width(q, dtype), scale, 0.0)
    low = np.minimum(queries.min(axis=0), keys.min(axis=0))
    high = np.maximum(queries.max(axis=0), keys.max(axis=0))
    both = np.concatenate([queries, keys]) if f.query != f.key else queries
    rows, unit = _scaled(both, low / 2 + high / 2)
    padded = _padded(rows[: len(queries)], dtype)
    other = padded if f.query == f.key else _padded(rows[len(queries) :], dtype)
    noise = _limited(f.noise / unit / unit)
    return _ScoreRows(padded, other, _width(rows, dtype), _limited(f.scale * unit * unit), noise)


def _run(
    rows: _ScoreRows,
    values: Rows,
    lists: Lists,
    bias: NDArray[np.float64],
    normaliser: int,
    call: Call,
) -> NDArray[np.float64]:
    from nlmeans.kernels import driver, neighbours

    f, dtype = call.f, call.planes.dtype
    count = len(values)
    offset = np.zeros(values.shape[1])
    if f.weight == "exp" and normaliser == BY_SUM:
        # An average of values is one of what is left of them; equal ones stay as they are.
        offset = (values.min(axis=0) / 2 + values.max(axis=0) / 2).astype(np.float64)
    averaged, unit = _scaled(values, offset)
    score = neighbours.DISTANCE if f.score == "distance" else neighbours.DOT
    turned = int(normaliser == THE_SUM)
    kind = neighbours.Codes(score, WEIGHTS[f.weight], normaliser, CENTRES[f.centre], turned)
    numbers = neighbours.Constants(rows.scale, rows.noise, unit)
    out = np.empty((count, values.shape[1]))
    longest = int(np.diff(lists.starts).max())
    sizes = np.array([rows.width, _width(averaged, dtype), longest], dtype=np.intp)
    driver.run(
        neighbours.neighbours_kernel,
        (
            rows.queries,
            rows.keys,
            _padded(averaged, dtype),
            sizes,
            lists.starts,
            lists.numbers,
            bias,
            offset,
            np.array(kind),
            np.array(numbers),
            out,
        ),
        np.zeros(math.ceil(count / NEIGHBOUR_ROWS), dtype=np.uint8),
        call.threads,
        call.progress,
    )
    return out


def _scaled(rows: Rows, offset: NDArray[Any] | float) -> tuple[Rows, float]:
    """(rows - offset) in [-1, 1], and what they have been divided by, a power of two."""
    moved = rows.astype(np.float64) - offset
    unit = 2.0 ** exponent_of(float(np.abs(moved).max()), lowest=-500)
    moved /= unit
    return moved, unit


def _limited(number: float) -> float:
    return min(max(number, -LARGEST), LARGEST)


def _width(rows: Rows, dtype: np.dtype[Any]) -> int:
    """Elements of a row in whole vectors."""
    lanes = VECTOR_BYTES // int(dtype.itemsize)
    return math.ceil(int(rows.shape[1]) / lanes) * lanes


def _padded(rows: Rows, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Rows one after the other, zeros behind each, every one beginning on a whole vector."""
    padded = aligned((len(rows), _width(rows, dtype)), dtype)
    padded[:, : rows.shape[1]] = rows
    return padded.reshape(-1)


def _transposed(lists: Lists) -> Lists:
    """For every position those that have it among their neighbours."""
    from scipy.sparse import csr_array

    count = len(lists.order)
    ones = np.ones(len(lists.numbers), np.bool_)
    turned = csr_array((ones, lists.numbers, lists.starts), (count, count)).tocsc()
    return Lists(
        lists.order, turned.indptr.astype(np.intp), turned.indices.astype(np.int32, copy=False)
    )


NEIGHBOURS = Kernel(
    "neighbours",
    2.5e9,
    "lists of neighbours: one pass over each, for any f and g",
    lacks,
    work,
    run,
)
