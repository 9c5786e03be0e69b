"""The matrices of one patch-level block: as they start, as they may change, as a `Block`."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nlmeans.operation.block import Block
from nlmeans.operation.embed import Linear, Patches
from nlmeans.operation.operation import Operation
from nlmeans.operation.pairwise import Pairwise
from nlmeans.operation.support import Window

Floats = NDArray[Any]
OUT_STEP = 0.1  # the loss bends most along W: shorter steps there, fewer in all


class BlockMatrices(NamedTuple):
    """Of a block on patches of P numbers, or the loss's derivatives by them."""

    theta: Floats  # (d, P)
    phi: Floats  # (d, P)
    bias: Floats  # (P,), of a key's logit
    g: Floats  # (v, P)
    out: Floats  # (outputs, v, side, side)

    def astype(self, dtype: Any) -> "BlockMatrices":
        return BlockMatrices(*(each.astype(dtype) for each in self))

    def flat(self) -> NDArray[np.float64]:
        return np.concatenate([np.ravel(each).astype(np.float64) for each in self])

    def of_flat(self, vector: NDArray[np.float64]) -> "BlockMatrices":
        """The numbers of a vector in matrices of these shapes."""
        parts = np.split(vector, np.cumsum([each.size for each in self])[:-1])
        shaped = (part.reshape(each.shape) for part, each in zip(parts, self, strict=True))
        return BlockMatrices(*shaped)


def classical(side: int, channels: int, h: float) -> BlockMatrices:
    """Patchwise means: theta = phi = sqrt(G)/h, g = the patch, W = its mean over the overlaps."""
    pixels, size = side**2, channels * side**2
    metric = np.eye(size) / (h * np.sqrt(size))
    out = np.zeros((channels, channels, side, side, side, side))
    for c, y, x in np.ndindex(channels, side, side):
        # what the patch at (y, x) says of this pixel stands at the point opposite in the patch
        out[c, c, side - 1 - y, side - 1 - x, y, x] = 1 / pixels
    w = out.reshape(channels, size, side, side)
    return BlockMatrices(metric, metric.copy(), np.zeros(size), np.eye(size), w)


def changed(start: BlockMatrices, free: NDArray[np.float64]) -> BlockMatrices:
    """The start moved by free numbers in such ways that adding a constant to x adds it to z.

    theta and phi change alike by the first matrix, and by the second, without its rows' means, in
    opposite ways; the other means stay what they are.
    """
    by = start.of_flat(free)
    apart = _centred(by.phi, -1)
    return BlockMatrices(
        start.theta + by.theta + apart,
        start.phi + by.theta - apart,
        start.bias + _centred(by.bias, -1),
        start.g + _centred(by.g, -1),
        start.out + OUT_STEP * _centred(by.out, (1, 2, 3)),
    )


def by_free(d: BlockMatrices) -> NDArray[np.float64]:
    """Derivatives by the free numbers from those by the matrices: `changed` transposed."""
    return BlockMatrices(
        d.theta + d.phi,
        _centred(d.theta - d.phi, -1),
        _centred(d.bias, -1),
        _centred(d.g, -1),
        OUT_STEP * _centred(d.out, (1, 2, 3)),
    ).flat()


def _centred(a: Floats, axis: int | tuple[int, ...]) -> Floats:
    result: Floats = a - a.mean(axis=axis, keepdims=True)
    return result


def as_block(m: BlockMatrices, unit: float, noise: float, search: int) -> Block:
    """For x in its own units, of which the matrices count `unit` as 1."""
    side = m.out.shape[-1]
    patches = Patches(side, "none")
    theta, phi = (Linear(each / unit, of=patches) for each in (m.theta, m.phi))
    f = Pairwise(
        "learned distance",
        "distance",
        "exp",
        "sum",
        theta,
        phi,
        noise=noise,
        key_bias=Linear(m.bias[None] / unit, of=patches) if m.bias.any() else None,
    )
    return Block(
        Operation(f, Linear(m.g, of=patches), Window(search, "mirror")),
        out=Linear(m.out.reshape(len(m.out), -1), of=patches),
        residual=False,
    )
