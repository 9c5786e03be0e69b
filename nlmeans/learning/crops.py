"""Crops of images to learn from, with their surroundings, and pixels masked in them."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nlmeans.learning.matrices import BlockMatrices
from nlmeans.learning.model import BlockShape, Example, apply
from nlmeans.learning.pairs import Pair

Floats = NDArray[Any]
STRIDE = 2  # of the hidden pixels, along both axes; with 4, learning took four times the crops


def hidden(x: Floats, margin: int, rng: np.random.Generator) -> tuple[Floats, NDArray[np.bool_]]:
    """The crop (H, W, C) with neighbours' means in some pixels, and which, (H, W, 1)."""
    where = np.zeros((*x.shape[:2], 1), np.bool_)
    first = [int(rng.integers(0, min(STRIDE, n - 2 * margin))) for n in x.shape[:2]]
    where[tuple(slice(margin + k, -margin, STRIDE) for k in first)] = True
    means = (x[:-2, 1:-1] + x[2:, 1:-1] + x[1:-1, :-2] + x[1:-1, 2:]) / 4
    shown = x.copy()
    np.copyto(shown[1:-1, 1:-1], means, where=where[1:-1, 1:-1])
    return shown, where


def renoised(
    examples: list[Example], m: BlockMatrices, geometry: BlockShape, rng: np.random.Generator
) -> list[Example]:
    """Examples, in units of the noise, with p_i + e_i in the hidden pixels."""
    single = m.astype(np.float32)
    predicted = [apply(single, geometry, of.x)[of.counting[..., 0]] for of in examples]
    shown = [of.target[of.counting[..., 0]] for of in examples]
    residuals = np.concatenate(shown) - np.concatenate(predicted)
    residuals -= residuals.mean(axis=0)
    variance = (residuals**2).mean()
    wrong = max(float(variance) - 1, 0)  # the prediction's own error
    residuals *= np.sqrt(max(1 - wrong, 0) / variance)
    count = len(residuals)  # each pixel is given another one's
    drawn = residuals[(np.arange(count) + rng.integers(1, max(count, 2), count)) % count]
    ends = np.cumsum([len(p) for p in predicted])[:-1]
    made = []
    inner = (slice(geometry.margin, -geometry.margin),) * 2
    for of, p, e in zip(examples, predicted, np.split(drawn, ends), strict=True):
        x = of.x.copy()
        x[inner][of.counting[..., 0]] = p + e
        made.append(of._replace(x=x))
    return made


# What tells how well a block does: clean images, or the noisy ones in one of two ways.
Supervision = Literal["clean", "recorruption", "masking"]
RECORRUPTION = 0.5  # alpha: the noise added to the input, over that of the image


def level(supervision: Supervision, sigma: float) -> float:
    """The noise of the inputs that are learned from."""
    return float(sigma * np.hypot(1, RECORRUPTION if supervision == "recorruption" else 0))


def sample(
    pairs: Sequence[Pair],
    supervision: Supervision,
    count: int,
    side: int,
    margin: int,
    sigma: float,
    rng: np.random.Generator,
) -> list[Example]:
    """So many crops, from one image after the other, flipped and transposed at random.

    Without its own mean, in units of the inputs' noise: the block commutes with adding a constant.
    Crops without a clean image keep the margin off the border: what is mirrored there would show
    the noise of a target a second time.
    By recorruption of an image x of noise sigma, x + alpha n and x - n/alpha are input and target,
    n another noise of this sigma: their errors are then independent if the noise is Gaussian.
    """
    return [
        _crop(pairs[k % len(pairs)], supervision, side, margin, sigma, rng) for k in range(count)
    ]


def _crop(
    pair: Pair,
    supervision: Supervision,
    side: int,
    margin: int,
    sigma: float,
    rng: np.random.Generator,
) -> Example:
    unit = level(supervision, sigma)
    off = 0 if pair.clean is not None else margin
    h, w = (min(side, n - 2 * off) for n in pair.noisy.shape[:2])
    y, x = (
        int(rng.integers(off, n - m - off + 1))
        for n, m in zip(pair.noisy.shape, (h, w), strict=False)
    )
    flips, transposed = 1 - 2 * rng.integers(0, 2, 2), bool(rng.integers(0, 2))

    def cut(image: Floats) -> Floats:
        wide = _around(image, (y, x), (h, w), margin)[:: flips[0], :: flips[1]]
        return wide.transpose(1, 0, 2) if transposed else wide

    seen = target = cut(pair.noisy)
    counting = np.ones((*seen.shape[:2], 1), np.bool_)
    if pair.clean is not None:
        target = cut(pair.clean)
    elif supervision == "recorruption":
        noise = rng.normal(0, sigma, seen.shape)
        seen, target = seen + RECORRUPTION * noise, seen - noise / RECORRUPTION
    else:
        seen, counting = hidden(seen, margin, rng)
    mean, inner = seen.mean(), (slice(margin, -margin),) * 2
    scaled = ((seen - mean) / unit, (target[inner] - mean) / unit)
    shown, true = (np.ascontiguousarray(each, dtype=np.float32) for each in scaled)
    return Example(shown, true, counting[inner])


def _around(image: Floats, corner: tuple[int, int], sides: tuple[int, int], margin: int) -> Floats:
    """The crop with its surroundings, mirrored where they lie beyond the image."""
    rows, columns = (
        np.pad(np.arange(n), margin, mode="reflect")[k : k + m + 2 * margin]
        for n, k, m in zip(image.shape, corner, sides, strict=False)
    )
    wide: Floats = image[np.ix_(rows, columns)]
    return wide
