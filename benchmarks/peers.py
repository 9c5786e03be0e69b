"""The peers of `rows.py`, each with its parameters converted so that it computes the same filter.

The filter is w = exp(-MSD / h^2), MSD the mean squared difference over patch pixels and channels,
weight 1 for the centre. Where a peer's own rule differs it says so here; the outputs are compared.
A peer that is not installed is left out with a note.
"""

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from measure import Array, Contender, timed


def opencv(image: Array, h: float, patch: int, search: int, threads: int) -> Iterator[Contender]:
    """uint8, fixed point; several channels jointly."""
    if find_spec("cv2") is None:
        return
    import cv2

    def call() -> Array:
        cv2.setNumThreads(threads)
        return cv2.fastNlMeansDenoising(image, None, h, patch, search)

    yield Contender(f"OpenCV fastNlMeansDenoising, uint8, {_threads(threads)}", timed(call))


def opencv_clip(
    clip: Array, temporal: int, h: float, patch: int, search: int, threads: int
) -> Iterator[Contender]:
    """Frame by frame; it takes only frames with all their neighbours, so the clip is mirrored."""
    if find_spec("cv2") is None:
        return
    import cv2

    reach = temporal // 2
    wide = list(np.pad(clip, ((reach, reach), (0, 0), (0, 0)), mode="reflect"))

    def call() -> Array:
        cv2.setNumThreads(threads)
        return np.stack(
            [
                cv2.fastNlMeansDenoisingMulti(wide, i + reach, temporal, None, h, patch, search)
                for i in range(len(clip))
            ]
        )

    name = f"OpenCV fastNlMeansDenoisingMulti, uint8, {_threads(threads)}"
    yield Contender(name, timed(call, len(clip)))


def scikit_image(
    image: Array, h: float, patch: int, search: int, channel_axis: int | None = None
) -> Iterator[Contender]:
    """Its fast mode sums a box of side patch - 1 and divides by the whole patch's size."""
    if find_spec("skimage") is None:
        return
    from skimage.restoration import denoise_nl_means

    axes = image.ndim - (channel_axis is not None)
    own_h = h * ((patch - 1) / patch) ** (axes / 2)

    def call() -> Array:
        filtered: Array = denoise_nl_means(
            image,
            patch,
            search // 2,
            own_h,
            fast_mode=True,
            preserve_range=True,
            channel_axis=channel_axis,
        )
        return filtered

    yield Contender("scikit-image denoise_nl_means, fast mode, 1 thread", timed(call))


def scikit_image_call(
    image: Array, patch: int, distance: int, h: float, fast_mode: bool, peak: float
) -> Iterator[Contender]:
    """The call as it stands, on an image whose white is 1; the result is brought to `peak`."""
    if find_spec("skimage") is None:
        return
    from skimage.restoration import denoise_nl_means

    def call() -> Array:
        filtered: Array = peak * denoise_nl_means(image, patch, distance, h, fast_mode)
        return filtered

    mode = "fast" if fast_mode else "slow"
    yield Contender(f"scikit-image denoise_nl_means, {mode} mode, 1 thread", timed(call))


def dipy(volume: Array, h: float, patch: int, search: int, threads: int) -> Iterator[Contender]:
    """It averages squares; candidates lie within block_radius - patch_radius."""
    if find_spec("dipy") is None:
        return
    from dipy.denoise.nlmeans import nlmeans

    radius = patch // 2
    sigma = h / 2**0.25

    def call() -> Array:
        filtered: Array = nlmeans(
            volume,
            sigma,
            patch_radius=radius,
            block_radius=search // 2 + radius,
            rician=False,
            num_threads=threads,
            method="classic",
        )
        return filtered

    yield Contender(f"DIPY nlmeans, classic, {_threads(threads)}", timed(call))


def bm3d(image: Array, sigma: float) -> Iterator[Contender]:
    """Another filter, for scale. Its licence is for non-commercial use: no extra installs it."""
    if find_spec("bm3d") is None:
        return
    from bm3d import bm3d as denoise

    call: Callable[[], Array] = lambda: denoise(image, sigma)  # noqa: E731
    yield Contender("BM3D (another filter), its own threads", timed(call), same_filter=False)


def ffmpeg(image: Array, h: float, patch: int, search: int, threads: int) -> Iterator[Contender]:
    """uint8; one frame is what nine take more than one, without the program's start."""
    program = ffmpeg_program()
    if program is None:
        return
    height, width = image.shape
    # it does not divide by the patch's size: exp(-SSD / (10 s)^2)
    nlmeans = f"nlmeans=s={h * patch / 10}:p={patch}:r={search}"
    raw = ["-f", "rawvideo", "-pix_fmt", "gray"]
    command = [
        program,
        "-loglevel",
        "error",
        *raw,
        "-s",
        f"{width}x{height}",
        "-i",
        "-",
        "-filter_threads",
        str(threads),
        "-vf",
        nlmeans,
        *raw,
        "-",
    ]

    def frames(count: int) -> tuple[float, bytes]:
        start = time.perf_counter()
        result = subprocess.run(
            command, input=image.tobytes() * count, capture_output=True, check=True
        )
        return time.perf_counter() - start, result.stdout

    def run() -> tuple[float, Array]:
        one, output = frames(1)
        nine, _ = frames(9)
        return (nine - one) / 8, np.frombuffer(output, np.uint8).reshape(image.shape)

    yield Contender(f"FFmpeg nlmeans, uint8, {_threads(threads)}, a frame", run)


def ffmpeg_program() -> str | None:
    """On the path, or the one that comes with imageio-ffmpeg."""
    if find_spec("imageio_ffmpeg") is not None:
        import imageio_ffmpeg

        return shutil.which("ffmpeg") or str(imageio_ffmpeg.get_ffmpeg_exe())
    return shutil.which("ffmpeg")


def opencv_script(source: Path, target: Path, h: float, patch: int, search: int) -> str | None:
    """A whole Python program that filters a file."""
    if find_spec("cv2") is None:
        return None
    return (
        f"import cv2; x = cv2.imread({str(source)!r}, 0); "
        f"cv2.imwrite({str(target)!r}, cv2.fastNlMeansDenoising(x, None, {h}, {patch}, {search}))"
    )


def _threads(threads: int) -> str:
    return f"{threads} thread{'s' if threads > 1 else ''}"
