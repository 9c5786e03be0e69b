"""nlmeans estimate: the noise level of files."""

import math
from pathlib import Path
from typing import Any

import click
from nlmeans.cli.files import each_file, shown
from nlmeans.cli.options import grey_range, inputs_argument, json_option


@click.command(
    epilog="""\b
Examples:
  nlmeans estimate photo.jpg
  nlmeans estimate --json *.tif > noise.jsonl"""
)
@inputs_argument()
@json_option
def estimate(inputs: tuple[Path, ...], as_json: bool) -> int:
    """Estimate the noise in image files.

    Prints the standard deviation of the noise in the file's grey levels: over all channels, as
    percent of the range, and per channel where there are several. An alpha channel is left out.
    """

    def work(path: Path) -> dict[str, Any]:
        import numpy as np

        from nlmeans.images import load
        from nlmeans.noise import estimate_sigma

        picture = load(path)
        pixels = picture.pixels[..., None] if picture.pixels.ndim == 2 else picture.pixels
        colours = pixels[..., :-1] if picture.alpha else pixels
        levels = [float(level) for level in np.atleast_1d(estimate_sigma(colours, channel_axis=2))]
        sigma = math.sqrt(sum(level**2 for level in levels) / len(levels))
        whole = grey_range(picture)
        percent = 100 * sigma / whole if whole else 0.0
        if not as_json:
            each = ", ".join(f"{level:.4g}" for level in levels)
            channels = f" (per channel {each})" if len(levels) > 1 else ""
            click.echo(f"{shown(path)}: sigma {sigma:.4g}, {percent:.3g}%{channels}")
        return {"sigma": sigma, "percent": percent, "per_channel": levels}

    return each_file(inputs, work, as_json=as_json)
