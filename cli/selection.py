"""Which part of a picture is filtered, and pictures that belong to it: masks and maps."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
from nlmeans.cli.files import shown
from nlmeans.cli.options import together
from nlmeans.cli.stacks import Part, Taken

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nlmeans.denoising.regions import Box


class Region(NamedTuple):
    """Pixels from the left and from the top, and sizes."""

    x: int
    y: int
    width: int
    height: int

    def __str__(self) -> str:
        return ",".join(map(str, self))

    def on(self, taken: Taken) -> "Box":
        """The region of a part of the picture, of every plane that it has."""
        from nlmeans.base.checks import ParameterError

        height, width = size_of(taken)
        if self.x + self.width > width or self.y + self.height > height:
            message = (
                f"--preview {self} reaches outside: it is {self.width}x{self.height} pixels at "
                f"{self.x},{self.y}, the picture {width}x{height}"
            )
            raise ParameterError(message)
        depth = taken.picture.pixels[taken.parts[0]].ndim - 2
        depth -= taken.picture.channel_axis is not None
        planes = tuple(slice(0, n) for n in taken.picture.pixels[taken.parts[0]].shape[:depth])
        rows = slice(self.y, self.y + self.height)
        return (*planes, rows, slice(self.x, self.x + self.width))


def size_of(taken: Taken) -> tuple[int, int]:
    """Height and width of a picture."""
    first = len(taken.picture.stack)
    height, width = taken.picture.pixels.shape[first : first + 2]
    return height, width


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


def mask_for(path: Path, taken: Taken) -> "Callable[[Part], NDArray[Any]]":
    """The mask of each part of a picture: where any channel of the file is not 0."""
    from nlmeans.images import load

    picture = load(path)
    values = picture.colours != 0
    if picture.channel_axis is not None:
        values = values.any(axis=-1)
    parts = _for_parts(path, values, taken)
    if not values.any():
        message = f"{shown(path)} is 0 everywhere: nothing is to be filtered; leave out --mask"
        raise ValueError(message)
    return parts


def map_for(path: Path, taken: Taken) -> "Callable[[Part], NDArray[Any]]":
    """The map of each part of a picture."""
    from nlmeans.images import load

    picture = load(path)
    if picture.channel_axis is not None:
        channels = picture.pixels.shape[-1]
        message = f"{shown(path)} has {channels} channels; a map has one: save it in grey"
        raise ValueError(message)
    return _for_parts(path, picture.pixels, taken)


def _for_parts(
    path: Path, values: "NDArray[Any]", taken: Taken
) -> "Callable[[Part], NDArray[Any]]":
    """A plane for each pixel, or one for all pages."""
    picture = taken.picture
    axes = len(picture.stack) + 2
    shape = picture.pixels.shape[:axes]
    if values.shape == shape:
        return lambda part: values[part]
    if taken.stack in (None, "pages") and values.shape == shape[-2:]:
        return lambda part: values
    message = (
        f"{shown(path)} has {_sized(values.shape)}, the picture {_sized(shape)}; they have to be "
        "of the same size"
    )
    raise ValueError(message)


def _sized(shape: tuple[int, ...]) -> str:
    pages = "x".join(map(str, shape[:-2]))
    return f"{shape[-1]}x{shape[-2]} pixels" + (f" on {pages} pages" if pages else "")
