"""Parameter types and the options that several commands share."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from nlmeans.images import Picture
    from nlmeans.noise.find import Asked

Size = int | tuple[int, ...]


@dataclass(frozen=True)
class Sigma:
    """A noise level as typed: None for auto, else grey levels or percent of the range."""

    value: float | None
    percent: bool = False

    def levels(self, picture: "Picture") -> float | None:
        """In the picture's grey levels."""
        if self.value is None or not self.percent:
            return self.value
        return self.value / 100 * grey_range(picture)


def grey_range(picture: "Picture") -> float:
    """What 100 % means: 255 for 8 bits, 65535 for 16 bits, highest minus lowest for floats."""
    from nlmeans.base.arrays import whole_range

    pixels = picture.pixels
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
            return Sigma(None)
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


def inputs_argument(many: bool = True) -> Callable[[Any], Any]:
    """INPUT..., as plain paths: files are opened by name, never interpreted as URLs."""
    return click.argument(
        "inputs" if many else "path",
        nargs=-1 if many else 1,
        required=True,
        metavar="INPUT..." if many else "INPUT",
        type=click.Path(path_type=Path),
    )


def filter_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--sigma, --h, --patch-size, --search-size and --strength."""
    return together(
        command,
        (
            click.option(
                "--sigma",
                type=SigmaType(),
                default=Sigma(None),
                show_default="auto",
                help="Noise level: auto estimates it; a number from 0 is the standard deviation in "
                "the file's grey levels (0-255 in 8-bit files, 0-65535 in 16-bit files); 0% to "
                "100% is of that range, for float files of highest minus lowest value.",
            ),
            click.option(
                "--h",
                "h",
                type=NumberType(0, math.inf, above=True),
                default=None,
                show_default="from sigma",
                help="Filter strength, a number above 0 in grey levels: how different two patches "
                "may be and still count as alike.",
            ),
            click.option(
                "--patch-size",
                type=SizeType(),
                default=None,
                show_default="from sigma",
                help="Side of the patches compared, in pixels, odd, 1 to 9999; NxM is height x "
                "width, KxNxM depth x height x width. In a clip N and NxM are 1 frame deep.",
            ),
            click.option(
                "--search-size",
                type=SizeType(),
                default=None,
                show_default="from sigma",
                help="Side of the window searched, in pixels, odd, 1 to 9999; NxM is height x "
                "width, KxNxM depth x height x width. In a clip N and NxM are 5 frames deep.",
            ),
            click.option(
                "--strength",
                type=NumberType(0, math.inf, above=True),
                default=1.0,
                show_default=True,
                help="A number above 0: 0.8 keeps more detail, 1.2 removes more noise. Multiplies "
                "h, and what --method ridge takes the noise for.",
            ),
        ),
    )


def method_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--method and --chroma-strength."""
    return together(
        command,
        (
            click.option(
                "--method",
                type=click.Choice(["ridge", "classic"]),
                default=None,
                show_default="ridge; classic for volumes, clips, rician or correlated noise, and "
                "with --h or a size",
                help="classic is pixelwise non-local means; ridge goes on to average groups of "
                "like patches with the weights of least expected error: about a decibel better, in "
                "some twenty times the time.",
            ),
            click.option(
                "--chroma-strength",
                type=NumberType(0, math.inf, above=True),
                default=1.0,
                show_default=True,
                help="With --method ridge, a further strength for the differences between colours.",
            ),
        ),
    )


def noise_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--noise, --gain and --read-noise."""
    return together(
        command,
        (
            click.option(
                "--noise",
                type=click.Choice(["auto", "gaussian", "poisson-gaussian", "rician"]),
                default="auto",
                show_default=True,
                help="Kind of noise. gaussian: one level everywhere. poisson-gaussian: variance "
                "gain * mean + read-noise^2, as of cameras and microscopes. rician: of magnitude "
                "MRI. auto: gaussian with --sigma, poisson-gaussian with --gain, else as found, "
                "beneath JPEG compression too.",
            ),
            click.option(
                "--gain",
                type=NumberType(0, math.inf, above=True),
                default=None,
                show_default="estimated",
                help="Of poisson-gaussian noise: grey levels a photon, a number above 0.",
            ),
            click.option(
                "--read-noise",
                type=NumberType(0, math.inf, above=False),
                default=None,
                show_default="estimated; 0 with --gain",
                help="Of poisson-gaussian noise: standard deviation without light, in grey levels, "
                "from 0; with --gain.",
            ),
        ),
    )


def together(command: Callable[..., Any], options: tuple[Any, ...]) -> Callable[..., Any]:
    """The command with these options, in this order."""
    for option in reversed(options):
        command = option(command)
    return command


stack_option = click.option(
    "--stack",
    type=click.Choice(["auto", "volume", "clip", "pages"]),
    default="auto",
    show_default=True,
    help="What the pages of a file are: a volume in space, a clip in time, or pages each for "
    "itself; auto goes by the file, and takes what it does not name as pages. A single picture "
    "is one with any of them.",
)

memory_option = click.option(
    "--max-memory",
    type=MemoryType(),
    default=None,
    show_default="what the machine has left",
    help="Take at most so much for the arrays of a file, such as 500M or 2G (powers of 1024): what "
    "needs more is filtered in parts, with the same result to rounding, or else refused.",
)

json_option = click.option(
    "--json",
    "as_json",
    is_flag=True,
    default=False,
    show_default="text",
    help="One JSON object a file on standard output.",
)


def check_plain(
    noise: "Asked", gain: float | None, read_noise: float | None, chroma_strength: float, of: str
) -> None:
    """Refuse options that have no meaning there."""
    from nlmeans.base.checks import ParameterError

    given = {
        f"--gain {gain}": gain is not None,
        f"--read-noise {read_noise}": read_noise is not None,
        f"--noise {noise}": noise not in ("auto", "gaussian"),
        f"--chroma-strength {chroma_strength}": chroma_strength != 1,
    }
    option = next((option for option, is_given in given.items() if is_given), None)
    if option is not None:
        message = f"{option} does not go with {of}; leave one of them out"
        raise ParameterError(message)
