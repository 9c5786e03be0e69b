"""How long does it take to find the noise of a 512x512 colour picture?

    python benchmarks/estimate_time.py [--repeats N]

Data: scikit-image's astronaut. Time: about 10 seconds.

Prints medians in milliseconds, of pictures with noise of 12 grey levels: as it is, where many
pixels are clipped, and with less contrast, where none is. Only public names are used, so that the
script also runs on another checkout.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage import data

import nlmeans

CALLS: dict[str, Callable[[NDArray[Any]], object]] = {
    "estimate_sigma": lambda image: nlmeans.estimate_sigma(image, channel_axis=-1),
    "estimate_noise": lambda image: nlmeans.estimate_noise(image, channel_axis=-1),
    "settings_for": nlmeans.settings_for,
}


def milliseconds(call: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times[1:])  # the first one imports


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=9)
    repeats = parser.parse_args().repeats
    picture = data.astronaut().astype(float)
    noise = np.random.default_rng(0).normal(0, 12, picture.shape)
    images = {"clipped": picture + noise, "not clipped": 0.7 * picture + 35 + noise}
    for kind, values in images.items():
        image = np.clip(np.rint(values), 0, 255).astype(np.uint8)
        for name, call in CALLS.items():
            taken = milliseconds(lambda call=call, image=image: call(image), repeats)
            print(f"{kind:12} {name:15} {taken:6.0f} ms")


if __name__ == "__main__":
    main()
