"""nlmeans affinity: a picture of the weights that one position gives to the others."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from nlmeans.cli.files import Report, each_file, shown
from nlmeans.cli.jobs import FilterOptions, job_of
from nlmeans.cli.learned import Loader
from nlmeans.cli.options.files import drawing_option, inputs_argument, overwrite_option
from nlmeans.cli.options.filters import filter_options
from nlmeans.cli.options.types import Parsed, option
from nlmeans.cli.options.weights import weights_options
from nlmeans.cli.outputs import png_target, save_png
from nlmeans.cli.stacks import pages_of

if TYPE_CHECKING:
    from nlmeans import Operation
    from nlmeans.images import Picture
    from nlmeans.weights import LoadedWeights

ENDING = "_affinity.png"
Point = tuple[int, int]


def _point(text: str) -> Point:
    parts = text.split(",")
    if len(parts) != 2 or not all(part.strip().isdecimal() for part in parts):
        raise ValueError(f"{text!r} is no position; give X,Y, whole numbers from 0, such as 120,80")
    return int(parts[0]), int(parts[1])


@option("--at", "points", type=Parsed("X,Y", _point), multiple=True, shown="the middle")
def at_option() -> None:
    """The position whose weights are drawn, as column,row: 0,0 is the pixel at the top left. Can be
    given several times."""


@click.command(
    epilog="""\b
Examples:
  nlmeans affinity photo.png --at 120,80
  nlmeans affinity photo.png --at 120,80 --at 40,200 -o map.png --search-size 41
  nlmeans affinity photo.png --at 120,80 -o map.png --weights learned.safetensors"""
)
@inputs_argument(many=False)
@at_option
@drawing_option(ENDING)
@filter_options
@weights_options
@overwrite_option
def affinity(
    path: Path,
    points: tuple[Point, ...],
    output: Path | None,
    learned: Loader | None,
    overwrite: bool,
    **filters: Any,
) -> int:
    """Draw the weights that a position gives to the others, over the picture.

    The picture is grey; colours from violet to yellow are shares of the largest weight, on a scale
    of square roots. The position and the window are outlined, and a small window is enlarged
    beside the picture.
    """
    target = png_target(path, output, ENDING)

    def work(path: Path) -> Report:
        from nlmeans import Chain
        from nlmeans.base.checks import ParameterError
        from nlmeans.images import load
        from nlmeans.images.drawing import Weights, draw_weights

        picture = load(path)
        pages = pages_of(picture, "auto")
        if pages.stack is not None:
            raise ValueError(
                f"holds {picture.pages} pages; weights are drawn over a single picture"
            )
        height, width = picture.colours.shape[:2]
        for x, y in points:
            if x >= width or y >= height:
                raise ParameterError(
                    f"--at {x},{y} lies outside of a picture of {width}x{height} pixels"
                )
        axis = pages.layout["channel_axis"]
        notes: tuple[str, ...] = ()
        if learned is None:
            operation, values = _classical(picture, filters), picture.colours
        else:
            loaded, notes = learned()
            operation, values = _of_learned(loaded, picture)
            if isinstance(loaded.block, Chain):
                count = len(loaded.block.blocks)
                notes += (f"{shown(path)}: of a chain of {count} blocks, the first is drawn",)
        maps = [
            Weights(
                (y, x),
                operation.spread(
                    operation.affinity(values, (y, x), channel_axis=axis), values.shape[:2]
                ),
            )
            for x, y in points or [(values.shape[1] // 2, values.shape[0] // 2)]
        ]
        grey = picture.colours if axis is None else picture.colours.mean(axis=axis)
        save_png(target, path, draw_weights(grey, maps), overwrite)
        each = "; ".join(f"{x},{y}: {_counted(m)}" for (y, x), m in maps)
        return Report(f"{shown(path)} -> {shown(target)}: {each}", {}, notes)

    return each_file([path], work)


def _counted(weights: Any) -> str:
    """How many are drawn, and how many are not, being negative."""
    largest = weights.max()
    text = "no weights above 0"
    if largest > 0:
        count = int((weights > largest / 100).sum())
        text = f"{count} weight{'s' * (count != 1)} above 1 % of the largest, {largest:.3g}"
    negative = int((weights < 0).sum())
    if negative:
        text += f", and {negative} negative, down to {weights.min():.3g}, which are not drawn"
    return text


def _classical(picture: "Picture", filters: dict[str, Any]) -> "Operation":
    """What `--method classic` runs on the picture."""
    options = FilterOptions(method="classic", noise="gaussian", **filters)
    (used,) = job_of(picture, options).settings
    if not used.h:
        raise ValueError("the picture holds no noise, so that nothing is averaged; give --sigma")
    return used.classic()


def _of_learned(loaded: "LoadedWeights", picture: "Picture") -> "tuple[Operation, Any]":
    """The operation, and the picture in the units that it is made for."""
    from nlmeans import Chain
    from nlmeans.denoising.blocks import check_fit

    height, width, *colours = picture.colours.shape
    check_fit(loaded.block, colours[0] if colours else 1, (height, width))
    block = loaded.block.blocks[0] if isinstance(loaded.block, Chain) else loaded.block
    factor = loaded.units(picture.colours).factor
    return block.operation, picture.colours if factor == 1 else picture.colours * factor
