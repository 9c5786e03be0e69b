"""Make the README's pictures with the command line: before_after.png and learned.png.

python sample_images/picture.py
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from nlmeans.images import Picture, load, save

HERE = Path(__file__).parent
GAP = 8  # pixels of white


def main() -> None:
    sheet("before_after.png", ("chelsea_noisy.png", "camera_noisy.png"))
    sheet("learned.png", ("camera_noisy.png",), "--weights", str(HERE / "camera.safetensors"))


def sheet(target: str, names: tuple[str, ...], *options: str) -> None:
    """Each picture noisy and denoised, side by side."""
    pictures = []
    with tempfile.TemporaryDirectory() as folder:
        inputs = [str(HERE / name) for name in names]
        command = [sys.executable, "-m", "nlmeans", "denoise", *inputs, *options, "-O", folder]
        subprocess.run(command, check=True)
        for name in names:
            for place in (HERE, Path(folder)):
                pixels = load(place / name).pixels
                pictures.append(np.dstack([pixels] * 3) if pixels.ndim == 2 else pixels)
    gap = np.full((pictures[0].shape[0], GAP, 3), 255, np.uint8)
    parts = [part for picture in pictures for part in (picture, gap)][:-1]
    whole = Picture(np.concatenate(parts, axis=1), alpha=False, format="PNG")
    save(HERE / target, whole, overwrite=True)


if __name__ == "__main__":
    main()
