"""How fast is softmax attention over a search window, beside PyTorch?

    pip install -e '.[test]' torch==2.13.0
    python benchmarks/neighbourhood.py [--threads 2] [--runs 9] [--markdown FILE] [--json FILE]

Data: random, 256x256, window 21x21, d = d_v = 32. Time: about 3 minutes.

PyTorch has no operation of this kind on CPU. It takes part as unfold with softmax, in strips of one
row of queries, which of 1, 2, 4 and 16 is the fastest, and as compiled flex_attention, in the
order of rows and in tiles, which leave fewer keys to mask. All get the same queries, keys and
values and the results are compared. Times of processors are printed too: they say what the medians
of a busy machine hide.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from measure import Array, Contender, Table, compare, options_of, report, timed
from torch.nn import functional
from torch.nn.attention.flex_attention import BlockMask, flex_attention

from nlmeans import Operation, Window, embedded_gaussian

SIDE, WINDOW, D = 256, 21, 32
RADIUS = WINDOW // 2
BLOCK = 128  # of flex_attention
TILES = {"rows": (1, SIDE), "tiles of 8x16": (8, 16), "tiles of 32x32": (32, 32)}
OUTSIDE = -1e30


def unfolded(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Attention of (D, SIDE, SIDE), the windows of a row of queries copied out for each."""
    out = torch.empty_like(v)
    frame = (RADIUS,) * 4
    k, v = (functional.pad(each, frame) for each in (k, v))
    masks = functional.pad(torch.zeros(SIDE, SIDE), frame, value=OUTSIDE)
    for y in range(SIDE):
        rows = slice(y, y + WINDOW)
        keys = k[:, rows].unfold(2, WINDOW, 1).permute(2, 0, 1, 3).reshape(SIDE, D, -1)
        values = v[:, rows].unfold(2, WINDOW, 1).permute(2, 1, 3, 0).reshape(SIDE, -1, D)
        mask = masks[rows].unfold(1, WINDOW, 1).permute(1, 0, 2).reshape(SIDE, 1, -1)
        queries = q[:, y].T[:, None]
        weights = torch.softmax(torch.baddbmm(mask, queries, keys, alpha=D**-0.5), -1)
        out[:, y] = torch.bmm(weights, values)[:, 0].T
    return out


def flex(height: int, width: int) -> Callable[..., torch.Tensor]:
    """flex_attention of positions in tiles of this size, one tile after the other."""
    order = np.arange(SIDE**2).reshape(SIDE // height, height, SIDE // width, width)
    order = order.transpose(0, 2, 1, 3).reshape(-1)
    y, x = order // SIDE, order % SIDE
    at_y, at_x = torch.tensor(y), torch.tensor(x)

    def near(_b: object, _h: object, i: torch.Tensor, j: torch.Tensor) -> torch.Tensor:
        close = (at_y[i] - at_y[j]).abs() <= RADIUS
        return close & ((at_x[i] - at_x[j]).abs() <= RADIUS)

    low, high = ([f(each.reshape(-1, BLOCK), axis=1) for each in (y, x)] for f in (np.min, np.max))
    meet = np.logical_and(
        *(
            (a[:, None] - RADIUS <= b) & (b[:, None] + RADIUS >= a)
            for a, b in zip(low, high, strict=True)
        )
    )
    counts = torch.tensor(meet.sum(1).astype(np.int32))[None, None]
    which = torch.tensor(np.argsort(~meet, axis=1, kind="stable").astype(np.int32))[None, None]
    mask = BlockMask.from_kv_blocks(
        counts, which, BLOCK_SIZE=BLOCK, mask_mod=near, seq_lengths=(SIDE**2, SIDE**2)
    )
    compiled = torch.compile(flex_attention, dynamic=False)
    taken, back = torch.tensor(order), torch.tensor(np.argsort(order))

    def call(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        q, k, v = (each.reshape(D, -1).T[taken][None, None] for each in (q, k, v))
        y = compiled(q, k, v, block_mask=mask, scale=D**-0.5)
        return y[0, 0][back].T.reshape(D, SIDE, SIDE)

    return call


def main() -> None:
    parser = options_of(__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rng = np.random.default_rng(0)
    features, values = (rng.normal(size=(D, SIDE, SIDE)).astype(np.float32) for _ in range(2))
    q, v = torch.tensor(features), torch.tensor(values)
    op = Operation(embedded_gaussian(scale=D**-0.5), over=Window(WINDOW))
    seconds: dict[str, list[float]] = {}

    def method(name: str, call: Callable[[], Array]) -> Contender:
        def counted() -> Array:
            start = time.process_time()
            output = call()
            seconds.setdefault(name, []).append(time.process_time() - start)
            return output

        call()  # compiles, which is not to count
        return Contender(name, timed(counted))

    def methods() -> Iterator[Contender]:
        yield method(
            "nlmeans", lambda: op(values, guide=features, channel_axis=0, threads=options.threads)
        )
        yield method("PyTorch, unfold and softmax", lambda: unfolded(q, q, v).numpy())
        for name, tile in TILES.items():
            call = flex(*tile)
            yield method(
                f"PyTorch, flex_attention, {name}", lambda call=call: call(q, q, v).numpy()
            )

    def row(_: int, runs: int) -> Table:
        title = f"Attention over {WINDOW}x{WINDOW}, {SIDE}x{SIDE}, d = d_v = {D}, float32"
        with torch.no_grad():
            table = compare(title, methods(), runs, None, float(np.ptp(values)))
        for name, taken in seconds.items():
            table.notes.append(f"- {name}: {1000 * np.median(taken[1:]):.4g} ms of processor time")
        return table

    report({"neighbourhood": row}, options)


if __name__ == "__main__":
    main()
