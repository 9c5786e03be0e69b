"""Options that select a part of a picture, and maps of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from nlmeans.cli.options.types import together
from nlmeans.cli.selection import Region


class RegionType(click.ParamType[Region]):
    """X,Y,W,H."""

    name = "region"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return "X,Y,W,H"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Region:
        if isinstance(value, Region):
            return value
        numbers = [int(p) if p.strip().isdecimal() else -1 for p in value.split(",")]
        if len(numbers) != 4 or min(numbers) < 0 or 0 in numbers[2:]:
            self.fail(
                f"{value!r} is no region; give X,Y,W,H, whole numbers: pixels from the left "
                "and from the top, width and height, such as 120,80,200,150",
                param,
                ctx,
            )
        return Region(*numbers)


def preview_option(default: str) -> Callable[..., Any]:
    """--preview, and what is taken where it is not given."""
    return click.option(
        "--preview",
        type=RegionType(),
        default=None,
        show_default=default,
        help="Only this region of the result: X,Y,W,H in the file's pixels, from the left and from "
        "the top. Noise and settings are found on the whole picture, so that it looks as the whole "
        "will.",
    )


def selection_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--mask, --preview and --keep-detail."""
    return together(
        command,
        (
            click.option(
                "--mask",
                type=click.Path(path_type=Path),
                default=None,
                metavar="FILE",
                show_default="everywhere",
                help="Filter where this picture of the same size is not 0; all else stays as it "
                "is, and still serves as something to average with.",
            ),
            preview_option("the whole picture"),
            click.option(
                "--keep-detail",
                is_flag=True,
                default=False,
                show_default="--amount everywhere",
                help="Blend with the original place by place, as the least error is expected; for "
                "white noise. Takes twice the time.",
            ),
        ),
    )


def map_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--sigma-map and --h-map."""
    return together(
        command,
        (
            click.option(
                "--sigma-map",
                type=click.Path(path_type=Path),
                default=None,
                metavar="FILE",
                show_default="one level",
                help="Noise level of every pixel: a grey picture of the same size, whose values "
                "are in the input's grey levels. A float TIFF holds fractions. For --method "
                "classic.",
            ),
            click.option(
                "--h-map",
                type=click.Path(path_type=Path),
                default=None,
                metavar="FILE",
                show_default="one h",
                help="Filter strength of every pixel, above 0, likewise.",
            ),
        ),
    )
