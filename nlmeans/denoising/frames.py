"""Filter frames as they come: a block of them in memory, the result that of the whole clip."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nlmeans.base.arrays import checked_array, working_dtype
from nlmeans.base.axes import Layout
from nlmeans.base.checks import ParameterError, check_number, check_threads
from nlmeans.base.cost import Cost, check_limit, not_enough
from nlmeans.base.machine import cores
from nlmeans.base.progress import Progress
from nlmeans.denoising.task import Task
from nlmeans.operation.embed import Identity
from nlmeans.operation.operation import Operation
from nlmeans.operation.support import Window

Array = NDArray[Any]

USUAL_MEMORY = 2**30
# Blocks overlap by twice the halo, and there the pairs of frames are computed again. A pair meets
# at most `halo` frames apart, so a block of B frames does about 1 + 1.5 halo/B times the work of
# the whole clip: a tenth more at this many halos.
HALOS_A_BLOCK = 15
# Besides itself a frame is held as stacked floats, as planes, filtered, and with channels last.
FLOAT_COPIES = 4
CLIP = Layout(None, False, "clip")  # of frames without channels


def denoise_frames(
    frames: Iterable[ArrayLike],
    operation: Operation,
    *,
    amount: float = 1.0,
    threads: int | None = None,
    max_memory: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> Iterator[Array]:
    """Apply a non-local average over (t, y, x) to frames as they come.

    The frames are those of filtering the whole clip as one array, to the rounding of float64 for
    float64 and of float32 for others. Only a block of frames and its neighbours in time are held.

    Parameters
    ----------
    frames : iterable of arrays (H, W) or (H, W, C)
        bool, uint8, uint16, int16, float16, float32 or float64, all of one shape and dtype. Each
        is copied, so that the iterable may use its memory again.
    operation : Operation
        An average (identity g, C the sum of f) over a Window of three sides: frames, rows,
        columns. `nl_means(patch_size=(1, 3, 3), search_size=(5, 13, 13))` makes one.
    amount : float, 0 to 1
        Blend: 1 is the denoised frame, 0 the original.
    threads : int, optional
        At most this many; the result is the same for any number.
    max_memory : int, optional
        Bytes that may be taken, as `expected_frames_cost` counts them: the longest block that keeps
        the limit is taken. By default the arrays of a block take up to 1 GiB, or what a block of
        one frame takes where that is more.
    progress : callable, optional
        Called now and then with the number of frames done, a float.

    Yields
    ------
    array of the frames' shape and dtype, one for each frame

    Raises
    ------
    TypeError, ValueError
        For an argument at once; for a frame, named by its number from 1, when its turn comes.
    MemoryError
        If max_memory does not hold a block of one frame, when the first frame has come.

    Examples
    --------
    >>> import numpy as np, nlmeans
    >>> clip = np.random.default_rng(0).normal(100, 10, (6, 5, 4))
    >>> op = nlmeans.nl_means(sigma=10, patch_size=(1, 3, 3), search_size=3)
    >>> whole = op(clip)
    >>> [bool(np.allclose(*pair)) for pair in zip(denoise_frames(clip, op), whole)]
    [True, True, True, True, True, True]
    """
    check_average(operation)
    task = Task(
        operation, CLIP, amount=check_number("amount", amount, low=0, high=1), threads=threads
    )
    check_threads(threads)
    check_limit(max_memory)
    return filter_frames(frames, task, max_memory=max_memory, progress=progress)


def filter_frames(
    frames: Iterable[ArrayLike],
    task: Task,
    *,
    max_memory: int | None = None,
    progress: Progress | None = None,
) -> Iterator[Array]:
    """A task for a clip on its frames as they come; the rest as in `denoise_frames`."""
    source = _checked(frames)
    held = list(islice(source, 1))
    if not held:
        raise ValueError("frames is empty; a clip needs at least one frame")
    halo, (length, threads) = _halo(task), _block(held[0], task, max_memory)
    task = replace(task, layout=_layout(held[0]), threads=threads)
    before, done = 0, 0  # frames held ahead of the block, frames yielded
    while True:
        wanted = before + length + halo
        held += islice(source, wanted - len(held))
        last = len(held) < wanted
        count = len(held) - before if last else length
        if count == 0:
            return
        rows, columns = (slice(0, n) for n in held[0].shape[:2])
        block = replace(task, region=(slice(before, before + count), rows, columns))
        yield from block.run(np.stack(held), progress=_from(done, count, progress)).values
        if last:
            return
        done += count
        dropped = max(before + count - halo, 0)
        held = held[dropped:]
        before += count - dropped


def expected_frames_cost(
    frame: ArrayLike,
    operation: Operation,
    count: int,
    *,
    threads: int | None = None,
    max_memory: int | None = None,
) -> Cost:
    """About what `denoise_frames` takes for so many frames like this one.

    Examples
    --------
    >>> import numpy as np, nlmeans
    >>> frame = np.zeros((240, 352, 3), np.uint8)
    >>> op = nlmeans.nl_means(sigma=10, patch_size=(1, 3, 3), search_size=(5, 13, 13))
    >>> short, long = (expected_frames_cost(frame, op, count) for count in (100, 10000))
    >>> long.seconds > 50 * short.seconds, long.bytes < 3 * short.bytes
    (True, True)
    """
    check_average(operation)
    task = Task(operation, CLIP, threads=threads)
    return frames_cost(checked_array("frame", frame), task, count, max_memory)


def frames_cost(frame: Array, task: Task, count: int, max_memory: int | None = None) -> Cost:
    """About what `filter_frames` takes for so many frames like this one."""
    length, threads = _block(frame, task, max_memory)
    cost = block_cost(frame, replace(task, threads=threads), min(length, count))
    blocks = max(1.0, count / length)  # each with its halos, the first and the last with one
    return Cost(blocks * cost.seconds, cost.bytes)


def check_average(operation: Operation) -> None:
    """Refuse what is no average over a window of frames."""
    if not isinstance(operation.over, Window):
        raise ParameterError(
            f"over is {str(operation.over)!r}; frame by frame it has to be a Window(t, y, x)"
        )
    f = operation.f
    if not isinstance(operation.g, Identity) or f.normaliser != "sum":
        raise ParameterError(
            f"the operation is no average of its input: g is {operation.g}, C the {f.normaliser} "
            "of f; frame by frame g has to be Identity() and C a sum"
        )
    if f.maps is not None:
        raise ParameterError("maps of sigma or h are of a whole clip; frame by frame give numbers")
    operation.halo(3)  # refuses sizes that are not of three axes


def _halo(task: Task) -> int:
    """How many frames before and after its own a filtered frame depends on."""
    halo = None if task.filter is None else task.filter.halo(3)
    return 0 if halo is None else halo[0]


def _layout(frame: Array) -> Layout:
    return CLIP if frame.ndim == 2 else replace(CLIP, channel_axis=3)


def _checked(frames: Iterable[ArrayLike]) -> Iterator[Array]:
    """Copies of the frames, which have to be alike."""
    first: Array | None = None
    for number, frame in enumerate(frames, 1):
        array = checked_array(f"frame {number}", frame)
        if first is None:
            first = array
            if array.ndim not in (2, 3):
                raise ValueError(
                    f"frame 1 has shape {array.shape}; allowed are (H, W) and (H, W, C)"
                )
        if (array.shape, array.dtype) != (first.shape, first.dtype):
            raise ValueError(
                f"frame {number} is {array.dtype} of shape {array.shape}; the frames before are "
                f"{first.dtype} of shape {first.shape}: filter clips of one kind apart"
            )
        yield array.copy()


def _block(frame: Array, task: Task, max_memory: int | None) -> tuple[int, int]:
    """Frames of a block, and threads: fewer only where their buffers would break the limit.

    The length goes by the kind of the frames and the limit alone, so that threads change no bit.
    """
    halo, threads = _halo(task), task.threads or cores()
    if max_memory is None:
        each = frame.nbytes + FLOAT_COPIES * frame.size * working_dtype(frame.dtype).itemsize
        fitting = USUAL_MEMORY // each - 2 * halo
        return max(1, min(fitting, HALOS_A_BLOCK * halo)), threads

    def needed(length: int, threads: int) -> int:
        return block_cost(frame, replace(task, threads=threads), length).bytes

    lengths = range(max(1, HALOS_A_BLOCK * halo), 0, -1)
    fitting = next((n for n in lengths if needed(n, 1) <= max_memory), 0)
    if fitting == 0:
        raise not_enough(needed(1, 1), max_memory, f" for one frame with {halo} before and after")
    return fitting, next(n for n in range(threads, 0, -1) if needed(fitting, n) <= max_memory)


def block_cost(frame: Array, task: Task, length: int) -> Cost:
    """What a block of so many frames takes, with the frames around it, which are held as well."""
    held = length + 2 * _halo(task)
    clip = np.broadcast_to(frame, (held, *frame.shape))
    cost = replace(task, layout=_layout(frame), region=None).cost(clip)
    return Cost(cost.seconds, cost.bytes + 2 * held * frame.nbytes)


def _from(
    done: int, count: int, progress: Callable[[float], None] | None
) -> Callable[[float], None] | None:
    """Progress of a block as a number of frames of the clip."""
    if progress is None:
        return None
    return lambda fraction: progress(done + fraction * count)
