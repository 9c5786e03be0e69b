"""What is said before a file is filtered: that kernels are compiled, what it takes."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from nlmeans.cli.files import shown

if TYPE_CHECKING:
    from nlmeans.base.cost import Cost

PATIENCE = 3.0  # seconds of compiling that are not worth a word
LONG = 30.0  # seconds of filtering that are


@contextmanager
def compiling_notice(*, silent: bool) -> Iterator[None]:
    """A line on standard error, while it is a terminal, where kernels take long to compile."""
    if silent or not sys.stderr.isatty():
        yield
        return
    from numba.core import event

    class Notice(event.Listener):
        """Compilations begin within one another; only the outermost counts."""

        depth, spent, begun = 0, 0.0, 0.0
        timer: threading.Timer | None = None

        def on_start(self, event: Any) -> None:
            self.depth += 1
            if self.depth == 1 and self.spent < PATIENCE:
                self.begun = time.perf_counter()
                text = "nlmeans: compiling, the first time only"
                self.timer = threading.Timer(
                    PATIENCE - self.spent, click.echo, [text], {"err": True}
                )
                self.timer.daemon = True
                self.timer.start()

        def on_end(self, event: Any) -> None:
            self.depth -= 1
            if self.depth == 0 and self.timer is not None:
                self.timer.cancel()
                self.timer = None
                self.spent += time.perf_counter() - self.begun

    with event.install_listener("numba:compile", Notice()):
        yield


def announce(
    path: Path,
    cost: "Cost",
    threads: int | None,
    max_memory: int | None,
    *,
    silent: bool,
    of: str = "",
) -> None:
    """Say on standard error what a file will take, where it takes long or more than there is.

    `of` names what of the file the cost is, if not of all.
    """
    from nlmeans.base.cost import show_bytes, show_seconds
    from nlmeans.base.machine import cores

    scarce = max_memory is not None and cost.bytes > max_memory
    if silent or not (scarce or cost.seconds > LONG):
        return
    most = threads or cores()
    text = (
        f"nlmeans: {shown(path)}: {of}about {show_seconds(cost.seconds)} on {most} "
        f"thread{'s' if most > 1 else ''}, {show_bytes(cost.bytes)} of memory"
    )
    if scarce and max_memory is not None:
        text += f"; {show_bytes(max(max_memory, 0))} may be taken"
    click.echo(text, err=True)


def memory_left(max_memory: int | None, coming: int = 0) -> int | None:
    """Bytes that a filter may take; None if unknown.

    - `max_memory`: what may be taken above the input; what the machine has left, by default.
    - `coming`: bytes of the result.
    """
    from nlmeans.base.machine import available_memory

    limits = [limit for limit in (max_memory, available_memory()) if limit is not None]
    return min(limits) - coming if limits else None
