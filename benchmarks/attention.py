"""How fast is the operation over everywhere, and how much memory does it take, beside PyTorch?

    pip install -e '.[benchmark]' torch
    python benchmarks/attention.py [--rows softmax_32,linear] [--threads 2] [--runs 9]
                                   [--markdown FILE] [--json FILE]
    python benchmarks/attention.py --memory D --threads 2

Data: random. Time: about 3 minutes.

Our times are of whole calls: checks, theta, phi and g (matrices), the kernel, and the axes put
back. PyTorch, on the CPU, where it is installed, is timed twice: given q, k and v, and computing
them from x as we do. Runs are interleaved, medians compared, and the outputs too. Memory is of a
process of its own: `--memory` prints the MiB that an embedded Gaussian with d = d_v = D takes
above input and output.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from measure import Array, Contender, Run, Table, compare, options_of, report, timed

from nlmeans import Linear, Operation, concatenation, dot_product, embedded_gaussian

ATTENTION, LONG = 16384, 65536  # positions


def softmax_32(threads: int, runs: int) -> Table:
    """Embedded Gaussian everywhere, N = 16384, C = d = d_v = 32, float32"""
    return _softmax(32, threads, runs)


def softmax_64(threads: int, runs: int) -> Table:
    """Embedded Gaussian everywhere, N = 16384, C = d = d_v = 64, float32"""
    return _softmax(64, threads, runs)


def linear(threads: int, runs: int) -> Table:
    """Dot product everywhere, N = 65536, C = d = d_v = 32, float32"""
    x = _noise(LONG, 32)
    matrices = _matrices(32)
    theta, phi, g = matrices
    op = Operation(dot_product(theta, phi), Linear(g))

    def methods() -> Iterator[Contender]:
        yield _ours(op, x, threads)
        planes = np.ascontiguousarray(x.T)
        run = timed(lambda: op(planes, channel_axis=0, threads=threads))
        yield Contender(f"nlmeans, channels first, {threads} threads", _transposed(run))
        yield from _torch(
            x, matrices, threads, lambda q, k, v: q @ (k.T @ v) / LONG, "theta @ (phi.T @ g) / N"
        )

    return compare(_title(linear), methods(), runs, None, 1.0)


def concatenated(threads: int, runs: int) -> Table:
    """Concatenation everywhere, N = 65536, C = d = d_v = 32, float32"""
    x = _noise(LONG, 32)
    theta, phi, g = _matrices(32)
    w = np.random.default_rng(2).normal(size=64)
    op = Operation(concatenation(w, theta, phi), Linear(g))
    return compare(_title(concatenated), [_ours(op, x, threads)], runs, None, 1.0)


ROWS = {row.__name__: row for row in (softmax_32, softmax_64, linear, concatenated)}


def _softmax(d: int, threads: int, runs: int) -> Table:
    x, matrices = _noise(ATTENTION, d), _matrices(d)
    op = _attention(d)

    def methods() -> Iterator[Contender]:
        yield _ours(op, x, threads)
        yield from _torch(x, matrices, threads, _attend, "scaled_dot_product_attention")

    table = compare(_title(softmax_32 if d == 32 else softmax_64), methods(), runs, None, 1.0)
    plan = op.plan(x.shape, channel_axis=1)
    rate = plan.operations / table.lines[0].milliseconds / 1e6
    table.notes.append(f"- operations of the plan: {plan.operations:.3g}; ours {rate:.3g} Gop/s")
    command = [sys.executable, __file__, "--memory", str(d), "--threads", str(threads)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    table.notes.append(
        f"- ours takes {json.loads(result.stdout):.1f} MiB above input and output; planned were "
        f"{plan.memory / 2**20:.1f} MiB"
    )
    return table


def _attention(d: int) -> Operation:
    theta, phi, g = _matrices(d)
    return Operation(embedded_gaussian(theta, phi, scale=d**-0.5), Linear(g))


def _attend(q: Any, k: Any, v: Any) -> Any:
    import torch

    attend = torch.nn.functional.scaled_dot_product_attention
    return attend(q[None, None], k[None, None], v[None, None])[0, 0]


def _torch(x: Array, matrices: Array, threads: int, call: Any, name: str) -> Iterator[Contender]:
    """The call given q, k and v, and with what makes them of x; nothing without PyTorch."""
    try:
        import torch
    except ImportError:
        return
    torch.set_num_threads(threads)
    tensor, weights = torch.from_numpy(x), torch.from_numpy(matrices.astype(x.dtype))
    ready = [tensor @ w.T for w in weights]
    yield Contender(f"PyTorch, {name}, given q, k, v", timed(lambda: call(*ready).numpy()))
    whole = timed(lambda: call(*(tensor @ w.T for w in weights)).numpy())
    yield Contender(f"PyTorch, {name}, from x", whole)


def _ours(op: Operation, x: Array, threads: int) -> Contender:
    return Contender(
        f"nlmeans, {threads} threads", timed(lambda: op(x, channel_axis=1, threads=threads))
    )


def _transposed(run: Run) -> Run:
    def transposed() -> tuple[float, Array]:
        seconds, output = run()
        return seconds, output.T

    return transposed


def _noise(positions: int, channels: int) -> Array:
    return np.random.default_rng(0).standard_normal((positions, channels), dtype=np.float32)


def _matrices(d: int) -> Array:
    return np.random.default_rng(1).normal(size=(3, d, d)) / np.sqrt(d)


def _title(row: Any) -> str:
    return str(row.__doc__)


def print_memory(d: int, threads: int) -> None:
    """On Linux, where the peak that a process remembers can be set back."""
    op = _attention(d)
    op(_noise(99, d), channel_axis=1, threads=threads)  # compiled or loaded
    x = _noise(ATTENTION, d)
    Path("/proc/self/clear_refs").write_text("5")
    before = _peak_mib()
    y = op(x, channel_axis=1, threads=threads)
    print(json.dumps(_peak_mib() - before - y.nbytes / 2**20))


def _peak_mib() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return float(line.split()[1]) / 2**10
    raise RuntimeError("/proc/self/status names no VmHWM")


def main() -> None:
    parser = options_of(__doc__)
    parser.add_argument("--rows", default=",".join(ROWS), help=f"of {', '.join(ROWS)}")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--memory", type=int, metavar="D")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    if options.memory:
        print_memory(options.memory, options.threads)
        return
    with tempfile.TemporaryDirectory() as cache:
        os.environ["NUMBA_CACHE_DIR"] = cache  # before the first import of Numba
        report({name: ROWS[name] for name in options.rows.split(",")}, options)


if __name__ == "__main__":
    main()
