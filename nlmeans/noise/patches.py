"""Patches of an image on a regular grid, and their discrete cosine transform (DCT)."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

SIDE = 8  # of a patch
PATCHES = 1 << 16  # looked at; larger images are sub-sampled, four times as many gain nothing
_CHUNK = 1 << 12  # patches in memory at once
_CLIPPED_SHARE = 0.001  # of pixels on the lowest or highest value from which it is a clipping level


def dct() -> NDArray[np.float64]:
    """Orthonormal 2-D DCT-II of a flattened patch, a basis function in each row."""
    n = np.arange(SIDE)
    rows = np.cos(math.pi * np.outer(n, 2 * n + 1) / (2 * SIDE)) * math.sqrt(2 / SIDE)
    rows[0] /= math.sqrt(2)
    return np.asarray(np.kron(rows, rows), dtype=np.float64)


BASIS = dct().T  # a patch less its first pixel, times this, is its coefficients
ORDER = np.add.outer(np.arange(SIDE), np.arange(SIDE)).ravel()  # i + j of a frequency


def clipping_levels(channel: NDArray[Any], low: float, high: float) -> list[float]:
    """Those of the lowest and the highest value that more than 0.1 % of the pixels have."""
    rows = max(1, PATCHES // channel.shape[1])
    bands = [channel[top : top + rows] for top in range(0, channel.shape[0], rows)]
    counts = {v: sum(np.count_nonzero(band == v) for band in bands) for v in (low, high)}
    return [v for v, count in counts.items() if count > _CLIPPED_SHARE * channel.size]


def grid_patches(
    channel: NDArray[Any], scale: float, most: int = PATCHES
) -> Iterator[NDArray[np.float64]]:
    """Scaled and flattened patches on a regular grid, a chunk at a time; about `most` of them."""
    windows = _grid(channel, most)
    rows = max(1, _CHUNK // windows.shape[1])
    for top in range(0, windows.shape[0], rows):
        for left in range(0, windows.shape[1], _CHUNK):
            chunk = windows[top : top + rows, left : left + _CHUNK]
            yield np.multiply(chunk, scale, dtype=np.float64, order="C").reshape(-1, SIDE**2)


def patch_count(channel: NDArray[Any], most: int = PATCHES) -> int:
    """How many patches `grid_patches` gives."""
    windows = _grid(channel, most)
    return int(windows.shape[0] * windows.shape[1])


def _grid(channel: NDArray[Any], most: int) -> NDArray[Any]:
    windows = sliding_window_view(channel, (SIDE, SIDE))
    step = math.ceil(math.sqrt(windows.shape[0] * windows.shape[1] / most))
    if step > 2 and step % 2 == 0:
        step += 1  # out of step with the 8x8 blocks of a codec
    return windows[::step, ::step]
