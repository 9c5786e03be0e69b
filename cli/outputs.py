"""Where results go, and what is seen of the work: options and helpers of commands that write."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from nlmeans.cli.files import shown

STEPS = 1000  # of a bar


@dataclass(frozen=True)
class Writing:
    """How results are written, and what is said meanwhile."""

    quality: int | None
    keep_partial: bool
    overwrite: bool
    silent: bool


@dataclass(frozen=True)
class Destination:
    """Where outputs go, as -o, -O and --suffix say."""

    output: Path | None
    output_folder: Path | None
    suffix: str | None


def targets_of(inputs: tuple[Path, ...], destination: Destination, usual: str) -> dict[Path, Path]:
    """Where each input goes; every clash is found before any work is done."""
    output, folder = destination.output, destination.output_folder
    suffix = _checked_suffix(len(inputs), destination, usual)
    targets: dict[Path, Path] = {}
    owners: dict[Path, Path] = {}
    sources = {_identity(path): path for path in inputs}
    for path in inputs:
        if path in targets:
            raise click.UsageError(f"{shown(path)} is named twice; name it once")
        place = path.parent if folder is None else folder
        target = targets[path] = output or place / _with_suffix(path.name, suffix)
        other = owners.setdefault(target.resolve(), path)
        if other is not path:
            raise click.UsageError(
                f"{shown(other)} and {shown(path)} would both be written to {shown(target)}; "
                "run them apart"
            )
        source = sources.get(_identity(target), path)
        if source != path:  # onto itself is refused later, so that the other files get done
            raise click.UsageError(
                f"{shown(path)} would be written to {shown(target)}, which is the input "
                f"{shown(source)}; use -O DIR or another --suffix"
            )
    return targets


def _with_suffix(name: str, suffix: str) -> str:
    """The suffix before the extension, which .ome.tif is one of."""
    ending = Path(name).suffix
    if Path(name).stem.lower().endswith(".ome"):
        ending = name[-len(ending) - 4 :]
    return name[: len(name) - len(ending)] + suffix + ending


def _checked_suffix(inputs: int, destination: Destination, usual: str) -> str:
    """The suffix that the output options ask for, which have to go together."""
    output, folder, suffix = destination.output, destination.output_folder, destination.suffix
    options = (("-o", output), ("-O", folder), ("--suffix", suffix))
    given = [name for name, value in options if value is not None]
    if output is not None and len(given) > 1:
        raise click.UsageError(f"use just one of {' and '.join(given)}")
    if output is not None and inputs > 1:
        raise click.UsageError(
            f"-o names one file, but there are {inputs} inputs; use -O DIR or --suffix"
        )
    if suffix is None:
        return usual if folder is None else ""
    if "/" in suffix or "\\" in suffix or (not suffix and folder is None):
        raise click.UsageError(
            f"--suffix is {suffix!r}; give a text without slashes, not empty, such as _clean"
        )
    return suffix


def _identity(path: Path) -> tuple[int, int] | Path:
    """The same for all names and links of a file; the path where there is none."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return path
    return status.st_dev, status.st_ino


def png_target(path: Path, output: Path | None, ending: str) -> Path:
    """Where a drawing goes."""
    target = output or path.with_name(f"{path.stem}{ending}")
    if target.suffix.lower() != ".png":
        raise click.UsageError(f"-o is {str(target)!r}; it is written as a .png")
    return target


def save_png(output: Path, source: Path, pixels: Any, overwrite: bool) -> None:
    """A drawing, whole or not at all, and never in place of its source."""
    from nlmeans.images import Picture, check_output, save

    picture = Picture(pixels, alpha=False, format="PNG")
    check_output(output, picture, overwrite=overwrite, source=source)
    save(output, picture, overwrite=overwrite)


@contextmanager
def progress_bar(
    path: Path, count: int | None = 1, *, hidden: bool
) -> Iterator[Callable[[float], None]]:
    """A bar on standard error while it is a terminal; a callable that takes what is done of count.

    None where the count is not known: then there is no bar.
    """
    hidden = hidden or count is None or not sys.stderr.isatty()
    with click.progressbar(
        length=STEPS * (count or 1), label=shown(path), file=sys.stderr, hidden=hidden
    ) as bar:

        def show(done: float) -> None:
            bar.update(round(done * STEPS) - bar.pos)

        yield show
