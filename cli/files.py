"""Work through several files: each on its own, errors in one line, one exit code at the end."""

import json
import os
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click
from nlmeans.cli import exits


def each_file(
    inputs: Iterable[Path], work: Callable[[Path], dict[str, Any]], *, as_json: bool
) -> int:
    """Call `work` for every input and go on after errors; return the exit code.

    `work` returns what is known of the file afterwards, for JSON Lines on standard output.
    """
    paths = list(inputs)
    codes = []
    for path in paths:
        try:
            record = {"input": str(path), **work(path)}
            codes.append(exits.OK)
        except Exception as error:
            code = exits.code_of(error)
            message = _one_line(path, error, code)
            click.echo(f"nlmeans: {message}", err=True)
            if code == exits.INTERNAL and os.environ.get("NLMEANS_DEBUG"):
                traceback.print_exc()
            record = {"input": str(path), "error": message, "exit_code": code}
            codes.append(code)
        if as_json:
            click.echo(json.dumps(record))
    failed = [code for code in codes if code != exits.OK]
    if not failed:
        return exits.OK
    return failed[0] if len(paths) == 1 else exits.SOME_FAILED


def _one_line(path: Path, error: Exception, code: int) -> str:
    text = " ".join(str(error).split())
    name = shown(path)
    if code == exits.RESOURCES:
        text = "not enough memory for this picture; crop it or close other programs"
    elif code == exits.INTERNAL:
        text = f"unexpected {type(error).__name__}: {text}; set NLMEANS_DEBUG=1 to see where"
    elif isinstance(error, OSError):
        return text  # reading and writing name their file themselves
    return f"{name}: {text}"


def shown(path: Path) -> str:
    """A path on one line, whatever is in it."""
    text = str(path)
    return text if text.isprintable() else repr(text)
