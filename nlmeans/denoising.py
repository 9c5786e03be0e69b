"""denoise(image): noise level -> parameters -> operation -> image of the same dtype and shape."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nlmeans.arrays import (
    blended,
    checked_array,
    grid_shape,
    to_dtype,
    whole_range,
    working_dtype,
)
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
from nlmeans.layout import Auto, Layout, Stack, layout_of
from nlmeans.noise import estimate_sigma, estimate_stack_sigma, joint_sigma, spread_slices
from nlmeans.operation import Operation
from nlmeans.parameters import (
    FIRST_GROUPS,
    PATCH_FRAMES,
    SEARCH_FRAMES,
    SECOND_GROUPS,
    table_row,
)
from nlmeans.progress import part_of
from nlmeans.ridge import Ridge
from nlmeans.support import Border

Array = NDArray[Any]
Size = int | tuple[int, ...]
Levels = float | Sequence[float] | NDArray[np.floating[Any]]
Method = Literal["ridge", "classic"]
METHODS = ("ridge", "classic")
PLAIN = {"patch_weighting": "uniform", "centre": "one", "border": "inside"}
SMALLEST = 16  # side of an image that holds enough patches to choose from


@dataclass(frozen=True)
class Settings:
    """What `denoise` uses for one image, volume or clip: given, estimated or from the table.

    sigma and h are in the image's units; h is 0 where there is nothing to remove. The sizes of a
    volume or clip are (depth, height, width). h and the sizes are of the classical filter, which
    "ridge" starts with; its groups go by sigma times the strength.
    """

    sigma: float
    h: float
    patch_size: Size
    search_size: Size
    method: Method = "classic"
    first: GroupMeans | None = None
    second: GroupMeans | None = None

    def operation(self, **options: Any) -> Operation | Ridge | None:
        """The filter with these settings; None where there is nothing to remove."""
        h = self.h or 1.0  # the options are checked even where they are not used
        operation = nl_means(self.sigma, h, self.patch_size, self.search_size, **options)
        if not self.h:
            return None
        if self.first is None or self.second is None:
            return operation
        return Ridge(operation, self.first, self.second)


def denoise(
    image: ArrayLike,
    sigma: Levels | None = None,
    *,
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
    threads: int | None = None,
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
    method : {"ridge", "classic"}, optional
        "classic": pixelwise non-local means, as in `nl_means`. "ridge": its result and groups of
        like patches, averaged with the weights of least expected error, as in `Ridge`; about a
        decibel better, for twenty times the time. By default "ridge" for images and pages of at
        least 16x16, and "classic" for volumes and clips and where one of h, patch_size,
        search_size, patch_weighting, centre and border is given, which "ridge" does not have.
    h : float, above 0, optional
        Filter strength in the image's own units; by default sigma times a factor from the table
        in `nlmeans.parameters`.
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
    patch_weighting, centre, border
        As in `nl_means`.
    threads : int, optional
        At most this many; the result is the same for any number.
    progress : callable, optional
        Called now and then with the fraction done, 0 to 1.

    Returns
    -------
    array of the image's dtype and shape

    Raises
    ------
    TypeError, ValueError
        In one line: what was wrong with the value given, what is allowed, what to do.

    Notes
    -----
    y_i = 1/C sum_j exp(-max(MSD_ij - 2 sigma^2, 0)/h^2) x_j over the search window, MSD the mean
    squared difference of the patches around i and j over their pixels and channels.

    Examples
    --------
    >>> import numpy as np, nlmeans
    >>> noisy = np.random.default_rng(0).normal(100, 20, (64, 64)).astype(np.uint8)
    >>> clean = nlmeans.denoise(noisy)  # ridge
    >>> clean.dtype, clean.shape, bool(clean.std() < 5)
    (dtype('uint8'), (64, 64), True)
    >>> frames = np.random.default_rng(0).normal(100, 20, (4, 32, 32, 3))
    >>> nlmeans.denoise(frames, stack="pages").shape
    (4, 32, 32, 3)
    """
    amount = check_number("amount", amount, low=0, high=1)
    check_threads(threads)
    original = checked_array("image", image)
    layout = layout_of(original.shape, channel_axis, alpha, stack)
    pages = [original] if layout.stack != "pages" else list(layout.pages(original))
    within = layout if layout.stack != "pages" else layout.of_page()

    # All that can be refused is, before any image is filtered.
    own = {"patch_weighting": patch_weighting, "centre": centre, "border": border}
    special = [name for name, value in own.items() if value != PLAIN[name]]
    operations = []
    for page in pages:
        used = _settings(
            page, within, sigma, method, h, patch_size, search_size, strength, chroma_strength,
            special,
        )  # fmt: skip
        operations.append(used.operation(**own))
    run = partial(_filtered, layout=within, amount=amount, threads=threads)
    if layout.stack != "pages":
        return run(original, operations[0], progress=progress)
    result = np.empty(original.shape, original.dtype)
    for k, target in enumerate(layout.pages(result)):
        part = part_of(progress, k, len(pages))
        target[...] = run(pages[k], operations[k], progress=part)
    return result


def _filtered(
    image: Array,
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
    filtered = operation(
        values, channel_axis=layout.channel_axis, threads=threads, progress=progress
    )
    result = to_dtype(blended(values, filtered, amount), image.dtype)
    return layout.put_colours(image, result)


def settings_for(
    image: ArrayLike,
    sigma: Levels | None = None,
    *,
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
    return _settings(
        array, layout, sigma, method, h, patch_size, search_size, strength, chroma_strength
    )


def _settings(
    image: Array,
    layout: Layout,
    sigma: Levels | None,
    method: Method | None,
    h: float | None,
    patch_size: Size | None,
    search_size: Size | None,
    strength: float,
    chroma_strength: float,
    special: Sequence[str] = (),
) -> Settings:
    colours, axis = layout.colours(image), layout.channel_axis
    given = {"h": h, "patch_size": patch_size, "search_size": search_size}
    classic_only = [name for name, value in given.items() if value is not None] + list(special)
    method = _method(method, layout, colours.shape, classic_only)
    chroma_strength = check_number("chroma_strength", chroma_strength, low=0, above=True)
    strength = check_number("strength", strength, low=0, above=True)
    if h is not None:
        h = check_number("h", h, low=0, above=True)
    if sigma is None:
        estimate = estimate_sigma if layout.stack is None else estimate_stack_sigma
        sigma = joint_sigma(estimate(colours, channel_axis=axis))
    else:
        each = [check_number("sigma", level, low=0) for level in np.atleast_1d(sigma)]
        sigma = joint_sigma(np.array(each))
        _check_within_range(sigma, colours)
    if h is None or patch_size is None or search_size is None:
        seen = colours if layout.stack is None else spread_slices(colours, axis)
        row = table_row(sigma or h or 0.0, seen, axis, volume=layout.stack == "volume")
        h = row.h_over_sigma * sigma if h is None else h
        patch_size = row.patch_size if patch_size is None else patch_size
        search_size = row.search_size if search_size is None else search_size
    settings = Settings(
        sigma=sigma,
        h=strength * h,
        patch_size=_sides("patch_size", patch_size, layout.stack, PATCH_FRAMES),
        search_size=_sides("search_size", search_size, layout.stack, SEARCH_FRAMES),
    )
    if method == "classic" or settings.h == 0:
        return replace(settings, method=method)
    level = strength * sigma
    first, second = (
        GroupMeans(level, *groups, chroma_strength=chroma_strength)
        for groups in (FIRST_GROUPS, SECOND_GROUPS)
    )
    return replace(settings, method=method, first=first, second=second)


def _method(
    method: Method | None, layout: Layout, shape: tuple[int, ...], classic_only: list[str]
) -> Method:
    """The method asked for, if it goes with the rest; else the one that does."""
    flat = layout.stack is None
    if method is None:
        sides = grid_shape(shape, layout.channel_axis)
        return "ridge" if flat and not classic_only and min(sides) >= SMALLEST else "classic"
    check_choice("method", method, METHODS)
    if method == "ridge" and not flat:
        message = f"method 'ridge' takes images and pages, no {layout.stack}; use 'classic'"
        raise ParameterError(message)
    if method == "ridge" and classic_only:
        message = f"method 'ridge' takes no {classic_only[0]}; leave it out, or use 'classic'"
        raise ParameterError(message)
    return method


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


def _check_within_range(sigma: float, colours: Array) -> None:
    """A sigma beyond the range is most likely meant in other units: 25 for an image in [0, 1]."""
    if colours.dtype.kind == "f":
        largest = max(abs(float(colours.min())), abs(float(colours.max())))
        limit, of = 2 * largest, "twice the largest magnitude in the image"
    else:
        limit, of = whole_range(colours.dtype), f"the range of {colours.dtype}"
    if sigma > limit > 0:
        message = f"sigma is {sigma:g}, above {limit:g}, {of}; give it in the image's own units"
        raise ParameterError(message)
