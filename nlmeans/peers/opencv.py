"""OpenCV's fastNlMeansDenoising as an operation."""

from nlmeans.operation.classical import nl_means
from nlmeans.operation.operation import Operation
from nlmeans.peers.peer import Peer, number, odd


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
    h = number("h", h) * number("peak", peak) / 255
    patch = odd("templateWindowSize", templateWindowSize)
    search = odd("searchWindowSize", searchWindowSize)
    if temporalWindowSize is None:
        return nl_means(0, h, patch, search, border="mirror", cut=0.001)
    frames = odd("temporalWindowSize", temporalWindowSize)
    sizes = (1, patch, patch), (frames, search, search)
    return nl_means(0, h, *sizes, border="mirror", cut=0.001)


OPENCV = Peer("opencv", from_opencv, "OpenCV rounds distances and weights")
