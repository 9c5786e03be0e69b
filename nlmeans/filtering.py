"""Run a filter on an image, or on the part of it that is wanted, in the image's own dtype."""

from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nlmeans.arrays import blended, grid_shape, to_dtype, working_dtype
from nlmeans.detail import detail_halo, keep_detail, signs
from nlmeans.layout import Layout
from nlmeans.operation import Operation
from nlmeans.progress import Progress, between
from nlmeans.regions import Box, box_of, halo_of, on_part, whole_of, widened, within
from nlmeans.rician import unbiased_average
from nlmeans.ridge import Ridge
from nlmeans.settings import Settings

Array = NDArray[Any]


class Filtered(NamedTuple):
    """A region of the result, and the mean weight that `keep_detail` found."""

    values: Array
    weight: float | None


def filtered(
    image: Array,
    used: Settings,
    operation: Operation | Ridge | None,
    layout: Layout,
    *,
    amount: float = 1.0,
    region: Box | None = None,
    mask: NDArray[np.bool_] | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Filtered:
    """One image, volume or clip: the region of the result, by default all of it.

    The filter runs on the smallest box that holds what the mask has in the region, and as much
    around it as the result depends on. Without an operation the result is a copy.
    """
    grid = grid_shape(image.shape, layout.channel_axis)
    region = whole_of(grid) if region is None else region
    box = region if mask is None else box_of(mask, region)
    if operation is None or box is None:
        return Filtered(image[layout.index(region)].copy(), None)
    halo = halo_of(operation, len(grid))
    if used.keep_detail:
        more = detail_halo(len(grid), layout.stack)
        halo = tuple(a + b for a, b in zip(halo, more, strict=True))
    part = widened(box, halo, grid, operation)
    values, weight = _of_part(
        image, part, used, on_part(operation, part), layout, amount, threads, progress
    )
    inner = within(box, part)
    values = values[layout.index(inner)]
    if weight is not None:
        weight = weight[inner] if mask is None else weight[inner][mask[box]]
    if mask is not None:
        result = image[layout.index(region)].copy()
        target = result[layout.index(within(box, region))]
        wanted = mask[box]
        if layout.channel_axis is not None:
            wanted = np.expand_dims(wanted, layout.channel_axis)
        np.copyto(target, values, where=wanted)
        values = result
    elif part != box:
        values = values.copy()  # lest the halo stays in memory
    return Filtered(values, None if weight is None else float(weight.mean()))


def _of_part(
    image: Array,
    part: Box,
    used: Settings,
    operation: Operation | Ridge,
    layout: Layout,
    amount: float,
    threads: int | None,
    progress: Progress | None,
) -> tuple[Array, Array | None]:
    """The filter on a part of an image as if it were all, and the weights of `keep_detail`."""
    axis = layout.channel_axis
    original = image[layout.index(part)]
    colours = layout.colours(original)
    values = colours.astype(working_dtype(colours.dtype), copy=False)  # never written to
    sigma = used.sigma if used.maps is None else used.maps.sigma[part]
    options: dict[str, Any] = {"channel_axis": axis, "threads": threads}
    weight = None
    if used.noise.kind == "rician":
        assert isinstance(operation, Operation)  # the settings see to it
        result = unbiased_average(operation, values, sigma, **options, progress=progress)
    else:
        seen = used.noise.stabilise(values, axis)
        if used.keep_detail:
            channels = 1 if axis is None else seen.shape[axis]
            chosen = signs(grid_shape(image.shape, axis), part, channels, axis)
            first, second = between(progress, 0, 0.5), between(progress, 0.5, 1)
            result, weight = keep_detail(
                seen, operation(seen, **options, progress=first),
                partial(operation, **options, progress=second), sigma, chosen, axis, layout.stack,
            )  # fmt: skip
        else:
            result = operation(seen, **options, progress=progress)
        result = used.noise.restore(result, axis)
    result = to_dtype(blended(values, result, amount), image.dtype)
    return layout.put_colours(original, result), weight
