"""Prepare what the neighbours kernel is given: padded rows, lists, constants."""

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nlmeans.base.progress import between
from nlmeans.kernels import driver
from nlmeans.kernels import neighbours as kernel
from nlmeans.kernels.centre import CENTRES
from nlmeans.kernels.codes import BY_SUM, NORMALISERS, THE_SUM, WEIGHTS
from nlmeans.kernels.tiles import NEIGHBOUR_ROWS, VECTOR_BYTES
from nlmeans.operation.features import features
from nlmeans.operation.neighbour_lists import Lists
from nlmeans.operation.run.precision import fits_float32, in_float64
from nlmeans.operation.support import Neighbours

if TYPE_CHECKING:
    from nlmeans.operation.operation import Operation
    from nlmeans.operation.pairwise import Pairwise

Rows = NDArray[Any]  # (N, d)
LARGEST = 1e300  # of factors: far beyond where weights are 0, 1 or infinite


def run_neighbours(
    op: "Operation",
    planes: NDArray[Any],
    guide: NDArray[Any] | None,
    threads: int | None,
    progress: Callable[[float], None] | None,
) -> NDArray[Any]:
    """The neighbours kernel on planes (C, N), float32 or float64; the guide has its own planes."""
    f, over = op.f, op.over
    assert isinstance(over, Neighbours)
    dtype = planes.dtype
    lists = over.lists
    ((_, of),) = features(f, op.g, over, planes.T, planes.T if guide is None else guide.T)
    if not fits_float32(f, of.queries, of.keys, of.bias):
        del of
        run = partial(run_neighbours, threads=threads, progress=progress)
        return in_float64(run, op, planes, guide)
    queries, keys, values = (each[lists.order] for each in (of.queries, of.keys, of.values))
    scored = _scored(f, queries, keys, dtype)
    bias = np.zeros(0) if f.key_bias is None else of.bias[lists.order].astype(np.float64)
    normaliser = NORMALISERS[f.normaliser]
    if f.normaliser == "query sum":
        totals = _run(
            scored.turned(),
            np.ones((len(values), 1)),
            _transposed(lists),
            bias,
            f,
            THE_SUM,
            dtype,
            threads,
            between(progress, 0, 0.5),
        )[:, 0]
        if f.weight == "exp":
            bias = (bias if len(bias) else 0.0) - totals
        else:
            values = np.divide(
                values, totals[:, None], where=totals[:, None] > 0, out=np.zeros(values.shape)
            )
        progress = between(progress, 0.5, 1)
    y = np.empty((values.shape[1], len(values)), dtype)
    y[:, lists.order] = _run(scored, values, lists, bias, f, normaliser, dtype, threads, progress).T
    return y


class _Scored(NamedTuple):
    """Rows whose products or distances are scores, once multiplied by scale."""

    queries: NDArray[Any]  # padded, flat
    keys: NDArray[Any]
    width: int
    scale: float
    noise: float

    def turned(self) -> "_Scored":
        return self._replace(queries=self.keys, keys=self.queries)


def _scored(f: "Pairwise", queries: Rows, keys: Rows, dtype: np.dtype[Any]) -> _Scored:
    """Rows in [-1, 1], so that squares neither overflow nor vanish; distances about the middle."""
    if f.score == "sum":  # q + k = (q, 1) . (1, k)
        ones = np.ones_like(queries)
        queries, keys = np.hstack([queries, ones]), np.hstack([ones, keys])
    if f.score != "distance":
        q, q_unit = _scaled(queries, 0.0)
        k, k_unit = _scaled(keys, 0.0)
        scale = _limited(f.scale * q_unit * k_unit)
        return _Scored(_padded(q, dtype), _padded(k, dtype), _width(q, dtype), scale, 0.0)
    low = np.minimum(queries.min(axis=0), keys.min(axis=0))
    high = np.maximum(queries.max(axis=0), keys.max(axis=0))
    both = np.concatenate([queries, keys]) if f.query != f.key else queries
    rows, unit = _scaled(both, low / 2 + high / 2)
    padded = _padded(rows[: len(queries)], dtype)
    other = padded if f.query == f.key else _padded(rows[len(queries) :], dtype)
    noise = _limited(f.noise / unit / unit)
    return _Scored(padded, other, _width(rows, dtype), _limited(f.scale * unit * unit), noise)


def _run(
    rows: _Scored,
    values: Rows,
    lists: Lists,
    bias: NDArray[np.float64],
    f: "Pairwise",
    normaliser: int,
    dtype: np.dtype[Any],
    threads: int | None,
    progress: Callable[[float], None] | None,
) -> NDArray[np.float64]:
    count = len(values)
    offset = np.zeros(values.shape[1])
    if f.weight == "exp" and normaliser == BY_SUM:
        # An average of values is one of what is left of them; equal ones stay as they are.
        offset = (values.min(axis=0) / 2 + values.max(axis=0) / 2).astype(np.float64)
    averaged, unit = _scaled(values, offset)
    score = kernel.DISTANCE if f.score == "distance" else kernel.DOT
    turned = int(normaliser == THE_SUM)
    kind = kernel.Kind(score, WEIGHTS[f.weight], normaliser, CENTRES[f.centre], turned)
    numbers = kernel.Numbers(rows.scale, rows.noise, unit)
    out = np.empty((count, values.shape[1]))
    widths = np.array([rows.width, _width(averaged, dtype)])
    driver.run(
        kernel.neighbours_kernel,
        (
            rows.queries,
            rows.keys,
            _padded(averaged, dtype),
            widths,
            lists.starts,
            lists.numbers,
            bias,
            offset,
            np.array(kind),
            np.array(numbers),
            out,
            int(np.diff(lists.starts).max()),
        ),
        np.zeros(math.ceil(count / NEIGHBOUR_ROWS), dtype=np.uint8),
        threads,
        progress,
    )
    return out


def _scaled(rows: Rows, offset: NDArray[Any] | float) -> tuple[Rows, float]:
    """(rows - offset) in [-1, 1], and what they have been divided by, a power of two."""
    moved = rows.astype(np.float64) - offset
    unit = 2.0 ** max(math.frexp(float(np.abs(moved).max()))[1], -500)
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
    count, width = len(rows), _width(rows, dtype)
    memory = np.zeros(count * width + VECTOR_BYTES // dtype.itemsize, dtype)
    first = -(memory.ctypes.data // dtype.itemsize) % (VECTOR_BYTES // dtype.itemsize)
    flat = memory[first : first + count * width]
    flat.reshape(count, width)[:, : rows.shape[1]] = rows
    return flat


def _transposed(lists: Lists) -> Lists:
    """For every position those that have it among their neighbours."""
    from scipy.sparse import csr_array

    count = len(lists.order)
    ones = np.ones(len(lists.numbers), np.bool_)
    turned = csr_array((ones, lists.numbers, lists.starts), (count, count)).tocsc()
    return Lists(
        lists.order, turned.indptr.astype(np.intp), turned.indices.astype(np.int32, copy=False)
    )
