"""What is asked of a file, and the job that comes of it: a task for each of its parts."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from nlmeans.cli.learned import Loader
from nlmeans.cli.like import Equivalent, PeerCall
from nlmeans.cli.options.types import AUTO, Sigma, Size
from nlmeans.cli.selection import Region, map_for, mask_for
from nlmeans.cli.stacks import Pages, Part, pages_of

if TYPE_CHECKING:
    from nlmeans.base.cost import Cost
    from nlmeans.denoising.methods import MethodName
    from nlmeans.denoising.request import Request
    from nlmeans.denoising.settings import Settings
    from nlmeans.denoising.task import Task
    from nlmeans.images import Picture
    from nlmeans.noise.find import Asked
    from nlmeans.weights import LoadedWeights

Maps = dict[str, Callable[[Part], Any]]


@dataclass(frozen=True)
class FilterOptions:
    """The options that decide what a file is filtered by, as typed."""

    method: "MethodName | None" = None
    sigma: Sigma = AUTO
    noise: "Asked" = "auto"
    gain: float | None = None
    read_noise: float | None = None
    h: float | None = None
    patch_size: Size | None = None
    search_size: Size | None = None
    strength: float = 1.0
    chroma_strength: float = 1.0
    sigma_map: Path | None = None
    h_map: Path | None = None
    keep_detail: bool = False
    mask: Path | None = None
    preview: Region | None = None
    learned: Loader | None = None
    like: PeerCall | None = None
    stack: str = "auto"
    amount: float = 1.0
    threads: int | None = None
    max_memory: int | None = None

    def __post_init__(self) -> None:
        """Refuse options that contradict each other."""
        for one, other, both in (
            ("--sigma", "--sigma-map", self.sigma.value is not None and self.sigma_map),
            ("--h", "--h-map", self.h is not None and self.h_map),
            ("--amount", "--keep-detail", self.amount != 1 and self.keep_detail),
            ("--weights", "--like", self.learned is not None and self.like is not None),
            ("--like", "--method", self.like is not None and self.method is not None),
        ):
            if both:
                raise click.UsageError(f"use just one of {one} and {other}")
        if self.like is not None:
            sizes = {"--patch-size": self.patch_size, "--search-size": self.search_size}
            self.like.check_sizes(sizes)
            object.__setattr__(self, "like", self.like.with_numbers(h=self.h, sigma=self.sigma))

    def request(self, level: float | None) -> "Request":
        """What is asked of the library, with this noise level; without maps and mask."""
        from nlmeans.denoising.request import Request

        return Request(
            sigma=level,
            noise=self.noise,
            gain=self.gain,
            read_noise=self.read_noise,
            method=self.method,
            h=self.h,
            patch_size=self.patch_size,
            search_size=self.search_size,
            strength=self.strength,
            chroma_strength=self.chroma_strength,
            amount=self.amount,
            keep_detail=self.keep_detail,
            threads=self.threads,
        )

    def check_none(self, of: str, *fields: str) -> None:
        """Refuse options that have no meaning there."""
        from nlmeans.base.checks import ParameterError

        usual = FilterOptions()
        for name in fields:
            value = getattr(self, name)
            if value != getattr(usual, name):
                option = "--weights" if name == "learned" else f"--{name.replace('_', '-')}"
                shown = (
                    "" if isinstance(value, bool) or name in ("learned", "like") else f" {value}"
                )
                raise ParameterError(
                    f"{option}{shown} does not go with {of}; leave one of them out"
                )


@dataclass(frozen=True)
class Job:
    """A picture and a task for each of its parts."""

    pages: Pages
    tasks: "list[Task]"
    # what another program's call became, part by part; empty without --like
    equivalents: list[Equivalent]
    weights: "LoadedWeights | None"
    notes: tuple[str, ...]  # what was warned of while the weights were read
    seconds: float  # what it took to find the noise and the settings

    @property
    def settings(self) -> "list[Settings]":
        """Those of every part; none with learned weights."""
        return [task.settings for task in self.tasks if task.settings is not None]

    def cost(self) -> "Cost":
        """Of all tasks, one after the other."""
        from nlmeans.base.cost import Cost

        costs = (task.cost(image) for task, image in zip(self.tasks, self.images, strict=True))
        return sum(costs, Cost(0.0, 0))

    @property
    def images(self) -> list[Any]:
        """Views of the parts."""
        return [self.pages.picture.pixels[part] for part in self.pages.parts]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the result's pixels."""
        shape = list(self.pages.picture.pixels.shape)
        region = self.tasks[0].region
        if region is not None:
            first = len(self.pages.picture.stack)
            shape[first : first + 2] = [part.stop - part.start for part in region[-2:]]
        return tuple(shape)

    def warm(self) -> None:
        """Compile or load the kernels on one pixel, so that the time reported is of filtering."""
        import numpy as np

        from nlmeans.base.arrays import grid_shape

        for task, image in zip(self.tasks, self.images, strict=True):
            if task.filter is not None and task.settings is not None:
                ndim = len(grid_shape(image.shape, task.layout.channel_axis))
                task.filter.on((slice(0, 1),) * ndim)(np.zeros((1,) * ndim, image.dtype))
                return

    def run(
        self, max_memory: int | None, progress: Callable[[float], None]
    ) -> tuple[Any, list[float]]:
        """The result's pixels, and the weights of --keep-detail."""
        import numpy as np

        from nlmeans.denoising.task import run_tasks

        pixels = np.empty(self.shape, self.pages.picture.pixels.dtype)
        results = [pixels[part] for part in self.pages.parts]
        weights = run_tasks(
            self.tasks, self.images, results, max_memory=max_memory, progress=progress
        )
        return pixels, weights


def job_of(picture: "Picture", options: FilterOptions) -> Job:
    """Noise and settings of every part are found; all that can be refused is."""
    pages = pages_of(picture, options.stack)
    start = time.perf_counter()
    weights, notes = (None, ()) if options.learned is None else options.learned()
    if options.like is not None:
        options.check_none(
            "--like", "sigma_map", "h_map", "keep_detail", "gain", "read_noise", "noise",
            "chroma_strength",
        )  # fmt: skip
    maps = _maps(pages, options)
    request = _request(pages, options, plain=weights is not None or options.like is not None)
    equivalents: list[Equivalent] = []

    def task(_: int, part: Part) -> "Task":
        from nlmeans.base.axes import layout_of
        from nlmeans.denoising.blocks import block_task
        from nlmeans.denoising.task import task_for, task_of

        image = picture.pixels[part]
        layout = layout_of(image.shape, **pages.layout)
        own = replace(request, **{name: of(part) for name, of in maps.items()})
        if weights is not None:
            return block_task(weights.block, weights.units(image), image, own, layout)
        if options.like is None:
            return task_of(image, own, layout)
        equivalents.append(options.like.on(pages, part, options.strength))
        made = equivalents[-1]
        plain = task_for(made.operation, image.shape, own, layout)
        return replace(plain, settings=made.settings)

    tasks = pages.map(task)
    return Job(pages, tasks, equivalents, weights, notes, time.perf_counter() - start)


def _request(pages: Pages, options: FilterOptions, *, plain: bool) -> "Request":
    """What is asked of every part; `plain` leaves out what only this program's filters have."""
    asked = FilterOptions(amount=options.amount, threads=options.threads) if plain else options
    request = asked.request(asked.sigma.level(pages.picture.pixels))
    if options.preview is None:
        return request
    return replace(request, region=options.preview.within(pages))


def _maps(pages: Pages, options: FilterOptions) -> Maps:
    """What of the request differs from part to part."""
    maps: Maps = {}
    if options.mask is not None:
        maps["mask"] = mask_for(options.mask, pages)
    for name, path in (("sigma", options.sigma_map), ("h", options.h_map)):
        if path is not None:
            maps[name] = map_for(path, pages)
    return maps
