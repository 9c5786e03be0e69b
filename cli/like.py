"""--like: another program's parameters, by the names that its own call has."""

import inspect
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click
from nlmeans.cli.options.types import Sigma, Size, grey_range
from nlmeans.cli.stacks import Pages, Part

if TYPE_CHECKING:
    from nlmeans import Operation, Patches, Settings, Window
    from nlmeans.peers import Peer


@dataclass(frozen=True)
class PeerCall:
    """A peer and the parameters given for it."""

    peer: "Peer"
    given: dict[str, Any]

    def check_sizes(self, sizes: dict[str, Size | None]) -> None:
        """Refuse sizes beside the call: each peer has its own names and meaning of them."""
        for option, size in sizes.items():
            if size is not None:
                raise click.UsageError(
                    f"{option} does not go with --like; write sizes as in "
                    "--like opencv:templateWindowSize=5,searchWindowSize=15"
                )

    def with_numbers(self, *, h: float | None, sigma: Sigma) -> "PeerCall":
        """The same call with --h and --sigma."""
        if sigma.percent:
            raise click.UsageError(
                "--sigma goes with --like as a plain number, in the peer's own units"
            )
        given = dict(self.given)
        for name, value in (("h", h), ("sigma", sigma.value)):
            if value is None:
                continue
            if name not in self.peer.parameters:
                peer = self.peer.name
                raise click.UsageError(f"{peer} has no {name}; see nlmeans.peers.from_{peer}")
            if name in given:
                raise click.UsageError(f"--{name} and --like both give {name}; give it once")
            given[name] = value
        return PeerCall(self.peer, given)

    def on(self, pages: Pages, part: Part, strength: float) -> "Equivalent":
        """What it is on a part of a picture; a noise level that the peer needs is estimated."""
        from nlmeans import Settings

        given, known, picture = dict(self.given), self.peer.parameters, pages.picture
        stack = pages.stack in ("volume", "clip")
        peak = _white(picture, self.peer.unit_floats)
        needs_sigma = "sigma" in known and known["sigma"].default is inspect.Parameter.empty
        estimated = needs_sigma and "sigma" not in given
        if estimated:
            given["sigma"] = _level(pages, part) / (peak / 255 if "peak" in known else 1)
        told = dict(given)
        if "peak" in known:
            given["peak"] = peak
        channels = 1 if picture.channel_axis is None else picture.colours.shape[-1]
        operation = self.peer.operation(3 if stack else 2, channels, given)
        patches, window = _parts(operation)
        f, deep = operation.f, self.peer.cubes
        if strength != 1:
            f = replace(f, scale=f.scale / strength**2)
        if stack:
            patches = replace(patches, size=_sides(patches.size, deep))
            window = replace(window, size=_sides(window.size, deep))
        operation = replace(operation, f=replace(f, query=patches, key=patches), over=window)
        settings = Settings(
            sigma=(f.noise / 2) ** 0.5,
            h=f.scale**-0.5,
            patch_size=patches.size,
            search_size=window.size,
            strength=strength,
            estimated=estimated,
        )
        return Equivalent(self.peer, told, operation, settings)


@dataclass(frozen=True)
class Equivalent:
    """The operation that does what a peer's call does, and its numbers as settings."""

    peer: "Peer"
    given: dict[str, Any]
    operation: "Operation"
    settings: "Settings"

    def __str__(self) -> str:
        call = ", ".join(f"{name}={value!r}" for name, value in self.given.items())
        used, f = self.settings, self.operation.f
        patches, window = _parts(self.operation)
        options = {
            "patch_weighting": patches.weighting,
            "centre": f.centre,
            "border": window.border,
            "cut": f"{f.cut:.4g}",
        }
        if f.arithmetic != "exact":
            options["arithmetic"] = f.arithmetic
        return (
            f"{self.peer.name}({call}) became sigma {used.sigma:.4g}, h {used.h:.4g}, patch "
            f"{used.patch_size}, search {used.search_size}, "
            + ", ".join(f"{name} {value}" for name, value in options.items())
            + f"; not the same: {self.peer.differences}"
        )


def _parts(operation: "Operation") -> "tuple[Patches, Window]":
    """What every peer's operation is made of."""
    from nlmeans import Patches, Window

    assert isinstance(operation.f.query, Patches)
    assert isinstance(operation.over, Window)
    return operation.f.query, operation.over


def _sides(size: Size, deep: bool) -> Size:
    """In a stack, one number is the side of a cube, or of patches and windows of one page."""
    return (size if deep else 1, size, size) if isinstance(size, int) else size


def _level(pages: Pages, part: Part) -> float:
    """The level of white noise in a part of a picture."""
    from nlmeans.base.axes import layout_of
    from nlmeans.noise.find import find, noise_asked

    image = pages.picture.pixels[part]
    layout = layout_of(image.shape, **pages.layout)
    return find(layout.colours(image), layout, noise_asked("gaussian")).sigma


def _white(picture: Any, unit_floats: bool) -> float:
    """What the peer's white is in the file's grey levels."""
    import numpy as np

    if picture.pixels.dtype.kind in "iu":
        return float(np.iinfo(picture.pixels.dtype).max)
    if unit_floats or picture.pixels.dtype.kind == "b":
        return 1.0
    return grey_range(picture.pixels)
