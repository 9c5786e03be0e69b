"""The operation as a value: y_i = 1/C(x) * sum over j in S(i) of f(x_i, x_j) g(x_j)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nlmeans.base.arrays import (
    as_planes,
    check_dtype,
    check_shape,
    checked_array,
    checked_axis,
    floats_held,
    from_planes,
    grid_shape,
    to_dtype,
    working_dtype,
)
from nlmeans.base.batches import each_of_batch
from nlmeans.base.checks import ParameterError, check_threads
from nlmeans.base.cost import Cost, Cut, check_limit, in_parts
from nlmeans.operation.affinity import affinity, spread_weights
from nlmeans.operation.embed import Embedding, Identity
from nlmeans.operation.pairwise import Pairwise
from nlmeans.operation.plan import Plan, make_plan
from nlmeans.operation.run import KERNELS
from nlmeans.operation.run.call import Call
from nlmeans.operation.run.kernel import Problem
from nlmeans.operation.support import Everywhere, Neighbours, Support, Window, pool_of

MAP_BYTES = 56  # a position: what the kernel is given of maps, and what that is made of
SMALL = 2**21  # bytes of index maps, rows of constants and the like


@dataclass(frozen=True)
class Operation:
    """The generic non-local operation: a frozen, printable value, called on an array.

    y_i = 1/C(x) * sum over j in S(i) of f(x_i, x_j) g(x_j)

    Parameters
    ----------
    f : Pairwise
        From `gaussian`, `embedded_gaussian`, `dot_product`, `concatenation`, or your own traits.
    g : embedding
        What is averaged: `Identity()` or `Linear(weight, bias)`.
    over : support
        S(i): `Everywhere()`, `Regions(tile)`, `Window(size, border)` or `Neighbours(positions)`.

    See Also
    --------
    nl_means : the classical filter as an Operation.

    References
    ----------
    X. Wang, R. Girshick, A. Gupta, K. He, "Non-local Neural Networks", CVPR 2018, equation 1.

    Examples
    --------
    >>> import numpy as np, nlmeans
    >>> attention = nlmeans.Operation(f=nlmeans.embedded_gaussian(scale=0.5))
    >>> attention(np.ones((6, 5, 3)), channel_axis=-1).shape
    (6, 5, 3)
    """

    f: Pairwise
    g: Embedding = Identity()
    over: Support = Everywhere()
    step: ClassVar[int] = 1  # a part of the array may begin anywhere

    def __post_init__(self) -> None:
        for name, kind in (("f", Pairwise), ("g", Embedding), ("over", Support)):
            value = getattr(self, name)
            if not isinstance(value, kind):
                raise TypeError(
                    f"{name} is {value!r}; it has to be of {getattr(kind, '__name__', kind)}, "
                    "such as nlmeans.gaussian(h=10), nlmeans.Identity(), nlmeans.Window(21)"
                )
        if (self.f.centre in ("max", "zero") or self.f.cut) and pool_of(self.over) is not None:
            raise ParameterError(
                f"centre is {self.f.centre!r} and cut {self.f.cut:g}, but keys are sub-sampled and "
                "none is a position's own; use centre 'one' or 'as computed', and no cut"
            )
        if self.f.maps is not None and pool_of(self.over) is not None:
            raise ParameterError(
                "maps of sigma or h are of positions, and keys are sub-sampled; leave one out"
            )

    def __call__(
        self,
        x: ArrayLike,
        *,
        guide: ArrayLike | None = None,
        channel_axis: int | None = None,
        batch_axis: int | None = None,
        threads: int | None = None,
        max_memory: int | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> NDArray[Any]:
        """Run the operation.

        Parameters
        ----------
        x : array, 1-D to 3-D and a channel axis if one is named
            bool, uint8, uint16, int16, float16, float32 or float64; never changed.
        guide : array, optional
            f looks at this array instead of x: the same positions with any number of channels,
            along `channel_axis`, or along the last axis if x has none, or without channels.
        channel_axis : int, optional
            Without one every element is a position with one channel.
        batch_axis : int, optional
            The arrays along this axis of x, and of the guide, have nothing to do with each other.
        threads : int, optional
            At most this many; all that the process may use by default. Kernels give the same bits
            for any number; matrices and dot products everywhere are BLAS's, whose last bits may
            differ.
        max_memory : int, optional
            Bytes that the call may take above its input, by `cost`. What takes more is filtered in
            parts along the first axis, with the same result to the rounding of floats, where S(i)
            is a window; else it is refused.
        progress : callable, optional
            Called now and then with the fraction done, 0 to 1.

        Returns
        -------
        array of x's shape, with the channels that g gives
            float64 for float64, else float32; where the result is an average of x's own values
            (identity g, C = sum of f) x's dtype, rounded and clipped.

        Raises
        ------
        TypeError, ValueError
            For an array or argument that is not allowed, in one line.
        MemoryError
            If max_memory cannot be kept, before anything is run: in one line with both figures.
        """
        check_limit(max_memory)
        if batch_axis is not None:
            others = {} if guide is None else {"guide": guide}
            call = partial(self, max_memory=max_memory)
            return each_of_batch(
                call, x, others, channel_axis, batch_axis, threads=threads, progress=progress
            )
        x = checked_array("x", x)
        axis = checked_axis("x", x.ndim, channel_axis)
        check_threads(threads)
        dtype = working_dtype(x.dtype)
        features = None
        if guide is not None:
            guide, guide_axis = _checked_guide(guide, axis, grid_shape(x.shape, axis))
            dtype = np.promote_types(dtype, working_dtype(guide.dtype))
            features = as_planes(guide, guide_axis, dtype)
        if max_memory is not None:
            return self._in_parts(x, guide, axis, threads, max_memory, progress)
        planes = as_planes(x, axis, dtype)
        if isinstance(self.over, Neighbours):
            self.over.find(threads)  # which the plan would on all
        channels = None if features is None else len(features)
        plan = make_plan(Problem(self.f, self.g, self.over, planes.shape, channels, dtype))
        y = KERNELS[plan.kernel](
            Call(self.f, self.g, self.over, planes, features, plan.layout, threads, progress)
        )
        if axis is None and len(y) > 1:
            axis = x.ndim  # a linear g made channels where there were none: they come last
        return to_dtype(
            from_planes(y, axis), x.dtype if self._averages() else working_dtype(x.dtype)
        )

    def plan(
        self,
        shape: tuple[int, ...],
        *,
        channel_axis: int | None = None,
        dtype: Any = np.float32,
        guide_channels: int | None = None,
    ) -> Plan:
        """What would run on an array of this shape: kernel, reason, operations, memory.

        Raises
        ------
        TypeError, ValueError
            If the shape, the axis or the dtype is not one that a call would take.

        Examples
        --------
        >>> import nlmeans
        >>> nlmeans.nl_means(sigma=20, h=8).plan((512, 512)).kernel
        'window'
        """
        shape = check_shape("shape", shape)
        check_dtype("the array", np.dtype(dtype))
        axis = checked_axis("the array", len(shape), channel_axis)
        channels = 1 if axis is None else shape[axis]
        planes = (channels, *grid_shape(shape, axis))
        working = working_dtype(np.dtype(dtype))
        return make_plan(Problem(self.f, self.g, self.over, planes, guide_channels, working))

    def cost(
        self,
        shape: tuple[int, ...],
        *,
        channel_axis: int | None = None,
        dtype: Any = np.float32,
        guide_channels: int | None = None,
        threads: int | None = None,
    ) -> Cost:
        """About what a call takes on an array of this shape and dtype; arguments as for `plan`.

        Examples
        --------
        >>> import nlmeans
        >>> cost = nlmeans.nl_means(sigma=20, h=8).cost((5000, 5000), dtype="uint8", threads=2)
        >>> 0.1 < cost.seconds < 100, 25e6 < cost.bytes < 500e6
        (True, True)
        """
        plan = self.plan(
            shape, channel_axis=channel_axis, dtype=dtype, guide_channels=guide_channels
        )
        axis = checked_axis("the array", len(shape), channel_axis)
        held = plan.itemsize * prod(shape) * floats_held(np.dtype(dtype), axis)
        guide = plan.itemsize * prod(plan.positions) * (guide_channels or 0)
        guide += MAP_BYTES * prod(plan.positions) * (self.f.maps is not None)
        # Outputs of g beyond x's channels lie in plan.memory.
        return Cost(plan.seconds(threads), int(held) + guide + plan.peak_memory(threads) + SMALL)

    def _in_parts(
        self,
        x: NDArray[Any],
        guide: NDArray[Any] | None,
        axis: int | None,
        threads: int | None,
        max_memory: int,
        progress: Callable[[float], None] | None,
    ) -> NDArray[Any]:
        """The call, on as much of the array at a time as the memory allows."""
        along = 1 if axis == 0 else 0
        channels = None if guide is None else prod(guide.shape) // prod(grid_shape(x.shape, axis))

        def run(part: slice, progress: Callable[[float], None] | None) -> NDArray[Any]:
            some = None
            if guide is not None:
                seen_along = 1 if axis == 0 and guide.ndim == x.ndim else 0
                some = np.moveaxis(np.moveaxis(guide, seen_along, 0)[part], 0, seen_along)
            here = np.moveaxis(np.moveaxis(x, along, 0)[part], 0, along)
            op = self.on((part,))
            return op(here, guide=some, channel_axis=axis, threads=threads, progress=progress)

        def peak(count: int) -> int:
            shape = (*x.shape[:along], count, *x.shape[along + 1 :])
            op, kind = self.on((slice(0, count),)), x.dtype
            return op.cost(
                shape, channel_axis=axis, dtype=kind, guide_channels=channels, threads=threads
            ).bytes

        around = self.halo(len(grid_shape(x.shape, axis)))
        along_rows = Cut(x.shape[along], along, around if around is None else around[0])
        held = x.size * working_dtype(x.dtype).itemsize
        return in_parts(run, along_rows, peak, held, max_memory, progress)

    def affinity(
        self,
        x: ArrayLike,
        position: int | Sequence[int],
        *,
        guide: ArrayLike | None = None,
        channel_axis: int | None = None,
    ) -> NDArray[np.float64]:
        """What one position gives to each other: f(x_i, x_j)/C(x), the weights of its average.

        Parameters
        ----------
        x, guide, channel_axis
            As in a call.
        position : int, or one per axis of positions
            i, counted from 0 along each axis besides channels.

        Returns
        -------
        array of the grid of positions, float64
            0 outside S(i). Where a window is mirrored at the border, a weight is added where the
            mirror shows its key. Of sub-sampled keys it is the grid of keys, within regions that
            of i's own region. With C = sum of f the weights sum to 1.

        Raises
        ------
        TypeError, ValueError
            For an array or position that is not allowed, in one line.

        Examples
        --------
        >>> import numpy as np, nlmeans
        >>> op = nlmeans.nl_means(h=1, patch_size=1, search_size=3)
        >>> op.affinity(np.array([5.0, 5.0, 5.0, 5.0]), 0).tolist()
        [0.5, 0.5, 0.0, 0.0]
        """
        x = checked_array("x", x)
        axis = checked_axis("x", x.ndim, channel_axis)
        grid = grid_shape(x.shape, axis)
        if self.f.maps is not None:
            self.f.maps.check_grid(grid)
        seen, seen_axis = (x, axis) if guide is None else _checked_guide(guide, axis, grid)
        last = np.moveaxis(as_planes(seen, seen_axis, np.dtype(np.float64)), 0, -1)
        return affinity(self.f, self.over, last, _checked_position(position, grid))

    def spread(self, weights: NDArray[np.float64], grid: tuple[int, ...]) -> NDArray[np.float64]:
        """What `affinity` gives, on all positions of the grid: weights of sub-sampled keys are
        repeated over the block that each stands for.
        """
        return spread_weights(weights, self.over, grid)

    def halo(self, ndim: int) -> tuple[int, ...] | None:
        """How far a result looks along each of so many axes; None if everywhere."""
        if not isinstance(self.over, Window):
            return None
        f = self.f
        embeds = [e.radius(ndim) for e in (f.query, f.key, f.key_bias, self.g) if e is not None]
        # The sum over queries of a key is of queries that lie as far again.
        windows = 2 if f.normaliser == "query sum" else 1
        reach = zip(self.over.radius(ndim), *embeds, strict=True)
        return tuple(windows * search + max(patches) for search, *patches in reach)

    def on(self, part: tuple[slice, ...]) -> Operation:
        """The operation for a part of the array, to which its maps are cut."""
        f = self.f
        return self if f.maps is None else replace(self, f=replace(f, maps=f.maps[part]))

    def _averages(self) -> bool:
        return isinstance(self.g, Identity) and self.f.normaliser == "sum"

    def __str__(self) -> str:
        c = {
            "sum": "sum of f",
            "count": "number of keys in S(i)",
            "query sum": "for every j the sum of f over i",
        }[self.f.normaliser]
        return (
            "y_i = 1/C(x) sum over j in S(i) of f(x_i, x_j) g(x_j)\n"
            f"  f     {self.f}\n"
            f"  g     {self.g}\n"
            f"  C     {c}\n"
            f"  S(i)  {self.over}"
        )


def _checked_position(position: int | Sequence[int], grid: tuple[int, ...]) -> tuple[int, ...]:
    numbers = (position,) if isinstance(position, int | np.integer) else tuple(position)
    if not all(isinstance(k, int | np.integer) for k in numbers) or len(numbers) != len(grid):
        raise ValueError(
            f"position is {position!r}; the array's positions are {grid}: a number per axis"
        )
    if not all(0 <= k < n for k, n in zip(numbers, grid, strict=True)):
        raise ValueError(
            f"position {position!r} is outside of the array's positions, {grid}, from 0"
        )
    return tuple(int(k) for k in numbers)


def _checked_guide(
    guide: ArrayLike, axis: int | None, grid: tuple[int, ...]
) -> tuple[NDArray[Any], int | None]:
    """The guide and its channel axis."""
    array = checked_array("guide", guide)
    if array.ndim == len(grid):
        axis = None
    elif axis is None:
        axis = array.ndim - 1
    if array.ndim > len(grid) + 1 or grid_shape(array.shape, axis) != grid:
        raise ValueError(
            f"guide has shape {array.shape}; its positions have to be those of x, {grid}, with "
            "channels along channel_axis, or last if x has none"
        )
    return array, axis
