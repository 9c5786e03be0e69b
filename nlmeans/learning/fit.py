"""fit_weights: learn theta, phi, key bias, g and W of patches, from the classical filter on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nlmeans.base.blas import blas_at_most
from nlmeans.base.checks import (
    ParameterError,
    check_choice,
    check_number,
    check_size,
    check_threads,
    check_whole,
)
from nlmeans.learning.crops import Supervision, level, renoised, sample
from nlmeans.learning.matrices import BlockMatrices, as_block, by_free, changed, classical
from nlmeans.learning.model import BlockShape, Example, error_and_gradient, squared_error
from nlmeans.learning.pairs import check_sides, pairs_of, sigma_of, split
from nlmeans.operation.block import Block


def best_start(
    starts: list[tuple[BlockMatrices, BlockShape]], training: list[Example]
) -> tuple[BlockMatrices, BlockShape]:
    """The one of least error, on some of the crops."""
    seen = training[:: max(len(training) // 40, 1)]
    return min(starts, key=lambda each: _error(each[0], each[1], seen))


def descend(
    start: BlockMatrices,
    geometry: BlockShape,
    training: list[Example],
    held: list[Example],
    steps: int,
    patience: int,
    told: Callable[[int, float, float], None],
) -> BlockMatrices:
    """The matrices that are best on the held-out crops on the way of L-BFGS."""
    from scipy.optimize import OptimizeResult, minimize

    count = sum(each.size for each in training)

    def error(free: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        matrices = changed(start, free).astype(np.float32)
        total, gradient = 0.0, np.zeros_like(free)
        for example in training:
            squares, by_matrices = error_and_gradient(matrices, geometry, example)
            total += squares
            gradient += by_matrices.flat()
        return total / count, by_free(start.of_flat(gradient)) / count

    best = _error(start, geometry, held), 0, np.zeros(start.flat().size)
    told(0, _error(start, geometry, training), best[0])
    step = 0

    def watch(intermediate_result: OptimizeResult) -> None:
        nonlocal best, step
        step += 1
        free = np.array(intermediate_result.x)
        by_held = _error(changed(start, free), geometry, held)
        told(step, float(intermediate_result.fun), by_held)
        if by_held < best[0]:
            best = by_held, step, free
        elif step - best[1] >= patience:
            raise StopIteration

    minimize(
        error,
        best[2],
        jac=True,
        method="L-BFGS-B",
        callback=watch,
        options={"maxiter": steps, "maxcor": 20},
    )
    return changed(start, best[2])


def _error(matrices: BlockMatrices, geometry: BlockShape, examples: list[Example]) -> float:
    """Mean square, in the unit of the examples."""
    single = matrices.astype(np.float32)
    count = sum(each.size for each in examples)
    return sum(squared_error(single, geometry, each) for each in examples) / count


# h of the classical start over sigma: the best on the training crops is taken.
H_OVER_SIGMA = (0.4, 0.5, 0.6, 0.7, 0.8, 1.0)


class Step(NamedTuple):
    """Mean squared errors in the images' units; without clean images the targets' noise in them.

    By masking they are of the hidden pixels alone.
    """

    step: int  # 0 is the classical start
    training: float
    held_out: float


@dataclass(frozen=True)
class Fit:
    """What was learned.

    Attributes
    ----------
    block : Block
        Best on the held-out part of the images.
    start : Block
        The classical filter that it began with.
    steps : tuple of Step
    sigma : float
        The noise that it was fitted to, in the images' units.
    """

    block: Block
    start: Block
    steps: tuple[Step, ...]
    sigma: float

    def __str__(self) -> str:
        best = min(self.steps, key=lambda step: step.held_out)
        return "\n".join(
            [f"fitted to noise of {self.sigma:.4g}; mean squared errors"]
            + [
                f"  step {each.step}: {each.training:.5g} in training, {each.held_out:.5g} held out"
                for each in (self.steps[0], best)
            ]
        )


def fit_weights(
    clean: Sequence[ArrayLike] | None,
    noisy: Sequence[ArrayLike],
    *,
    sigma: float | None = None,
    supervision: Literal["recorruption", "masking"] | None = None,
    patch_size: int = 7,
    search_size: int = 15,
    crops: int = 200,
    crop_size: int = 26,
    held_out: float = 0.2,
    steps: int = 30,
    patience: int = 4,
    channel_axis: int | None = None,
    seed: int = 0,
    threads: int | None = None,
    report: Callable[[Step], None] | None = None,
    progress: Callable[[float], None] | None = None,
) -> Fit:
    """Learn the matrices of a non-local block that denoises images, without a framework.

    The block is y_i = sum over j in a window of softmax_j(-max(|theta P_i - phi P_j|^2 - noise, 0)
    + b . P_j) g P_j, and z_i = W (the y around i), P_i the patch around i. It starts as patchwise
    non-local means, which is of this form (theta = phi = sqrt(G)/h, g the patch, W the mean over
    the overlaps), and goes where L-BFGS takes it.

    Parameters
    ----------
    clean : sequence of images, or None
        The truth; None learns from the noisy images alone, as `supervision` says. That takes more
        pixels than clean images do: several images are better than one.
    noisy : sequence of images (H, W), or with channels along `channel_axis`
        Of one noise level and unit.
    sigma : float, above 0, optional
        Standard deviation of their noise, in their units; estimated by default.
    supervision : {"recorruption", "masking"}, optional
        How, without clean images. "recorruption", by default: from x + n/2 the block predicts
        x - 2n, n being noise like that of x, which has to be Gaussian. "masking": a pixel in 4
        is hidden, and the block predicts it from the others; noise may have any distribution, but
        has to be independent from pixel to pixel. What stands in a hidden pixel's place is the
        classical filter's prediction and noise drawn from its residuals, so that it is as noisy
        as the pixels that the block will see; see Notes.
    patch_size, search_size : odd int from 3
        Sides of patches and window, in pixels.
    crops, crop_size : int
        So many squares of such a side are learned from, from one image after the other.
    held_out : float, above 0, up to 0.9
        The share of crops, from images of their own where there are two or more, that tell when
        to stop.
    steps, patience : int, from 1
        Of L-BFGS, at most; the steps without gain on the held-out crops that end it.
    channel_axis : int, optional
    seed : int
        Chooses crops. The same seed gives the same weights on the same machine.
    threads : int, optional
        Of BLAS, at most; by default one, for the products are many and small: two take 1.7 times as
        long, and many times that where the cores are busy.
    report : callable, optional
        Called with every `Step`.
    progress : callable, optional
        Called with the fraction done, 0 to 1.

    Returns
    -------
    Fit
        Its `block` is for images in the units of these, with noise of this sigma, and commutes
        with adding a constant.

    Raises
    ------
    TypeError, ValueError
        In one line, if images or numbers are not allowed or do not fit each other.

    Notes
    -----
    By masking, L = mean over the hidden pixels of (z_i(x') - x_i)^2 is the block's error plus the
    noise, as x' does not depend on x_i there: x'_i = p_i + e_i, p the classical filter where hidden
    pixels show their neighbours' mean, e_i = c (x_k - p_k) of another hidden pixel k. c is chosen
    so that x'_i differs from the truth by sigma^2 on average, for which alone sigma is needed: with
    less noise in hidden pixels than in others, blocks learned to keep it.

    References
    ----------
    X. Wang, R. Girshick, A. Gupta, K. He, "Non-local Neural Networks", CVPR 2018, for the block;
    T. Pang, H. Zheng, Y. Quan, H. Ji, "Recorrupted-to-Recorrupted: Unsupervised Deep Learning for
    Image Denoising", CVPR 2021, for recorruption; J. Batson, L. Royer, "Noise2Self: Blind Denoising
    by Self-Supervision", ICML 2019, and A. Krull, T.-O. Buchholz, F. Jug, "Noise2Void: Learning
    Denoising from Single Noisy Images", CVPR 2019, for masking.

    Examples
    --------
    >>> import numpy as np, nlmeans
    >>> rng = np.random.default_rng(0)
    >>> clean = [100.0 * (np.indices((40, 40)).sum(0) // 10 % 2)]
    >>> noisy = [image + rng.normal(0, 20, image.shape) for image in clean]
    >>> fit = nlmeans.fit_weights(clean, noisy, patch_size=3, search_size=7, crops=8, steps=3)
    >>> fit.steps[-1].training < fit.steps[0].training
    True
    """
    patch, search = (_radius("patch_size", patch_size), _radius("search_size", search_size))
    for name, number in (
        ("crops", crops),
        ("crop_size", crop_size),
        ("steps", steps),
        ("patience", patience),
    ):
        check_whole(name, number)
    check_threads(threads)
    way = _supervision(clean is not None, supervision)
    check_number("held_out", held_out, low=0, high=0.9, above=True)
    pairs = pairs_of(clean, noisy, channel_axis)
    sigma = sigma_of(pairs) if sigma is None else check_number("sigma", sigma, low=0, above=True)
    unit = level(way, sigma)
    rng = np.random.default_rng(seed)
    channels = pairs[0].noisy.shape[2]
    margin = BlockShape(patch, search, 0.0).margin
    if way != "clean":
        check_sides(pairs, 2 * margin + 1)
    training, held = (
        sample(some, way, count, crop_size, margin, sigma, rng)
        for some, count in zip(*split(pairs, crops, held_out), strict=True)
    )

    starts = [
        (classical(2 * patch + 1, channels, h), BlockShape(patch, search, 2 / h**2))
        for h in H_OVER_SIGMA
    ]
    blas_threads = 1 if threads is None else threads
    with blas_at_most(blas_threads):
        start, geometry = best_start(starts, training)
        if way == "masking":
            training, held = (renoised(some, start, geometry, rng) for some in (training, held))
            start, geometry = best_start(starts, training)
    taken: list[Step] = []

    def told(step: int, by_training: float, by_held: float) -> None:
        taken.append(Step(step, by_training * unit**2, by_held * unit**2))
        if report is not None:
            report(taken[-1])
        if progress is not None:
            progress(step / steps)

    with blas_at_most(blas_threads):
        matrices = descend(start, geometry, training, held, steps, patience, told)
    if progress is not None and len(taken) <= steps:
        progress(1.0)
    learned, first = (
        # In float32, in which they were fitted, files are half as large.
        as_block(each.astype(np.float32), sigma, geometry.noise, search_size)
        for each in (matrices, start)
    )
    return Fit(learned, first, tuple(taken), sigma)


def _supervision(clean: bool, given: Literal["recorruption", "masking"] | None) -> Supervision:
    if given is not None:
        check_choice("supervision", given, ("recorruption", "masking"))
    if given is not None and clean:
        raise ParameterError(
            f"supervision is {given!r}, and clean images are given; leave out one of them"
        )
    return "clean" if clean else given or "recorruption"


def _radius(name: str, size: int) -> int:
    side = check_size(name, size)
    if not isinstance(side, int) or side < 3:
        raise ParameterError(f"{name} is {size!r}; allowed are odd whole numbers from 3")
    return side // 2
