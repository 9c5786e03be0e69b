"""The features of all parts of a support, one after the other, as the kernels take them."""

from itertools import pairwise
from math import prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nlmeans.operation.features import features
from nlmeans.operation.run.call import Array, Call
from nlmeans.operation.support import Part


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


def parts_of(call: Call) -> Parts:
    """Views where there is one part and the embeddings give views."""
    x, seen = (np.moveaxis(a, 0, -1) for a in (call.planes, call.seen))
    places, found, starts = [], [], [(0, 0)]
    for part, of in features(call.f, call.g, call.over, x, seen):
        places.append(part)
        found.append((_rows(of.queries), _rows(of.keys), of.bias.reshape(-1), _rows(of.values)))
        starts.append((starts[-1][0] + len(found[-1][0]), starts[-1][1] + len(found[-1][1])))
    queries, keys, bias, values = (
        each[0] if len(each) == 1 else np.concatenate(each) for each in zip(*found, strict=True)
    )
    grid = call.planes.shape[1:]
    return Parts(queries, keys, bias, values, np.array(starts, dtype=np.intp), places, grid)


def _rows(array: Array) -> Array:
    return array.reshape(prod(array.shape[:-1]), array.shape[-1])
