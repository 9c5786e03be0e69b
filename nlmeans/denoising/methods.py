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
class Case:
    """What a method is to be used on, as far as methods differ.

    `named` lists what is asked for that only the classical filter has, such as "h".
    """

    noise: Noise
    grid: tuple[int, ...]
    stack: Stack | None
    named: tuple[str, ...]
    chroma_strength: float


@dataclass(frozen=True)
class Method:
    """A way to denoise.

    Attributes
    ----------
    name : str
    filter : callable
        The filter, made of the classical operation, the noise level to take out, and how many times
        more to take out of the differences between channels.
    lacks : callable
        Why it cannot be used on a case, with what to do; None where it can.
    suits : callable
        Whether it is the one to use where none is asked for.
    """

    name: MethodName
    filter: Callable[[Operation, float, float], Filter]
    lacks: Callable[[Case], str | None]
    suits: Callable[[Case], bool]


def _ridge_lacks(case: Case) -> str | None:
    if case.stack is not None:
        return f"method 'ridge' takes images and pages, no {case.stack}; use 'classic'"
    if case.noise.kind == "rician":
        return "method 'ridge' does not take Rician noise; use 'classic'"
    if case.named:
        return f"method 'ridge' takes no {case.named[0]}; leave it out, or use 'classic'"
    return None


def _ridge_suits(case: Case) -> bool:
    return _ridge_lacks(case) is None and min(case.grid) >= SMALLEST and case.noise.extent == 1


def _classic_lacks(case: Case) -> str | None:
    if case.chroma_strength == 1:
        return None
    return (
        f"chroma_strength is {case.chroma_strength:g}, and method 'classic' filters all channels "
        "alike; leave it out, or use 'ridge'"
    )


# The first that suits is the default.
METHODS: dict[MethodName, Method] = {
    "ridge": Method("ridge", ridge, _ridge_lacks, _ridge_suits),
    "classic": Method("classic", lambda operation, *_: operation, _classic_lacks, lambda _: True),
}
