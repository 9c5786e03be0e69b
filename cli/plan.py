"""nlmeans plan: what denoise would run, without running it."""

from pathlib import Path

import click
from nlmeans.cli.files import Report, each_file, shown
from nlmeans.cli.options import Sigma, Size, filter_options, inputs_argument


@click.command(
    epilog="""\b
Examples:
  nlmeans plan photo.jpg
  nlmeans plan photo.jpg --sigma 25 --search-size 35"""
)
@inputs_argument(many=False)
@filter_options
def plan(
    path: Path,
    sigma: Sigma,
    h: float | None,
    patch_size: Size | None,
    search_size: Size | None,
    strength: float,
) -> int:
    """Show what `nlmeans denoise` would run on a file, without running it.

    Prints the noise level, the equation with its numbers, the kernel with the reason for it, and
    the operations and memory it takes.
    """

    def work(path: Path) -> Report:
        from nlmeans.denoising import settings_for
        from nlmeans.images import load

        picture = load(path)
        settings = settings_for(
            picture.pixels, sigma.levels(picture), h=h, patch_size=patch_size,
            search_size=search_size, strength=strength, channel_axis=picture.channel_axis,
            alpha=picture.alpha,
        )  # fmt: skip
        found = "estimated" if sigma.value is None else "given"
        heading = f"{shown(path)}: sigma {settings.sigma:.4g} ({found})"
        operation = settings.operation()
        if operation is None:
            return Report(f"{heading}\n\nnothing to remove: the picture would be copied", {})
        colours = picture.colours
        plan = operation.plan(colours.shape, channel_axis=picture.channel_axis, dtype=colours.dtype)
        return Report(f"{heading}\n\n{operation}\n\n{plan}", {})

    return each_file([path], work)
