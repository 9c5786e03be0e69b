"""nlmeans estimate: the noise level of files."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from nlmeans.cli.files import Report, each_file, shown
from nlmeans.cli.options.files import inputs_argument, json_option
from nlmeans.cli.options.filters import stack_option
from nlmeans.cli.options.types import grey_range
from nlmeans.cli.stacks import Part, pages_of
from nlmeans.cli.words import between, noise_model


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
    volume or clip has one level, the median over its pages. Noise that depends on the signal is
    named with its gain, read noise and offset, and sigma is its root mean square; of correlated
    noise the extent is named, and of a picture that went through JPEG sigma is that before.
    """

    def work(path: Path) -> Report:
        from nlmeans.base.axes import layout_of
        from nlmeans.images import load
        from nlmeans.noise.find import find, noise_asked
        from nlmeans.noise.model import Noise

        picture = load(path)
        pages = pages_of(picture, stack)
        whole = grey_range(picture.pixels)

        def found(_: int, part: Part) -> dict[str, Any]:
            pixels = picture.pixels[part]
            layout = layout_of(pixels.shape, **pages.layout)
            noise = find(layout.colours(pixels), layout, noise_asked(), trusted=True)
            return {
                "sigma": noise.level,
                "percent": 100 * noise.level / whole if whole else 0.0,
                "per_channel": list(noise.levels),
                "noise": asdict(noise.noise),
            }

        parts = pages.map(found)
        sigma, percent = (
            between([part[key] for part in parts], show)
            for key, show in (("sigma", "{:.4g}".format), ("percent", "{:.3g}%".format))
        )
        noises = [Noise(**part["noise"]) for part in parts]
        kind = noise_model(noises, "{:.4g}".format)
        channels = parts[0]["per_channel"] if len(parts) == 1 else []
        each = ", ".join(f"{level:.4g}" for level in channels)
        return Report(
            text=f"{shown(path)}: {pages}sigma {sigma}, {percent}"
            + (f" (per channel {each})" if len(channels) > 1 else "")
            + (f", {kind}" if kind else ""),
            record={**pages.record, **(parts[0] if len(parts) == 1 else {"parts": parts})},
            notes=() if pages.note is None else (f"{shown(path)}: {pages.note}",),
        )

    return each_file(inputs, work, as_json=as_json)
