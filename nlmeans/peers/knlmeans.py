"""KNLMeansCL as an operation."""

from typing import Literal

from nlmeans.base.checks import ParameterError, check_choice
from nlmeans.operation.classical import nl_means
from nlmeans.operation.operation import Operation
from nlmeans.peers.peer import Peer, count, number


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
        raise ParameterError(
            "channels is 'RGB', whose weights depend on red; allowed are AUTO, Y, UV and YUV"
        )
    check_choice("channels", channels, ("AUTO", "Y", "UV", "YUV"))
    if wmode != 0:
        raise ParameterError(f"wmode is {wmode!r}; only 0, weights by exp, has an Operation")
    if wref not in (0, 1):
        raise ParameterError(
            f"wref is {wref!r}; only 1, the largest other weight, and 0 have an Operation"
        )
    frames = 2 * count("d", d) + 1
    window, patch = 2 * count("a", a) + 1, 2 * count("s", s) + 1
    clip = frames > 1
    return nl_means(
        0,
        number("h", h) * number("peak", peak) / 255,
        (1, patch, patch) if clip else patch,
        (frames, window, window) if clip else window,
        centre="max" if wref else "zero",
    )


KNLMEANS = Peer(
    "knlmeans",
    from_knlmeans,
    "KNLMeansCL repeats edge pixels beyond the border",
    of_image=lambda axes, channels: {} if axes == 3 else {"d": 0},  # there are no other frames
)
