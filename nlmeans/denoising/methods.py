"""The methods of `denoise`: what filter each makes, and what it does not take."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from nlmeans.base.axes import Stack
from nlmeans.denoising.ridge import ridge
from nlmeans.noise.model import Noise
from nlmeans.operation.filter import Filter
from nlmeans.operation.operation import Operation

MethodName = Literal["ridge", "classic"]
SMALLEST = 16  # side of an image that holds enough patches to choose from


@dataclass(frozen=True)
class Demand:
    """What a method is asked for, as far as methods differ.

    `named` lists what is asked for that only the classical filter has, such as "h".
    """

    noise: Noise
    grid: tuple[int, ...]
    stack: Stack | None
    named: tuple[str, ...]
    chroma_strength: float


@dataclass(frozen=True)
class FilterMethod:
    """A way to denoise."""

    name: MethodName
    # the filter, made of the classical operation, the noise level to take out, and how many times
    # more to take out of the differences between channels
    filter: Callable[[Operation, float, float], Filter]
    # why it cannot be used for a demand, with what to do; None where it can
    lacks: Callable[[Demand], str | None]
    suits: Callable[[Demand], bool]  # whether it is the one to use where none is asked for


def _ridge_lacks(demand: Demand) -> str | None:
    if len(demand.grid) == 1:
        return "method 'ridge' takes images and pages, no signal of one axis; use 'classic'"
    if demand.stack is not None:
        return f"method 'ridge' takes images and pages, no {demand.stack}; use 'classic'"
    if demand.noise.kind == "rician":
        return "method 'ridge' does not take Rician noise; use 'classic'"
    if demand.named:
        return f"method 'ridge' takes no {demand.named[0]}; leave it out, or use 'classic'"
    return None


def _ridge_suits(demand: Demand) -> bool:
    return (
        _ridge_lacks(demand) is None and min(demand.grid) >= SMALLEST and demand.noise.extent == 1
    )


def _classic_lacks(demand: Demand) -> str | None:
    if demand.chroma_strength == 1:
        return None
    return (
        f"chroma_strength is {demand.chroma_strength:g}, and method 'classic' filters all channels "
        "alike; leave it out, or use 'ridge'"
    )


# The first that suits is the default.
METHODS: dict[MethodName, FilterMethod] = {
    "ridge": FilterMethod("ridge", ridge, _ridge_lacks, _ridge_suits),
    "classic": FilterMethod(
        "classic", lambda operation, *_: operation, _classic_lacks, lambda _: True
    ),
}
