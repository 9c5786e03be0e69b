"""Options that select a part of a picture, and maps of it."""

from collections.abc import Callable
from typing import Any

from nlmeans.cli.options.types import FILE, Parsed, option, together
from nlmeans.cli.selection import Region


def _region(text: str) -> Region:
    numbers = [int(part) if part.strip().isdecimal() else -1 for part in text.split(",")]
    if len(numbers) != 4 or min(numbers) < 0 or 0 in numbers[2:]:
        raise ValueError(
            f"{text!r} is no region; give X,Y,W,H, whole numbers: pixels from the left and from "
            "the top, width and height, such as 120,80,200,150"
        )
    return Region(*numbers)


def preview_option(default: str) -> Callable[..., Any]:
    """--preview, and what is taken where it is not given."""

    @option("--preview", type=Parsed("X,Y,W,H", _region), shown=default)
    def preview() -> None:
        """Only this region of the result: X,Y,W,H in the file's pixels, from the left and from the
        top. Noise and settings are found on the whole picture, so that the region looks as it will
        in the whole."""

    return preview


@option("--mask", type=FILE, metavar="FILE", shown="everywhere")
def mask_option() -> None:
    """Filter where this picture of the same size is not 0. The rest stays as it is, and still
    serves as something to average with."""


@option("--keep-detail", is_flag=True, shown="--amount everywhere")
def detail_option() -> None:
    """Blend with the original, choosing the amount at each pixel to minimise the expected error;
    for white noise. Takes twice the time."""


def selection_options(command: Callable[..., Any]) -> Callable[..., Any]:
    return together(command, (mask_option, preview_option("the whole picture"), detail_option))


@option("--sigma-map", type=FILE, metavar="FILE", shown="one level")
def sigma_map_option() -> None:
    """Noise level of every pixel: a grey picture of the same size, whose values are in the input's
    grey levels. A float TIFF holds fractions. For --method classic."""


@option("--h-map", type=FILE, metavar="FILE", shown="one h")
def h_map_option() -> None:
    """Filter strength of every pixel, above 0: a picture as for --sigma-map."""


def map_options(command: Callable[..., Any]) -> Callable[..., Any]:
    return together(command, (sigma_map_option, h_map_option))
