"""Keras weights: the datasets of an HDF5 file and nothing else of it; no model is ever loaded."""

import io
import zlib
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlmeans.weights.errors import Refusal
from nlmeans.weights.files.archives import Archive, Budget
from nlmeans.weights.files.stored import Stored, Tensors, from_numpy

MAGIC = b"\x89HDF\r\n\x1a\n"
KERAS_MEMBER = "model.weights.h5"
UNREADABLE = (OSError, RuntimeError, LookupError, ValueError, OverflowError, RecursionError)
DEFLATE, SHUFFLE = 1, 2  # as HDF5 numbers its filters
UNPACKED = ((), (DEFLATE,), (SHUFFLE,), (SHUFFLE, DEFLATE))


def read_keras_zip(archive: Archive) -> Tensors:
    """A .keras file: its weights alone."""
    return read_hdf5(archive.read(KERAS_MEMBER), archive.budget, "Keras (zip)")


def read_hdf5(data: bytes, budget: Budget, kind: str = "HDF5") -> Tensors:
    """Every dataset by its path, joined with dots, as far as the budget of the whole file goes.

    Raises Refusal for links to elsewhere, data kept in other files, cycles, datasets that claim
    more than the file can hold, chunks that unpack to more than they claim, and other filters than
    gzip and shuffle.
    """
    try:
        import h5py
    except ImportError as error:
        raise Refusal(
            "is an HDF5 file, for which h5py is needed: pip install 'nlmeans[keras]'"
        ) from error
    arrays: dict[str, Stored] = {}
    seen: set[Any] = set()

    def walk(group: Any, path: str) -> None:
        for name in group:
            key = f"{path}.{name}" if path else name
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                raise Refusal(f"{key} is a link to elsewhere ({type(link).__name__}); save it anew")
            item = group[name]
            address = h5py.h5o.get_info(item.id).addr
            if address in seen:
                raise Refusal(f"{key} is linked to twice; save the weights anew")
            seen.add(address)
            if isinstance(item, h5py.Group):
                walk(item, key)
            elif isinstance(item, h5py.Dataset):
                if item.external or item.is_virtual:
                    raise Refusal(f"{key} keeps its data in another file; save the weights anew")
                if item.dtype.kind not in "biuf" or item.shape is None:
                    continue  # the optimizer's names and the like
                # Chunks are unpacked whole, however little of them the dataset has.
                chunked = prod(_grid(item)) * prod(item.chunks or ()) * item.dtype.itemsize
                budget.take(max(item.nbytes, chunked), f"{key} claims")
                arrays[key] = from_numpy(_values(key, item))

    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            walk(file, "")
    except (
        OSError,
        RuntimeError,
        LookupError,
        ValueError,
        ArithmeticError,
        RecursionError,
    ) as error:
        cause = " ".join(str(error).split())[:100]
        raise Refusal(f"is a damaged or truncated HDF5 file ({cause}); fetch it again") from error
    if not arrays:
        raise Refusal("holds no numbers; save the weights with model.save_weights")
    return Tensors(kind, arrays)


def _grid(item: Any) -> tuple[int, ...]:
    """How many chunks a dataset has along each axis; (0,) of one in a piece."""
    if item.chunks is None:
        return (0,)
    return tuple(-(-n // side) for n, side in zip(item.shape, item.chunks, strict=True))


def _values(key: str, item: Any) -> NDArray[Any]:
    """The numbers of a dataset; HDF5 would unpack a chunk to whatever length it has."""
    import h5py

    plist = item.id.get_create_plist()
    filters = tuple(plist.get_filter(k) for k in range(plist.get_nfilters()))
    if not filters:
        return np.asarray(item[()])
    codes, size = tuple(code for code, *_ in filters), item.dtype.itemsize
    as_stored = h5py.h5t.py_create(item.dtype, logical=True) == item.id.get_type()
    shuffled = all(values[:1] in ((), (size,)) for code, _, values, _ in filters if code == SHUFFLE)
    if codes not in UNPACKED or not as_stored or not shuffled:
        names = ", ".join(name.decode("ascii", "replace") for *_, name in filters)
        raise Refusal(
            f"{key} is packed in a way that is not read ({names}); save it with gzip or none"
        )
    values = np.full(item.shape, item.fillvalue, item.dtype)
    chunks: list[Any] = []
    item.id.chunk_iter(chunks.append)
    if len(chunks) > prod(_grid(item)):
        raise Refusal(f"{key} has more chunks than its shape; the file is damaged")
    for chunk in chunks:
        place = tuple(
            slice(start, start + side)
            for start, side in zip(chunk.chunk_offset, item.chunks, strict=True)
        )
        inside = values[place]
        whole = _chunk(key, item, chunk, codes)
        inside[...] = whole[tuple(map(slice, inside.shape))]
    return values


def _chunk(key: str, item: Any, chunk: Any, codes: tuple[int, ...]) -> NDArray[Any]:
    """One chunk as an array, unpacked to no more than its own size."""
    size = prod(item.chunks) * item.dtype.itemsize
    data = b""
    if chunk.size <= size + size // 8 + 1000:  # deflate adds less to what cannot be packed
        skipped, data = item.id.read_direct_chunk(chunk.chunk_offset)
        for k, code in reversed(list(enumerate(codes))):
            if skipped >> k & 1:
                continue
            if code == DEFLATE:
                data = _inflated(key, data, size)
            elif len(data) == size:
                data = np.frombuffer(data, np.uint8).reshape(item.dtype.itemsize, -1).T.tobytes()
    if len(data) != size:
        raise Refusal(f"{key} has a chunk that is not of its {size} bytes; it is damaged or a bomb")
    return np.frombuffer(data, item.dtype).reshape(item.chunks)


def _inflated(key: str, data: bytes, size: int) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, size + 1)
    except zlib.error as error:
        raise Refusal(f"{key} has a damaged chunk ({error}); fetch the file again") from error
