"""What is asked of the filter on the command line, and the settings that come of it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nlmeans.cli.options import Sigma, Size, check_plain
from nlmeans.cli.stacks import Taken

if TYPE_CHECKING:
    from nlmeans.noise_choice import Asked
    from nlmeans.settings import Method, Settings


@dataclass(frozen=True)
class Filter:
    """The options of `method_options`, `filter_options` and `noise_options` as typed."""

    method: "Method | None"
    sigma: Sigma
    noise: "Asked"
    gain: float | None
    read_noise: float | None
    h: float | None
    patch_size: Size | None
    search_size: Size | None
    strength: float
    chroma_strength: float

    @property
    def estimated(self) -> bool:
        """Whether the noise level is."""
        return self.sigma.value is None and self.gain is None

    def settings(self, taken: Taken) -> "list[Settings]":
        """For every part of a picture."""
        from nlmeans.settings import settings_for

        level = self.sigma.levels(taken.picture)
        return taken.map(
            lambda _, part: settings_for(
                taken.picture.pixels[part], level, noise=self.noise, gain=self.gain,
                read_noise=self.read_noise, method=self.method, h=self.h,
                patch_size=self.patch_size, search_size=self.search_size, strength=self.strength,
                chroma_strength=self.chroma_strength, **taken.layout,
            )
        )  # fmt: skip

    def check_plain(self, of: str) -> None:
        """Refuse the noise options and --chroma-strength, which have no meaning there."""
        check_plain(self.noise, self.gain, self.read_noise, self.chroma_strength, of)
