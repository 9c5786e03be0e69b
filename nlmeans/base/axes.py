"""What the axes of a user's array mean: channels, alpha, and the first axis of a stack."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nlmeans.base.arrays import checked_axis, grid_shape
from nlmeans.base.checks import check_choice

Array = NDArray[Any]
Auto = Literal["auto"]
Stack = Literal["volume", "clip", "pages"]
STACKS = ("volume", "clip", "pages")


@dataclass(frozen=True)
class Layout:
    """How an array is to be read."""

    channel_axis: int | None  # from 0
    alpha: bool  # whether the last channel is alpha
    # what the first of three axes besides channels is; None for an image or a signal
    stack: Stack | None

    def colours(self, array: Array) -> Array:
        """The array without its alpha channel."""
        return self._channels(array, slice(None, -1)) if self.alpha else array

    def put_colours(self, original: Array, colours: Array) -> Array:
        """These colours, with the alpha channel of the original."""
        if not self.alpha:
            return colours
        kept = self._channels(original, slice(-1, None))
        assert self.channel_axis is not None
        return np.concatenate([colours, kept], axis=self.channel_axis)

    def index(self, box: tuple[slice, ...]) -> tuple[slice, ...]:
        """A box of positions as an index into the array, with all its channels."""
        if self.channel_axis is None:
            return box
        return (*box[: self.channel_axis], slice(None), *box[self.channel_axis :])

    def spread(self, positions: Array) -> Array:
        """An array of positions, to be broadcast over the channels."""
        axis = self.channel_axis
        return positions if axis is None else np.expand_dims(positions, axis)

    def pages(self, array: Array) -> Iterator[Array]:
        """Views of the images along the stack axis."""
        return iter(np.moveaxis(array, stack_axis(self.channel_axis), 0))

    def of_page(self) -> "Layout":
        """The layout of one of `pages`."""
        axis = self.channel_axis
        return replace(self, channel_axis=axis and axis - 1, stack=None)

    def _channels(self, array: Array, which: slice) -> Array:
        assert self.channel_axis is not None
        index: list[slice] = [slice(None)] * array.ndim
        index[self.channel_axis] = which
        return array[tuple(index)]


def stack_axis(channel_axis: int | None) -> int:
    """The first axis that does not hold channels."""
    return 1 if channel_axis == 0 else 0


def layout_of(
    shape: tuple[int, ...], channel_axis: int | Auto | None, alpha: bool | Auto, stack: Stack | Auto
) -> Layout:
    """What an array of this shape is; see `nlmeans.denoise`.

    Raises TypeError, ValueError if the shape does not allow what is asked for, or does not tell
    what it is.
    """
    check_choice("stack", stack, ("auto", *STACKS))
    axis = _channel_axis(shape, channel_axis, stack)
    grid = grid_shape(shape, axis)
    if stack == "auto" and len(grid) == 3:
        raise ValueError(
            f"image has shape {shape}, a stack of {grid[0]}; say what it is: stack='volume' or "
            "'clip', whose images are compared with each other, or 'pages', each for itself"
        )
    if len(grid) not in ((1, 2) if stack == "auto" else (3,)):
        raise ValueError(
            f"image has shape {shape}, {len(grid)} axes besides channels; denoise takes 1 or 2, or "
            f"3 with stack, here {stack!r}; name the channel axis with channel_axis"
        )
    channels = 1 if axis is None else shape[axis]
    if alpha == "auto":
        alpha = axis == len(shape) - 1 and channels in (2, 4)
    if alpha and (axis is None or channels < 2):
        raise ValueError(f"alpha is True, but image has shape {shape}; an alpha channel needs two")
    return Layout(axis, bool(alpha), None if stack == "auto" else stack)


def _channel_axis(
    shape: tuple[int, ...], channel_axis: int | Auto | None, stack: Stack | Auto
) -> int | None:
    """As given; "auto": the last, where there is one more than an image or a stack needs."""
    if channel_axis != "auto":
        return checked_axis("image", len(shape), channel_axis)
    if len(shape) not in ((3, 4) if stack == "auto" else (4,)):
        return None
    if shape[-1] <= 4:
        return len(shape) - 1
    raise ValueError(
        f"image has shape {shape}; of {len(shape)} axes the last is taken as channels only up to "
        "4; name it with channel_axis"
        + (", or give stack='volume', 'clip' or 'pages' if it has none" if stack == "auto" else "")
    )
