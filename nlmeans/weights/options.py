"""What the user says of weights that the file does not, and where each setting came from."""

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from nlmeans.base.checks import (
    ParameterError,
    check_choice,
    check_number,
    check_whole,
    check_wholes,
)
from nlmeans.weights.layouts import EVERY_F

Source = Literal["file", "layout", "option", "assumed"]
POWER = re.compile(r"([dC])\*\*(-?\d*\.?\d+)")


@dataclass(frozen=True)
class Choice:
    """One setting of a block.

    Attributes
    ----------
    name, value : str
    source : {"file", "layout", "option", "assumed"}
        The file tells it, the layout's code does nothing else, it was given, or none of them.
    """

    name: str
    value: str
    source: Source

    def __str__(self) -> str:
        where = {"file": "told by the file", "layout": "by the layout", "option": "given"}
        return f"{self.name + ' ':<12}{self.value + ' ':<24}{where.get(self.source, 'ASSUMED')}"


@dataclass(frozen=True)
class Options:
    """Settings as given to `load_weights`; None leaves it to file and layout."""

    pairwise: str | None = None
    scale: float | str | None = None
    pool: int | tuple[int, ...] | None = None
    pool_kind: str | None = None
    pool_order: str | None = None
    softmax: str | None = None
    eps: float | None = None
    group_frames: int | None = None
    input_range: float | None = None

    def __post_init__(self) -> None:
        for name, allowed in (
            ("pairwise", EVERY_F),
            ("pool_kind", ("max", "mean", "stride")),
            ("pool_order", ("before", "after")),
            ("softmax", ("keys", "queries")),
        ):
            value = getattr(self, name)
            if value is not None:
                check_choice(name, value, allowed)
        if isinstance(self.scale, str):
            if not POWER.fullmatch(self.scale):
                raise ParameterError(
                    f"scale is {self.scale!r}; allowed are a number, d**-0.5 or C**-0.5"
                )
        elif self.scale is not None:
            check_number("scale", self.scale)
        if self.eps is not None:
            eps: object = self.eps
            if isinstance(eps, str):  # text of a number is taken as well; any other is refused
                with suppress(ValueError):
                    eps = float(eps)
            object.__setattr__(self, "eps", check_number("eps", eps, low=0))
        if self.pool is not None:
            check_wholes("pool", self.pool)
        if self.group_frames is not None:
            check_whole("group_frames", self.group_frames, low=0)
        if self.input_range is not None:
            check_number("input_range", self.input_range, low=0, above=True)

    @property
    def given(self) -> tuple[str, ...]:
        """The names of those that say what the block does."""
        names = (name for name, value in vars(self).items() if value is not None)
        return tuple(name for name in names if name != "input_range")


def scale_number(scale: float | str, d: int, channels: int) -> float:
    """A number, or a power of d or C such as "d**-0.5"."""
    match = POWER.fullmatch(scale) if isinstance(scale, str) else None
    if match is None:
        return float(scale)
    base = d if match[1] == "d" else channels
    try:
        return check_number("scale", float(base) ** float(match[2]))
    except OverflowError as error:
        raise ParameterError(
            f"scale is {scale}, which for {match[1]} = {base} is beyond all numbers"
        ) from error
