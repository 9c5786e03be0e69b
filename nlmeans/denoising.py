"""denoise(image): noise level -> parameters -> operation -> image of the same dtype and shape."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nlmeans.arrays import blended, checked_array, to_dtype, working_dtype
from nlmeans.checks import ParameterError, check_number, check_size, check_threads
from nlmeans.classical import nl_means
from nlmeans.embed import PatchWeighting
from nlmeans.layout import Auto, Layout, Stack, layout_of
from nlmeans.noise import spread_slices
from nlmeans.noise_choice import Asked, Levels, noise_asked, noise_of
from nlmeans.operation import Operation
from nlmeans.parameters import PATCH_FRAMES, SEARCH_FRAMES, table_row
from nlmeans.progress import part_of
from nlmeans.rician import unbiased_average
from nlmeans.stabilise import Noise
from nlmeans.support import Border

Array = NDArray[Any]
Size = int | tuple[int, ...]
WHITE = Noise()


@dataclass(frozen=True)
class Settings:
    """What `denoise` uses for one image, volume or clip: given, estimated or from the table.

    sigma and h are in the image's units, for Poisson-Gaussian noise in those of the stabilised
    image, where sigma is 1; h is 0 where there is nothing to remove. The sizes of a volume or clip
    are (depth, height, width).
    """

    sigma: float
    h: float
    patch_size: Size
    search_size: Size
    noise: Noise = WHITE

    def operation(self, **options: Any) -> Operation | None:
        """The classical filter with these settings; None where there is nothing to remove."""
        h = self.h or 1.0  # the options are checked even where they are not used
        operation = nl_means(self.sigma, h, self.patch_size, self.search_size, **options)
        return operation if self.h else None

    def arguments(self) -> dict[str, Any]:
        """What `denoise` takes to do with these settings."""
        return {
            "sigma": None if self.noise.kind == "poisson-gaussian" else self.sigma,
            "h": self.h or None,
            "patch_size": self.patch_size,
            "search_size": self.search_size,
            "noise": self.noise,
        }


def denoise(
    image: ArrayLike,
    sigma: Levels | None = None,
    *,
    noise: Asked = "auto",
    gain: Levels | None = None,
    read_noise: Levels | None = None,
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
    h : float, above 0, optional
        Filter strength in the image's own units; by default sigma times a factor from the table
        in `nlmeans.parameters`. With Poisson-Gaussian noise in units of its standard deviation.
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
    operations: list[tuple[Settings, Operation | None]] = []
    for page in pages:
        asked = noise_asked(noise, sigma, gain, read_noise)
        used = _settings(page, within, sigma, asked, h, patch_size, search_size, strength)
        operations.append((used, used.operation(**options)))
    run = partial(_filtered, layout=within, amount=amount, threads=threads)
    if layout.stack != "pages":
        return run(original, *operations[0], progress=progress)
    result = np.empty(original.shape, original.dtype)
    for k, target in enumerate(layout.pages(result)):
        part = part_of(progress, k, len(pages))
        target[...] = run(pages[k], *operations[k], progress=part)
    return result


def _filtered(
    image: Array,
    used: Settings,
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
    options: dict[str, Any] = {
        "channel_axis": layout.channel_axis, "threads": threads, "progress": progress,
    }  # fmt: skip
    if used.noise.kind == "rician":
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
    asked = noise_asked(noise, sigma, gain, read_noise)
    return _settings(array, layout, sigma, asked, h, patch_size, search_size, strength)


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
    )


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
