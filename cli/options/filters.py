"""Options of the filter: noise, strength, sizes, method, and what the pages of a file are."""

import math
from collections.abc import Callable
from typing import Any

import click
from nlmeans.cli.options.types import AUTO, NumberType, SigmaType, SizeType, together


def filter_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--sigma, --h, --patch-size, --search-size and --strength."""
    return together(
        command,
        (
            click.option(
                "--sigma",
                type=SigmaType(),
                default=AUTO,
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


stack_option = click.option(
    "--stack",
    type=click.Choice(["auto", "volume", "clip", "pages"]),
    default="auto",
    show_default=True,
    help="What the pages of a file are: a volume in space, a clip in time, or pages each for "
    "itself; auto goes by the file, and takes what it does not name as pages. A single picture "
    "is one with any of them.",
)
