"""nlmeans plan: what denoise would run, without running it."""

from pathlib import Path
from typing import Any

import click
from nlmeans.cli.files import each_file, shown
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

    def work(path: Path) -> dict[str, Any]:
        from nlmeans.denoising import settings_for
        from nlmeans.images import load

        picture = load(path)
        axis = 2 if picture.pixels.ndim == 3 else None
        settings = settings_for(
            picture.pixels, sigma.levels(picture), h=h, patch_size=patch_size,
            search_size=search_size, strength=strength, channel_axis=axis, alpha=picture.alpha,
        )  # fmt: skip
        found = "estimated" if sigma.value is None else "given"
        click.echo(f"{shown(path)}: sigma {settings.sigma:.4g} ({found})\n")
        operation = settings.operation()
        if operation is None:
            click.echo("nothing to remove: the picture would be copied")
            return {}
        colours = picture.pixels[..., :-1] if picture.alpha else picture.pixels
        click.echo(f"{operation}\n")
        click.echo(operation.plan(colours.shape, channel_axis=axis, dtype=colours.dtype))
        return {}

    return each_file([path], work, as_json=False)
