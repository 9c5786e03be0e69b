"""Which sizes and h are best on training images: where does `nlmeans.denoising.table` come from?

    python benchmarks/tune.py TRAIN400_DIR KODAK24_DIR [--every 13] [--json FILE]

Data: Train400, Kodak24. Time: about an hour.

Grey rows from Train400 (every 13th image), colour rows from the middle 192x192 pixels of the
odd-numbered Kodak24 images: benchmarks/quality.py reports the even-numbered ones apart. Each image
gets seeded noise of several levels; every (image, level) falls into a bin by its relative noise,
sigma divided by the contrast. Per bin the table shows the best settings of the grid, what the
package's table gives there, and the difference in dB.
"""

import itertools
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
from measure import options_of, pngs, psnr_of_bytes
from numpy.typing import NDArray

import nlmeans
from nlmeans.denoising.table import relative_noise, table_row

SIGMAS = (2, 5, 10, 15, 20, 25, 35, 50, 75)
PATCHES = (3, 5, 7, 9)
SEARCHES = (9, 11, 13, 17, 21)
FACTORS = (0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.8, 0.9, 1.0, 1.15)
BINS = (0.0, 0.15, 0.3, 0.45, 0.6, 0.85, 1.2, 1.7, 2.2, np.inf)
Config = tuple[int, int, float]


def measure(images: list[NDArray[Any]]) -> dict[int, dict[Config, list[float]]]:
    """PSNR per bin and configuration."""
    results: dict[int, dict[Config, list[float]]] = defaultdict(lambda: defaultdict(list))
    for number, image in enumerate(images):
        clean = image.astype(np.float32)
        axis = 2 if clean.ndim == 3 else None
        for sigma in SIGMAS:
            noise = np.random.default_rng(number).normal(0, sigma, clean.shape)
            noisy = (clean + noise).astype(np.float32)
            level = relative_noise(sigma, noisy, axis)
            b = int(np.searchsorted(BINS, level, side="right")) - 1
            row = table_row(sigma, noisy, axis)
            chosen = (row.patch_size, row.search_size, row.h_over_sigma)
            for config in {*itertools.product(PATCHES, SEARCHES, FACTORS), chosen}:
                patch, search, factor = config
                op = nlmeans.nl_means(sigma, factor * sigma, patch, search)
                value = psnr_of_bytes(clean, op(noisy, channel_axis=axis))
                results[b][config].append(value)
                if config == chosen:
                    results[b][0, 0, 0.0].append(value)  # what the package's table does
        print(f"image {number + 1} of {len(images)}", flush=True)
    return results


def report(kind: str, results: dict[int, dict[Config, list[float]]]) -> list[dict[str, Any]]:
    print(
        f"\n{kind}\n\n| sigma/contrast | cases | best patch, search, h/sigma | dB | table | loss |"
    )
    print("|---|---|---|---|---|---|")
    rows = []
    for b, configs in sorted(results.items()):
        table = float(np.mean(configs.pop((0, 0, 0.0))))
        means = {c: float(np.mean(v)) for c, v in configs.items()}
        complete = {c: m for c, m in means.items() if c[2] in FACTORS}
        best = max(complete, key=lambda c: complete[c])
        cases = max(len(v) for v in configs.values())
        span = f"{BINS[b]:g} to {BINS[b + 1]:g}"
        print(
            f"| {span} | {cases} | {best} | {means[best]:.2f} | {table:.2f} "
            f"| {means[best] - table:.2f} |"
        )
        rows.append({"bin": span, "best": best, "best_db": means[best], "table_db": table})
    return rows


def main() -> None:
    parser = options_of(__doc__)
    parser.add_argument("train400", type=Path)
    parser.add_argument("kodak24", type=Path)
    parser.add_argument("--every", type=int, default=13)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    grey = [iio.imread(p) for p in pngs(options.train400)[:: options.every]]
    colour = []
    for path in pngs(options.kodak24)[::2]:
        image = iio.imread(path)
        y, x = image.shape[0] // 2 - 96, image.shape[1] // 2 - 96
        colour.append(image[y : y + 192, x : x + 192])
    found = {
        "grey": report("Grey: Train400", measure(grey)),
        "colour": report("Colour: odd-numbered Kodak24", measure(colour)),
    }
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
