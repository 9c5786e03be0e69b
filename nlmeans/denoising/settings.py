"""What `denoise` uses for an image: noise level and kind, method, sizes, h."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nlmeans.base.arrays import checked_array, grid_shape
from nlmeans.base.axes import Auto, Layout, Stack, layout_of
from nlmeans.base.checks import (
    SMALLEST_NUMBER,
    ParameterError,
    check_choice,
    check_number,
    check_size,
)
from nlmeans.denoising.ridge import Ridge
from nlmeans.denoising.table import (
    FIRST_GROUPS,
    PATCH_FRAMES,
    SEARCH_FRAMES,
    SECOND_GROUPS,
    table_row,
)
from nlmeans.noise.find import Asked, Levels, NoiseAsked, find, noise_asked
from nlmeans.noise.level import spread_slices
from nlmeans.noise.model import Noise
from nlmeans.operation.classical import nl_means
from nlmeans.operation.groups import GroupMeans
from nlmeans.operation.maps import Maps, checked_map, is_map, maps_of
from nlmeans.operation.operation import Operation

Array = NDArray[Any]
Size = int | tuple[int, ...]
Method = Literal["ridge", "classic"]
METHODS = ("ridge", "classic")
WHITE = Noise()
SMALLEST = 16  # side of an image that holds enough patches to choose from
# Of h in a map of it that comes from one of sigma, over their root mean square: where there is no
# noise, nothing is alike, but h has to be above 0.
LEAST_H = 1e-6


@dataclass(frozen=True)
class Settings:
    """What `denoise` uses for one image, volume or clip: given, estimated or from the table.

    sigma and h are in the image's units, for Poisson-Gaussian noise in those of the stabilised
    image, where sigma is 1; h is 0 where there is nothing to remove. The sizes of a volume or clip
    are (depth, height, width). h and the sizes are of the classical filter, which "ridge" starts
    with; the strength is in h, and multiplies the sigma of its groups. Of maps sigma and h are the
    root mean squares. `trust` is the share of what the filter removes that is taken out: below 1
    where white noise was estimated so low that it may be texture, see `trust_in`.
    """

    sigma: float
    h: float
    patch_size: Size
    search_size: Size
    noise: Noise = WHITE
    method: Method = "classic"
    strength: float = 1.0
    chroma_strength: float = 1.0
    maps: Maps | None = None
    keep_detail: bool = False
    trust: float = 1.0

    def operation(self, **options: Any) -> Operation | Ridge | None:
        """The filter with these settings, before its blend by `trust`; None where nothing is to be
        removed, or nothing of it trusted.
        """
        h = self.h or 1.0  # the options are checked even where they are not used
        operation = nl_means(
            self.sigma if self.maps is None else self.maps.sigma,
            h if self.maps is None else self.maps.h,
            self.patch_size,
            self.search_size,
            **options,
        )
        if not self.h or not self.trust:
            return None
        if self.method == "classic":
            return operation
        level = self.strength * self.sigma
        first, second = (
            GroupMeans(level, *groups, chroma_strength=self.chroma_strength)
            for groups in (FIRST_GROUPS, SECOND_GROUPS)
        )
        return Ridge(operation, first, second)

    def times(self, strength: float) -> Settings:
        """The same at so many times the strength."""
        maps = None if self.maps is None else Maps(self.maps.sigma, strength * self.maps.h)
        return replace(self, h=strength * self.h, strength=strength * self.strength, maps=maps)

    def arguments(self) -> dict[str, Any]:
        """What `denoise` takes to do with these settings."""
        own: dict[str, Any] = {
            "sigma": None if self.noise.kind == "poisson-gaussian" else self.sigma,
            "noise": self.noise,
            "method": self.method,
            "keep_detail": self.keep_detail,
            "amount": self.trust,
        }
        if self.method == "ridge":
            strengths = {"strength": self.strength, "chroma_strength": self.chroma_strength}
            return own | strengths
        sizes = {"patch_size": self.patch_size, "search_size": self.search_size}
        if self.maps is None:
            return own | sizes | {"h": self.h or None}
        of_maps = {"h": self.maps.h} | ({} if own["sigma"] is None else {"sigma": self.maps.sigma})
        return own | sizes | of_maps


def settings_for(
    image: ArrayLike,
    sigma: Levels | None = None,
    *,
    noise: Asked = "auto",
    gain: Levels | None = None,
    read_noise: Levels | None = None,
    method: Method | None = None,
    h: float | ArrayLike | None = None,
    patch_size: Size | None = None,
    search_size: Size | None = None,
    strength: float = 1.0,
    chroma_strength: float = 1.0,
    keep_detail: bool = False,
    channel_axis: int | Auto | None = "auto",
    alpha: bool | Auto = "auto",
    stack: Stack | Auto = "auto",
) -> Settings:
    """The settings that `denoise` takes for an image, volume or clip, without denoising it.

    Parameters, units and errors are those of `denoise`. Pages have settings of their own: ask for
    each page, without `stack`.

    Examples
    --------
    >>> import numpy as np, nlmeans
    >>> nlmeans.settings_for(np.eye(32), sigma=0.1, patch_size=3).patch_size
    3
    >>> nlmeans.settings_for(np.zeros((9, 32, 32)), sigma=1, patch_size=7, stack="clip").patch_size
    (1, 7, 7)
    """
    array = checked_array("image", image)
    layout = layout_of(array.shape, channel_axis, alpha, stack)
    if layout.stack == "pages":
        message = "stack is 'pages', each with its own settings; ask for every page without stack"
        raise ValueError(message)
    return choose_settings(
        array,
        layout,
        sigma,
        noise=noise,
        gain=gain,
        read_noise=read_noise,
        method=method,
        h=h,
        patch_size=patch_size,
        search_size=search_size,
        strength=strength,
        chroma_strength=chroma_strength,
        keep_detail=keep_detail,
    )


def choose_settings(
    image: Array,
    layout: Layout,
    sigma: Levels | None,
    *,
    noise: Asked,
    gain: Levels | None,
    read_noise: Levels | None,
    method: Method | None,
    h: float | ArrayLike | None,
    patch_size: Size | None,
    search_size: Size | None,
    strength: float,
    chroma_strength: float,
    keep_detail: bool,
    classic_only: Sequence[str] = (),
) -> Settings:
    """Those of one image, volume or clip; `classic_only` names what else "classic" alone takes."""
    given = {"h": h, "patch_size": patch_size, "search_size": search_size}
    named = [name for name, value in given.items() if value is not None]
    grid = grid_shape(image.shape, layout.channel_axis)
    sigma_map = h_map = None
    if sigma is not None and np.ndim(sigma) > 1:
        sigma_map = _on_grid("sigma", sigma, 0.0, grid)
        sigma = _root_mean_square(sigma_map)
        named.insert(0, "map of sigma")
    if h is not None and is_map(h):
        h_map = _on_grid("h", h, SMALLEST_NUMBER, grid)
        h = _root_mean_square(h_map)
    asked = noise_asked(noise, sigma, gain, read_noise)
    used = _settings(image, layout, asked, h, patch_size, search_size, strength)
    if used.h and (sigma_map is not None or h_map is not None):
        if sigma_map is None:
            sigma_map = np.array(used.sigma)
        if h_map is not None:
            h_map = strength * h_map
        elif h is None:
            h_map = used.h / used.sigma * np.maximum(sigma_map, LEAST_H * used.sigma)
        else:
            h_map = np.array(used.h)
        used = replace(used, maps=maps_of(sigma_map, h_map))
    used = _with_method(used, image, layout, method, [*named, *classic_only], chroma_strength)
    if keep_detail:
        _check_detail(used)
        used = replace(used, trust=1.0)
    return replace(used, keep_detail=bool(keep_detail))


def _on_grid(name: str, value: ArrayLike, lowest: float, grid: tuple[int, ...]) -> Array:
    found = checked_map(name, value, lowest)
    if found.shape != grid:
        message = (
            f"the map of {name} has shape {found.shape} and the image's positions {grid}; they "
            "have to be the same"
        )
        raise ValueError(message)
    return found


def _root_mean_square(values: Array) -> float:
    most = float(values.max())  # whose square may be no float
    return most * float(np.sqrt(np.mean(np.square(values / most)))) if most > 0 else 0.0


def _check_detail(used: Settings) -> None:
    """Refuse noise for which the estimate of the error does not hold."""
    message = None
    if used.noise.kind == "rician":
        message = "keep_detail does not take Rician noise; leave it out"
    elif used.noise.extent > 1:
        message = (
            f"keep_detail takes white noise, and this is correlated over {used.noise.extent:.1f} "
            "pixels; leave it out, or say noise='gaussian'"
        )
    elif used.noise.jpeg:
        message = (
            "keep_detail takes white noise, and this went through JPEG; leave it out, or say "
            "noise='gaussian'"
        )
    elif used.h and used.sigma == 0:
        message = "keep_detail goes by the noise, and sigma is 0; give a sigma above 0"
    if message is not None:
        raise ParameterError(message)


def _settings(
    image: Array,
    layout: Layout,
    asked: NoiseAsked,
    h: float | ArrayLike | None,
    patch_size: Size | None,
    search_size: Size | None,
    strength: float,
) -> Settings:
    colours, axis = layout.colours(image), layout.channel_axis
    strength = check_number("strength", strength, low=0, above=True)
    if h is not None:
        h = check_number("h", h, low=0, above=True)
    found = find(colours, layout, asked, trusted=h is not None)
    used, level = found.noise, found.sigma
    if h is None or patch_size is None or search_size is None:
        seen = colours if layout.stack is None else spread_slices(colours, axis)
        seen = used.stabilise(seen, axis)
        row = table_row(level or h or 0.0, seen, axis, volume=layout.stack == "volume")
        h = row.h_over_sigma * level if h is None else h
        patch_size = _enlarged(row.patch_size, used.extent) if patch_size is None else patch_size
        search_size = (
            _enlarged(row.search_size, used.extent) if search_size is None else search_size
        )
    return Settings(
        sigma=level,
        h=strength * h,
        patch_size=_sides("patch_size", patch_size, layout.stack, PATCH_FRAMES),
        search_size=_sides("search_size", search_size, layout.stack, SEARCH_FRAMES),
        noise=used,
        strength=strength,
        trust=found.trust,
    )


def _with_method(
    used: Settings,
    image: Array,
    layout: Layout,
    method: Method | None,
    classic_only: list[str],
    chroma_strength: float,
) -> Settings:
    """The settings with the method asked for, if it goes with the rest; else the one that does."""
    chroma_strength = check_number("chroma_strength", chroma_strength, low=0, above=True)
    colours = layout.colours(image)
    if method is None:
        large = min(grid_shape(colours.shape, layout.channel_axis)) >= SMALLEST
        white = used.noise.kind != "rician" and used.noise.extent == 1
        fits = layout.stack is None and large and white and not classic_only
        method = "ridge" if fits else "classic"
    check_choice("method", method, METHODS)
    message = None
    if method == "ridge" and layout.stack is not None:
        message = f"method 'ridge' takes images and pages, no {layout.stack}; use 'classic'"
    elif method == "ridge" and used.noise.kind == "rician":
        message = "method 'ridge' does not take Rician noise; use 'classic'"
    elif method == "ridge" and classic_only:
        message = f"method 'ridge' takes no {classic_only[0]}; leave it out, or use 'classic'"
    elif method == "classic" and chroma_strength != 1:
        message = (
            f"chroma_strength is {chroma_strength:g}, and method 'classic' filters all channels "
            "alike; leave it out, or use 'ridge'"
        )
    if message is not None:
        raise ParameterError(message)
    return replace(used, method=method, chroma_strength=chroma_strength)


def _enlarged(side: int, extent: float) -> int:
    """The odd side nearest to `extent` times this one: as many independent values are in it."""
    return 2 * round((side * extent - 1) / 2) + 1


def _sides(name: str, size: Size, stack: Stack | None, frames: int) -> Size:
    """As given for an image; (depth, height, width) for a volume or a clip."""
    size = check_size(name, size)
    axes = 1 if isinstance(size, int) else len(size)
    if stack is None and axes > 2:
        message = f"{name} is {size}; an image takes one number or (height, width)"
        raise ParameterError(message)
    if stack is None or axes == 3:
        return size
    if isinstance(size, int):
        return (size if stack == "volume" else frames, size, size)
    if stack == "clip" and len(size) == 2:
        return (frames, *size)
    numbers = "one number or (depth, height, width)"
    if stack == "clip":
        numbers = "one number, (height, width) or (depth, height, width)"
    message = f"{name} is {size}; a {stack} takes {numbers}"
    raise ParameterError(message)
