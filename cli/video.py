"""nlmeans denoise on a video file: frames are read, filtered and written as they come."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlmeans.cli.files import Report, shown
from nlmeans.cli.notices import announce, compiling_notice, memory_left
from nlmeans.cli.options import Sigma, Size
from nlmeans.cli.outputs import progress_bar, short, sides
from nlmeans.cli.stacks import trust_found

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nlmeans import Operation
    from nlmeans.denoising.settings import Settings
    from nlmeans.images.video import Clip

# The noise level is the median over every third of the first ten frames: one that is blurred by a
# cut does not decide, and neighbours are too alike to tell more. Blank ones, of less than this part
# of the range, do not count: the ten follow them, if so many bytes hold all of these.
FIRST_FRAMES, STEP = 10, 3
BLANK, MOST_HELD = 0.01, 2**29
SEARCH_DEPTH, PATCH_DEPTH = 5, 1  # frames
UNKNOWN_COUNT = 1500  # frames that are spoken of where a file does not say how many there are


def denoise_video(
    path: Path,
    target: Path,
    *,
    method: str | None,
    sigma: Sigma,
    h: float | None,
    patch_size: Size | None,
    search_size: Size | None,
    strength: float,
    amount: float,
    quality: int | None,
    keep_partial: bool,
    threads: int | None,
    max_memory: int | None,
    overwrite: bool,
    silent: bool,
) -> Report:
    """Denoise one video file; parameters as in `nlmeans denoise`."""
    from nlmeans.denoising.frames import denoise_frames
    from nlmeans.denoising.ridge import Ridge
    from nlmeans.images import ImageReadError

    try:
        from nlmeans.images.encode import check_clip_target, save_clip
        from nlmeans.images.video import open_clip
    except ModuleNotFoundError as error:
        if error.name != "av":
            raise
        message = (
            f"{shown(path)}: reading video takes one more package: pip install 'nlmeans[video]'"
        )
        raise ImageReadError(message) from error

    check_clip_target(target, path, overwrite=overwrite)
    with open_clip(path, keep_partial=keep_partial) as clip:
        start = time.perf_counter()
        settings = _settings(clip, method, sigma, h, patch_size, search_size, strength)
        operation = settings.operation()
        assert not isinstance(operation, Ridge)  # `_settings` asks for none
        if operation is not None:
            _announce(path, clip, operation, threads, max_memory, silent=silent)
        with (
            compiling_notice(silent=silent),
            progress_bar(path, clip.expected, hidden=silent) as progress,
        ):
            frames = clip.frames()
            if operation is not None:
                frames = denoise_frames(
                    frames,
                    operation,
                    amount=amount * settings.trust,
                    threads=threads,
                    memory=max_memory,
                    progress=progress,
                )
            lost = save_clip(target, clip, frames, overwrite=overwrite, quality=quality)
        seconds = time.perf_counter() - start
        megapixels = clip.count * clip.kind.width * clip.kind.height / 1e6
        return Report(
            text=_summary(path, target, clip, settings, sigma, seconds),
            record={
                "output": str(target),
                "sigma": settings.sigma,
                "sigma_estimated": sigma.value is None,
                "h": settings.h,
                "patch_size": settings.patch_size,
                "search_size": settings.search_size,
                "amount": amount,
                "trust": settings.trust,
                "frames": clip.count,
                "fps": float(clip.rate),
                "audio_kept": clip.sounds > 0,
                "megapixels": megapixels,
                "seconds": seconds,
                "megapixels_per_second": megapixels / seconds,
                "notes": [*clip.notes, *lost],
            },
            notes=tuple(
                f"{shown(file)}: {note}"
                for file, some in ((path, clip.notes), (target, lost))
                for note in some
            ),
        )


def _announce(
    path: Path,
    clip: "Clip",
    operation: "Operation",
    threads: int | None,
    max_memory: int | None,
    *,
    silent: bool,
) -> None:
    """Say what filtering will take, if it is long: of all frames, or where the file does not say
    how many there are, of as many as are a minute of most clips.
    """
    from nlmeans.denoising.frames import expected_frames_cost

    count = clip.expected or UNKNOWN_COUNT
    cost = expected_frames_cost(
        clip.head(1)[0], operation, count, threads=threads, memory=max_memory
    )
    of = (
        f"filtering {count} frames "
        if clip.expected
        else (f"it does not say how many frames it has; filtering {count} of them ")
    )
    announce(path, cost, threads, memory_left(None, 0, 0), silent=silent, of=f"{of}takes ")


def _settings(
    clip: "Clip",
    method: str | None,
    sigma: Sigma,
    h: float | None,
    patch_size: Size | None,
    search_size: Size | None,
    strength: float,
) -> "Settings":
    """Those of one frame as an image, with the noise level of several, and sizes in time."""
    import statistics
    from dataclasses import replace

    import numpy as np

    from nlmeans.base.checks import ParameterError
    from nlmeans.denoising.settings import settings_for
    from nlmeans.images import Picture
    from nlmeans.noise.level import estimate_sigma, joint_sigma
    from nlmeans.noise.trust import trust_in

    if method == "ridge":
        message = "method is 'ridge'; video takes 'classic'"
        raise ParameterError(message)
    frames = _first_frames(clip)
    axis: Any = 2 if frames[0].ndim == 3 else None
    level, trust = sigma.levels(Picture(frames[0], alpha=False, format="video")), 1.0
    if level is None:
        some = frames[::STEP]
        level = statistics.median(
            joint_sigma(estimate_sigma(frame, channel_axis=axis)) for frame in some
        )
        if h is None:
            trust = trust_in(level, np.stack(some), channel_axis=axis and axis + 1)
    settings = settings_for(
        frames[0],
        level,
        method="classic",
        h=h,
        patch_size=_in_frame(patch_size),
        search_size=_in_frame(search_size),
        strength=strength,
        channel_axis=axis,
        alpha=False,
    )
    return replace(
        settings,
        patch_size=_with_depth(patch_size or settings.patch_size, PATCH_DEPTH),
        search_size=_with_depth(search_size or settings.search_size, SEARCH_DEPTH),
        trust=trust,
    )


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


def _in_frame(size: Size | None) -> Size | None:
    return size[-2:] if isinstance(size, tuple) else size


def _with_depth(size: Size, frames: int) -> Size:
    """One side or two as (frames, rows, columns); three as they are."""
    if isinstance(size, int):
        return frames, size, size
    return (frames, *size) if len(size) == 2 else size


def _summary(
    path: Path, target: Path, clip: "Clip", used: "Settings", asked: Sigma, seconds: float
) -> str:
    found = "estimated" if asked.value is None else "given"
    did = f"h {short(used.h)}, patch {sides(used.patch_size)}, search {sides(used.search_size)}"
    if trust := trust_found([used]):
        did += f", {trust}"
    if not used.h:
        did = "no noise: not filtered"
    elif not used.trust:
        did = "which may be texture: not filtered"
    sound = ", sound kept" if clip.sounds else ""
    return (
        f"{shown(path)} -> {shown(target)}: sigma {short(used.sigma)} ({found}), {did}; "
        f"{clip.count} frames {clip.kind.width}x{clip.kind.height} at {float(clip.rate):.4g} "
        f"frames/s{sound}, in {seconds:.2f} s, {clip.count / seconds:.3g} frames/s"
    )
