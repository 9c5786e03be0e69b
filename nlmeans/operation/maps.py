"""sigma and h that differ from position to position."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nlmeans.base.arrays import as_array
from nlmeans.base.checks import LARGEST_NUMBER, SMALLEST_NUMBER, ParameterError

Float64s = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Maps:
    """sigma and h at every position.

        f(x_i, x_j) = exp(-max(MSD - sigma_i^2 - sigma_j^2, 0) / (h_i h_j))

    Either end of a pair may be i, and where both are constant it is the weight without maps.

    Attributes
    ----------
    sigma, h : array (*grid), float64
        Read-only.
    """

    sigma: Float64s
    h: Float64s

    def __getitem__(self, part: Any) -> "Maps":
        return Maps(self.sigma[part], self.h[part])

    @property
    def terms(self) -> Float64s:
        """(*grid, 2): sigma_i^2, which a pair adds up, and 1/h_i, which it multiplies."""
        return np.stack([self.sigma**2, 1 / self.h], axis=-1)

    def check_grid(self, grid: tuple[int, ...]) -> None:
        """Refuse an array of other positions."""
        if self.h.shape != grid:
            raise ValueError(
                f"the map of sigma or h has shape {self.h.shape}, the array's positions {grid}; "
                "they have to be the same"
            )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Maps):
            return NotImplemented
        return np.array_equal(self.sigma, other.sigma) and np.array_equal(self.h, other.h)

    def __hash__(self) -> int:
        return hash((self.h.shape, self.sigma.tobytes(), self.h.tobytes()))


def is_map(value: object) -> bool:
    """Whether it is given for every position, not once."""
    return value is not None and np.ndim(value) > 0  # type: ignore[arg-type]


def checked_map(name: str, value: ArrayLike, lowest: float) -> Float64s:
    """A map of finite numbers from `lowest`, read-only; or a number as one without axes.

    Raises TypeError, ValueError: naming the first number that is not allowed.
    """
    array = as_array(name, value)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"the map of {name} has dtype {array.dtype}; it has to hold real numbers")
    numbers = np.array(array, dtype=np.float64)
    allowed = (numbers >= lowest) & (numbers <= LARGEST_NUMBER)
    if not allowed.all():
        position = tuple(int(k) for k in np.argwhere(~allowed)[0])
        bound = "from 0" if lowest == 0 else "above 0"
        where = f" at {position}" if position else ""
        raise ParameterError(
            f"{name} is {numbers[position]}{where}; allowed are finite numbers {bound}"
        )
    numbers.flags.writeable = False
    return numbers


def maps_of(sigma: ArrayLike, h: ArrayLike) -> Maps:
    """Two maps, or a map and a number, which then holds everywhere, as one value.

    Raises TypeError, ValueError if a number is out of its range, or two maps are of different
    shapes.
    """
    sigmas, hs = checked_map("sigma", sigma, 0.0), checked_map("h", h, SMALLEST_NUMBER)
    if sigmas.ndim and hs.ndim and sigmas.shape != hs.shape:
        raise ValueError(
            f"the map of sigma has shape {sigmas.shape} and that of h {hs.shape}; they have to be "
            "the same"
        )
    return Maps(*np.broadcast_arrays(sigmas, hs))
