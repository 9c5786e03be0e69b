"""Keras weights: the datasets of an HDF5 file and nothing else of it; no model is ever loaded."""

import io
from math import prod
from typing import Any

from nlmeans.weights.archives import Archive, Budget
from nlmeans.weights.errors import Refused
from nlmeans.weights.stored import Stored, Tensors, from_numpy

MAGIC = b"\x89HDF\r\n\x1a\n"
KERAS_MEMBER = "model.weights.h5"


def read_keras_zip(archive: Archive) -> Tensors:
    """A .keras file: its weights alone."""
    return read_hdf5(archive.read(KERAS_MEMBER), archive.budget, "Keras (zip)")


def read_hdf5(data: bytes, budget: Budget, kind: str = "HDF5") -> Tensors:
    """Every dataset by its path, joined with dots, as far as the budget of the whole file goes.

    Raises
    ------
    Refused
        For links to elsewhere, data kept in other files, cycles, and datasets or chunks that
        claim more than the file can hold.
    """
    try:
        import h5py
    except ImportError as error:
        message = "is an HDF5 file, for which h5py is needed: pip install 'nlmeans[keras]'"
        raise Refused(message) from error
    arrays: dict[str, Stored] = {}
    seen: set[Any] = set()

    def walk(group: Any, path: str) -> None:
        for name in group:
            key = f"{path}.{name}" if path else name
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                message = f"{key} is a link to elsewhere ({type(link).__name__}); save it anew"
                raise Refused(message)
            item = group[name]
            address = h5py.h5o.get_info(item.id).addr
            if address in seen:
                message = f"{key} is linked to twice; save the weights anew"
                raise Refused(message)
            seen.add(address)
            if isinstance(item, h5py.Group):
                walk(item, key)
            elif isinstance(item, h5py.Dataset):
                if item.external or item.is_virtual:
                    message = f"{key} keeps its data in another file; save the weights anew"
                    raise Refused(message)
                if item.dtype.kind not in "biuf" or item.shape is None:
                    continue  # the optimizer's names and the like
                # A chunk is unpacked whole, however little of it the dataset has.
                chunk = prod(item.chunks or ()) * item.dtype.itemsize
                budget.take(max(item.nbytes, chunk), f"{key} claims")
                arrays[key] = from_numpy(item[()])

    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            walk(file, "")
    except (OSError, RuntimeError, KeyError, ValueError, RecursionError) as error:
        cause = " ".join(str(error).split())[:100]
        message = f"is a damaged or truncated HDF5 file ({cause}); fetch it again"
        raise Refused(message) from error
    if not arrays:
        message = "holds no numbers; save the weights with model.save_weights"
        raise Refused(message)
    return Tensors(kind, arrays)
