"""Options that choose a block in a weights file."""

from collections.abc import Callable
from functools import cache, wraps
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from nlmeans.cli.learned import Loader, load
from nlmeans.cli.options.types import FILE, Parsed, option, together

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
    "chroma_strength", "sigma_map", "h_map", "keep_detail",
)  # fmt: skip
OF_WEIGHTS = ("layout", "block", "settings")


def _setting(text: str) -> tuple[str, Any]:
    """NAME=VALUE, one of the settings of `load_weights`."""
    name, _, value = text.partition("=")
    if name not in SETTINGS or not value:
        raise ValueError(
            f"{text!r} is no setting; give NAME=VALUE, NAME one of {', '.join(SETTINGS)}"
        )
    try:
        return name, _parsed(name, value)
    except ValueError:
        raise ValueError(f"{value!r} is no value of {name}; give {FORMS[name]}") from None


def _parsed(name: str, text: str) -> Any:
    if name == "pool":
        sides = tuple(int(side) for side in text.split("x"))
        return sides if len(sides) > 1 else sides[0]
    if name == "group_frames":
        return int(text)
    if name in ("eps", "input_range") or (name == "scale" and "**" not in text):
        return float(text)
    return text


@option("--weights", type=FILE, metavar="FILE", shown="the classical filter")
def weights_option() -> None:
    """Filter with a learned block: the picture's channels are its features. Replaces --method,
    --sigma, --h, the sizes, the strengths and the noise options."""


@option("--layout", metavar="NAME", shown="detected from the tensor names")
def layout_option() -> None:
    """Whose weights they are, such as alexhex7, mmcv, slowfast, timm, rnan, keras."""


@option("--block", metavar="PREFIX", shown="the only one")
def block_option() -> None:
    """Which of several blocks in the file, by the start of its tensors' names."""


_SETTING = Parsed("NAME=VALUE", _setting)


@option("--set", "settings", type=_SETTING, multiple=True, shown="by file and layout")
def settings_option() -> None:
    """Set a value that the file does not contain: pairwise, scale, pool (1x2x2), pool_kind,
    pool_order, softmax (keys, queries), eps, group_frames, input_range (white minus black of the
    values that the weights are made for). Can be given several times."""


def block_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--layout, --block and --set."""
    return together(command, (layout_option, block_option, settings_option))


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

    return weights_option(block_options(with_loader))


def _loader(
    path: Path | None, layout: str | None, block: str | None, settings: tuple[tuple[str, Any], ...]
) -> Loader | None:
    """Loads the weights once, at its first call; None if none are asked for.

    Raises click.UsageError if options of the classical filter are given with weights, or a block's
    without.
    """
    context = click.get_current_context()
    given = [
        each
        for each in context.command.params
        if context.get_parameter_source(str(each.name)) is ParameterSource.COMMANDLINE
    ]
    others = CLASSICAL if path is not None else OF_WEIGHTS
    for each in given:
        if each.name in others:
            message = f"{each.opts[0]} is for --weights, which is not given"
            if path is not None:
                message = f"use just one of --weights and {each.opts[0]}"
            raise click.UsageError(message)
    return None if path is None else cache(lambda: load(path, layout, block, settings))
