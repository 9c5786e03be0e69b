"""Make the sample images, or check that they are as made.

    python sample_images/make.py [--check]

From images that scikit-image carries and states to be CC0 or in the public domain (README.md has
the statements). The noise has a fixed seed, is clipped and rounded, so that every run makes the
same pixels. `--check` writes nothing and exits with 1 if a file is missing or differs.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from skimage import data

FOLDER = Path(__file__).resolve().parent
SEED = 0

# name: (image, rows, columns, 16 bits, sigma in the file's grey levels)
IMAGES: dict[str, tuple[str, slice, slice, bool, float]] = {
    "camera": ("camera", slice(40, 296), slice(120, 376), False, 20),
    "brick": ("brick", slice(128, 384), slice(128, 384), False, 20),
    "chelsea": ("chelsea", slice(10, 266), slice(90, 346), False, 25),
    "cell16": ("cell", slice(240, 496), slice(290, 546), True, 2000),
    "coffee16": ("coffee", slice(60, 236), slice(150, 382), True, 4000),
}


def clean(name: str) -> NDArray[Any]:
    """The crop, as 16 bits by 257 v (0 to 0, 255 to 65535) where the file has 16."""
    source, rows, columns, deep, _ = IMAGES[name]
    crop = np.ascontiguousarray(getattr(data, source)()[rows, columns])
    return crop.astype(np.uint16) * np.uint16(257) if deep else crop


def noisy(image: NDArray[Any], sigma: float) -> NDArray[Any]:
    """The image with white Gaussian noise, clipped and rounded."""
    noise = np.random.RandomState(SEED).normal(0, sigma, image.shape)  # a frozen stream
    top = np.iinfo(image.dtype).max
    return np.rint(np.clip(image + noise, 0, top)).astype(image.dtype)


def pictures() -> dict[str, NDArray[Any]]:
    """All of them by file name."""
    made = {}
    for name, (*_, sigma) in IMAGES.items():
        made[f"{name}.png"] = clean(name)
        made[f"{name}_noisy.png"] = noisy(made[f"{name}.png"], sigma)
    return made


def same(file: Path, image: NDArray[Any]) -> bool:
    """Whether the file holds these pixels (their compression may differ)."""
    if not file.exists():
        return False
    there = imagecodecs.png_decode(file.read_bytes())
    return there.dtype == image.dtype and np.array_equal(there, image)


def main() -> int:
    """Write the images or check them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    check = parser.parse_args().check
    wrong = 0
    for name, image in pictures().items():
        file = FOLDER / name
        if not check:
            file.write_bytes(imagecodecs.png_encode(image, level=9))
        elif not same(file, image):
            wrong += 1
            print(f"{name} {'differs' if file.exists() else 'is missing'}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
