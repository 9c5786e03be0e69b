"""One call for every array along a batch axis."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nlmeans.base.arrays import as_array, checked_array, checked_axis
from nlmeans.base.progress import Progress, part_of


def each_of_batch(
    call: Callable[..., NDArray[Any]],
    x: ArrayLike,
    others: dict[str, ArrayLike],
    channel_axis: int | None,
    batch_axis: int,
    *,
    threads: int | None,
    progress: Progress | None,
) -> NDArray[Any]:
    """call(x, ...) for every array along the batch axis of x and of the others."""
    x = checked_array("x", x)
    batch = checked_axis("x", x.ndim, batch_axis, "batch_axis")
    axis = checked_axis("x", x.ndim, channel_axis)
    if axis == batch:
        raise ValueError(
            f"batch_axis and channel_axis are both {batch}; they have to be two axes of x"
        )
    assert batch is not None
    each = {name: np.moveaxis(as_array(name, a), batch, 0) for name, a in others.items()}
    for name, arrays in each.items():
        if len(arrays) != x.shape[batch]:
            raise ValueError(
                f"{name} has {len(arrays)} arrays along the batch axis; x has {x.shape[batch]}"
            )
    channels = axis if axis is None or axis < batch else axis - 1
    results = [
        call(
            one,
            **{name: arrays[k] for name, arrays in each.items()},
            channel_axis=channels,
            threads=threads,
            progress=part_of(progress, k, x.shape[batch]),
        )
        for k, one in enumerate(np.moveaxis(x, batch, 0))
    ]
    return np.stack(results, axis=batch)
