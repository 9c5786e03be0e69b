"""The methods that are compared: a new one is a definition and a line in METHODS."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

import nlmeans
from nlmeans.base.checks import ParameterError
from nlmeans.compare.cases import shown

Image = NDArray[Any]
# Of a picture in [0, 1], float32, (H, W) or (H, W, 3); sigma in the same units; threads at most.
Filter = Callable[[Image, float, int], Image]


@dataclass(frozen=True)
class ComparedMethod:
    """How a noisy picture is filtered."""

    run: Filter
    package: str  # what has to be installed, by the name it is imported by
    about: str  # the parameters, for the tables
    timed: bool = True  # whether its time and memory say anything


def noisy(x: Image, sigma: float, threads: int) -> Image:
    return x


def ours(x: Image, sigma: float, threads: int, *, method: Literal["classic", "ridge"]) -> Image:
    return nlmeans.denoise(x, sigma, method=method, threads=threads)


def auto(x: Image, sigma: float, threads: int) -> Image:
    return nlmeans.denoise(x, threads=threads)


def skimage(x: Image, sigma: float, threads: int, *, fast: bool) -> Image:
    """As in its example doc/examples/filters/plot_nonlocal_means.py, sigma given.

    The docstring of `denoise_nl_means` has the two factors the other way round, as a place to
    start from; the example's were tuned.
    """
    from skimage.restoration import denoise_nl_means

    filtered: Image = denoise_nl_means(
        x,
        5,
        6,
        h=(0.6 if fast else 0.8) * sigma,
        sigma=sigma,
        fast_mode=fast,
        channel_axis=-1 if x.ndim == 3 else None,
    )
    return filtered


# h/sigma up to sigma (0 to 255): the best of 0.5, 0.6, ..., 1.2 on four pictures of scikit-image.
OPENCV_H = ((20.0, 1.05), (35.0, 0.95), (float("inf"), 0.8))
# In colour, h = hColor: the best of 0.4, 0.5, ..., 1.1 and of 0.45, 0.55, 0.65, at sigma 15, 25 and
# 50 alike, by mean PSNR on the middle 256x256 pixels of the odd-numbered images of Kodak24.
OPENCV_H_COLOUR = 0.55


def opencv(x: Image, sigma: float, threads: int) -> Image:
    cv2 = import_module("cv2")  # not installed where types are checked
    cv2.setNumThreads(threads)
    eight_bit = np.clip(np.rint(x * 255), 0, 255).astype(np.uint8)
    filtered: Image
    if x.ndim == 2:
        h = next(ratio for up_to, ratio in OPENCV_H if 255 * sigma <= up_to) * 255 * sigma
        filtered = cv2.fastNlMeansDenoising(eight_bit, None, h, 7, 21)
    else:
        h = OPENCV_H_COLOUR * 255 * sigma
        swapped = cv2.cvtColor(eight_bit, cv2.COLOR_RGB2BGR)
        filtered = cv2.fastNlMeansDenoisingColored(swapped, None, h, h, 7, 21)
        filtered = cv2.cvtColor(filtered, cv2.COLOR_BGR2RGB)
    return filtered / np.float32(255)


def bm3d(x: Image, sigma: float, threads: int) -> Image:
    package = import_module("bm3d")  # it brings no types
    filtered: Image = (package.bm3d if x.ndim == 2 else package.bm3d_rgb)(x, sigma)
    return filtered


METHODS: dict[str, ComparedMethod] = {
    "noisy": ComparedMethod(noisy, "nlmeans", "the input", timed=False),
    "classic": ComparedMethod(
        partial(ours, method="classic"), "nlmeans",
        "pixelwise non-local means, parameters by the table",
    ),
    "ridge": ComparedMethod(
        partial(ours, method="ridge"), "nlmeans",
        "classic, then groups of like patches with the weights of least expected error",
    ),
    "auto": ComparedMethod(
        auto, "nlmeans", "told nothing: finds the kind and level of the noise and the method",
    ),
    "skimage": ComparedMethod(
        partial(skimage, fast=True), "skimage",
        "denoise_nl_means, fast mode, patch 5, distance 6, h 0.6 sigma, sigma given, 1 thread",
    ),
    "skimage-slow": ComparedMethod(
        partial(skimage, fast=False), "skimage",
        "denoise_nl_means, slow mode, patch 5, distance 6, h 0.8 sigma, sigma given, 1 thread",
    ),
    "opencv": ComparedMethod(
        opencv, "cv2",
        "fastNlMeansDenoising(Colored), patch 7, search 21, h 1.05, 0.95, 0.8 sigma up to 20, 35, "
        "above, in colour 0.55 sigma; input clipped to 8 bits",
    ),
    "bm3d": ComparedMethod(bm3d, "bm3d", "bm3d, bm3d_rgb: its defaults, another filter"),
}  # fmt: skip


def weights(file: Path) -> ComparedMethod:
    """Trained weights; the same for every noise level."""

    def run(x: Image, sigma: float, threads: int) -> Image:
        loaded = import_module("nlmeans.weights").load_weights(file)
        scale = np.float32(loaded.input_range)
        axis = -1 if x.ndim == 3 else None
        filtered: Image = loaded(x * scale, channel_axis=axis, threads=threads) / scale
        return filtered

    return ComparedMethod(run, "nlmeans.weights", f"weights of {shown(file)}")


@dataclass(frozen=True)
class Candidate:
    """A method as asked for."""

    text: str  # such as "classic", "weights:denoise.safetensors" or "results:out/dncnn"

    @property
    def kind(self) -> str:
        return self.text.partition(":")[0]

    @property
    def path(self) -> Path | None:
        """The file or folder after the colon."""
        _, colon, path = self.text.partition(":")
        return Path(path) if colon else None

    @property
    def label(self) -> str:
        return shown(self.text)

    @property
    def results(self) -> Path | None:
        """The folder of finished pictures, of a method that runs elsewhere."""
        return self.path if self.kind == "results" else None

    def method(self) -> ComparedMethod:
        if self.path is None:
            return METHODS[self.text]
        if self.results:
            return ComparedMethod(noisy, "nlmeans", f"pictures of {shown(self.path)}", timed=False)
        return weights(self.path)

    def missing(self) -> str | None:
        """Why it cannot run here."""
        package = self.method().package
        top = package.partition(".")[0]
        if find_spec(top) is None or find_spec(package) is None:
            return f"{package} is not installed"
        return None

    def version(self) -> str:
        """Of its package."""
        name = self.method().package.partition(".")[0]
        if name == "nlmeans":
            return nlmeans.__version__
        distributions = metadata.packages_distributions().get(name, [])
        return metadata.version(distributions[0]) if distributions else "?"


def candidate(text: str) -> Candidate:
    """A method from its text.

    Raises ParameterError if there is no such method, file or folder.
    """
    method = Candidate(text)
    if method.path is None:
        if text in METHODS:
            return method
    elif method.kind in ("weights", "results") and str(method.path) != ".":
        is_there = method.path.is_dir() if method.results else method.path.is_file()
        if is_there:
            return method
        kind = "folder" if method.results else "file"
        raise ParameterError(f"method {method.label}: there is no such {kind}")
    raise ParameterError(
        f"method {method.label} is unknown; there are {', '.join(METHODS)}, weights:FILE and "
        "results:DIR"
    )
