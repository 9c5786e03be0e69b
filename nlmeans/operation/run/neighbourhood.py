"""The neighbourhood kernel, given features and how they lie, factors and geometry."""

import math
from typing import Any, NamedTuple

import numpy as np

from nlmeans.base.scaling import exponent_of, largest_of
from nlmeans.kernels.codes import CENTRES, NORMALISERS, THE_SUM, WEIGHTS
from nlmeans.kernels.strips import Sizes, row_step, scratch, tile_of
from nlmeans.operation.embed import Embedding, Identity
from nlmeans.operation.features import Features, features
from nlmeans.operation.pairwise import Pairwise
from nlmeans.operation.run.arrays import MOST_DIMENSIONS, aligned, divided, locked, table, to_zyx
from nlmeans.operation.run.call import TINY, Array, Call, fits_float32, unit_of
from nlmeans.operation.run.kernel import Kernel, Problem, Work, lacks_traits, tiles_of
from nlmeans.operation.support import Support, Window

# Of scores and values: far enough from the largest float for sums of them.
LIMITS = {"float32": 2.0**100, "float64": 2.0**960}
MASKED = -(2.0**20)  # times the limit
EXP = 17  # operations
# Where an array's axes lie: vectors lie along the last.
AXES = {1: (2,), 2: (1, 2), 3: (0, 1, 2)}


def lacks(f: Pairwise, g: Embedding, over: Support) -> str | None:
    return lacks_traits(f, over, Window)


def work(of: Problem) -> Work:
    score = (3 if of.f.score == "distance" else 2) * of.d
    operations = of.pairs * (score + (EXP if of.f.weight == "exp" else 2) + 2 * of.values)
    whole = tile_of(of.dtype.itemsize)[-len(of.grid) :]
    tile = tuple(min(t, n) for t, n in zip(whole, of.grid, strict=True))
    tiles = tiles_of(of.grid, tile)
    return Work(operations, _memory(of), tile, tiles, of.dtype.itemsize)


def _memory(of: Problem) -> int:
    """Bytes: keys and values row by row, and what the embeddings give."""
    keys = tuple(n + 2 * m for n, m in zip(of.grid, of.over.margin(of.grid), strict=True))
    _, step = row_step(keys[-1], of.held)
    numbers = math.prod(keys[:-1]) * step * (1 + of.d + of.values)
    numbers += 0 if isinstance(of.f.query, Identity) else of.positions * of.d
    for embed, outputs in ((of.f.key, of.d), (of.g, of.values)):
        if keys != of.grid or not isinstance(embed, Identity):
            numbers += math.prod(keys) * outputs
    return numbers * of.held + of.doubled


class _Pairs(NamedTuple):
    """What is asked and what answers, on grids (Z, Y, X), and where windows lie."""

    queries: Array  # (*grid, d)
    keys: Array  # (*grid of keys, d)
    own: Array | None  # (*grid,), added to the scores of a query; for relu alone
    bias: Array | None  # (*grid of keys,), added to those of a key
    values: Array | None  # (*grid of keys, channels)
    first: tuple[int, ...]  # of the keys in a window, less the query
    side: tuple[int, ...]


class _Factors(NamedTuple):
    """Factors of the arrays given; for distances score = min(noise - distance * their factor, 0).

    Lower scores than `least` count as none; None for no such limit.
    """

    query: float
    key: float
    bias: float
    distance: float
    noise: float
    least: float | None


def run(call: Call) -> Array:
    call = call.contiguous()
    f, over, grid = call.f, call.over, call.planes.shape[1:]
    assert isinstance(over, Window)
    x, seen = (np.moveaxis(planes, 0, -1) for planes in (call.planes, call.seen))
    ((_, of),) = features(f, call.g, over, x, seen)
    if not fits_float32(f, of.queries, of.keys, of.bias):
        del of
        return run(call.wider()).astype(np.float32)
    reach, along = over.reach(grid), AXES[len(grid)]
    first = to_zyx(along, [m - r for m, r in zip(of.margin, reach, strict=True)], 0)
    side = to_zyx(along, [2 * r + 1 for r in reach], 1)
    of, factors = _fitting(f, of)
    queries, keys, biases, values = (
        each[(None,) * (MOST_DIMENSIONS - len(grid))]
        for each in (of.queries, of.keys, of.bias, of.values)
    )
    bias: Array | None = biases
    if f.score == "sum":  # q + k is the product of q and 1, and k a bias
        bias = biases + keys.dtype.type(f.scale) * keys[..., 0]
        keys = np.ones_like(keys)
    elif f.key_bias is None:
        bias = None
    pairs = _Pairs(queries, keys, None, bias, values, first, side)
    if f.normaliser == "query sum":
        sums = _sums_over_queries(pairs, factors, call.within(0, 0.5))
        if f.weight == "exp":  # a key's bias is in both f and the sum of f
            pairs, factors = pairs._replace(bias=-sums), factors._replace(bias=1.0)
        else:
            pairs = pairs._replace(values=divided(values, sums[..., None]))
        call = call.within(0.5, 1)
    y = _run(pairs, NORMALISERS[f.normaliser], factors, call)
    return y.reshape(-1, *grid).astype(call.planes.dtype, copy=False)


def _sums_over_queries(pairs: _Pairs, factors: _Factors, call: Call) -> Array:
    """For every key the sum of f over the queries that see it: keys and queries change places.

    For exp its logarithm to base 2, without the key's bias.
    """
    first = tuple(1 - k - n for k, n in zip(pairs.first, pairs.side, strict=True))
    swapped = _Pairs(pairs.keys, pairs.queries, pairs.bias, None, None, first, pairs.side)
    swapped_factors = factors._replace(query=factors.key, key=factors.query)
    sums: Array = _run(swapped, THE_SUM, swapped_factors, call)[0]
    return sums


def _fitting(f: Pairwise, of: Features) -> tuple[Features, _Factors]:
    """The features as they are, or in float64 where float32 could not hold scores or sums."""
    factors, largest = _factors(f, of)
    if largest > LIMITS[of.queries.dtype.name]:
        queries, keys, bias, values = (each.astype(np.float64) for each in of[:4])
        of = of._replace(queries=queries, keys=keys, bias=bias, values=values)
        factors, largest = _factors(f, of)
    if largest > LIMITS["float64"]:
        raise ValueError(
            f"scores or values may reach {largest:.2g}, too large to be summed; use a smaller scale"
        )
    return of, factors


def _factors(f: Pairwise, of: Features) -> tuple[_Factors, float]:
    """Factors, and a bound of all numbers that occur; infinite where a factor would vanish."""
    queries, keys, bias, values = (_norm(each) for each in of[:4])
    base = unit_of(f)
    limit = LIMITS[of.queries.dtype.name]
    least = math.log2(f.cut) if f.cut else None
    if f.score == "distance":
        # A power of two brings features into [-1, 1]: squares neither overflow nor vanish.
        most = exponent_of(limit)
        unit = 2.0 ** -exponent_of(max(queries, keys), -most, most)
        factor = min(f.scale * base / unit / unit, 2.0**900)
        farthest = factor * 4
        cut = min(1.0, limit / 16 / farthest) if f.weight == "exp" and farthest > 0 else 1.0
        noise = cut * min(f.noise * f.scale * base, 2 * farthest)
        factors = _Factors(unit, unit, base, cut * factor, noise, least)
        return factors, max(2 * cut * farthest + base * bias, values)
    factor = f.scale * base
    if f.score == "sum":
        score = abs(factor) * (queries + keys)
    else:
        score = abs(factor) * queries * max(keys, 1.0)
    if 0 < abs(factor) < 1 / limit and of.queries.dtype == np.float32:
        score = math.inf
    factors = _Factors(factor, 1.0, base, 0.0, 0.0, least)
    return factors, max(score + base * bias, values, abs(factor))


def _norm(array: Array) -> float:
    """The root of the sum of squares: a bound of any number, and of any position's own norm.

    One pass, of the fastest; where squares leave the range of floats the largest number tells.
    """
    if array.strides[0] == 0:  # zeros spread over the grid
        return abs(float(array.flat[0])) * math.sqrt(array.size)
    memory = array.ravel(order="K")
    with np.errstate(over="ignore"):
        squares = float(np.dot(memory, memory))
    if TINY < squares < math.inf:
        return math.sqrt(squares)
    return largest_of(array) * math.sqrt(array.size)


def _run(pairs: _Pairs, normaliser: int, factors: _Factors, call: Call) -> Array:
    """The kernel's result (channels, Z, Y, X)."""
    from nlmeans.kernels import driver
    from nlmeans.kernels.neighbourhood import Numbers, neighbourhood_kernel

    f = call.f
    dtype = pairs.queries.dtype
    grid, keys_grid = pairs.queries.shape[:-1], pairs.keys.shape[:-1]
    left, step = row_step(keys_grid[-1], dtype.itemsize)
    channels = 0 if pairs.values is None else pairs.values.shape[-1]
    lengths = (pairs.queries.shape[-1], channels, *grid, *keys_grid, *pairs.first, *pairs.side)
    traits = (int(f.score == "distance"), WEIGHTS[f.weight], normaliser, CENTRES[f.centre])
    sizes = Sizes._make((*lengths, left, step, *traits))
    masked = MASKED * LIMITS[dtype.name]
    least = 2 * masked if factors.least is None else factors.least
    constants = Numbers(
        *factors._replace(least=least),
        value=1.0,
        masked=0.0 if f.weight == "identity" else masked,
        unset=masked / 2,
    )
    arrays = (pairs.queries, _each(pairs.own), _each(pairs.bias), pairs.keys, pairs.values)
    sources = [
        _flat(array) if array is not None else _zeros(numbers, dtype)
        for array, numbers in zip(arrays, (0, 1, 1, 0, 0), strict=True)
    ]
    strides = np.array([row for _, row in sources], dtype=np.intp)
    integers = table(sizes, scratch(sizes, dtype.itemsize))
    rows = keys_grid[0] * keys_grid[1]
    laid_out = np.empty(rows * (1 + sizes.d + channels) * step, dtype)
    out = aligned((max(channels, 1), *grid), dtype)
    for phase, count in ((False, rows), (True, tiles_of(grid, tile_of(dtype.itemsize)))):
        driver.run(
            neighbourhood_kernel,
            (
                phase,
                *(memory for memory, _ in sources),
                strides,
                laid_out,
                out.reshape(-1),
                integers,
                np.array(constants, dtype=dtype),
            ),
            np.zeros(count, dtype=np.uint8),
            call.threads,
            call.progress if phase else None,
        )
    return out


def _flat(array: Array) -> tuple[Array, list[int]]:
    """An array (Z, Y, X, c) as it lies in memory, and its row of the table of strides."""
    planes = np.moveaxis(array, -1, 0)
    if planes.flags.c_contiguous:
        memory = planes.reshape(-1)
    else:
        array = np.ascontiguousarray(array)
        memory = array.reshape(-1)
    z, y, x, c = (stride // array.itemsize for stride in array.strides)
    return locked(memory), [c, z, y, x, array.shape[-1]]


def _zeros(numbers: int, dtype: np.dtype[Any]) -> tuple[Array, list[int]]:
    """As `_flat`, for so many zeros a position."""
    zero, _ = _flat(np.zeros((1, 1, 1, 1), dtype))
    return zero, [0, 0, 0, 0, numbers]


def _each(array: Array | None) -> Array | None:
    return None if array is None else array[..., None]


NEIGHBOURHOOD = Kernel(
    "neighbourhood",
    3e10,
    "a search window with {lacking}: pair by pair, 16 queries a vector",
    lacks,
    work,
    run,
)
