"""What `load_weights` gives: a block, and everything that was read or assumed to make it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike, NDArray

from nlmeans.base.arrays import as_array, checked_array
from nlmeans.base.axes import Auto, Stack, layout_of
from nlmeans.base.cost import Cost, check_limit
from nlmeans.base.texts import shown
from nlmeans.denoising.blocks import Units, block_task, units_of
from nlmeans.denoising.request import Request
from nlmeans.denoising.task import denoised
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

    def denoise(
        self,
        image: ArrayLike,
        *,
        amount: float = 1.0,
        mask: ArrayLike | None = None,
        region: tuple[slice, ...] | None = None,
        channel_axis: int | Auto | None = "auto",
        alpha: bool | Auto = "auto",
        stack: Stack | Auto = "auto",
        threads: int | None = None,
        max_memory: int | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> NDArray[Any]:
        """Run the block over an image, volume or clip, with its channels as the features.

        Integers are scaled so that the dtype's range is the `input_range` of the weights, and back.
        Floats are too, from 0 to 1, if `input_range` was given to `load_weights`; else they are
        taken to be in the weights' units already.

        Parameters
        ----------
        image, amount, mask, region, channel_axis, alpha, stack, threads, progress
            As in `nlmeans.denoise`.
        max_memory : int, optional
            Bytes that may be taken above the image, as `expected_cost` counts them. A block over a
            window filters what takes more in parts along the first axis, with the same result to
            rounding; others need all of it, and are refused.

        Returns
        -------
        array of the image's dtype and shape, or the region of it

        Raises
        ------
        TypeError, ValueError
            In one line, as `nlmeans.denoise`; or if the weights are for another number of channels,
            for patches larger than the image, or for another range than its floats have.
        MemoryError
            If max_memory cannot be kept, before anything is run.

        Examples
        --------
        >>> import numpy as np, nlmeans, tempfile
        >>> block = nlmeans.Block(
        ...     nlmeans.nl_means(sigma=0.1, h=0.1, patch_size=3, search_size=5), residual=False
        ... )
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     nlmeans.save_weights(f"{folder}/a.safetensors", block)
        ...     weights = nlmeans.load_weights(f"{folder}/a.safetensors")
        >>> noisy = np.random.default_rng(0).normal(100, 25.5, (16, 16)).astype(np.uint8)
        >>> weights.denoise(noisy).dtype
        dtype('uint8')
        """
        check_limit(max_memory)
        request = Request(amount=amount, mask=mask, region=region, threads=threads)
        array = checked_array("image", image)
        layout = layout_of(array.shape, channel_axis, alpha, stack)
        make = partial(block_task, self.block, self.units(array))
        return denoised(array, request, layout, make, max_memory=max_memory, progress=progress)

    def expected_cost(
        self,
        image: ArrayLike,
        *,
        channel_axis: int | Auto | None = "auto",
        alpha: bool | Auto = "auto",
        stack: Stack | Auto = "auto",
        threads: int | None = None,
    ) -> Cost:
        """About how long `denoise` takes, and the memory above the image; of pages ask for each."""
        array = as_array("image", image)
        layout = layout_of(array.shape, channel_axis, alpha, stack)
        return block_task(self.block, Units(1.0), array, Request(threads=threads), layout).cost(
            array
        )

    def units(self, image: NDArray[Any]) -> Units:
        """What an image is multiplied by for the block."""
        given = any(each.name == "input_range" and each.source == "option" for each in self.choices)
        return units_of(image, self.input_range, given=given)

    def __str__(self) -> str:
        block = f", block {self.name}" if self.name else ""
        lines = [f"{shown(self.path)}: {self.format}, layout {self.layout}{block}"]
        lines.append(f"read ({self.parameters} numbers)")
        lines += [f"  {reading}" for reading in self.readings]
        lines.append("settings")
        lines += [f"  {choice}" for choice in self.choices]
        lines += [f"note: {note}" for note in self.notes]
        return "\n".join([*lines, str(self.block)])
