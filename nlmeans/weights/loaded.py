"""What `load_weights` gives: a block, and everything that was read or assumed to make it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike, NDArray

from nlmeans.base.cost import Cost
from nlmeans.base.texts import shown
from nlmeans.operation.block import Block, Chain
from nlmeans.weights.files.stored import Tensors
from nlmeans.weights.options import Choice


@dataclass(frozen=True)
class Reading:
    """One array that was read: its role, key, shape and dtype in the file."""

    role: str
    key: str
    shape: tuple[int, ...]
    dtype: str

    @classmethod
    def of(cls, role: str, key: str, tensors: Tensors) -> Reading:
        stored = tensors.arrays[key]
        return cls(role, key, stored.shape, stored.dtype)

    def __str__(self) -> str:
        shape = "x".join(map(str, self.shape)) or "one number"
        return f"{self.role + ' ':<12}{self.key}  {shape} {self.dtype}"


@dataclass(frozen=True)
class LoadedWeights:
    """A block with the manifest of where it came from: printable, and callable as the block is.

    Attributes
    ----------
    path, format, layout : str
    name : str
        The block's, in the file; empty if the file holds it alone.
    block : Block or Chain
    readings : tuple of Reading
    choices : tuple of Choice
        Every setting that is not in a matrix, and who made it.
    notes : tuple of str
    input_range : float
        White minus black of the values that the block is made for.
    sigma : float or None
        The noise that it is made for, in the same units, where the file says so.
    """

    path: str
    format: str
    layout: str
    name: str
    block: Block | Chain
    readings: tuple[Reading, ...]
    choices: tuple[Choice, ...]
    notes: tuple[str, ...] = ()
    input_range: float = 1.0
    sigma: float | None = None

    @property
    def assumed(self) -> tuple[Choice, ...]:
        return tuple(choice for choice in self.choices if choice.source == "assumed")

    @property
    def origin(self) -> str:
        """In words, for a file that is made of this block."""
        if self.layout == "native":
            kept = (note.removeprefix("made from ") for note in self.notes if "made from " in note)
            return next(kept, shown(Path(self.path).name))
        block = f", block {self.name}" if self.name else ""
        assumed = ", ".join(f"{choice.name} {choice.value}" for choice in self.assumed)
        file = shown(Path(self.path).name)
        return f"{file}, layout {self.layout}{block}" + (f"; assumed: {assumed}" if assumed else "")

    @property
    def parameters(self) -> int:
        """How many numbers were read."""
        return sum(prod(reading.shape) for reading in self.readings)

    def __call__(
        self,
        x: ArrayLike,
        *,
        channel_axis: int | None = None,
        batch_axis: int | None = None,
        threads: int | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> NDArray[Any]:
        """The block on an array of features; parameters, result and errors are a `Block`'s."""
        return self.block(
            x, channel_axis=channel_axis, batch_axis=batch_axis, threads=threads, progress=progress
        )

    def denoise(self, image: ArrayLike, **options: Any) -> NDArray[Any]:
        """The block on an image of any dtype; options and errors as in `weights.images`."""
        from nlmeans.denoising.blocks import denoise_with

        return denoise_with(self, image, **options)

    def expected_cost(self, image: ArrayLike, **options: Any) -> Cost:
        """About what `denoise` takes; options as in `weights.images.expected_cost_with`."""
        from nlmeans.denoising.blocks import expected_cost_with

        return expected_cost_with(self, image, **options)

    def __str__(self) -> str:
        block = f", block {self.name}" if self.name else ""
        lines = [f"{shown(self.path)}: {self.format}, layout {self.layout}{block}"]
        lines.append(f"read ({self.parameters} numbers)")
        lines += [f"  {reading}" for reading in self.readings]
        lines.append("settings")
        lines += [f"  {choice}" for choice in self.choices]
        lines += [f"note: {note}" for note in self.notes]
        return "\n".join([*lines, str(self.block)])
