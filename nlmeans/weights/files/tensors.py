"""Path -> named arrays. The content tells the format; a name that says otherwise is refused."""

import io
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from nlmeans.base.texts import one_line
from nlmeans.weights.errors import Refusal
from nlmeans.weights.files import hdf5, mat, npy, torch
from nlmeans.weights.files.archives import Archive, Budget
from nlmeans.weights.files.pickles import ArrayBeing, read_pickle
from nlmeans.weights.files.safetensors import looks_like_safetensors, read_safetensors
from nlmeans.weights.files.stored import Tensors, from_numpy
from nlmeans.weights.files.trees import flattened

LONGEST_NAME = 500
TORCH = (".pth", ".pt", ".pyth", ".t7", ".bin", ".tar", ".ckpt")
# What a file with such a name has to be, in words that `_kind` gives.
NAMED = {
    ".safetensors": ("safetensors",),
    ".npz": ("npz",),
    ".npy": ("npy",),
    ".pkl": ("pickle", "PyTorch zip", "PyTorch legacy"),
    ".pickle": ("pickle",),
    ".h5": ("HDF5",),
    ".hdf5": ("HDF5",),
    ".keras": ("Keras zip",),
    ".mat": ("MATLAB", "MATLAB 7.3"),
    **dict.fromkeys(TORCH, ("PyTorch zip", "PyTorch legacy")),
}
ELSEWHERE = {
    ".onnx": "ONNX is not read: save the initializers theta, phi, g and out with numpy.savez",
    ".pb": "TensorFlow graphs are not read: save the variables with numpy.savez",
    ".index": (
        "TensorFlow checkpoints are not read: save each get_tensor of tf.train.load_checkpoint "
        "with numpy.savez"
    ),
}


def read_tensors(path: str | os.PathLike[str]) -> Tensors:
    """The arrays and texts of a weights file.

    Nothing in it is ever executed, and memory is bounded by a multiple of the file's size.

    Raises Refusal: why it cannot be read, without the path.
    """
    tensors = _read(Path(path))
    for key in tensors.arrays:
        if not key.isprintable() or len(key) > LONGEST_NAME:
            raise Refusal(
                f"has an array named {one_line(key, 60)}; names are of printable characters, up to "
                f"{LONGEST_NAME}"
            )
    return replace(tensors, notes=tuple(one_line(note) for note in tensors.notes))


def _read(path: Path) -> Tensors:
    data = _content(path)
    kind = _kind(data)
    suffix = path.suffix.lower()
    if kind is None and suffix == ".safetensors":
        kind = "safetensors"  # which the library will say what is wrong with
    if kind is None:
        known = "safetensors, npz, PyTorch, pickle, HDF5 and MATLAB files are"
        raise Refusal(ELSEWHERE.get(suffix, f"is in no known format; {known} read"))
    if kind not in NAMED.get(suffix, (kind,)):
        raise Refusal(
            f"is named {suffix} but holds {kind}: it is not what it says; "
            "ask where it comes from before you rename it"
        )
    if kind not in READERS:
        raise Refusal(USELESS.get(kind, f"is {kind}, which holds no weights"))
    return READERS[kind](data)


def _content(path: Path) -> bytes:
    try:
        if stat.S_ISDIR(path.stat().st_mode):
            raise Refusal(
                "is a folder; name a file (of a SavedModel, save the variables with np.savez)"
            )
        if not stat.S_ISREG(path.stat().st_mode):
            raise Refusal("is a pipe or device; save its content to a file first")
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise Refusal("no such file; check the name and the folder") from error
    except (OSError, ValueError) as error:
        cause = getattr(error, "strerror", None) or str(error)
        raise Refusal(f"cannot be opened ({cause}); check name and permissions") from error
    if not data:
        raise Refusal("is empty (0 bytes); fetch it again")
    return data


def _kind(data: bytes) -> str | None:
    """What the content is, in the words of NAMED."""
    if looks_like_safetensors(data):  # first: the length of a header can look like a pickle
        return "safetensors"
    starts = {
        npy.MAGIC: "npy",
        hdf5.MAGIC: "HDF5",
        mat.MAGIC: "MATLAB",
        mat.NEWER: "MATLAB 7.3",
        torch.MAGIC: "PyTorch legacy",
    }
    for start, kind in starts.items():
        if data.startswith(start):
            return kind
    if data.startswith(b"PK\x03\x04"):
        return _zip_kind(Archive(data).names)
    if data[:1] == b"\x80" and data[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return "pickle"
    return None


def _zip_kind(names: list[str]) -> str:
    if any(name.split("/")[1:] == ["data.pkl"] for name in names):
        return "PyTorch zip"
    if hdf5.KERAS_MEMBER in names:
        return "Keras zip"
    return "npz" if all(name.endswith(".npy") for name in names) else "a zip file"


def _read_pickle_of_arrays(data: bytes) -> Tensors:
    """Caffe2's and other pickles of a dict of NumPy arrays."""
    budget = Budget(len(data))
    found, notes = flattened(read_pickle(io.BytesIO(data), budget), ArrayBeing, budget)
    arrays = {key: from_numpy(made.array) for key, made in found.items() if made.array is not None}
    return Tensors("pickle", arrays, notes=notes)


# Kind -> its reader, or why there is none.
READERS: dict[str, Callable[[bytes], Tensors]] = {
    "safetensors": read_safetensors,
    "npz": lambda data: npy.read_npz(Archive(data)),
    "PyTorch zip": lambda data: torch.read_torch_zip(Archive(data)),
    "PyTorch legacy": torch.read_torch_legacy,
    "Keras zip": lambda data: hdf5.read_keras_zip(Archive(data)),
    "HDF5": lambda data: hdf5.read_hdf5(data, Budget(len(data))),
    "MATLAB": mat.read_mat,
    "pickle": _read_pickle_of_arrays,
}
USELESS = {
    "npy": "is one array alone; save theta, phi, g and out by name with numpy.savez",
    "MATLAB 7.3": "is a MATLAB 7.3 file; save it with -v7",
}
