"""FFmpeg's filter nlmeans as an operation."""

from typing import Literal

from nlmeans.base.checks import check_choice, check_number
from nlmeans.operation.classical import nl_means
from nlmeans.operation.operation import Operation
from nlmeans.peers.peer import Peer, number, odd


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
    patch, window = odd("p", p, 0, 99), odd("r", r, 0, 99)
    if plane == "chroma":
        patch, window = odd("pc", pc or p, 0, 99), odd("rc", rc or r, 0, 99)
    h = 10 * s / patch * number("peak", peak) / 255
    return nl_means(0, h, patch, window, cut=1 / 255)


FFMPEG = Peer(
    "ffmpeg", from_ffmpeg, "FFmpeg filters each plane alone and repeats edge pixels in patches"
)
