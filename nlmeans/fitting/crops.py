"""Crops of images to learn from, with their surroundings."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nlmeans.fitting.model import Example

Floats = NDArray[Any]
RECORRUPTION = 0.5  # alpha: the noise added to the input, over that of the image


class Pair(NamedTuple):
    """An image (H, W, C), noisy and clean; without a clean one it is recorrupted."""

    noisy: Floats
    clean: Floats | None


def level(pairs: Sequence[Pair], sigma: float) -> float:
    """The noise of the inputs that are learned from."""
    return float(sigma * np.hypot(1, 0 if pairs[0].clean is not None else RECORRUPTION))


def sample(
    pairs: Sequence[Pair],
    count: int,
    side: int,
    margin: int,
    sigma: float,
    rng: np.random.Generator,
) -> list[Example]:
    """So many crops, from one image after the other, flipped and transposed at random.

    Without its own mean, in units of the inputs' noise: the block commutes with adding a constant.
    Without a clean image x, of noise sigma, x + alpha n and x - n/alpha are input and target, n
    another noise of this sigma: their errors are then independent if the noise is Gaussian.
    """
    unit = level(pairs, sigma)
    return [_crop(pairs[k % len(pairs)], side, margin, sigma, unit, rng) for k in range(count)]


def _crop(
    pair: Pair, side: int, margin: int, sigma: float, unit: float, rng: np.random.Generator
) -> Example:
    h, w = (min(side, n) for n in pair.noisy.shape[:2])
    y, x = (int(rng.integers(0, n - m + 1)) for n, m in zip(pair.noisy.shape, (h, w), strict=False))
    flips, transposed = 1 - 2 * rng.integers(0, 2, 2), bool(rng.integers(0, 2))

    def cut(image: Floats) -> Floats:
        wide = _around(image, (y, x), (h, w), margin)[:: flips[0], :: flips[1]]
        return wide.transpose(1, 0, 2) if transposed else wide

    seen = target = cut(pair.noisy)
    if pair.clean is not None:
        target = cut(pair.clean)
    else:
        noise = rng.normal(0, sigma, seen.shape)
        seen, target = seen + RECORRUPTION * noise, seen - noise / RECORRUPTION
    mean, inner = seen.mean(), slice(margin, -margin)
    scaled = ((seen - mean) / unit, (target[inner, inner] - mean) / unit)
    return Example(*(np.ascontiguousarray(each, dtype=np.float32) for each in scaled))


def _around(image: Floats, corner: tuple[int, int], sides: tuple[int, int], margin: int) -> Floats:
    """The crop with its surroundings, mirrored where they lie beyond the image."""
    rows, columns = (
        np.pad(np.arange(n), margin, mode="reflect")[k : k + m + 2 * margin]
        for n, k, m in zip(image.shape, corner, sides, strict=False)
    )
    wide: Floats = image[np.ix_(rows, columns)]
    return wide
