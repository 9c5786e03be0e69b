"""A dot product, reassociated: theta_i . phi_j times g_j, summed over j, is theta_i times a matrix.

    y_i = (theta_i (sum_j phi_j g_j^T) + sum_j b_j g_j) / N

N d d_v operations instead of N^2 (d + d_v). Where theta, phi, b and g are matrices that act on x,
they need not even be computed: sum_j phi_j g_j^T is W_phi (sum_j x_j x_j^T) W_g^T, and what then
maps x_i to y_i is one matrix. A score q_i + k_j is the dot product of (q_i, 1) and (1, k_j).
"""

from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nlmeans.operation.embed import Embedding, Identity, Linear
from nlmeans.operation.pairwise import Pairwise
from nlmeans.operation.run.call import Array, Call
from nlmeans.operation.run.kernel import Kernel, Problem, Work, lacks_traits
from nlmeans.operation.run.parts import Parts, parts_of
from nlmeans.operation.support import Everywhere, Regions, Support, pool_of

Float64s = NDArray[np.float64]
KEYS = 2048  # summed in the arrays' dtype; sums of so many are added in float64
# Positions that tell how far from 0 values lie, and from how many standard deviations on they are
# taken relative to their mean: squares of them would cancel.
SAMPLE, FAR = 1024, 4.0


class Matrices(NamedTuple):
    """Acting on (x_i, 1): theta, phi and b on what f looks at, g on the values."""

    theta: Float64s
    phi: Float64s
    bias: Float64s
    g: Float64s


def lacks(f: Pairwise, g: Embedding, over: Support) -> str | None:
    if f.score == "distance" or f.weight != "identity":
        return f"score {f.score!r} with weight {f.weight!r}"
    return lacks_traits(f, over, Everywhere | Regions)


def work(of: Problem) -> Work:
    operations = 4 * of.positions * of.d * of.values
    return Work(operations, of.embedded, of.grid, 1, of.dtype.itemsize)


def run(call: Call) -> Array:
    """Linear algebra is NumPy's; sums that float32 does not hold are taken in float64."""
    if call.planes.dtype != np.float32:
        return _run(call)
    with np.errstate(over="ignore", invalid="ignore"):
        y = _run(call)
        finite = np.isfinite(y.sum())  # tells without a mask as large as y
    return y if finite else run(call.wider()).astype(np.float32)


def _run(call: Call) -> Array:
    f, g = call.f, call.g
    direct = pool_of(call.over) is None and all(map(_is_matrix, (f.query, f.key, f.key_bias, g)))
    if direct:
        _check(call)
        # Of x itself, which need not be one number a position as a sum's queries and keys do.
        plain = replace(f, score="dot", query=Identity(), key=Identity(), key_bias=None)
        of, given = _near_zero(parts_of(replace(call, f=plain, g=Identity())), _matrices(call))
    else:
        of = parts_of(call)
        d, channels = of.keys.shape[1], of.values.shape[1]
        same, none = _matrix(Identity(), d), _matrix(None, d)
        given = Matrices(same, same, none, _matrix(Identity(), channels))
    if f.score == "sum":
        one = np.zeros_like(given.theta)
        one[0, -1] = 1
        given = given._replace(theta=np.vstack([given.theta, one]), phi=np.vstack([one, given.phi]))
    lying = of.queries.flags.f_contiguous  # plane by plane, as the result then is
    shape = (len(of.queries), len(given.g))
    y = np.empty(shape, dtype=call.planes.dtype, order="F" if lying else "C")
    for (query, key), (end_query, end_key) in pairwise(of.starts):
        keys, bias, values = (a[key:end_key] for a in (of.keys, of.bias[:, None], of.values))
        means = _with_ones(keys, values, given) / len(keys) @ given.g.T
        matrix = f.scale * given.theta.T @ given.phi @ means
        matrix[-1] += (given.bias @ means)[0]
        if not direct and f.key_bias is not None:
            matrix[-1] += (sums_of_products(bias, values) / len(keys))[0]
        part = y[query:end_query]
        q, m = of.queries[query:end_query], matrix[:-1].astype(y.dtype)
        if lying:
            np.matmul(m.T, q.T, out=part.T)
        else:
            np.matmul(q, m, out=part)
        if matrix[-1].any():
            part += matrix[-1].astype(y.dtype)
        if call.progress is not None:
            call.progress(float(end_query / len(of.queries)))
    return of.to_planes(y)


def _check(call: Call) -> None:
    """The errors where matrices do not fit, of one position."""
    first = (slice(None), *(slice(1) for _ in call.planes.shape[1:]))
    guide = None if call.guide is None else call.guide[first]
    parts_of(replace(call, over=Everywhere(), planes=call.planes[first], guide=guide))


def _matrices(call: Call) -> Matrices:
    f, seen = call.f, len(call.seen)
    theta, phi, bias = (_matrix(embed, seen) for embed in (f.query, f.key, f.key_bias))
    return Matrices(theta, phi, bias, _matrix(call.g, len(call.planes)))


def _near_zero(of: Parts, given: Matrices) -> tuple[Parts, Matrices]:
    """Parts and matrices, less the means of features and of values where these lie far from 0."""
    seen, mean = (_far_mean(a) for a in (of.keys, of.values))
    if seen.any():
        keys = of.keys - seen.astype(of.keys.dtype)
        queries = keys if of.queries is of.keys else of.queries - seen.astype(of.queries.dtype)
        of = of._replace(queries=queries, keys=keys)
        theta, phi, bias = (_moved(m, seen) for m in (given.theta, given.phi, given.bias))
        given = Matrices(theta, phi, bias, given.g)
    if mean.any():
        of = of._replace(values=of.values - mean.astype(of.values.dtype))
        given = given._replace(g=_moved(given.g, mean))
    return of, given


def _far_mean(a: Array) -> Float64s:
    some = a[:: max(1, len(a) // SAMPLE)].astype(np.float64)
    mean = some.mean(axis=0)
    far = np.where(np.abs(mean) > FAR * some.std(axis=0), mean, 0.0)
    return far.astype(a.dtype).astype(np.float64)  # what is taken off exactly


def _moved(matrix: Float64s, mean: Float64s) -> Float64s:
    """What does on inputs less this mean what the matrix does on the inputs."""
    return np.hstack([matrix[:, :-1], matrix[:, -1:] + matrix[:, :-1] @ mean[:, None]])


def _is_matrix(embed: Embedding | None) -> bool:
    inner = embed.of if isinstance(embed, Linear) else embed
    return inner is None or isinstance(inner, Identity)


def _matrix(embed: Embedding | None, inputs: int) -> Float64s:
    """What acts on an input and a 1 behind it."""
    if embed is None:
        return np.zeros((1, inputs + 1))
    if isinstance(embed, Linear):
        return np.hstack([embed.weight, embed.bias[:, None]])
    return np.eye(inputs, inputs + 1)


def _with_ones(keys: Array, values: Array, given: Matrices) -> Float64s:
    """sum_j (k_j, 1) (v_j, 1)^T, as far as the matrices ask for the ones."""
    sums = np.zeros((keys.shape[1] + 1, values.shape[1] + 1))
    sums[:-1, :-1] = sums_of_products(keys, values)
    sums[-1, -1] = len(keys)
    one = np.ones((len(keys), 1), dtype=keys.dtype)
    if given.phi[:, -1].any() or given.bias[:, -1].any():
        sums[-1, :-1] = sums_of_products(one, values)[0]
    if given.g[:, -1].any():
        sums[:-1, -1] = sums_of_products(keys, one)[:, 0]
    return sums


def sums_of_products(a: Array, b: Array) -> Float64s:
    """sum_j a_j b_j^T of the rows of two arrays."""
    whole = len(a) // KEYS * KEYS
    left, right = (x[:whole].reshape(-1, KEYS, x.shape[1]) for x in (a, b))
    total: Float64s = (left.transpose(0, 2, 1) @ right).sum(axis=0, dtype=np.float64)
    total += a[whole:].T @ b[whole:]
    return total


LINEAR = Kernel(
    "linear",
    5e10,
    "a product of q, k and g, summed over keys: one matrix serves all queries",
    lacks,
    work,
    run,
    parallel="BLAS",
)
