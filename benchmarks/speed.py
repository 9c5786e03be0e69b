"""Speed against scikit-image and OpenCV at the same filter, in one run.

    python benchmarks/speed.py [--threads 2] [--runs 15] [--json FILE]

Grey 512x512, patch 7, search 21. Every peer gets the h that makes its weights equal to ours, its
own input type (OpenCV uint8, the others float) and its best thread setting (scikit-image has one
thread only). Runs are interleaved, medians compared; a fresh kernel cache is compiled first. The
outputs are compared, so that a fast wrong answer would show.
"""

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

SIZE, PATCH, SEARCH, SIGMA = 512, 7, 21, 20.0
H = 0.8 * SIGMA
REFERENCE_SIDE = 24


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if os.name == "posix" else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        os.environ["NUMBA_CACHE_DIR"] = cache  # before the first import of Numba
        report(options.threads, options.runs, options.json)


def report(threads: int, runs: int, file: Path | None) -> None:
    import cv2
    import numba
    import skimage
    from skimage.metrics import peak_signal_noise_ratio
    from skimage.restoration import denoise_nl_means

    import nlmeans
    from nlmeans.reference import reference

    cv2.setNumThreads(threads)
    clean = skimage.data.camera().astype(np.float32)
    assert clean.shape == (SIZE, SIZE)
    noise = np.random.default_rng(0).normal(0, SIGMA, clean.shape)
    as_bytes = np.clip(np.rint(clean + noise), 0, 255).astype(np.uint8)
    floats = as_bytes.astype(np.float32)
    op = nlmeans.nl_means(0, H, PATCH, SEARCH, border="mirror")

    def scikit_image() -> Any:  # its fast mode sums a box of side 6: see the factor on h
        return denoise_nl_means(
            floats, PATCH, SEARCH // 2, H * (PATCH - 1) / PATCH, fast_mode=True,
            preserve_range=True,
        )  # fmt: skip

    calls: dict[str, Callable[[], Any]] = {
        f"nlmeans, {threads} threads": lambda: op(floats, threads=threads),
        "nlmeans, 1 thread": lambda: op(floats, threads=1),
        f"OpenCV fastNlMeansDenoising, {threads} threads": lambda: cv2.fastNlMeansDenoising(
            as_bytes, None, H, PATCH, SEARCH
        ),
        "scikit-image denoise_nl_means fast": scikit_image,
    }
    compiling, _ = timed(lambda: op(floats))
    times: dict[str, list[float]] = {name: [] for name in calls}
    outputs = {}
    for _ in range(runs):
        for name, call in calls.items():
            seconds, outputs[name] = timed(call)
            times[name].append(seconds)

    crop = floats[:REFERENCE_SIDE, :REFERENCE_SIDE, None]
    seconds, _ = timed(lambda: reference(op.f, op.g, op.over, crop))
    whole = seconds * op.over.pairs((SIZE, SIZE)) / op.over.pairs(crop.shape[:2])

    first = next(iter(calls))
    base = statistics.median(times[first])
    rows = [
        {
            "method": name,
            "milliseconds": 1000 * statistics.median(taken),
            "ratio": statistics.median(taken) / base,
            "psnr_db": peak_signal_noise_ratio(
                clean, outputs[name].astype(np.float32), data_range=255
            ),
            "psnr_to_ours_db": None if np.array_equal(outputs[name], outputs[first]) else
            peak_signal_noise_ratio(outputs[first], outputs[name].astype(np.float32),
                                    data_range=255),
        }
        for name, taken in times.items()
    ]  # fmt: skip
    rows.append({
        "method": f"the float64 reference, from {REFERENCE_SIDE}x{REFERENCE_SIDE}",
        "milliseconds": 1000 * whole, "ratio": whole / base, "psnr_db": None,
        "psnr_to_ours_db": None,
    })  # fmt: skip

    versions = {
        "nlmeans": nlmeans.__version__, "opencv": cv2.__version__,
        "scikit-image": skimage.__version__, "numba": numba.__version__, "numpy": np.__version__,
        "python": platform.python_version(),
    }  # fmt: skip
    print(f"Grey {SIZE}x{SIZE}, patch {PATCH}, search {SEARCH}, medians of {runs} runs,")
    print(f"{processor()}, {os.cpu_count()} cores; {versions}")
    print(f"first call, compiling: {compiling:.1f} s\n")
    print("| method | time | times ours | PSNR | PSNR to ours |\n|---|---|---|---|---|")
    for row in rows:
        db = ["" if row[k] is None else f"{row[k]:.2f} dB" for k in ("psnr_db", "psnr_to_ours_db")]
        print(f"| {row['method']} | {row['milliseconds']:.1f} ms | {row['ratio']:.1f} "
              f"| {db[0]} | {db[1]} |")  # fmt: skip
    if file:
        record = {"versions": versions, "processor": processor(), "threads": threads, "rows": rows,
                  "compile_seconds": compiling}  # fmt: skip
        file.write_text(json.dumps(record, indent=1, default=float))


if __name__ == "__main__":
    main()
