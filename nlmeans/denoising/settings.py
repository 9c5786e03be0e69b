"""What `denoise` uses for an image: noise level and kind, method, sizes, h."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nlmeans.base.arrays import checked_array, grid_shape
from nlmeans.base.axes import Auto, Layout, Stack, layout_of
from nlmeans.base.checks import SMALLEST_NUMBER, ParameterError, check_size
from nlmeans.denoising.methods import METHODS, Demand, MethodName
from nlmeans.denoising.request import Request, Size, root_mean_square
from nlmeans.denoising.table import PATCH_FRAMES, SEARCH_FRAMES, table_row
from nlmeans.denoising.unbiased import Unbiased
from nlmeans.noise.find import Asked, Levels, find
from nlmeans.noise.level import spread_slices
from nlmeans.noise.model import Noise
from nlmeans.operation.classical import nl_means
from nlmeans.operation.filter import Filter
from nlmeans.operation.maps import Maps, checked_map, is_map, maps_of
from nlmeans.operation.operation import Operation

Array = NDArray[Any]
WHITE = Noise()
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
    where white noise was estimated so low that it may be texture, see `trust_in`. `estimated` tells
    whether the noise level was.
    """

    sigma: float
    h: float
    patch_size: Size
    search_size: Size
    noise: Noise = WHITE
    method: MethodName = "classic"
    strength: float = 1.0
    chroma_strength: float = 1.0
    maps: Maps | None = None
    keep_detail: bool = False
    trust: float = 1.0
    estimated: bool = False

    def operation(self, **options: Any) -> Filter | None:
        """The filter with these settings, before its blend by `trust`; None where nothing is to be
        removed, or nothing of it trusted.
        """
        classic = self.classic(**options)
        if not self.h or not self.trust:
            return None
        level = self.strength * self.sigma
        return METHODS[self.method].filter(classic, level, self.chroma_strength)

    def filter(self, **options: Any) -> Filter | None:
        """The filter as it runs on the image: averages of magnitudes lose their bias."""
        made = self.operation(**options)
        if made is None or self.noise.kind != "rician":
            return made
        classic = self.classic(**options)
        return Unbiased(classic, self.sigma if self.maps is None else self.maps.sigma)

    def classic(self, **options: Any) -> Operation:
        """The classical operation, whether or not it is used."""
        sigma, h = self.sigma, self.h or 1.0
        maps = self.maps
        return nl_means(
            sigma if maps is None else maps.sigma,
            h if maps is None else maps.h,
            self.patch_size,
            self.search_size,
            **options,
        )

    def times(self, strength: float) -> Settings:
        """These settings at so many times the strength."""
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
    method: MethodName | None = None,
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
        raise ValueError(
            "stack is 'pages', each with its own settings; ask for every page without stack"
        )
    request = Request(
        sigma=sigma,
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
    return choose_settings(array, layout, request)


def choose_settings(image: Array, layout: Layout, request: Request) -> Settings:
    """Those of one image, volume or clip."""
    named = [
        name for name in ("h", "patch_size", "search_size") if getattr(request, name) is not None
    ]
    named += request.weighting.special
    grid = grid_shape(image.shape, layout.channel_axis)
    sigma_map = h_map = None
    if request.sigma is not None and np.ndim(request.sigma) > 1:
        sigma_map = _on_grid("sigma", request.sigma, 0.0, grid)
        named.insert(0, "map of sigma")
    if request.h is not None and is_map(request.h):
        h_map = _on_grid("h", request.h, SMALLEST_NUMBER, grid)
        request = replace(request, h=root_mean_square(h_map))
    used = _with_sizes(image, layout, request)
    if used.h and (sigma_map is not None or h_map is not None):
        used = replace(used, maps=_maps(used, sigma_map, h_map, request))
    demand = Demand(used.noise, grid, layout.stack, tuple(named), request.chroma_strength)
    suiting = (name for name, each in METHODS.items() if each.suits(demand))
    name = next(suiting) if request.method is None else request.method
    lacking = METHODS[name].lacks(demand)
    if lacking is not None:
        raise ParameterError(lacking)
    if request.keep_detail:
        _check_detail(used)
    return replace(
        used,
        method=name,
        chroma_strength=request.chroma_strength,
        keep_detail=bool(request.keep_detail),
    )


def _maps(used: Settings, sigma: Array | None, h: Array | None, request: Request) -> Maps:
    """Maps of sigma and h, of which one is given; h follows sigma where none is."""
    sigmas = np.array(used.sigma) if sigma is None else sigma
    if h is not None:
        return maps_of(sigmas, request.strength * h)
    if request.h is not None:
        return maps_of(sigmas, np.array(used.h))
    return maps_of(sigmas, used.h / used.sigma * np.maximum(sigmas, LEAST_H * used.sigma))


def _on_grid(name: str, value: Any, lowest: float, grid: tuple[int, ...]) -> Array:
    found = checked_map(name, value, lowest)
    if found.shape != grid:
        raise ValueError(
            f"the map of {name} has shape {found.shape} and the image's positions {grid}; they "
            "have to be the same"
        )
    return found


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


def _with_sizes(image: Array, layout: Layout, request: Request) -> Settings:
    """Noise, sizes and h: given, estimated or from the table."""
    colours, axis = layout.colours(image), layout.channel_axis
    h, patch_size, search_size = request.h, request.patch_size, request.search_size
    found = find(colours, layout, request.asked, trusted=h is not None or request.keep_detail)
    if h is None or patch_size is None or search_size is None:
        seen = colours if layout.stack is None else spread_slices(colours, axis)
        seen = found.noise.stabilise(seen, axis)
        level = found.sigma or float(h or 0.0)  # type: ignore[arg-type]
        row = table_row(level, seen, axis, volume=layout.stack == "volume")
        h = row.h_over_sigma * found.sigma if h is None else h
        extent = found.noise.extent
        patch_size = _enlarged(row.patch_size, extent) if patch_size is None else patch_size
        search_size = _enlarged(row.search_size, extent) if search_size is None else search_size
    return Settings(
        sigma=found.sigma,
        h=request.strength * float(h),  # type: ignore[arg-type]
        patch_size=_sides("patch_size", patch_size, layout.stack, PATCH_FRAMES),
        search_size=_sides("search_size", search_size, layout.stack, SEARCH_FRAMES),
        noise=found.noise,
        strength=request.strength,
        trust=found.trust,
        estimated=found.estimated,
    )


def _enlarged(side: int, extent: float) -> int:
    """The odd side nearest to `extent` times this one: as many independent values are in it."""
    return 2 * round((side * extent - 1) / 2) + 1


def _sides(name: str, size: Size, stack: Stack | None, frames: int) -> Size:
    """As given for an image; (depth, height, width) for a volume or a clip."""
    size = check_size(name, size)
    axes = 1 if isinstance(size, int) else len(size)
    if stack is None and axes > 2:
        raise ParameterError(f"{name} is {size}; an image takes one number or (height, width)")
    if stack is None or axes == 3:
        return size
    if isinstance(size, int):
        return (size if stack == "volume" else frames, size, size)
    if stack == "clip" and len(size) == 2:
        return (frames, *size)
    numbers = "one number or (depth, height, width)"
    if stack == "clip":
        numbers = "one number, (height, width) or (depth, height, width)"
    raise ParameterError(f"{name} is {size}; a {stack} takes {numbers}")
