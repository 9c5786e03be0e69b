"""What is known of a peer: its call as an operation, its numbers, how it meets a picture."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from nlmeans.base.checks import check_number, check_whole
from nlmeans.operation.operation import Operation


def number(name: str, value: float) -> float:
    return check_number(name, value, low=0, above=True)


def count(name: str, value: int, low: int = 0, high: int = 4999) -> int:
    return check_whole(name, value, low=low, high=high)


def odd(name: str, side: int, low: int = 1, high: int = 9999) -> int:
    """The side itself, or the next odd one."""
    return count(name, side, low, high) | 1


def nothing(axes: int, channels: int) -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class Peer:
    """Another program's call."""

    name: str
    make: Callable[..., Operation]  # gives the operation of the call's own parameters
    differences: str  # what the call does besides, in a line
    # whether one size is that of all three axes of a stack; of the others it is that of frames
    cubes: bool = False
    # whether white is 1 in floats; for the others it is the picture's highest value
    unit_floats: bool = False
    # the parameters that follow from the image's axes besides channels, 2 or 3, and its channels
    of_image: Callable[[int, int], dict[str, Any]] = nothing

    @property
    def parameters(self) -> Mapping[str, inspect.Parameter]:
        return inspect.signature(self.make).parameters

    def operation(self, axes: int, channels: int, given: Mapping[str, Any]) -> Operation:
        """The operation of given parameters on such an image."""
        return self.make(**{**self.of_image(axes, channels), **given})
