"""nlmeans denoise: load, filter, save."""

import time
from pathlib import Path
from typing import Any

import click
from nlmeans.cli.files import Report, each_file
from nlmeans.cli.jobs import FilterOptions, Job, job_of
from nlmeans.cli.learned import assumptions, record_of
from nlmeans.cli.notices import announce, compiling_notice, memory_left
from nlmeans.cli.options.files import SUFFIX, inputs_argument, output_options, writing_options
from nlmeans.cli.options.job import job_options
from nlmeans.cli.options.types import option
from nlmeans.cli.outputs import Destination, Writing, progress_bar, targets_of
from nlmeans.cli.words import between, done, how_found, noise_found, noted, settings_record

from nlmeans.base.texts import shown

PREVIEW_SUFFIX = "_preview"
_QUALITY = "95 for JPEG; WebP lossless; video without visible loss"


@option("--quality", type=click.IntRange(1, 100), shown=_QUALITY)
def quality_option() -> None:
    """Quality of JPEG, WebP and video outputs, 1 to 100."""


@option("--keep-partial", is_flag=True, shown="refuse")
def partial_option() -> None:
    """Keep the frames before the damage of a video that is damaged or cut short."""


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
@job_options
@quality_option
@partial_option
@writing_options
def denoise(
    inputs: tuple[Path, ...],
    destination: Destination,
    options: FilterOptions,
    quiet: bool,
    as_json: bool,
    **writing: Any,
) -> int:
    """Denoise pictures, stacks of pages and video.

    Pictures are PNG, JPEG, TIFF, WebP, BMP and PNM files of 8 and 16 bits, and TIFFs of floats.
    Video, with the extra `video` installed, is MP4, MOV, MKV, WebM, AVI and MPG; its sound is kept.

    Bit depth, alpha, EXIF, ICC profile and resolution are kept; in TIFFs of several pages also
    what ImageJ and OME say of them. The input is never changed, an output appears whole or not at
    all, and after an error the other files still get done.
    """
    usual = SUFFIX if options.preview is None else PREVIEW_SUFFIX
    targets = targets_of(inputs, destination, usual)
    how = Writing(silent=quiet or as_json, **writing)

    def work(path: Path) -> Report:
        from nlmeans.images.formats import VIDEOS

        if path.suffix.lower() in VIDEOS:
            from nlmeans.cli.video import denoise_video

            return denoise_video(path, targets[path], options, how)
        return _picture(path, targets[path], options, how)

    return each_file(inputs, work, as_json=as_json, quiet=quiet)


def _picture(path: Path, target: Path, options: FilterOptions, writing: Writing) -> Report:
    """A picture or stack: load, filter, save, report."""
    from nlmeans.base.cost import Cost
    from nlmeans.images import check_output, load, save

    picture = load(path)
    overwrite, quality = writing.overwrite, writing.quality
    check_output(target, picture, overwrite=overwrite, quality=quality, source=path)
    job = job_of(picture, options)
    left = memory_left(options.max_memory, picture.pixels.nbytes)
    # What the noise took has been spent already, and is a part of what the file takes.
    cost = job.cost() + Cost(job.seconds, 0)
    announce(path, cost, options.threads, left, silent=writing.silent)
    with compiling_notice(silent=writing.silent):
        job.warm()
        start = time.perf_counter()
        with progress_bar(path, hidden=writing.silent) as progress:
            pixels, weights = job.run(left, progress)
    seconds = job.seconds + time.perf_counter() - start
    lost = save(target, picture.with_pixels(pixels), overwrite=overwrite, quality=quality)
    own = picture.notes if job.pages.note is None else (job.pages.note, *picture.notes)
    record = {
        "output": str(target),
        **_record(job, options, weights),
        "amount": options.amount,
        "megapixels": picture.megapixels,
        "seconds": seconds,
        "megapixels_per_second": picture.megapixels / seconds,
        "notes": [*own, *lost],
    }
    text = _summary(path, target, job, options, weights)
    rate = f"{picture.megapixels / seconds:.3g} MP/s"
    text += f"; {picture.megapixels:.3g} MP in {seconds:.2f} s, {rate}"
    return Report(text, record, (*job.notes, *noted((path, own), (target, lost))))


def _record(job: Job, options: FilterOptions, weights: list[float]) -> dict[str, Any]:
    """For --json: what the filter was; of several parts one record each."""
    selection: dict[str, Any] = {}
    if options.preview is not None:
        selection["preview"] = options.preview
    if options.mask is not None:
        selection["mask"] = str(options.mask)
    if job.weights is not None:
        found = {"weights": job.weights.path, **record_of(job.weights)}
        return {**job.pages.record, **found, **selection}
    became = list(dict.fromkeys(map(str, job.equivalents)))
    each = [settings_record(used) for used in job.settings]
    maps = {"sigma_map": options.sigma_map, "h_map": options.h_map}
    return {
        **({"like": became[0] if len(became) == 1 else became} if became else {}),
        "sigma_estimated": any(used.estimated for used in job.settings),
        **job.pages.record,
        **(each[0] if len(each) == 1 else {"parts": each}),
        **{name: str(path) for name, path in maps.items() if path is not None},
        **({"detail_weight": sum(weights) / len(weights)} if weights else {}),
        **selection,
    }


def _summary(
    path: Path, target: Path, job: Job, options: FilterOptions, weights: list[float]
) -> str:
    """The line of a file, up to its speed; before it, what another program's call became."""
    became = "".join(
        f"{shown(path)}: {each}\n" for each in dict.fromkeys(map(str, job.equivalents))
    )
    region = "" if options.preview is None else f"region {options.preview}, "
    start = f"{became}{shown(path)} -> {shown(target)}: {job.pages}{region}"
    if job.weights is not None:
        name = f", block {job.weights.name}" if job.weights.name else ""
        file = shown(Path(job.weights.path))
        return f"{start}weights {file}, layout {job.weights.layout}{name}{assumptions(job.weights)}"
    found = how_found(job.settings, by_map=options.sigma_map is not None)
    did = f"{noise_found(job.settings)} ({found}), {done(job.settings)}"
    if weights:
        did += f", detail kept by weight {between(weights, '{:.2f}'.format)}"
    return start + did
