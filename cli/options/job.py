"""The options that decide what a file is filtered by, given to a command as one value."""

from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from typing import Any

import click
from nlmeans.cli.jobs import FilterOptions
from nlmeans.cli.options.files import memory_option, threads_option
from nlmeans.cli.options.filters import (
    filter_options,
    method_options,
    noise_options,
    stack_option,
)
from nlmeans.cli.options.like import like_option
from nlmeans.cli.options.selection import map_options, selection_options
from nlmeans.cli.options.types import NumberType, together
from nlmeans.cli.options.weights import weights_options

amount_option = click.option(
    "--amount",
    type=NumberType(0, 1, above=False),
    default=1.0,
    show_default=True,
    help="Blend, a number from 0 (the original) to 1 (all denoised).",
)


def job_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """All that `denoise` and `plan` have in common, as one `options`."""
    names = [field.name for field in fields(FilterOptions)]

    @wraps(command)
    def with_options(**given: Any) -> Any:
        own = {name: given.pop(name) for name in names}
        return command(options=FilterOptions(**own), **given)

    each = (
        method_options, filter_options, map_options, noise_options, selection_options,
        weights_options, like_option, stack_option, amount_option, threads_option, memory_option,
    )  # fmt: skip
    return together(with_options, each)
