"""nlmeans plan: what denoise would run, without running it."""

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from nlmeans.cli.files import Report, each_file, shown
from nlmeans.cli.like import Like, Liked, like_option, with_numbers
from nlmeans.cli.options import (
    Sigma,
    Size,
    check_plain,
    filter_options,
    inputs_argument,
    json_option,
    method_options,
    noise_options,
    stack_option,
)
from nlmeans.cli.stacks import Taken, noise_found, settings_record, taken_as, trust_found

if TYPE_CHECKING:
    from nlmeans import Operation, Plan
    from nlmeans.denoising.ridge import Ridge
    from nlmeans.denoising.settings import Method, Settings
    from nlmeans.noise.find import Asked


@click.command(
    epilog="""\b
Examples:
  nlmeans plan photo.jpg
  nlmeans plan photo.jpg --sigma 25 --search-size 35
  nlmeans plan photo.jpg --json | jq .seconds"""
)
@inputs_argument(many=False)
@method_options
@filter_options
@noise_options
@like_option
@stack_option
@json_option
def plan(
    path: Path,
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
    like: Like | None,
    stack: str,
    as_json: bool,
) -> int:
    """Show what `nlmeans denoise` would run on a file, without running it.

    Prints what would be done: the noise level and the equation with its numbers; by which kernel,
    with the reason for it; the memory it takes; and how long. Of several pages or volumes taken
    alone settings and kernel are the first one's. With --method ridge the kernel is its classical
    step's; its groups take twenty times as long.

    \b
    With --json one object: stack, pages and settings as `denoise --json`
    has them (sigma and h in grey levels, or of the stabilised image;
    sizes in pixels), and
      operation           the equation; null, as the next six, where nothing is to be removed
      kernel, reason      which runs, and why
      tiles, tile         how many parts, of how many positions along each axis
      pairs, operations   how many: pairs summed over, floating-point operations
      shape, channels     positions along each axis of what is filtered at once; channels
      memory_bytes        bytes above the input, at the peak
      seconds             in all
      estimating_seconds  of these, what estimating the noise takes
      threads             on how many
    """
    if like is not None:
        like = with_numbers(like, method, h, sigma, patch_size, search_size)

    def work(path: Path) -> Report:
        from nlmeans.base.axes import layout_of
        from nlmeans.base.machine import cores
        from nlmeans.denoising.denoise import expected_cost
        from nlmeans.denoising.ridge import Ridge
        from nlmeans.denoising.settings import settings_for
        from nlmeans.images import load
        from nlmeans.noise.find import estimating_seconds, noise_asked

        picture = load(path)
        taken = taken_as(picture, stack)
        first = taken.parts[0]
        if like is not None:
            check_plain(noise, gain, read_noise, chroma_strength, "--like")
        liked = None if like is None else like.on(taken, first, strength)
        level = sigma.levels(picture)
        settings = (
            liked.settings
            if liked
            else settings_for(
                picture.pixels[first],
                level,
                noise=noise,
                gain=gain,
                read_noise=read_noise,
                method=method,
                h=h,
                patch_size=patch_size,
                search_size=search_size,
                strength=strength,
                chroma_strength=chroma_strength,
                **taken.layout,
            )
        )
        options = liked.options if liked else {}
        operation = settings.operation(**options)
        pixels, colours = picture.pixels[first], picture.colours[first]
        classic = operation.classic if isinstance(operation, Ridge) else operation
        kernel = (
            None
            if classic is None
            else classic.plan(
                colours.shape, channel_axis=taken.layout["channel_axis"], dtype=colours.dtype
            )
        )
        cost = expected_cost(pixels, settings, **taken.layout, **options)
        asked = noise_asked("gaussian" if liked else noise, level, gain, read_noise)
        estimated = liked.estimated if liked else asked.estimated
        estimating = 0.0
        if estimated:
            layout = layout_of(pixels.shape, **taken.layout)
            estimating = estimating_seconds(pixels.shape, layout, asked)
        parts = len(taken.parts)
        planned = Planned(
            path,
            taken,
            settings,
            liked,
            estimated,
            operation,
            kernel,
            cost.bytes,
            parts * (cost.seconds + estimating),
            parts * estimating,
            cores(),
        )
        notes = () if taken.note is None else (f"{shown(path)}: {taken.note}",)
        return Report(str(planned), planned.record, notes)

    return each_file([path], work, as_json=as_json)


@dataclass(frozen=True)
class Planned:
    """What is known of a file before it is filtered; seconds of all its pages, bytes of one."""

    path: Path
    taken: Taken
    settings: "Settings"
    liked: Liked | None
    estimated: bool
    operation: "Operation | Ridge | None"
    kernel: "Plan | None"  # of the classical step
    bytes: int
    seconds: float
    estimating: float
    threads: int

    @property
    def record(self) -> dict[str, Any]:
        """For --json."""
        names = ("kernel", "reason", "tiles", "tile", "pairs", "operations")
        colours = self.taken.picture.colours[self.taken.parts[0]]
        shape = colours.shape[: colours.ndim - (self.taken.picture.channel_axis is not None)]
        return {
            **({"like": str(self.liked)} if self.liked else {}),
            "sigma_estimated": self.estimated,
            **self.taken.record,
            **settings_record(self.settings),
            "operation": None if self.operation is None else str(self.operation),
            "shape": shape,
            "channels": prod(colours.shape) // prod(shape),
            **{name: getattr(self.kernel, name, None) for name in names},
            "memory_bytes": self.bytes,
            "seconds": self.seconds,
            "threads": self.threads,
            "estimating_seconds": self.estimating,
        }

    def __str__(self) -> str:
        from nlmeans.base.cost import show_bytes, show_seconds
        from nlmeans.denoising.ridge import PILOT_DONE

        found = "estimated" if self.estimated else "given"
        which = "in the first " if len(self.taken.parts) > 1 else ""
        noise = noise_found([self.settings], "{:.4g}".format)
        done = f"{shown(self.path)}: {self.taken}{which}{noise} ({found})"
        if self.liked:
            done = f"{shown(self.path)}: {self.liked}\n{done}"
        if self.operation is None:
            why = "it may be texture" if self.settings.h else "nothing to remove"
            return f"{done}\n\n{why}: the picture would not be filtered"
        if trust := trust_found([self.settings]):
            done += f"; of what is found to be noise {trust}"
        of = ""
        if self.settings.method == "ridge":
            of = (
                f"the classical step alone; the groups take about {1 / PILOT_DONE:.0f} times as "
                "long:\n"
            )
        more = ", with estimating the noise" if self.estimated else ""
        whole = (
            f"in all      {show_bytes(self.bytes)} of memory above input; about "
            f"{show_seconds(self.seconds)} on {self.threads} "
            f"thread{'s' if self.threads > 1 else ''}{more}"
        )
        return f"{done}\n\n{self.operation}\n\n{of}{self.kernel}\n{whole}"
