"""The non-local block z = W_z y + x around an operation, and chains of blocks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nlmeans.base.arrays import (
    checked_array,
    checked_axis,
    from_planes,
    grid_shape,
    to_planes,
    working_dtype,
)
from nlmeans.base.batches import each_of_batch
from nlmeans.base.blas import blas_at_most
from nlmeans.base.cost import Cost
from nlmeans.base.progress import Progress, part_of
from nlmeans.operation.embed import Embedding, widen
from nlmeans.operation.operation import Operation
from nlmeans.operation.plan import Plan
from nlmeans.operation.support import Window

Array = NDArray[Any]


@dataclass(frozen=True)
class Block:
    """z_i = W_z y_i + x_i, with y the result of an operation on x: frozen, printable, callable.

    Parameters
    ----------
    operation : Operation
    out : embedding, optional
        W_z, with batch norm and gain folded into its matrix and bias; y itself by default. A
        `Linear` of `Patches` looks at the neighbourhood of y_i. Beyond the border y is mirrored;
        over a window with border "mirror" it is the result on x mirrored there.
    residual : bool
        Whether x is added.

    References
    ----------
    X. Wang, R. Girshick, A. Gupta, K. He, "Non-local Neural Networks", CVPR 2018, equation 6.

    Examples
    --------
    >>> import numpy as np, nlmeans
    >>> theta = phi = g = np.eye(2, 4)  # a bottleneck: 2 of 4 channels
    >>> block = nlmeans.Block(
    ...     nlmeans.Operation(nlmeans.embedded_gaussian(theta, phi), nlmeans.Linear(g)),
    ...     out=nlmeans.Linear(np.ones((4, 2))),
    ... )
    >>> block(np.ones((4, 6, 5)), channel_axis=0).shape
    (4, 6, 5)
    """

    operation: Operation
    out: Embedding | None = None
    residual: bool = True
    step: ClassVar[int] = 1  # a part of the array may begin anywhere

    def __post_init__(self) -> None:
        operation: object = self.operation
        out: object = self.out
        if not isinstance(operation, Operation):
            kind = type(operation).__name__
            raise TypeError(f"operation is of type {kind}; it has to be an Operation")
        if out is not None and not isinstance(out, Embedding):
            kind = type(out).__name__
            raise TypeError(
                f"out is of type {kind}; give None or an embedding, such as Linear(matrix)"
            )

    def __call__(
        self,
        x: ArrayLike,
        *,
        channel_axis: int | None = None,
        batch_axis: int | None = None,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> Array:
        """Run the block.

        Parameters
        ----------
        x, channel_axis, batch_axis, threads, progress
            As an `Operation` takes them.

        Returns
        -------
        array, float64 for float64, else float32
            Of x's shape where x is added; else with the channels that `out` gives.

        Raises
        ------
        TypeError, ValueError
            As an `Operation` does, or if W_z gives another number of channels than x has, or
            looks at patches of a softmax over queries in a mirrored window.
        """
        return _called(self, x, channel_axis, batch_axis, threads, progress)

    def _run(self, planes: Array, threads: int | None, progress: Progress | None) -> Array:
        """z of planes (C, *grid), as planes."""
        margin = self._margin(planes.ndim - 1)
        seen = planes
        if any(margin):
            seen = np.moveaxis(widen(np.moveaxis(planes, 0, -1), margin), -1, 0)
        y = self.operation(seen, channel_axis=0, threads=threads, progress=progress)
        if self.out is not None:
            with blas_at_most(threads):
                y = np.moveaxis(self.out(np.moveaxis(y, 0, -1)), -1, 0)
        inside = (slice(m, n - m) for m, n in zip(margin, y.shape[1:], strict=True))
        y = y[:, *inside]
        if self.residual:
            if len(y) != len(planes):
                raise ValueError(
                    f"the block gives {len(y)} channels and x has {len(planes)}; they are added, "
                    "so W_z needs as many outputs as x has channels"
                )
            y = y + planes
        return y

    def cost(
        self,
        shape: tuple[int, ...],
        *,
        channel_axis: int | None = None,
        dtype: Any = np.float32,
        threads: int | None = None,
    ) -> Cost:
        """About what a call takes on an array of this shape and dtype."""
        channels, *grid = _planes_shape(shape, channel_axis)
        dtype = working_dtype(np.dtype(dtype))
        wide = (n + 2 * m for n, m in zip(grid, self._margin(len(grid)), strict=True))
        seen = (channels, *wide)
        cost = self.operation.cost(seen, channel_axis=0, dtype=dtype, threads=threads)
        outputs = self.operation.g.outputs(channels, len(grid))
        outputs += 0 if self.out is None else self.outputs(channels, len(grid))
        # The planes, as they are and widened, what y and z are before their channels are moved.
        held = (2 * channels + 2 * outputs) * prod(seen[1:]) * dtype.itemsize
        return Cost(cost.seconds, cost.bytes + held)

    def halo(self, ndim: int) -> tuple[int, ...] | None:
        """How far z looks along each of so many axes; None if everywhere."""
        around = self.operation.halo(ndim)
        if around is None or self.out is None:
            return around
        return tuple(a + b for a, b in zip(around, self.out.radius(ndim), strict=True))

    def on(self, part: tuple[slice, ...]) -> Block:
        """The block for a part of the array, to which its maps are cut."""
        return replace(self, operation=self.operation.on(part))

    def plan(
        self, shape: tuple[int, ...], *, channel_axis: int | None = None, dtype: Any = np.float32
    ) -> Plan:
        """What the operation runs on an array of this shape; see `Operation.plan`."""
        channels, *grid = _planes_shape(shape, channel_axis)
        wide = (n + 2 * m for n, m in zip(grid, self._margin(len(grid)), strict=True))
        return self.operation.plan((channels, *wide), channel_axis=0, dtype=dtype)

    def outputs(self, channels: int, ndim: int) -> int:
        """Channels of z, of x with so many."""
        of_y = self.operation.g.outputs(channels, ndim)
        return of_y if self.out is None else self.out.outputs(of_y, ndim)

    def _margin(self, ndim: int) -> tuple[int, ...]:
        """How far beyond x's border lies what z depends on, where y is asked for there."""
        over, f = self.operation.over, self.operation.f
        if self.out is None or not any(self.out.radius(ndim)):
            return (0,) * ndim
        if not isinstance(over, Window) or over.border != "mirror":
            return (0,) * ndim  # no candidate lies beyond the border; `out` mirrors y itself
        if f.normaliser == "query sum":
            raise ValueError(
                "a softmax over queries is another one where more positions are seen, so that "
                "W_z of patches cannot look beyond a mirrored window's border; give the window "
                'border "inside", or W_z without patches'
            )
        embeds = [each for each in (f.query, f.key, f.key_bias, self.operation.g) if each]
        patch = map(max, *(embed.radius(ndim) for embed in embeds))
        each_axis = zip(self.out.radius(ndim), over.radius(ndim), patch, strict=True)
        return tuple(sum(radii) for radii in each_axis)

    def __str__(self) -> str:
        y = "y" if self.out is None else f"({self.out})(y)"
        return f"z = {y}{' + x' if self.residual else ''}\n{self.operation}"


def _called(
    block: Block | Chain,
    x: ArrayLike,
    channel_axis: int | None,
    batch_axis: int | None,
    threads: int | None,
    progress: Progress | None,
) -> Array:
    """The block on an array; where it makes channels and there were none, they come last."""
    if batch_axis is not None:
        return each_of_batch(
            block, x, {}, channel_axis, batch_axis, threads=threads, progress=progress
        )
    x = checked_array("x", x)
    axis = checked_axis("x", x.ndim, channel_axis)
    y = block._run(to_planes(x, axis, working_dtype(x.dtype)), threads, progress)
    if axis is None and len(y) > 1:
        axis = x.ndim
    return from_planes(y, axis)


def _planes_shape(shape: tuple[int, ...], channel_axis: int | None) -> tuple[int, ...]:
    axis = checked_axis("the array", len(shape), channel_axis)
    return (1 if axis is None else shape[axis], *grid_shape(shape, axis))


@dataclass(frozen=True)
class Chain:
    """Blocks one after the other: the first sees x, each later one x and the result before it.

    Parameters
    ----------
    blocks : tuple of Block
        All but the first are given the channels of x followed by those of the result before.

    Examples
    --------
    >>> import numpy as np, nlmeans
    >>> first = nlmeans.Block(nlmeans.nl_means(1, 1, 3, 3), residual=False)
    >>> mean = nlmeans.Linear([[0.5, 0.5]])
    >>> second = nlmeans.Block(nlmeans.nl_means(1, 1, 3, 3), out=mean, residual=False)
    >>> nlmeans.Chain((first, second))(np.eye(4)).shape
    (4, 4)
    """

    blocks: tuple[Block, ...]
    step: ClassVar[int] = 1

    def __post_init__(self) -> None:
        blocks: tuple[object, ...] = tuple(self.blocks)
        object.__setattr__(self, "blocks", blocks)
        for number, block in enumerate(blocks):
            if not isinstance(block, Block):
                raise TypeError(
                    f"block {number} is of type {type(block).__name__}; it has to be a Block"
                )
        if not blocks:
            raise ValueError("a chain has no blocks; it needs at least one")

    def __call__(
        self,
        x: ArrayLike,
        *,
        channel_axis: int | None = None,
        batch_axis: int | None = None,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> Array:
        """Run the blocks; parameters, result and errors are those of a `Block`."""
        return _called(self, x, channel_axis, batch_axis, threads, progress)

    def _run(self, planes: Array, threads: int | None, progress: Progress | None) -> Array:
        """The last block's result on planes (C, *grid), as planes."""
        seen = planes
        for k, block in enumerate(self.blocks):
            y = block._run(seen, threads, part_of(progress, k, len(self.blocks)))
            seen = np.concatenate([planes, y])
        return y

    def cost(
        self,
        shape: tuple[int, ...],
        *,
        channel_axis: int | None = None,
        dtype: Any = np.float32,
        threads: int | None = None,
    ) -> Cost:
        """About what a call takes on an array of this shape and dtype."""
        channels, *grid = _planes_shape(shape, channel_axis)
        itemsize = working_dtype(np.dtype(dtype)).itemsize
        total, seen, before = Cost(0.0, 0), channels, 0
        for block in self.blocks:
            cost = block.cost((seen, *grid), channel_axis=0, dtype=dtype, threads=threads)
            held = (channels + before) * prod(grid) * itemsize  # x and the last result
            total += Cost(cost.seconds, cost.bytes + held)
            before = block.outputs(seen, len(grid))
            seen = channels + before
        return total

    def halo(self, ndim: int) -> tuple[int, ...] | None:
        """How far the last result looks along each of so many axes; None if everywhere."""
        each = [block.halo(ndim) for block in self.blocks]
        around = [one for one in each if one is not None]
        return tuple(map(sum, zip(*around, strict=True))) if len(around) == len(each) else None

    def on(self, part: tuple[slice, ...]) -> Chain:
        """The chain for a part of the array, to which its maps are cut."""
        return Chain(tuple(block.on(part) for block in self.blocks))

    def plan(
        self, shape: tuple[int, ...], *, channel_axis: int | None = None, dtype: Any = np.float32
    ) -> Plan:
        """What the first block runs on an array of this shape; see `Operation.plan`."""
        return self.blocks[0].plan(shape, channel_axis=channel_axis, dtype=dtype)

    def outputs(self, channels: int, ndim: int) -> int:
        """Channels of the last result, of x with so many."""
        made = 0
        for block in self.blocks:
            made = block.outputs(channels + made, ndim)
        return made

    def __str__(self) -> str:
        return "\n".join(f"block {k}: {block}" for k, block in enumerate(self.blocks))
