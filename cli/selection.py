"""Which part of a picture is filtered, and pictures that belong to it: masks and maps."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from nlmeans.cli.files import shown
from nlmeans.cli.stacks import Pages, Part

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Region(NamedTuple):
    """Pixels from the left and from the top, and sizes."""

    x: int
    y: int
    width: int
    height: int

    def __str__(self) -> str:
        return ",".join(map(str, self))

    def within(self, pages: Pages) -> tuple[slice, slice]:
        """Its rows and columns of a picture."""
        from nlmeans.base.checks import ParameterError

        height, width = size_of(pages)
        if self.x + self.width > width or self.y + self.height > height:
            raise ParameterError(
                f"--preview {self} reaches outside: it is {self.width}x{self.height} pixels at "
                f"{self.x},{self.y}, the picture {width}x{height}"
            )
        rows = slice(self.y, self.y + self.height)
        return rows, slice(self.x, self.x + self.width)


def size_of(pages: Pages) -> tuple[int, int]:
    """Height and width of a picture."""
    first = len(pages.picture.stack)
    height, width = pages.picture.pixels.shape[first : first + 2]
    return height, width


def mask_for(path: Path, pages: Pages) -> "Callable[[Part], NDArray[Any]]":
    """The mask of each part of a picture: where any channel of the file is not 0."""
    from nlmeans.images import load

    picture = load(path)
    values = picture.colours != 0
    if picture.channel_axis is not None:
        values = values.any(axis=-1)
    parts = _for_parts(path, values, pages)
    if not values.any():
        raise ValueError(
            f"{shown(path)} is 0 everywhere: nothing is to be filtered; leave out --mask"
        )
    return parts


def map_for(path: Path, pages: Pages) -> "Callable[[Part], NDArray[Any]]":
    """The map of each part of a picture."""
    from nlmeans.images import load

    picture = load(path)
    if picture.channel_axis is not None:
        channels = picture.pixels.shape[-1]
        raise ValueError(f"{shown(path)} has {channels} channels; a map has one: save it in grey")
    return _for_parts(path, picture.pixels, pages)


def _for_parts(
    path: Path, values: "NDArray[Any]", pages: Pages
) -> "Callable[[Part], NDArray[Any]]":
    """A plane for each pixel, or one for all pages."""
    picture = pages.picture
    axes = len(picture.stack) + 2
    shape = picture.pixels.shape[:axes]
    if values.shape == shape:
        return lambda part: values[part]
    if pages.stack in (None, "pages") and values.shape == shape[-2:]:
        return lambda part: values
    raise ValueError(
        f"{shown(path)} has {_sized(values.shape)}, the picture {_sized(shape)}; they have to be "
        "of the same size"
    )


def _sized(shape: tuple[int, ...]) -> str:
    pages = "x".join(map(str, shape[:-2]))
    return f"{shape[-1]}x{shape[-2]} pixels" + (f" on {pages} pages" if pages else "")
