"""Who the neighbours of unstructured positions are, as lists in an order of their own."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nlmeans.base.scaling import exponent_of

AT_ONCE = 4096  # points whose neighbours are looked for together
BYTES_WHILE_FOUND = 48  # for each of their neighbours
HIGHEST = 500  # exponent of 2 of the largest coordinate


class Lists(NamedTuple):
    """Neighbours of unstructured positions, which are numbered anew: near ones have near numbers.

    Memory is then read nearly in order: with 100000 points in no order of their own, lists were
    found in a sixth of the time and worked off in a third.
    """

    order: NDArray[np.intp]  # number -> position
    starts: NDArray[np.intp]  # where the list of each number begins; one more for the end
    numbers: NDArray[np.int32]  # the lists, each ascending


def lists_of(
    points: NDArray[np.float64], k: int | None, radius: float | None, workers: int
) -> Lists:
    """The k nearest of every point (N, D), or those within the radius; -1 workers are all cores."""
    from scipy.spatial import cKDTree

    # By a power of two, which rounds nothing: squared distances are then finite.
    scale = 2.0 ** (HIGHEST - exponent_of(float(np.abs(points).max()), lowest=-HIGHEST))
    points = points * scale
    if radius is not None:
        radius = min(radius * scale, 2.0 ** (HIGHEST + 9))
    tree = cKDTree(points)
    order = tree.indices.astype(np.intp)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    found, lengths = [], []
    for first in range(0, len(order), AT_ONCE):  # what SciPy finds takes four times the memory
        members = order[first : first + AT_ONCE]
        if k is not None:
            nearest = tree.query(points[members], k=[*range(1, k + 1)], workers=workers)[1]
            lost = ~(nearest == members[:, None]).any(axis=1)  # among equal positions others
            nearest[lost, -1] = members[lost]  # can come first
            lengths.append(np.full(len(members), k))
            found.append(np.sort(rank[nearest].astype(np.int32), axis=1).reshape(-1))
        else:
            around = tree.query_ball_point(points[members], radius, workers=workers)
            lengths.append(np.array([len(each) for each in around]))
            found.append(np.concatenate([np.sort(rank[e].astype(np.int32)) for e in around]))
    starts = np.concatenate([[0], np.cumsum(np.concatenate(lengths))])
    return Lists(order, starts, np.concatenate(found))
