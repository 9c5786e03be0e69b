"""save_weights(path, block): a block or chain as a native file, as `native` describes it."""

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlmeans.base.checks import check_number
from nlmeans.base.texts import show_size, shown
from nlmeans.operation.block import Block, Chain
from nlmeans.operation.embed import Linear, Patches
from nlmeans.operation.pool import Pool
from nlmeans.operation.support import Everywhere, Regions, Support, Window
from nlmeans.weights.errors import Refusal, WeightsWriteError
from nlmeans.weights.loaded import LoadedWeights
from nlmeans.weights.native import FORMAT, VERSION

Arrays = dict[str, NDArray[Any]]


def save_weights(
    path: str | os.PathLike[str],
    block: Block | Chain | LoadedWeights,
    *,
    input_range: float | None = None,
    sigma: float | None = None,
    overwrite: bool = False,
) -> None:
    """Write a block or a chain as a native file, which `load_weights` reads as the same value.

    Parameters
    ----------
    path : path-like
        Ends with .safetensors or .npz.
    block : Block, Chain or LoadedWeights
        Over everywhere, a window or tiles. Matrices are kept to the bit, in float32 where that
        holds them.
    input_range : float, above 0, optional
        White minus black of the values the block is made for, such as 255; 1 by default.
    sigma : float, from 0, optional
        The noise that it is made for, in the same units.
    overwrite : bool
        Whether a file that is there may be replaced.

    Raises
    ------
    WeightsWriteError
        If the block cannot be kept in a file, or the file not written; one line that starts with
        the path. Nothing is left behind.
    ParameterError
        If input_range or sigma is out of its range.
    TypeError
        If the block is of another type.

    Examples
    --------
    >>> import numpy as np, nlmeans, tempfile
    >>> block = nlmeans.Block(nlmeans.nl_means(sigma=20, h=20, patch_size=3, search_size=9))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     nlmeans.save_weights(f"{folder}/nlm.npz", block, input_range=255)
    ...     nlmeans.load_weights(f"{folder}/nlm.npz").block == block
    True
    """
    origin = None
    if isinstance(block, LoadedWeights):
        origin = block.origin
        input_range = block.input_range if input_range is None else input_range
        sigma = block.sigma if sigma is None else sigma
        block = block.block
    given: object = block
    if not isinstance(given, Block | Chain):
        raise TypeError(
            f"block is of type {type(given).__name__}; give a Block, a Chain or loaded weights; "
            "of an operation, Block(operation, residual=False)"
        )
    range_ = check_number(
        "input_range", 1.0 if input_range is None else input_range, low=0, above=True
    )
    sigma = None if sigma is None else check_number("sigma", sigma, low=0)
    from nlmeans.images.atomic import put_in_place

    check_weights_output(path, overwrite=overwrite)
    target = Path(path)
    encode = {".safetensors": _as_safetensors, ".npz": _as_npz}[target.suffix.lower()]
    try:
        arrays, texts = _described(block)
        texts["input_range"] = repr(range_)
        if sigma is not None:
            texts["sigma"] = repr(sigma)
        if origin is not None:
            texts["origin"] = origin
        put_in_place(Path(os.path.realpath(target)), encode(arrays, texts), overwrite)
    except Refusal as error:
        raise WeightsWriteError(f"{shown(target)}: {error}") from error
    except OSError as error:
        raise WeightsWriteError(
            f"{shown(target)}: cannot be written ({error.strerror}); nothing was changed"
        ) from error


def check_weights_output(
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    source: str | os.PathLike[str] | None = None,
) -> None:
    """Find out, before any work, whatever would keep weights from being saved at ``path``.

    Raises WeightsWriteError: one line: the path, what is wrong, what to do.
    """
    from nlmeans.images.atomic import check_place
    from nlmeans.images.errors import Unsupported

    if source is not None and not Path(source).exists():
        source = None  # which reading it will say
    try:
        check_place(path, (".safetensors", ".npz"), overwrite, source)
    except Unsupported as error:
        raise WeightsWriteError(f"{shown(path)}: {error}") from error


def _as_safetensors(arrays: Arrays, texts: dict[str, str]) -> bytes:
    from safetensors.numpy import save

    return save(arrays, texts)


def _as_npz(arrays: Arrays, texts: dict[str, str]) -> bytes:
    file = io.BytesIO()
    all_of_them: Any = {**arrays, **{name: np.array(text) for name, text in texts.items()}}
    np.savez(file, **all_of_them)
    return file.getvalue()


def _described(block: Block | Chain) -> tuple[Arrays, dict[str, str]]:
    blocks = block.blocks if isinstance(block, Chain) else (block,)
    arrays: Arrays = {}
    texts = {"format": FORMAT, "version": VERSION}
    if isinstance(block, Chain):
        texts["blocks"] = str(len(blocks))
    for number, one in enumerate(blocks):
        prefix = f"{number}." if isinstance(block, Chain) else ""
        _describe(one, prefix, arrays, texts)
    return arrays, texts


def _describe(block: Block, prefix: str, arrays: Arrays, texts: dict[str, str]) -> None:
    f, over = block.operation.f, block.operation.over
    if f.maps is not None:
        raise Refusal(
            "the operation has maps of sigma or h, which are of one array; leave them out"
        )
    embeddings = {
        "theta": f.query,
        "phi": f.key,
        "key_bias": f.key_bias,
        "g": block.operation.g,
        "out": block.out,
    }
    if f.query == f.key:
        embeddings["phi"] = None
        texts[f"{prefix}phi"] = "theta"
    for role, embedding in embeddings.items():
        matrices: list[Linear] = []
        while isinstance(embedding, Linear):
            matrices.insert(0, embedding)
            embedding = embedding.of
        if isinstance(embedding, Patches):
            texts[f"{prefix}{role}.patch"] = f"{show_size(embedding.size)} {embedding.weighting}"
        elif embedding is not None and not matrices and role in ("key_bias", "out"):
            texts[f"{prefix}{role}"] = "identity"  # else there would be none
        for number, matrix in enumerate(matrices):
            name = f"{prefix}{role}" + (f".{number}" if number else "")
            arrays[f"{name}.weight"] = _smallest(matrix.weight)
            if matrix.bias.any():
                arrays[f"{name}.bias"] = _smallest(matrix.bias)
    texts |= {
        f"{prefix}score": f.score,
        f"{prefix}weight": f.weight,
        f"{prefix}normaliser": f.normaliser,
        f"{prefix}scale": repr(float(f.scale)),
        f"{prefix}noise": repr(float(f.noise)),
        f"{prefix}cut": repr(float(f.cut)),
        f"{prefix}centre": f.centre,
        f"{prefix}name": f.name,
        f"{prefix}over": _over(over),
        f"{prefix}pool": _pool(over),
        f"{prefix}residual": str(block.residual).lower(),
    }
    if f.arithmetic != "exact":
        texts[f"{prefix}arithmetic"] = f.arithmetic


def _smallest(array: NDArray[np.float64]) -> NDArray[Any]:
    """In float32 where nothing is lost, and in C order, of which safetensors takes every array."""
    with np.errstate(over="ignore"):
        single = array.astype(np.float32)
    return np.ascontiguousarray(single if np.array_equal(single, array) else array)


def _over(over: Support) -> str:
    if isinstance(over, Everywhere):
        return "everywhere"
    if isinstance(over, Window):
        return f"window {show_size(over.size)} {over.border}"
    if isinstance(over, Regions) and over.tile is not None:
        return f"regions {show_size(over.tile)}"
    raise Refusal(f"sums over {over}; only everywhere, windows and tiles can be kept in a file")


def _pool(over: Support) -> str:
    pool = getattr(over, "keys", None)
    if not isinstance(pool, Pool):
        return "none"
    return f"{'flat ' if pool.flat else ''}{show_size(pool.size)} {pool.kind} {pool.order}"
