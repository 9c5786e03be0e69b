"""Parts of a picture: regions and masks, and how far around them a filter looks."""

import math
import operator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nlmeans.base.arrays import as_array
from nlmeans.base.checks import ParameterError
from nlmeans.denoising.ridge import Ridge
from nlmeans.operation.operation import Operation, halo, on_part

Box = tuple[slice, ...]  # a slice with start and stop for each axis of positions


def halo_of(filter_: Operation | Ridge, ndim: int) -> tuple[int, ...]:
    """How far from a position what it becomes depends on the array, along each axis."""
    if isinstance(filter_, Ridge):
        pilot = max(*halo_of(filter_.classic, ndim), filter_.first.halo)
        return (pilot + filter_.second.halo,) * ndim
    around = halo(filter_, ndim)
    assert around is not None  # the filter has a window
    return around


def alignment(filter_: Operation | Ridge) -> int:
    """Every how many positions a part may begin."""
    if isinstance(filter_, Ridge):
        return math.lcm(filter_.first.step, filter_.second.step)
    return 1


def widened(
    box: Box, halo: tuple[int, ...], grid: tuple[int, ...], filter_: Operation | Ridge
) -> Box:
    """The box and what the filter sees around it.

    Groups of patches have their references every so many pixels from the first on: a part has to
    begin where one is.
    """
    step = alignment(filter_)
    return tuple(
        slice(max(part.start - more, 0) // step * step, min(part.stop + more, n))
        for part, more, n in zip(box, halo, grid, strict=True)
    )


def on_one(filter_: Operation | Ridge, ndim: int) -> Operation | Ridge:
    """The same filter for an array of one position."""
    if isinstance(filter_, Ridge):
        return filter_
    return on_part(filter_, (slice(0, 1),) * ndim)


def within(box: Box, outer: Box) -> Box:
    """Where a box is in one that holds it."""
    return tuple(
        slice(part.start - whole.start, part.stop - whole.start)
        for part, whole in zip(box, outer, strict=True)
    )


def whole_of(grid: tuple[int, ...]) -> Box:
    return tuple(slice(0, n) for n in grid)


def region_of(region: object, grid: tuple[int, ...]) -> Box:
    """A region as given: slices of the axes of positions, or of the last two.

    Raises
    ------
    TypeError, ValueError
        If it is no tuple of slices, or empty, or reaches outside of the array.
    """
    if region is None:
        return whole_of(grid)
    parts = region if isinstance(region, tuple) else (region,)
    if not all(isinstance(part, slice) and part.step in (None, 1) for part in parts):
        message = f"region is {region!r}; give a tuple of slices, such as np.s_[40:90, 100:200]"
        raise TypeError(message)
    if len(parts) not in (2, len(grid)):
        axes = "2" if len(grid) == 2 else f"2 or {len(grid)}"
        message = f"region has {len(parts)} slices; the image's positions are {grid}: give {axes}"
        raise ParameterError(message)
    parts = (slice(None),) * (len(grid) - len(parts)) + parts
    box = tuple(_filled(part, n) for part, n in zip(parts, grid, strict=True))
    if not all(0 <= part.start < part.stop <= n for part, n in zip(box, grid, strict=True)):
        shown = ", ".join(f"{part.start}:{part.stop}" for part in box)
        message = (
            f"region {shown} is empty or reaches outside of the image's positions, "
            f"{' x '.join(map(str, grid))}; give slices inside, counted from 0"
        )
        raise ParameterError(message)
    return box


def _filled(part: slice, n: int) -> slice:
    start = 0 if part.start is None else operator.index(part.start)
    return slice(start, n if part.stop is None else operator.index(part.stop))


def mask_of(mask: ArrayLike, grid: tuple[int, ...]) -> NDArray[np.bool_]:
    """A mask as given, checked.

    Raises
    ------
    TypeError, ValueError
        If it is not of bool, of another shape, or False everywhere.
    """
    array = as_array("mask", mask)
    if array.dtype != np.bool_:
        message = f"mask has dtype {array.dtype}; it has to be bool, such as picture > 0"
        raise TypeError(message)
    if array.shape != grid:
        message = (
            f"mask has shape {array.shape} and the image's positions {grid}; they have to be the "
            "same"
        )
        raise ValueError(message)
    if not array.any():
        message = "mask is False everywhere: nothing is to be filtered; leave the image, or mask"
        raise ValueError(message)
    return array


def box_of(mask: NDArray[Any], region: Box) -> Box | None:
    """The smallest box in the region that holds all of the mask there."""
    inside = mask[region]
    if not inside.any():
        return None
    box = []
    for axis, part in enumerate(region):
        others = tuple(k for k in range(inside.ndim) if k != axis)
        places = np.flatnonzero(inside.any(axis=others))
        box.append(slice(part.start + int(places[0]), part.start + int(places[-1]) + 1))
    return tuple(box)
