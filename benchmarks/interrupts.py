"""How long does nlmeans take to end after Ctrl-C, while it compiles and while it filters?

    python benchmarks/interrupts.py

Data: made up. Time: about a minute.

Tests assert that nothing is left behind and that neither compiler nor kernel is waited for; how
fast that is depends on the machine. 0.2 s are promised.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from imageio.v3 import imwrite
from measure import options_of

DELAYS = (0.05, 0.1, 0.5, 1.0, 2.0)  # seconds after a kernel was asked for
SIDE, SEARCH = 3000, 2001  # hours of filtering
ASKING = """
import sys
from nlmeans.kernels import driver
from nlmeans.cli.main import run as main
def run(*given):
    print(flush=True)
    kernel(*given)
kernel, driver.run = driver.run, run
main(sys.argv[1:])
"""


def start(folder: Path, picture: str, search: int, kernels: str) -> subprocess.Popen[bytes]:
    """nlmeans, which prints a line when it asks for a kernel."""
    size = ["--sigma", "15", "--search-size", str(search), "--overwrite"]
    return subprocess.Popen(
        [sys.executable, "-c", ASKING, "denoise", picture, *size],
        env={**os.environ, "NUMBA_CACHE_DIR": kernels},
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


def seconds_to_end(folder: Path, delay: float, kernels: str) -> float:
    """Seconds from the signal to the end of the process."""
    with start(folder, "large.png", SEARCH, kernels) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(delay)
        before = time.perf_counter()
        process.send_signal(signal.SIGINT)
        code = process.wait()
        seconds = time.perf_counter() - before
    assert code == 130, code
    return seconds


def main() -> None:
    options_of(__doc__).parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background
    with TemporaryDirectory() as name:
        folder = Path(name)
        noise = np.random.default_rng(0).normal(100, 15, (SIDE, SIDE)).clip(0, 255)
        imwrite(folder / "small.png", noise[:40, :40].astype(np.uint8))
        imwrite(folder / "large.png", noise.astype(np.uint8))
        kept = str(folder / "kernels")
        start(folder, "small.png", 5, kept).communicate()
        for state, kernels in (("compiling", "/proc/none"), ("filtering", kept)):
            seconds = [seconds_to_end(folder, delay, kernels) for delay in DELAYS]
            shown = ", ".join(f"{each:.2f}" for each in seconds)
            print(f"{state}: {np.median(seconds):.2f} s, at worst {max(seconds):.2f} s ({shown})")


if __name__ == "__main__":
    main()
