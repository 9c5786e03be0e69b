"""Supports: S(i), the positions j that y_i is an average over."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Literal

from nlmeans.checks import check_choice, check_size, radii

Border = Literal["inside", "mirror"]
BORDERS = ("inside", "mirror")
Position = tuple[int, ...]


@dataclass(frozen=True)
class Everywhere:
    """Every position of the array."""

    def positions(self, i: Position, grid: tuple[int, ...]) -> Iterator[Position]:
        return product(*map(range, grid))

    def margin(self, grid: tuple[int, ...]) -> tuple[int, ...]:
        """How far outside the array positions can lie, per axis."""
        return (0,) * len(grid)

    def pairs(self, grid: tuple[int, ...]) -> int:
        """The number of pairs (i, j)."""
        return prod(grid) ** 2

    def __str__(self) -> str:
        return "everywhere"


@dataclass(frozen=True)
class Window:
    """A search window centred on i.

    Parameters
    ----------
    size : odd int, or one per axis
        Full side in pixels.
    border : {"inside", "mirror"}
        At the border: only candidates inside the array, each once; or the whole window, with the
        array mirrored about its edge pixels.

    Raises
    ------
    ParameterError
        If a side is even or not from 1 to 9999, or the border is another name.

    Examples
    --------
    >>> list(Window(3).positions((0,), (9,)))
    [(0,), (1,)]
    """

    size: int | tuple[int, ...]
    border: Border = "inside"

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", check_size("search_size", self.size))
        check_choice("border", self.border, BORDERS)

    def radius(self, ndim: int) -> tuple[int, ...]:
        return radii("search_size", self.size, ndim)

    def reach(self, grid: tuple[int, ...]) -> tuple[int, ...]:
        """The radius, less the shifts that meet no candidate in an array of this shape."""
        radius = self.radius(len(grid))
        if self.border == "mirror":
            return radius
        return tuple(min(r, n - 1) for r, n in zip(radius, grid, strict=True))

    def positions(self, i: Position, grid: tuple[int, ...]) -> Iterator[Position]:
        ranges = []
        for k, n, r in zip(i, grid, self.radius(len(grid)), strict=True):
            low, end = k - r, k + r + 1
            ranges.append(range(max(low, 0), min(end, n)) if self.border == "inside"
                          else range(low, end))  # fmt: skip
        return product(*ranges)

    def margin(self, grid: tuple[int, ...]) -> tuple[int, ...]:
        radius = self.radius(len(grid))
        return radius if self.border == "mirror" else (0,) * len(grid)

    def pairs(self, grid: tuple[int, ...]) -> int:
        outside = 0 if self.border == "mirror" else 1
        return prod(
            n * (2 * r + 1) - outside * r * (r + 1)
            for n, r in zip(grid, self.reach(grid), strict=True)
        )

    def __str__(self) -> str:
        shown = "x".join(map(str, self.size)) if isinstance(self.size, tuple) else self.size
        border = "candidates inside only" if self.border == "inside" else "mirrored at the border"
        return f"a window of side {shown}, {border}"


Support = Everywhere | Window
