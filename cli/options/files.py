"""Options on files, and on how a command runs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from nlmeans.cli.options.types import MemoryType, together

SUFFIX = "_denoised"


def inputs_argument(many: bool = True) -> Callable[[Any], Any]:
    """INPUT..., as plain paths: files are opened by name, never interpreted as URLs."""
    return click.argument(
        "inputs" if many else "path",
        nargs=-1 if many else 1,
        required=True,
        metavar="INPUT..." if many else "INPUT",
        type=click.Path(path_type=Path),
    )


def output_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """-o, -O and --suffix."""
    return together(
        command,
        (
            click.option(
                "-o",
                "--output",
                type=click.Path(path_type=Path),
                default=None,
                metavar="FILE",
                show_default="beside the input, with the suffix",
                help="Write to this file; its extension chooses the format. For a single input.",
            ),
            click.option(
                "-O",
                "--output-folder",
                type=click.Path(path_type=Path),
                default=None,
                metavar="DIR",
                show_default="beside the input",
                help="Write into this folder, which has to be there, under the input's name.",
            ),
            click.option(
                "--suffix",
                default=None,
                metavar="TEXT",
                show_default=f"{SUFFIX}, none with -O",
                help="Put this text between the input's name and its extension.",
            ),
        ),
    )


def drawing_option(ending: str) -> Callable[[Any], Any]:
    """-o of a command that draws: see `png_target`."""
    return click.option(
        "-o",
        "--output",
        type=click.Path(path_type=Path),
        default=None,
        metavar="FILE",
        show_default=f"beside the input, with {ending}",
        help="Write to this file, a .png.",
    )


threads_option = click.option(
    "--threads",
    type=click.IntRange(min=1),
    default=None,
    show_default="all cores",
    help="Use at most this many threads, from 1; the result is the same for any number.",
)

overwrite_option = click.option(
    "--overwrite",
    is_flag=True,
    default=False,
    show_default="refuse",
    help="Replace output files that are there.",
)

memory_option = click.option(
    "--max-memory",
    type=MemoryType(),
    default=None,
    show_default="what the machine has left",
    help="Take at most so much for the arrays of a file, such as 500M or 2G (powers of 1024): what "
    "needs more is filtered in parts, with the same result to rounding, or else refused.",
)

json_option = click.option(
    "--json",
    "as_json",
    is_flag=True,
    default=False,
    show_default="text",
    help="One JSON object a file on standard output.",
)


def writing_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--overwrite, --quiet and --json."""
    return together(
        command,
        (
            overwrite_option,
            click.option(
                "-q",
                "--quiet",
                is_flag=True,
                default=False,
                show_default="a line a file",
                help="Print nothing but errors.",
            ),
            json_option,
        ),
    )
