"""denoise(image): noise level -> parameters -> operation -> image of the same dtype and shape."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nlmeans.arrays import blended, checked_array, to_dtype, whole_range, working_dtype
from nlmeans.checks import ParameterError, check_number, check_size, check_threads
from nlmeans.classical import nl_means
from nlmeans.embed import PatchWeighting
from nlmeans.layout import Auto, Layout, Stack, layout_of
from nlmeans.noise import estimate_sigma, estimate_stack_sigma, joint_sigma, spread_slices
from nlmeans.operation import Operation
from nlmeans.parameters import PATCH_FRAMES, SEARCH_FRAMES, table_row
from nlmeans.progress import part_of
from nlmeans.support import Border

Array = NDArray[Any]
Size = int | tuple[int, ...]
Levels = float | Sequence[float] | NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Settings:
    """What `denoise` uses for one image, volume or clip: given, estimated or from the table.

    sigma and h are in the image's units; h is 0 where there is nothing to remove. The sizes of a
    volume or clip are (depth, height, width).
    """

    sigma: float
    h: float
    patch_size: Size
    search_size: Size

    def operation(self, **options: Any) -> Operation | None:
        """The classical filter with these settings; None where there is nothing to remove."""
        h = self.h or 1.0  # the options are checked even where they are not used
        operation = nl_means(self.sigma, h, self.patch_size, self.search_size, **options)
        return operation if self.h else None


def denoise(
    image: ArrayLike,
    sigma: Levels | None = None,
    *,
    h: float | None = None,
    patch_size: Size | None = None,
    search_size: Size | None = None,
    strength: float = 1.0,
    amount: float = 1.0,
    channel_axis: int | Auto | None = "auto",
    alpha: bool | Auto = "auto",
    stack: Stack | Auto = "auto",
    patch_weighting: PatchWeighting = "uniform",
    centre: Literal["one", "max", "zero"] = "one",
    border: Border = "inside",
    cut: float = 0.0,
    threads: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> Array:
    """Denoise an image or a stack of images with classical non-local means.

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
    h : float, above 0, optional
        Filter strength in the image's own units; by default sigma times a factor from the table
        in `nlmeans.parameters`.
    patch_size, search_size : odd int, or one per axis, optional
        Full sides in pixels; from the same table by default. In a volume one int is the side
        along all three axes. In a clip one int, or two (height, width), are of the frames: patches
        are then 1 frame deep and the window 5. Three are (depth, height, width) as they stand.
    strength : float, above 0
        Multiplies h.
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
    patch_weighting, centre, border, cut
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
    >>> clean = nlmeans.denoise(noisy)
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
    options = {"patch_weighting": patch_weighting, "centre": centre, "border": border, "cut": cut}
    operations = []
    for page in pages:
        used = _settings(page, within, sigma, h, patch_size, search_size, strength)
        operations.append(used.operation(**options))
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
    operation: Operation | None,
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
    h: float | None = None,
    patch_size: Size | None = None,
    search_size: Size | None = None,
    strength: float = 1.0,
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
    return _settings(array, layout, sigma, h, patch_size, search_size, strength)


def _settings(
    image: Array,
    layout: Layout,
    sigma: Levels | None,
    h: float | None,
    patch_size: Size | None,
    search_size: Size | None,
    strength: float,
) -> Settings:
    colours, axis = layout.colours(image), layout.channel_axis
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
    return Settings(
        sigma=sigma,
        h=strength * h,
        patch_size=_sides("patch_size", patch_size, layout.stack, PATCH_FRAMES),
        search_size=_sides("search_size", search_size, layout.stack, SEARCH_FRAMES),
    )


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
