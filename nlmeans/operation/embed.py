"""Embeddings: what f or g sees of a position. Each maps (*grid, C) to (*grid, d)."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import exp, prod
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nlmeans.base.arrays import real_array
from nlmeans.base.checks import check_choice, check_size, radii
from nlmeans.base.texts import show_size

Floats = NDArray[np.floating[Any]]
PatchWeighting = Literal["uniform", "gaussian", "off-centre"]
# Of a distance; "none" is for learned matrices.
PATCH_WEIGHTINGS = ("uniform", "gaussian", "off-centre")


def mirror(grid: tuple[int, ...], margin: tuple[int, ...]) -> list[NDArray[np.intp]]:
    """Per axis, the pixel that each position of the grid widened by `margin` shows.

    Mirrored about the edge pixel, which is not repeated (NumPy's "reflect"), as often as needed.
    """
    return [np.pad(np.arange(n), m, mode="reflect") for n, m in zip(grid, margin, strict=True)]


def widen(x: Floats, margin: tuple[int, ...]) -> Floats:
    """The array mirrored at its borders, `margin` positions wider at each end of each axis."""
    return x[np.ix_(*mirror(x.shape[: len(margin)], margin))]


@dataclass(frozen=True)
class Identity:
    """x_i itself."""

    def __call__(self, x: Floats) -> Floats:
        return x

    def radius(self, ndim: int) -> tuple[int, ...]:
        """How far beyond a position the embedding looks, per axis."""
        return (0,) * ndim

    def outputs(self, channels: int, ndim: int) -> int:
        """Numbers a position, of an array of so many channels and axes of positions."""
        return channels

    def __str__(self) -> str:
        return "x"


@dataclass(frozen=True, eq=False)
class Linear:
    """W x_i + b: a 1x1 convolution, after another embedding if one is given.

    Parameters
    ----------
    weight : array (d, C)
    bias : array (d,), optional
    of : embedding, optional
        What the matrix is applied to; the position's channels by default.

    Raises
    ------
    ValueError, TypeError
        If the weight is no matrix, the bias does not fit it, or either holds NaN or infinity, or
        complex numbers.

    Examples
    --------
    >>> import numpy as np
    >>> Linear([[1, 1, 1]])(np.ones((4, 5, 3))).shape
    (4, 5, 1)
    """

    weight: NDArray[np.float64]
    bias: NDArray[np.float64]
    of: Embedding

    def __init__(
        self, weight: ArrayLike, bias: ArrayLike | None = None, of: Embedding | None = None
    ) -> None:
        matrix = np.array(real_array("weight", weight), dtype=np.float64)
        if matrix.ndim != 2 or matrix.size == 0:
            raise ValueError(
                f"weight has shape {matrix.shape}; a matrix (outputs, inputs) is needed"
            )
        given = np.zeros(len(matrix)) if bias is None else real_array("bias", bias)
        vector = np.array(given, dtype=np.float64)
        if vector.shape != (len(matrix),):
            raise ValueError(f"bias has shape {vector.shape}; the weight asks for ({len(matrix)},)")
        for name, array in (("weight", matrix), ("bias", vector)):
            if not np.isfinite(array).all():
                raise ValueError(f"{name} holds NaN or infinity; only finite numbers are allowed")
            array.flags.writeable = False
        object.__setattr__(self, "weight", matrix)
        object.__setattr__(self, "bias", vector)
        object.__setattr__(self, "of", Identity() if of is None else of)

    def __call__(self, x: Floats) -> Floats:
        if isinstance(self.of, Patches) and self.of.weighting == "none":
            pixels = prod(2 * r + 1 for r in self.of.radius(x.ndim - 1))
            if len(self.weight) < x.shape[-1] and self.weight.shape[1] == x.shape[-1] * pixels:
                return self._of_patches(x, pixels)
        inner = self.of(x)
        if inner.shape[-1] != self.weight.shape[1]:
            raise ValueError(
                f"a {self.weight.shape[0]}x{self.weight.shape[1]} matrix meets "
                f"{inner.shape[-1]} channels; its second number has to be the channel count"
            )
        weight, bias = (a.astype(inner.dtype, copy=False) for a in (self.weight, self.bias))
        y: Floats = inner @ weight.T
        y += bias
        return y

    def _of_patches(self, x: Floats, pixels: int) -> Floats:
        """Where there are fewer outputs than channels: multiplied, then shifted.

        The patches of many channels would take many times the memory, and longer to be copied
        than to be multiplied.
        """
        radius = self.of.radius(x.ndim - 1)
        wide = widen(x, radius)
        outputs, channels = len(self.weight), x.shape[-1]
        weight = self.weight.astype(x.dtype, copy=False).reshape(outputs, channels, pixels)
        terms = wide @ weight.transpose(1, 2, 0).reshape(channels, pixels * outputs)
        y = np.zeros((*x.shape[:-1], outputs), x.dtype)
        for k, corner in enumerate(np.ndindex(*(2 * r + 1 for r in radius))):
            at = tuple(slice(c, c + n) for c, n in zip(corner, x.shape, strict=False))
            y += terms[at][..., k * outputs : (k + 1) * outputs]
        result: Floats = y + self.bias.astype(x.dtype, copy=False)
        return result

    def radius(self, ndim: int) -> tuple[int, ...]:
        return self.of.radius(ndim)

    def outputs(self, channels: int, ndim: int) -> int:
        return len(self.weight)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Linear):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[Any, ...]:
        return self.weight.shape, self.weight.tobytes(), self.bias.tobytes(), self.of

    def __str__(self) -> str:
        rows, columns = self.weight.shape
        return f"W {self.of}" + (" + b" if self.bias.any() else "") + f" (W {rows}x{columns})"


@dataclass(frozen=True)
class Patches:
    """Q_i = sqrt(G) P_i: the patch around a position, so that |Q_i - Q_j|^2 is the weighted MSD.

    P_i holds the patch's pixels, mirrored at the border, flattened in the order (channel, *patch);
    G sums to 1 over pixels and channels. With weighting "none" it is P_i itself, for matrices.

    Parameters
    ----------
    size : odd int, or one per axis
        Full side in pixels.
    weighting : {"uniform", "gaussian", "off-centre", "none"}
        G: equal, or a Gaussian of standard deviation (side - 1)/4 about the centre, or equal but
        0 in the first row and column, so half a pixel off the centre (for the pictures of
        programs that do so), or 1.

    Examples
    --------
    >>> import numpy as np
    >>> Patches(3)(np.zeros((8, 9, 2))).shape
    (8, 9, 18)
    """

    size: int | tuple[int, ...]
    weighting: PatchWeighting | Literal["none"] = field(default="uniform")

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", check_size("patch_size", self.size))
        check_choice("patch_weighting", self.weighting, (*PATCH_WEIGHTINGS, "none"))

    def __call__(self, x: Floats) -> Floats:
        ndim = x.ndim - 1
        radius = self.radius(ndim)
        wide = widen(x, radius)
        sides = tuple(2 * r + 1 for r in radius)
        windows = np.lib.stride_tricks.sliding_window_view(wide, sides, axis=tuple(range(ndim)))
        size = x.shape[-1] * prod(sides)
        if self.weighting == "none":
            return windows.reshape(*x.shape[:-1], size)
        g = self.taps(ndim)[0]
        for taps in self.taps(ndim)[1:]:
            g = np.multiply.outer(g, taps)
        q: Floats = windows * np.sqrt(g / x.shape[-1]).astype(x.dtype)
        return q.reshape(*x.shape[:-1], size)

    def taps(self, ndim: int) -> list[NDArray[np.float64]]:
        """G's factor along each axis, each summing to 1."""
        factors = []
        for r in self.radius(ndim):
            taps = np.ones(2 * r + 1)
            if self.weighting == "gaussian" and r > 0:
                taps = np.array([exp(-(k**2) / (2 * (r / 2) ** 2)) for k in range(-r, r + 1)])
            elif self.weighting == "off-centre" and r > 0:
                taps[0] = 0
            factors.append(taps / taps.sum())
        return factors

    def radius(self, ndim: int) -> tuple[int, ...]:
        return radii("patch_size", self.size, ndim)

    def outputs(self, channels: int, ndim: int) -> int:
        return channels * prod(2 * r + 1 for r in self.radius(ndim))

    def __str__(self) -> str:
        kind = "" if self.weighting == "none" else f"{self.weighting} "
        return f"{kind}patches of side {show_size(self.size)}"


Embedding = Identity | Linear | Patches
