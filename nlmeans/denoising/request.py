"""What the caller asks of a filter, in the words of `denoise`: checked once, for every image."""

from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nlmeans.base.checks import ParameterError, check_choice, check_number, check_threads
from nlmeans.denoising.methods import METHODS, MethodName
from nlmeans.noise.find import Asked, Levels, NoiseAsked, noise_asked
from nlmeans.operation.embed import PatchWeighting
from nlmeans.operation.maps import is_map
from nlmeans.operation.pairwise import Arithmetic
from nlmeans.operation.support import Border

Size = int | tuple[int, ...]


@dataclass(frozen=True)
class Weighting:
    """The options of `nl_means` besides its numbers: how patches and candidates are weighed."""

    patch_weighting: PatchWeighting = "uniform"
    centre: Literal["one", "max", "zero"] = "one"
    border: Border = "inside"
    cut: float = 0.0
    arithmetic: Arithmetic = "exact"

    @property
    def options(self) -> dict[str, Any]:
        """As keywords of `nl_means`."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @property
    def special(self) -> list[str]:
        """Names of the options that differ from their defaults."""
        return [name for name, value in self.options.items() if value != getattr(PLAIN, name)]


PLAIN = Weighting()


@dataclass(frozen=True, eq=False, kw_only=True)
class Request:
    """What is asked of one image, volume or clip, or of every page of a stack; see `denoise`.

    sigma, h and the mask may be maps: of the positions of one image, or of all pages.
    """

    sigma: Levels | None = None
    noise: Asked = "auto"
    gain: Levels | None = None
    read_noise: Levels | None = None
    method: MethodName | None = None
    h: float | ArrayLike | None = None
    patch_size: Size | None = None
    search_size: Size | None = None
    strength: float = 1.0
    chroma_strength: float = 1.0
    amount: float = 1.0
    keep_detail: bool = False
    mask: ArrayLike | None = None
    region: tuple[slice, ...] | None = None
    weighting: Weighting = PLAIN
    threads: int | None = None

    def __post_init__(self) -> None:
        check_number("amount", self.amount, low=0, high=1)
        if self.keep_detail and self.amount != 1:
            raise ParameterError(
                f"keep_detail finds the amount, and amount is {self.amount:g}; give one of them"
            )
        check_threads(self.threads)
        check_number("strength", self.strength, low=0, above=True)
        check_number("chroma_strength", self.chroma_strength, low=0, above=True)
        if self.h is not None and not is_map(self.h):
            check_number("h", self.h, low=0, above=True)
        if self.method is not None:
            check_choice("method", self.method, tuple(METHODS))
        _ = self.asked

    @property
    def asked(self) -> NoiseAsked:
        """What is said of the noise; of a map of sigma its root mean square."""
        sigma = self.sigma
        if sigma is not None and np.ndim(sigma) > 1:
            sigma = root_mean_square(np.asarray(sigma, dtype=np.float64))
        return noise_asked(self.noise, sigma, self.gain, self.read_noise)

    def of_page(self, number: int, count: int) -> "Request":
        """What is asked of one of so many pages: its part of each stack of maps."""

        def own(name: str) -> Any:
            value = getattr(self, name)
            if value is None or np.ndim(value) != 3:
                return value
            if len(value) != count:
                raise ValueError(
                    f"{name} holds maps of {len(value)} pages and the image {count}; give one map "
                    "a page, or one for all"
                )
            return value[number]

        region = None if self.region is None else self.region[-2:]
        return replace(self, sigma=own("sigma"), h=own("h"), mask=own("mask"), region=region)


def root_mean_square(values: NDArray[Any]) -> float:
    """The root mean square of numbers from 0, whose squares may be beyond floats."""
    most = float(values.max())
    return most * float(np.sqrt(np.mean(np.square(values / most)))) if most > 0 else 0.0
