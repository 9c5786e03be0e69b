"""Supports: S(i), the positions j that y_i is an average over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import prod
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nlmeans.base.arrays import as_array, real_array
from nlmeans.base.checks import (
    ParameterError,
    check_choice,
    check_number,
    check_size,
    check_whole,
    check_wholes,
    radii,
)
from nlmeans.base.texts import show_size
from nlmeans.operation.neighbour_lists import Lists, lists_of
from nlmeans.operation.pool import Pool

Border = Literal["inside", "mirror"]
BORDERS = ("inside", "mirror")
Position = tuple[int, ...]
Part = tuple[Any, ...]  # an index that takes a part of a grid out of an array (*grid, C)


class _Whole:
    """What supports of one part have in common."""

    def parts(self, grid: tuple[int, ...]) -> Iterator[Part]:
        """Parts that have nothing to do with each other, as indices into an array (*grid, C)."""
        yield (slice(None),) * len(grid)

    def sizes(self, grid: tuple[int, ...]) -> list[int]:
        """The number of positions of each part."""
        return [prod(grid)]

    def margin(self, grid: tuple[int, ...]) -> tuple[int, ...]:
        """How far outside the array positions can lie, per axis."""
        return (0,) * len(grid)


@dataclass(frozen=True)
class Everywhere(_Whole):
    """Every position of the array, or every block of positions.

    Parameters
    ----------
    keys : Pool, optional
        How keys are sub-sampled; every position is a key by default.

    Examples
    --------
    >>> Everywhere(Pool(2)).pairs((4, 5))
    80
    """

    keys: Pool | None = None

    def __post_init__(self) -> None:
        _check_pool(self.keys)

    def positions(self, i: Position, grid: tuple[int, ...]) -> Iterator[Position]:
        """The keys j in S(i), positions of the grid of keys."""
        return product(*map(range, grid if self.keys is None else self.keys.grid(grid)))

    def pairs(self, grid: tuple[int, ...]) -> int:
        """The number of pairs (i, j)."""
        return prod(grid) * prod(grid if self.keys is None else self.keys.grid(grid))

    def __str__(self) -> str:
        return "everywhere" + _keys(self.keys)


@dataclass(frozen=True, eq=False)
class Regions:
    """The positions of i's own region: softmax attention in tiles, groups of frames, segments.

    Parameters
    ----------
    tile : int, or one per axis, optional
        Sides of tiles from the first position on; those at the end may be smaller. 0 is the whole
        axis: (4, 0, 0) makes groups of four frames.
    labels : array of whole numbers, the shape of the positions, optional
        Positions of one label are a region, as one sequence in C order. Either tile or labels.
    keys : Pool, optional
        How the keys of each region are sub-sampled; with labels only flat pools are possible.

    Raises
    ------
    ParameterError
        If not just one of tile and labels is given, or it is not of the kind allowed.

    Examples
    --------
    >>> Regions(2).pairs((3, 4))
    40
    """

    tile: int | tuple[int, ...] | None
    labels: NDArray[np.integer[Any]] | None
    keys: Pool | None

    def __init__(
        self,
        tile: int | tuple[int, ...] | None = None,
        *,
        labels: ArrayLike | None = None,
        keys: Pool | None = None,
    ) -> None:
        if (tile is None) == (labels is None):
            raise ParameterError(
                "regions are given by tile sizes or by labels; give one of the two"
            )
        array = None
        if labels is not None:
            array = np.array(as_array("labels", labels))
            if array.dtype.kind not in "iub" or array.size == 0:
                raise ParameterError(
                    f"labels has dtype {array.dtype}, shape {array.shape}; whole numbers are needed"
                )
            array.flags.writeable = False
        if tile is not None:
            tile = check_wholes("tile", tile, low=0, otherwise=", 0 for the whole axis")
        _check_pool(keys)
        if array is not None and keys is not None and not keys.flat:
            raise ParameterError(
                "regions by labels are sequences; their keys need Pool(..., flat=True)"
            )
        object.__setattr__(self, "tile", tile)
        object.__setattr__(self, "labels", array)
        object.__setattr__(self, "keys", keys)

    def parts(self, grid: tuple[int, ...]) -> Iterator[Part]:
        if self.labels is not None:
            self._check_labels(grid)
            order = np.argsort(self.labels, axis=None, kind="stable")
            _, firsts = np.unique(self.labels.reshape(-1)[order], return_index=True)
            for members in np.split(order, firsts[1:]):
                yield np.unravel_index(members, grid)
            return
        tile = self._tile(grid)
        for corner in product(*(range(0, n, t) for n, t in zip(grid, tile, strict=True))):
            yield tuple(slice(k, min(k + t, n)) for k, t, n in zip(corner, tile, grid, strict=True))

    def _check_labels(self, grid: tuple[int, ...]) -> None:
        if self.labels is not None and self.labels.shape != grid:
            raise ValueError(
                f"labels has shape {self.labels.shape}; the array's positions are {grid}"
            )

    def _tile(self, grid: tuple[int, ...]) -> tuple[int, ...]:
        """Sides of tiles of a grid of this shape."""
        assert self.tile is not None
        tile = self.tile if isinstance(self.tile, tuple) else (self.tile,) * len(grid)
        if len(tile) != len(grid):
            raise ParameterError(
                f"tile {tile} has {len(tile)} numbers; there are {len(grid)} axes of positions"
            )
        return tuple(t or n for t, n in zip(tile, grid, strict=True))

    def margin(self, grid: tuple[int, ...]) -> tuple[int, ...]:
        return (0,) * len(grid)

    def positions(self, i: Position, grid: tuple[int, ...]) -> Iterator[Position]:
        """The keys in S(i), both within a region of this shape."""
        return Everywhere(self.keys).positions(i, grid)

    def sizes(self, grid: tuple[int, ...]) -> list[int]:
        """The number of positions of each part."""
        return [size for shape, count in self._shapes(grid) for size in [prod(shape)] * count]

    def pairs(self, grid: tuple[int, ...]) -> int:
        over = Everywhere(self.keys)
        return sum(count * over.pairs(shape) for shape, count in self._shapes(grid))

    def _shapes(self, grid: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], int]]:
        """The shapes of parts, and how many have each; of tiles there are few shapes."""
        self._check_labels(grid)
        if self.labels is not None:
            sizes = np.unique(np.unique(self.labels, return_counts=True)[1], return_counts=True)
            yield from (((int(size),), int(count)) for size, count in zip(*sizes, strict=True))
            return
        along = [
            [(side, count) for side, count in ((t, n // t), (n % t, 1)) if side and count]
            for n, t in zip(grid, self._tile(grid), strict=True)
        ]
        for each in product(*along):
            sides, counts = zip(*each, strict=True)
            yield sides, prod(counts)

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, Regions) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[Any, ...]:
        labels = self.labels
        shown = None if labels is None else (labels.shape, labels.astype(np.int64).tobytes())
        return self.tile, shown, self.keys

    def __str__(self) -> str:
        if self.labels is not None:
            return f"regions of equal labels{_keys(self.keys)}"
        return f"tiles of side {show_size(self.tile or 0)}{_keys(self.keys)}"


@dataclass(frozen=True)
class Window(_Whole):
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
            ranges.append(
                range(max(low, 0), min(end, n)) if self.border == "inside" else range(low, end)
            )
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
        border = "candidates inside only" if self.border == "inside" else "mirrored at the border"
        return f"a window of side {show_size(self.size)}, {border}"


@dataclass(frozen=True, eq=False)
class Neighbours(_Whole):
    """The nearest of unstructured positions, i itself among them.

    Parameters
    ----------
    positions : array (N, D)
        Where the N elements of the sequence lie, in any unit.
    k : int, optional
        So many nearest, i itself included.
    radius : float, optional
        All within this distance. Either k or radius.

    Raises
    ------
    ParameterError, ValueError
        If the positions are no (N, D) or hold NaN, k is not from 1 to N, or the radius is below 0.

    Examples
    --------
    >>> over = Neighbours([[0.0], [1.0], [5.0]], radius=2)
    >>> list(over.positions((0,), (3,)))
    [(0,), (1,)]
    """

    points: NDArray[np.float64]
    k: int | None
    radius: float | None

    def __init__(
        self, positions: ArrayLike, *, k: int | None = None, radius: float | None = None
    ) -> None:
        points = np.array(real_array("positions", positions), dtype=np.float64)
        if points.ndim != 2 or points.size == 0:
            raise ValueError(f"positions has shape {points.shape}; (N, D) is needed: a row a point")
        bad = np.flatnonzero(~np.isfinite(points).all(axis=1))
        if len(bad):
            raise ValueError(
                f"{len(bad)} positions hold NaN or infinity, the first in row {bad[0]}"
            )
        if (k is None) == (radius is None):
            raise ParameterError(
                "neighbours are the k nearest or those within a radius; give one of the two"
            )
        if k is not None:
            k = check_whole("k", k, high=len(points), otherwise=", the number of positions")
        if radius is not None:
            radius = check_number("radius", radius, low=0)
        points.flags.writeable = False
        object.__setattr__(self, "points", points)
        object.__setattr__(self, "k", k)
        object.__setattr__(self, "radius", radius)

    @cached_property
    def lists(self) -> Lists:
        """Everybody's neighbours."""
        return lists_of(self.points, self.k, self.radius, -1)

    def find(self, threads: int | None) -> None:
        """Have the lists ready, found by at most so many threads; None for all."""
        if "lists" not in self.__dict__:
            self.__dict__["lists"] = lists_of(self.points, self.k, self.radius, threads or -1)

    def positions(self, i: Position, grid: tuple[int, ...]) -> Iterator[Position]:
        self._check(grid)
        order, starts, numbers = self.lists
        (row,) = np.flatnonzero(order == i[0])
        return ((int(j),) for j in np.sort(order[numbers[starts[row] : starts[row + 1]]]))

    def pairs(self, grid: tuple[int, ...]) -> int:
        self._check(grid)
        return len(self.points) * self.k if self.k is not None else len(self.lists.numbers)

    def _check(self, grid: tuple[int, ...]) -> None:
        if grid != (len(self.points),):
            raise ValueError(
                f"the array has positions {grid}; the support has {len(self.points)} points"
            )

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, Neighbours) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[Any, ...]:
        return self.points.shape, self.points.tobytes(), self.k, self.radius

    def __str__(self) -> str:
        which = f"the {self.k} nearest" if self.k is not None else f"those within {self.radius:g}"
        return f"{which} of {len(self.points)} points"


Support = Everywhere | Regions | Window | Neighbours


def _check_pool(keys: object) -> None:
    if keys is not None and not isinstance(keys, Pool):
        raise TypeError(f"keys is {keys!r}; it has to be None or a Pool, such as nlmeans.Pool(2)")


def _keys(keys: Pool | None) -> str:
    return "" if keys is None else f", keys sub-sampled: {keys}"


def pool_of(over: Support) -> Pool | None:
    """How the support sub-samples keys."""
    return over.keys if isinstance(over, Everywhere | Regions) else None
