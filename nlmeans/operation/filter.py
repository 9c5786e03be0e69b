"""What every filter answers, whatever it is made of."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nlmeans.base.cost import Cost
from nlmeans.base.progress import Progress
from nlmeans.operation.plan import Plan

Box = tuple[slice, ...]  # a slice with start and stop for each axis of positions


class Filter(Protocol):
    """An operation, groups of patches, or a chain of them: what an image can be filtered by."""

    @property
    def step(self) -> int:
        """Every how many positions a part of an array may begin."""
        ...

    def halo(self, ndim: int) -> tuple[int, ...] | None:
        """How far a result looks along each of so many axes; None if everywhere."""
        ...

    def on(self, part: Box) -> "Filter":
        """The filter for a part of the array, to which its maps are cut."""
        ...

    def plan(
        self, shape: tuple[int, ...], *, channel_axis: int | None = None, dtype: Any = np.float32
    ) -> Plan | None:
        """What runs first on an array of this shape; None if it is no `Operation`."""
        ...

    def cost(
        self,
        shape: tuple[int, ...],
        *,
        channel_axis: int | None = None,
        dtype: Any = np.float32,
        threads: int | None = None,
    ) -> Cost:
        """About what a call takes on an array of this shape and dtype."""
        ...

    def __call__(
        self,
        x: ArrayLike,
        *,
        channel_axis: int | None = None,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> NDArray[Any]:
        """The filter on an array."""
        ...
