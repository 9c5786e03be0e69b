"""What several tests share."""

import os
import signal
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nlmeans.cli.main import run
from numpy.typing import NDArray

from nlmeans import Operation
from nlmeans.operation.reference import ReferenceWarning, reference

ROOT = Path(__file__).parent.parent
# Where all that can be installed is, these alone are left out: root is not bound by permissions,
# and the licence of bm3d does not allow every use.
MAY_BE_SKIPPED = ("root writes everywhere", "bm3d is not installed")


def pytest_terminal_summary(terminalreporter):
    """How many tests were skipped, by reason."""
    for reason, count in _skipped(terminalreporter).items():
        terminalreporter.write_line(f"skipped {count}: {reason}")


def pytest_sessionfinish(session):
    """With NLMEANS_RUN_ALL_TESTS set, a test that is skipped for another reason fails the run."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or "NLMEANS_RUN_ALL_TESTS" not in os.environ:
        return
    others = [reason for reason in _skipped(reporter) if reason not in MAY_BE_SKIPPED]
    if others:
        reporter.write_line(f"not to be skipped here: {'; '.join(others)}", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _skipped(reporter):
    reports = reporter.stats.get("skipped", [])
    return Counter(report.longrepr[2].removeprefix("Skipped: ") for report in reports)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture
def cli(capfd, monkeypatch, tmp_path):
    """Run the command line inside tmp_path; returns (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        handler = signal.getsignal(signal.SIGTERM)
        with pytest.raises(SystemExit) as exit_:
            run([str(a) for a in arguments])
        signal.signal(signal.SIGTERM, handler)
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        return exit_.value.code, out, err

    return call


@pytest.fixture
def interruptible():
    """Started in the background, this process ignores these signals, and so would its children."""
    usual = {
        signal.SIGINT: signal.signal(signal.SIGINT, signal.default_int_handler),
        signal.SIGHUP: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    }
    yield
    for number, handler in usual.items():
        signal.signal(number, handler)


def by_reference(
    op: Operation,
    x: NDArray[Any],
    guide: NDArray[Any] | None = None,
    channel_axis: int | None = None,
) -> NDArray[np.float64]:
    """The literal double loop in float64, whatever kernel the operation would choose."""

    def last(a: NDArray[Any]) -> NDArray[Any]:
        return a[..., None] if channel_axis is None else np.moveaxis(a, channel_axis, -1)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ReferenceWarning)  # how slow it is depends on the machine
        y = reference(op.f, op.g, op.over, last(x), None if guide is None else last(guide))
    return y[..., 0] if channel_axis is None else np.moveaxis(y, -1, channel_axis)
