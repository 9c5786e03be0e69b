"""What does `keep_detail` gain, by the reach of its weights?

    python benchmarks/detail.py TRAIN400_DIR

Data: ten images of Train400. Time: about 3 minutes.
"""

from pathlib import Path

import imageio.v3 as iio
import numpy as np
from measure import options_of, pngs, psnr

import nlmeans
from nlmeans.denoising import detail
from nlmeans.denoising.regions import whole_of

SIGMAS = (15, 25, 50)
WIDTHS = (4.0, 8.0, 16.0, 32.0, 1e3)  # the last is one weight for the image


def main() -> None:
    parser = options_of(__doc__)
    parser.add_argument("train400", type=Path)
    paths = pngs(parser.parse_args().train400)[5::40][:10]
    images = [iio.imread(path).astype(np.float32) for path in paths]
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
    result = [psnr(clean, filtered)]
    for width in WIDTHS:
        detail.SMOOTHING = width
        kept, _ = detail.keep_detail(noisy, filtered, operation, sigma, chosen, None, None)
        result.append(psnr(clean, kept) - result[0])
    return result


if __name__ == "__main__":
    main()
