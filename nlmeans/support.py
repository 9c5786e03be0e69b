"""Supports: S(i), the positions j that y_i is an average over, and sub-sampled keys."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import prod
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nlmeans.arrays import as_array
from nlmeans.checks import ParameterError, check_choice, check_number, check_size, radii
from nlmeans.embed import Floats

Border = Literal["inside", "mirror"]
BORDERS = ("inside", "mirror")
AT_ONCE = 4096  # points whose neighbours are looked for together
Position = tuple[int, ...]
Part = tuple[Any, ...]  # an index that takes a part of a grid out of an array (*grid, C)


@dataclass(frozen=True)
class Pool:
    """Sub-sampled keys: one for every whole block of positions.

    Parameters
    ----------
    size : int, or one per axis
        The sides of a block. What does not fill a block at an axis' end is left out.
    kind : {"max", "mean", "stride"}
        Of a block the largest value, the mean, or the first position alone.
    order : {"before", "after"}
        "before": the array is pooled, then embedded by phi and g; "after": phi and g are pooled.
        For score "sum" the key's outer matrix is w, which meets the pooled phi.
    flat : bool
        The positions are pooled as one sequence, in C order: size is then one number.

    Raises
    ------
    ParameterError
        If a size is no whole number from 1, or a name is another.

    Examples
    --------
    >>> import numpy as np
    >>> Pool(2)(np.arange(10.0).reshape(2, 5, 1))[..., 0]
    array([[6., 8.]])
    """

    size: int | tuple[int, ...]
    kind: Literal["max", "mean", "stride"] = "max"
    order: Literal["before", "after"] = "before"
    flat: bool = False

    def __post_init__(self) -> None:
        sizes = self.size if isinstance(self.size, tuple) else (self.size,)
        if not all(_whole(n, 1) for n in sizes) or (self.flat and self.size is sizes):
            message = f"size of the pool is {self.size!r}; allowed are whole numbers from 1"
            message += ", one alone if flat" if self.flat else ", one or a tuple with one per axis"
            raise ParameterError(message)
        check_choice("kind", self.kind, ("max", "mean", "stride"))
        check_choice("order", self.order, ("before", "after"))

    def sides(self, grid: tuple[int, ...]) -> tuple[int, ...]:
        """Of a block, one per axis."""
        sides = self.size if isinstance(self.size, tuple) else (self.size,) * len(grid)
        if len(sides) != len(grid):
            message = (
                f"the pool's size {sides} has {len(sides)} numbers; there are {len(grid)} axes"
            )
            raise ParameterError(message)
        if any(n < side for n, side in zip(grid, sides, strict=True)):
            message = f"a pool of {sides} finds no whole block in {grid}; use a smaller size"
            raise ParameterError(message)
        return sides

    def grid(self, grid: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the keys of an array of this shape."""
        if self.flat:
            grid = (prod(grid),)
        return tuple(n // side for n, side in zip(grid, self.sides(grid), strict=True))

    def __call__(self, x: Floats) -> Floats:
        """The array (*grid, C) pooled."""
        if self.flat:
            x = x.reshape(-1, x.shape[-1])
        sides = self.sides(x.shape[:-1])
        if self.kind == "stride":
            whole = tuple(slice(0, n // s * s, s) for n, s in zip(x.shape, sides, strict=False))
            return x[whole]
        split = [(n // s, s) for n, s in zip(x.shape, sides, strict=False)]
        blocks = x[tuple(slice(0, n * s) for n, s in split)].reshape(
            *(k for pair in split for k in pair), x.shape[-1]
        )
        within = tuple(range(1, 2 * len(sides), 2))
        pooled: Floats = blocks.max(within) if self.kind == "max" else blocks.mean(within)
        return pooled

    def __str__(self) -> str:
        shown = "x".join(map(str, self.size)) if isinstance(self.size, tuple) else self.size
        flat = " of the flattened positions" if self.flat else ""
        return f"the {self.kind} of blocks of {shown}{flat}, {self.order} phi and g"


class Lists(NamedTuple):
    """Neighbours of unstructured positions, which are numbered anew: near ones have near numbers.

    Memory is then read nearly in order: with 100000 points in no order of their own, lists were
    found in a sixth of the time and worked off in a third.
    """

    order: NDArray[np.intp]  # number -> position
    starts: NDArray[np.intp]  # where the list of each number begins; one more for the end
    numbers: NDArray[np.int32]  # the lists, each ascending


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
            message = "regions are given by tile sizes or by labels; give one of the two"
            raise ParameterError(message)
        array = None
        if labels is not None:
            array = np.array(as_array("labels", labels))
            if array.dtype.kind not in "iub" or array.size == 0:
                message = (
                    f"labels has dtype {array.dtype}, shape {array.shape}; whole numbers are needed"
                )
                raise ParameterError(message)
            array.flags.writeable = False
        sizes = tile if isinstance(tile, tuple) else (0 if tile is None else tile,)
        if not all(_whole(n, 0) for n in sizes):
            message = f"tile is {tile!r}; allowed are whole numbers, 0 for the whole axis"
            raise ParameterError(message)
        _check_pool(keys)
        if array is not None and keys is not None and not keys.flat:
            message = "regions by labels are sequences; their keys need Pool(..., flat=True)"
            raise ParameterError(message)
        object.__setattr__(self, "tile", tile)
        object.__setattr__(self, "labels", array)
        object.__setattr__(self, "keys", keys)

    def parts(self, grid: tuple[int, ...]) -> Iterator[Part]:
        if self.labels is not None:
            if self.labels.shape != grid:
                message = f"labels has shape {self.labels.shape}; the array's positions are {grid}"
                raise ValueError(message)
            order = np.argsort(self.labels, axis=None, kind="stable")
            _, firsts = np.unique(self.labels.reshape(-1)[order], return_index=True)
            for members in np.split(order, firsts[1:]):
                yield np.unravel_index(members, grid)
            return
        tile = self.tile if isinstance(self.tile, tuple) else (self.tile,) * len(grid)
        if len(tile) != len(grid):
            message = (
                f"tile {tile} has {len(tile)} numbers; there are {len(grid)} axes of positions"
            )
            raise ParameterError(message)
        for corner in product(*(range(0, n, t or n) for n, t in zip(grid, tile, strict=True))):
            yield tuple(
                slice(k, min(k + (t or n), n)) for k, t, n in zip(corner, tile, grid, strict=True)
            )

    def margin(self, grid: tuple[int, ...]) -> tuple[int, ...]:
        return (0,) * len(grid)

    def positions(self, i: Position, grid: tuple[int, ...]) -> Iterator[Position]:
        """The keys in S(i), both within a region of this shape."""
        return Everywhere(self.keys).positions(i, grid)

    def sizes(self, grid: tuple[int, ...]) -> list[int]:
        """The number of positions of each part."""
        return [prod(shape) for shape in self._shapes(grid)]

    def pairs(self, grid: tuple[int, ...]) -> int:
        over = Everywhere(self.keys)
        return sum(over.pairs(shape) for shape in self._shapes(grid))

    def _shapes(self, grid: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        whole = np.broadcast_to(np.False_, grid)
        return (whole[part].shape for part in self.parts(grid))

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
        shown = "x".join(map(str, self.tile)) if isinstance(self.tile, tuple) else self.tile
        return f"tiles of side {shown}{_keys(self.keys)}"


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
        points = np.array(as_array("positions", positions), dtype=np.float64)
        if points.ndim != 2 or points.size == 0:
            message = f"positions has shape {points.shape}; (N, D) is needed: a row a point"
            raise ValueError(message)
        bad = np.flatnonzero(~np.isfinite(points).all(axis=1))
        if len(bad):
            message = f"{len(bad)} positions hold NaN or infinity, the first in row {bad[0]}"
            raise ValueError(message)
        if (k is None) == (radius is None):
            message = "neighbours are the k nearest or those within a radius; give one of the two"
            raise ParameterError(message)
        if k is not None and not (_whole(k, 1) and k <= len(points)):
            message = f"k is {k!r}; there are {len(points)} positions: allowed are 1 to that"
            raise ParameterError(message)
        if radius is not None:
            radius = check_number("radius", radius, low=0)
        points.flags.writeable = False
        object.__setattr__(self, "points", points)
        object.__setattr__(self, "k", k)
        object.__setattr__(self, "radius", radius)

    @cached_property
    def lists(self) -> "Lists":
        """Everybody's neighbours."""
        return self._found(-1)

    def find(self, threads: int | None) -> None:
        """Have the lists ready, found by at most so many threads; None for all."""
        if "lists" not in self.__dict__:
            self.__dict__["lists"] = self._found(threads or -1)

    def _found(self, workers: int) -> "Lists":
        from scipy.spatial import cKDTree

        tree = cKDTree(self.points)
        order = tree.indices.astype(np.intp)
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        found, lengths = [], []
        for first in range(0, len(order), AT_ONCE):  # what SciPy finds takes four times the memory
            members = order[first : first + AT_ONCE]
            if self.k is not None:
                ranks = [*range(1, self.k + 1)]
                nearest = tree.query(self.points[members], k=ranks, workers=workers)[1]
                lost = ~(nearest == members[:, None]).any(axis=1)  # among equal positions others
                nearest[lost, -1] = members[lost]  # can come first
                lengths.append(np.full(len(members), self.k))
                found.append(np.sort(rank[nearest].astype(np.int32), axis=1).reshape(-1))
            else:
                around = tree.query_ball_point(self.points[members], self.radius, workers=workers)
                for each in around:
                    lengths.append(np.array([len(each)]))
                    found.append(np.sort(rank[each].astype(np.int32)))
        starts = np.concatenate([[0], np.cumsum(np.concatenate(lengths))])
        return Lists(order, starts, np.concatenate(found))

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
            message = f"the array has positions {grid}; the support has {len(self.points)} points"
            raise ValueError(message)

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


def _whole(number: object, low: int) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and number >= low


def _check_pool(keys: object) -> None:
    if keys is not None and not isinstance(keys, Pool):
        message = f"keys is {keys!r}; it has to be None or a Pool, such as nlmeans.Pool(2)"
        raise TypeError(message)


def _keys(keys: Pool | None) -> str:
    return "" if keys is None else f", keys sub-sampled: {keys}"


def pool_of(over: Support) -> Pool | None:
    """How the support sub-samples keys."""
    return over.keys if isinstance(over, Everywhere | Regions) else None
