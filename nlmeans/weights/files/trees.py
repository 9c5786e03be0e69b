"""Where the weights are in the nested dicts of a checkpoint."""

from collections.abc import Iterator
from typing import Any, TypeVar

from nlmeans.base.texts import one_line
from nlmeans.weights.errors import Refusal
from nlmeans.weights.files.archives import Budget
from nlmeans.weights.files.pickles import Ordered

T = TypeVar("T")
# Under which a checkpoint has its weights, next to epochs and optimizers; the first one counts.
WRAPPERS = (
    "state_dict", "model_state", "model_state_dict", "model", "blobs", "net", "params",
    "params_ema", "state_dict_ema", "generator",
)  # fmt: skip
DEEPEST, MOST = 20, 100_000


def flattened(tree: Any, kind: type[T], budget: Budget) -> tuple[dict[str, T], tuple[str, ...]]:
    """The leaves of this type by their keys joined with dots, and what was chosen.

    Raises Refusal if there is none, or the dicts are nested without end.
    """
    tree = _dict(tree)
    notes = []
    while isinstance(tree, dict) and not any(isinstance(value, kind) for value in tree.values()):
        holding = [name for name in WRAPPERS if isinstance(_dict(tree.get(name)), dict)]
        if not holding:
            break
        beside = [one_line(str(name), 40) for name in list(tree)[:8]]
        notes.append(f"read from {holding[0]!r} of {', '.join(map(repr, beside))}")
        tree = _dict(tree[holding[0]])
        if len(notes) > DEEPEST:
            break
    leaves = {}
    for count, (key, leaf) in enumerate(_walk(tree, "", 0)):
        if count > MOST:
            raise Refusal(f"holds more than {MOST} values; it is no weights file")
        if isinstance(leaf, kind):
            budget.take(len(key), "has in names")
            leaves[key] = leaf
    if not leaves:
        raise Refusal("holds no tensors in its dicts; save a state_dict")
    return leaves, tuple(notes)


def _dict(value: Any) -> Any:
    return value.items if isinstance(value, Ordered) else value


def _walk(tree: Any, key: str, depth: int) -> Iterator[tuple[str, Any]]:
    """Leaves and the dicts themselves, so that a count of both ends the walk."""
    yield key, tree
    tree = _dict(tree)
    if isinstance(tree, dict):
        if depth > DEEPEST:
            raise Refusal(f"nests dicts deeper than {DEEPEST}; it is no weights file")
        for name, value in tree.items():
            yield from _walk(value, f"{key}.{name}" if key else str(name), depth + 1)
