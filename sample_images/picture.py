"""Make before_after.png, the README's picture, with the command line and its defaults.

python sample_images/picture.py
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from nlmeans.images import Picture, load, save

HERE = Path(__file__).parent
NAMES = ("chelsea_noisy.png", "camera_noisy.png")
GAP = 8  # pixels of white


def main() -> None:
    pictures = []
    with tempfile.TemporaryDirectory() as folder:
        inputs = [str(HERE / name) for name in NAMES]
        subprocess.run(
            [sys.executable, "-m", "nlmeans", "denoise", *inputs, "-O", folder], check=True
        )
        for name in NAMES:
            for place in (HERE, Path(folder)):
                pixels = load(place / name).pixels
                pictures.append(np.dstack([pixels] * 3) if pixels.ndim == 2 else pixels)
    gap = np.full((pictures[0].shape[0], GAP, 3), 255, np.uint8)
    parts = [part for picture in pictures for part in (picture, gap)][:-1]
    sheet = Picture(np.concatenate(parts, axis=1), alpha=False, format="PNG")
    save(HERE / "before_after.png", sheet, overwrite=True)


if __name__ == "__main__":
    main()
