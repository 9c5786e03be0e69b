"""Weights files as the frameworks write them, made with the standard library and NumPy alone."""

import io
import pickle
import struct
import zipfile
from collections import OrderedDict
from types import ModuleType
from typing import Any

import numpy as np

STORAGES = {
    "float32": "FloatStorage", "float64": "DoubleStorage", "float16": "HalfStorage",
    "bfloat16": "BFloat16Storage", "int64": "LongStorage",
}  # fmt: skip
LEGACY_MAGIC, LEGACY_PROTOCOL = 0x1950A86A20F9469CFC6C, 1001


class Global:
    """Pickles as the global of this name, whether or not it is there."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name


class Reduced:
    """Pickles as a call of a global."""

    def __init__(self, function: Global, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments


class Storage:
    def __init__(self, key: str, dtype: str, count: int, legacy: bool) -> None:
        self.identity: tuple[Any, ...] = (
            "storage",
            Global("torch", STORAGES[dtype]),
            key,
            "cpu",
            count,
        )
        if legacy:
            self.identity += (None,)


class Pickler(pickle._Pickler):  # the Python one, whose globals can be made up
    def save(self, obj, save_persistent_id=True):
        if isinstance(obj, Global):
            self.write(b"c" + f"{obj.module}\n{obj.name}\n".encode())
        elif isinstance(obj, Reduced):
            self.save(obj.function)
            self.save(obj.arguments)
            self.write(b"R")
        else:
            super().save(obj, save_persistent_id)

    def persistent_id(self, obj):
        return obj.identity if isinstance(obj, Storage) else None


def pickled(tree: Any) -> bytes:
    file = io.BytesIO()
    Pickler(file, 2).dump(tree)
    return file.getvalue()


def tensor(storage: Storage, shape, strides=None, offset: int = 0) -> Reduced:
    if strides is None:
        strides = tuple(int(np.prod(shape[k + 1 :])) for k in range(len(shape)))
    return Reduced(
        Global("torch._utils", "_rebuild_tensor_v2"),
        storage,
        offset,
        tuple(shape),
        tuple(strides),
        False,
        OrderedDict(),
    )


def raw(array: np.ndarray, dtype: str, order: str = "<") -> bytes:
    if dtype == "bfloat16":
        return (array.astype("<f4").view("<u4") >> 16).astype(f"{order}u2").tobytes()
    return array.astype(np.dtype(dtype).newbyteorder(order)).tobytes()


def torch_zip(
    arrays: dict[str, np.ndarray],
    *,
    dtype: str = "float32",
    wrap=lambda tree: tree,
    order="<",
    extra: dict[str, bytes] | None = None,
) -> bytes:
    """What torch.save writes, with a storage a tensor."""
    file = io.BytesIO()
    tree: OrderedDict[str, Any] = OrderedDict()
    with zipfile.ZipFile(file, "w") as archive:
        for k, (name, array) in enumerate(arrays.items()):
            kind = "int64" if array.dtype == np.int64 else dtype
            tree[name] = tensor(Storage(str(k), kind, array.size, False), array.shape)
            archive.writestr(f"archive/data/{k}", raw(array, kind, order))
        archive.writestr("archive/data.pkl", pickled(wrap(tree)))
        archive.writestr("archive/byteorder", b"big" if order == ">" else b"little")
        for name, content in (extra or {}).items():
            archive.writestr(name, content)
    return file.getvalue()


def torch_legacy(
    arrays: dict[str, np.ndarray], *, dtype: str = "float32", wrap=lambda tree: tree
) -> bytes:
    tree = OrderedDict(
        (name, tensor(Storage(str(k), dtype, a.size, True), a.shape))
        for k, (name, a) in enumerate(arrays.items())
    )
    system = {"protocol_version": LEGACY_PROTOCOL, "little_endian": True, "type_sizes": {}}
    head = [LEGACY_MAGIC, LEGACY_PROTOCOL, system, wrap(tree), [str(k) for k in range(len(tree))]]
    storages = (struct.pack("<q", a.size) + raw(a, dtype) for a in arrays.values())
    return b"".join([*map(pickled, head), *storages])


def python2_pickle(tree: dict[str, Any]) -> bytes:
    """A dict of dicts of arrays as Python 2's cPickle has it: texts are byte strings."""
    out = bytearray(b"\x80\x02")

    def text(value: bytes) -> None:
        out.extend(b"T" + struct.pack("<i", len(value)) + value)

    def put(value: Any) -> None:
        if isinstance(value, dict):
            out.extend(b"}(")
            for name, each in value.items():
                text(name.encode())
                put(each)
            out.extend(b"u")
        elif isinstance(value, np.ndarray):
            out.extend(
                b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR(K\x01"
            )
            out.extend(b"(" + b"".join(b"J" + struct.pack("<i", n) for n in value.shape) + b"t")
            out.extend(b"cnumpy\ndtype\n(U\x02" + value.dtype.str[1:].encode() + b"K\x00K\x01tR")
            out.extend(b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89")
            text(value.tobytes())
            out.extend(b"tb")
        else:
            out.extend(b"K" + bytes([value]))

    put(tree)
    return bytes(out + b".")


def keras_file(path, layers: dict[str, np.ndarray], h5py: ModuleType, version: int = 2) -> None:
    """What save_weights of Keras 2 or 3 writes for layers that have a kernel and nothing else."""
    with h5py.File(path, "w") as file:
        if version == 2:
            file.attrs["layer_names"] = [name.encode() for name in layers]
        for name, kernel in layers.items():
            key = f"{name}/{name}/kernel:0" if version == 2 else f"layers/{name}/vars/0"
            file.create_dataset(key, data=kernel)
