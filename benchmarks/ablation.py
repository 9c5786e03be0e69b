"""What does each part of the method "ridge" bring?

    python benchmarks/ablation.py TRAIN400_DIR [--every 40]

Data: Train400. Time: some minutes.

Noise of three levels with a seed, given to the methods; every 40th image from the eighth on. Beside
the parts stands patchwise non-local means, the same weights as in "classic", averaged over all
patches that hold a pixel:

    y_i = sum over shifts t of x_(i + t) box(w(., t)/C(.))(i)
"""

from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
from measure import options_of, pngs, psnr_of_bytes
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

import nlmeans

Image = NDArray[Any]
SIGMAS = (15, 25, 50)


def patchwise(x: Image, used: nlmeans.Settings) -> Image:
    """With the patch and window of the settings, and 0.8 of their h, which is better here."""
    patch, reach = int(used.patch_size), int(used.search_size) // 2
    wide = np.pad(x, reach, mode="reflect")
    height, width = x.shape
    shifted = {
        (y, x): wide[y : y + height, x : x + width]
        for y in range(2 * reach + 1)
        for x in range(2 * reach + 1)
    }
    weights = {}
    for shift, other in shifted.items():
        distance = uniform_filter((x - other) ** 2, patch, mode="mirror")
        beyond = np.maximum(distance - 2 * used.sigma**2, 0)
        weights[shift] = np.exp(-beyond / (0.8 * used.h) ** 2)
    c = sum(weights.values())
    boxes = {t: uniform_filter(w / c, patch, mode="mirror") for t, w in weights.items()}
    return np.asarray(sum(shifted[t] * box for t, box in boxes.items()))


def estimates(x: Image, sigma: float) -> dict[str, Image]:
    ridge = nlmeans.settings_for(x, sigma, method="ridge").operation()
    assert isinstance(ridge, nlmeans.Ridge)
    a, b = ridge.classic(x), ridge.first(x)
    patches = patchwise(x, nlmeans.settings_for(x, sigma, method="classic"))
    pilots = {
        "a": a,
        "b": b,
        "patchwise": patches,
        "(a + b)/2: ridge": (a + b) / 2,
        "(patchwise + b)/2": (patches + b) / 2,
        "ridge": ridge(x),
    }
    return {
        "a: classic": a,
        "patchwise": patches,
        "b: first groups": b,
        "(a + b)/2": (a + b) / 2,
        **{f"second groups, pilot {name}": ridge.second(x, pilot=p) for name, p in pilots.items()},
    }


def main() -> None:
    parser = options_of(__doc__)
    parser.add_argument("train400", type=Path)
    parser.add_argument("--every", type=int, default=40)
    options = parser.parse_args()
    paths = pngs(options.train400)[7 :: options.every]
    table: dict[str, list[float]] = {}
    for sigma in SIGMAS:
        values: dict[str, list[float]] = {}
        for number, path in enumerate(paths):
            clean = iio.imread(path).astype(np.float32)
            noise = np.random.default_rng(number).normal(0, sigma, clean.shape)
            for name, result in estimates((clean + noise).astype(np.float32), sigma).items():
                values.setdefault(name, []).append(psnr_of_bytes(clean, result))
        for name, each in values.items():
            table.setdefault(name, []).append(float(np.mean(each)))
    print(f"| dB at sigma | {' | '.join(map(str, SIGMAS))} |\n|---|---|---|---|")
    for name, row in table.items():
        print(f"| {name} | {' | '.join(f'{value:.2f}' for value in row)} |")


if __name__ == "__main__":
    main()
