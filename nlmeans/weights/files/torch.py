"""PyTorch checkpoints, of both forms, without PyTorch.

The older is a row of pickles followed by the storages; the newer a zip file with the pickle
`data.pkl` and a member for each storage. A tensor is a view of a storage: offset, shape, strides.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any, Literal

import numpy as np

from nlmeans.weights.errors import Refusal
from nlmeans.weights.files.archives import Archive, Budget
from nlmeans.weights.files.pickles import NUMPY, StandIn, read_pickle
from nlmeans.weights.files.stored import MOST_SIDES, Stored, Tensors, whole
from nlmeans.weights.files.trees import flattened

MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the pickled number 0x1950a86a20f9469cfc6c
PROTOCOL = 1001
STORAGES = {
    "Double": "float64", "Float": "float32", "Half": "float16", "BFloat16": "bfloat16",
    "Long": "int64", "Int": "int32", "Short": "int16", "Char": "int8", "Byte": "uint8",
    "Bool": "bool", "ComplexFloat": "complex64", "ComplexDouble": "complex128",
}  # fmt: skip


@dataclass(frozen=True)
class Storage:
    key: str
    dtype: str
    count: int

    @property
    def item(self) -> np.dtype[Any]:
        """One number as it lies in the file."""
        return np.dtype("uint16" if self.dtype == "bfloat16" else self.dtype)


@dataclass(frozen=True)
class Tensor:
    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def stored(self, name: str, content: bytes, byte_order: Literal["<", ">"]) -> Stored:
        """The view, once it is known to lie within its storage."""
        item = self.storage.item.newbyteorder(byte_order)
        if len(content) != self.storage.count * item.itemsize:
            raise Refusal(
                f"{name}: its storage has {len(content)} bytes for {self.storage.count} numbers "
                f"of {self.storage.dtype}; the file is damaged"
            )
        last = sum((n - 1) * s for n, s in zip(self.shape, self.strides, strict=True))
        count = prod(self.shape)
        if count and max(self.offset + last, count - 1) >= self.storage.count:
            raise Refusal(
                f"{name}: shape {self.shape} with strides {self.strides} from {self.offset} "
                f"reaches beyond its {self.storage.count} numbers; the file is damaged"
            )
        if count == 0:  # other sides may be beyond all bounds
            return Stored(self.storage.dtype, self.shape, np.empty(0, item))
        view = np.lib.stride_tricks.as_strided(
            np.frombuffer(content, item)[self.offset :],
            self.shape,
            # The stride of a side of length 1 is never taken, and can be any number.
            tuple(
                s * item.itemsize if n > 1 else 0
                for n, s in zip(self.shape, self.strides, strict=True)
            ),
            writeable=False,
        )
        big = " big-endian" if byte_order == ">" and item.itemsize > 1 else ""
        return Stored(self.storage.dtype + big, self.shape, view)


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> Tensor:
    fits = (
        isinstance(storage, Storage)
        and isinstance(shape, tuple)
        and isinstance(strides, tuple)
        and len(shape) == len(strides) <= MOST_SIDES
        and whole(offset, *shape, *strides)
    )
    if not fits:
        raise Refusal("holds a tensor in a form that cannot be read; the file is damaged")
    return Tensor(storage, offset, shape, strides)


def _size(sides: Any = ()) -> tuple[Any, ...]:
    if not isinstance(sides, list | tuple):
        raise Refusal("holds a torch.Size of something else than numbers; the file is damaged")
    return tuple(sides)


def _parameter(tensor: Any, *_: Any) -> Any:
    return tensor


NAMES: dict[str, Any] = {
    **NUMPY,
    **{f"torch.{name}Storage": dtype for name, dtype in STORAGES.items()},
    **{f"torch.cuda.{name}Storage": dtype for name, dtype in STORAGES.items()},
    "torch._utils._rebuild_tensor": StandIn(_tensor),
    "torch._utils._rebuild_tensor_v2": StandIn(_tensor),
    "torch._utils._rebuild_parameter": StandIn(_parameter),
    "torch.nn.parameter.Parameter": StandIn(_parameter),
    "torch.Size": StandIn(_size),
    "torch.device": StandIn(lambda *name: name),
}


def _storage(identity: Any) -> Storage:
    """What a persistent id stands for: ("storage", type, key, device, count), and no view."""
    match identity:
        case ("storage", str(dtype), str(key), str(), count) if whole(count):
            return Storage(key, dtype, count)
        case ("storage", str(dtype), str(key), str(), count, None) if whole(count):
            return Storage(key, dtype, count)
    raise Refusal("refers to a storage in a form that cannot be read; the file is damaged")


def read_torch_zip(archive: Archive) -> Tensors:
    """A checkpoint that `torch.save` wrote from version 1.6 on."""
    pickles = [name for name in archive.names if name.split("/")[1:] == ["data.pkl"]]
    if len(pickles) != 1:
        raise Refusal(f"holds {len(pickles)} members NAME/data.pkl; a checkpoint has one")
    root = pickles[0].removesuffix("data.pkl")
    order: Literal["<", ">"] = "<"
    if f"{root}byteorder" in archive.names:
        order = ">" if archive.read(f"{root}byteorder").strip() == b"big" else "<"
    tree = read_pickle(io.BytesIO(archive.read(pickles[0])), archive.budget, NAMES, _storage)

    contents: dict[str, bytes] = {}

    def content(key: str) -> bytes:
        if key not in contents:
            name = f"{root}data/{key}"
            if name not in archive.names:
                raise Refusal(f"lacks the storage {name!r}; the file is damaged")
            contents[key] = archive.read(name)
        return contents[key]

    return _tensors("PyTorch", tree, archive.budget, content, order)


def read_torch_legacy(data: bytes) -> Tensors:
    """A checkpoint of the form before version 1.6."""
    file = io.BytesIO(data)
    budget = Budget(len(data))
    _, protocol, system = (read_pickle(file, budget) for _ in range(3))
    if protocol != PROTOCOL:
        raise Refusal(f"has another PyTorch protocol than {PROTOCOL}; save it again with PyTorch 2")
    if isinstance(system, dict) and system.get("little_endian") is False:
        raise Refusal("was written on a big-endian machine; save it again with PyTorch 2")
    known: dict[str, Storage] = {}

    def remembered(identity: Any) -> Storage:
        storage = _storage(identity)
        return known.setdefault(storage.key, storage)

    tree = read_pickle(file, budget, NAMES, remembered)
    keys = read_pickle(file, budget)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise Refusal("lacks the list of its storages; the file is damaged")
    contents = {}
    for key in keys:
        if key not in known:
            raise Refusal(f"has a storage {key[:40]!r} that no tensor uses; the file is damaged")
        count = int.from_bytes(file.read(8), "little")
        contents[key] = file.read(min(count * known[key].item.itemsize, len(data)))

    def content(key: str) -> bytes:
        if key not in contents:
            raise Refusal(f"lacks the storage {key!r}; the file is damaged")
        return contents[key]

    return _tensors("PyTorch (legacy)", tree, budget, content, "<")


def _tensors(
    kind: str, tree: Any, budget: Budget, content: Callable[[str], bytes], order: Literal["<", ">"]
) -> Tensors:
    found, notes = flattened(tree, Tensor, budget)
    arrays = {
        name: tensor.stored(name, content(tensor.storage.key), order)
        for name, tensor in found.items()
    }
    return Tensors(kind, arrays, notes=notes)
