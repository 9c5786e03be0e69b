"""Learning from noisy images by what they show at pixels that are hidden.

    L = mean over the hidden pixels of (z_i(x') - x_i)^2,    x'_i = p_i + e_i there, else x_i

The noise of x_i is in no other pixel, so that L is the block's error plus the noise, if x' does not
depend on the hidden x_i (Batson and Royer, "Noise2Self", 2019; Krull et al., "Noise2Void", 2019).
p_i is what the classical filter predicts where hidden pixels show the mean of their neighbours.

A block is used on images with nothing hidden, and trusts a pixel as much as it could trust what it
was shown there. A mere prediction, with a third of the noise, taught it to keep noise: what it
learned fell behind what it started with. e_i makes up for what the prediction lacks: the residual
x_k - p_k of another hidden pixel, by a factor that gives x'_i - p_i and the prediction's own error
together the variance of the noise.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlmeans.learning.matrices import BlockMatrices
from nlmeans.learning.model import BlockShape, Example, apply

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
