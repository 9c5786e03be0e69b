"""nlmeans estimate: the noise level of files."""

from pathlib import Path
from typing import Any

import click
from nlmeans.cli.files import Report, each_file, shown
from nlmeans.cli.options import grey_range, inputs_argument, json_option, stack_option
from nlmeans.cli.stacks import Part, between, taken_as


@click.command(
    epilog="""\b
Examples:
  nlmeans estimate photo.jpg
  nlmeans estimate --json *.tif > noise.jsonl"""
)
@inputs_argument()
@stack_option
@json_option
def estimate(inputs: tuple[Path, ...], stack: str, as_json: bool) -> int:
    """Estimate the noise in image files.

    Prints the standard deviation of the noise in the file's grey levels: over all channels, as
    percent of the range, and per channel where there are several. An alpha channel is left out. A
    volume or clip has one level, the median over its pages.
    """

    def work(path: Path) -> Report:
        import numpy as np

        from nlmeans.images import load
        from nlmeans.noise import estimate_sigma, estimate_stack_sigma, joint_sigma

        picture = load(path)
        taken = taken_as(picture, stack)
        axis = taken.layout["channel_axis"]
        estimator = estimate_stack_sigma if taken.stack in ("volume", "clip") else estimate_sigma
        whole = grey_range(picture)

        def found(_: int, part: Part) -> dict[str, Any]:
            levels = estimator(picture.colours[part], channel_axis=axis)
            sigma = joint_sigma(levels)
            percent = 100 * sigma / whole if whole else 0.0
            each = np.atleast_1d(levels).tolist()
            return {"sigma": sigma, "percent": percent, "per_channel": each}

        parts = taken.map(found)
        sigma, percent = (
            between([part[key] for part in parts], show)
            for key, show in (("sigma", "{:.4g}".format), ("percent", "{:.3g}%".format))
        )
        channels = parts[0]["per_channel"] if len(parts) == 1 else []
        each = ", ".join(f"{level:.4g}" for level in channels)
        return Report(
            text=f"{shown(path)}: {taken}sigma {sigma}, {percent}"
            + (f" (per channel {each})" if len(channels) > 1 else ""),
            record={**taken.record, **(parts[0] if len(parts) == 1 else {"parts": parts})},
            notes=() if taken.note is None else (f"{shown(path)}: {taken.note}",),
        )

    return each_file(inputs, work, as_json=as_json)
