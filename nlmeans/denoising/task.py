"""One image and what is done to it: a task knows what it takes, and runs itself.

`task_of` makes it of what is asked, `tasks` one for each page of a stack.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from nlmeans.base.arrays import blended, grid_shape, to_dtype, working_dtype
from nlmeans.base.axes import Layout, stack_axis
from nlmeans.base.cost import Cost, Cut, in_parts
from nlmeans.base.progress import Progress, part_of
from nlmeans.denoising.detail import FLOATS_HELD, Detail
from nlmeans.denoising.regions import box_of, mask_of, region_of, whole_of, widened, within
from nlmeans.denoising.request import Request
from nlmeans.denoising.settings import WHITE, Settings, choose_settings
from nlmeans.operation.filter import Box, Filter

Array = NDArray[Any]


class Space(Protocol):
    """What a filter works in, in place of the image's values: of one noise level, or in units."""

    @property
    def floats_held(self) -> int:
        """Arrays that are held beside those of the filter."""
        ...

    def stabilise(self, values: Array, axis: int | None) -> Array:
        """The image's values in this space."""
        ...

    def restore(self, stabilised: Array, axis: int | None, of: Array | None = None) -> Array:
        """The filter's result in the image's units, made from the values `of`."""
        ...


class Result(NamedTuple):
    """A region of the result, and the mean weight of a `Detail`."""

    values: Array
    weight: float | None = None


@dataclass(frozen=True, eq=False)
class Task:
    """One image, volume or clip with one filter."""

    filter: Filter | None  # None leaves the image as it is
    layout: Layout
    settings: Settings | None = None  # what the filter was made of; None for one that was given
    space: Space = WHITE  # what the filter works in
    # how the result is blended with the original, in place of `amount`
    detail: Detail | None = None
    amount: float = 1.0  # blend: 1 is the filter's result, 0 the original
    region: Box | None = None  # what of the result is wanted; all of it by default
    mask: NDArray[np.bool_] | None = None  # (*grid): where it is False the result is the image
    threads: int | None = None

    def run(
        self, image: Array, *, max_memory: int | None = None, progress: Progress | None = None
    ) -> Result:
        """The region of the result, in the image's dtype.

        The filter runs on the smallest box that holds what the mask has in the region, and as much
        around it as the result depends on; with `max_memory`, the bytes that may be taken above
        the image, on some rows of it at a time.

        Raises NotEnoughMemory before anything is filtered.
        """
        region, box = self._boxes(image)
        if box is None:
            return Result(image[self.layout.index(region)].copy())
        weights: list[Array] = []
        axis = self.layout.channel_axis

        def run(rows: slice, progress: Progress | None) -> Array:
            here = _rows(box, rows)
            part = self._around(here, image)
            values, weight = self._filtered(image, part, progress)
            inner = within(here, part)
            if weight is not None:
                weights.append(weight[inner])
            values = values[self.layout.index(inner)]
            return values if part == here else values.copy()  # lest the halo stays in memory

        if max_memory is None:
            values = run(slice(0, box[0].stop - box[0].start), progress)
        else:
            kept = 0 if self.mask is None else image[self.layout.index(region)].nbytes
            rows = Cut(box[0].stop - box[0].start, stack_axis(axis), self._halo_of_rows(image))
            held = image[self.layout.index(box)].nbytes
            peak = partial(self._peak, image, box, kept)
            values = in_parts(run, rows, peak, held, max_memory, progress)
        if self.mask is None:
            return Result(values, float(weights[0].mean()) if weights else None)
        result = image[self.layout.index(region)].copy()
        wanted = self.mask[box]
        place = self.layout.index(within(box, region))
        np.copyto(result[place], values, where=self.layout.spread(wanted))
        return Result(result, float(weights[0][wanted].mean()) if weights else None)

    def cost(self, image: Array) -> Cost:
        """About what `run` takes, without a limit of memory."""
        region, box = self._boxes(image)
        result = image[self.layout.index(region)].nbytes
        if box is None:
            return Cost(0.0, result)
        cost = self._cost(image, self._around(box, image))
        return Cost(cost.seconds, cost.bytes + result * (self.mask is not None))

    def _boxes(self, image: Array) -> tuple[Box, Box | None]:
        """The region that is wanted, and the box in it that is filtered; None where nothing is."""
        grid = self._grid(image)
        region = whole_of(grid) if self.region is None else self.region
        if self.filter is None:
            return region, None
        return region, region if self.mask is None else box_of(self.mask, region)

    def _grid(self, image: Array) -> tuple[int, ...]:
        return grid_shape(image.shape, self.layout.channel_axis)

    def _made(self) -> Filter:
        assert self.filter is not None  # `_boxes` gives no box without one
        return self.filter

    def _halo_of_rows(self, image: Array) -> int | None:
        """0 where some rows can be filtered at a time, as `_around` adds their halo; else None."""
        everywhere = self._made().halo(len(self._grid(image))) is None
        return None if everywhere or self.detail is not None else 0

    def _around(self, box: Box, image: Array) -> Box:
        """The box and all that its result depends on."""
        grid, filter_ = self._grid(image), self._made()
        halo = filter_.halo(len(grid))
        if halo is not None and self.detail is not None:
            halo = tuple(a + b for a, b in zip(halo, self.detail.halo, strict=True))
        return widened(box, halo, grid, filter_.step)

    def _peak(self, image: Array, box: Box, kept: int, count: int) -> int:
        """Bytes that so many rows of the box take, where most lies around them: in the middle."""
        middle = (box[0].stop - box[0].start - count) // 2
        starts = range(middle + 1)[-self._made().step :]
        parts = (self._around(_rows(box, slice(k, k + count)), image) for k in starts)
        return kept + max(self._cost(image, part).bytes for part in parts)

    def _cost(self, image: Array, part: Box) -> Cost:
        """What filtering a part as if it were all takes."""
        original = image[self.layout.index(part)]
        colours = self.layout.colours(original)
        cost = (
            self._made()
            .on(part)
            .cost(
                colours.shape,
                channel_axis=self.layout.channel_axis,
                dtype=image.dtype,
                threads=self.threads,
            )
        )
        held = self.space.floats_held + (self.amount != 1)
        copied = original.nbytes * self.layout.alpha
        seconds = cost.seconds
        if self.detail is not None:
            held += FLOATS_HELD
            copied += 2 * image.size  # the random signs of the whole
            seconds *= 2
        floats = colours.size * working_dtype(image.dtype).itemsize
        return Cost(seconds, cost.bytes + held * floats + copied)

    def _filtered(
        self, image: Array, part: Box, progress: Progress | None
    ) -> tuple[Array, Array | None]:
        """A part as if it were all, and the weights of a `Detail`."""
        layout, axis = self.layout, self.layout.channel_axis
        filter_ = self._made().on(part)
        original = image[layout.index(part)]
        colours = layout.colours(original)
        values = colours.astype(working_dtype(colours.dtype), copy=False)  # never written to

        def run(seen: Array, progress: Progress | None) -> Array:
            return filter_(seen, channel_axis=axis, threads=self.threads, progress=progress)

        weight = None
        seen = self.space.stabilise(values, axis)
        if self.detail is None:
            result = run(seen, progress)
        else:
            result, weight = self.detail(seen, run, part, axis, progress)
        result = self.space.restore(result, axis, values)
        result = to_dtype(blended(values, result, self.amount), image.dtype)
        return layout.put_colours(original, result), weight


Make = Callable[[Array, Request, Layout], Task]  # the task for one image, volume or clip


def tasks(image: Array, request: Request, layout: Layout, make: Make) -> list[Task]:
    """The task for an image, volume or clip; one for each page that the region holds.

    All that can be refused is, before any is run.
    """
    grid = grid_shape(image.shape, layout.channel_axis)
    mask = request.mask
    if mask is not None:
        paged = layout.stack == "pages" and np.ndim(mask) == 2
        if not mask_of(mask, grid[1:] if paged else grid).any():
            raise ValueError(
                "mask is False everywhere: nothing is to be filtered; leave the image, or mask"
            )
    box = region_of(request.region, grid)
    if layout.stack != "pages":
        return [make(image, request, layout)]
    pages, within_page = list(layout.pages(image)), layout.of_page()
    asked = replace(request, region=None if request.region is None else box)
    return [
        make(pages[k], asked.of_page(k, len(pages)), within_page)
        for k in range(box[0].start, box[0].stop)
    ]


def task_of(image: Array, request: Request, layout: Layout) -> Task:
    """The task for one image, volume or clip."""
    return task_with(choose_settings(image, layout, request), image.shape, request, layout)


def task_with(settings: Settings, shape: tuple[int, ...], request: Request, layout: Layout) -> Task:
    """The task with settings that are known, for an image of this shape."""
    grid = grid_shape(shape, layout.channel_axis)
    sigma = settings.sigma if settings.maps is None else settings.maps.sigma
    filter_ = settings.filter(**request.weighting.options)
    task = task_for(filter_, shape, request, layout)
    return replace(
        task,
        settings=settings,
        space=settings.noise,
        detail=Detail(sigma, grid, layout.stack) if settings.keep_detail else None,
        amount=request.amount * settings.trust,
    )


def task_for(
    filter_: Filter | None, shape: tuple[int, ...], request: Request, layout: Layout
) -> Task:
    """The task with a filter that is known: what is asked of the noise is left out."""
    grid = grid_shape(shape, layout.channel_axis)
    return Task(
        filter_,
        layout,
        amount=request.amount,
        region=region_of(request.region, grid),
        mask=None if request.mask is None else mask_of(request.mask, grid),
        threads=request.threads,
    )


def denoised(
    image: Array,
    request: Request,
    layout: Layout,
    make: Make = task_of,
    *,
    max_memory: int | None = None,
    progress: Progress | None = None,
) -> Array:
    """The region of the image that is asked for, filtered."""
    each = tasks(image, request, layout, make)
    if layout.stack != "pages":
        return each[0].run(image, max_memory=max_memory, progress=progress).values
    box = region_of(request.region, grid_shape(image.shape, layout.channel_axis))
    result = np.empty_like(image[layout.index(box)])
    images = list(layout.pages(image))[box[0]]
    left = None if max_memory is None else max_memory - result.nbytes
    run_tasks(each, images, list(layout.pages(result)), max_memory=left, progress=progress)
    return result


def run_tasks(
    each: Sequence[Task],
    images: Sequence[Array],
    results: Sequence[Array],
    *,
    max_memory: int | None = None,
    progress: Progress | None = None,
) -> list[float]:
    """Run tasks one after the other, each from its image into its result.

    Returns the weights of those with a `Detail`.
    """
    weights = []
    for k, (task, image, result) in enumerate(zip(each, images, results, strict=True)):
        share = part_of(progress, k, len(each))
        result[...], weight = task.run(image, max_memory=max_memory, progress=share)
        weights += [] if weight is None else [weight]
    return weights


def _rows(box: Box, rows: slice) -> Box:
    """The part of a box with these of its rows, counted from its first."""
    first = box[0].start
    return (slice(first + rows.start, first + rows.stop), *box[1:])
