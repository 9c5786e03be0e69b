"""Filter frames as they come: a block of them in memory, the result that of the whole clip."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nlmeans.base.arrays import blended, checked_array, to_dtype, working_dtype
from nlmeans.base.checks import ParameterError, check_number, check_threads
from nlmeans.base.cost import Cost, NotEnoughMemory, check_limit
from nlmeans.denoising.regions import halo_of
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


def denoise_frames(
    frames: Iterable[ArrayLike],
    operation: Operation,
    *,
    amount: float = 1.0,
    threads: int | None = None,
    memory: int | None = None,
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
    memory : int, optional
        Bytes that the arrays of a block may take; what a kernel needs for itself comes on top. By
        default 1 GiB, or what a block of one frame takes where that is more.
    progress : callable, optional
        Called now and then with the number of frames done, a float.

    Yields
    ------
    array of the frames' shape and dtype, one for each frame

    Raises
    ------
    TypeError, ValueError
        For an argument at once; for a frame, named by its number from 1, when its turn comes.

    Examples
    --------
    >>> import numpy as np, nlmeans
    >>> clip = np.random.default_rng(0).normal(100, 10, (6, 5, 4))
    >>> op = nlmeans.nl_means(sigma=10, patch_size=(1, 3, 3), search_size=3)
    >>> whole = op(clip)
    >>> [bool(np.allclose(*pair)) for pair in zip(denoise_frames(clip, op), whole)]
    [True, True, True, True, True, True]
    """
    halo = _halo(operation)
    amount = check_number("amount", amount, low=0, high=1)
    check_threads(threads)
    check_limit(memory, "memory")

    def generate() -> Iterator[Array]:
        source = _checked(frames)
        held = list(islice(source, 1))
        if not held:
            message = "frames is empty; a clip needs at least one frame"
            raise ValueError(message)
        length = _block_length(held[0], halo, memory)
        before, done = 0, 0  # frames held ahead of the block, frames yielded
        while True:
            wanted = before + length + halo
            held += islice(source, wanted - len(held))
            last = len(held) < wanted
            count = len(held) - before if last else length
            if count == 0:
                return
            filtered = _filtered(operation, held, threads, _from(done, count, progress))
            for k in range(before, before + count):
                yield to_dtype(blended(held[k], filtered[k], amount), held[k].dtype)
            if last:
                return
            done += count
            dropped = max(before + count - halo, 0)
            held = held[dropped:]
            before += count - dropped

    return generate()


def expected_frames_cost(
    frame: ArrayLike,
    operation: Operation,
    count: int,
    *,
    threads: int | None = None,
    memory: int | None = None,
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
    frame = checked_array("frame", frame)
    halo = _halo(operation)
    length = _block_length(frame, halo, memory)
    held = min(length + 2 * halo, count)
    cost = operation.cost(
        (held, *frame.shape),
        channel_axis=3 if frame.ndim == 3 else None,
        dtype=working_dtype(frame.dtype),
        threads=threads,
    )
    stacked = frame.size * working_dtype(frame.dtype).itemsize
    blocks = max(1.0, count / length)  # each with its halos, the first and the last with one
    return Cost(blocks * cost.seconds, cost.bytes + held * (frame.nbytes + stacked))


def _halo(operation: Operation) -> int:
    """How many frames before and after its own a filtered frame depends on."""
    if not isinstance(operation.over, Window):
        message = f"over is {str(operation.over)!r}; frame by frame it has to be a Window(t, y, x)"
        raise ParameterError(message)
    f = operation.f
    if not isinstance(operation.g, Identity) or f.normaliser != "sum":
        message = (
            f"the operation is no average of its input: g is {operation.g}, C the {f.normaliser} "
            "of f; frame by frame g has to be Identity() and C a sum"
        )
        raise ParameterError(message)
    if f.maps is not None:
        message = "maps of sigma or h are of a whole clip; frame by frame give numbers"
        raise ParameterError(message)
    return halo_of(operation, 3)[0]


def _checked(frames: Iterable[ArrayLike]) -> Iterator[Array]:
    """Copies of the frames, which have to be alike."""
    first: Array | None = None
    for number, frame in enumerate(frames, 1):
        array = checked_array(f"frame {number}", frame)
        if first is None:
            first = array
            if array.ndim not in (2, 3):
                message = f"frame 1 has shape {array.shape}; allowed are (H, W) and (H, W, C)"
                raise ValueError(message)
        if (array.shape, array.dtype) != (first.shape, first.dtype):
            message = (
                f"frame {number} is {array.dtype} of shape {array.shape}; the frames before are "
                f"{first.dtype} of shape {first.shape}: filter clips of one kind apart"
            )
            raise ValueError(message)
        yield array.copy()


def _block_length(frame: Array, halo: int, memory: int | None) -> int:
    """Frames of a block: from their kind and the limit alone, so that threads change no bit."""
    each = frame.nbytes + FLOAT_COPIES * frame.size * working_dtype(frame.dtype).itemsize
    fitting = (USUAL_MEMORY if memory is None else memory) // each - 2 * halo
    if fitting < 1 and memory is not None:
        message = (
            f"memory is {memory} bytes; a block of one frame {frame.shape} with {halo} before and "
            f"after takes {each * (1 + 2 * halo)}: allow as much, or search fewer frames"
        )
        raise NotEnoughMemory(message)
    return max(1, min(fitting, HALOS_A_BLOCK * halo))


def _filtered(
    operation: Operation,
    frames: list[Array],
    threads: int | None,
    progress: Callable[[float], None] | None,
) -> Array:
    block = np.stack(frames, dtype=working_dtype(frames[0].dtype))
    axis = 3 if block.ndim == 4 else None
    return operation(block, channel_axis=axis, threads=threads, progress=progress)


def _from(
    done: int, count: int, progress: Callable[[float], None] | None
) -> Callable[[float], None] | None:
    """Progress of a block as a number of frames of the clip."""
    if progress is None:
        return None
    return lambda fraction: progress(done + fraction * count)
