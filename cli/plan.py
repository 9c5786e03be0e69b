"""nlmeans plan: what denoise would run, without running it."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
from nlmeans.cli.files import Report, each_file, shown
from nlmeans.cli.like import Like, like_option, with_numbers
from nlmeans.cli.options import (
    Sigma,
    Size,
    check_plain,
    filter_options,
    inputs_argument,
    method_options,
    noise_options,
    stack_option,
)
from nlmeans.cli.stacks import noise_found, taken_as

if TYPE_CHECKING:
    from nlmeans.noise_choice import Asked
    from nlmeans.settings import Method


@click.command(
    epilog="""\b
Examples:
  nlmeans plan photo.jpg
  nlmeans plan photo.jpg --sigma 25 --search-size 35"""
)
@inputs_argument(many=False)
@method_options
@filter_options
@noise_options
@like_option
@stack_option
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
) -> int:
    """Show what `nlmeans denoise` would run on a file, without running it.

    Prints the noise level, the equation with its numbers, the kernel with the reason for it, and
    the operations and memory it takes; of several pages or volumes taken alone for the first. With
    --method ridge these are of its classical step alone; its groups take twenty times as long.
    """
    if like is not None:
        like = with_numbers(like, method, h, sigma, patch_size, search_size)

    def work(path: Path) -> Report:
        from nlmeans.budget import show_bytes, show_seconds
        from nlmeans.denoising import expected_cost
        from nlmeans.images import load
        from nlmeans.machine import cores
        from nlmeans.ridge import PILOT_DONE, Ridge
        from nlmeans.settings import settings_for

        picture = load(path)
        taken = taken_as(picture, stack)
        first = taken.parts[0]
        if like is not None:
            check_plain(noise, gain, read_noise, chroma_strength, "--like")
        liked = None if like is None else like.on(taken, strength)
        settings = liked.settings if liked else settings_for(
            picture.pixels[first], sigma.levels(picture), noise=noise, gain=gain,
            read_noise=read_noise, method=method, h=h, patch_size=patch_size,
            search_size=search_size, strength=strength, chroma_strength=chroma_strength,
            **taken.layout,
        )  # fmt: skip
        estimated = sigma.value is None and gain is None and not liked
        found = "estimated" if estimated else "given"
        which = "in the first " if len(taken.parts) > 1 else ""
        heading = (
            f"{shown(path)}: {taken}{which}{noise_found([settings], '{:.4g}'.format)} ({found})"
        )
        notes = () if taken.note is None else (f"{shown(path)}: {taken.note}",)
        if liked:
            heading = f"{shown(path)}: {liked}\n{heading}"
        operation = settings.operation(**(liked.options if liked else {}))
        if operation is None:
            text = f"{heading}\n\nnothing to remove: the picture would be copied"
            return Report(text, {}, notes)
        colours = picture.colours[first]
        axis = taken.layout["channel_axis"]
        of = ""
        classic = operation.classic if isinstance(operation, Ridge) else operation
        if classic is not operation:
            of = (
                f"the classical step alone; the groups take about {1 / PILOT_DONE:.0f} times as "
                "long:\n"
            )
        plan = classic.plan(colours.shape, channel_axis=axis, dtype=colours.dtype)
        cost = expected_cost(
            picture.pixels[first], settings, **taken.layout, **(liked.options if liked else {})
        )
        threads = cores()
        whole = (
            f"in all      about {show_seconds(cost.seconds)} on {threads} "
            f"thread{'s' if threads > 1 else ''}, {show_bytes(cost.bytes)} of memory above input"
        )
        return Report(f"{heading}\n\n{operation}\n\n{of}{plan}\n{whole}", {}, notes)

    return each_file([path], work)
