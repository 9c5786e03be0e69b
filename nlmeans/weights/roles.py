"""Which tensor is what: keys -> blocks with their roles, by the module paths of a layout."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from nlmeans.weights.errors import Refusal
from nlmeans.weights.files.stored import Tensors
from nlmeans.weights.layouts import LAYOUTS, OTHERS, REFUSED, BlockLayout

# What a tensor of a module is, by its name. "kernel" has its axes the other way round.
TENSORS = {
    "weight": "weight", "w": "weight", "kernel": "kernel", "weight_orig": "spectral",
    "weight_bar": "iterated", "weight_u": "u", "weight_v": "v", "u0": "u0",
    "bias": "bias", "b": "bias",
}  # fmt: skip
NORM_TENSORS = {
    "weight": "weight", "s": "weight", "bias": "bias", "b": "bias",
    "running_mean": "mean", "rm": "mean", "running_var": "var", "riv": "var",
}  # fmt: skip
UNUSED = ("num_batches_tracked", "sv0", "weight_sv")
WRAPPED = ("module.", "_orig_mod.")  # what DataParallel and torch.compile put before every key
EVERYWHERE = (
    (r":0$", ""),
    (r"/", "."),
    (r"\.parametrizations\.weight\.original$", ".weight_orig"),
    (r"\.parametrizations\.weight\.0\._(u|v)$", r".weight_\1"),
)


@dataclass(frozen=True)
class FoundBlock:
    """One block as one layout sees it."""

    name: str  # what its keys begin with
    layout: BlockLayout
    keys: Mapping[tuple[str, str], str]  # keys as the file has them
    paths: Mapping[str, str]
    also: tuple[BlockLayout, ...] = ()  # other layouts that the keys fit as well


@dataclass
class _Partial:
    keys: dict[tuple[str, str], str] = field(default_factory=dict)
    paths: dict[str, str] = field(default_factory=dict)
    complaint: str | None = None


def layout_named(name: object) -> BlockLayout:
    """The layout of this name; others are refused with the reason."""
    if not isinstance(name, str):
        raise Refusal(f"layout is {name!r}; known are {', '.join(LAYOUTS)}")
    other = REFUSED.get(re.sub(r"[\W_]", "", name.lower()))
    if other is not None:
        raise Refusal(f"layout {name!r} is not this operation: {other.reason}")
    if name not in LAYOUTS:
        raise Refusal(f"layout is {name!r}; known are {', '.join(LAYOUTS)}")
    return LAYOUTS[name]


def find_blocks(
    tensors: Tensors, layout: BlockLayout | None
) -> tuple[list[FoundBlock], dict[str, str]]:
    """The blocks of a file in the order of its keys, and by name what is wrong with others.

    Raises Refusal if there is none: for what is missing, or which other operation the keys belong
    to.
    """
    layouts = [layout] if layout else {each.name: each for each in LAYOUTS.values()}.values()
    candidates: dict[str, list[FoundBlock]] = {}
    complaints: dict[str, tuple[int, str]] = {}
    for each in layouts:
        for name, partial in _partials(list(tensors.arrays), each).items():
            if partial.complaint is None:
                candidates.setdefault(name, []).append(
                    FoundBlock(name, each, partial.keys, partial.paths)
                )
            elif len(partial.keys) > complaints.get(name, (0, ""))[0]:
                complaints[name] = (len(partial.keys), partial.complaint)
    if candidates:
        wrong = {name: text for name, (_, text) in complaints.items() if name not in candidates}
        return [_preferred(fits) for fits in candidates.values()], wrong
    _refuse_others(tensors.arrays)
    if complaints:
        raise Refusal(max(complaints.values())[1])
    shown = ", ".join(list(tensors.arrays)[:4]) + (", ..." if len(tensors.arrays) > 4 else "")
    wanted = f"of layout {layout.name}" if layout else "of a known layout"
    raise Refusal(
        f"holds no non-local block {wanted}; its {len(tensors.arrays)} arrays are {shown}; "
        "name the layout, or rename them to theta.weight, phi.weight, g.weight and out.weight"
    )


def _preferred(fits: list[FoundBlock]) -> FoundBlock:
    """The layout whose block names these are, else the first, with the others it might be."""
    for fit in fits:
        if fit.layout.at and re.search(fit.layout.at, fit.name):
            return fit
    return replace(fits[0], also=tuple(fit.layout for fit in fits[1:]))


def _refuse_others(keys: Iterable[str]) -> None:
    for other in OTHERS:
        for key in keys:
            if re.search(other.keys, key):
                raise Refusal(
                    f"holds {other.name} weights ({key}), not this operation: {other.reason}"
                )


def canonical(key: str, rewrites: Iterable[tuple[str, str]]) -> str:
    """BLOCK.MODULE.TENSOR."""
    for pattern, replacement in (*EVERYWHERE, *rewrites):
        key = re.sub(pattern, replacement, key)
    return key


def unwrapped(keys: list[str]) -> dict[str, str]:
    """Each key without what wraps all of them -> the key."""
    names = {key: key for key in keys}
    for prefix in WRAPPED:
        if all(name.startswith(prefix) for name in names):
            names = {name.removeprefix(prefix): key for name, key in names.items()}
    return names


def unwrapped_name(name: str) -> str:
    """The name that a block has once its keys are unwrapped."""
    for prefix in WRAPPED:
        name = name.removeprefix(prefix)
    return name


def _partials(keys: list[str], layout: BlockLayout) -> dict[str, _Partial]:
    """Block name -> what of it is there, and what is wrong with it."""
    blocks: dict[str, _Partial] = {}
    others: dict[str, str] = {}  # key -> its name
    for unwrapped_key, key in unwrapped(keys).items():
        name = canonical(unwrapped_key, layout.rewrites)
        match = _matched(name, layout)
        if match is None:
            others[key] = name
            continue
        block, role, path, tensor = match
        partial = blocks.setdefault(block, _Partial())
        same = partial.keys.get((role, tensor))
        if same is None and partial.paths.get(role, path) != path:
            same = next(each for (of, _), each in partial.keys.items() if of == role)
        if same is not None and partial.complaint is None:
            partial.complaint = f"holds both {same} and {key} for {role}; remove one"
        partial.keys[role, tensor] = key
        partial.paths[role] = path
    embeds = {"theta", "phi", "g"}
    blocks = {name: partial for name, partial in blocks.items() if embeds & set(partial.paths)}
    within: dict[str, dict[str, str]] = {block: {} for block in blocks}
    for key, name in others.items():
        for block in _parents(name):
            if block in within:
                within[block][key] = name
    for block, partial in blocks.items():
        partial.complaint = partial.complaint or _complaint(block, partial, layout, within[block])
    return blocks


def _parents(name: str) -> Iterator[str]:
    """The blocks that a name can be in: "", "a" and "a.b" of "a.b.c"."""
    yield ""
    for dot in re.finditer(r"\.", name):
        yield name[: dot.start()]


def _matched(name: str, layout: BlockLayout) -> tuple[str, str, str, str] | None:
    """Block, role, path and tensor of a canonical key."""
    for role, paths in layout.roles.items():
        for path in paths:
            if role == "gain":
                if name == path or name.endswith(f".{path}"):
                    return name[: -len(path)].rstrip("."), role, path, "weight"
                continue
            module, _, tensor = name.rpartition(".")
            kinds = NORM_TENSORS if role == "norm" else TENSORS
            if tensor in kinds and (module == path or module.endswith(f".{path}")):
                return module[: -len(path)].rstrip("."), role, path, kinds[tensor]
    return None


def _complaint(
    block: str, partial: _Partial, layout: BlockLayout, others: Mapping[str, str]
) -> str | None:
    """Why these keys, with the others in the block, are no block of this layout, or None."""
    shown = block or "the block"
    for role in ("theta", "phi", "g", "out", "gain"):
        gaussian = not {"theta", "phi"} & set(partial.paths) and "gaussian" in layout.pairwise
        if role not in layout.roles or (role in ("theta", "phi") and gaussian):
            continue
        weights = {"weight", "kernel", "spectral", "iterated"}
        if not any((role, tensor) in partial.keys for tensor in weights):
            there = ", ".join(sorted(set(partial.keys.values()))[:4])
            return f"{shown} has no {role} ({layout.roles[role][-1]}.weight); it has {there}"
    firsts = {path.split(".")[0] for path in partial.paths.values()}
    prefix = f"{block}." if block else ""
    alone = block and not layout.among  # all that is named after it is part of it
    for key, name in others.items():
        rest = name.removeprefix(prefix)
        if layout.unless and re.search(layout.unless, rest):
            return f"{key} belongs to another operation than {layout.name}"
        if (alone or rest.split(".")[0] in firsts) and rest.rpartition(".")[2] not in UNUSED:
            return f"{key} is no part of the layout {layout.name}: the block does more than it says"
    return None
