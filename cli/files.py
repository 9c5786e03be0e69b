"""Work through several files: each on its own, errors in one line, one exit code at the end."""

import json
import os
import re
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from nlmeans.cli import exits

from nlmeans.base.texts import shown as shown


@dataclass(frozen=True)
class Report:
    """What is said of a file that went well."""

    text: str  # for standard output
    record: dict[str, Any]  # the same for --json
    notes: tuple[str, ...] = ()  # for standard error


def each_file(
    inputs: Iterable[Path],
    work: Callable[[Path], Report],
    *,
    as_json: bool = False,
    quiet: bool = False,
) -> int:
    """Call `work` for every input, go on after errors, and return the exit code."""
    paths = list(inputs)
    codes = []
    for path in paths:
        code, report = exits.OK, None
        try:
            report = work(path)
            record = {"input": str(path), **report.record}
        except Exception as error:
            code = exits.code_of(error)
            message = _named(path, error)
            click.echo(f"nlmeans: {message}", err=True)
            record = {"input": str(path), "error": message, "exit_code": code}
        # Outside of the try: what standard output does is no fault of the file.
        codes.append(code)
        if report and not quiet:
            for note in report.notes:
                click.echo(f"nlmeans: {note}", err=True)
        if as_json:
            click.echo(json.dumps(record))
        elif report and not quiet:
            click.echo(report.text)
    failed = [code for code in codes if code != exits.OK]
    if not failed:
        return exits.OK
    return failed[0] if len(paths) == 1 else exits.FAILED


def explained(error: Exception) -> str:
    """An error in one line; where it is a bug, and that is asked for, the traceback before it."""
    from nlmeans.base.cost import NotEnoughMemory

    text = " ".join(str(error).split())
    if not exits.foreseen(error):
        if os.environ.get("NLMEANS_DEBUG"):
            traceback.print_exception(error)
        return f"unexpected {type(error).__name__}: {text}; set NLMEANS_DEBUG=1 to see where"
    if isinstance(error, MemoryError) and not isinstance(error, NotEnoughMemory):
        return "not enough memory for this picture; crop it or close other programs"
    # The library names its keywords, which are options here: --overwrite, --keep-partial.
    return re.sub(r"\bpass (\w+)=True\b", lambda m: f"use --{m[1].replace('_', '-')}", text)


def _named(path: Path, error: Exception) -> str:
    text = explained(error)
    if isinstance(error, OSError) and exits.foreseen(error):
        return text  # reading and writing name their file themselves
    return f"{shown(path)}: {text}"
