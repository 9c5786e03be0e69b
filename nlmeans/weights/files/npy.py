""".npz, without pickles, and with every size checked before memory is taken for it."""

import io
from tokenize import TokenError
from typing import Any

from numpy.lib import format as npy
from numpy.typing import NDArray

from nlmeans.weights.errors import Refusal
from nlmeans.weights.files.archives import Archive
from nlmeans.weights.files.stored import Tensors, from_numpy, shaped

# What NumPy lets out of a header, which it has Python's own parser read.
UNREADABLE = (ValueError, KeyError, TypeError, SyntaxError, TokenError, RecursionError, MemoryError)
MAGIC = b"\x93NUMPY"


def read_npz(archive: Archive) -> Tensors:
    """Arrays by name; those of one text are metadata."""
    found = {
        name.removesuffix(".npy"): _array(name.removesuffix(".npy"), archive.read(name))
        for name in archive.names
    }
    texts = {key for key, array in found.items() if array.dtype.kind == "U" and array.ndim == 0}
    return Tensors(
        "npz",
        {key: from_numpy(array) for key, array in found.items() if key not in texts},
        {key: str(found[key]) for key in texts},
    )


def _array(key: str, data: bytes) -> NDArray[Any]:
    file = io.BytesIO(data)
    try:
        version = npy.read_magic(file)
        read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
        shape, fortran, dtype = read(file)
    except UNREADABLE as error:
        cause = " ".join(str(error).split())[:100]
        raise Refusal(
            f"{key} is no .npy array that can be read ({cause}); fetch the file again"
        ) from error
    if dtype.kind not in "biufcU" or dtype.itemsize == 0:
        raise Refusal(f"{key} holds {dtype} and not numbers; Python objects are never unpickled")
    return shaped(key, memoryview(data)[file.tell() :], dtype, shape, fortran=fortran)
