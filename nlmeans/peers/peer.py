"""What is known of a peer: its call as an operation, and how the call meets a picture."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from nlmeans.operation.operation import Operation


def nothing(axes: int, channels: int) -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class Peer:
    """Another program's call.

    Attributes
    ----------
    name : str
    make : callable
        Gives the operation of the call's own parameters.
    differences : str
        What the call does besides, in a line.
    cubes : bool
        Whether one size is that of all three axes of a stack; of the others it is that of frames.
    unit_floats : bool
        Whether white is 1 in floats; for the others it is the picture's highest value.
    of_image : callable
        The parameters that follow from the image's axes besides channels, 2 or 3, and its channels.
    """

    name: str
    make: Callable[..., Operation]
    differences: str
    cubes: bool = False
    unit_floats: bool = False
    of_image: Callable[[int, int], dict[str, Any]] = nothing

    @property
    def parameters(self) -> Mapping[str, inspect.Parameter]:
        return inspect.signature(self.make).parameters

    def operation(self, axes: int, channels: int, given: Mapping[str, Any]) -> Operation:
        """The operation of given parameters on such an image."""
        return self.make(**{**self.of_image(axes, channels), **given})
