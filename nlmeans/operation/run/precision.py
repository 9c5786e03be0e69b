"""When float32 is not enough: what an exponent may be, and the operation in float64."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nlmeans.operation.pairwise import Pairwise

if TYPE_CHECKING:
    from nlmeans.operation.operation import Operation

Array = NDArray[Any]
# A dot product so large is rounded by 1e-4 in float32, and its weight likewise: float64 takes over.
LARGEST_EXPONENT = 2048.0
TINY = 1e-20  # squares below it have lost numbers that vanished when squared


def largest_exponent(f: Pairwise, queries: Array, keys: Array, bias: Array) -> float:
    """A bound of s, of all pairs of queries (..., d) and keys (..., d): of 2^s for weight "exp".

    Distances are left out: they are of differences, and where they are large weights vanish.
    """
    largest = 0.0 if f.key_bias is None else float(np.abs(bias).max())
    if f.score != "distance":
        q, k = _longest(queries), _longest(keys)
        largest += abs(f.scale) * (q + k if f.score == "sum" else q * k)
    return largest * (math.log2(math.e) if f.weight == "exp" else 1)


def fits_float32(f: Pairwise, queries: Array, keys: Array, bias: Array) -> bool:
    """Whether float32 holds the exponents; true also of arrays in float64."""
    if f.weight != "exp" or queries.dtype == np.float64:
        return True
    return largest_exponent(f, queries, keys, bias) <= LARGEST_EXPONENT


def _longest(rows: Array) -> float:
    """The largest norm of a position's numbers; infinite where its square is."""
    squares = float(np.einsum("...i,...i->...", rows, rows).max())
    if squares > TINY:
        return math.sqrt(squares)
    return max(float(rows.max()), -float(rows.min())) * math.sqrt(rows.shape[-1])


def in_float64(
    run: Callable[["Operation", Array, Array | None], Array],
    op: "Operation",
    planes: Array,
    guide: Array | None,
) -> Array:
    """The same from the beginning, for embeddings in float32 are rounded too; a float32 result."""
    double = None if guide is None else guide.astype(np.float64)
    return run(op, planes.astype(np.float64), double).astype(np.float32)
