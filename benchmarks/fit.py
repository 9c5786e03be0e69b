"""What does `nlmeans.fit_weights` gain at one noise level?

    python benchmarks/fit.py TRAIN400_DIR SET12_DIR [--save FILE]
                           [--supervision recorruption|masking]

Data: learned on Train400, shown on Set12. Time: about 3 minutes.

The protocol of benchmarks/quality.py on Set12: numpy.random.seed(0) for each image, noise not
clipped, results in 8 bits. Nothing is tuned on Set12, but for the opponent: pixelwise `denoise`,
with the sizes of its table, gets the h that is best there. Start is what learning began with:
patchwise non-local means with the h that is best on the crops learned from. With --supervision the
clean images of Train400 are not looked at.
"""

import time
from pathlib import Path

import imageio.v3 as iio
import numpy as np
from measure import options_of, pngs
from quality import Image, psnrs

import nlmeans

FACTORS = (0.7, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.2)


def training_pairs(folder: Path, sigma: float) -> tuple[list[Image], list[Image]]:
    """Clean and noisy, on [0, 255]."""
    clean = [iio.imread(path).astype(np.float64) for path in pngs(folder)]
    noisy = [
        image + np.random.default_rng(number).normal(0, sigma, image.shape)
        for number, image in enumerate(clean)
    ]
    return clean, noisy


def show(step: nlmeans.Step) -> None:
    def psnr(squared: float) -> float:
        return float(10 * np.log10(255**2 / squared))

    print(
        f"step {step.step}: {psnr(step.training):.3f} dB in training, "
        f"{psnr(step.held_out):.3f} held out",
        flush=True,
    )


def main() -> None:
    parser = options_of(__doc__)
    parser.add_argument("train400", type=Path)
    parser.add_argument("set12", type=Path)
    parser.add_argument("--sigma", type=float, default=25.0)
    parser.add_argument("--crops", type=int, default=200)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--supervision", choices=("recorruption", "masking"))
    parser.add_argument("--save", type=Path, help="the learned block, .safetensors or .npz")
    options = parser.parse_args()
    sigma = options.sigma

    clean, noisy = training_pairs(options.train400, sigma)
    begun = time.perf_counter()
    fit = nlmeans.fit_weights(
        None if options.supervision else clean,
        noisy,
        sigma=sigma,
        supervision=options.supervision,
        crops=options.crops,
        steps=options.steps,
        report=show,
    )
    print(f"learned in {time.perf_counter() - begun:.0f} s\n")
    if options.save:
        nlmeans.save_weights(options.save, fit.block, input_range=255, sigma=sigma, overwrite=True)

    images = [iio.imread(path) for path in pngs(options.set12)]
    rows = {
        f"pixelwise, h {factor:g} sigma": psnrs(
            images, sigma, lambda x, h=factor: nlmeans.denoise(x, sigma / 255, h=h * sigma / 255)
        ).mean()
        for factor in FACTORS
    }
    best = max(rows, key=lambda name: rows[name])
    found = {best: rows[best]}
    for name, block in (("patchwise, the start", fit.start), ("learned", fit.block)):
        found[name] = psnrs(images, sigma, lambda x, run=block: run(255 * x) / 255).mean()
    print(f"Set12, {len(images)} images, sigma {sigma:g}, mean PSNR\n\n| method | dB |\n|---|---|")
    for name, value in found.items():
        print(f"| {name} | {value:.2f} |")


if __name__ == "__main__":
    main()
