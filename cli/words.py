"""What is said of noise, settings and parts: shared by the commands' texts and records."""

import math
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlmeans.cli.options.types import Size

from nlmeans.base.texts import shown

if TYPE_CHECKING:
    from nlmeans.denoising.settings import Settings
    from nlmeans.noise.model import Noise

Show = Callable[[float], str]


def short(number: float) -> str:
    """Four digits, more only where whole grey levels have more."""
    digits = 4 if number == 0 else max(4, math.floor(math.log10(abs(number))) + 1)
    return f"{number:.{digits}g}"


def sides(size: Size) -> str:
    """Such as 7 or 1x3x3."""
    return "x".join(map(str, size)) if isinstance(size, tuple) else str(size)


def between(values: list[float], show: Show) -> str:
    """One number, or the lowest and the highest of several."""
    low, high = show(min(values)), show(max(values))
    return low if low == high else f"{low} to {high}"


def settings_record(used: "Settings") -> dict[str, Any]:
    """For --json: the settings without their maps."""
    record = asdict(replace(used, maps=None))
    del record["maps"], record["estimated"]
    return record


def how_found(settings: list["Settings"], by_map: bool = False) -> str:
    """Where the noise level is from."""
    if by_map:
        return "by a map"
    return "estimated" if any(used.estimated for used in settings) else "given"


def noise_found(settings: list["Settings"], show: Show = short) -> str:
    """Such as "sigma 12" or "poisson-gaussian noise, gain 3.2, read noise 1.5"."""
    one_level = [used for used in settings if used.noise.kind != "poisson-gaussian"]
    kinds = ["rician noise"] * any(used.noise.kind == "rician" for used in one_level)
    if one_level:
        kinds.append(f"sigma {between([used.sigma for used in one_level], show)}")
    return ", ".join(filter(None, [*kinds, noise_model([used.noise for used in settings], show)]))


def noise_model(noises: list["Noise"], show: Show) -> str:
    """What there is besides one level: empty for white Gaussian noise."""
    parts = []
    dependent = [noise for noise in noises if noise.kind == "poisson-gaussian"]
    if dependent:
        gain, read_noise, offset = (
            between([n for noise in dependent for n in getattr(noise, name)], show)
            for name in ("gain", "read_noise", "offset")
        )
        parts.append(f"poisson-gaussian noise, gain {gain}, read noise {read_noise}")
        parts += [f"offset {offset}"] * (offset != "0")
    extents = [noise.extent for noise in noises]
    if max(extents) > 1:
        parts.append(f"correlated over {between(extents, '{:.1f}'.format)} pixels")
    parts += ["before JPEG compression"] * any(noise.jpeg for noise in noises)
    return ", ".join(parts)


def trust_found(settings: list["Settings"]) -> str:
    """Such as "filtered at 40%: may be texture"; empty where all of it is taken out."""
    each = [used.trust for used in settings if used.h]
    if not each or min(each) == 1:
        return ""
    return f"filtered at {between(each, '{:.0%}'.format)}: may be texture"


def done(settings: list["Settings"]) -> str:
    """What the filter does: its method, strength and sizes, or why nothing is done."""
    noisy = [each for each in settings if each.h]
    if not noisy:
        return "no noise: not filtered"
    if not any(each.trust for each in noisy):
        return "which may be texture: not filtered"
    by_map = " (by a map)" if any(each.maps is not None for each in settings) else ""
    patches, searches = (
        " or ".join(dict.fromkeys(map(sides, sizes)))
        for sizes in (
            [each.patch_size for each in settings],
            [each.search_size for each in settings],
        )
    )
    strength = f"h {between([each.h for each in settings], short)}{by_map}"
    words = [f"{strength}, patch {patches}, search {searches}", trust_found(settings)]
    if any(each.method == "ridge" for each in noisy):
        words.insert(0, "ridge")
    return ", ".join(filter(None, words))


def noted(*of_files: tuple[Path, tuple[str, ...] | list[str]]) -> tuple[str, ...]:
    """Notes for standard error, each with the file that it is of."""
    return tuple(f"{shown(file)}: {note}" for file, notes in of_files for note in notes)
