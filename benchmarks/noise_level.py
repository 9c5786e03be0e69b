"""Which estimator of the noise level is best on images with added Gaussian noise?

    python benchmarks/noise_level.py --kodak DIR --set12 DIR [--json FILE] [--clip] [--harm]

Data: Kodak24, Set12. Time: about 20 minutes; with --harm 5.

Prints a Markdown table for each set: bias, RMSE and the largest error relative to sigma of every
estimator at every sigma, each channel an image of its own, and seconds per megapixel. `--clip`
clips the noisy images to 0..255 and rounds them. `--harm` prints instead what `denoise` changes
nearly clean pictures by in 8 bits, nothing given: mean and worst gain over the noisy image in dB,
colour as it is, "classic" and the default. Constants of `nlmeans.noise.level` were chosen on the
odd-numbered Kodak images and 58 of Train400; the even-numbered ones and Set12 are for reporting.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
from measure import options_of, pngs, psnr
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.fft import dctn
from scipy.ndimage import convolve
from skimage.restoration import estimate_sigma as wavelet_median

from nlmeans import denoise
from nlmeans.noise.level import estimate_sigma

Image = NDArray[np.float64]
Result = dict[str, dict[str, float]]

NEARLY_CLEAN = (1, 2, 3)
SIGMAS = (0, 1, 2, 3, 5, 10, 15, 20, 25, 30, 40, 50)
MEDIAN = 0.6744897501960817  # of the absolute value of a standard normal variable


def patches(image: Image, side: int, most: int = 60000) -> Image:
    """Flattened patches on a regular grid, about `most` of them."""
    windows = sliding_window_view(image, (side, side))
    step = max(1, math.ceil(math.sqrt(windows.shape[0] * windows.shape[1] / most)))
    return windows[::step, ::step].reshape(-1, side * side)


def wavelet(image: Image) -> float:
    """Median of the finest diagonal db2 coefficients (Donoho and Johnstone), scikit-image."""
    return float(wavelet_median(image))  # type: ignore[no-untyped-call]


def laplacian(image: Image) -> Image:
    """Difference of two Laplacians, scaled to keep the noise level (Immerkaer 1996)."""
    mask = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]]) / 6
    return np.asarray(np.abs(convolve(image, mask)[1:-1, 1:-1]), dtype=np.float64)


def laplacian_mean(image: Image) -> float:
    """Immerkaer as published."""
    return float(laplacian(image).mean() * math.sqrt(math.pi / 2))


def laplacian_median(image: Image) -> float:
    """Immerkaer with a median."""
    return float(np.median(laplacian(image)) / MEDIAN)


def patch_pca(image: Image) -> float:
    """Largest group of smallest eigenvalues whose mean is their median (Chen et al. 2015)."""
    x = patches(image, 8)
    values = np.linalg.eigvalsh(np.cov(x, rowvar=False))
    for size in range(len(values), 1, -1):
        mean = values[:size].mean()
        middle = values[max((size - 1) // 2 - 1, 0)], values[min(size // 2 + 1, len(values) - 1)]
        if middle[0] <= mean <= middle[1]:
            return math.sqrt(max(mean, 0.0))
    return math.sqrt(max(values[0], 0.0))


def flat_pca(image: Image) -> float:
    """Smallest eigenvalue over the flattest 5x5 patches (Pyatykh et al. 2013), their constants."""
    x = patches(image, 5)
    variance = x.var(axis=1, ddof=1)
    x = x[np.argsort(variance, kind="stable")]
    ends = [round(len(x) * share / 20) for share in range(1, 21)]
    parts = [x[a:b] for a, b in zip([0, *ends[:-1]], ends, strict=True)]
    second = np.cumsum([p.T @ p for p in parts], axis=0)
    first = np.cumsum([p.sum(axis=0) for p in parts], axis=0)
    spectra = [
        np.linalg.eigvalsh(s / n - np.outer(f, f) / n**2)
        for s, f, n in zip(second, first, ends, strict=True)
    ]
    bound = estimate = 3.1 * float(np.quantile(variance, 0.0005))
    for _ in range(10):
        before = estimate
        for count, values in zip(ends[::-1], spectra[::-1], strict=True):
            estimate = float(values[0])
            if values[6] - values[0] < 49 * before / math.sqrt(count) and estimate <= bound:
                break
        if estimate == before:
            break
    return math.sqrt(max(estimate, 0.0))


def flat_dct(image: Image) -> float:
    """High frequencies of the 0.5 % of 8x8 blocks flattest in the low ones (Ponomarenko 2007)."""
    squares = dctn(patches(image, 8).reshape(-1, 8, 8), axes=(1, 2), norm="ortho") ** 2
    frequency = np.add.outer(np.arange(8), np.arange(8))
    energy = squares[:, (frequency > 0) & (frequency < 7)].sum(axis=1)
    flattest = np.argsort(energy, kind="stable")[: max(30, len(energy) // 200)]
    return math.sqrt(np.median(squares[flattest][:, frequency >= 7].mean(axis=0)))


def percentile(image: Image) -> float:
    """5 % quantile of the 8x8 variances over the one that white noise has (0.721)."""
    return math.sqrt(np.quantile(patches(image, 8).var(axis=1, ddof=1), 0.05) / 0.721)


ESTIMATORS: dict[str, Callable[[Image], Any]] = {
    "nlmeans": estimate_sigma,
    "wavelet median": wavelet,
    "Laplacian mean": laplacian_mean,
    "Laplacian median": laplacian_median,
    "patch PCA": patch_pca,
    "flat-patch PCA": flat_pca,
    "flat-block DCT": flat_dct,
    "variance percentile": percentile,
}


def channels(files: list[Path], sigma: float, clip: bool) -> Iterator[Image]:
    """Every channel of every image with noise from a generator seeded by image."""
    for file in files:
        image = np.asarray(iio.imread(file), dtype=np.float64)
        image = image[..., np.newaxis] if image.ndim == 2 else image
        noisy = image + np.random.default_rng(0).normal(0, sigma, image.shape)
        if clip:
            noisy = np.rint(np.clip(noisy, 0, 255))
        yield from np.ascontiguousarray(np.moveaxis(noisy, -1, 0))


def measure(files: list[Path], clip: bool) -> dict[str, Result]:
    """Errors by estimator and sigma; seconds per megapixel under "time"."""
    results: dict[str, Result] = {name: {} for name in ESTIMATORS}
    seconds = dict.fromkeys(ESTIMATORS, 0.0)
    pixels = 0
    for sigma in SIGMAS:
        errors: dict[str, list[float]] = {name: [] for name in ESTIMATORS}
        for channel in channels(files, sigma, clip):
            pixels += channel.size
            for name, estimate in ESTIMATORS.items():
                start = time.perf_counter()
                errors[name].append(float(estimate(channel)) - sigma)
                seconds[name] += time.perf_counter() - start
        for name, values in errors.items():
            e = np.array(values)
            results[name][str(sigma)] = {
                "bias": float(e.mean()),
                "rmse": math.sqrt(np.mean(e**2)),
                "worst": float(np.abs(e).max()) / (sigma or 1),
            }
    for name in ESTIMATORS:
        results[name]["time"] = {"seconds_per_megapixel": seconds[name] / pixels * 1e6}
    return results


def table(results: dict[str, Result]) -> str:
    """Markdown: estimators down, sigmas across; "bias / RMSE / worst" in each cell."""
    lines = [
        "| estimator | s/MP | " + " | ".join(f"{s}" for s in SIGMAS) + " |",
        "|---" * (len(SIGMAS) + 2) + "|",
    ]
    for name, result in results.items():
        cells = [f"{result['time']['seconds_per_megapixel']:.3f}"]
        for sigma in SIGMAS:
            r = result[str(sigma)]
            worst = f"{r['worst']:.0%}" if sigma else f"{r['worst']:.2f}"
            cells.append(f"{r['bias']:+.2f} / {r['rmse']:.2f} / {worst}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def harm(files: list[Path]) -> str:
    """Markdown: mean and worst gain over nearly clean pictures, and how many lose above 0.1 dB."""
    columns = (f"sigma {sigma}: mean | worst | harmed" for sigma in NEARLY_CLEAN)
    lines = [f"| method | {' | '.join(columns)} |", "|---" * (3 * len(NEARLY_CLEAN) + 1) + "|"]
    for method in ("classic", None):
        cells = [method or "default"]
        for sigma in NEARLY_CLEAN:
            gains = []
            for file in files:
                clean = np.asarray(iio.imread(file), dtype=np.float64)
                noisy = clean + np.random.default_rng(0).normal(0, sigma, clean.shape)
                image = np.rint(np.clip(noisy, 0, 255)).astype(np.uint8)
                result = denoise(image, method=method)
                gains.append(psnr(clean, result) - psnr(clean, image))
            harmed = sum(gain < -0.1 for gain in gains)
            cells += [f"{np.mean(gains):+.2f}", f"{min(gains):+.2f}", f"{harmed} of {len(files)}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Run the comparison."""
    parser = options_of(__doc__)
    parser.add_argument("--kodak", type=Path, metavar="DIR", help="folder of 24 colour images")
    parser.add_argument("--set12", type=Path, metavar="DIR", help="folder of 12 grey images")
    parser.add_argument("--clip", action="store_true", help="clip to 0..255 and round")
    parser.add_argument("--harm", action="store_true", help="what nearly clean pictures lose")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    arguments = parser.parse_args()
    sets: dict[str, list[Path]] = {}
    for name, folder in (("Kodak", arguments.kodak), ("Set12", arguments.set12)):
        if folder is None:
            continue
        files = pngs(folder)
        if not files:
            parser.error(f"no *.png in {folder}")
        if name == "Kodak":
            sets |= {"Kodak, odd numbers": files[::2], "Kodak, even numbers": files[1::2]}
        else:
            sets[name] = files
    if not sets:
        parser.error("name at least one of --kodak, --set12")
    if arguments.harm:
        for name, files in sets.items():
            print(f"\n### {name}\n\n{harm(files)}", flush=True)
        return
    print("Each cell: bias / RMSE / largest error relative to sigma (absolute at sigma 0).")
    figures = {}
    for name, files in sets.items():
        figures[name] = measure(files, arguments.clip)
        print(f"\n### {name}\n\n{table(figures[name])}", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
