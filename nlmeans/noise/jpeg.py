"""The noise that an image had before it went through JPEG, from its quantised coefficients."""

import math
from functools import cache
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.special import ndtr

from nlmeans.base.blas import blas_at_most
from nlmeans.noise.patches import BASIS, ORDER, SIDE, cosines

Array = NDArray[Any]

LUMA = np.array([0.299, 0.587, 0.114])  # of red, green and blue, by JFIF
_FEWEST, _MOST = 200, 1 << 14  # blocks looked at
_ODD = ORDER % 2 == 1
_BANDS = ((2, 3), (4, 5), (6, 7), (8, 9), (10, 14))  # of i + j: one level of white noise each
# Chosen on crops of the odd-numbered Kodak24 images and on some of Train400, with noise of sigma 0
# to 20 and qualities 60 to 96.
_SHIFTED, _LEAST_RATIO = 1500, 1.3  # blocks compared at all 64 places; others reach 1.1
_ROUNDING = 0.75  # a coefficient that was 0 lies within, for pixels are rounded after decoding
_STEPS = np.arange(3, 129)  # of quantisation; smaller ones change no noise that is worth taking out
_STEP_BLOCKS, _FEWEST_NONZERO, _LEAST_SCORE = 1024, 8, 0.6
# Patterns that repeat have few values a frequency, whose steps are anything; drawings in few levels
# have steps at few frequencies.
_FEWEST_STEPS, _FEWEST_VARIED, _FEWEST_MULTIPLES = 10, 6, 6
_TEXTURE, _MARGIN = 0.6, 1.1
_ROUNDS = 12
_FIRST_HIGH = 3  # the lowest i and j with i + j > 9


@blas_at_most(1)
def sigma_before_jpeg(image: Array, channel_axis: int | None = None) -> float | None:
    """Standard deviation of white noise before the image was compressed; None if it was not.

    None, too, where too little of it tells, as in small or drawn pictures.

    JPEG rounds the DCT coefficients of 8x8 blocks to multiples of steps, which grow with frequency:
    most of the noise there is gone or has grown, and what measures it at high frequencies finds
    little. But white noise of standard deviation s, rounded to a step q, has the variance

        V(s, q) = sum over n of (n q)^2 P(n),   P(n) the share of a Gaussian that rounds to n q,

    of which s follows. Blocks and steps are found from the pixels: only in the blocks as they were
    compressed are many high frequencies 0, and the coefficients of one frequency lie on multiples
    of one step. Then, over the flattest blocks, chosen by the frequencies of even i + j where those
    of odd i + j are measured and the reverse, five bands of frequencies tell a level each, with one
    standard error added; the lowest counts, for texture only adds. Of that, texture that seems to
    reach from the middle frequencies into the highest is taken off as in `estimate_sigma`.

    - `image` (rows, columns): colours are red, green, blue, in this order; their luma is looked at.
      Noise counts as equal in the three.

    Returns the level in grey levels, or None.

    References
    ----------
    Z. Fan, R. L. de Queiroz, "Identification of bitmap compression history: JPEG detection and
    quantizer estimation", IEEE Transactions on Image Processing 12(2), 2003: blocks and steps from
    pixels, by other statistics.

    Examples
    --------
    >>> import numpy as np
    >>> sigma_before_jpeg(np.random.default_rng(0).normal(99, 9, (200, 200)).astype(np.uint8))
    """
    colours = image[..., None] if channel_axis is None else np.moveaxis(image, channel_axis, -1)
    if image.dtype != np.uint8 or colours.shape[-1] not in (1, 3):
        return None
    if min(colours.shape[:2]) < 2 * SIDE:
        return None
    weights = luma_weights(colours.shape[-1])
    place = _place_of_blocks(colours, weights)
    if place is None:
        return None
    blocks = sliding_window_view(colours[place[0] :, place[1] :], (SIDE, SIDE), (0, 1))
    blocks = blocks[::SIDE, ::SIDE]
    step = math.ceil(math.sqrt(blocks.shape[0] * blocks.shape[1] / _MOST))
    blocks = blocks[::step, ::step].reshape(-1, len(weights), SIDE**2)
    # Clipping after decoding moves coefficients off their multiples.
    blocks = blocks[((blocks > 0) & (blocks < 255)).all(axis=(1, 2))]
    if len(blocks) < _FEWEST:
        return None
    coefficients = _transformed(np.einsum("bcp,c->bp", blocks, weights))
    steps = _steps_of(coefficients)
    known = steps > 0
    if np.count_nonzero(known) < _FEWEST_STEPS:
        return None
    squares = np.square(steps * np.rint(coefficients / np.where(known, steps, 1)))
    return _level(squares, steps) / float(np.linalg.norm(weights))


def luma_weights(channels: int) -> Array:
    """What JPEG sums, where most of the noise is: red, green and blue, or grey itself."""
    return LUMA if channels == 3 else np.ones(1)


def _transformed(patches: Array) -> Array:
    return np.asarray((patches - patches[:, :1]) @ BASIS)


def _place_of_blocks(colours: Array, weights: Array) -> tuple[int, int] | None:
    """Row and column where the first whole block begins; None if none of 64 places stands out."""
    rows, columns = (n // SIDE - 1 for n in colours.shape[:2])
    count = min(_SHIFTED, rows * columns)
    some = np.random.default_rng(0).choice(rows * columns, count, replace=False)
    within = np.arange(2 * SIDE - 1)
    windows = sliding_window_view(colours, (len(within), len(within)), (0, 1))
    places = windows[some // columns * SIDE, some % columns * SIDE]
    areas = np.tensordot(places.astype(np.float32), weights.astype(np.float32), (1, 0))
    # All that is linear at once: the frequencies of every window along one axis, then the other.
    basis = np.zeros((len(within), SIDE, SIDE - _FIRST_HIGH), np.float32)
    for place in range(SIDE):
        basis[place : place + SIDE, place] = cosines()[_FIRST_HIGH:].T
    flat = basis.reshape(len(within), -1)
    coefficients = np.swapaxes(areas @ flat, 1, 2) @ flat
    zeros = (np.abs(coefficients) < _ROUNDING).astype(np.float32).reshape(count, -1)
    shares = (np.ones(count, np.float32) @ zeros / count).reshape(2 * (SIDE, SIDE - _FIRST_HIGH))
    high = ORDER.reshape(SIDE, SIDE)[_FIRST_HIGH:, _FIRST_HIGH:] > 9
    means = np.swapaxes(shares, 1, 2)[..., high].mean(axis=2).T
    best = np.unravel_index(means.argmax(), means.shape)
    if means[best] < _LEAST_RATIO * np.median(means) or means[best] == 0:
        return None
    return int(best[0]), int(best[1])


def _steps_of(coefficients: Array) -> Array:
    """Of every frequency the step whose multiples its coefficients are; 0 where none is found, and
    for all where too few tell.
    """
    steps, varied = np.zeros(SIDE**2), 0
    for k in range(1, SIDE**2):
        values = np.abs(coefficients[:: math.ceil(len(coefficients) / _STEP_BLOCKS), k])
        values = values[values > _ROUNDING, None]
        if len(values) < _FEWEST_NONZERO:
            continue
        on_multiples = np.cos(2 * math.pi * values / _STEPS)
        scores = np.where(np.rint(values / _STEPS) == 0, -1, on_multiples).mean(axis=0)
        if scores.max() > _LEAST_SCORE:
            steps[k] = _STEPS[scores.argmax()]
            multiples = np.unique(np.rint(values / steps[k]))
            varied += len(multiples[multiples > 0]) >= _FEWEST_MULTIPLES
    return steps if varied >= _FEWEST_VARIED else np.zeros(SIDE**2)


def _level(squares: Array, steps: Array) -> float:
    """Fixed point of level -> flat blocks -> level."""
    level, bands = 0.0, np.zeros(len(_BANDS))
    for _ in range(_ROUNDS):
        bands = _band_levels(squares, steps, level)
        if np.isnan(bands).all():
            return 0.0
        before, level = level, float(np.nanmin(bands))
        if abs(level - before) < 0.01 * level:
            break
    return _without_texture(bands, len(squares))


def _band_levels(squares: Array, steps: Array, level: float) -> Array:
    """The level that each band tells, of blocks as flat as noise of this level; NaN for no step."""
    sums: list[list[Array]] = [[] for _ in _BANDS]
    used: list[list[Array]] = [[] for _ in _BANDS]
    known = (steps > 0) & (ORDER > 1)
    for chosen_by, measured in ((_ODD, ~_ODD), (~_ODD, _ODD)):
        energy = squares[:, known & chosen_by].sum(axis=1)
        expected = float(_variance(level, steps[known & chosen_by]).sum())
        limit = max(expected, float(np.partition(energy, _FEWEST - 1)[_FEWEST - 1]))
        flat = squares[energy <= limit]
        for band, (low, high) in enumerate(_BANDS):
            here = known & measured & (low <= ORDER) & (high >= ORDER)
            if here.any():
                sums[band].append(flat[:, here].sum(axis=1))
                used[band].append(steps[here])
    levels = np.full(len(_BANDS), math.nan)
    for band, parts in enumerate(sums):
        if parts:
            total = sum(float(part.mean()) for part in parts)
            # Where all are 0, one that is not could have been.
            least = min(float(each.min()) for each in used[band]) ** 2
            errors = [part.var() / len(part) + (least / len(part)) ** 2 for part in parts]
            levels[band] = _solved(total + math.sqrt(sum(errors)), np.concatenate(used[band]))
    seen = any(float(part.max()) > 0 for parts in sums for part in parts)
    return levels if seen else np.zeros(len(_BANDS))


def _without_texture(bands: Array, count: int) -> float:
    """The lowest level, less what texture adds to the highest frequencies as to the middle ones."""
    lowest = int(np.nanargmin(bands))
    level = float(bands[lowest])
    below = bands[max(lowest - 2, 2) : lowest]
    below = below[~np.isnan(below)]
    if len(below) == 0:
        return level
    middle = float(np.square(below).mean())
    texture = max(middle - (_MARGIN + 4 / math.sqrt(count)) * level**2, 0)
    return math.sqrt(max(level**2 - _TEXTURE * texture, 0.0))


def _variance(level: float, steps: Array) -> Array:
    """V(s, q) of noise of this level, for every step."""
    relative, variances = _rounded_noise()
    ratio = np.maximum(level, 1e-9) / steps
    inside = np.interp(ratio, relative, variances)
    # Rounding to fine steps adds a twelfth of their square.
    return np.asarray(steps**2 * np.where(ratio > relative[-1], ratio**2 + 1 / 12, inside))


@cache
def _rounded_noise() -> tuple[Array, Array]:
    """V(s, 1) for s from 0.02 to 3."""
    s = np.linspace(0.02, 3, 500)
    n = np.arange(1, 30)[:, None]
    share = ndtr((n + 0.5) / s) - ndtr((n - 0.5) / s)
    return s, 2 * (n**2 * share).sum(axis=0)


def _solved(total: float, steps: Array) -> float:
    """The level at which V, summed over these steps, is this."""
    low, high = 1e-3, 1e3
    for _ in range(40):
        middle = math.sqrt(low * high)
        if _variance(middle, steps).sum() > total:
            high = middle
        else:
            low = middle
    return low
