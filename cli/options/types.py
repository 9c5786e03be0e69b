"""Parameter types and the options that several commands share."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from numpy.typing import NDArray

Size = int | tuple[int, ...]


@dataclass(frozen=True)
class Sigma:
    """A noise level as typed: None for auto, else grey levels or percent of the range."""

    value: float | None
    percent: bool = False

    def level(self, pixels: "NDArray[Any]") -> float | None:
        """In the grey levels of these pixels."""
        if self.value is None or not self.percent:
            return self.value
        return self.value / 100 * grey_range(pixels)


AUTO = Sigma(None)


def grey_range(pixels: "NDArray[Any]") -> float:
    """What 100 % means: 255 for 8 bits, 65535 for 16 bits, highest minus lowest for floats."""
    from nlmeans.base.arrays import whole_range

    if pixels.dtype.kind == "f":
        return float(pixels.max()) - float(pixels.min())
    return whole_range(pixels.dtype)


class SigmaType(click.ParamType[Sigma]):
    name = "sigma"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return "auto|NUMBER|PERCENT%"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Sigma:
        if isinstance(value, Sigma):
            return value
        if value == "auto":
            return AUTO
        number = _number(value.removesuffix("%"))
        percent = value.endswith("%")
        if not 0 <= number < math.inf or (percent and number > 100):
            self.fail(
                f"{value!r} is no noise level; allowed are auto, a number from 0 in grey levels, "
                "or 0% to 100% of the range",
                param,
                ctx,
            )
        return Sigma(number, percent)


class NumberType(click.ParamType[float]):
    """A finite number above 0, or from 0 up to a limit."""

    name = "number"

    def __init__(self, low: float, high: float, *, above: bool) -> None:
        self.low, self.high, self.above = low, high, above

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        number = _number(value)
        inside = self.low < number if self.above else self.low <= number
        if not (inside and number <= self.high and math.isfinite(number)):
            start = f"above {self.low:g}" if self.above else f"from {self.low:g}"
            end = f" to {self.high:g}" if self.high < math.inf else ""
            self.fail(f"{value!r} is not allowed; give a number {start}{end}", param, ctx)
        return number


class SizeType(click.ParamType[Size]):
    """An odd side, height x width, or depth x height x width."""

    name = "size"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return "N|NxM|KxNxM"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Size:
        from nlmeans.base.checks import LARGEST_SIZE

        if not isinstance(value, str):
            return value  # type: ignore[no-any-return]
        parts = value.lower().split("x")
        sides = [int(part) if part.isascii() and part.isdigit() else 0 for part in parts]
        if len(sides) > 3 or not all(1 <= s <= LARGEST_SIZE and s % 2 for s in sides):
            self.fail(
                f"{value!r} is no size; allowed are odd whole numbers from 1 to {LARGEST_SIZE}, "
                "such as 7, 7x5 for height x width, or 3x7x5 for depth x height x width",
                param,
                ctx,
            )
        return sides[0] if len(sides) == 1 else tuple(sides)


class MemoryType(click.ParamType[int]):
    """Bytes, or so many K, M, G or T of them: powers of 1024."""

    name = "memory"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return "BYTES|NUMBER[K|M|G|T]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        text = value.strip().upper().removesuffix("B").removesuffix("I")
        power = "KMGT".find(text[-1:]) + 1 if text else 0
        size = _number(text[:-1] if power else text) * 1024**power
        if not 1 <= size < math.inf:
            self.fail(
                f"{value!r} is no memory; give bytes from 1, or such as 500M or 2G", param, ctx
            )
        return int(size)


def _number(text: Any) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def together(command: Callable[..., Any], options: tuple[Any, ...]) -> Callable[..., Any]:
    """The command with these options, in this order."""
    for option in reversed(options):
        command = option(command)
    return command
