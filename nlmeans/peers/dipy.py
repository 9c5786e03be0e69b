"""DIPY's nlmeans as an operation."""

from typing import Literal

from nlmeans.base.checks import ParameterError, check_choice
from nlmeans.operation.classical import nl_means
from nlmeans.operation.operation import Operation
from nlmeans.peers.peer import Peer, count, number


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
    sigma = number("sigma", sigma)
    check_choice("method", method, ("blockwise", "classic"))
    patch = count("patch_radius", patch_radius)
    if method == "blockwise":
        block = count("block_radius", 2 if block_radius is None else block_radius)
        return nl_means(0, sigma, 2 * block + 1, 2 * patch + 1, centre="zero", border="mirror")
    block = count("block_radius", 5 if block_radius is None else block_radius)
    if block < patch:
        raise ParameterError(
            f"block_radius is {block}, patch_radius {patch}; the block has to hold the patch"
        )
    return nl_means(0, 2**0.25 * sigma, 2 * patch + 1, 2 * (block - patch) + 1, border="mirror")


DIPY = Peer("dipy", from_dipy, "DIPY averages squares; with method='blockwise', blocks", cubes=True)
