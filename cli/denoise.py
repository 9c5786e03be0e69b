"""nlmeans denoise: load, filter, save."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from nlmeans.cli.files import Report, each_file, shown
from nlmeans.cli.filters import Filter
from nlmeans.cli.learned import Loader, denoise_learned, weights_options
from nlmeans.cli.like import Like, Liked, like_option, with_numbers
from nlmeans.cli.notices import announce, compiling_notice, memory_left
from nlmeans.cli.options import (
    NumberType,
    filter_options,
    inputs_argument,
    method_options,
    noise_options,
    stack_option,
)
from nlmeans.cli.outputs import (
    SUFFIX,
    output_options,
    progress_bar,
    running_options,
    short,
    sides,
    targets_of,
)
from nlmeans.cli.selection import Region, map_options, mask_for, selection_options
from nlmeans.cli.stacks import (
    Part,
    Taken,
    between,
    noise_found,
    settings_record,
    taken_as,
    trust_found,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nlmeans.denoising.regions import Box
    from nlmeans.denoising.settings import Settings

PREVIEW_SUFFIX = "_preview"
Given = tuple[tuple[Any, ...], dict[str, Any]]  # arguments of `nlmeans.denoising.task.filtered`


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
  nlmeans denoise photo.png --preview 120,80,200,150
      see that region first: photo_preview.png
  nlmeans denoise photo.png --like opencv --h 10
      what OpenCV's fastNlMeansDenoising does with h = 10
  nlmeans denoise scan.tif --stack volume --noise rician
      a magnitude MRI volume; no bias stays in the dark
  nlmeans denoise frames.tif --stack clip
      the pages are frames in time: use those before and after
  nlmeans denoise clip.mp4 -o out.mp4 --sigma 6
      video, frame by frame; the sound is copied
  nlmeans denoise photo.png --weights learned.safetensors
      with learned weights, which `nlmeans weights show` explains"""
)
@inputs_argument()
@output_options
@method_options
@filter_options
@map_options
@noise_options
@selection_options
@weights_options
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
@running_options
def denoise(
    inputs: tuple[Path, ...],
    output: Path | None,
    output_folder: Path | None,
    suffix: str | None,
    learned: Loader | None,
    like: Like | None,
    stack: str,
    mask: Path | None,
    preview: Region | None,
    amount: float,
    quality: int | None,
    keep_partial: bool,
    threads: int | None,
    max_memory: int | None,
    overwrite: bool,
    quiet: bool,
    as_json: bool,
    **filters: Any,
) -> int:
    """Denoise image files: PNG, JPEG, TIFF, WebP, BMP, PNM; 8 and 16 bit, float TIFF.

    And video, with the extra `video` installed: MP4, MOV, MKV, WebM, AVI, MPG; the sound is kept.

    Bit depth, alpha, EXIF, ICC profile and resolution are kept; in TIFFs of several pages also
    what ImageJ and OME say of them. The input is never changed, an output appears whole or not at
    all, and after an error the other files still get done.
    """
    targets = targets_of(
        inputs, output, output_folder, suffix, SUFFIX if preview is None else PREVIEW_SUFFIX
    )
    asked = Filter(**filters)
    asked.check()
    if asked.keep_detail and amount != 1:
        message = "use just one of --amount and --keep-detail"
        raise click.UsageError(message)
    if learned is not None and like is not None:
        message = "use just one of --weights and --like"
        raise click.UsageError(message)
    if like is not None:
        like = with_numbers(
            like, asked.method, asked.h, asked.sigma, asked.patch_size, asked.search_size
        )
    silent = quiet or as_json
    how = How(mask, preview, amount, quality, keep_partial, threads, max_memory, overwrite, silent)

    def work(path: Path) -> Report:
        from nlmeans.images import check_output, load
        from nlmeans.images.formats import VIDEOS

        target = targets[path]
        if path.suffix.lower() in VIDEOS:
            return _video(path, target, asked, how, like, learned)
        picture = load(path)
        check_output(target, picture, overwrite=overwrite, quality=quality, source=path)
        taken = taken_as(picture, stack)
        if learned is None:
            return _picture(path, target, taken, asked, how, like)
        with progress_bar(path, hidden=how.silent) as progress:
            return denoise_learned(
                path,
                target,
                taken,
                learned(),
                amount=amount,
                threads=threads,
                max_memory=max_memory,
                silent=how.silent,
                overwrite=overwrite,
                quality=quality,
                progress=progress,
            )

    return each_file(inputs, work, as_json=as_json, quiet=quiet)


@dataclass(frozen=True)
class How:
    """How files are read and written, whatever the filter."""

    mask: Path | None
    preview: Region | None
    amount: float
    quality: int | None
    keep_partial: bool
    threads: int | None
    max_memory: int | None
    overwrite: bool
    silent: bool


def _video(
    path: Path,
    target: Path,
    asked: Filter,
    how: How,
    like: Like | None,
    learned: Loader | None,
) -> Report:
    from nlmeans.cli.video import denoise_video

    from nlmeans.base.checks import ParameterError

    if learned is not None:
        message = "is a video; --weights is for pictures and stacks"
        raise ValueError(message)
    if how.mask is not None or how.preview is not None:
        option = "--preview" if how.mask is None else "--mask"
        message = f"{option} is for images and stacks, not for video"
        raise ParameterError(message)
    if like is not None:
        message = "--like is for images; give a video the numbers that it becomes on one"
        raise ParameterError(message)
    asked.check_plain("a video, filtered as having gaussian noise,")
    return denoise_video(
        path,
        target,
        method=asked.method,
        sigma=asked.sigma,
        h=asked.h,
        patch_size=asked.patch_size,
        search_size=asked.search_size,
        strength=asked.strength,
        amount=how.amount,
        quality=how.quality,
        keep_partial=how.keep_partial,
        threads=how.threads,
        max_memory=how.max_memory,
        overwrite=how.overwrite,
        silent=how.silent,
    )


def _picture(
    path: Path, target: Path, taken: Taken, asked: Filter, how: How, like: Like | None
) -> Report:
    """A picture or stack: settings, filter, file and report."""
    import numpy as np

    from nlmeans.base.cost import Cost
    from nlmeans.base.progress import part_of
    from nlmeans.denoising.task import expected, filtered
    from nlmeans.images import save

    if like is not None:
        asked.check_plain("--like")
    picture = taken.picture
    start = time.perf_counter()
    liked = [] if like is None else taken.map(lambda _, part: like.on(taken, part, asked.strength))
    region = None if how.preview is None else how.preview.on(taken)
    mask = None if how.mask is None else mask_for(how.mask, taken)
    chosen = [each.settings for each in liked] or asked.settings(taken)
    seconds = time.perf_counter() - start
    work = _work(taken, chosen, liked, region, mask, how)
    costs = taken.map(lambda k, _: expected(*work[k][0], **work[k][1]))
    cost = sum(costs, Cost(seconds, 0))  # what the noise took has been spent already
    pixels = np.empty(_shape(taken, region), picture.pixels.dtype)
    left = memory_left(how.max_memory, picture.pixels.nbytes, pixels.nbytes)
    announce(path, cost, how.threads, left, silent=how.silent)
    _load_kernels(work, silent=how.silent)
    weights: list[float] = []
    start = time.perf_counter()
    with progress_bar(path, hidden=how.silent) as progress:

        def run(k: int, part: Part) -> None:
            given, rest = work[k]
            share = part_of(progress, k, len(work))
            found = filtered(*given, **rest, max_memory=left, progress=share)
            pixels[part] = found.values
            if found.weight is not None:
                weights.append(found.weight)

        taken.map(run)
    seconds += time.perf_counter() - start
    notes = save(target, picture.with_pixels(pixels), overwrite=how.overwrite, quality=how.quality)

    estimated = any(each.estimated for each in liked) if liked else asked.estimated
    became = list(dict.fromkeys(map(str, liked)))
    own_notes = picture.notes if taken.note is None else (taken.note, *picture.notes)
    return Report(
        text="".join(f"{shown(path)}: {each}\n" for each in became)
        + _summary(path, target, taken, chosen, asked, estimated, weights, how.preview, seconds),
        record={
            "output": str(target),
            **({"like": became[0] if len(became) == 1 else became} if liked else {}),
            "sigma_estimated": estimated,
            **taken.record,
            **_settings_record(chosen, asked, weights),
            **({"preview": how.preview} if how.preview else {}),
            **({"mask": str(how.mask)} if how.mask else {}),
            "amount": how.amount,
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


def _work(
    taken: Taken,
    settings: list["Settings"],
    liked: list[Liked],
    region: "Box | None",
    mask: "Callable[[Part], NDArray[Any]] | None",
    how: How,
) -> list[Given]:
    """What `nlmeans.denoising.task` is given for every part of the picture."""
    from nlmeans.base.axes import layout_of

    def given(k: int, part: Part) -> Given:
        image = taken.picture.pixels[part]
        layout = layout_of(image.shape, **taken.layout)
        rest: dict[str, Any] = {
            "amount": how.amount,
            "region": region,
            "threads": how.threads,
            "mask": None if mask is None else mask(part),
        }
        options = liked[k].options if liked else {}
        return (image, settings[k], settings[k].operation(**options), layout), rest

    return taken.map(given)


def _shape(taken: Taken, region: "Box | None") -> tuple[int, ...]:
    """Of the result's pixels."""
    shape = list(taken.picture.pixels.shape)
    if region is not None:
        first = len(taken.picture.stack)
        shape[first : first + 2] = [part.stop - part.start for part in region[-2:]]
    return tuple(shape)


def _settings_record(
    settings: list["Settings"], asked: Filter, weights: list[float]
) -> dict[str, Any]:
    """One set, or one for each of several parts."""
    each = [settings_record(used) for used in settings]
    maps = {"sigma_map": asked.sigma_map, "h_map": asked.h_map}
    shared: dict[str, Any] = {name: str(path) for name, path in maps.items() if path is not None}
    if weights:
        shared["detail_weight"] = sum(weights) / len(weights)
    return (each[0] if len(each) == 1 else {"parts": each}) | shared


def _load_kernels(work: list[Given], *, silent: bool) -> None:
    """Compile or load the kernels on one pixel, so that the time reported is that of filtering."""
    import numpy as np

    from nlmeans.base.arrays import grid_shape
    from nlmeans.denoising.regions import on_one

    for image, _, operation, layout in (given for given, _ in work):
        if operation is not None:
            grid = grid_shape(image.shape, layout.channel_axis)
            pixel = np.zeros((1,) * len(grid), image.dtype)
            with compiling_notice(silent=silent):
                on_one(operation, len(grid))(pixel)
            return


def _summary(
    path: Path,
    target: Path,
    taken: Taken,
    used: list["Settings"],
    asked: Filter,
    estimated: bool,
    weights: list[float],
    preview: Region | None,
    seconds: float,
) -> str:
    found = "estimated" if estimated else "given"
    if asked.sigma_map is not None:
        found = "by a map"
    patches, searches = (
        " or ".join(dict.fromkeys(map(sides, sizes)))
        for sizes in ([each.patch_size for each in used], [each.search_size for each in used])
    )
    h = between([each.h for each in used], short)
    by_map = " (by a map)" if any(each.maps is not None for each in used) else ""
    noisy = [each for each in used if each.h]
    if not noisy:
        did = "no noise: not filtered"
    elif not any(each.trust for each in noisy):
        did = "which may be texture: not filtered"
    else:
        did = f"h {h}{by_map}, patch {patches}, search {searches}"
        if any(each.method == "ridge" for each in noisy):
            did = f"ridge, {did}"
        if trust := trust_found(used):
            did += f", {trust}"
    if weights:
        did += f", detail kept by weight {between(weights, '{:.2f}'.format)}"
    of = "" if preview is None else f"region {preview}, "
    megapixels = taken.picture.megapixels
    return (
        f"{shown(path)} -> {shown(target)}: {taken}{of}"
        f"{noise_found(used, short)} ({found}), {did}; "
        f"{megapixels:.3g} MP in {seconds:.2f} s, {megapixels / seconds:.3g} MP/s"
    )
