"""What several tests share."""

import signal
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nlmeans.cli.main import run
from numpy.typing import NDArray

from nlmeans import Operation
from nlmeans.operation.reference import ReferenceWarning, reference

ROOT = Path(__file__).parent.parent


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
