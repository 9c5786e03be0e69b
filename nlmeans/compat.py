"""Drop-in replacements: other libraries' calls, on the kernels of this one."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nlmeans.arrays import checked_array, checked_axis
from nlmeans.peers import from_skimage

MOST_OF_H = 500  # half a range, over h, to which float32 holds differences well enough


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
    if axes not in (2, 3):
        message = f"image has {axes} axes besides channels; implemented are 2 and 3"
        raise NotImplementedError(message)
    if axes == 3 and axis is not None and not fast_mode:
        message = "image is 3-D with channels; this is implemented with fast_mode=True only"
        raise NotImplementedError(message)
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
