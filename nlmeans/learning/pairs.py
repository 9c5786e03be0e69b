"""The images that are learned from: checked, in pairs, apart for training and for holding out."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nlmeans.base.arrays import image_planes

Floats = NDArray[Any]


class Pair(NamedTuple):
    """An image (H, W, C), noisy and, if there is one, clean."""

    noisy: Floats
    clean: Floats | None


def pairs_of(
    clean: Sequence[ArrayLike] | None, noisy: Sequence[ArrayLike], channel_axis: int | None
) -> list[Pair]:
    """One for every noisy image."""
    if len(noisy) == 0 or (clean is not None and len(clean) != len(noisy)):
        count = "none" if clean is None else len(clean)
        raise ValueError(
            f"there are {len(noisy)} noisy images and {count} clean; equally many are needed"
        )

    def image(name: str, given: ArrayLike) -> NDArray[Any]:
        return np.moveaxis(image_planes(name, given, channel_axis), 0, -1)

    pairs = []
    for k, given in enumerate(noisy):
        pair = Pair(
            image(f"noisy[{k}]", given), None if clean is None else image(f"clean[{k}]", clean[k])
        )
        if pair.clean is not None and pair.clean.shape != pair.noisy.shape:
            shapes = f"noisy[{k}] has shape {np.shape(given)}, clean[{k}] {pair.clean.shape}"
            raise ValueError(f"{shapes}; a pair has to have one shape")
        pairs.append(pair)
        if (channels := pair.noisy.shape[2]) != (first := pairs[0].noisy.shape[2]):
            raise ValueError(
                f"noisy[{k}] has {channels} channels and noisy[0] {first}; all need as many"
            )
    return pairs


def check_sides(pairs: list[Pair], least: int) -> None:
    """Without clean images, crops keep off the border."""
    for k, pair in enumerate(pairs):
        h, w = pair.noisy.shape[:2]
        if min(h, w) < least:
            raise ValueError(
                f"noisy[{k}] is {h}x{w}; without clean images, at least {least}x{least} are needed "
                "for these patch_size and search_size"
            )


def sigma_of(pairs: list[Pair]) -> float:
    """The median of the estimates."""
    from nlmeans.noise.level import estimate_sigma, joint_sigma

    levels = [joint_sigma(estimate_sigma(pair.noisy, channel_axis=-1)) for pair in pairs]
    if (sigma := float(np.median(levels))) <= 0:
        raise ValueError("the images hold no noise to be learned from; give sigma")
    return sigma


def split(
    pairs: list[Pair], crops: int, held_out: float
) -> tuple[tuple[list[Pair], list[Pair]], tuple[int, int]]:
    """Images for training and held out, and how many crops of each."""
    apart = max(round(crops * held_out), 1)
    images = min(max(round(len(pairs) * held_out), 1), len(pairs) - 1)
    some = (pairs[images:], pairs[:images]) if len(pairs) > 1 else (pairs, pairs)
    return some, (max(crops - apart, 1), apart)
