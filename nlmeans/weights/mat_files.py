"""MATLAB files of versions 5 to 7; SciPy reads them, after they are unpacked under control."""

import io
import zlib
from typing import Any

import numpy as np

from nlmeans.weights.archives import most_bytes
from nlmeans.weights.errors import Refused
from nlmeans.weights.stored import Stored, Tensors, from_numpy

MAGIC = b"MATLAB 5.0 MAT-file"
NEWER = b"MATLAB 7.3 MAT-file"
HEADER = 128
COMPRESSED = 15  # the tag of an element that is compressed


def read_mat(data: bytes) -> Tensors:
    """Numeric variables; the fields of a struct by their names joined with dots."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        variables = loadmat(io.BytesIO(_unpacked(data)), struct_as_record=True)
    except (MatReadError, ValueError, TypeError, KeyError, IndexError, OSError, MemoryError,
            NotImplementedError, zlib.error) as error:  # fmt: skip
        cause = " ".join(str(error).split())[:100]
        message = f"is a damaged or truncated MATLAB file ({cause}); fetch it again"
        raise Refused(message) from error
    arrays: dict[str, Stored] = {}
    for name, value in variables.items():
        if not name.startswith("__"):
            _collect(name, value, arrays, 0)
    if not arrays:
        message = "holds no numeric variables; save theta_weight, phi_weight and so on"
        raise Refused(message)
    return Tensors("MATLAB", arrays)


def _collect(key: str, value: Any, arrays: dict[str, Stored], depth: int) -> None:
    if not isinstance(value, np.ndarray) or depth > 20:
        return
    if value.dtype.names and value.size == 1:
        for name in value.dtype.names:
            _collect(f"{key}.{name}", value.flat[0][name], arrays, depth + 1)
    elif value.dtype.kind in "biuf":
        arrays[key] = from_numpy(value)


def _unpacked(data: bytes) -> bytes:
    """The same file with its compressed elements unpacked, within the bound."""
    order = {b"IM": "little", b"MI": "big"}.get(data[126:128])
    if order is None:
        message = "has no MATLAB header; fetch it again"
        raise Refused(message)
    result = bytearray(data[:HEADER])
    place, left = HEADER, most_bytes(len(data))
    while place + 8 <= len(data):
        kind = int.from_bytes(data[place : place + 4], order)  # type: ignore[arg-type]
        size = int.from_bytes(data[place + 4 : place + 8], order)  # type: ignore[arg-type]
        end = place + 8 + size
        if end > len(data):
            message = f"ends {end - len(data)} bytes too early; it is truncated: fetch it again"
            raise Refused(message)
        if kind == COMPRESSED:
            unpacker = zlib.decompressobj()
            content = unpacker.decompress(data[place + 8 : end], left + 1)
        else:
            content = data[place:end]
        left -= len(content)
        if left < 0:
            message = f"unpacks to more than {most_bytes(len(data))} bytes; it is a zip bomb"
            raise Refused(message)
        result += content
        place = end
    return bytes(result)
