"""Parts of a picture: regions and masks, and how far around them a filter looks."""

import operator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nlmeans.base.arrays import as_array
from nlmeans.base.checks import ParameterError
from nlmeans.operation.filter import Box


def widened(box: Box, halo: tuple[int, ...] | None, grid: tuple[int, ...], step: int) -> Box:
    """The box and what a filter sees around it; all of the grid where it looks everywhere.

    A part begins at a multiple of the step.
    """
    if halo is None:
        return whole_of(grid)
    return tuple(
        slice(max(part.start - more, 0) // step * step, min(part.stop + more, n))
        for part, more, n in zip(box, halo, grid, strict=True)
    )


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

    Raises TypeError, ValueError if it is no tuple of slices, or empty, or reaches outside of the
    array.
    """
    if region is None:
        return whole_of(grid)
    parts = region if isinstance(region, tuple) else (region,)
    if not all(isinstance(part, slice) and part.step in (None, 1) for part in parts):
        raise TypeError(
            f"region is {region!r}; give a tuple of slices, such as np.s_[40:90, 100:200]"
        )
    if len(parts) not in (2, len(grid)):
        axes = "2" if len(grid) == 2 else f"2 or {len(grid)}"
        raise ParameterError(
            f"region has {len(parts)} slices; the image's positions are {grid}: give {axes}"
        )
    parts = (slice(None),) * (len(grid) - len(parts)) + parts
    box = tuple(_filled(part, n) for part, n in zip(parts, grid, strict=True))
    if not all(0 <= part.start < part.stop <= n for part, n in zip(box, grid, strict=True)):
        shown = ", ".join(f"{part.start}:{part.stop}" for part in box)
        raise ParameterError(
            f"region {shown} is empty or reaches outside of the image's positions, "
            f"{' x '.join(map(str, grid))}; give slices inside, counted from 0"
        )
    return box


def _filled(part: slice, n: int) -> slice:
    start = 0 if part.start is None else operator.index(part.start)
    return slice(start, n if part.stop is None else operator.index(part.stop))


def mask_of(mask: ArrayLike, grid: tuple[int, ...]) -> NDArray[np.bool_]:
    """A mask as given, checked.

    Raises TypeError, ValueError if it is not of bool, or of another shape.
    """
    array = as_array("mask", mask)
    if array.dtype != np.bool_:
        raise TypeError(f"mask has dtype {array.dtype}; it has to be bool, such as picture > 0")
    if array.shape != grid:
        raise ValueError(
            f"mask has shape {array.shape} and the image's positions {grid}; they have to be the "
            "same"
        )
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
