"""Learn camera.safetensors: weights for 8-bit grey pictures with noise of 20 grey levels.

    OPENBLAS_NUM_THREADS=1 python sample_images/learn.py

From CC0 and public-domain images that scikit-image carries in its package, not from `camera`, on
which they are shown. Takes some minutes.
"""

from pathlib import Path

import numpy as np
from skimage import color, data

import nlmeans

SIGMA = 20.0
NAMES = ("astronaut", "brick", "chelsea", "coffee", "grass", "gravel", "rocket")


def main() -> None:
    clean = []
    for name in NAMES:
        image = getattr(data, name)()
        clean.append(255 * color.rgb2gray(image) if image.ndim == 3 else image.astype(np.float64))
    rng = np.random.default_rng(0)
    noisy = [image + rng.normal(0, SIGMA, image.shape) for image in clean]
    fit = nlmeans.fit_weights(clean, noisy, sigma=SIGMA, report=print)
    print(fit)
    target = Path(__file__).parent / "camera.safetensors"
    nlmeans.save_weights(target, fit.block, input_range=255, sigma=SIGMA, overwrite=True)


if __name__ == "__main__":
    main()
