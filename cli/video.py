"""denoise and plan on a video file: frames are read, filtered and written as they come."""

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlmeans.cli.files import Report
from nlmeans.cli.jobs import FilterOptions
from nlmeans.cli.notices import announce, compiling_notice, memory_left
from nlmeans.cli.outputs import Writing, progress_bar
from nlmeans.cli.planned import PlannedRun
from nlmeans.cli.words import done, how_found, noise_found, noted, settings_record

from nlmeans.base.texts import shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nlmeans.base.cost import Cost
    from nlmeans.denoising.task import Task
    from nlmeans.images.video import Clip

# The noise level is the median over every third of the first ten frames: one that is blurred by a
# cut does not decide, and neighbours are too alike to tell more.
FIRST_FRAMES, STEP = 10, 3
# Blank frames, of less than this part of the range, do not count: the ten follow them, if so many
# bytes hold all of these.
BLANK, MOST_HELD = 0.01, 2**29
NOT_OF_VIDEO = ("learned", "like", "mask", "preview", "sigma_map", "h_map", "keep_detail")
UNKNOWN_COUNT = 1500  # frames that are spoken of where a file does not say how many there are


def denoise_video(path: Path, target: Path, options: FilterOptions, how: Writing) -> Report:
    """Denoise one video file."""
    from nlmeans.denoising.frames import filter_frames

    options.check_none("a video", *NOT_OF_VIDEO)
    _check_installed(path)
    from nlmeans.images.encode import check_clip_target, save_clip
    from nlmeans.images.video import open_clip

    check_clip_target(target, path, overwrite=how.overwrite)
    with open_clip(path, keep_partial=how.keep_partial) as clip:
        start = time.perf_counter()
        task = clip_task(clip, options)
        frames = clip.frames()
        with (
            compiling_notice(silent=how.silent),
            progress_bar(path, clip.expected, hidden=how.silent) as progress,
        ):
            if task.filter is not None:
                limit, of = options.max_memory, f"{_counted(clip)}takes "
                cost = _cost(clip, task, options)
                announce(path, cost, options.threads, memory_left(limit), silent=how.silent, of=of)
                frames = filter_frames(frames, task, max_memory=limit, progress=progress)
            lost = save_clip(target, clip, frames, overwrite=how.overwrite, quality=how.quality)
        seconds = time.perf_counter() - start
        settings, megapixels = task.settings, clip.count * clip.kind.width * clip.kind.height / 1e6
        assert settings is not None  # `clip_task` makes it of a request
        sound = ", sound kept" if clip.sounds else ""
        return Report(
            text=(
                f"{shown(path)} -> {shown(target)}: {noise_found([settings])} "
                f"({how_found([settings])}), {done([settings])}; {clip.count} frames "
                f"{clip.kind.width}x{clip.kind.height} at {float(clip.rate):.4g} frames/s{sound}, "
                f"in {seconds:.2f} s, {clip.count / seconds:.3g} frames/s"
            ),
            record={
                "output": str(target),
                "sigma_estimated": settings.estimated,
                **settings_record(settings),
                "amount": options.amount,
                "frames": clip.count,
                "fps": float(clip.rate),
                "audio_kept": clip.sounds > 0,
                "megapixels": megapixels,
                "seconds": seconds,
                "megapixels_per_second": megapixels / seconds,
                "notes": [*clip.notes, *lost],
            },
            notes=noted((path, clip.notes), (target, lost)),
        )


def plan_video(path: Path, options: FilterOptions) -> PlannedRun:
    """What would be run on one video file."""
    from nlmeans.base.cost import Cost
    from nlmeans.base.machine import cores

    options.check_none("a video", *NOT_OF_VIDEO)
    _check_installed(path)
    from nlmeans.images.video import open_clip

    with open_clip(path) as clip:
        task, frame = clip_task(clip, options), clip.head(1)[0]
        settings = task.settings
        assert settings is not None  # `clip_task` makes it of a request
        cost = Cost(0.0, 0) if task.filter is None else _cost(clip, task, options)
        return PlannedRun(
            task,
            (clip.expected or UNKNOWN_COUNT, *frame.shape),
            frame.dtype,
            cost,
            0.0,
            options.threads or cores(),
            memory_left(options.max_memory),
            f"{shown(path)}: {_counted(clip)}",
            f"{noise_found([settings], '{:.4g}'.format)} ({how_found([settings])})",
            {"sigma_estimated": settings.estimated, **settings_record(settings)},
            noted((path, clip.notes)),
        )


def clip_task(clip: "Clip", options: FilterOptions) -> "Task":
    """The task of a clip, by the noise of some of its first frames."""
    import numpy as np

    from nlmeans.base.axes import Layout
    from nlmeans.denoising.task import task_of

    frames = _first_frames(clip)
    request = options.request(options.sigma.level(frames[0]))
    if request.noise == "auto" and request.gain is None:
        # Compression of frames passes for correlated noise, which has not been measured yet.
        request = replace(request, noise="gaussian")
    layout = Layout(3 if frames[0].ndim == 3 else None, False, "clip")
    return task_of(np.stack(frames[::STEP]), request, layout)


def _first_frames(clip: "Clip") -> "list[NDArray[Any]]":
    """Those by which noise is estimated: blank ones are left out if others follow soon."""
    import numpy as np

    from nlmeans.base.arrays import whole_range

    frames, blank = clip.head(FIRST_FRAMES), 0
    least = BLANK * whole_range(frames[0].dtype)
    while blank < len(frames) and np.ptp(frames[blank]) < least:
        if (FIRST_FRAMES + blank) * frames[0].nbytes > MOST_HELD:
            break
        blank += 1
        frames = clip.head(FIRST_FRAMES + blank)
    return frames[blank:] or frames[:1]


def _cost(clip: "Clip", task: "Task", options: FilterOptions) -> "Cost":
    """Of all frames; of as many as are a minute of most clips where the file has no count."""
    from nlmeans.denoising.frames import frames_cost

    count = clip.expected or UNKNOWN_COUNT
    return frames_cost(clip.head(1)[0], task, count, options.max_memory)


def _counted(clip: "Clip") -> str:
    """Such as "filtering 90 frames "."""
    if clip.expected:
        return f"filtering {clip.expected} frames "
    return f"it does not say how many frames it has; filtering {UNKNOWN_COUNT} of them "


def _check_installed(path: Path) -> None:
    """Refuse a video where the extra is not installed."""
    from importlib.util import find_spec

    from nlmeans.images import ImageReadError

    if find_spec("av") is None:
        raise ImageReadError(
            f"{shown(path)}: reading video takes one more package: pip install 'nlmeans[video]'"
        )
