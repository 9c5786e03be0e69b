"""The settings that no matrix holds: from the keys, the options, or what the layout's code does."""

from typing import Any, NamedTuple

import numpy as np

from nlmeans.weights.errors import Refusal
from nlmeans.weights.layouts import SPACE, BlockLayout
from nlmeans.weights.options import Choice, Options, Source, scale_number
from nlmeans.weights.roles import FoundBlock

CONCAT = "concatenation"
# Why an option that is given is of no use here.
USE = {
    "softmax": "only exponential functions of pairs have one",
    "scale": "concatenation has none",
    "eps": "there is no batch norm with running statistics",
    "pool_kind": "no keys are pooled (give pool)",
    "pool_order": "no keys are pooled (give pool)",
    "group_frames": "the weights have no three axes, of which the first is time",
}


class Setting(NamedTuple):
    value: Any
    source: Source

    def shown(self, name: str, d: int, channels: int) -> Choice:
        """With powers of d and C, and sizes, in numbers."""
        text = str(self.value)
        if name == "scale" and "**" in text:
            text = f"{text} = {scale_number(text, d, channels):.6g}"
        elif name == "pool":
            sides = self.value if isinstance(self.value, tuple) else (self.value,)
            text = "none" if set(sides) == {1} else "x".join(map(str, sides))
        elif name == "group_frames":
            text = "all in one" if self.value == 0 else text
        elif isinstance(self.value, float):
            text = f"{self.value:.9g}"
        return Choice(name, text, self.source)


def settings_of(found: FoundBlock, axes: int, options: Options) -> dict[str, Setting]:
    """The settings of a block whose convolutions have so many axes besides channels.

    Where the keys fit several layouts, what these do differently is only assumed.

    Raises Refusal if an option contradicts the tensors, or is of no use for this pairwise function.
    """
    settings = _settings(found, found.layout, axes, options)
    for name in options.given:
        if name not in settings:
            raise Refusal(f"{name} is given, but {USE[name]}; leave it out")
    sides = settings["pool"].value
    if axes and isinstance(sides, tuple) and len(sides) != axes:
        raise Refusal(f"pool {sides} has {len(sides)} sides; the weights are for {axes} axes")
    for other in found.also:
        for name, setting in _settings(found, other, axes, options).items():
            mine = settings.get(name)
            if mine is not None and mine.source == "layout" and mine.value != setting.value:
                settings[name] = mine._replace(source="assumed")
    return settings


def _settings(
    found: FoundBlock, layout: BlockLayout, axes: int, options: Options
) -> dict[str, Setting]:
    """What the pairwise function and the tensors make use of."""
    pairwise = _pairwise(found, layout, options)
    settings = {"pairwise": pairwise}

    def settle(name: str, by_layout: Any, *, told: bool = False, open_: bool = False) -> None:
        given = getattr(options, name)
        free = open_ or name in layout.free
        source: Source = "file" if told else "assumed" if free else "layout"
        settings[name] = Setting(by_layout, source) if given is None else Setting(given, "option")

    if pairwise.value == "embedded_gaussian":
        settle("scale", layout.scale)
    elif pairwise.value == "gaussian" or (options.scale is not None and pairwise.value != CONCAT):
        settle("scale", 1.0)
    if pairwise.value in ("embedded_gaussian", "gaussian"):
        settle("softmax", layout.softmax)
    if ("norm", "var") in found.keys:
        settle("eps", layout.eps)

    sides = _pool(found, layout, axes, str(pairwise.value))
    # Matrices without the axes of a window do not tell which axis would be time.
    nameless = layout.pool == "space" and sides != 1 and axes == 0
    settle("pool", sides, told=layout.pool_told and sides == 1, open_=nameless)
    if pooled(settings):
        settle("pool_kind", "max")
        settle("pool_order", layout.pool_order)
    if axes == 3 and ("group_frames" in layout.free or options.group_frames is not None):
        settle("group_frames", 0)
    return settings


def pooled(settings: dict[str, Setting]) -> bool:
    sides = settings["pool"].value
    return bool(np.any(np.asarray(sides) != 1))


def _pool(
    found: FoundBlock, layout: BlockLayout, axes: int, pairwise: str
) -> int | tuple[int, ...]:
    """The sides that the layout's code has; 1 for no pool."""
    in_sequence = any("0" in path.split(".") for path in (found.paths["g"],))
    if layout.pool == "none" or (layout.pool_told and not in_sequence):
        return 1
    if layout.pool == "flat":
        return 2 if pairwise == "embedded_gaussian" else 1
    return SPACE.get(axes, 2)


def _pairwise(found: FoundBlock, layout: BlockLayout, options: Options) -> Setting:
    has_theta, has_concat = "theta" in found.paths, "concat" in found.paths
    given = options.pairwise
    if given is not None:
        if (given == "concatenation") != has_concat or (given == "gaussian") == has_theta:
            there = ", ".join(found.paths)
            raise Refusal(f"pairwise is {given!r}, but {found.name or 'the block'} has {there}")
        return Setting(given, "option")
    if has_concat:
        return Setting("concatenation", "file")
    if not has_theta:
        return Setting("gaussian", "file")
    several = "dot_product" in layout.pairwise
    return Setting(layout.pairwise[0], "assumed" if several else "layout")
