"""What is asked of the filter on the command line, and the settings that come of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
from nlmeans.cli.options import Sigma, Size, check_plain
from nlmeans.cli.selection import map_for
from nlmeans.cli.stacks import Taken

if TYPE_CHECKING:
    from nlmeans.denoising.settings import Method, Settings
    from nlmeans.noise.find import Asked


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
    sigma_map: Path | None = None
    h_map: Path | None = None
    keep_detail: bool = False

    @property
    def estimated(self) -> bool:
        """Whether the noise level is."""
        given = (self.sigma.value, self.sigma_map, self.gain)
        return all(value is None for value in given)

    def settings(self, taken: Taken) -> "list[Settings]":
        """For every part of a picture."""
        from nlmeans.denoising.settings import settings_for

        level, h = self.sigma.levels(taken.picture), self.h
        sigma_map, h_map = (
            None if path is None else map_for(path, taken) for path in (self.sigma_map, self.h_map)
        )
        return taken.map(
            lambda _, part: settings_for(
                taken.picture.pixels[part],
                level if sigma_map is None else sigma_map(part),
                noise=self.noise,
                gain=self.gain,
                read_noise=self.read_noise,
                method=self.method,
                h=h if h_map is None else h_map(part),
                patch_size=self.patch_size,
                search_size=self.search_size,
                strength=self.strength,
                chroma_strength=self.chroma_strength,
                keep_detail=self.keep_detail,
                **taken.layout,
            )
        )

    def check(self) -> None:
        """Refuse a number and a map of the same."""
        for name, number, of_map in (
            ("--sigma", self.sigma.value, self.sigma_map),
            ("--h", self.h, self.h_map),
        ):
            if number is not None and of_map is not None:
                message = f"use just one of {name} and {name}-map"
                raise click.UsageError(message)

    def check_plain(self, of: str) -> None:
        """Refuse maps, the noise options and the like, which have no meaning there."""
        from nlmeans.base.checks import ParameterError

        given = {
            f"--sigma-map {self.sigma_map}": self.sigma_map,
            f"--h-map {self.h_map}": self.h_map,
            "--keep-detail": self.keep_detail,
        }
        option = next((option for option, value in given.items() if value), None)
        if option is not None:
            message = f"{option} does not go with {of}; leave one of them out"
            raise ParameterError(message)
        check_plain(self.noise, self.gain, self.read_noise, self.chroma_strength, of)
