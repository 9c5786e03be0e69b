"""Run a filter on an image, or on the part of it that is wanted, in the image's own dtype."""

from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nlmeans.base.arrays import blended, grid_shape, to_dtype, working_dtype
from nlmeans.base.axes import Layout, stack_axis
from nlmeans.base.cost import Cost, in_parts
from nlmeans.base.progress import Progress, between
from nlmeans.denoising.detail import detail_halo, keep_detail, signs
from nlmeans.denoising.regions import Box, alignment, box_of, halo_of, whole_of, widened, within
from nlmeans.denoising.ridge import Ridge
from nlmeans.denoising.settings import Settings
from nlmeans.denoising.unbiased import unbiased_average
from nlmeans.operation.operation import Operation, on_part

Array = NDArray[Any]
# Arrays of floats that are held beside those of the operation.
EXTRA_FLOATS = {"gaussian": 0, "poisson-gaussian": 3, "rician": 3}
DETAIL_FLOATS = 10


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
    max_memory: int | None = None,
    progress: Progress | None = None,
) -> Filtered:
    """One image, volume or clip: the region of the result, by default all of it.

    The filter runs on the smallest box that holds what the mask has in the region, and as much
    around it as the result depends on; with `max_memory` on some rows of it at a time. Without an
    operation the result is a copy.
    """
    grid = grid_shape(image.shape, layout.channel_axis)
    region = whole_of(grid) if region is None else region
    box = region if mask is None else box_of(mask, region)
    if operation is None or box is None:
        return Filtered(image[layout.index(region)].copy(), None)
    weights: list[Array] = []

    def run(rows: slice, progress: Progress | None) -> Array:
        here = _rows(box, rows)
        part = _around(here, used, operation, layout, grid)
        values, weight = _of_part(image, part, used, operation, layout, amount, threads, progress)
        inner = within(here, part)
        if weight is not None:
            weights.append(weight[inner])
        values = values[layout.index(inner)]
        return values if part == here else values.copy()  # lest the halo stays in memory

    if max_memory is None:
        values = run(slice(0, box[0].stop - box[0].start), progress)
    else:
        kept = 0 if mask is None else image[layout.index(region)].nbytes

        def peak(count: int) -> int:
            # What a part looks at around it is in its own costs: most in the middle.
            middle = (box[0].stop - box[0].start - count) // 2
            rows = (slice(k, k + count) for k in range(middle + 1)[-alignment(operation) :])
            parts = (_around(_rows(box, some), used, operation, layout, grid) for some in rows)
            costs = (
                cost_of(image, part, used, operation, layout, amount, threads) for part in parts
            )
            return kept + max(cost.bytes for cost in costs)

        halo = None if used.keep_detail else 0
        values = in_parts(
            run,
            box[0].stop - box[0].start,
            stack_axis(layout.channel_axis),
            halo,
            peak,
            image[layout.index(box)].nbytes,
            max_memory,
            progress,
        )
    if mask is None:
        return Filtered(values, float(weights[0].mean()) if weights else None)
    result = image[layout.index(region)].copy()
    wanted = (
        mask[box] if layout.channel_axis is None else np.expand_dims(mask[box], layout.channel_axis)
    )
    np.copyto(result[layout.index(within(box, region))], values, where=wanted)
    return Filtered(result, float(weights[0][mask[box]].mean()) if weights else None)


def expected(
    image: Array,
    used: Settings,
    operation: Operation | Ridge | None,
    layout: Layout,
    *,
    amount: float = 1.0,
    region: Box | None = None,
    mask: NDArray[np.bool_] | None = None,
    threads: int | None = None,
) -> Cost:
    """About what `filtered` takes, given the same."""
    grid = grid_shape(image.shape, layout.channel_axis)
    region = whole_of(grid) if region is None else region
    box = region if mask is None else box_of(mask, region)
    result = image[layout.index(region)].nbytes
    if operation is None or box is None:
        return Cost(0.0, result)
    part = _around(box, used, operation, layout, grid)
    cost = cost_of(image, part, used, operation, layout, amount, threads)
    return Cost(cost.seconds, cost.bytes + result * (mask is not None))


def cost_of(
    image: Array,
    part: Box,
    used: Settings,
    operation: Operation | Ridge,
    layout: Layout,
    amount: float,
    threads: int | None,
) -> Cost:
    """Of filtering a part as if it were all."""
    original = image[layout.index(part)]
    colours, channels = layout.colours(original), layout.channel_axis
    extra: dict[str, Any] = {}
    if used.noise.kind == "rician":
        extra["guide_channels"] = 1 if channels is None else colours.shape[channels]
    operation = _on(operation, part)
    cost = operation.cost(
        colours.shape, channel_axis=channels, dtype=image.dtype, threads=threads, **extra
    )
    held = EXTRA_FLOATS[used.noise.kind] + (amount * used.trust != 1) + isinstance(operation, Ridge)
    held += DETAIL_FLOATS * used.keep_detail
    floats = colours.size * working_dtype(image.dtype).itemsize
    seconds = cost.seconds * (1 + used.keep_detail)
    signs_of_whole = 2 * image.size * used.keep_detail
    copied = original.nbytes * layout.alpha
    return Cost(seconds, cost.bytes + held * floats + signs_of_whole + copied)


def _rows(box: Box, rows: slice) -> Box:
    """Of a box the part with these of its rows, counted from its first."""
    first = box[0].start
    return (slice(first + rows.start, first + rows.stop), *box[1:])


def _around(
    box: Box, used: Settings, operation: Operation | Ridge, layout: Layout, grid: tuple[int, ...]
) -> Box:
    """The box and all that its result depends on."""
    halo = halo_of(operation, len(grid))
    if used.keep_detail:
        more = detail_halo(len(grid), layout.stack)
        halo = tuple(a + b for a, b in zip(halo, more, strict=True))
    return widened(box, halo, grid, operation)


def _on(operation: Operation | Ridge, part: Box) -> Operation | Ridge:
    return on_part(operation, part) if isinstance(operation, Operation) else operation


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
    operation = _on(operation, part)
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
                seen,
                operation(seen, **options, progress=first),
                partial(operation, **options, progress=second),
                sigma,
                chosen,
                axis,
                layout.stack,
            )
        else:
            result = operation(seen, **options, progress=progress)
        result = used.noise.restore(result, axis)
    result = to_dtype(blended(values, result, amount * used.trust), image.dtype)
    return layout.put_colours(original, result), weight
