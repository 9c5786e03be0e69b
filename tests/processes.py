"""Processes that tests start: none is waited for but until something happens."""

import os
import shutil
import subprocess
import sys
import textwrap
import threading
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest
from states import REACHED

HANGS = 600  # seconds after which a process hangs: far more than any takes, on any machine
TESTS = Path(__file__).parent
# Root may do everything but for what its capabilities leave out.
POWERLESS = ("setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override")


def environment(**more: str) -> dict[str, str]:
    """That of a child, which may import what tests may."""
    return {**os.environ, "PYTHONPATH": str(TESTS), **more}


def run_python(
    *code: str, before: tuple[str, ...] = (), arguments: tuple[Path, ...] = (), **more: str
) -> str:
    """What the pieces of code print, in a process of their own that has to end well.

    `before` is a program that starts Python, `more` the child's environment.
    """
    result = subprocess.run(
        [
            *before,
            sys.executable,
            "-W",
            "error",
            "-c",
            "\n".join(map(textwrap.dedent, code)),
            *arguments,
        ],
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=HANGS,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "Traceback" not in result.stderr
    return result.stdout


def program(*arguments, state=None):
    """The command of nlmeans with these arguments, after a function of `states`."""
    if state is None:
        return [sys.executable, "-m", "nlmeans", *map(str, arguments)]
    code = (
        "import sys, warnings, states\n"
        "warnings.simplefilter('ignore')\n"
        f"states.{state}()\n"
        "from nlmeans.cli.main import run\n"
        "run(sys.argv[1:])"
    )
    return [sys.executable, "-c", code, *map(str, arguments)]


@contextmanager
def reaching(state, *arguments, cwd, **more):
    """nlmeans, once it has told that it is in this state; it is gone afterwards."""
    with subprocess.Popen(
        program(*arguments, state=state),
        env=environment(**more),
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        guard = threading.Timer(HANGS, process.kill)
        guard.start()
        try:
            line = process.stdout.readline()
            assert line == REACHED, line + process.communicate()[1]
            yield process
        finally:
            guard.cancel()
            process.kill()


def on_a_terminal(*arguments, cwd, state=None):
    """What nlmeans writes to standard error where that is a terminal."""
    pty = pytest.importorskip("pty", reason="this system has no pseudo-terminals")
    parent, child = pty.openpty()
    with subprocess.Popen(
        program(*arguments, state=state),
        env=environment(),
        cwd=cwd,
        stdout=subprocess.DEVNULL,
        stderr=child,
    ) as process:
        os.close(child)
        shown = b""
        while part := _read(parent):  # at once: a terminal holds a few kilobytes
            shown += part
        os.close(parent)
    assert process.returncode == 0, shown
    return shown.decode()


def _read(terminal):
    try:
        return os.read(terminal, 4096)
    except OSError:  # the end, on Linux
        return b""


@cache
def of_a_user():
    """What starts a program so that permissions bind it; root's do not, so that root loses them."""
    if os.name != "posix":
        pytest.skip("POSIX permissions")
    if os.geteuid() != 0:
        return ()
    if shutil.which(POWERLESS[0]) and subprocess.run([*POWERLESS, "true"]).returncode == 0:
        return POWERLESS
    pytest.skip("root writes everywhere")
