"""What other programs call non-local means, as operations of this one.

Each function takes a peer's own parameters, with its names and defaults, and gives the `Operation`
that does what that call does. All of them weigh by exp(-max(MSD - b, 0)/h^2), MSD the mean squared
difference of two patches; they differ in what they call h, in units, borders, the centre's weight,
the weight below which they count none, and in details that the Operation leaves out: `DIFFERENCES`
says which, peer by peer.

Parameters keep the peer's units; `peak` is what its white is in the array's: 255 of an 8-bit peer
is 65535 in a uint16 array and 1 in floats from 0 to 1.
"""

import math
from collections.abc import Callable
from typing import Literal

from nlmeans.checks import LARGEST_NUMBER, ParameterError, check_choice, check_number, check_whole
from nlmeans.classical import nl_means
from nlmeans.operation import Operation

# "Non-Local Means Denoising", Buades, Coll, Morel, IPOL 2011: sigma up to (0 to 255), sides of
# patch and window, h/sigma.
IPOL_GREY = ((15, 3, 21, 0.40), (30, 5, 21, 0.40), (45, 7, 35, 0.35), (75, 9, 35, 0.35),
             (100, 11, 35, 0.30))  # fmt: skip
IPOL_COLOUR = ((25, 3, 21, 0.55), (55, 5, 35, 0.40), (100, 7, 35, 0.35))


def from_opencv(
    h: float = 3,
    templateWindowSize: int = 7,
    searchWindowSize: int = 21,
    temporalWindowSize: int | None = None,
    *,
    peak: float = 255,
) -> Operation:
    """OpenCV's `fastNlMeansDenoising` of uint8 with NORM_L2, and `fastNlMeansDenoisingMulti`.

    The two agree within 1 grey level: OpenCV rounds distances, weights and the result. Weights
    below 0.001 are 0. NORM_L1 and the Lab conversion of `fastNlMeansDenoisingColored` are other
    filters.

    Parameters
    ----------
    h : float, above 0
        In OpenCV's grey levels, 0 to 255.
    templateWindowSize, searchWindowSize : int, from 1
        Full sides; an even one counts as the next odd one, as in OpenCV.
    temporalWindowSize : odd int, optional
        Frames, for an array (T, H, W): a frame with all its neighbours is then filtered as
        `fastNlMeansDenoisingMulti` does.
    peak : float, above 0
        What 255 is in the array's units.

    Raises
    ------
    ParameterError
        If a number is out of range.

    References
    ----------
    OpenCV, modules/photo/src/fast_nlmeans_denoising_invoker.hpp.

    Examples
    --------
    >>> import nlmeans.peers
    >>> nlmeans.peers.from_opencv(h=10).f.scale
    0.01
    """
    h = _number("h", h) * _number("peak", peak) / 255
    patch = _odd("templateWindowSize", templateWindowSize)
    search = _odd("searchWindowSize", searchWindowSize)
    if temporalWindowSize is None:
        return nl_means(0, h, patch, search, border="mirror", cut=0.001)
    frames = _odd("temporalWindowSize", temporalWindowSize)
    sizes = (1, patch, patch), (frames, search, search)
    return nl_means(0, h, *sizes, border="mirror", cut=0.001)


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
    Both take the window's mean with patch_size 1, whatever h is. `nlmeans.compat` has the call
    itself.

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
    peak = _number("peak", peak)
    side = _odd("patch_size", patch_size)
    window = 2 * _count("patch_distance", patch_distance) + 1
    h, sigma = _number("h", h) * peak, check_number("sigma", sigma, low=0) * peak
    if side == 1:
        return nl_means(0, LARGEST_NUMBER, 1, window, border="mirror" if fast_mode else "inside")
    if not fast_mode:
        return nl_means(
            sigma, h, side, window, patch_weighting="gaussian", cut=math.exp(-5),
            arithmetic="scikit-image",
        )  # fmt: skip
    h *= (side / (side - 1)) ** (axes / 2)
    return nl_means(
        sigma, h, side, window, patch_weighting="off-centre", border="mirror", cut=math.exp(-5)
    )


def from_ffmpeg(
    s: float = 1.0,
    p: int = 7,
    pc: int = 0,
    r: int = 15,
    rc: int = 0,
    *,
    plane: Literal["luma", "chroma"] = "luma",
    peak: float = 255,
) -> Operation:
    """FFmpeg's video filter `nlmeans`, on one plane: it filters each plane alone.

    FFmpeg weighs by exp(-SSD/(10 s)^2), SSD the sum over the patch, so that h is 10 s/p, and drops
    weights below 1/255. It repeats the frame's edge pixels in patches, which are mirrored here;
    farther inside the two agree within 2 grey levels.

    Parameters
    ----------
    s : float, 1 to 30
        Strength.
    p, r : int, 0 to 99
        Full sides of patch and window; an even one counts as the next odd one, as in FFmpeg.
    pc, rc : int, 0 to 99
        The same for planes of colour; 0 for those of luma.
    plane : {"luma", "chroma"}
        Of which plane.
    peak : float, above 0
        What 255 is in the array's units.

    Raises
    ------
    ParameterError
        If a number is out of range.

    References
    ----------
    FFmpeg, libavfilter/vf_nlmeans.c.

    Examples
    --------
    >>> import nlmeans.peers
    >>> print(nlmeans.peers.from_ffmpeg(s=3.5, p=7).over)
    a window of side 15, candidates inside only
    """
    s = check_number("s", s, low=1, high=30)
    check_choice("plane", plane, ("luma", "chroma"))
    patch, window = _odd("p", p, 0, 99), _odd("r", r, 0, 99)
    if plane == "chroma":
        patch, window = _odd("pc", pc or p, 0, 99), _odd("rc", rc or r, 0, 99)
    h = 10 * s / patch * _number("peak", peak) / 255
    return nl_means(0, h, patch, window, cut=1 / 255)


def from_dipy(
    sigma: float,
    patch_radius: int = 1,
    block_radius: int | None = None,
    rician: bool = True,
    method: Literal["blockwise", "classic"] = "blockwise",
) -> Operation:
    """DIPY's `nlmeans` of a volume (Z, Y, X).

    DIPY averages squares and takes the root, with `rician` after subtracting 2 sigma^2, so that it
    comes out above the Operation where the signal is near the noise. "classic" is this filter
    otherwise; "blockwise" averages blocks, every second one, over few preselected candidates: the
    Operation has its weights and window and averages voxels.

    Parameters
    ----------
    sigma : float, above 0
        In the array's units.
    patch_radius, block_radius : int, from 0
        In "classic" of the patch and of the block searched, in which the whole patch has to lie;
        in "blockwise" the other way round. block_radius is by default 5 and 2.
    rician : bool
        Has no counterpart here.
    method : {"blockwise", "classic"}

    Raises
    ------
    ParameterError
        If a number is out of range, or the block of "classic" smaller than the patch.

    References
    ----------
    DIPY, dipy/denoise/denspeed.pyx and nlmeans_block.pyx.

    Examples
    --------
    >>> import nlmeans.peers
    >>> print(nlmeans.peers.from_dipy(20, method="classic").over)
    a window of side 9, mirrored at the border
    """
    sigma = _number("sigma", sigma)
    check_choice("method", method, ("blockwise", "classic"))
    patch = _count("patch_radius", patch_radius)
    if method == "blockwise":
        block = _count("block_radius", 2 if block_radius is None else block_radius)
        return nl_means(0, sigma, 2 * block + 1, 2 * patch + 1, centre="zero", border="mirror")
    block = _count("block_radius", 5 if block_radius is None else block_radius)
    if block < patch:
        message = f"block_radius is {block}, patch_radius {patch}; the block has to hold the patch"
        raise ParameterError(message)
    return nl_means(0, 2**0.25 * sigma, 2 * patch + 1, 2 * (block - patch) + 1, border="mirror")


def from_ipol(sigma: float, *, channels: int = 1, peak: float = 255) -> Operation:
    """The parameters that IPOL's "Non-Local Means Denoising" (2011) takes for a noise level.

    IPOL's program averages whole patches, each pixel over all patches that hold it; the Operation
    averages the patches' centres. Near the border IPOL's patches shrink. Weights below exp(-29)
    are 0.

    Parameters
    ----------
    sigma : float, above 0, up to 100
        Standard deviation of the noise, of grey levels from 0 to 255.
    channels : int
        1 for grey; more for colour.
    peak : float, above 0
        What 255 is in the array's units.

    Raises
    ------
    ParameterError
        If a number is out of range.

    References
    ----------
    A. Buades, B. Coll, J.-M. Morel, "Non-Local Means Denoising", Image Processing On Line 1, 2011,
    doi:10.5201/ipol.2011.bcm_nlm.

    Examples
    --------
    >>> import nlmeans.peers
    >>> nlmeans.peers.from_ipol(25).f.centre
    'max'
    """
    sigma = check_number("sigma", sigma, low=0, high=100, above=True)
    table = IPOL_GREY if _count("channels", channels) == 1 else IPOL_COLOUR
    patch, window, ratio = next(row[1:] for row in table if sigma <= row[0])
    sigma *= _number("peak", peak) / 255
    return nl_means(sigma, ratio * sigma, patch, window, centre="max", cut=math.exp(-29))


def from_knlmeans(
    d: int = 1,
    a: int = 2,
    s: int = 4,
    h: float = 1.2,
    channels: Literal["AUTO", "Y", "UV", "YUV", "RGB"] = "AUTO",
    wmode: int = 0,
    wref: float = 1.0,
    *,
    peak: float = 255,
) -> Operation:
    """KNLMeansCL and its successors (vs-nlm-ispc, vs-nlm-cuda) on a clip (T, H, W).

    They repeat the frame's edge pixels beyond its border; here candidates lie inside.

    Parameters
    ----------
    d : int, from 0
        Frames before and after; with 0 the Operation takes single images (H, W).
    a, s : int, from 0
        Radius of window and patch.
    h : float, above 0
        In grey levels from 0 to 255, whatever the clip's depth.
    channels : {"AUTO", "Y", "UV", "YUV"}
        The planes that are filtered jointly; call the Operation on these, with channel_axis.
    wmode : {0}
        0 weighs by exp; the others weigh by powers.
    wref : {1, 0}
        The centre's weight, as a multiple of the largest other one.
    peak : float, above 0
        What 255 is in the array's units.

    Raises
    ------
    ParameterError
        If a number is out of range, for "RGB", whose channels' weights depend on red, and for
        another wmode or wref, which no Operation has.

    References
    ----------
    Khanattila, KNLMeansCL; AmusementClub, vs-nlm-ispc.

    Examples
    --------
    >>> import nlmeans.peers
    >>> print(nlmeans.peers.from_knlmeans(d=0, a=10).over)
    a window of side 21, candidates inside only
    """
    if channels == "RGB":
        message = "channels is 'RGB', whose weights depend on red; allowed are AUTO, Y, UV and YUV"
        raise ParameterError(message)
    check_choice("channels", channels, ("AUTO", "Y", "UV", "YUV"))
    if wmode != 0:
        message = f"wmode is {wmode!r}; only 0, weights by exp, has an Operation"
        raise ParameterError(message)
    if wref not in (0, 1):
        message = f"wref is {wref!r}; only 1, the largest other weight, and 0 have an Operation"
        raise ParameterError(message)
    frames = 2 * _count("d", d) + 1
    window, patch = 2 * _count("a", a) + 1, 2 * _count("s", s) + 1
    clip = frames > 1
    return nl_means(
        0,
        _number("h", h) * _number("peak", peak) / 255,
        (1, patch, patch) if clip else patch,
        (frames, window, window) if clip else window,
        centre="max" if wref else "zero",
    )


# Name -> conversion, for the command line.
PEERS: dict[str, Callable[..., Operation]] = {
    "opencv": from_opencv,
    "skimage": from_skimage,
    "ffmpeg": from_ffmpeg,
    "dipy": from_dipy,
    "ipol": from_ipol,
    "knlmeans": from_knlmeans,
}

# What the call does besides, in a line each.
DIFFERENCES = {
    "opencv": "OpenCV rounds distances and weights",
    "skimage": "scikit-image's fast mode approximates exp within 4 %",
    "ffmpeg": "FFmpeg filters each plane alone and repeats edge pixels in patches",
    "dipy": "DIPY averages squares; with method='blockwise', blocks",
    "ipol": "IPOL's program averages whole patches, and shrinks them near the border",
    "knlmeans": "KNLMeansCL repeats edge pixels beyond the border",
}


def _number(name: str, value: float) -> float:
    return check_number(name, value, low=0, above=True)


def _count(name: str, value: int, low: int = 0, high: int = 4999) -> int:
    return check_whole(name, value, low=low, high=high)


def _odd(name: str, side: int, low: int = 1, high: int = 9999) -> int:
    """The side itself, or the next odd one."""
    return _count(name, side, low, high) | 1
