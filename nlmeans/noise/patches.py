"""Patches of an image on a regular grid, and their spectra: the discrete cosine transform (DCT)."""

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from nlmeans.base.blas import blas_at_most
from nlmeans.base.scaling import exponent_of

Array = NDArray[Any]

SIDE = 8  # of a patch
PATCHES = 1 << 16  # looked at; larger images are sub-sampled, four times as many gain nothing
_CHUNK = 1 << 11  # patches in memory at once
_LARGEST_LEVEL = 65535  # of 16 bits
_CLIPPED_SHARE = 0.001  # of pixels on the lowest or highest value from which it is a clipping level
_GROUPS, _FEWEST_IN_GROUP = 16, 300  # of patches by their mean


def cosines() -> NDArray[np.float64]:
    """Orthonormal 1-D DCT-II, a basis function in each row."""
    n = np.arange(SIDE)
    rows = np.cos(math.pi * np.outer(n, 2 * n + 1) / (2 * SIDE)) * math.sqrt(2 / SIDE)
    rows[0] /= math.sqrt(2)
    return np.asarray(rows, dtype=np.float64)


BASIS = np.kron(cosines(), cosines()).T  # a flattened patch times this is its coefficients
ORDER = np.add.outer(np.arange(SIDE), np.arange(SIDE)).ravel()  # i + j of a frequency

HIGH = ORDER > 9  # these hold the least texture; a cut at 7 or 8 changes the error by a tenth
LOW = (ORDER > 0) & ~HIGH  # how much these hold tells how flat a patch is
MIDDLE = (ORDER > 5) & ~HIGH
ODD = ORDER % 2 == 1
EVEN = ~ODD & (ORDER > 0)
_SUMS = np.array([LOW, ODD, EVEN, ODD & MIDDLE, EVEN & MIDDLE], np.float32)


@dataclass(frozen=True, eq=False)
class Spectra:
    """The spectra of patches of one channel: of an image, or of the images of a stack."""

    windows: list[Array]  # (rows, columns, 8, 8): The patches of each image, in its memory
    scale: float  # a power of two that the values are multiplied with. All else is of the products.
    low: float  # low, high: The lowest and the highest value
    high: float
    # those of the two that are clipping levels: more than 0.1 % of the pixels have them
    clipped: list[float]
    mean: Array  # (patches,)
    highest: Array  # (15, patches): Squared coefficients of the frequencies `HIGH`
    # (5, patches): Sums of squares over `LOW`, `ODD`, `EVEN`, and the odd and even frequencies of
    # `MIDDLE`
    sums: Array
    # dark, bright: (patches,): Shares of pixels on the lowest and highest value, if those are
    # clipping levels
    dark: Array
    bright: Array

    @cached_property
    def groups(self) -> list[Array]:
        """Which patches are of like means, in up to 16 groups of one size.

        Those mostly on a clipping level are left out if enough others remain.
        """
        order = order_of((self.mean - self.mean.min()).astype(self.highest.dtype))
        free = np.maximum(self.dark, self.bright)[order] <= 0.5
        if np.count_nonzero(free) >= _GROUPS * _FEWEST_IN_GROUP:
            order = order[free]
        return np.array_split(order, max(1, min(_GROUPS, len(order) // _FEWEST_IN_GROUP)))

    def flattest(self, group: Array, by: int, count: int) -> Array:
        """The squares of those patches of a group with the least sum of this number."""
        least = np.argpartition(self.sums[by, group], count - 1)[:count]
        return self.squares(group[least])

    def share_within(self, weights: Array, limit: float) -> float:
        """The share of the patches in groups whose squares, so weighted, add up to a limit."""
        which = np.sort(np.concatenate(self.groups))
        parts = np.array_split(which, math.ceil(len(which) / _CHUNK))
        within = sum(np.count_nonzero(weights @ self.squares(part) <= limit) for part in parts)
        return float(within / len(which))

    def squares(self, which: Array) -> NDArray[np.float64]:
        """All squared coefficients of these patches, (64, patches): too many to be kept."""
        result = np.empty((SIDE**2, len(which)))
        start = 0
        for windows in self.windows:
            rows, columns = windows.shape[:2]
            here = (which >= start) & (which < start + rows * columns)
            row, column = np.divmod(which[here] - start, columns)
            patches = _flattened(windows[row, column], self.scale, self.highest.dtype)
            result[:, here] = np.square(_transformed(patches))
            start += rows * columns
        return result


@blas_at_most(1)  # its threads wait for each other where another program is at work
def spectra_of(planes: list[Array]) -> Spectra:
    """The spectra of about `PATCHES` patches of one channel's images."""
    low, high = (float(f([f(plane) for plane in planes])) for f in (np.min, np.max))
    # A power of two brings the values into [-1, 1] and is undone exactly.
    scale = math.ldexp(1.0, -exponent_of(max(abs(low), abs(high))))
    windows = [_grid(plane, PATCHES // len(planes)) for plane in planes]
    count = sum(math.prod(each.shape[:2]) for each in windows)
    mean, dark, bright = np.zeros((3, count))
    dtype = _precision(planes, low, high)
    highest, sums = (np.empty((n, count), dtype) for n in (np.count_nonzero(HIGH), len(_SUMS)))
    summed = _SUMS.astype(dtype)
    found: set[float] = set()
    done = 0
    for plane, each in zip(planes, windows, strict=True):
        clipped = clipping_levels(plane, low, high)
        found.update(clipped)
        for chunk in _chunks(each):
            patches = _flattened(chunk, scale, dtype)
            part = slice(done, done + len(patches))
            for level, shares in ((low, dark), (high, bright)):
                if level in clipped:  # bytes of 0 and 1, eight in a number
                    on_it = (patches == level * scale).view(np.uint64)
                    shares[part] = np.bitwise_count(on_it).sum(axis=1) / SIDE**2
            first = patches[:, 0].astype(np.float64)
            coefficients = _transformed(patches)
            mean[part] = first + coefficients[0] / dtype.type(SIDE)
            squares = np.square(coefficients, out=coefficients)
            highest[:, part] = squares[HIGH]
            np.matmul(summed, squares, out=sums[:, part])
            done = part.stop
    levels = [level * scale for level in sorted(found)]
    ends = low * scale, high * scale
    return Spectra(windows, scale, *ends, levels, mean, highest, sums, dark, bright)


def _precision(planes: list[Array], low: float, high: float) -> np.dtype[Any]:
    """float32 for the levels of up to 16 bits, in whatever dtype, else float64.

    float32 does not hold the squares of noise beside a pixel of 1e30.
    """
    whole = planes[0].dtype.kind in "biu" or (
        max(abs(low), abs(high)) <= _LARGEST_LEVEL
        and all(np.array_equal(plane, np.rint(plane)) for plane in planes)
    )
    return np.dtype(np.float32 if whole else np.float64)


def _flattened(windows: Array, scale: float, dtype: np.dtype[Any]) -> Array:
    """Scaled copies of patches, (patches, 64)."""
    return np.multiply(windows, scale, dtype=dtype, order="C").reshape(-1, SIDE**2)


def _transformed(patches: Array) -> Array:
    """The coefficients of patches less their first pixel, (64, patches); these are written to."""
    patches -= patches[:, :1].copy()  # a flat patch becomes exactly 0, whatever its value
    return np.asarray(BASIS.T.astype(patches.dtype) @ patches.T)


def order_of(values: Array) -> Array:
    """The places of numbers from 0 in ascending order; equal ones keep theirs."""
    if values.dtype != np.float32:
        return np.argsort(values, kind="stable")
    # NumPy sorts 16 bits by radix: twice that is three times as fast as a stable sort of floats.
    halves = values.view(np.uint16).reshape(-1, 2)
    low, high = halves.T if sys.byteorder == "little" else halves.T[::-1]
    order = np.argsort(low, kind="stable")
    return order[np.argsort(high[order], kind="stable")]


def clipping_levels(channel: Array, low: float, high: float) -> list[float]:
    """Those of the lowest and the highest value that more than 0.1 % of the pixels have."""
    rows = max(1, PATCHES // channel.shape[1])
    bands = [channel[top : top + rows] for top in range(0, channel.shape[0], rows)]
    counts = {v: sum(np.count_nonzero(band == v) for band in bands) for v in (low, high)}
    return [v for v, count in counts.items() if count > _CLIPPED_SHARE * channel.size]


def _chunks(windows: Array) -> Iterator[Array]:
    """Some of the patches at a time: (rows, columns, 8, 8)."""
    # Threads for these bring nothing: tried on 512x512 in colours, 0.120 s with and without.
    rows = max(1, _CHUNK // windows.shape[1])
    for top in range(0, windows.shape[0], rows):
        for left in range(0, windows.shape[1], _CHUNK):
            yield windows[top : top + rows, left : left + _CHUNK]


def _grid(channel: Array, most: int) -> Array:
    """Patches on a regular grid, about `most` of them: (rows, columns, 8, 8)."""
    windows = sliding_window_view(channel, (SIDE, SIDE))
    step = math.ceil(math.sqrt(windows.shape[0] * windows.shape[1] / most))
    if step > 2 and step % 2 == 0:
        step += 1  # out of step with the 8x8 blocks of a codec
    return windows[::step, ::step]
