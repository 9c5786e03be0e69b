"""The cases: every clean picture with every noise level, or with its noisy picture."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlmeans.images import FORMATS, ImageReadError, load

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
SMALLEST = 11  # pixels, the side of SSIM's window
SEED = 0


@dataclass(frozen=True)
class PictureCase:
    """A clean picture and what makes it noisy."""

    name: str  # the clean file's name, fit to be shown
    clean: Path
    sigma: float | None  # standard deviation of the noise on 0 to 255; None where it is not known
    noisy: Path | None = None  # a noisy picture; None where noise of `sigma` is added
    clip: bool = False  # added noise is clipped and rounded, as a file would hold it

    def pictures(self) -> tuple[Bytes, Floats]:
        """The clean picture, and the noisy one in [0, 1] but for noise that is not clipped."""
        clean = read_bytes(self.clean)
        if self.noisy is not None:
            return clean, read_bytes(self.noisy).astype(np.float32) / np.float32(255)
        assert self.sigma is not None
        # NumPy's old generator is part of the published protocol.
        noise = np.random.RandomState(SEED).normal(0, self.sigma / 255, clean.shape)
        noisy = clean / 255 + noise
        if self.clip:
            noisy = np.clip(np.rint(noisy * 255), 0, 255) / 255
        return clean, noisy.astype(np.float32)


def read_bytes(path: Path) -> Bytes:
    """The colours of an 8-bit picture.

    Raises ImageReadError if it cannot be read or is not a single picture of 8 bits.
    """
    picture = load(path)
    if picture.stack or picture.pixels.dtype != np.uint8:
        kind = "a stack" if picture.stack else str(picture.pixels.dtype)
        raise ImageReadError(f"{shown(path)}: is {kind}; compared are single pictures of 8 bits")
    colours = picture.colours
    return np.ascontiguousarray(colours[..., 0] if colours.shape[2:] == (1,) else colours)


def shown(text: Any) -> str:
    """A path, name or message on one line, in characters that every file can hold."""
    line = str(text).encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)


def pictures_in(folder: Path) -> list[Path]:
    """The picture files of a folder, by name.

    Raises ImageReadError if there is no such folder, or no picture in it.
    """
    if not folder.is_dir():
        raise ImageReadError(f"{shown(folder)}: is no folder")
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in FORMATS and p.is_file())
    if not files:
        raise ImageReadError(
            f"{shown(folder)}: holds no picture; looked for {' '.join(sorted(FORMATS))}"
        )
    return files


def by_stem(folder: Path) -> tuple[dict[str, Path], list[str]]:
    """Stem -> picture, so that a PNG may stand for a JPEG; and what is wrong with the names."""
    files: dict[str, Path] = {}
    problems = []
    for path in pictures_in(folder):
        if path.stem in files:
            problems.append(f"{shown(path)}: {shown(files[path.stem].name)} has its name already")
        else:
            files[path.stem] = path
    return files, problems


def find_cases(
    clean: Path, sigmas: Sequence[float], noisy: Path | None, *, clip: bool = False
) -> tuple[list[PictureCase], list[str]]:
    """The cases, by noise level and name, and what of the folders cannot be compared.

    - `clean`: folder of clean pictures of 8 bits.
    - `sigmas`: noise levels on 0 to 255. With `noisy` one at most, the level that methods are told.
    - `noisy`: folder of noisy pictures with the same names and sizes.
    - `clip`: clip and round added noise.

    Raises ImageReadError if a folder is missing, or no picture is left.
    """
    files, problems = by_stem(clean)
    others: dict[str, Path] = {}
    if noisy is not None:
        others, more = by_stem(noisy)
        problems += more + unmatched(files, others, noisy)
    shapes = {}
    for stem, path in files.items():
        try:
            shapes[stem] = usable_shape(path)
            if noisy is not None and stem in others:
                check_shape(others[stem], shapes[stem])
        except ImageReadError as error:
            problems.append(str(error))
            shapes.pop(stem, None)
    problems = [shown(problem) for problem in problems]
    stems = [stem for stem in files if stem in shapes and (noisy is None or stem in others)]
    if not stems:
        raise ImageReadError(f"{shown(clean)}: no picture can be compared; {problems[0]}")
    levels: Iterable[float | None] = sigmas if noisy is None else [*sigmas, None][:1]
    cases = [
        PictureCase(shown(files[stem].name), files[stem], sigma, others.get(stem), clip)
        for sigma in levels
        for stem in stems
    ]
    return cases, problems


def unmatched(clean: dict[str, Path], others: dict[str, Path], folder: Path) -> list[str]:
    """What one folder has and the other has not."""
    missing = [f"{shown(folder)}: has no picture {shown(k)}" for k in clean if k not in others]
    surplus = [
        f"{shown(path)}: there is no clean picture of this name"
        for stem, path in others.items()
        if stem not in clean
    ]
    return missing + surplus


def usable_shape(path: Path) -> tuple[int, ...]:
    shape = read_bytes(path).shape
    if min(shape[:2]) < SMALLEST:
        raise ImageReadError(
            f"{shown(path)}: is {shape[1]}x{shape[0]}; SSIM takes {SMALLEST}x{SMALLEST}"
        )
    return shape


def check_shape(path: Path, expected: tuple[int, ...]) -> None:
    found = read_bytes(path).shape
    if found != expected:
        raise ImageReadError(
            f"{shown(path)}: is {_size(found)}, the clean picture {_size(expected)}"
        )


def _size(shape: tuple[int, ...]) -> str:
    channels = shape[2] if len(shape) > 2 else 1
    return f"{shape[1]}x{shape[0]} with {channels} channel{'s' if channels > 1 else ''}"
