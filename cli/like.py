"""--like: another program's parameters, by the names that its own call has."""

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
from nlmeans.cli.options import Sigma, Size, grey_range
from nlmeans.cli.stacks import Part, Taken

if TYPE_CHECKING:
    from nlmeans.denoising.settings import Settings

FLAGS = {"true": True, "false": False}
CUBES = ("dipy", "skimage")  # whose patches are cubes in a stack; the others take pages alone


@dataclass(frozen=True)
class Like:
    """A peer and the parameters given for it."""

    peer: str
    given: dict[str, Any]

    def on(self, taken: Taken, part: Part, strength: float) -> "Liked":
        """What it is on a part of a picture; a noise level that the peer needs is estimated."""
        from nlmeans import Patches, Window
        from nlmeans.denoising.settings import Settings
        from nlmeans.peers import PEERS

        make, given, picture = PEERS[self.peer], dict(self.given), taken.picture
        known = inspect.signature(make).parameters
        stack = taken.stack in ("volume", "clip")
        peak = _white(picture, self.peer)
        needs_sigma = "sigma" in known and known["sigma"].default is inspect.Parameter.empty
        estimated = needs_sigma and "sigma" not in given
        if estimated:
            given["sigma"] = _estimated(taken, part) / (peak / 255 if "peak" in known else 1)
        told = dict(given)
        if "peak" in known:
            given["peak"] = peak
        if self.peer == "skimage":
            given["axes"] = 3 if stack else 2
        if self.peer == "ipol":
            given["channels"] = 1 if picture.channel_axis is None else picture.colours.shape[-1]
        if self.peer == "knlmeans" and not stack:
            given.setdefault("d", 0)  # there are no other frames
        operation = make(**given)
        f, over = operation.f, operation.over
        assert isinstance(f.query, Patches)
        assert isinstance(over, Window)
        deep = self.peer in CUBES

        def sides(size: Size) -> Size:
            return (size if deep else 1, size, size) if stack and isinstance(size, int) else size

        settings = Settings(
            sigma=(f.noise / 2) ** 0.5,
            h=strength * f.scale**-0.5,
            patch_size=sides(f.query.size),
            search_size=sides(over.size),
        )
        options: dict[str, Any] = {
            "patch_weighting": f.query.weighting,
            "centre": f.centre,
            "border": over.border,
            "cut": f.cut,
        }
        if f.arithmetic != "exact":
            options["arithmetic"] = f.arithmetic
        return Liked(self.peer, told, settings, options, estimated)


@dataclass(frozen=True)
class Liked:
    """Settings and further options of `nlmeans.denoise` that stand for a peer's call."""

    peer: str
    given: dict[str, Any]
    settings: "Settings"
    options: dict[str, Any]
    estimated: bool  # sigma

    def __str__(self) -> str:
        from nlmeans.peers import DIFFERENCES

        call = ", ".join(f"{name}={value!r}" for name, value in self.given.items())
        used = self.settings
        return (
            f"{self.peer}({call}) became sigma {used.sigma:.4g}, h {used.h:.4g}, patch "
            f"{used.patch_size}, search {used.search_size}, "
            + ", ".join(f"{name} {_shown(value)}" for name, value in self.options.items())
            + f"; not the same: {DIFFERENCES[self.peer]}"
        )


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _white(picture: Any, peer: str) -> float:
    """What the peer's white is in the file's grey levels."""
    import numpy as np

    if picture.pixels.dtype.kind in "iu":
        return float(np.iinfo(picture.pixels.dtype).max)
    return 1.0 if peer == "skimage" or picture.pixels.dtype.kind == "b" else grey_range(picture)


def _estimated(taken: Taken, part: Part) -> float:
    from nlmeans.noise.level import estimate_sigma, estimate_stack_sigma, joint_sigma

    estimator = estimate_stack_sigma if taken.stack in ("volume", "clip") else estimate_sigma
    colours = taken.picture.colours[part]
    return joint_sigma(estimator(colours, channel_axis=taken.layout["channel_axis"]))


class LikeType(click.ParamType[Like]):
    """PEER, or PEER:name=value,name=value."""

    name = "like"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return "PEER[:NAME=VALUE,...]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Like:
        from nlmeans.peers import PEERS

        if isinstance(value, Like):
            return value
        peer, _, rest = value.partition(":")
        if peer not in PEERS:
            self.fail(f"{peer!r} is unknown; there are {', '.join(PEERS)}", param, ctx)
        parameters = inspect.signature(PEERS[peer]).parameters
        names = [name for name, p in parameters.items() if p.kind is not p.KEYWORD_ONLY]
        given = {}
        for part in filter(None, rest.split(",")):
            name, _, text = part.partition("=")
            if name not in names:
                self.fail(f"{peer} has no {name!r}; it has {', '.join(names)}", param, ctx)
            given[name] = _value(text)
            flag = isinstance(parameters[name].default, bool)
            if flag != isinstance(given[name], bool):
                allowed = "true or false" if flag else "a number or name"
                self.fail(f"{name} is {text!r}; give {allowed}", param, ctx)
        return Like(peer, given)


def _value(text: str) -> bool | int | float | str:
    if text.lower() in FLAGS:
        return FLAGS[text.lower()]
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text


def with_numbers(
    like: Like,
    method: str | None,
    h: float | None,
    sigma: Sigma,
    patch_size: Size | None,
    search_size: Size | None,
) -> Like:
    """The same with --h and --sigma; sizes have each peer's own names and meaning."""
    from nlmeans.peers import PEERS

    if method is not None:
        message = "use just one of --like and --method"
        raise click.UsageError(message)
    for option, size in (("--patch-size", patch_size), ("--search-size", search_size)):
        if size is not None:
            message = (
                f"{option} does not go with --like; write sizes as in "
                "--like opencv:templateWindowSize=5,searchWindowSize=15"
            )
            raise click.UsageError(message)
    if sigma.percent:
        message = "--sigma goes with --like as a plain number, in the peer's own units"
        raise click.UsageError(message)
    given = dict(like.given)
    for name, value in (("h", h), ("sigma", sigma.value)):
        if value is None:
            continue
        if name not in inspect.signature(PEERS[like.peer]).parameters:
            message = f"{like.peer} has no {name}; see nlmeans.peers.from_{like.peer}"
            raise click.UsageError(message)
        if name in given:
            message = f"--{name} and --like both give {name}; give it once"
            raise click.UsageError(message)
        given[name] = value
    return Like(like.peer, given)


like_option = click.option(
    "--like",
    type=LikeType(),
    default=None,
    show_default="this program's own",
    help="Filter as another program does: opencv, skimage, ffmpeg, dipy, ipol or knlmeans, with "
    "its parameters, names, defaults and units, such as opencv:h=10,searchWindowSize=15. --h and "
    "--sigma may stand outside. Prints what it became.",
)
