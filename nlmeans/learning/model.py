"""What is fitted: the squared error of one patch-level block on a crop, and its gradient.

    s_ij = -max(|theta P_i - phi P_j|^2 - noise, 0) + bias . P_j
    y_i  = sum over the window of p_ij g P_j,    p_i = softmax of s_i
    z_i  = W (the y around i)

P_i is the patch around i. With L the error and u_ij = dL/ds_ij = p_ij (dL/dy_i) . (g P_j - y_i),

    dL/d(theta P_i) = -2 sum_j u_ij (theta P_i - phi P_j),    dL/d(phi P_j) the same sum over i, +2

over the pairs whose distance exceeds the noise; all else is linear. Queries are taken in small
squares with all the keys around them: what lies outside of a query's window is masked, and the
rest is matrix products.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nlmeans.learning.matrices import BlockMatrices

Floats = NDArray[Any]
TILE = 8  # side of the squares of queries
MASKED = -1e30


class BlockShape(NamedTuple):
    """Radii in pixels, and the squared distance that counts as none."""

    patch: int
    search: int
    noise: float

    @property
    def margin(self) -> int:
        """How far the pixels that one output depends on lie from it."""
        return 2 * self.patch + self.search


class Example(NamedTuple):
    """One crop; the input is wider than the target by the margin at every side."""

    x: Floats  # (H + 2 margin, W + 2 margin, C)
    target: Floats  # (H, W, outputs)
    counting: NDArray[np.bool_]  # (H, W, 1): the pixels whose error counts

    @property
    def size(self) -> int:
        return int(np.count_nonzero(self.counting)) * int(self.target.shape[2])


class _Forward(NamedTuple):
    patches: Floats
    queries: Floats
    keys: Floats
    values: Floats
    y: Floats
    z: Floats
    shares: list[tuple[Floats, NDArray[np.bool_]]]  # of every tile p, and where distances count


def apply(m: BlockMatrices, geometry: BlockShape, x: Floats) -> Floats:
    """z of the pixels that are further than the margin from x's border, (H, W, outputs)."""
    return _forward(m, geometry, x, keep=False).z


def error_and_gradient(
    m: BlockMatrices, geometry: BlockShape, of: Example
) -> tuple[float, BlockMatrices]:
    """The sum of squared errors, and its derivatives."""
    forward = _forward(m, geometry, of.x, keep=True)
    error = (forward.z - of.target) * of.counting
    gradient = _backward(m, geometry, forward, 2 * error)
    return float((error.astype(np.float64) ** 2).sum()), gradient


def squared_error(m: BlockMatrices, geometry: BlockShape, of: Example) -> float:
    error = (apply(m, geometry, of.x) - of.target) * of.counting
    return float((error.astype(np.float64) ** 2).sum())


def _forward(m: BlockMatrices, geometry: BlockShape, x: Floats, keep: bool) -> _Forward:
    r, side = geometry.search, 2 * geometry.patch + 1
    windows = np.lib.stride_tricks.sliding_window_view(x, (side, side), axis=(0, 1))
    patches = windows.reshape(*windows.shape[:2], -1)
    inside = patches[r : len(patches) - r, r : patches.shape[1] - r]
    queries, keys, values = inside @ m.theta.T, patches @ m.phi.T, patches @ m.g.T
    bias, norms = patches @ m.bias, (keys**2).sum(-1)
    y = np.empty((*queries.shape[:2], values.shape[-1]), x.dtype)
    shares = []
    for tile, around, outside in _tiles(queries.shape, r, x.dtype):
        q, k = _rows(queries[tile]), _rows(keys[around])
        s = 2 * q @ k.T  # from here to -|q - k|^2, to the score, to its share
        s -= norms[around].reshape(-1)
        s -= (q**2).sum(-1, keepdims=True)
        counting = s < -geometry.noise
        s += geometry.noise
        np.minimum(s, 0, out=s)
        s += bias[around].reshape(-1)
        s += outside
        s -= s.max(axis=1, keepdims=True)
        np.exp(s, out=s)
        s /= s.sum(axis=1, keepdims=True)
        y[tile] = (s @ _rows(values[around])).reshape(y[tile].shape)
        if keep:
            shares.append((s, counting))
    shape = (len(y) - side + 1, y.shape[1] - side + 1, len(m.out))
    z = np.zeros(shape, x.dtype)
    for at, part in _offsets(m, shape):
        z += y[part] @ m.out[at].T
    return _Forward(patches, queries, keys, values, y, z, shares)


def _backward(m: BlockMatrices, geometry: BlockShape, of: _Forward, dz: Floats) -> BlockMatrices:
    r = geometry.search
    dout, dy = np.empty_like(m.out), np.zeros_like(of.y)
    for at, part in _offsets(m, dz.shape):
        dout[at] = _rows(dz).T @ _rows(of.y[part])
        dy[part] += dz @ m.out[at]
    dq, dk, dv = (np.zeros_like(each) for each in (of.queries, of.keys, of.values))
    dbias = np.zeros_like(of.keys[..., 0])
    tiles = _tiles(of.queries.shape, r, dz.dtype)
    for (tile, around, _), (p, counting) in zip(tiles, of.shares, strict=True):
        q, k, v = _rows(of.queries[tile]), _rows(of.keys[around]), _rows(of.values[around])
        by_y = _rows(dy[tile])
        dv[around] += (p.T @ by_y).reshape(dv[around].shape)
        u = by_y @ v.T
        u -= (by_y * _rows(of.y[tile])).sum(-1, keepdims=True)
        u *= p
        dbias[around] += u.sum(axis=0).reshape(dbias[around].shape)
        u *= counting
        dq[tile] = 2 * (u @ k - q * u.sum(axis=1)[:, None]).reshape(dq[tile].shape)
        dk[around] += 2 * (u.T @ q - k * u.sum(axis=0)[:, None]).reshape(dk[around].shape)
    patches = _rows(of.patches)
    inside = _rows(of.patches[r : len(of.keys) - r, r : of.keys.shape[1] - r])
    return BlockMatrices(
        _rows(dq).T @ inside,
        _rows(dk).T @ patches,
        dbias.reshape(-1) @ patches,
        _rows(dv).T @ patches,
        dout,
    )


def _rows(a: Floats) -> Floats:
    return a.reshape(-1, a.shape[-1])


Slices = tuple[slice, slice]


def _tiles(shape: tuple[int, ...], r: int, dtype: Any) -> Iterator[tuple[Slices, Slices, Floats]]:
    """Squares of queries, the keys around each, and the mask of each query's window."""
    for y in range(0, shape[0], TILE):
        for x in range(0, shape[1], TILE):
            h, w = min(TILE, shape[0] - y), min(TILE, shape[1] - x)
            around = slice(y, y + h + 2 * r), slice(x, x + w + 2 * r)
            yield (slice(y, y + h), slice(x, x + w)), around, _outside(h, w, r, np.dtype(dtype))


@lru_cache(maxsize=16)
def _outside(h: int, w: int, r: int, dtype: np.dtype[Any]) -> Floats:
    """0 where the key (column) is in the window of the query (row), else far below 0."""
    rows, columns = (
        abs(np.arange(n + 2 * r)[None] - np.arange(n)[:, None] - r) <= r for n in (h, w)
    )
    inside = rows[:, None, :, None] & columns[None, :, None, :]
    return np.where(inside, 0, MASKED).astype(dtype).reshape(h * w, -1)


def _offsets(m: BlockMatrices, shape: tuple[int, ...]) -> Iterator[tuple[Any, Slices]]:
    """The places around a position: W's matrix there, and y there for all positions."""
    for y, x in np.ndindex(*m.out.shape[2:]):
        yield (..., y, x), (slice(y, y + shape[0]), slice(x, x + shape[1]))
