"""Options of the filter: noise, strength, sizes, method, and what the pages of a file are."""

from collections.abc import Callable
from typing import Any

import click
from nlmeans.cli.options.types import ABOVE_0, AUTO, FROM_0, SIGMA, SIZE, option, together


@option("--sigma", type=SIGMA, default=AUTO, shown="auto")
def sigma_option() -> None:
    """Noise level. auto estimates it. A number from 0 is the standard deviation in the file's grey
    levels (0-255 in 8-bit files, 0-65535 in 16-bit files). 0% to 100% is of that range; of float
    files the range is the highest minus the lowest value."""


@option("--h", "h", type=ABOVE_0, shown="from sigma")
def h_option() -> None:
    """Filter strength, a number above 0 in grey levels: how different two patches may be and still
    count as alike."""


@option("--patch-size", type=SIZE, shown="from sigma")
def patch_option() -> None:
    """Side of the patches compared, in pixels, odd, 1 to 9999. NxM is height x width, KxNxM depth x
    height x width. In a clip N and NxM are 1 frame deep."""


@option("--search-size", type=SIZE, shown="from sigma")
def search_option() -> None:
    """Side of the window searched, in pixels, odd, 1 to 9999. NxM is height x width, KxNxM depth x
    height x width. In a clip N and NxM are 5 frames deep."""


@option("--strength", type=ABOVE_0, default=1.0)
def strength_option() -> None:
    """A number above 0: 0.8 keeps more detail, 1.2 removes more noise. Multiplies h and, with
    --method ridge, the assumed noise level."""


def filter_options(command: Callable[..., Any]) -> Callable[..., Any]:
    sizes = (patch_option, search_option)
    return together(command, (sigma_option, h_option, *sizes, strength_option))


_METHODS = "ridge; classic for volumes, clips, rician or correlated noise, and with --h or a size"


@option("--method", type=click.Choice(["ridge", "classic"]), shown=_METHODS)
def method_option() -> None:
    """classic is pixelwise non-local means. ridge goes on to average groups of similar patches with
    the weights of least expected error: about a decibel better, in about twenty times the time."""


@option("--chroma-strength", type=ABOVE_0, default=1.0)
def chroma_option() -> None:
    """With --method ridge, a further strength for the differences between colours."""


def method_options(command: Callable[..., Any]) -> Callable[..., Any]:
    return together(command, (method_option, chroma_option))


_NOISE = click.Choice(["auto", "gaussian", "poisson-gaussian", "rician"])


@option("--noise", type=_NOISE, default="auto")
def noise_option() -> None:
    """Kind of noise. gaussian: one level everywhere. poisson-gaussian: variance gain * mean +
    read-noise^2, as of cameras and microscopes. rician: of magnitude MRI. auto: gaussian with
    --sigma, poisson-gaussian with --gain, otherwise estimated, including noise hidden by JPEG
    compression."""


@option("--gain", type=ABOVE_0, shown="estimated")
def gain_option() -> None:
    """Gain of poisson-gaussian noise: grey levels per photon, a number above 0."""


@option("--read-noise", type=FROM_0, shown="estimated; 0 with --gain")
def read_noise_option() -> None:
    """Read noise of poisson-gaussian noise: standard deviation without light, in grey levels, from
    0; with --gain."""


def noise_options(command: Callable[..., Any]) -> Callable[..., Any]:
    return together(command, (noise_option, gain_option, read_noise_option))


@option("--stack", type=click.Choice(["auto", "volume", "clip", "pages"]), default="auto")
def stack_option() -> None:
    """What the pages of a file are: a volume in space, a clip in time, or independent pages. auto
    uses the file's metadata and falls back to independent pages. Ignored for single images."""
