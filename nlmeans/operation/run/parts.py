"""The features of all parts of a support, one after the other, as the kernels take them."""

from itertools import pairwise
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nlmeans.operation.embed import Embedding
from nlmeans.operation.features import features
from nlmeans.operation.pairwise import Pairwise
from nlmeans.operation.support import Part, Support

Array = NDArray[Any]


class Parts(NamedTuple):
    """Queries and keys of part k are those from starts[k] up to starts[k + 1]."""

    queries: Array  # (N, d)
    keys: Array  # (M, d)
    bias: Array  # (M,), of the keys
    values: Array  # (M, channels)
    starts: NDArray[np.intp]  # (parts + 1, 2): of queries, of keys
    places: list[Part]  # of a part's positions in the grid
    grid: tuple[int, ...]

    def to_planes(self, y: Array) -> Array:
        """Results (N, channels) as planes (channels, *grid), in y's memory where that goes."""
        if len(self.places) == 1:
            return np.moveaxis(y.reshape(*self.grid, -1), -1, 0)
        whole = np.empty((*self.grid, y.shape[1]), dtype=y.dtype)
        for part, (first, end) in zip(self.places, pairwise(self.starts[:, 0]), strict=True):
            whole[part] = y[first:end].reshape(whole[part].shape)
        return np.moveaxis(whole, -1, 0)


def parts_of(f: Pairwise, g: Embedding, over: Support, planes: Array, guide: Array | None) -> Parts:
    """Of planes (C, *grid), and of the guide's if there are such.

    A view where there is one part and the embeddings give one.
    """
    x, seen = (np.moveaxis(a, 0, -1) for a in (planes, planes if guide is None else guide))
    places, found, starts = [], [], [(0, 0)]
    for part, of in features(f, g, over, x, seen):
        places.append(part)
        found.append((_rows(of.queries), _rows(of.keys), of.bias.reshape(-1), _rows(of.values)))
        starts.append((starts[-1][0] + len(found[-1][0]), starts[-1][1] + len(found[-1][1])))
    queries, keys, bias, values = (
        each[0] if len(each) == 1 else np.concatenate(each) for each in zip(*found, strict=True)
    )
    return Parts(
        queries, keys, bias, values, np.array(starts, dtype=np.intp), places, planes.shape[1:]
    )


def _rows(array: Array) -> Array:
    return array.reshape(prod(array.shape[:-1]), array.shape[-1])
