"""When float32 is not enough: what an exponent may be."""

import math

import numpy as np

from nlmeans.base.scaling import largest_of
from nlmeans.operation.pairwise import Pairwise
from nlmeans.operation.run.call import Array

# A dot product so large is rounded by 1e-4 in float32, and its weight likewise: float64 takes over.
LARGEST_EXPONENT = 2048.0
TINY = 1e-20  # squares below it have lost numbers that vanished when squared


def unit_of(f: Pairwise) -> float:
    """What a scaled score is multiplied by for the kernels, whose exp is a power of two."""
    return math.log2(math.e) if f.weight == "exp" else 1.0


def largest_exponent(f: Pairwise, queries: Array, keys: Array, bias: Array) -> float:
    """A bound of s, of all pairs of queries (..., d) and keys (..., d): of 2^s for weight "exp".

    Distances are left out: they are of differences, and where they are large weights vanish.
    """
    largest = 0.0 if f.key_bias is None else float(np.abs(bias).max())
    if f.score != "distance":
        q, k = _longest(queries), _longest(keys)
        largest += abs(f.scale) * (q + k if f.score == "sum" else q * k)
    return largest * unit_of(f)


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
    return largest_of(rows) * math.sqrt(rows.shape[-1])
