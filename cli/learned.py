"""Options that choose a block in a weights file, and denoising with it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource
from nlmeans.cli.files import Report, shown
from nlmeans.cli.notices import announce, compiling_notice, memory_left
from nlmeans.cli.options import together
from nlmeans.cli.stacks import Part, Taken

if TYPE_CHECKING:
    from nlmeans.weights import LoadedWeights

SETTINGS = (
    "pairwise", "scale", "pool", "pool_kind", "pool_order", "softmax", "eps", "group_frames",
    "input_range",
)  # fmt: skip
FORMS = {  # of those that are no names
    "scale": "a number, d**-0.5 or C**-0.5",
    "pool": "whole numbers from 1, one or one per axis, such as 2 or 1x2x2",
    "eps": "a number from 0, such as 1e-5",
    "group_frames": "a whole number of frames, or 0 for all",
    "input_range": "a number above 0, such as 255",
}
CLASSICAL = (
    "method", "sigma", "noise", "gain", "read_noise", "h", "patch_size", "search_size", "strength",
    "chroma_strength", "sigma_map", "h_map", "keep_detail", "mask", "preview",
)  # fmt: skip
Loader = Callable[[], "tuple[LoadedWeights, tuple[str, ...]]"]
OF_WEIGHTS = ("layout", "block", "settings")


class SettingType(click.ParamType[tuple[str, Any]]):
    """NAME=VALUE, one of the settings of `load_weights`."""

    name = "setting"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return "NAME=VALUE"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Any]:
        if isinstance(value, tuple):
            return value
        name, _, text = value.partition("=")
        if name not in SETTINGS or not text:
            self.fail(
                f"{value!r} is no setting; give NAME=VALUE, NAME one of {', '.join(SETTINGS)}",
                param,
                ctx,
            )
        try:
            return name, _parsed(name, text)
        except ValueError:
            self.fail(f"{text!r} is no value of {name}; give {FORMS[name]}", param, ctx)


def _parsed(name: str, text: str) -> Any:
    if name == "pool":
        sides = tuple(int(side) for side in text.split("x"))
        return sides if len(sides) > 1 else sides[0]
    if name == "group_frames":
        return int(text)
    if name in ("eps", "input_range") or (name == "scale" and "**" not in text):
        return float(text)
    return text


def weights_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--weights and the options of `block_options`, given to the command as one `learned`."""

    @wraps(command)
    def with_loader(
        *,
        weights: Path | None,
        layout: str | None,
        block: str | None,
        settings: tuple[tuple[str, Any], ...],
        **others: Any,
    ) -> Any:
        return command(learned=_loader(weights, layout, block, settings), **others)

    return together(
        block_options(with_loader),
        (
            click.option(
                "--weights",
                type=click.Path(path_type=Path),
                default=None,
                metavar="FILE",
                show_default="the classical filter",
                help="Take a learned block: the picture's channels are its features. Takes the "
                "place of the method, sigma, h, sizes, strengths and what says of the noise.",
            ),
        ),
    )


def block_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--layout, --block and --set."""
    return together(
        command,
        (
            click.option(
                "--layout",
                default=None,
                metavar="NAME",
                show_default="as the keys tell",
                help="Whose weights they are, such as alexhex7, mmcv, slowfast, timm, rnan, keras.",
            ),
            click.option(
                "--block",
                default=None,
                metavar="PREFIX",
                show_default="the only one",
                help="Which of several blocks in the file, by what its keys begin with.",
            ),
            click.option(
                "--set",
                "settings",
                type=SettingType(),
                multiple=True,
                show_default="by file and layout",
                help="What the tensors do not tell: pairwise, scale, pool (1x2x2), pool_kind, "
                "pool_order, softmax (keys, queries), eps, group_frames, input_range (white minus "
                "black of the values the weights are made for). Can be given several times.",
            ),
        ),
    )


def load(
    path: Path, layout: str | None, block: str | None, settings: tuple[tuple[str, Any], ...]
) -> "tuple[LoadedWeights, tuple[str, ...]]":
    """The weights, and what there is to say of them on standard error."""
    from nlmeans.weights import load_weights

    with warnings_of(path) as notes:
        loaded = load_weights(path, layout, block=block, **dict(settings))
    return loaded, tuple(notes)


@contextmanager
def warnings_of(path: Path) -> Iterator[list[str]]:
    """What is warned of in the block, as notes for standard error."""
    import warnings

    from nlmeans.weights import WeightsWarning

    notes: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", WeightsWarning)
        yield notes
    notes += [f"{shown(path)}: {warning.message}" for warning in caught]


def _loader(
    path: Path | None, layout: str | None, block: str | None, settings: tuple[tuple[str, Any], ...]
) -> Loader | None:
    """Loads the weights once, at its first call; None if none are asked for.

    Raises
    ------
    click.UsageError
        If options of the classical filter are given with weights, or a block's without.
    """
    context = click.get_current_context()
    given = [
        option
        for option in context.command.params
        if context.get_parameter_source(str(option.name)) is ParameterSource.COMMANDLINE
    ]
    others = CLASSICAL if path is not None else OF_WEIGHTS
    for option in given:
        if option.name in others:
            message = f"{option.opts[0]} is for --weights, which is not given"
            if path is not None:
                message = f"use just one of --weights and {option.opts[0]}"
            raise click.UsageError(message)
    return None if path is None else cache(lambda: load(path, layout, block, settings))


def denoise_learned(
    path: Path,
    target: Path,
    taken: Taken,
    loaded: "tuple[LoadedWeights, tuple[str, ...]]",
    *,
    amount: float,
    threads: int | None,
    max_memory: int | None,
    silent: bool,
    overwrite: bool,
    quality: int | None,
    progress: Callable[[float], None],
) -> Report:
    """Run the block over the picture and save it."""
    import numpy as np

    from nlmeans.images import save

    weights, said = loaded
    picture, parts = taken.picture, len(taken.parts)
    pixels = np.empty_like(picture.pixels)

    def run(k: int, part: Part) -> None:
        pixels[part] = weights.denoise(
            picture.pixels[part],
            amount=amount,
            threads=threads,
            max_memory=left,
            **taken.layout,
            progress=lambda fraction: progress((k + fraction) / parts),
        )

    left = memory_left(max_memory, picture.pixels.nbytes, pixels.nbytes)
    costs = [
        weights.expected_cost(picture.pixels[part], threads=threads, **taken.layout)
        for part in taken.parts
    ]
    cost = sum(costs[1:], costs[0])
    announce(path, cost, threads, left, silent=silent)
    start = time.perf_counter()
    with compiling_notice(silent=silent):
        taken.map(run)
    seconds = time.perf_counter() - start
    saved = save(target, picture.with_pixels(pixels), overwrite=overwrite, quality=quality)
    own = picture.notes if taken.note is None else (taken.note, *picture.notes)
    name = f", block {weights.name}" if weights.name else ""
    return Report(
        text=(
            f"{shown(path)} -> {shown(target)}: {taken}weights {shown(Path(weights.path))}, "
            f"layout {weights.layout}{name}{assumptions(weights)}; "
            f"{picture.megapixels:.3g} MP in {seconds:.2f} s, "
            f"{picture.megapixels / seconds:.3g} MP/s"
        ),
        record={
            "output": str(target),
            **taken.record,
            "weights": weights.path,
            **record_of(weights),
            "amount": amount,
            "megapixels": picture.megapixels,
            "seconds": seconds,
            "megapixels_per_second": picture.megapixels / seconds,
            "notes": [*own, *saved],
        },
        notes=(
            *said,
            *(f"{shown(path)}: {note}" for note in own),
            *(f"{shown(target)}: {note}" for note in saved),
        ),
    )


def record_of(weights: "LoadedWeights") -> dict[str, Any]:
    """For --json: which block it is and how it is set."""
    return {
        "layout": weights.layout,
        "block": weights.name,
        "settings": {choice.name: choice.value for choice in weights.choices},
        "assumed": [choice.name for choice in weights.assumed],
    }


def assumptions(weights: "LoadedWeights") -> str:
    """Such as " (assumed: pairwise dot_product)"; empty if there are none."""
    each = "; ".join(f"{choice.name} {choice.value}" for choice in weights.assumed)
    return f" (assumed: {each})" if each else ""
