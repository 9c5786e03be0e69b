"""How options are declared, and the types that read their texts."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from numpy.typing import NDArray

Size = int | tuple[int, ...]
Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class Parsed(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.4
    """A type whose values a function reads from their text.

    The message of its ValueError becomes the usage error.
    """

    def __init__(self, metavar: str, parse: Callable[[str], Any]) -> None:
        self.name, self.metavar, self.parse = metavar.lower(), metavar, parse

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        return self.metavar

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):  # a default
            return value
        try:
            return self.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _Option(click.Option):
    """An option whose help shows a default in words without parentheses."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        record = super().get_help_record(ctx)
        if record is None or not isinstance(self.show_default, str):
            return record
        return record[0], record[1].replace(f"({self.show_default})", self.show_default)


def option(
    *names: str, shown: bool | str = True, **more: Any
) -> Callable[[Callable[[], None]], Decorator]:
    """An option whose help is the docstring of the function that it decorates.

    `shown` says in words what happens without the option, where its default does not.
    """

    def declared(text: Callable[[], None]) -> Decorator:
        help = " ".join(str(text.__doc__).split())
        return click.option(*names, cls=_Option, show_default=shown, help=help, **more)

    return declared


def together(command: Callable[..., Any], options: Iterable[Decorator]) -> Callable[..., Any]:
    """The command with these options, in this order."""
    for each in reversed(tuple(options)):
        command = each(command)
    return command


def gathered(name: str, kind: type[Any]) -> Decorator:
    """A command's options that are fields of a dataclass are given to it as one value."""
    names = [field.name for field in fields(kind)]

    def decorated(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def with_value(**given: Any) -> Any:
            own = {name: given.pop(name) for name in names}
            return command(**{name: kind(**own)}, **given)

        return with_value

    return decorated


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


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _sigma(text: str) -> Sigma:
    if text == "auto":
        return AUTO
    number, percent = _float(text.removesuffix("%")), text.endswith("%")
    if not 0 <= number < math.inf or (percent and number > 100):
        raise ValueError(
            f"{text!r} is no noise level; allowed are auto, a number from 0 in grey levels, or 0% "
            "to 100% of the range"
        )
    return Sigma(number, percent)


def _number(low: float, high: float, above: bool) -> Callable[[str], float]:
    def parse(text: str) -> float:
        number = _float(text)
        inside = low < number if above else low <= number
        if not (inside and number <= high and math.isfinite(number)):
            start = f"above {low:g}" if above else f"from {low:g}"
            end = f" to {high:g}" if high < math.inf else ""
            raise ValueError(f"{text!r} is not allowed; give a number {start}{end}")
        return number

    return parse


def _numbers(text: str) -> tuple[float, ...]:
    levels = tuple(_float(part) for part in text.split(","))
    if not all(0 < level < math.inf for level in levels):
        raise ValueError(f"{text!r} is no list of numbers above 0, such as 15,25,50")
    return levels


def _size(text: str) -> Size:
    from nlmeans.base.checks import LARGEST_SIZE

    parts = text.lower().split("x")
    sides = [int(part) if part.isascii() and part.isdigit() else 0 for part in parts]
    if len(sides) > 3 or not all(1 <= s <= LARGEST_SIZE and s % 2 for s in sides):
        raise ValueError(
            f"{text!r} is no size; allowed are odd whole numbers from 1 to {LARGEST_SIZE}, such as "
            "7, 7x5 for height x width, or 3x7x5 for depth x height x width"
        )
    return sides[0] if len(sides) == 1 else tuple(sides)


def _memory(text: str) -> int:
    digits = text.strip().upper().removesuffix("B").removesuffix("I")
    power = "KMGT".find(digits[-1:]) + 1 if digits else 0
    size = _float(digits[:-1] if power else digits) * 1024**power
    if not 1 <= size < math.inf:
        raise ValueError(f"{text!r} is no memory; give bytes from 1, or such as 500M or 2G")
    return int(size)


FILE = click.Path(path_type=Path)
SIGMA = Parsed("auto|NUMBER|PERCENT%", _sigma)
ABOVE_0 = Parsed("NUMBER", _number(0, math.inf, above=True))
FROM_0 = Parsed("NUMBER", _number(0, math.inf, above=False))
SHARE = Parsed("NUMBER", _number(0, 1, above=False))
NUMBERS = Parsed("NUMBER,...", _numbers)
SIZE = Parsed("N|NxM|KxNxM", _size)
MEMORY = Parsed("BYTES|NUMBER[K|M|G|T]", _memory)
