"""denoise(image): noise level -> parameters -> operation -> image of the same dtype and shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from numpy.typing import ArrayLike, NDArray

from nlmeans.base.arrays import as_array, checked_array
from nlmeans.base.axes import Auto, Stack, layout_of
from nlmeans.base.cost import Cost, check_limit
from nlmeans.denoising.methods import MethodName
from nlmeans.denoising.request import Request, Size, Weighting
from nlmeans.denoising.settings import Settings
from nlmeans.denoising.task import denoised, task_with
from nlmeans.noise.find import Asked, Levels
from nlmeans.operation.embed import PatchWeighting
from nlmeans.operation.pairwise import Arithmetic
from nlmeans.operation.support import Border

Array = NDArray[Any]


def denoise(
    image: ArrayLike,
    sigma: Levels | None = None,
    *,
    noise: Asked = "auto",
    gain: Levels | None = None,
    read_noise: Levels | None = None,
    method: MethodName | None = None,
    h: float | ArrayLike | None = None,
    patch_size: Size | None = None,
    search_size: Size | None = None,
    strength: float = 1.0,
    chroma_strength: float = 1.0,
    amount: float = 1.0,
    keep_detail: bool = False,
    mask: ArrayLike | None = None,
    region: tuple[slice, ...] | None = None,
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
    image : array (H, W), (N, H, W) with `stack` or (N,), and a channel axis if there is one
        bool, uint8, uint16, int16, float16, float32 or float64; never changed. Channels are
        filtered jointly: one weight for all of them.
    sigma : float, from 0, or one a channel, or array of the positions' shape, optional
        Standard deviation of the noise in the image's own units (grey levels for uint8);
        estimated by default, in a volume or clip as the median over its images. An estimate of
        white noise below 2 % of the image's range may be texture: less is then taken out, and
        below 0.6 % nothing, see `trust_in`, unless h or keep_detail is given. 0 returns a copy,
        unless h is given. Of several the root of the mean square counts, as the channels are
        filtered together. An array of the shape of the positions, (H, W) or (N, H, W), is a map:
        see the notes.
    noise : {"auto", "gaussian", "poisson-gaussian", "rician"} or Noise
        "gaussian": white noise of one level. "poisson-gaussian": of variance
        gain * mean + read_noise^2, as cameras and microscopes have; the image is transformed so
        that the noise has one level, filtered and transformed back without bias, see `Noise`.
        "rician": of magnitude images, as of MRI; y_i is the root of the average of squares less
        2 sigma^2. "auto": as given by sigma or gain, else Gaussian or Poisson-Gaussian as
        `estimate_noise` finds it; where the noise is correlated, sizes from the table are
        multiplied by its extent, and where the image went through JPEG, its level is that before.
    gain, read_noise : float, above 0 and from 0, or one a channel, optional
        Of Poisson-Gaussian noise, in the image's own units; both are estimated where gain is not
        given. Without read_noise a given gain is all there is.
    method : {"ridge", "classic"}, optional
        "classic": pixelwise non-local means, as in `nl_means`. "ridge": its result and groups of
        like patches, averaged with the weights of least expected error, as in `Ridge`; about a
        decibel better, for twenty times the time. By default "ridge" for images and pages of at
        least 16x16 with noise that is white, and "classic" for the rest: volumes, clips, Rician
        and correlated noise, and where a map of sigma or one of h, patch_size, search_size,
        patch_weighting, centre, border, cut and arithmetic is given, which "ridge" does not have.
    h : float, above 0, or array of the positions' shape, optional
        Filter strength in the image's own units; by default sigma times a factor from the table
        in `nlmeans.denoising.table`, for a map of sigma the factor at its root mean square. With
        Poisson-Gaussian noise in units of its standard deviation.
    patch_size, search_size : odd int, or one per axis, optional
        Full sides in pixels; from the same table by default. In a volume one int is the side
        along all three axes. In a clip one int, or two (height, width), are of the frames: patches
        are then 1 frame deep and the window 5. Three are (depth, height, width) as they stand.
    strength : float, above 0
        Multiplies h; with "ridge" also the sigma of its groups.
    chroma_strength : float, above 0
        With "ridge", further multiplies the sigma of the differences between channels.
    amount : float, 0 to 1
        Blend: 1 is the denoised image, 0 the original. It multiplies the trust in an estimate.
    keep_detail : bool
        Blend with the weight of least expected error, place by place, in place of `amount`; see
        `nlmeans.denoising.detail.keep_detail`. Of white noise; it takes twice the time.
    mask : array of bool of the positions' shape, optional
        Where it is False the result is the image, bit for bit. Such pixels still serve those
        where it is True. Noise and settings are those of the whole image.
    region : tuple of slices, optional
        What of the result is wanted, such as np.s_[40:90, 100:200]: rows and columns, in a stack
        after its first axis if there are three. It is denoise(image)[region] to rounding, without
        filtering the rest: noise and settings are those of the whole image.
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
        Bytes that may be taken above the image, as `expected_cost` counts them. What takes more is
        filtered in parts along the first axis, with the same result to the rounding of floats; what
        does not fit even so, and with `keep_detail` what does not fit at once, is refused. With
        "ridge" the rounding of float32 can decide which of two patches, equally alike, is in a
        group. The search for the noise level and for settings is not counted: some 25 MB on an
        image of any size, and a copy in 8 or 16 bits of floats in [0, 1] that were scaled from
        those.
    progress : callable, optional
        Called now and then with the fraction done, 0 to 1.

    Returns
    -------
    array of the image's dtype and shape, or the region of it

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
    With a map of sigma or h its weights are exp(-max(MSD_ij - sigma_i^2 - sigma_j^2, 0)/(h_i h_j)).

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
    request = Request(
        sigma=sigma,
        noise=noise,
        gain=gain,
        read_noise=read_noise,
        method=method,
        h=h,
        patch_size=patch_size,
        search_size=search_size,
        strength=strength,
        chroma_strength=chroma_strength,
        amount=amount,
        keep_detail=keep_detail,
        mask=mask,
        region=region,
        threads=threads,
        weighting=Weighting(patch_weighting, centre, border, cut, arithmetic),
    )
    check_limit(max_memory)
    original = checked_array("image", image)
    layout = layout_of(original.shape, channel_axis, alpha, stack)
    return denoised(original, request, layout, max_memory=max_memory, progress=progress)


def expected_cost(
    image: ArrayLike,
    settings: Settings,
    *,
    amount: float = 1.0,
    region: tuple[slice, ...] | None = None,
    mask: ArrayLike | None = None,
    channel_axis: int | Auto | None = "auto",
    alpha: bool | Auto = "auto",
    stack: Stack | Auto = "auto",
    threads: int | None = None,
    **options: Any,
) -> Cost:
    """About how long `denoise` takes with these settings, and the memory above the image.

    Parameters
    ----------
    image, amount, region, mask, channel_axis, alpha, stack, threads
        As for `denoise`; of pages ask for each.
    settings : Settings
        From `settings_for`.
    options
        patch_weighting, centre, border, cut and arithmetic, as for `denoise`.

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
    request = Request(
        amount=amount, region=region, mask=mask, threads=threads, weighting=Weighting(**options)
    )
    return task_with(settings, array.shape, request, layout).cost(array)
