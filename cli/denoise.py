"""nlmeans denoise: load, filter, save."""

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from nlmeans.cli.files import Report, each_file, shown
from nlmeans.cli.learned import block_options, denoise_learned, loader
from nlmeans.cli.like import Like, like_option, with_numbers
from nlmeans.cli.notices import announce, compiling_notice, memory_left
from nlmeans.cli.options import (
    NumberType,
    Sigma,
    Size,
    check_plain,
    filter_options,
    inputs_argument,
    json_option,
    memory_option,
    method_options,
    noise_options,
    stack_option,
)
from nlmeans.cli.stacks import Part, Taken, between, noise_found, taken_as

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nlmeans.denoising import Method, Settings
    from nlmeans.images import Picture
    from nlmeans.noise_choice import Asked

SUFFIX = "_denoised"


@click.command(
    epilog="""\b
Examples:
  nlmeans denoise photo.jpg
      estimate the noise, write photo_denoised.jpg beside it
  nlmeans denoise scan.tif -o clean.tif --sigma 12
      the noise's standard deviation is known: 12 grey levels
  nlmeans denoise *.png -O clean --strength 0.8 --threads 2
      several files into a folder that is there, a little weaker
  nlmeans denoise photo.png -o out.png --amount 0.7 --overwrite
      keep 30 % of the original, replace out.png if it is there
  nlmeans denoise photo.png --like opencv --h 10
      what OpenCV's fastNlMeansDenoising does with h = 10
  nlmeans denoise scan.nii.tif --stack volume --noise rician
      a magnitude MRI volume; no bias stays in the dark
  nlmeans denoise frames.tif --stack clip
      the pages are frames in time: use those before and after
  nlmeans denoise clip.mp4 -o out.mp4 --sigma 6
      video, frame by frame; the sound is copied
  nlmeans denoise photo.png --weights learned.safetensors
      with learned weights, which `nlmeans weights show` explains"""
)
@inputs_argument()
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=None,
    metavar="FILE",
    show_default="beside the input, with the suffix",
    help="Write to this file; its extension chooses the format. For a single input.",
)
@click.option(
    "-O",
    "--output-folder",
    type=click.Path(path_type=Path),
    default=None,
    metavar="DIR",
    show_default="beside the input",
    help="Write into this folder, which has to be there, under the input's name.",
)
@click.option(
    "--suffix",
    default=None,
    metavar="TEXT",
    show_default=f"{SUFFIX}, none with -O",
    help="Put this text between the input's name and its extension.",
)
@method_options
@filter_options
@noise_options
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    default=None,
    metavar="FILE",
    show_default="the classical filter",
    help="Denoise with a learned block: the picture's channels are its features. Takes the place "
    "of --method, --sigma, --h, sizes, strengths and the options of the noise.",
)
@block_options
@like_option
@stack_option
@click.option(
    "--amount",
    type=NumberType(0, 1, above=False),
    default=1.0,
    show_default=True,
    help="Blend, a number from 0 (the original) to 1 (all denoised).",
)
@click.option(
    "--quality",
    type=click.IntRange(1, 100),
    default=None,
    show_default="95 for JPEG; WebP lossless; video without visible loss",
    help="For JPEG, WebP and video outputs, 1 to 100.",
)
@click.option(
    "--keep-partial",
    is_flag=True,
    default=False,
    show_default="refuse",
    help="Of a video that is damaged or cut short, keep the frames before the damage.",
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    default=None,
    show_default="all cores",
    help="Use at most this many threads, from 1; the picture is the same for any number.",
)
@memory_option
@click.option(
    "--overwrite",
    is_flag=True,
    default=False,
    show_default="refuse",
    help="Replace output files that are there.",
)
@click.option(
    "-q",
    "--quiet",
    is_flag=True,
    default=False,
    show_default="a line a file",
    help="Print nothing but errors.",
)
@json_option
def denoise(
    inputs: tuple[Path, ...],
    output: Path | None,
    output_folder: Path | None,
    suffix: str | None,
    method: "Method | None",
    sigma: Sigma,
    noise: "Asked",
    gain: float | None,
    read_noise: float | None,
    h: float | None,
    patch_size: Size | None,
    search_size: Size | None,
    strength: float,
    chroma_strength: float,
    weights: Path | None,
    layout: str | None,
    block: str | None,
    settings: tuple[tuple[str, Any], ...],
    like: Like | None,
    stack: str,
    amount: float,
    quality: int | None,
    keep_partial: bool,
    threads: int | None,
    max_memory: int | None,
    overwrite: bool,
    quiet: bool,
    as_json: bool,
) -> int:
    """Denoise image files: PNG, JPEG, TIFF, WebP, BMP, PNM; 8 and 16 bit, float TIFF.

    And video, with the extra `video` installed: MP4, MOV, MKV, WebM, AVI, MPG; the sound is kept.

    Bit depth, alpha, EXIF, ICC profile and resolution are kept; in TIFFs of several pages also
    what ImageJ and OME say of them. The input is never changed, an output appears whole or not at
    all, and after an error the other files still get done.
    """  # fmt: skip
    targets = _targets(inputs, output, output_folder, suffix)
    learned = loader(weights, layout, block, settings)
    if learned is not None and like is not None:
        message = "use just one of --weights and --like"
        raise click.UsageError(message)
    if like is not None:
        like = with_numbers(like, method, h, sigma, patch_size, search_size)

    def work(path: Path) -> Report:
        from nlmeans.checks import ParameterError
        from nlmeans.denoising import expected_cost, settings_for
        from nlmeans.images import check_output, load, save
        from nlmeans.images.formats import VIDEOS

        target = targets[path]
        if path.suffix.lower() in VIDEOS:
            if learned is not None:
                message = "is a video; --weights is for pictures and stacks"
                raise ValueError(message)
            from nlmeans.cli.video import denoise_video

            if like is not None:
                message = "--like is for images; give a video the numbers that it becomes on one"
                raise ParameterError(message)
            video = "a video, filtered as having gaussian noise,"
            check_plain(noise, gain, read_noise, chroma_strength, video)
            return denoise_video(
                path, target, method=method, sigma=sigma, h=h, patch_size=patch_size,
                search_size=search_size, strength=strength, amount=amount, quality=quality,
                keep_partial=keep_partial, threads=threads, max_memory=max_memory,
                overwrite=overwrite,
                silent=quiet or as_json,
            )  # fmt: skip
        picture = load(path)
        check_output(target, picture, overwrite=overwrite, quality=quality, source=path)
        taken = taken_as(picture, stack)
        if learned is not None:
            with _progress(path, hidden=quiet or as_json) as progress:
                return denoise_learned(
                    path, target, taken, learned(), amount=amount, threads=threads,
                    max_memory=max_memory, silent=quiet or as_json, overwrite=overwrite,
                    quality=quality, progress=progress,
                )  # fmt: skip
        level, estimated = sigma.levels(picture), sigma.value is None and gain is None
        if like is not None:
            check_plain(noise, gain, read_noise, chroma_strength, "--like")
        liked = None if like is None else like.on(taken, strength)
        start = time.perf_counter()
        chosen = [liked.settings] * len(taken.parts) if liked else taken.map(
            lambda _, part: settings_for(
                picture.pixels[part], level, noise=noise, gain=gain, read_noise=read_noise,
                method=method, h=h, patch_size=patch_size, search_size=search_size,
                strength=strength, chroma_strength=chroma_strength, **taken.layout,
            )
        )  # fmt: skip
        seconds = time.perf_counter() - start
        options = liked.options if liked else {}
        left = memory_left(max_memory, picture.pixels.nbytes, picture.pixels.nbytes)
        costs = taken.map(
            lambda k, part: expected_cost(
                picture.pixels[part], chosen[k], amount=amount, threads=threads, **taken.layout,
                **options,
            )
        )  # fmt: skip
        announce(path, sum(costs[1:], costs[0]), threads, left, silent=quiet or as_json)
        noisy = next((used for used in chosen if used.h), chosen[0])
        _load_kernel(noisy, options, picture, taken, silent=quiet or as_json)
        start = time.perf_counter()
        with _progress(path, hidden=quiet or as_json) as progress:
            pixels = _filtered(taken, chosen, options, amount, threads, left, progress)
        seconds += time.perf_counter() - start
        notes = save(target, picture.with_pixels(pixels), overwrite=overwrite, quality=quality)

        own_notes = picture.notes if taken.note is None else (taken.note, *picture.notes)
        return Report(
            text=(f"{shown(path)}: {liked}\n" if liked else "")
            + _summary(path, target, taken, chosen, estimated and not liked, seconds),
            record={
                "output": str(target),
                **({"like": str(liked)} if liked else {}),
                "sigma_estimated": estimated and not liked,
                **taken.record,
                **_settings_record(chosen),
                "amount": amount,
                "megapixels": picture.megapixels,
                "seconds": seconds,
                "megapixels_per_second": picture.megapixels / seconds,
                "notes": [*own_notes, *notes],
            },
            notes=tuple(
                f"{shown(file)}: {note}"
                for file, some in ((path, own_notes), (target, notes))
                for note in some
            ),
        )

    return each_file(inputs, work, as_json=as_json, quiet=quiet)


def _filtered(
    taken: Taken,
    settings: list["Settings"],
    options: dict[str, Any],
    amount: float,
    threads: int | None,
    max_memory: int | None,
    progress: Callable[[float], None],
) -> "NDArray[Any]":
    """The picture's pixels, every part filtered with its own settings."""
    import numpy as np

    from nlmeans.denoising import denoise as denoise_array

    pixels = taken.picture.pixels
    result = np.empty_like(pixels)

    def run(k: int, part: Part) -> None:
        result[part] = denoise_array(
            pixels[part], amount=amount, threads=threads, max_memory=max_memory,
            progress=lambda fraction: progress((k + fraction) / len(settings)),
            **settings[k].arguments(), **taken.layout, **options,
        )  # fmt: skip

    taken.map(run)
    return result


def _settings_record(settings: list["Settings"]) -> dict[str, Any]:
    """One set, or one for each of several parts."""
    each = [asdict(used) for used in settings]
    return each[0] if len(each) == 1 else {"parts": each}


def _load_kernel(
    used: "Settings", options: dict[str, Any], picture: "Picture", taken: Taken, *, silent: bool
) -> None:
    """Compile or load the kernels on one pixel, so that the time reported is that of filtering."""
    import numpy as np

    operation = used.operation(**options)
    colours, axis = picture.colours[taken.parts[0]], taken.layout["channel_axis"]
    pixel = np.zeros((1,) * (colours.ndim - (axis is not None)), colours.dtype)
    if operation is not None:
        with compiling_notice(silent=silent):
            operation(pixel)


def _targets(
    inputs: tuple[Path, ...], output: Path | None, folder: Path | None, suffix: str | None
) -> dict[Path, Path]:
    """Where each input goes; every clash is found before any work is done."""
    suffix = _checked_suffix(len(inputs), output, folder, suffix)
    targets: dict[Path, Path] = {}
    taken: dict[Path, Path] = {}
    sources = {_identity(path): path for path in inputs}
    for path in inputs:
        if path in targets:
            message = f"{shown(path)} is named twice; name it once"
            raise click.UsageError(message)
        place = path.parent if folder is None else folder
        target = targets[path] = output or place / _with_suffix(path.name, suffix)
        other = taken.setdefault(target.resolve(), path)
        if other is not path:
            message = (
                f"{shown(other)} and {shown(path)} would both be written to {shown(target)}; "
                "run them apart"
            )
            raise click.UsageError(message)
        source = sources.get(_identity(target), path)
        if source != path:  # onto itself is refused later, so that the other files get done
            message = (
                f"{shown(path)} would be written to {shown(target)}, which is the input "
                f"{shown(source)}; use -O DIR or another --suffix"
            )
            raise click.UsageError(message)
    return targets


def _with_suffix(name: str, suffix: str) -> str:
    """The suffix before the extension, which .ome.tif is one of."""
    ending = Path(name).suffix
    if Path(name).stem.lower().endswith(".ome"):
        ending = name[-len(ending) - 4 :]
    return name[: len(name) - len(ending)] + suffix + ending


def _checked_suffix(
    inputs: int, output: Path | None, folder: Path | None, suffix: str | None
) -> str:
    """The suffix that the output options ask for, which have to go together."""
    options = (("-o", output), ("-O", folder), ("--suffix", suffix))
    given = [name for name, value in options if value is not None]
    if output is not None and len(given) > 1:
        message = f"use just one of {' and '.join(given)}"
        raise click.UsageError(message)
    if output is not None and inputs > 1:
        message = f"-o names one file, but there are {inputs} inputs; use -O DIR or --suffix"
        raise click.UsageError(message)
    if suffix is None:
        return SUFFIX if folder is None else ""
    if "/" in suffix or "\\" in suffix or (not suffix and folder is None):
        message = f"--suffix is {suffix!r}; give a text without slashes, not empty, such as _clean"
        raise click.UsageError(message)
    return suffix


def _identity(path: Path) -> tuple[int, int] | Path:
    """The same for all names and links of a file; the path where there is none."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return path
    return status.st_dev, status.st_ino


@contextmanager
def _progress(path: Path, *, hidden: bool) -> Iterator[Callable[[float], None]]:
    """A bar on standard error while it is a terminal; a callable that takes the fraction done."""
    steps = 1000
    hidden = hidden or not sys.stderr.isatty()
    with click.progressbar(length=steps, label=shown(path), file=sys.stderr, hidden=hidden) as bar:

        def show(fraction: float) -> None:
            bar.update(round(fraction * steps) - bar.pos)

        yield show


def _summary(
    path: Path, target: Path, taken: Taken, used: list["Settings"], estimated: bool, seconds: float
) -> str:
    found = "estimated" if estimated else "given"
    patches, searches = (
        " or ".join(dict.fromkeys(map(_size, sizes)))
        for sizes in ([each.patch_size for each in used], [each.search_size for each in used])
    )
    did = (
        f"h {between([each.h for each in used], _short)}, patch {patches}, search {searches}"
        if any(each.h for each in used)
        else "no noise: copied"
    )
    if any(each.h and each.method == "ridge" for each in used):
        did = f"ridge, {did}"
    megapixels = taken.picture.megapixels
    return (
        f"{shown(path)} -> {shown(target)}: {taken}"
        f"{noise_found(used, _short)} ({found}), {did}; "
        f"{megapixels:.3g} MP in {seconds:.2f} s, {megapixels / seconds:.3g} MP/s"
    )


def _short(number: float) -> str:
    """Four digits, more only where whole grey levels have more."""
    digits = 4 if number == 0 else max(4, math.floor(math.log10(abs(number))) + 1)
    return f"{number:.{digits}g}"


def _size(size: Size) -> str:
    return "x".join(map(str, size)) if isinstance(size, tuple) else str(size)
