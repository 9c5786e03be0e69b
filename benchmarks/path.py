"""Which modules does one picture go through, and how many calls does it take?

    python benchmarks/path.py
    python benchmarks/path.py --picture photo.png --list  # also the modules, as they are entered

Data: sample_images. Time: about 5 seconds.

Denoises the picture with the command line in this process, after one run that compiles and imports.
Counts nlmeans alone: the modules entered, the moves (a call from one module to another, or the
return from it), the functions and their calls. The script uses the command line only, so that it
also runs on another checkout.
"""

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

from nlmeans.cli.main import run

SAMPLE = Path(__file__).parent.parent / "sample_images" / "camera_noisy.png"


class Trace:
    """A profiler that follows the calls of nlmeans."""

    def __init__(self) -> None:
        self.modules: Counter[str] = Counter()  # calls of each, in the order of their first
        self.functions: set[str] = set()
        self.moves = 0
        self._open: list[str] = []  # the modules of the calls that have not returned

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        module = frame.f_globals.get("__name__", "")
        if event not in ("call", "return") or module.partition(".")[0] != "nlmeans":
            return
        if event == "call":
            self.modules[module] += 1
            self.functions.add(f"{module}.{frame.f_code.co_qualname}")
            self._open.append(module)
            before = self._open[-2:-1]
        elif self._open:
            self._open.pop()
            before = self._open[-1:]
        else:  # of a call from before the profiler was set
            return
        self.moves += bool(before) and before[0] != module


def denoise(picture: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            run(["denoise", str(picture), "-O", folder, "--quiet"])
        except SystemExit as end:
            if end.code:
                raise


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--picture", type=Path, default=SAMPLE)
    parser.add_argument("--list", action="store_true", help="print the modules and their calls")
    given = parser.parse_args()
    denoise(given.picture)
    trace = Trace()
    sys.setprofile(trace)
    try:
        denoise(given.picture)
    finally:
        sys.setprofile(None)
    if given.list:
        for module, calls in trace.modules.items():
            print(f"{calls:6} {module}")
    print(
        f"{len(trace.modules)} modules, {trace.moves} moves between them, "
        f"{len(trace.functions)} functions, {trace.modules.total()} calls"
    )


if __name__ == "__main__":
    main()
