"""What several tests share."""

import hashlib
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nlmeans.cli.main import run
from numpy.typing import NDArray

from nlmeans import Operation
from nlmeans.reference import reference

# Numba's cache sees changes in a kernel's own file only, not in what it calls: a cache for each
# state of the sources, so that no test runs yesterday's code. Subprocesses inherit it.
KERNELS = Path(__file__).parent.parent / "nlmeans" / "kernels"
STATE = hashlib.sha256(b"".join(p.read_bytes() for p in sorted(KERNELS.glob("*.py"))))
CACHE = Path.home() / ".cache" / "nlmeans-tests" / STATE.hexdigest()[:16]
os.environ.setdefault("NUMBA_CACHE_DIR", str(CACHE))


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


def by_reference(
    op: Operation,
    x: NDArray[Any],
    guide: NDArray[Any] | None = None,
    channel_axis: int | None = None,
) -> NDArray[np.float64]:
    """The literal double loop in float64, whatever kernel the operation would choose."""

    def last(a: NDArray[Any]) -> NDArray[Any]:
        return a[..., None] if channel_axis is None else np.moveaxis(a, channel_axis, -1)

    y = reference(op.f, op.g, op.over, last(x), None if guide is None else last(guide))
    return y[..., 0] if channel_axis is None else np.moveaxis(y, -1, channel_axis)
