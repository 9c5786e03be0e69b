"""Frames filtered as they come equal the clip filtered whole."""

import numpy as np
import pytest

import nlmeans
from nlmeans.denoising.frames import CLIP, block_cost, denoise_frames
from nlmeans.denoising.task import Task

OPERATION = nlmeans.nl_means(sigma=12, h=10, patch_size=(3, 3, 1), search_size=(3, 3, 1))
EXPECTED_HALO = 2


def clip(rng, frames, shape=(4, 3), dtype=np.float64):
    return np.clip(rng.normal(100, 20, (frames, *shape)), 0, 255).astype(dtype)


def limit(frame, length, operation=OPERATION):
    """The memory that a block of so many frames takes."""
    return block_cost(frame, Task(operation, CLIP, threads=1), length).bytes


@pytest.mark.parametrize("frames", [1, 2, 3, 5, 6, 7, 8, 13])
@pytest.mark.parametrize("border", ["inside", "mirror"])
@pytest.mark.parametrize("length", [1, 2, 3, 30])
def test_blocks_equal_the_whole_clip(rng, frames, border, length):
    operation = nlmeans.nl_means(12, 10, (3, 1, 1), (3, 3, 1), border=border)
    x = clip(rng, frames)
    memory = limit(x[0], length, operation)
    found = list(denoise_frames(x, operation, max_memory=memory))
    np.testing.assert_allclose(found, operation(x), rtol=0, atol=1e-11)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float16, np.float32, bool])
@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 3)])
def test_dtypes_and_channels(rng, dtype, shape):
    x = clip(rng, 7, shape, np.uint8).astype(dtype)
    found = list(denoise_frames(x, OPERATION, max_memory=limit(x[0], 2)))
    expected = OPERATION(x, channel_axis=3 if x.ndim == 4 else None)
    assert {(f.dtype, f.shape) for f in found} == {(x.dtype, shape)}
    span = 255 if dtype is not bool else 1
    np.testing.assert_allclose(
        np.array(found, np.float64), expected.astype(np.float64), rtol=0, atol=1e-5 * span
    )


def test_two_dimensional_filter_needs_no_neighbours(rng):
    x = clip(rng, 3)
    operation = nlmeans.nl_means(12, 10, 1, (1, 3, 3))
    frames = denoise_frames(iter(x), operation)
    for frame in x:
        np.testing.assert_allclose(next(frames), operation(frame[None])[0], rtol=0, atol=1e-11)
    assert next(frames, None) is None


def test_only_a_block_and_its_neighbours_are_read_ahead(rng):
    read = 0

    def source():
        nonlocal read
        for frame in clip(rng, 40):
            read += 1
            yield frame

    memory = limit(clip(rng, 1)[0], 3)
    frames = denoise_frames(source(), OPERATION, max_memory=memory)
    assert read == 0
    next(frames)
    assert read == 3 + EXPECTED_HALO
    list(frames)
    assert read == 40


def test_a_source_may_use_its_memory_again(rng):
    x = clip(rng, 5)
    buffer = np.empty_like(x[0])

    def source():
        for frame in x:
            buffer[...] = frame
            yield buffer

    np.testing.assert_array_equal(list(denoise_frames(source(), OPERATION)), OPERATION(x))


def test_amount_blends_before_rounding(rng):
    x = clip(rng, 4, dtype=np.uint8)
    filtered = OPERATION(x.astype(np.float32))
    found = list(denoise_frames(x, OPERATION, amount=0.3))
    np.testing.assert_array_equal(found, np.rint(x + np.float32(0.3) * (filtered - x)))
    np.testing.assert_array_equal(list(denoise_frames(x, OPERATION, amount=0)), x)


def test_progress_counts_frames(rng):
    x = clip(rng, 9)
    seen = []
    memory = limit(x[0], 4)
    assert len(list(denoise_frames(x, OPERATION, max_memory=memory, progress=seen.append))) == 9
    assert seen == sorted(seen)
    assert seen[-1] == 9
    assert 4 in seen  # the first block's end


def test_what_is_no_clip_is_refused(rng):
    x = clip(rng, 3)
    with pytest.raises(ValueError, match="frames is empty"):
        next(denoise_frames([], OPERATION))
    with pytest.raises(ValueError, match=r"frame 3 is float64 of shape \(5, 3\); .*\(4, 3\)"):
        list(denoise_frames([x[0], x[1], np.zeros((5, 3))], OPERATION))
    with pytest.raises(ValueError, match=r"frame 2 is float32 .* before are float64"):
        list(denoise_frames([x[0], x[1].astype(np.float32)], OPERATION))
    with pytest.raises(ValueError, match=r"frame 1 has shape \(3,\)"):
        list(denoise_frames([np.zeros(3)], OPERATION))
    x[1, 2, 0] = np.nan
    with pytest.raises(ValueError, match=r"frame 2 holds 1 NaN .* first at \(2, 0\)"):
        list(denoise_frames(x, OPERATION))


def test_bad_arguments_are_refused_at_once(rng):
    x = clip(rng, 3)
    for operation, match in (
        (nlmeans.Operation(nlmeans.gaussian(1)), "over is 'everywhere'"),
        (nlmeans.Operation(nlmeans.dot_product(), over=nlmeans.Window(3)), "count of f"),
        (nlmeans.nl_means(1, search_size=(3, 3)), "has 2 numbers; the array has 3 axes"),
    ):
        with pytest.raises(nlmeans.ParameterError, match=match):
            denoise_frames(x, operation)
    with pytest.raises(nlmeans.ParameterError, match="amount is 2"):
        denoise_frames(x, OPERATION, amount=2)
    with pytest.raises(nlmeans.ParameterError, match="threads is 0"):
        denoise_frames(x, OPERATION, threads=0)
    for memory in (-1, 1e6):
        with pytest.raises(nlmeans.ParameterError, match=f"memory is {memory}"):
            denoise_frames(x, OPERATION, max_memory=memory)
    with pytest.raises(MemoryError, match=r"2 before and after, .* 100 bytes is left"):
        next(denoise_frames(x, OPERATION, max_memory=100))
