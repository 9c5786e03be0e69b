"""denoise(image): noise level -> parameters -> operation -> image of the same dtype and shape."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nlmeans.arrays import (
    checked_array,
    checked_axis,
    grid_shape,
    to_dtype,
    whole_range,
    working_dtype,
)
from nlmeans.checks import ParameterError, check_number, check_size, check_threads
from nlmeans.classical import nl_means
from nlmeans.embed import PatchWeighting
from nlmeans.noise import estimate_sigma, joint_sigma
from nlmeans.operation import Operation
from nlmeans.parameters import table_row
from nlmeans.support import Border

Array = NDArray[Any]
Size = int | tuple[int, ...]
Levels = float | Sequence[float] | NDArray[np.floating[Any]]
Auto = Literal["auto"]


@dataclass(frozen=True)
class Settings:
    """What `denoise` uses for one image: given, estimated or from the table.

    sigma and h are in the image's units; h is 0 where there is nothing to remove.
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
    patch_weighting: PatchWeighting = "uniform",
    centre: Literal["one", "max", "zero"] = "one",
    border: Border = "inside",
    threads: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> Array:
    """Denoise an image with classical non-local means.

    Parameters
    ----------
    image : array (H, W) or with a channel axis
        bool, uint8, uint16, int16, float16, float32 or float64; never changed. Channels are
        filtered jointly: one weight for all of them.
    sigma : float, from 0, or one a channel, optional
        Standard deviation of the noise in the image's own units (grey levels for uint8);
        estimated by default. 0 returns a copy, unless h is given. Of several the root of the mean
        square counts, as the channels are filtered together.
    h : float, above 0, optional
        Filter strength in the image's own units; by default sigma times a factor from the table
        in `nlmeans.parameters`.
    patch_size, search_size : odd int, or one per axis, optional
        Full sides in pixels; from the same table by default.
    strength : float, above 0
        Multiplies h.
    amount : float, 0 to 1
        Blend: 1 is the denoised image, 0 the original.
    channel_axis : int, None or "auto"
        "auto": none for 2-D arrays, the last for 3-D arrays with 1 to 4 channels.
    alpha : bool or "auto"
        Whether the last channel is an alpha channel, which is kept as it is. "auto": where the
        channels are last and there are 2 or 4 of them.
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
    >>> clean = nlmeans.denoise(noisy)
    >>> clean.dtype, clean.shape, bool(clean.std() < 5)
    (dtype('uint8'), (64, 64), True)
    """
    amount = check_number("amount", amount, low=0, high=1)
    check_threads(threads)
    colours, axis, has_alpha = _colours(image, channel_axis, alpha)
    settings = _settings(colours, axis, sigma, h, patch_size, search_size, strength)
    operation = settings.operation(patch_weighting=patch_weighting, centre=centre, border=border)
    original = np.asarray(image)
    if operation is None:
        return original.copy()

    values = colours.astype(working_dtype(colours.dtype))
    filtered = operation(values, channel_axis=axis, threads=threads, progress=progress)
    if amount < 1:
        filtered = values + values.dtype.type(amount) * (filtered - values)
    result = to_dtype(filtered, original.dtype)
    if has_alpha:
        assert axis is not None
        result = np.concatenate([result, _channels(original, axis, slice(-1, None))], axis=axis)
    return result


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
) -> Settings:
    """The settings that `denoise` takes for an image, without denoising it.

    Parameters, units and errors are those of `denoise`.

    Examples
    --------
    >>> import numpy as np, nlmeans
    >>> nlmeans.settings_for(np.eye(32), sigma=0.1, patch_size=3).patch_size
    3
    """
    colours, axis, _ = _colours(image, channel_axis, alpha)
    return _settings(colours, axis, sigma, h, patch_size, search_size, strength)


def _settings(
    colours: Array,
    axis: int | None,
    sigma: Levels | None,
    h: float | None,
    patch_size: Size | None,
    search_size: Size | None,
    strength: float,
) -> Settings:
    strength = check_number("strength", strength, low=0, above=True)
    if h is not None:
        h = check_number("h", h, low=0, above=True)
    if sigma is None:
        sigma = joint_sigma(estimate_sigma(colours, channel_axis=axis))
    else:
        each = [check_number("sigma", level, low=0) for level in np.atleast_1d(sigma)]
        sigma = joint_sigma(np.array(each))
        _check_within_range(sigma, colours)
    if h is None or patch_size is None or search_size is None:
        row = table_row(sigma or h or 0.0, colours, axis)
        h = row.h_over_sigma * sigma if h is None else h
        patch_size = row.patch_size if patch_size is None else patch_size
        search_size = row.search_size if search_size is None else search_size
    return Settings(
        sigma=sigma,
        h=strength * h,
        patch_size=check_size("patch_size", patch_size),
        search_size=check_size("search_size", search_size),
    )


def _check_within_range(sigma: float, colours: Array) -> None:
    """A sigma beyond the range is most likely meant in other units: 25 for an image in [0, 1]."""
    if colours.dtype.kind == "f":
        limit, of = 2 * float(np.abs(colours).max()), "twice the largest magnitude in the image"
    else:
        limit, of = whole_range(colours.dtype), f"the range of {colours.dtype}"
    if sigma > limit > 0:
        message = f"sigma is {sigma:g}, above {limit:g}, {of}; give it in the image's own units"
        raise ParameterError(message)


def _colours(
    image: ArrayLike, channel_axis: int | Auto | None, alpha: bool | Auto
) -> tuple[Array, int | None, bool]:
    """The image without its alpha channel, its channel axis, and whether there is an alpha."""
    array = checked_array("image", image)
    axis = _channel_axis(array, channel_axis)
    grid = grid_shape(array.shape, axis)
    if len(grid) != 2:
        message = (
            f"image has shape {array.shape}, {len(grid)} axes besides channels; denoise takes "
            "2-D images; name the channel axis with channel_axis"
        )
        raise ValueError(message)
    channels = 1 if axis is None else array.shape[axis]
    if alpha == "auto":
        alpha = axis == array.ndim - 1 and channels in (2, 4)
    if alpha and (axis is None or channels < 2):
        message = f"alpha is True, but image has shape {array.shape}; an alpha channel needs two"
        raise ValueError(message)
    if not alpha:
        return array, axis, False
    assert axis is not None
    return _channels(array, axis, slice(None, -1)), axis, True


def _channel_axis(array: Array, channel_axis: int | Auto | None) -> int | None:
    if channel_axis != "auto":
        return checked_axis("image", array.ndim, channel_axis)
    if array.ndim == 3 and array.shape[2] <= 4:
        return 2
    if array.ndim == 3:
        message = (
            f"image has shape {array.shape}; of 3 axes the last is taken as channels only up to "
            "4; name it with channel_axis"
        )
        raise ValueError(message)
    return None


def _channels(array: Array, axis: int, which: slice) -> Array:
    index: list[slice] = [slice(None)] * array.ndim
    index[axis] = which
    return array[tuple(index)]
