"""denoise(image): noise level -> parameters -> operation -> image of the same dtype and shape."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nlmeans.arrays import (
    as_array,
    blended,
    checked_array,
    grid_shape,
    to_dtype,
    working_dtype,
)
from nlmeans.budget import Cost, check_limit, in_parts
from nlmeans.checks import (
    ParameterError,
    check_choice,
    check_number,
    check_size,
    check_threads,
)
from nlmeans.classical import nl_means
from nlmeans.embed import PatchWeighting
from nlmeans.groups import GroupMeans
from nlmeans.layout import Auto, Layout, Stack, layout_of, stack_axis
from nlmeans.noise import spread_slices
from nlmeans.noise_choice import Asked, Levels, noise_asked, noise_of
from nlmeans.operation import Operation, halo
from nlmeans.pairwise import Arithmetic
from nlmeans.parameters import (
    FIRST_GROUPS,
    PATCH_FRAMES,
    SEARCH_FRAMES,
    SECOND_GROUPS,
    table_row,
)
from nlmeans.progress import Progress, part_of
from nlmeans.rician import unbiased_average
from nlmeans.ridge import Ridge
from nlmeans.stabilise import Noise
from nlmeans.support import Border

Array = NDArray[Any]
Size = int | tuple[int, ...]
Method = Literal["ridge", "classic"]
METHODS = ("ridge", "classic")
WHITE = Noise()
PLAIN = {
    "patch_weighting": "uniform", "centre": "one", "border": "inside", "cut": 0.0,
    "arithmetic": "exact",
}  # fmt: skip
# Arrays of floats that are held beside those of the operation.
EXTRA_FLOATS = {"gaussian": 0, "poisson-gaussian": 3, "rician": 3}
SMALLEST = 16  # side of an image that holds enough patches to choose from


@dataclass(frozen=True)
class Settings:
    """What `denoise` uses for one image, volume or clip: given, estimated or from the table.

    sigma and h are in the image's units, for Poisson-Gaussian noise in those of the stabilised
    image, where sigma is 1; h is 0 where there is nothing to remove. The sizes of a volume or clip
    are (depth, height, width). h and the sizes are of the classical filter, which "ridge" starts
    with; the strength is in h, and multiplies the sigma of its groups.
    """

    sigma: float
    h: float
    patch_size: Size
    search_size: Size
    noise: Noise = WHITE
    method: Method = "classic"
    strength: float = 1.0
    chroma_strength: float = 1.0

    def operation(self, **options: Any) -> Operation | Ridge | None:
        """The filter with these settings; None where there is nothing to remove."""
        h = self.h or 1.0  # the options are checked even where they are not used
        operation = nl_means(self.sigma, h, self.patch_size, self.search_size, **options)
        if not self.h:
            return None
        if self.method == "classic":
            return operation
        level = self.strength * self.sigma
        first, second = (
            GroupMeans(level, *groups, chroma_strength=self.chroma_strength)
            for groups in (FIRST_GROUPS, SECOND_GROUPS)
        )
        return Ridge(operation, first, second)

    def arguments(self) -> dict[str, Any]:
        """What `denoise` takes to do with these settings."""
        own: dict[str, Any] = {
            "sigma": None if self.noise.kind == "poisson-gaussian" else self.sigma,
            "noise": self.noise,
            "method": self.method,
        }
        if self.method == "ridge":
            strengths = {"strength": self.strength, "chroma_strength": self.chroma_strength}
            return own | strengths
        sizes = {"patch_size": self.patch_size, "search_size": self.search_size}
        return own | sizes | {"h": self.h or None}


def denoise(
    image: ArrayLike,
    sigma: Levels | None = None,
    *,
    noise: Asked = "auto",
    gain: Levels | None = None,
    read_noise: Levels | None = None,
    method: Method | None = None,
    h: float | None = None,
    patch_size: Size | None = None,
    search_size: Size | None = None,
    strength: float = 1.0,
    chroma_strength: float = 1.0,
    amount: float = 1.0,
    channel_axis: int | Auto | None = "auto",
    alpha: bool | Auto = "auto",
    stack: Stack | Auto = "auto",
    patch_weighting: PatchWeighting = "uniform",
    centre: Literal["one", "max", "zero"] = "one",
    border: Border = "inside",
    cut: float = 0.0,
    arithmetic: Arithmetic = "exact",
    threads: int | None = None,
    max_memory: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> Array:
    """Denoise an image or a stack of images with non-local means.

    Parameters
    ----------
    image : array (H, W), or (N, H, W) with `stack`, and a channel axis if there is one
        bool, uint8, uint16, int16, float16, float32 or float64; never changed. Channels are
        filtered jointly: one weight for all of them.
    sigma : float, from 0, or one a channel, optional
        Standard deviation of the noise in the image's own units (grey levels for uint8);
        estimated by default, in a volume or clip as the median over its images. 0 returns a copy,
        unless h is given. Of several the root of the mean square counts, as the channels are
        filtered together.
    noise : {"auto", "gaussian", "poisson-gaussian", "rician"} or Noise
        "gaussian": white noise of one level. "poisson-gaussian": of variance
        gain * mean + read_noise^2, as cameras and microscopes have; the image is transformed so
        that the noise has one level, filtered and transformed back without bias, see `Noise`.
        "rician": of magnitude images, as of MRI; y_i is the root of the average of squares less
        2 sigma^2. "auto": as given by sigma or gain, else Gaussian or Poisson-Gaussian as
        `estimate_noise` finds it; where the noise is correlated, sizes from the table are
        multiplied by its extent.
    gain, read_noise : float, above 0 and from 0, or one a channel, optional
        Of Poisson-Gaussian noise, in the image's own units; both are estimated where gain is not
        given. Without read_noise a given gain is all there is.
    method : {"ridge", "classic"}, optional
        "classic": pixelwise non-local means, as in `nl_means`. "ridge": its result and groups of
        like patches, averaged with the weights of least expected error, as in `Ridge`; about a
        decibel better, for twenty times the time. By default "ridge" for images and pages of at
        least 16x16 with noise that is white, and "classic" for the rest: volumes, clips, Rician
        and correlated noise, and where one of h, patch_size, search_size, patch_weighting, centre,
        border, cut and arithmetic is given, which "ridge" does not have.
    h : float, above 0, optional
        Filter strength in the image's own units; by default sigma times a factor from the table
        in `nlmeans.parameters`. With Poisson-Gaussian noise in units of its standard deviation.
    patch_size, search_size : odd int, or one per axis, optional
        Full sides in pixels; from the same table by default. In a volume one int is the side
        along all three axes. In a clip one int, or two (height, width), are of the frames: patches
        are then 1 frame deep and the window 5. Three are (depth, height, width) as they stand.
    strength : float, above 0
        Multiplies h; with "ridge" also the sigma of its groups.
    chroma_strength : float, above 0
        With "ridge", further multiplies the sigma of the differences between channels.
    amount : float, 0 to 1
        Blend: 1 is the denoised image, 0 the original.
    channel_axis : int, None or "auto"
        "auto": none for 2-D arrays, the last for 3-D arrays with 1 to 4 channels. With `stack`
        these numbers are 3-D and 4-D.
    alpha : bool or "auto"
        Whether the last channel is an alpha channel, which is kept as it is. "auto": where the
        channels are last and there are 2 or 4 of them.
    stack : {"auto", "volume", "clip", "pages"}
        What the first of three axes besides channels is. "volume": a third dimension of space,
        over which patches and window reach as over the others. "clip": time; patches lie in a
        frame and are searched for in this frame and its neighbours. "pages": nothing, every image
        is estimated and filtered alone. "auto": there are only two such axes; as an array does not
        tell what a third is, one that has it is refused.
    patch_weighting, centre, border, cut, arithmetic
        As in `nl_means`.
    threads : int, optional
        At most this many; the result is the same for any number.
    max_memory : int, optional
        Bytes that may be taken above the image, as `expected_cost` counts them. "classic" filters
        what takes more in parts along the first axis, with the same result to the rounding of
        floats; what does not fit even so is refused. The search for the noise level and for
        settings, some 25 MB on an image of any size, is not counted.
    progress : callable, optional
        Called now and then with the fraction done, 0 to 1.

    Returns
    -------
    array of the image's dtype and shape

    Raises
    ------
    TypeError, ValueError
        In one line: what was wrong with the value given, what is allowed, what to do.
    MemoryError
        If max_memory cannot be kept: in one line with both figures, before anything is filtered.

    Notes
    -----
    "classic" is y_i = 1/C sum_j exp(-max(MSD_ij - 2 sigma^2, 0)/h^2) x_j over the search window,
    MSD the mean squared difference of the patches around i and j over their pixels and channels.

    Examples
    --------
    >>> import numpy as np, nlmeans
    >>> noisy = np.random.default_rng(0).normal(100, 20, (64, 64)).astype(np.uint8)
    >>> clean = nlmeans.denoise(noisy)
    >>> clean.dtype, clean.shape, bool(clean.std() < 5)
    (dtype('uint8'), (64, 64), True)
    >>> frames = np.random.default_rng(0).normal(100, 20, (4, 32, 32, 3))
    >>> nlmeans.denoise(frames, stack="pages").shape
    (4, 32, 32, 3)
    """
    amount = check_number("amount", amount, low=0, high=1)
    check_threads(threads)
    check_limit(max_memory)
    original = checked_array("image", image)
    layout = layout_of(original.shape, channel_axis, alpha, stack)
    pages = [original] if layout.stack != "pages" else list(layout.pages(original))
    within = layout if layout.stack != "pages" else layout.of_page()

    # All that can be refused is, before any image is filtered.
    options = {
        "patch_weighting": patch_weighting, "centre": centre, "border": border, "cut": cut,
        "arithmetic": arithmetic,
    }  # fmt: skip
    special = _given(h, patch_size, search_size)
    special += [name for name, value in options.items() if value != PLAIN[name]]
    operations: list[tuple[Settings, Operation | Ridge | None]] = []
    for page in pages:
        asked = noise_asked(noise, sigma, gain, read_noise)
        used = _settings(page, within, sigma, asked, h, patch_size, search_size, strength)
        used = _with_method(used, page, within, method, special, chroma_strength)
        operations.append((used, used.operation(**options)))
    run = partial(_within, layout=within, amount=amount, threads=threads, max_memory=max_memory)
    if layout.stack != "pages":
        return run(original, *operations[0], progress=progress)
    result = np.empty(original.shape, original.dtype)
    if max_memory is not None:
        run = partial(run, max_memory=max(max_memory - result.nbytes, 1))
    for k, target in enumerate(layout.pages(result)):
        part = part_of(progress, k, len(pages))
        target[...] = run(pages[k], *operations[k], progress=part)
    return result


def expected_cost(
    image: ArrayLike,
    settings: Settings,
    *,
    amount: float = 1.0,
    channel_axis: int | Auto | None = "auto",
    alpha: bool | Auto = "auto",
    stack: Stack | Auto = "auto",
    threads: int | None = None,
    **options: Any,
) -> Cost:
    """About how long `denoise` takes with these settings, and the memory above the image.

    Parameters
    ----------
    image, amount, channel_axis, alpha, stack, threads
        As for `denoise`; of pages ask for each.
    settings : Settings
        From `settings_for`.
    options
        patch_weighting, centre, border and cut, as for `denoise`.

    Examples
    --------
    >>> import numpy as np, nlmeans
    >>> image = np.zeros((2000, 3000), np.uint8)
    >>> used = nlmeans.settings_for(image, sigma=10)
    >>> nlmeans.expected_cost(image, used).bytes > 4 * image.size
    True
    """
    array = as_array("image", image)
    layout = layout_of(array.shape, channel_axis, alpha, stack)
    return _cost(array, settings, settings.operation(**options), layout, amount, threads)


def _cost(
    image: Array,
    used: Settings,
    operation: Operation | Ridge | None,
    layout: Layout,
    amount: float,
    threads: int | None,
) -> Cost:
    if operation is None:
        return Cost(0.0, image.nbytes)
    colours = layout.colours(image)
    shape, channels = colours.shape, layout.channel_axis
    extra: dict[str, Any] = {}
    if used.noise.kind == "rician":
        extra["guide_channels"] = 1 if channels is None else shape[channels]
    cost = operation.cost(shape, channel_axis=channels, dtype=image.dtype, threads=threads, **extra)
    held = EXTRA_FLOATS[used.noise.kind] + (amount != 1) + (operation.__class__ is Ridge)
    floats = colours.size * working_dtype(image.dtype).itemsize
    return Cost(cost.seconds, cost.bytes + held * floats + image.nbytes * layout.alpha)


def _within(
    image: Array,
    used: Settings,
    operation: Operation | Ridge | None,
    *,
    layout: Layout,
    amount: float,
    threads: int | None,
    max_memory: int | None,
    progress: Callable[[float], None] | None,
) -> Array:
    """One image, volume or clip, whole or in parts."""
    run = partial(
        _filtered, used=used, operation=operation, layout=layout, amount=amount, threads=threads
    )
    if max_memory is None or operation is None:
        return run(image, progress=progress)
    along = stack_axis(layout.channel_axis)

    def part(rows: slice, progress: Progress | None) -> Array:
        return run(np.moveaxis(np.moveaxis(image, along, 0)[rows], 0, along), progress=progress)

    def peak(count: int) -> int:
        rows = np.moveaxis(np.moveaxis(image, along, 0)[:count], 0, along)
        return _cost(rows, used, operation, layout, amount, threads).bytes

    axes = len(grid_shape(image.shape, layout.channel_axis))
    around = halo(operation, axes) if isinstance(operation, Operation) else None
    count = image.shape[along]
    return in_parts(part, count, along, around, peak, image.nbytes, max_memory, progress)


def _filtered(
    image: Array,
    used: Settings,
    operation: Operation | Ridge | None,
    *,
    layout: Layout,
    amount: float,
    threads: int | None,
    progress: Callable[[float], None] | None,
) -> Array:
    """One image, volume or clip in its own dtype; a copy where there is nothing to do."""
    if operation is None:
        return image.copy()
    colours = layout.colours(image)
    values = colours.astype(working_dtype(colours.dtype), copy=False)  # never written to
    options: dict[str, Any] = {
        "channel_axis": layout.channel_axis, "threads": threads, "progress": progress,
    }  # fmt: skip
    if used.noise.kind == "rician":
        assert isinstance(operation, Operation)  # `_with_method` sees to it
        filtered = unbiased_average(operation, values, used.sigma, **options)
    else:
        axis = layout.channel_axis
        filtered = operation(used.noise.stabilise(values, axis), **options)
        filtered = used.noise.restore(filtered, axis)
    result = to_dtype(blended(values, filtered, amount), image.dtype)
    return layout.put_colours(image, result)


def settings_for(
    image: ArrayLike,
    sigma: Levels | None = None,
    *,
    noise: Asked = "auto",
    gain: Levels | None = None,
    read_noise: Levels | None = None,
    method: Method | None = None,
    h: float | None = None,
    patch_size: Size | None = None,
    search_size: Size | None = None,
    strength: float = 1.0,
    chroma_strength: float = 1.0,
    channel_axis: int | Auto | None = "auto",
    alpha: bool | Auto = "auto",
    stack: Stack | Auto = "auto",
) -> Settings:
    """The settings that `denoise` takes for an image, volume or clip, without denoising it.

    Parameters, units and errors are those of `denoise`. Pages have settings of their own: ask for
    each page, without `stack`.

    Examples
    --------
    >>> import numpy as np, nlmeans
    >>> nlmeans.settings_for(np.eye(32), sigma=0.1, patch_size=3).patch_size
    3
    >>> nlmeans.settings_for(np.zeros((9, 32, 32)), sigma=1, patch_size=7, stack="clip").patch_size
    (1, 7, 7)
    """
    array = checked_array("image", image)
    layout = layout_of(array.shape, channel_axis, alpha, stack)
    if layout.stack == "pages":
        message = "stack is 'pages', each with its own settings; ask for every page without stack"
        raise ValueError(message)
    asked = noise_asked(noise, sigma, gain, read_noise)
    used = _settings(array, layout, sigma, asked, h, patch_size, search_size, strength)
    given = _given(h, patch_size, search_size)
    return _with_method(used, array, layout, method, given, chroma_strength)


def _settings(
    image: Array,
    layout: Layout,
    sigma: Levels | None,
    asked: Asked,
    h: float | None,
    patch_size: Size | None,
    search_size: Size | None,
    strength: float,
) -> Settings:
    colours, axis = layout.colours(image), layout.channel_axis
    strength = check_number("strength", strength, low=0, above=True)
    if h is not None:
        h = check_number("h", h, low=0, above=True)
    used, level = noise_of(colours, layout, sigma, asked)
    if h is None or patch_size is None or search_size is None:
        seen = colours if layout.stack is None else spread_slices(colours, axis)
        seen = used.stabilise(seen, axis)
        row = table_row(level or h or 0.0, seen, axis, volume=layout.stack == "volume")
        h = row.h_over_sigma * level if h is None else h
        patch_size = _enlarged(row.patch_size, used.extent) if patch_size is None else patch_size
        search_size = (
            _enlarged(row.search_size, used.extent) if search_size is None else search_size
        )
    return Settings(
        sigma=level,
        h=strength * h,
        patch_size=_sides("patch_size", patch_size, layout.stack, PATCH_FRAMES),
        search_size=_sides("search_size", search_size, layout.stack, SEARCH_FRAMES),
        noise=used,
        strength=strength,
    )


def _given(h: float | None, patch_size: Size | None, search_size: Size | None) -> list[str]:
    """The names of those that are."""
    each = {"h": h, "patch_size": patch_size, "search_size": search_size}
    return [name for name, value in each.items() if value is not None]


def _with_method(
    used: Settings,
    image: Array,
    layout: Layout,
    method: Method | None,
    classic_only: list[str],
    chroma_strength: float,
) -> Settings:
    """The settings with the method asked for, if it goes with the rest; else the one that does."""
    chroma_strength = check_number("chroma_strength", chroma_strength, low=0, above=True)
    colours = layout.colours(image)
    if method is None:
        large = min(grid_shape(colours.shape, layout.channel_axis)) >= SMALLEST
        white = used.noise.kind != "rician" and used.noise.extent == 1
        fits = layout.stack is None and large and white and not classic_only
        method = "ridge" if fits else "classic"
    check_choice("method", method, METHODS)
    message = None
    if method == "ridge" and layout.stack is not None:
        message = f"method 'ridge' takes images and pages, no {layout.stack}; use 'classic'"
    elif method == "ridge" and used.noise.kind == "rician":
        message = "method 'ridge' does not take Rician noise; use 'classic'"
    elif method == "ridge" and classic_only:
        message = f"method 'ridge' takes no {classic_only[0]}; leave it out, or use 'classic'"
    if message is not None:
        raise ParameterError(message)
    return replace(used, method=method, chroma_strength=chroma_strength)


def _enlarged(side: int, extent: float) -> int:
    """The odd side nearest to `extent` times this one: as many independent values are in it."""
    return 2 * round((side * extent - 1) / 2) + 1


def _sides(name: str, size: Size, stack: Stack | None, frames: int) -> Size:
    """As given for an image; (depth, height, width) for a volume or a clip."""
    size = check_size(name, size)
    if stack is None or (isinstance(size, tuple) and len(size) == 3):
        return size
    if isinstance(size, int):
        return (size if stack == "volume" else frames, size, size)
    if stack == "clip" and len(size) == 2:
        return (frames, *size)
    numbers = "one number or (depth, height, width)"
    if stack == "clip":
        numbers = "one number, (height, width) or (depth, height, width)"
    message = f"{name} is {size}; a {stack} takes {numbers}"
    raise ParameterError(message)
