"""How long does filtering a large square take, and how much memory above input and output?

    python benchmarks/processes.py SIDE THREADS

Data: random. Time: seconds for a side of 1000, a minute for 10 000.

Prints seconds and MiB. The module holds what `speed.py` measures in processes of their own: whole
programs, first runs, memory.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from measure import Array, options_of


def run(command: list[str], target: Path, **environment: str) -> tuple[float, Array]:
    """Seconds, and the picture written."""
    from imageio.v3 import imread

    start = time.perf_counter()
    subprocess.run(command, env={**os.environ, **environment}, capture_output=True, check=True)
    return time.perf_counter() - start, np.asarray(imread(target))


def denoise_command(source: Path, target: Path, h: float, patch: int, search: int) -> list[str]:
    return [
        sys.executable,
        "-m",
        "nlmeans",
        "denoise",
        str(source),
        "-o",
        str(target),
        "--overwrite",
        "--quiet",
        "--sigma",
        "0",
        "--h",
        str(h),
        "--patch-size",
        str(patch),
        "--search-size",
        str(search),
    ]


def first_run(command: list[str], target: Path) -> float:
    """With nothing compiled yet."""
    with TemporaryDirectory() as empty:
        return run(command, target, NUMBA_CACHE_DIR=empty)[0]


def filter_square(side: int, threads: int) -> tuple[float, float]:
    """Seconds, best of 3, and peak memory in MiB above input and output."""
    command = [sys.executable, __file__, str(side), str(threads)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, scratch = json.loads(result.stdout)
    return float(seconds), float(scratch)


def main() -> None:
    from nlmeans import nl_means

    parser = options_of(__doc__)
    parser.add_argument("side", type=int)
    parser.add_argument("threads", type=int)
    options = parser.parse_args()
    side, threads = options.side, options.threads
    op = nl_means(0, 16.0, 7, 21)
    op(np.zeros((32, 32), np.float32), threads=threads)  # compiled or loaded
    image = np.random.default_rng(0).standard_normal((side, side), dtype=np.float32)
    image *= 20  # in place: what making it takes would hide what the filter takes
    image += 100
    filtered = np.ones_like(image)
    before = peak_mib()
    del filtered
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        op(image, threads=threads)
        seconds.append(time.perf_counter() - start)
    print(json.dumps([min(seconds), peak_mib() - before]))


def peak_mib() -> float:
    """The most this process has used so far."""
    import resource

    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


if __name__ == "__main__":
    main()
