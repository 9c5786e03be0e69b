"""Loaded weights on an image of any dtype: its channels are the block's features."""

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nlmeans.base.arrays import (
    as_array,
    blended,
    checked_array,
    grid_shape,
    to_dtype,
    whole_range,
    working_dtype,
)
from nlmeans.base.axes import Auto, Layout, Stack, layout_of, stack_axis
from nlmeans.base.checks import check_number, check_threads
from nlmeans.base.cost import Cost, check_limit, in_parts
from nlmeans.base.progress import part_of
from nlmeans.operation.block import Block, Chain
from nlmeans.operation.embed import Embedding, Linear, Patches
from nlmeans.operation.operation import halo
from nlmeans.weights.loaded import LoadedWeights

Array = NDArray[Any]
COPIES = 3  # arrays of floats that are held beside those of the block
UNIT_SPREAD, FAR_ABOVE_1 = 2.0, 20.0  # 0 to 1 with noise, and what is meant for other values


def denoise_with(
    weights: LoadedWeights,
    image: ArrayLike,
    *,
    amount: float = 1.0,
    channel_axis: int | Auto | None = "auto",
    alpha: bool | Auto = "auto",
    stack: Stack | Auto = "auto",
    threads: int | None = None,
    max_memory: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> Array:
    """Run loaded weights over an image, volume or clip, with its channels as the features.

    Integers are scaled so that the dtype's range is the `input_range` of the weights, and back.
    Floats are too, from 0 to 1, if `input_range` was given to `load_weights`; else they are taken
    to be in the weights' units already.

    Parameters
    ----------
    weights : LoadedWeights
    image, amount, channel_axis, alpha, stack, threads, progress
        As in `nlmeans.denoise`.
    max_memory : int, optional
        Bytes that may be taken above the image, as `expected_cost_with` counts them. A block over a
        window filters what takes more in parts along the first axis, with the same result to
        rounding; others need all of it, and are refused.

    Returns
    -------
    array of the image's dtype and shape

    Raises
    ------
    TypeError, ValueError
        In one line, as `nlmeans.denoise`; or if the weights are for another number of channels,
        for patches larger than the image, or for another range than its floats have.
    MemoryError
        If max_memory cannot be kept, before anything is run.

    Examples
    --------
    >>> import numpy as np, nlmeans, tempfile
    >>> block = nlmeans.Block(nlmeans.nl_means(sigma=0.1, h=0.1, patch_size=3, search_size=5),
    ...                       residual=False)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     nlmeans.save_weights(f"{folder}/a.safetensors", block)
    ...     weights = nlmeans.load_weights(f"{folder}/a.safetensors")
    >>> noisy = np.random.default_rng(0).normal(100, 25.5, (16, 16)).astype(np.uint8)
    >>> denoise_with(weights, noisy).dtype
    dtype('uint8')
    """
    amount = check_number("amount", amount, low=0, high=1)
    check_threads(threads)
    check_limit(max_memory)
    original = checked_array("image", image)
    layout = layout_of(original.shape, channel_axis, alpha, stack)
    units = units_of(weights, original)
    pages = [original] if layout.stack != "pages" else list(layout.pages(original))
    within = layout if layout.stack != "pages" else layout.of_page()
    results = [
        _run(
            weights,
            page,
            within,
            units,
            amount,
            threads,
            max_memory,
            part_of(progress, k, len(pages)),
        )
        for k, page in enumerate(pages)
    ]
    if layout.stack != "pages":
        return results[0]
    result = np.empty(original.shape, original.dtype)
    for target, done in zip(layout.pages(result), results, strict=True):
        target[...] = done
    return result


def expected_cost_with(
    weights: LoadedWeights,
    image: ArrayLike,
    *,
    channel_axis: int | Auto | None = "auto",
    alpha: bool | Auto = "auto",
    stack: Stack | Auto = "auto",
    threads: int | None = None,
) -> Cost:
    """About how long `denoise_with` takes, and the memory above the image; of pages ask for each.

    Examples
    --------
    >>> import numpy as np, nlmeans, tempfile
    >>> block = nlmeans.Block(nlmeans.nl_means(sigma=0.1, h=0.1, patch_size=3, search_size=5))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     nlmeans.save_weights(f"{folder}/a.safetensors", block)
    ...     weights = nlmeans.load_weights(f"{folder}/a.safetensors")
    >>> expected_cost_with(weights, np.zeros((500, 400), np.uint8)).bytes > 10 * 500 * 400
    True
    """
    array = as_array("image", image)
    layout = layout_of(array.shape, channel_axis, alpha, stack)
    return _cost(weights, array.shape, array.dtype, layout, threads)


def _cost(
    weights: LoadedWeights,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    layout: Layout,
    threads: int | None,
) -> Cost:
    axis = layout.channel_axis
    colours = tuple(n - (layout.alpha and k == axis) for k, n in enumerate(shape))
    cost = weights.block.cost(colours, channel_axis=axis, dtype=dtype, threads=threads)
    floats = COPIES * prod(colours) * working_dtype(dtype).itemsize
    return Cost(cost.seconds, cost.bytes + floats + prod(shape) * dtype.itemsize)


def _run(
    weights: LoadedWeights,
    image: Array,
    layout: Layout,
    units: float,
    amount: float,
    threads: int | None,
    max_memory: int | None,
    progress: Callable[[float], None] | None,
) -> Array:
    """The block on an image, or on as many of its rows at a time as the memory allows."""
    grid = grid_shape(image.shape, layout.channel_axis)
    axis = layout.channel_axis
    check_fit(weights, 1 if axis is None else image.shape[axis] - layout.alpha, grid)
    if max_memory is None:
        return _of_part(weights, image, layout, units, amount, threads, progress)
    along = stack_axis(axis)

    def run(rows: slice, progress: Callable[[float], None] | None) -> Array:
        part = np.moveaxis(np.moveaxis(image, along, 0)[rows], 0, along)
        return _of_part(weights, part, layout, units, amount, threads, progress)

    def peak(count: int) -> int:
        shape = (*image.shape[:along], count, *image.shape[along + 1 :])
        return _cost(weights, shape, image.dtype, layout, threads).bytes

    return in_parts(
        run,
        image.shape[along],
        along,
        _reach(weights.block, len(grid)),
        peak,
        image.nbytes,
        max_memory,
        progress,
    )


def _reach(block: Block | Chain, ndim: int) -> int | None:
    """How far along the first axis a result looks; None if everywhere."""
    total = 0
    for each in block.blocks if isinstance(block, Chain) else (block,):
        around = halo(each.operation, ndim)
        if around is None:
            return None
        total += around[0] + (0 if each.out is None else each.out.radius(ndim)[0])
    return total


def _of_part(
    weights: LoadedWeights,
    image: Array,
    layout: Layout,
    units: float,
    amount: float,
    threads: int | None,
    progress: Callable[[float], None] | None,
) -> Array:
    colours = layout.colours(image)
    axis = layout.channel_axis
    values = colours.astype(working_dtype(colours.dtype), copy=False)
    scaled = values if units == 1 else values * values.dtype.type(units)
    result = weights(scaled, channel_axis=axis, threads=threads, progress=progress)
    if result.shape != colours.shape:
        message = (
            f"the weights make shape {result.shape} of an image of {colours.shape}; an image of "
            "the same shape is needed: run them on an array in Python"
        )
        raise ValueError(message)
    if units != 1:
        result = result / result.dtype.type(units)
    return layout.put_colours(image, to_dtype(blended(values, result, amount), image.dtype))


def units_of(weights: LoadedWeights, image: Array) -> float:
    """What an image is multiplied by for the weights.

    Raises
    ------
    ValueError
        For floats that cannot be in the units that they are taken to be in.
    """
    if image.dtype.kind != "f":
        return weights.input_range / whole_range(image.dtype)
    given = any(each.name == "input_range" and each.source == "option" for each in weights.choices)
    low, high = float(image.min()), float(image.max())
    unit = high - low <= UNIT_SPREAD
    if given and not unit and weights.input_range != 1:
        message = (
            f"the image's floats go from {low:.3g} to {high:.3g}; with an input_range, they are "
            "taken to go from 0 to 1: leave input_range out where they are in the weights' units"
        )
        raise ValueError(message)
    if not given and unit and low < high and weights.input_range >= FAR_ABOVE_1:
        wanted = f"{weights.input_range:g}"
        message = (
            f"the image's floats go from {low:.3g} to {high:.3g} and the weights are for a range "
            f"of {wanted}; set input_range to {wanted} to have 0 to 1 scaled to it"
        )
        raise ValueError(message)
    return weights.input_range if given else 1.0


def check_fit(weights: LoadedWeights, channels: int, grid: tuple[int, ...]) -> None:
    """Say what does not fit before any work, with both numbers."""
    wanted = channels_of(weights.block, len(grid))
    if wanted is not None and wanted != channels:
        message = (
            f"the image has {channels} channel{'s' if channels > 1 else ''} and the weights take "
            f"{wanted}; they are for features of a network or for another kind of image"
        )
        raise ValueError(message)
    for embedding in _embeddings(weights.block):
        sides = [2 * r + 1 for r in embedding.radius(len(grid))]
        if any(side > n for side, n in zip(sides, grid, strict=True)):
            patch, image = ("x".join(map(str, each)) for each in (sides, grid))
            message = f"the weights look at patches of {patch} and the image has {image} pixels"
            raise ValueError(message)


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
