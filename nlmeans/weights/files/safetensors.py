"""safetensors: the library checks the header; its bytes are read here, for bfloat16's sake."""

import json

from safetensors import SafetensorError, deserialize

from nlmeans.weights.errors import Refusal
from nlmeans.weights.files.stored import Tensors, from_bytes

DTYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16",
    "I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8",
    "U64": "uint64", "U32": "uint32", "U16": "uint16", "U8": "uint8", "BOOL": "bool",
    "C64": "complex64",
}  # fmt: skip


def looks_like_safetensors(data: bytes) -> bool:
    """Eight bytes with the length of a header, below 4 GB, and the header, which is JSON."""
    return data[8:9] == b"{" and data[4:8] == bytes(4)


def read_safetensors(data: bytes) -> Tensors:
    try:
        entries = deserialize(data)  # type: ignore[no-untyped-call]
    except SafetensorError as error:
        raise Refusal(
            f"is a damaged or truncated safetensors file ({error}); fetch it again"
        ) from error
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    arrays = {
        key: from_bytes(
            key, DTYPES.get(entry["dtype"], entry["dtype"]), tuple(entry["shape"]), entry["data"]
        )
        for key, entry in entries
    }
    return Tensors("safetensors", arrays, header.get("__metadata__") or {})
