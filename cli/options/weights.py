"""Options that choose a block in a weights file."""

from collections.abc import Callable
from functools import cache, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource
from nlmeans.cli.learned import Loader, load
from nlmeans.cli.options.types import together

if TYPE_CHECKING:
    pass

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
