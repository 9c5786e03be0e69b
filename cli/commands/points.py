"""nlmeans points: load a point cloud, denoise it, save."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
from nlmeans.cli.files import Report, each_file, shown
from nlmeans.cli.notices import announce, compiling_notice, memory_left
from nlmeans.cli.options.files import (
    SUFFIX,
    inputs_argument,
    memory_option,
    output_options,
    threads_option,
    writing_options,
)
from nlmeans.cli.options.types import ABOVE_0, FROM_0, gathered, option
from nlmeans.cli.outputs import Destination, progress_bar, targets_of

if TYPE_CHECKING:
    from nlmeans.images.clouds import CloudFile


@dataclass(frozen=True)
class CloudOptions:
    """What a cloud is filtered by."""

    sigma: float | None
    strength: float
    patch_neighbours: int | None
    search_neighbours: int | None
    iterations: int | None
    threads: int | None
    max_memory: int | None

    @property
    def numbers(self) -> dict[str, int]:
        """The numbers that are given, as keywords of `denoise_points`."""
        names = ("patch_neighbours", "search_neighbours", "iterations")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


@option("--sigma", type=FROM_0, shown="estimated")
def sigma_option() -> None:
    """Noise level, a number from 0: the standard deviation along each axis, in the file's unit."""


@option("--strength", type=ABOVE_0, default=1.0)
def strength_option() -> None:
    """A number above 0: 0.8 keeps more detail, 1.2 removes more noise."""


_PATCH = "30 to 128, from sigma"


@option("--patch-neighbours", type=click.IntRange(min=6), metavar="N", shown=_PATCH)
def patch_option() -> None:
    """Nearest points that make a patch, from 6."""


@option("--search-neighbours", type=click.IntRange(min=1), metavar="N", shown="150")
def search_option() -> None:
    """Nearest points whose patches are compared, from 1."""


@option("--iterations", type=click.IntRange(min=1), metavar="N", shown="1, or 2 if very noisy")
def iterations_option() -> None:
    """How often the filter is applied, from 1."""


@click.command(
    epilog="""\b
Examples:
  nlmeans points scan.ply
      estimate the noise, write scan_denoised.ply beside it
  nlmeans points scan.xyz -o clean.xyz --sigma 0.002
      the noise's standard deviation is known, in the file's unit
  nlmeans points *.ply -O clean --strength 0.8 --threads 2
      several files into a folder that is there, a little weaker"""
)
@inputs_argument()
@output_options
@sigma_option
@strength_option
@patch_option
@search_option
@iterations_option
@threads_option
@memory_option
@writing_options
@gathered("cloud_options", CloudOptions)
def points(
    inputs: tuple[Path, ...],
    destination: Destination,
    cloud_options: CloudOptions,
    overwrite: bool,
    quiet: bool,
    as_json: bool,
) -> int:
    """Denoise point clouds of surfaces: .xyz, and .ply with the extra `points` installed.

    Points move along the surface's normal; their order, faces, colours and all else that a file
    holds stay. The input is never changed, an output appears whole or not at all, and after an
    error the other files still get done.
    """
    targets = targets_of(inputs, destination, SUFFIX)
    silent = quiet or as_json
    sigma, threads = cloud_options.sigma, cloud_options.threads
    given, strength = cloud_options.numbers, cloud_options.strength

    def work(path: Path) -> Report:
        import numpy as np

        from nlmeans.images.clouds import check_cloud_output, save_cloud
        from nlmeans.points.denoise import (
            denoise_points,
            estimate_points_sigma,
            expected_points_cost,
        )

        target = targets[path]
        cloud = _loaded(path)
        check_cloud_output(target, cloud, overwrite=overwrite, source=path)
        start = time.perf_counter()
        level = estimate_points_sigma(cloud.points, threads=threads) if sigma is None else sigma
        held = cloud.points.nbytes
        left = memory_left(cloud_options.max_memory, held)
        cost = expected_points_cost(len(cloud.points), **given, threads=threads)
        announce(path, cost, threads, None, silent=silent)
        with compiling_notice(silent=silent), progress_bar(path, hidden=silent) as progress:
            moved = denoise_points(
                cloud.points,
                level,
                **given,
                strength=strength,
                threads=threads,
                max_memory=left,
                progress=progress,
            )
        seconds = time.perf_counter() - start
        save_cloud(target, cloud, moved, level, overwrite=overwrite)

        steps = np.linalg.norm(moved.astype(np.float64) - cloud.points, axis=1)
        step = float(np.sqrt(np.mean(steps**2)))
        found = "estimated" if sigma is None else "given"
        return Report(
            text=f"{shown(path)} -> {shown(target)}: {len(moved)} points, sigma {level:.4g} "
            f"({found}), moved by {step:.4g} (RMS) in {seconds:.2f} s",
            record={
                "output": str(target),
                "points": len(moved),
                "sigma": level,
                "sigma_estimated": sigma is None,
                "strength": strength,
                "moved": step,
                "seconds": seconds,
            },
        )

    return each_file(inputs, work, as_json=as_json, quiet=quiet)


def _loaded(path: Path) -> "CloudFile":
    from nlmeans.images import ImageReadError
    from nlmeans.images.clouds import load_cloud

    try:
        return load_cloud(path)
    except ModuleNotFoundError as error:
        if error.name != "plyfile":
            raise
        raise ImageReadError(
            f"{shown(path)}: reading PLY takes one more package: pip install 'nlmeans[points]'"
        ) from error
