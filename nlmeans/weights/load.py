"""load_weights(path): tensors -> roles -> layout and options -> block."""

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from nlmeans.base.checks import ParameterError
from nlmeans.base.texts import one_line, shown
from nlmeans.operation.block import Chain
from nlmeans.operation.embed import Linear
from nlmeans.weights.assemble import assemble
from nlmeans.weights.errors import Refusal, WeightsError, WeightsWarning
from nlmeans.weights.files.stored import Tensors
from nlmeans.weights.files.tensors import read_tensors
from nlmeans.weights.keras_order import keras_blocks
from nlmeans.weights.layouts import KERAS, BlockLayout
from nlmeans.weights.loaded import LoadedWeights, Reading
from nlmeans.weights.native import is_native, read_native
from nlmeans.weights.options import Choice, Options, Source
from nlmeans.weights.roles import FoundBlock, find_blocks, layout_named, unwrapped_name

StrPath = str | os.PathLike[str]


def load_weights(
    path: StrPath,
    layout: str | None = None,
    *,
    block: str | None = None,
    strict: bool = False,
    pairwise: str | None = None,
    scale: float | str | None = None,
    pool: int | tuple[int, ...] | None = None,
    pool_kind: str | None = None,
    pool_order: str | None = None,
    softmax: str | None = None,
    eps: float | None = None,
    group_frames: int | None = None,
    input_range: float | None = None,
) -> LoadedWeights:
    """Read trained weights as a block that gives what the framework gives.

    Nothing in the file is executed. The format is told by the content: safetensors, npz,
    PyTorch checkpoints (zip and legacy, without PyTorch), pickles of NumPy arrays as Caffe2's,
    HDF5 and .keras as Keras's (with the extra `keras`), MATLAB up to version 7.

    Parameters
    ----------
    path : path-like
    layout : str, optional
        Whose tensors they are, a name in `nlmeans.weights.layouts.LAYOUTS`; by default as the
        keys tell. Keras's anonymous layers tell nothing and need layout="keras".
    block : str, optional
        Which of several blocks in the file, by the name that its keys begin with, with or without
        the "module." that PyTorch's DataParallel puts before all.
    strict : bool
        Refuse to assume any setting that neither file nor layout tells; see the result's `assumed`.
    pairwise : {"embedded_gaussian", "gaussian", "dot_product", "concatenation"}, optional
        Of these only the last two are softmax-free; the same tensors often fit several.
    scale : float or str, optional
        Factor of the logits: a number, or "d**-0.5" or "C**-0.5" of the rows and columns of theta.
    pool : int, or one per axis, optional
        Sides of the blocks of keys that are sub-sampled; 1 for all keys.
    pool_kind : {"max", "mean", "stride"}, optional
    pool_order : {"before", "after"}, optional
        Whether keys are pooled before or after phi and g.
    softmax : {"keys", "queries"}, optional
        What weights sum to 1 over.
    eps : float, from 0, optional
        Of the batch norm, which is folded into W_z.
    group_frames : int, from 0, optional
        Of video, how many frames in a row are a group that is summed over on its own; 0 for all.
    input_range : float, above 0, optional
        White minus black of the values the block is made for, with which images are scaled; by
        default as a native file says, else 1.

    Returns
    -------
    LoadedWeights
        Callable as the block is, `weights(x, channel_axis=...)`; print it to see what was read
        from which key, and what was assumed.

    Raises
    ------
    WeightsError
        In one line that starts with the path: what is wrong, by key, and what to do.
    ParameterError
        If an option is out of its range.

    Warns
    -----
    WeightsWarning
        If W_z is all 0, as in untrained blocks, which do nothing.

    Examples
    --------
    >>> import numpy as np, nlmeans, tempfile
    >>> rng = np.random.default_rng(0)
    >>> shapes = {"theta": (2, 4), "phi": (2, 4), "g": (2, 4), "W": (4, 2)}
    >>> arrays = {f"nl.{name}.weight": rng.normal(size=s) for name, s in shapes.items()}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(f"{folder}/net.npz", **arrays)
    ...     weights = nlmeans.load_weights(f"{folder}/net.npz", pairwise="dot_product")
    >>> weights(np.ones((5, 6, 4)), channel_axis=-1).shape
    (5, 6, 4)
    >>> print(weights.choices[0])
    pairwise    dot_product             given
    """
    options = Options(
        pairwise, scale, pool, pool_kind, pool_order, softmax, eps, group_frames, input_range
    )
    with _refusals_with(path):
        (loaded,) = _read(path, layout, options, partial(_named, name=block), block)
        if strict and loaded.assumed:
            guessed = ", ".join(f"{each.name} ({each.value})" for each in loaded.assumed)
            raise Refusal(f"would be assumed and strict is set: {guessed}; give them as options")
    _warn_of_nothing(loaded)
    return loaded


def load_blocks(path: StrPath, layout: str | None = None, **settings: Any) -> list[LoadedWeights]:
    """Every block of a file, which is read once; parameters and errors as `load_weights` has them.

    Returns the blocks in the order of `block_names`; a native file holds one.
    """
    options = Options(**settings)
    with _refusals_with(path):
        every = _read(path, layout, options, lambda blocks, wrong: blocks)
    for loaded in every:
        _warn_of_nothing(loaded)
    return every


def _read(
    path: StrPath,
    layout: str | None,
    options: Options,
    choose: Callable[[list[FoundBlock], dict[str, str]], list[FoundBlock]],
    block: str | None = None,
) -> list[LoadedWeights]:
    """The chosen ones of the blocks found, or the one of a native file."""
    tensors = read_tensors(path)
    if _is_native(tensors, layout):
        return [read_native(os.fspath(path), tensors, options, block)]
    blocks, wrong = _found(tensors, layout, options.pairwise, options.pool)
    chosen = choose(blocks, wrong)
    return [_imported(os.fspath(path), tensors, found, wrong, options) for found in chosen]


def block_names(path: StrPath, layout: str | None = None, pairwise: str | None = None) -> list[str]:
    """The names of the blocks in a file, for `load_weights`; [""] for a native file.

    Raises WeightsError as `load_weights` does.
    """
    with _refusals_with(path):
        tensors = read_tensors(path)
        if _is_native(tensors, layout):
            return [""]
        return [found.name for found in _found(tensors, layout, pairwise, None)[0]]


@contextmanager
def _refusals_with(path: StrPath) -> Iterator[None]:
    """Whatever goes wrong with a file is one line that starts with its path."""
    try:
        yield
    except Refusal as error:
        raise WeightsError(f"{shown(path)}: {one_line(str(error))}") from error
    except (ParameterError, MemoryError, Warning):  # no fault of the file
        raise
    except Exception as error:
        raise WeightsError(
            f"{shown(path)}: holds what cannot be read "
            f"({one_line(f'{type(error).__name__}: {error}', 100)}); fetch the file again"
        ) from error


def _is_native(tensors: Tensors, layout: str | None) -> bool:
    """Whether it is read as a native file; a layout that says otherwise is refused."""
    native = is_native(tensors)
    if native and layout not in (None, "native"):
        raise Refusal(
            f"is a native file, which says everything itself; leave out layout {layout!r}"
        )
    if layout == "native" and not native:
        raise Refusal("is no native file, which has a text named format; leave out the layout")
    return native


def _warn_of_nothing(loaded: LoadedWeights) -> None:
    """As untrained blocks are, whose last matrix starts at 0."""
    blocks = loaded.block.blocks if isinstance(loaded.block, Chain) else (loaded.block,)
    for number, block in enumerate(blocks):
        if isinstance(block.out, Linear) and not block.out.weight.any():
            does = "is the identity" if block.residual else "gives 0"
            if block.out.bias.any():
                does = "only adds a constant" if block.residual else "gives a constant"
            name = f"block {number}" if len(blocks) > 1 else loaded.name or "the block"
            message = f"{name}: W_z with norm and gain is all 0; the block {does}"
            warnings.warn(message, WeightsWarning, stacklevel=3)


def _found(
    tensors: Tensors, layout: str | None, pairwise: str | None, pool: int | tuple[int, ...] | None
) -> tuple[list[FoundBlock], dict[str, str]]:
    known: BlockLayout | None = None if layout is None else layout_named(layout)
    if known is KERAS:
        return keras_blocks(tensors, pairwise, pool), {}
    return find_blocks(tensors, known)


def _imported(
    path: str, tensors: Tensors, found: FoundBlock, wrong: dict[str, str], options: Options
) -> LoadedWeights:
    block, choices = assemble(tensors, found, options)
    notes = [*tensors.notes]
    if found.also:
        names = ", ".join(other.name for other in found.also)
        notes.append(f"the keys fit the layouts {names} as well; {found.layout.name} is taken")
    if found.layout.remark:
        notes.append(found.layout.remark)
    notes += [f"left out: {text}" for text in wrong.values()]
    readings = tuple(
        Reading.of(f"{role} {tensor}" if tensor not in ("weight", "kernel") else role, key, tensors)
        for (role, tensor), key in sorted(found.keys.items(), key=_order)
    )
    input_range = options.input_range or 1.0
    source: Source = "option" if options.input_range else "assumed"
    return LoadedWeights(
        path=path,
        format=tensors.format,
        layout=found.layout.name,
        name=found.name,
        block=block,
        readings=readings,
        choices=(*choices, Choice("input_range", f"{input_range:g}", source)),
        notes=tuple(notes),
        input_range=input_range,
    )


ROLES = ("theta", "phi", "g", "concat", "out", "norm", "gain")


def _order(item: tuple[tuple[str, str], str]) -> int:
    return ROLES.index(item[0][0])


def _named(blocks: list[FoundBlock], wrong: dict[str, str], name: str | None) -> list[FoundBlock]:
    """The one of this name, or the only one."""
    names = ", ".join(each.name or "''" for each in blocks)
    if name is not None:
        for spelt in (name, unwrapped_name(name)):
            for each in blocks:
                if each.name == spelt:
                    return [each]
            if spelt in wrong:
                raise Refusal(wrong[spelt])
        raise Refusal(f"has no block {name!r}; it has {names}")
    if len(blocks) > 1:
        raise Refusal(f"holds {len(blocks)} blocks: {names}; choose one by its name (block=)")
    return blocks
