"""nlmeans strengths: one picture with a region at several strengths, to choose from."""

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from nlmeans.cli.files import Report, each_file, shown
from nlmeans.cli.jobs import FilterOptions, job_of
from nlmeans.cli.options.files import (
    drawing_option,
    inputs_argument,
    overwrite_option,
    threads_option,
)
from nlmeans.cli.options.filters import filter_options, method_options, noise_options
from nlmeans.cli.options.selection import preview_option
from nlmeans.cli.options.types import NUMBERS, option
from nlmeans.cli.outputs import png_target, save_png
from nlmeans.cli.selection import Region, size_of
from nlmeans.cli.stacks import pages_of
from nlmeans.cli.words import how_found, noise_found, trust_found

if TYPE_CHECKING:
    from nlmeans.denoising.settings import Settings

ENDING = "_strengths.png"
USUAL = (0.5, 0.7, 1.0, 1.4, 2.0)
SIDE = 240  # of the usual region, in pixels
_USUAL = ",".join(f"{strength:g}" for strength in USUAL)


@option("--strengths", "each", type=NUMBERS, default=USUAL, shown=_USUAL)
def strengths_option() -> None:
    """Strengths to show, numbers above 0."""


@click.command(
    epilog="""\b
Examples:
  nlmeans strengths photo.png
  nlmeans strengths photo.png -o sheet.png --preview 120,80,200,150 --strengths 0.8,1,1.25"""
)
@inputs_argument(many=False)
@drawing_option(ENDING)
@strengths_option
@preview_option("a region in the middle")
@method_options
@filter_options
@noise_options
@threads_option
@overwrite_option
def strengths(
    path: Path,
    output: Path | None,
    each: tuple[float, ...],
    preview: Region | None,
    threads: int | None,
    overwrite: bool,
    **filters: Any,
) -> int:
    """Show a region of INPUT noisy and denoised at several strengths, side by side in one picture.

    Each is what `nlmeans denoise --strength` gives, shown in 8 bits; without --preview it is a
    region in the middle.
    """
    target = png_target(path, output, ENDING)
    options = FilterOptions(threads=threads, **filters)

    def work(path: Path) -> Report:
        from nlmeans.images import load
        from nlmeans.images.sheet import black_and_white, draw_sheet, in_bytes

        picture = load(path)
        if picture.stack:
            raise ValueError(
                f"holds {picture.pages} pages; strengths are shown of a single picture"
            )
        region = preview or _middle(*size_of(pages_of(picture, "auto")))
        start = time.perf_counter()
        job = job_of(picture, replace(options, preview=region))
        (task,), (used,) = job.tasks, job.settings
        ends = black_and_white(picture.colours)
        tiles = [("noisy", in_bytes(picture.colours[task.region], *ends))]
        for strength in each:
            scaled = used.times(strength)
            found = replace(task, filter=scaled.filter()).run(picture.pixels)
            colours = task.layout.colours(found.values)
            tiles.append((f"strength {strength * options.strength:g}", in_bytes(colours, *ends)))
        seconds = time.perf_counter() - start
        save_png(target, path, draw_sheet(tiles), overwrite)
        shown_strengths = ", ".join(f"{strength * options.strength:g}" for strength in each)
        return Report(
            f"{shown(path)} -> {shown(target)}: region {region} at strengths {shown_strengths}; "
            f"{noise_found([used])} ({how_found([used])}), {_done(used)}; {seconds:.2f} s",
            {},
        )

    return each_file([path], work)


def _done(used: "Settings") -> str:
    if not used.h:
        return "no noise: all are alike"
    if not used.trust:
        return "may be texture, and is not filtered: all are alike"
    trust = trust_found([used])
    return f"{used.method}, {trust}" if trust else used.method


def _middle(height: int, width: int) -> Region:
    w, h = min(width, SIDE), min(height, SIDE)
    return Region((width - w) // 2, (height - h) // 2, w, h)
