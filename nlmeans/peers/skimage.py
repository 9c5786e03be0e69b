"""scikit-image's denoise_nl_means: as an operation, and as a call that takes its place."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nlmeans.base.arrays import checked_array, checked_axis
from nlmeans.base.checks import LARGEST_NUMBER, check_number
from nlmeans.operation.classical import nl_means
from nlmeans.operation.operation import Operation
from nlmeans.peers.peer import Peer, count, number, odd

MOST_OF_H = 500  # half a range, over h, to which float32 holds differences well enough


def from_skimage(
    patch_size: int = 7,
    patch_distance: int = 11,
    h: float = 0.1,
    fast_mode: bool = True,
    sigma: float = 0.0,
    *,
    axes: Literal[2, 3] = 2,
    peak: float = 1.0,
) -> Operation:
    """scikit-image's `denoise_nl_means`.

    Both of its modes approximate exp within 4 %. The slow mode drops a weight where the patch's
    rows but the last exceed 5, added up one by one; the Operation does both, `arithmetic` being
    "scikit-image", and gives its very picture. The fast mode drops weights below exp(-5), sums
    squared differences over a box of side s - 1, half a pixel off the centre, and divides them by
    the whole patch, s pixels a side: its h is in effect h (s/(s - 1))^(axes/2); here exp is exact.
    Both take the window's mean with patch_size 1, whatever h is. The call itself
    is in `nlmeans.compat`.

    Parameters
    ----------
    patch_size : int, from 1
        Full side; an even one counts as the next odd one, as in scikit-image.
    patch_distance : int, from 0
        Radius of the window.
    h, sigma : float
        In scikit-image's units, which for integer images run from 0 to 1.
    fast_mode : bool
        True: patches half a pixel off their centre, candidates mirrored at the border. False:
        Gaussian-weighted patches, candidates inside the image.
    axes : {2, 3}
        Of the image, besides channels.
    peak : float, above 0
        What 1 is in the array's units: 255 for an array of uint8.

    Raises
    ------
    ParameterError
        If a number is out of range.

    References
    ----------
    scikit-image, restoration/_nl_means_denoising.pyx.

    Examples
    --------
    >>> import nlmeans.peers
    >>> print(nlmeans.peers.from_skimage(5, 6, h=0.06, sigma=0.08, fast_mode=False).over)
    a window of side 13, candidates inside only
    """
    peak = number("peak", peak)
    side = odd("patch_size", patch_size)
    window = 2 * count("patch_distance", patch_distance) + 1
    h, sigma = number("h", h) * peak, check_number("sigma", sigma, low=0) * peak
    if side == 1:
        return nl_means(0, LARGEST_NUMBER, 1, window, border="mirror" if fast_mode else "inside")
    if not fast_mode:
        return nl_means(
            sigma,
            h,
            side,
            window,
            patch_weighting="gaussian",
            cut=math.exp(-5),
            arithmetic="scikit-image",
        )
    h *= (side / (side - 1)) ** (axes / 2)
    return nl_means(
        sigma, h, side, window, patch_weighting="off-centre", border="mirror", cut=math.exp(-5)
    )


def denoise_nl_means(
    image: ArrayLike,
    patch_size: int = 7,
    patch_distance: int = 11,
    h: float = 0.1,
    fast_mode: bool = True,
    sigma: float = 0.0,
    *,
    preserve_range: bool = False,
    channel_axis: int | None = None,
    threads: int | None = None,
) -> NDArray[Any]:
    """scikit-image's `skimage.restoration.denoise_nl_means`, call-compatible, on this kernel.

    What the call means is the same: units, defaults, dtypes, borders, patches (in fast mode half a
    pixel off their centre), and the weight below which none counts. Out of fast mode the picture is
    the same, in float64 up to rounding. In fast mode the pictures differ by the 4 % error of
    scikit-image's exp: by about 0.0002 of the range on average and 0.004 at most. That mode runs in
    float32 here where the image's range is at most 1000 times h: half the time, and less than a
    tenth of that difference.

    Parameters
    ----------
    image : array, 2-D or 3-D and a channel axis if there is one
        bool, integer or float.
    patch_size : int, from 1
        Full side of the patches; an even one counts as the next odd one.
    patch_distance : int, from 0
        Radius of the search window.
    h : float, above 0
        Strength, in the units of the converted image.
    fast_mode : bool
        True: patches half a pixel off their centre, candidates mirrored at the border. False:
        Gaussian-weighted patches, candidates inside the image.
    sigma : float, from 0
        Standard deviation of the noise, in the units of the converted image.
    preserve_range : bool
        Keep the values of an integer image instead of bringing them to 0 to 1.
    channel_axis : int, optional
        Channels are compared jointly.
    threads : int, optional
        At most this many.

    Returns
    -------
    array of the image's shape
        float64 for integers and float64, float32 for float32 and float16. Axes of size 1, which
        scikit-image drops, are kept.

    Raises
    ------
    NotImplementedError
        For other numbers of axes: 4-D images, which scikit-image takes in fast mode, among them,
        and 3-D images with channels out of fast mode.
    ValueError, TypeError
        If the image is empty, complex or holds NaN (which scikit-image spreads over the window),
        or a parameter is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from nlmeans.compat import denoise_nl_means
    >>> noisy = np.random.default_rng(0).normal(128, 20, (64, 64)).astype(np.uint8)
    >>> smooth = denoise_nl_means(noisy, 5, 6, h=0.1, sigma=0.08)
    >>> smooth.dtype, smooth.shape, bool(smooth.std() < 0.02)
    (dtype('float64'), (64, 64), True)
    """
    array = np.asarray(image)
    axis = checked_axis("image", array.ndim, channel_axis)
    axes = array.ndim - (axis is not None)
    if axes == 4 and fast_mode:
        raise NotImplementedError(
            "image has 4 axes besides channels; 2 and 3 are implemented: filter its volumes one "
            "by one, numpy.stack([denoise_nl_means(volume, ...) for volume in image])"
        )
    if axes not in (2, 3):
        raise NotImplementedError(
            f"image has {axes} axes besides channels; implemented are 2 and 3"
        )
    if axes == 3 and axis is not None and not fast_mode:
        raise NotImplementedError(
            "image is 3-D with channels; this is implemented with fast_mode=True only"
        )
    operation = from_skimage(
        patch_size, patch_distance, h, fast_mode, sigma, axes=3 if axes == 3 else 2
    )
    values = _as_float(array, preserve_range=preserve_range)
    low, high = checked_array("image", values).min(), values.max()
    half = high / 2 - low / 2
    held = 1e-30 < half < min(1e30, MOST_OF_H * h)
    if not fast_mode or values.dtype == np.float32 or not held:
        return operation(values, channel_axis=axis, threads=threads)
    middle = low / 2 + high / 2  # float32 holds differences from it best
    small = (values - middle).astype(np.float32)
    filtered = operation(small, channel_axis=axis, threads=threads).astype(np.float64)
    filtered += middle
    return filtered


def _as_float(array: NDArray[Any], *, preserve_range: bool) -> NDArray[Any]:
    """float32 or float64, as scikit-image converts what it is given."""
    from skimage.util import img_as_float

    if array.dtype == np.float16:
        return array.astype(np.float32)
    if preserve_range and array.dtype.kind in "biu":
        return array.astype(np.float64)
    converted: NDArray[Any] = img_as_float(array)
    return converted


SKIMAGE = Peer(
    "skimage",
    from_skimage,
    "scikit-image's fast mode approximates exp within 4 %",
    cubes=True,
    unit_floats=True,
    of_image=lambda axes, channels: {"axes": axes},
)
