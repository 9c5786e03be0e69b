"""What the pages of a picture are taken as, and the parts of it that are worked on alone."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from nlmeans.denoising.settings import Settings
    from nlmeans.images import Picture
    from nlmeans.noise.model import Noise

Part = tuple[int | slice, ...]
T = TypeVar("T")
KINDS = {"Z": "volume", "TZ": "volume", "T": "clip", "I": "pages"}  # by the axes of a picture
UNKNOWN = "I"


@dataclass(frozen=True)
class Taken:
    """A picture with a decision.

    Attributes
    ----------
    stack : str or None
        "volume", "clip" or "pages"; None for a single picture.
    parts : list of index
        Where in the pixels each part is: the picture, one volume or clip, or one page.
    note : str or None
        What there is to say of the decision.
    """

    picture: "Picture"
    stack: str | None
    parts: list[Part]
    note: str | None = None

    @property
    def layout(self) -> dict[str, Any]:
        """Of a part, as `nlmeans.denoise` wants it told."""
        return {
            "channel_axis": None if self.picture.channel_axis is None else -1,
            "alpha": self.picture.alpha,
            "stack": self.stack if self.stack in ("volume", "clip") else "auto",
        }

    @property
    def record(self) -> dict[str, Any]:
        """For --json."""
        return {"stack": self.stack, "pages": self.picture.pages}

    def __str__(self) -> str:
        """Such as "volume of 20 pages, "; empty for a single picture."""
        pages, count = self.picture.pages, len(self.parts)
        if self.stack is None:
            return ""
        if self.stack == "pages":
            return f"{pages} pages, each alone, "
        if count == 1:
            return f"{self.stack} of {pages} pages, "
        return f"{count} {self.stack}s of {pages // count} pages, "

    def map(self, work: Callable[[int, Part], T]) -> list[T]:
        """What ``work`` makes of each part and its number from 0; errors say which of several."""
        results = []
        for number, part in enumerate(self.parts):
            try:
                results.append(work(number, part))
            except ValueError as error:
                if len(self.parts) == 1:
                    raise
                name = "page" if self.stack == "pages" else self.stack
                message = f"{name} {number + 1}: {error}"
                raise type(error)(message) from error
        return results


def taken_as(picture: "Picture", asked: str) -> Taken:
    """As asked for, or as the file says; pages of no known meaning are left alone."""
    if not picture.stack:
        return Taken(picture, None, [()])
    stack = KINDS[picture.stack] if asked == "auto" else asked
    axis = {"volume": "Z", "clip": "T", "pages": ""}[stack]
    along = axis if axis in picture.stack else picture.stack
    note = None
    if asked == "auto" and picture.stack == UNKNOWN:
        note = (
            f"{picture.pages} pages of no known meaning, each taken alone; --stack volume or "
            "--stack clip uses the neighbours"
        )
    return Taken(picture, stack, list(picture.parts(along)), note)


def settings_record(used: "Settings") -> dict[str, Any]:
    """For --json: the settings without their maps."""
    record = asdict(replace(used, maps=None))
    del record["maps"]
    return record


def between(values: list[float], show: Callable[[float], str]) -> str:
    """One number, or the lowest and the highest of several."""
    low, high = show(min(values)), show(max(values))
    return low if low == high else f"{low} to {high}"


def noise_found(settings: list["Settings"], show: Callable[[float], str]) -> str:
    """Such as "sigma 12" or "poisson-gaussian noise, gain 3.2, read noise 1.5"."""
    one_level = [used for used in settings if used.noise.kind != "poisson-gaussian"]
    kinds = ["rician noise"] * any(used.noise.kind == "rician" for used in one_level)
    if one_level:
        kinds.append(f"sigma {between([used.sigma for used in one_level], show)}")
    return ", ".join(filter(None, [*kinds, noise_model([used.noise for used in settings], show)]))


def trust_found(settings: list["Settings"]) -> str:
    """Such as "40% of it as some may be texture"; empty where all of it is taken out."""
    each = [used.trust for used in settings if used.h]
    if not each or min(each) == 1:
        return ""
    return f"{between(each, '{:.0%}'.format)} of it as some may be texture"


def noise_model(noises: list["Noise"], show: Callable[[float], str]) -> str:
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
