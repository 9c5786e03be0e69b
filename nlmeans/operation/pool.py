"""Sub-sampled keys: what stands for a block of positions."""

from dataclasses import dataclass
from math import prod
from typing import Literal

from nlmeans.base.checks import ParameterError, check_choice, check_whole, check_wholes
from nlmeans.base.texts import show_size
from nlmeans.operation.embed import Floats


@dataclass(frozen=True)
class Pool:
    """Sub-sampled keys: one for every whole block of positions.

    Parameters
    ----------
    size : int, or one per axis
        The sides of a block. What does not fill a block at an axis' end is left out.
    kind : {"max", "mean", "stride"}
        Of a block the largest value, the mean, or the first position alone.
    order : {"before", "after"}
        "before": the array is pooled, then embedded by phi and g; "after": phi and g are pooled.
        For score "sum" the key's outer matrix is w, which meets the pooled phi.
    flat : bool
        The positions are pooled as one sequence, in C order: size is then one number.

    Raises
    ------
    ParameterError
        If a size is no whole number from 1, or a name is another.

    Examples
    --------
    >>> import numpy as np
    >>> Pool(2)(np.arange(10.0).reshape(2, 5, 1))[..., 0]
    array([[6., 8.]])
    """

    size: int | tuple[int, ...]
    kind: Literal["max", "mean", "stride"] = "max"
    order: Literal["before", "after"] = "before"
    flat: bool = False

    def __post_init__(self) -> None:
        name, otherwise = "size of the pool", ", one or a tuple with one per axis"
        if self.flat:
            size: int | tuple[int, ...] = check_whole(name, self.size, otherwise=", one if flat")
        else:
            size = check_wholes(name, self.size, otherwise=otherwise)
        object.__setattr__(self, "size", size)
        check_choice("kind", self.kind, ("max", "mean", "stride"))
        check_choice("order", self.order, ("before", "after"))

    def sides(self, grid: tuple[int, ...]) -> tuple[int, ...]:
        """Sides of a block, one per axis."""
        sides = self.size if isinstance(self.size, tuple) else (self.size,) * len(grid)
        if len(sides) != len(grid):
            raise ParameterError(
                f"the pool's size {sides} has {len(sides)} numbers; there are {len(grid)} axes"
            )
        if any(n < side for n, side in zip(grid, sides, strict=True)):
            raise ParameterError(
                f"a pool of {sides} finds no whole block in {grid}; use a smaller size"
            )
        return sides

    def grid(self, grid: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the keys of an array of this shape."""
        if self.flat:
            grid = (prod(grid),)
        return tuple(n // side for n, side in zip(grid, self.sides(grid), strict=True))

    def __call__(self, x: Floats) -> Floats:
        """The array (*grid, C) pooled."""
        if self.flat:
            x = x.reshape(-1, x.shape[-1])
        sides = self.sides(x.shape[:-1])
        if self.kind == "stride":
            whole = tuple(slice(0, n // s * s, s) for n, s in zip(x.shape, sides, strict=False))
            return x[whole]
        split = [(n // s, s) for n, s in zip(x.shape, sides, strict=False)]
        blocks = x[tuple(slice(0, n * s) for n, s in split)].reshape(
            *(k for pair in split for k in pair), x.shape[-1]
        )
        within = tuple(range(1, 2 * len(sides), 2))
        pooled: Floats = blocks.max(within) if self.kind == "max" else blocks.mean(within)
        return pooled

    def __str__(self) -> str:
        flat = " of the flattened positions" if self.flat else ""
        return f"the {self.kind} of blocks of {show_size(self.size)}{flat}, {self.order} phi and g"
