"""The filter of the article in Image Processing On Line as an operation."""

import math

from nlmeans.base.checks import check_number
from nlmeans.operation.classical import nl_means
from nlmeans.operation.operation import Operation
from nlmeans.peers.peer import Peer, count, number

# "Non-Local Means Denoising", Buades, Coll, Morel, IPOL 2011: sigma up to (0 to 255), sides of
# patch and window, h/sigma.
IPOL_GREY = (
    (15, 3, 21, 0.40),
    (30, 5, 21, 0.40),
    (45, 7, 35, 0.35),
    (75, 9, 35, 0.35),
    (100, 11, 35, 0.30),
)
IPOL_COLOUR = ((25, 3, 21, 0.55), (55, 5, 35, 0.40), (100, 7, 35, 0.35))


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
    table = IPOL_GREY if count("channels", channels) == 1 else IPOL_COLOUR
    patch, window, ratio = next(row[1:] for row in table if sigma <= row[0])
    sigma *= number("peak", peak) / 255
    return nl_means(sigma, ratio * sigma, patch, window, centre="max", cut=math.exp(-29))


IPOL = Peer(
    "ipol",
    from_ipol,
    "IPOL's program averages whole patches, and shrinks them near the border",
    of_image=lambda axes, channels: {"channels": channels},
)
