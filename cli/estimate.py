"""nlmeans estimate: the noise level of files."""

from pathlib import Path

import click
from nlmeans.cli.files import Report, each_file, shown
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

    def work(path: Path) -> Report:
        import numpy as np

        from nlmeans.images import load
        from nlmeans.noise import estimate_sigma, joint_sigma

        picture = load(path)
        found = estimate_sigma(picture.colours, channel_axis=picture.channel_axis)
        levels, sigma = np.atleast_1d(found).tolist(), joint_sigma(found)
        whole = grey_range(picture)
        percent = 100 * sigma / whole if whole else 0.0
        each = ", ".join(f"{level:.4g}" for level in levels)
        channels = f" (per channel {each})" if len(levels) > 1 else ""
        return Report(
            text=f"{shown(path)}: sigma {sigma:.4g}, {percent:.3g}%{channels}",
            record={"sigma": sigma, "percent": percent, "per_channel": levels},
        )

    return each_file(inputs, work, as_json=as_json)
