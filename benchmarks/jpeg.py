"""What does `denoise` make of noisy pictures that went through JPEG, nothing given?

    python benchmarks/jpeg.py KODAK24_DIR

Data: Kodak24. Time: about 5 minutes.

The even-numbered Kodak24 images, on which nothing was chosen, with Gaussian noise of seed 0,
clipped and rounded to 8 bits, as JPEG with colours at half the resolution (4:2:0): the mean of what
is estimated, and of the gain in dB of `denoise` over the compressed picture, against the clean one;
with noise="gaussian", where its level is measured as if nothing had been compressed; and told the
sigma from before.
"""

from pathlib import Path

import imageio.v3 as iio
import numpy as np
from measure import Array, options_of, pngs, psnr

import nlmeans
from nlmeans.noise.kind import estimate_noise

LEVELS, QUALITIES = (0, 5, 10, 20), (75, 90)


def compressed(image: Array, quality: int) -> Array:
    file = iio.imwrite("<bytes>", image, extension=".jpg", quality=quality, subsampling="4:2:0")
    return iio.imread(file, extension=".jpg")


def scores(clean: Array, picture: Array, sigma: float) -> list[float]:
    noise, levels = estimate_noise(picture, channel_axis=2)
    before = psnr(clean, picture)
    gains = [
        psnr(clean, nlmeans.denoise(picture, **options)) - before
        for options in ({}, {"noise": "gaussian"}, {"sigma": sigma})
    ]
    return [before, float(noise.jpeg), float(np.sqrt(np.square(levels).mean())), *gains]


def main() -> None:
    parser = options_of(__doc__)
    parser.add_argument("kodak24", type=Path)
    folder = parser.parse_args().kodak24
    images = [iio.imread(path) for path in pngs(folder)[1::2]]
    print(f"{len(images)} images, means; gains in dB, the worst in brackets\n")
    print("| sigma | quality | compressed | seen as JPEG | estimated | default | as white | told |")
    print("|---|---|---|---|---|---|---|---|")
    for sigma in LEVELS:
        for quality in QUALITIES:
            rows = []
            for clean in images:
                noise = np.random.default_rng(0).normal(0, sigma, clean.shape)
                noisy = np.clip(np.rint(clean + noise), 0, 255).astype(np.uint8)
                rows.append(scores(clean, compressed(noisy, quality), sigma))
            mean, worst = np.mean(rows, axis=0), np.min(rows, axis=0)
            gains = " | ".join(
                f"{m:+.2f} ({w:+.2f})" for m, w in zip(mean[3:], worst[3:], strict=True)
            )
            print(
                f"| {sigma} | {quality} | {mean[0]:.2f} dB | {mean[1]:.0%} | {mean[2]:.1f} | "
                f"{gains} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
