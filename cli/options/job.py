"""The options that decide what a file is filtered by, given to a command as one value."""

from collections.abc import Callable
from typing import Any

from nlmeans.cli.jobs import FilterOptions
from nlmeans.cli.options.files import memory_option, threads_option
from nlmeans.cli.options.filters import filter_options, method_options, noise_options, stack_option
from nlmeans.cli.options.like import like_option
from nlmeans.cli.options.selection import map_options, selection_options
from nlmeans.cli.options.types import SHARE, gathered, option, together
from nlmeans.cli.options.weights import weights_options


@option("--amount", type=SHARE, default=1.0)
def amount_option() -> None:
    """Blend, a number from 0 (the original) to 1 (all denoised)."""


def job_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """All that `denoise` and `plan` have in common, as one `options`."""
    filters = (method_options, filter_options, map_options, noise_options, selection_options)
    others = (weights_options, like_option, stack_option, amount_option)
    each = (*filters, *others, threads_option, memory_option)
    return together(gathered("options", FilterOptions)(command), each)
