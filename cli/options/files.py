"""Options on files, and on how a command runs."""

from collections.abc import Callable
from typing import Any

import click
from nlmeans.cli.options.types import FILE, MEMORY, gathered, option, together
from nlmeans.cli.outputs import Destination

SUFFIX = "_denoised"


def inputs_argument(many: bool = True) -> Callable[[Any], Any]:
    """INPUT..., as plain paths: files are opened by name, never interpreted as URLs."""
    name, metavar, count = ("inputs", "INPUT...", -1) if many else ("path", "INPUT", 1)
    return click.argument(name, nargs=count, required=True, metavar=metavar, type=FILE)


_BESIDE = "beside the input, with the suffix"


@option("-o", "--output", type=FILE, metavar="FILE", shown=_BESIDE)
def output_option() -> None:
    """Write to this file; its extension chooses the format. For a single input."""


@option("-O", "--output-folder", type=FILE, metavar="DIR", shown="beside the input")
def folder_option() -> None:
    """Write into this folder, which has to be there, under the input's name."""


@option("--suffix", metavar="TEXT", shown=f"{SUFFIX}; none with -O")
def suffix_option() -> None:
    """Put this text between the input's name and its extension."""


def output_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """-o, -O and --suffix, given to the command as `destination`."""
    options = (output_option, folder_option, suffix_option)
    return together(gathered("destination", Destination)(command), options)


def drawing_option(ending: str) -> Callable[[Any], Any]:
    """-o of a command that draws: see `png_target`."""

    @option("-o", "--output", type=FILE, metavar="FILE", shown=f"beside the input, with {ending}")
    def drawing() -> None:
        """Write to this file, a .png."""

    return drawing


@option("--threads", type=click.IntRange(min=1), shown="all cores")
def threads_option() -> None:
    """Use at most this many threads, from 1; the result is the same for any number."""


@option("--overwrite", is_flag=True, shown="refuse")
def overwrite_option() -> None:
    """Replace output files that exist."""


@option("--max-memory", type=MEMORY, shown="what the machine has left")
def memory_option() -> None:
    """Memory for the arrays of a file, such as 500M or 2G (powers of 1024). A file that needs
    more is filtered in parts, with the same result to rounding, or refused."""


@option("--json", "as_json", is_flag=True, shown="text")
def json_option() -> None:
    """Print one JSON object per file on standard output."""


@option("-q", "--quiet", is_flag=True, shown="a line per file")
def quiet_option() -> None:
    """Print nothing but errors."""


def writing_options(command: Callable[..., Any]) -> Callable[..., Any]:
    return together(command, (overwrite_option, quiet_option, json_option))
