"""What `keep_detail` gains, by the reach of its weights: ten images of Train400.

python benchmarks/detail.py TRAIN400_DIR
"""

from functools import partial
from pathlib import Path

import click
import numpy as np
from skimage.io import imread
from skimage.metrics import peak_signal_noise_ratio

import nlmeans
from nlmeans.denoising import detail
from nlmeans.denoising.regions import whole_of

SIGMAS = (15, 25, 50)
WIDTHS = (4.0, 8.0, 16.0, 32.0, 1e3)  # the last is one weight for the image


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(folder: Path) -> None:
    images = [imread(path).astype(np.float32) for path in sorted(folder.glob("*.png"))[5::40][:10]]
    names = " ".join(f"{width:>7g}" for width in WIDTHS)
    print(f"method   sigma  plain    gain in dB with weights of {names}")
    for method in ("classic", "ridge"):
        for sigma in SIGMAS:
            rows = [row(clean, method, sigma) for clean in images]
            plain, *gains = np.mean(rows, axis=0)
            each = " ".join(f"{gain:7.3f}" for gain in gains)
            print(f"{method:8} {sigma:5}  {plain:.2f} dB{'':21}{each}")


def row(clean: np.ndarray, method: str, sigma: float) -> list[float]:
    """PSNR without, and the gain with each width."""
    noise = np.random.default_rng(0).normal(0, sigma, clean.shape)
    noisy = (clean + noise).astype(np.float32)
    operation = nlmeans.settings_for(noisy, sigma, method=method).operation()
    filtered = operation(noisy)
    chosen = detail.signs(clean.shape, whole_of(clean.shape), 1, None)
    psnr = partial(peak_signal_noise_ratio, clean, data_range=255)
    result = [psnr(filtered)]
    for width in WIDTHS:
        detail.SMOOTHING = width
        kept, _ = detail.keep_detail(noisy, filtered, operation, sigma, chosen, None, None)
        result.append(psnr(kept) - result[0])
    return result


if __name__ == "__main__":
    main()
