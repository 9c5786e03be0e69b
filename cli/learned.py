"""Blocks of weights files: how they are loaded, and what is said of them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlmeans.cli.files import shown

if TYPE_CHECKING:
    from nlmeans.weights import LoadedWeights


Loader = Callable[[], "tuple[LoadedWeights, tuple[str, ...]]"]


def load(
    path: Path, layout: str | None, block: str | None, settings: tuple[tuple[str, Any], ...]
) -> "tuple[LoadedWeights, tuple[str, ...]]":
    """The weights, and what there is to say of them on standard error."""
    from nlmeans.weights import load_weights

    with warnings_of(path) as notes:
        loaded = load_weights(path, layout, block=block, **dict(settings))
    return loaded, tuple(notes)


@contextmanager
def warnings_of(path: Path) -> Iterator[list[str]]:
    """What is warned of in the block, as notes for standard error."""
    import warnings

    from nlmeans.weights import WeightsWarning

    notes: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", WeightsWarning)
        yield notes
    notes += [f"{shown(path)}: {warning.message}" for warning in caught]


def record_of(weights: "LoadedWeights") -> dict[str, Any]:
    """For --json: which block it is and how it is set."""
    return {
        "layout": weights.layout,
        "block": weights.name,
        "settings": {choice.name: choice.value for choice in weights.choices},
        "assumed": [choice.name for choice in weights.assumed],
    }


def assumptions(weights: "LoadedWeights") -> str:
    """Such as " (assumed: pairwise dot_product)"; empty if there are none."""
    each = "; ".join(f"{choice.name} {choice.value}" for choice in weights.assumed)
    return f" (assumed: {each})" if each else ""
