"""What a kernel's preparation is given."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlmeans.base.progress import Progress, between
from nlmeans.operation.embed import Embedding
from nlmeans.operation.pairwise import Pairwise
from nlmeans.operation.support import Support

Array = NDArray[Any]


@dataclass(frozen=True)
class Call:
    """An operation on planes, float32 or float64, by one kernel."""

    f: Pairwise  # f, g, over: The parts of an Operation
    g: Embedding
    over: Support
    planes: Array  # (C, *grid): Maybe a view of the user's array
    guide: Array | None  # (C', *grid): What f looks at in place of the planes
    layout: Any  # what the kernel's `work` laid out for an array of this shape
    threads: int | None  # threads, progress: As `nlmeans.kernels.driver.run` takes them
    progress: Progress | None

    @property
    def seen(self) -> Array:
        """What f looks at."""
        return self.planes if self.guide is None else self.guide

    def contiguous(self) -> "Call":
        """The call on arrays that lie plane by plane in memory."""
        return self._on(np.ascontiguousarray)

    def wider(self) -> "Call":
        """The call in float64, from the beginning: embeddings in float32 are rounded too."""
        return self._on(lambda array: array.astype(np.float64))

    def within(self, start: float, end: float) -> "Call":
        """The call as a part of the whole, from one fraction of the progress to another."""
        return replace(self, progress=between(self.progress, start, end))

    def _on(self, made: Any) -> "Call":
        guide = None if self.guide is None else made(self.guide)
        return replace(self, planes=made(self.planes), guide=guide)
