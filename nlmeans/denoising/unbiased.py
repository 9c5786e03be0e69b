"""Averages of Rician magnitudes without their bias."""

from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nlmeans.base.arrays import checked_array, checked_axis, working_dtype
from nlmeans.base.cost import Cost
from nlmeans.base.progress import Progress
from nlmeans.base.scaling import exponent_of
from nlmeans.operation.filter import Box
from nlmeans.operation.operation import Operation
from nlmeans.operation.plan import Plan

Array = NDArray[Any]
FLOATS_HELD = 3  # arrays that are held beside the operation's


@dataclass(frozen=True, eq=False)
class Unbiased:
    """sqrt(max(average of squares less 2 sigma^2, 0)), with the weights that the image gives.

    The correction of averages of squares is that of [1]_.

    Parameters
    ----------
    operation : Operation
        An average.
    sigma : float or array (*grid)
        Standard deviation of the Gaussian noise in both parts of the signal.

    References
    ----------
    .. [1] N. Wiest-Daessle, S. Prima, P. Coupe, S. P. Morrissey, C. Barillot, "Rician noise
       removal by non-local means filtering for low signal-to-noise ratio MRI", MICCAI 2008.
    """

    operation: Operation
    sigma: float | Array

    @property
    def step(self) -> int:
        """A part of the image may begin where one of the operation's may."""
        return self.operation.step

    def halo(self, ndim: int) -> tuple[int, ...] | None:
        """How far the operation looks along each axis."""
        return self.operation.halo(ndim)

    def on(self, part: Box) -> "Unbiased":
        """This filter for a part of the image, to which maps are cut."""
        sigma = self.sigma if np.ndim(self.sigma) == 0 else np.asarray(self.sigma)[part]
        return replace(self, operation=self.operation.on(part), sigma=sigma)

    def plan(
        self, shape: tuple[int, ...], *, channel_axis: int | None = None, dtype: Any = np.float32
    ) -> Plan:
        """What the operation runs on an image of this shape; see `Operation.plan`."""
        return self.operation.plan(shape, channel_axis=channel_axis, dtype=dtype)

    def cost(
        self,
        shape: tuple[int, ...],
        *,
        channel_axis: int | None = None,
        dtype: Any = np.float32,
        threads: int | None = None,
    ) -> Cost:
        """About what a call takes on an image of this shape and dtype."""
        axis = checked_axis("the array", len(shape), channel_axis)
        cost = self.operation.cost(
            shape,
            channel_axis=axis,
            dtype=dtype,
            guide_channels=1 if axis is None else shape[axis],
            threads=threads,
        )
        floats = prod(shape) * working_dtype(np.dtype(dtype)).itemsize
        return Cost(cost.seconds, cost.bytes + FLOATS_HELD * floats)

    def __call__(
        self,
        x: ArrayLike,
        *,
        channel_axis: int | None = None,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> Array:
        """The average on an array of magnitudes, in floats."""
        x = checked_array("x", x)
        values = x.astype(working_dtype(x.dtype), copy=False)
        exponent = exponent_of(float(values.max()))
        bias = 2 * np.ldexp(np.asarray(self.sigma), -exponent) ** 2
        if bias.ndim and channel_axis is not None:
            bias = np.expand_dims(bias, channel_axis)
        squares = np.square(np.ldexp(values, -exponent)) - bias.astype(values.dtype)
        squares = self.operation(
            squares, guide=values, channel_axis=channel_axis, threads=threads, progress=progress
        )
        return np.asarray(np.ldexp(np.sqrt(np.maximum(squares, 0, out=squares)), exponent))

    def __str__(self) -> str:
        return str(self.operation)
