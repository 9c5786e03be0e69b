"""What the neighbourhood kernel takes: tiles, memory, operations."""

from math import prod

from nlmeans.kernels.strips import row_step, tile_of
from nlmeans.operation.embed import Embedding, Identity
from nlmeans.operation.pairwise import Pairwise
from nlmeans.operation.support import Window

EXP = 17  # operations


def neighbourhood_tile(grid: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Along each axis of the array."""
    tile = tile_of(itemsize)[-len(grid) :]
    return tuple(min(t, n) for t, n in zip(tile, grid, strict=True))


def neighbourhood_memory(
    f: Pairwise,
    g: Embedding,
    over: Window,
    grid: tuple[int, ...],
    d: int,
    values: int,
    itemsize: int,
) -> int:
    """Bytes: keys and values row by row, and what the embeddings give."""
    keys = tuple(n + 2 * m for n, m in zip(grid, over.margin(grid), strict=True))
    _, step = row_step(keys[-1], itemsize)
    numbers = prod(keys[:-1]) * step * (1 + d + values)
    numbers += 0 if isinstance(f.query, Identity) else prod(grid) * d
    for embed, outputs in ((f.key, d), (g, values)):
        if keys != grid or not isinstance(embed, Identity):
            numbers += prod(keys) * outputs
    return numbers * itemsize


def neighbourhood_operations(f: Pairwise, pairs: int, d: int, values: int) -> int:
    score = (3 if f.score == "distance" else 2) * d
    return pairs * (score + (EXP if f.weight == "exp" else 2) + 2 * values)
