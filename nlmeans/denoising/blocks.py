"""Learned blocks as filters of images of any dtype: their channels are the block's features."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nlmeans.base.arrays import grid_shape, whole_range
from nlmeans.base.axes import Layout
from nlmeans.denoising.request import Request
from nlmeans.denoising.task import Task, task_for
from nlmeans.operation.block import Block, Chain
from nlmeans.operation.embed import Embedding, Linear, Patches

Array = NDArray[Any]
UNIT_SPREAD, FAR_ABOVE_1 = 2.0, 20.0  # 0 to 1 with noise, and what is meant for other values


@dataclass(frozen=True)
class Units:
    """What an image is multiplied by for a block, and its result divided by."""

    factor: float
    floats_held: ClassVar[int] = 3  # the image, the result and the blend

    def stabilise(self, values: Array, axis: int | None) -> Array:
        """The image in the block's units."""
        return values if self.factor == 1 else values * values.dtype.type(self.factor)

    def restore(self, stabilised: Array, axis: int | None, of: Array | None = None) -> Array:
        """The result in the image's."""
        return stabilised if self.factor == 1 else stabilised / stabilised.dtype.type(self.factor)


def units_of(image: Array, input_range: float, *, given: bool) -> Units:
    """Units of a block that is made for values of this range, white minus black.

    Integers are scaled from the range of their dtype. Floats are scaled from 0 to 1 where the range
    was given by the user, else they are taken to be in the block's units.

    Raises ValueError for floats that cannot be in the units that they are taken to be in.
    """
    if image.dtype.kind != "f":
        return Units(input_range / whole_range(image.dtype))
    low, high = float(image.min()), float(image.max())
    unit = high - low <= UNIT_SPREAD
    if given and not unit and input_range != 1:
        raise ValueError(
            f"the image's floats go from {low:.3g} to {high:.3g}; with an input_range, they are "
            "taken to go from 0 to 1: leave input_range out where they are in the weights' units"
        )
    if not given and unit and low < high and input_range >= FAR_ABOVE_1:
        raise ValueError(
            f"the image's floats go from {low:.3g} to {high:.3g} and the weights are for a range "
            f"of {input_range:g}; set input_range to {input_range:g} to have 0 to 1 scaled to it"
        )
    return Units(input_range if given else 1.0)


def block_task(
    block: Block | Chain, units: Units, image: Array, request: Request, layout: Layout
) -> Task:
    """The task of a block on one image, volume or clip; what does not fit is refused."""
    axis = layout.channel_axis
    grid = grid_shape(image.shape, axis)
    channels = 1 if axis is None else image.shape[axis] - layout.alpha
    check_fit(block, channels, grid)
    made = block.outputs(channels, len(grid))
    if made != channels:
        raise ValueError(
            f"the weights make {made} channels of the image's {channels}; an image with as many is "
            "needed: run them on an array in Python"
        )
    return replace(task_for(block, image.shape, request, layout), space=units)


def check_fit(block: Block | Chain, channels: int, grid: tuple[int, ...]) -> None:
    """Say what does not fit before any work, with both numbers."""
    wanted = channels_of(block, len(grid))
    if wanted is not None and wanted != channels:
        raise ValueError(
            f"the image has {channels} channel{'s' if channels > 1 else ''} and the weights take "
            f"{wanted}; they are for features of a network or for another kind of image"
        )
    for embedding in _embeddings(block):
        sides = [2 * r + 1 for r in embedding.radius(len(grid))]
        if any(side > n for side, n in zip(sides, grid, strict=True)):
            patch, image = ("x".join(map(str, each)) for each in (sides, grid))
            raise ValueError(
                f"the weights look at patches of {patch} and the image has {image} pixels"
            )


def channels_of(block: Block | Chain, ndim: int) -> int | None:
    """How many channels an array of so many other axes needs; None for any."""
    for embedding in _embeddings(block):
        inner = embedding
        while isinstance(inner, Linear) and isinstance(inner.of, Linear):
            inner = inner.of
        if isinstance(inner, Linear):
            numbers = int(inner.weight.shape[1])
            if isinstance(inner.of, Patches):
                numbers //= int(np.prod([2 * r + 1 for r in inner.of.radius(ndim)]))
            return numbers
    return None


def _embeddings(block: Block | Chain) -> list[Embedding]:
    """What looks at the image: of a chain those of the first block."""
    first = block.blocks[0] if isinstance(block, Chain) else block
    f = first.operation.f
    given = (f.query, f.key, f.key_bias, first.operation.g)
    return [embedding for embedding in given if embedding is not None]
