"""Weights files end to end: formats, refusals, the native format, the command line."""

import io
import itertools
import json
import pickle
import struct
import subprocess
import sys
import tracemalloc
import warnings
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import weights_files as files
from safetensors.numpy import save as to_safetensors
from scipy.io import savemat

import nlmeans
from nlmeans.weights import WeightsError, roles
from nlmeans.weights.files import torch as torch_files
from nlmeans.weights.files.tensors import read_tensors
from nlmeans.weights.layouts import LAYOUTS, OTHERS
from nlmeans.weights.loaded import Reading
from nlmeans.weights.options import Choice
from nlmeans.weights.roles import layout_named

C, D = 4, 2
SHAPES = {"theta": (D, C), "phi": (D, C), "g": (D, C), "W": (C, D)}


def arrays(prefix="nl.", names=("theta", "phi", "g", "W"), window=(1, 1)):
    rng = np.random.default_rng(5)
    found = {}
    for name, shape in zip(names, SHAPES.values(), strict=False):
        found[f"{prefix}{name}.weight"] = rng.normal(size=(*shape, *window)).astype(np.float32)
        found[f"{prefix}{name}.bias"] = rng.normal(size=shape[0]).astype(np.float32)
    return found


def npz(given):
    file = io.BytesIO()
    np.savez(file, **given)
    return file.getvalue()


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def safetensors_of(dtype, given):
    """Written by hand, for dtypes that NumPy lacks."""
    header, content = {}, b""
    for key, array in given.items():
        data = files.raw(array, dtype)
        name = {"bfloat16": "BF16", "float16": "F16"}[dtype]
        place = [len(content), len(content) + len(data)]
        header[key] = {"dtype": name, "shape": list(array.shape), "data_offsets": place}
        content += data
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content


def written(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    return tmp_path / name


def same_as_plain(loaded, tmp_path, tolerance=0.0):
    plain = nlmeans.load_weights(written(tmp_path, "plain.npz", npz(arrays())), "alexhex7")
    x = np.random.default_rng(1).normal(size=(3, 4, C))
    np.testing.assert_allclose(
        loaded(x, channel_axis=-1), plain(x, channel_axis=-1), rtol=tolerance, atol=tolerance
    )


# --------------------------------------------------------------------------- formats


FORMATS = {
    "a.safetensors": lambda: to_safetensors(arrays()),
    "a.npz": lambda: npz(arrays()),
    "compressed.npz": lambda: compressed(arrays()),
    "a.pth": lambda: files.torch_zip(arrays()),
    "big.pth": lambda: files.torch_zip(arrays(), order=">"),
    "wrapped.pth": lambda: files.torch_zip(
        arrays(), wrap=lambda tree: {"epoch": 3, "state_dict": tree}
    ),
    "a.pt": lambda: files.torch_legacy(arrays("module.nl.")),
    "a.t7": lambda: files.torch_legacy(arrays(), wrap=lambda tree: {"net": tree, "epoch": 1}),
    "a.pyth": lambda: files.torch_zip(arrays(), wrap=lambda tree: {"model_state": tree, "cfg": ""}),
    "two.pkl": lambda: files.python2_pickle({"blobs": arrays()}),
    "three.pkl": lambda: pickle.dumps({"blobs": arrays()}, protocol=2),
    "four.pkl": lambda: pickle.dumps(arrays(), protocol=4),
    "five.pkl": lambda: pickle.dumps(arrays(), protocol=5),
}


def compressed(given):
    file = io.BytesIO()
    np.savez_compressed(file, **given)
    return file.getvalue()


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_block(tmp_path, name):
    path = written(tmp_path, name, FORMATS[name]())
    loaded = nlmeans.load_weights(path, "alexhex7")
    assert loaded.name == "nl"
    assert len(loaded.readings) == 8
    same_as_plain(loaded, tmp_path)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", ["a.safetensors", "a.pth", "a.pt"])
def test_halves_are_widened_and_named(tmp_path, dtype, name):
    make = {
        "a.safetensors": lambda: safetensors_of(dtype, arrays()),
        "a.pth": lambda: files.torch_zip(arrays(), dtype=dtype),
        "a.pt": lambda: files.torch_legacy(arrays(), dtype=dtype),
    }
    loaded = nlmeans.load_weights(written(tmp_path, name, make[name]()), "alexhex7")
    assert f"nl.theta.weight  2x4x1x1 {dtype}" in str(loaded)
    same_as_plain(loaded, tmp_path, 0.03)


def test_big_endian_is_read_and_named(tmp_path):
    swapped = {key: array.astype(">f4") for key, array in arrays().items()}
    path = written(tmp_path, "a.npz", npz(swapped))
    loaded = nlmeans.load_weights(path, "alexhex7")
    assert "nl.theta.weight  2x4x1x1 float32 big-endian" in str(loaded)
    same_as_plain(loaded, tmp_path)


def test_matlab(tmp_path):
    given = arrays("", ("theta", "phi", "g", "out"), window=())
    flat = {key.replace(".", "_"): array for key, array in given.items()}
    for path, content, packed in [
        ("a.mat", flat, True),
        ("b.mat", flat, False),
        ("c.mat", {"nl": flat}, True),
    ]:
        savemat(tmp_path / path, content, do_compression=packed)
        loaded = nlmeans.load_weights(tmp_path / path, "plain")
        same_as_plain(loaded, tmp_path)


def test_a_view_of_a_storage_is_taken_out_of_it(tmp_path):
    storage = files.Storage("0", "float32", 12, False)
    tree = {"theta": files.tensor(storage, (2, 3), strides=(1, 4), offset=1)}
    content = files.torch_zip({}, extra={}, wrap=lambda _: tree)
    path = with_storage(tmp_path, content, np.arange(12, dtype="<f4").tobytes())
    np.testing.assert_array_equal(
        read_tensors(path).arrays["theta"].values, [[1, 5, 9], [2, 6, 10]]
    )


def with_storage(tmp_path, content, data):
    path = written(tmp_path, "view.pth", content)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("archive/data/0", data)
    return path


# --------------------------------------------------------------------------- what is refused


def refusal(path, layout=None, **options):
    """The one line that is said."""
    with pytest.raises(WeightsError) as caught:
        nlmeans.load_weights(path, layout, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


class Gadget:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return (open, (str(self.mark), "w"))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_gadgets_are_not_run(tmp_path, protocol):
    mark = tmp_path / "mark"
    tree = {"theta.weight": Gadget(mark)}
    path = written(tmp_path, "a.pkl", pickle.dumps(tree, protocol=protocol))
    assert "asks for the global" in refusal(path)
    assert not mark.exists()


@pytest.mark.parametrize("module_and_name", [
    ("posix", "system"), ("builtins", "eval"), ("__builtin__", "getattr"), ("torch", "load"),
    ("numpy", "load"), ("torch._utils", "_rebuild_tensor_v2.__globals__"), ("os", "system\nx"),
])  # fmt: skip
@pytest.mark.parametrize("name", ["a.pth", "a.pt"])
def test_gadgets_in_checkpoints_are_not_run(tmp_path, module_and_name, name):
    call = files.Reduced(files.Global(*module_and_name), "touch mark")
    make = files.torch_zip if name == "a.pth" else files.torch_legacy
    path = written(tmp_path, name, make(arrays(), wrap=lambda tree: {**tree, "x": call}))
    assert "global" in refusal(path) or "damaged" in refusal(path)


@pytest.mark.parametrize("code", [
    b"\x80\x02}(U\x01acbuiltins\nlist\n)\x81u.",  # NEWOBJ
    b"\x80\x02(S'x'\nios\nsystem\n.",  # INST
    b"\x80\x02\x82\x01.",  # EXT1
    b"\x80\x02U\x01xQ.",  # BINPERSID, where no storage is
    b"\x80\x02ccollections\nOrderedDict\n}b.",  # BUILD on what was not made
    b"\x80\x02}U\x01a]s" + b"2" * 50 + b".",  # DUP
    b"\x80\x05\x97.",
])  # fmt: skip
def test_other_pickle_instructions_are_refused(tmp_path, code):
    refusal(written(tmp_path, "a.pkl", code))


def test_dict_keys_are_plain_and_nesting_ends(tmp_path):
    deep = b"\x80\x02" + b"}U\x01a" * 3000 + b"N" + b"s" * 3000 + b"."
    assert "nests dicts deeper than 20" in refusal(written(tmp_path, "a.pkl", deep))
    loop = b"\x80\x02}q\x00(U\x01ah\x00U\x01bh\x00u."
    assert "nests dicts deeper than 20" in refusal(written(tmp_path, "b.pkl", loop))
    twice = {"a": 0}
    for _ in range(18):
        twice = {"a": twice, "b": twice}
    said = refusal(written(tmp_path, "d.pkl", pickle.dumps(twice, protocol=2)))
    assert "more than 100000 values" in said
    assert "dict key" in refusal(written(tmp_path, "c.pkl", b"\x80\x02}))s."))


def laughs(count=22):
    """A list of two of a list of two and so on, kept as number `count`."""
    code = b"]q\x00"
    for k in range(1, count + 1):
        code += b"](h" + bytes([k - 1]) + b"h" + bytes([k - 1]) + b"eq" + bytes([k])
    return code


GET_LAUGHS = b"h\x16"
ARRAY_OF = b"cnumpy.core.multiarray\n_reconstruct\n)R(K\x01"
F4 = b"cnumpy\ndtype\nU\x02f4\x85R"


@pytest.mark.parametrize("code", [
    b"\x8c\x01x\x93.",  # the module of a global
    b"cnumpy\ndtype\n" + GET_LAUGHS + b"\x85R.",
    b"c_codecs\nencode\nU\x01a" + GET_LAUGHS + b"\x86R.",
    b"c_codecs\nencode\n" + GET_LAUGHS + b"\x85R.",
    ARRAY_OF + GET_LAUGHS + b"\x85" + F4 + b"\x89U\x04aaaatb.",  # a side
    b"ccollections\nOrderedDict\n" + GET_LAUGHS + b"\x85R.",
    b"}" + GET_LAUGHS + b"Ns.",
])  # fmt: skip
def test_lists_within_lists_are_never_printed(tmp_path, code):
    path = written(tmp_path, "a.pkl", b"\x80\x04" + laughs() + code)
    assert len(frugal_refusal(path)) < 300


def test_a_legacy_checkpoint_is_not_printed_either(tmp_path):
    empty, keys, protocol = b"\x80\x02}.", b"\x80\x02](]e.", b"\x80\x02M\xe9\x03."
    heads = [
        b"\x80\x02" + laughs() + b"." + empty + empty + keys,
        protocol + empty + empty + keys,
        protocol + empty + empty + b"\x80\x02](" + laughs() + b"e.",
    ]
    for head in heads:
        path = written(tmp_path, "a.pt", torch_files.MAGIC + head)
        assert len(frugal_refusal(path)) < 300


@pytest.mark.parametrize("named", [b"ctorch\nSize\n", b"c_codecs\nencode\n",
                                   b"ccollections\nOrderedDict\n"])  # fmt: skip
@pytest.mark.parametrize("long", [b"X" + struct.pack("<I", 50_000) + b"a" * 50_000,
                                  b"](" + b"N" * 50_000 + b"e"])  # fmt: skip
def test_what_is_named_again_and_again_is_not_copied_each_time(tmp_path, named, long):
    code = long + b"q\x00" + named + b"q\x01](" + b"h\x01h\x00\x85R" * 1000 + b"e."
    content = zipped({"a/data.pkl": b"\x80\x02" + code}, zipfile.ZIP_STORED)
    frugal_refusal(written(tmp_path, "a.pth", content))


def test_halves_are_widened_only_where_they_are_used(tmp_path):
    storage = files.Storage("0", "bfloat16", 10_000, False)
    tree = {f"{k:03}": files.tensor(storage, (10_000,)) for k in range(800)}
    path = with_storage(tmp_path, files.torch_zip({}, wrap=lambda _: tree), bytes(20_000))
    assert "holds no non-local block" in frugal_refusal(path)


def test_long_names_are_not_repeated_for_every_leaf(tmp_path):
    storage = files.Storage("0", "float32", 1, False)
    tree = {"x" * 50_000: {f"{k:03}": files.tensor(storage, (1,)) for k in range(800)}}
    path = with_storage(tmp_path, files.torch_zip({}, wrap=lambda _: tree), bytes(4))
    assert "but a bomb" in frugal_refusal(path)


def test_a_checkpoint_of_no_numbers_keeps_its_shape(tmp_path):
    given = {**arrays(), "nl.theta.weight": np.zeros((2, 0, 1, 1), np.float32)}
    said = refusal(written(tmp_path, "a.pth", files.torch_zip(given)), "alexhex7")
    assert "nl.theta.weight has shape (2, 0, 1, 1)" in said


def test_arrays_of_no_numbers_keep_their_shape(tmp_path):
    path = written(tmp_path, "a.npz", npz({"a": np.zeros((0, 3))}))
    assert read_tensors(path).arrays["a"].shape == (0, 3)


def test_instructions_are_counted(tmp_path):
    path = written(tmp_path, "a.pkl", b"\x80\x02" + b"}" * 1_000_100 + b".")
    assert "instructions" in refusal(path)


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "compressed.npz"])
def test_truncated_files_are_refused_at_every_length(tmp_path, name):
    content = FORMATS[name]()
    for length in sorted({*range(1, len(content), max(1, len(content) // 60)), len(content) - 1}):
        refusal(written(tmp_path, name, content[:length]), "alexhex7")


def matlab_file(packed):
    flat = {key.replace(".", "_"): array for key, array in arrays("", window=()).items()}
    file = io.BytesIO()
    savemat(file, {"nl": flat}, do_compression=packed)
    return file.getvalue()


def keras_content():
    h5py = pytest.importorskip("h5py")
    file = io.BytesIO()
    files.keras_file(file, {f"conv2d_{k}": kernel for k, kernel in enumerate(kernels())}, h5py)
    return file.getvalue()


MORE_FORMATS = {
    "a.mat": lambda: matlab_file(False),
    "packed.mat": lambda: matlab_file(True),
    "a.h5": keras_content,
}


@pytest.mark.parametrize("part", ["head", "whole"])
@pytest.mark.parametrize("name", [*FORMATS, *MORE_FORMATS])
def test_damaged_bytes_never_do_more_than_refuse(tmp_path, name, part):
    rng = np.random.default_rng(0)
    content = bytearray({**FORMATS, **MORE_FORMATS}[name]())
    for _ in range(60):
        broken = bytearray(content)
        for place in rng.integers(0, min(len(broken), 700) if part == "head" else len(broken), 3):
            broken[place] = rng.integers(256)
        path = written(tmp_path, name, bytes(broken))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                nlmeans.load_weights(path, "keras" if name == "a.h5" else "alexhex7")
            except WeightsError as error:
                assert "\n" not in str(error)  # noqa: PT017


PAIRS = [
    (name, content)
    for name, content in itertools.product(
        ("a.safetensors", "a.npz", "a.npy", "a.pth", "a.h5", "a.mat", "a.keras"),
        ("three.pkl", "a.safetensors", "a.npz", "a.pt", "a.pth"),
    )
    if name != content and (name, content) not in {("a.pth", "a.pt")}
]


@pytest.mark.parametrize(("name", "content"), PAIRS)
def test_disguises_are_refused(tmp_path, name, content):
    said = refusal(written(tmp_path, name, FORMATS[content]()))
    assert "is named" in said
    assert "not what it says" in said


def test_a_header_as_long_as_a_pickle_begins_is_no_pickle(tmp_path):
    texts = {"x": ""}
    content = to_safetensors(arrays(), texts)
    while content[:2] != b"\x80\x03":
        texts["x"] += "x"
        content = to_safetensors(arrays(), texts)
    nlmeans.load_weights(written(tmp_path, "a.safetensors", content), "alexhex7")


def test_oversized_headers(tmp_path):
    for length in (2**63, 2**40, 200_000_000, 5000):
        content = struct.pack("<Q", length) + b'{"a": 1}'
        said = frugal_refusal(written(tmp_path, "a.safetensors", content))
        assert "damaged or truncated safetensors" in said
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,), }"
    npy = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(8)
    assert "8 bytes for shape" in refusal(written(tmp_path, "a.npz", zipped({"a.npy": npy})))
    empty = npy.replace(b"(1000000000000,)", b"(0, 99999999999)")[:-8]
    assert refusal(written(tmp_path, "b.npz", zipped({"a.npy": empty})))


def test_one_array_alone_is_no_block(tmp_path):
    said = refusal(written(tmp_path, "a.npy", npy(np.ones((2, 2)))))
    assert said == "is one array alone; save theta, phi, g and out by name with numpy.savez"


def zipped(members, compression=zipfile.ZIP_DEFLATED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def frugal_refusal(path, layout=None):
    """The one line, said without much more memory than the file's size allows."""
    tracemalloc.start()
    try:
        said = refusal(path, layout)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 45 * path.stat().st_size + 8e6
    return said


def test_zip_bombs(tmp_path):
    bomb = zipped({"a/data.pkl": bytes(50_000_000)})
    assert "but a bomb" in frugal_refusal(written(tmp_path, "a.pth", bomb))
    assert "but a bomb" in frugal_refusal(
        written(tmp_path, "a.npz", zipped({"a.npy": bytes(50_000_000)}))
    )
    lying = bytearray(bomb)
    place = lying.rindex(b"PK\x01\x02")
    lying[place + 24 : place + 28] = struct.pack("<I", 10)  # the entry claims ten bytes
    frugal_refusal(written(tmp_path, "b.pth", bytes(lying)))
    odd = zipped({"a/data.pkl": b"x" * 100}, zipfile.ZIP_BZIP2)
    assert "oddly compressed" in frugal_refusal(written(tmp_path, "c.pth", odd))


def test_matlab_bombs(tmp_path):
    savemat(tmp_path / "a.mat", {"theta": np.zeros((4000, 4000))}, do_compression=True)
    assert "but a bomb" in frugal_refusal(tmp_path / "a.mat")
    savemat(tmp_path / "b.mat", {"theta": np.ones((3, 4))})
    content = (tmp_path / "b.mat").read_bytes()
    assert "truncated" in frugal_refusal(written(tmp_path, "c.mat", content[:-20]))
    assert "-v7" in refusal(written(tmp_path, "d.mat", b"MATLAB 7.3 MAT-file" + bytes(200)))


def element(kind, content):
    return struct.pack("<II", kind, len(content)) + content + bytes(-len(content) % 8)


def matlab(*elements, kind=6, name=b"theta", sides=(1, 2)):
    """A file of one matrix, which is only as long as its elements are."""
    head = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
    parts = [
        element(6, struct.pack("<II", kind, 0)),
        element(5, np.array(sides, "<i4").tobytes()),
        element(1, name),
        *elements,
    ]
    return head + element(14, b"".join(parts))


def test_matlab_whole_numbers_are_kept_in_fewer_bytes(tmp_path):
    small = struct.pack("<HH", 2, 2) + b"\x07\xff\x00\x00"  # two uint8 within the tag
    for content in (small, element(2, b"\x07\xff")):
        found = read_tensors(written(tmp_path, "a.mat", matlab(content))).arrays["theta"]
        assert found.dtype == "float64"
        np.testing.assert_array_equal(found.values, [[7, 255]])


def test_matlab_variables_of_other_kinds_are_left_out(tmp_path):
    savemat(tmp_path / "a.mat", {"theta": np.eye(2), "name": "nl", "z": np.eye(2) * 1j})
    tensors = read_tensors(tmp_path / "a.mat")
    assert list(tensors.arrays) == ["theta"]
    assert "left out name, which is no real numeric array" in tensors.notes


def test_names_of_what_is_left_out_can_be_printed(tmp_path):
    savemat(tmp_path / "a.mat", {"theta": np.eye(2), "ABCD": "text"})
    content = (tmp_path / "a.mat").read_bytes()
    assert content.count(b"ABCD") == 1
    notes = read_tensors(written(tmp_path, "b.mat", content.replace(b"ABCD", b"\x1b[1m"))).notes
    assert notes == ("left out '\\x1b[1m', which is no real numeric array",)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_native_file_with_a_name_of_other_bytes_is_saved_again(tmp_path):
    nlmeans.save_weights(tmp_path / "a.npz", BLOCKS["dot"])
    odd = tmp_path / "a\udcff.npz"
    odd.write_bytes((tmp_path / "a.npz").read_bytes())
    nlmeans.save_weights(tmp_path / "b.safetensors", nlmeans.load_weights(odd))
    assert r"made from 'a\udcff.npz'" in str(nlmeans.load_weights(tmp_path / "b.safetensors"))


@pytest.mark.parametrize(("kind", "sides"), [
    (1, (1, 10**9)), (2, (1, 10**9)), (3, (1, 1)), (4, (1, 10**9)), (5, (10**9, 10**9)),
    (6, (1, 10**9)), (6, (-1, -2)), (6, (2**31 - 1,) * 30), (17, (1, 1)), (255, (1, 1)), (0, (1,)),
])  # fmt: skip
def test_matlab_matrices_that_claim_more_than_is_there(tmp_path, kind, sides):
    content = matlab(element(9, bytes(16)), kind=kind, sides=sides)
    frugal_refusal(written(tmp_path, "a.mat", content))


@pytest.mark.parametrize("kind", [0, 8, 10, 11, 14, 15, 16, 17, 19, 20, 21, 22, 25, 255, 2**16 - 1])
def test_matlab_numbers_of_a_type_that_there_is_not(tmp_path, kind):
    said = refusal(written(tmp_path, "a.mat", matlab(element(kind, bytes(16)))))
    assert f"an element of type {kind}" in said


def test_the_stride_of_a_side_of_one_is_never_taken(tmp_path):
    storage = files.Storage("0", "float32", 12, False)
    tree = {"theta": files.tensor(storage, (1, 3), (2**62, 1), 0)}
    path = with_storage(tmp_path, files.torch_zip({}, wrap=lambda _: tree), bytes(48))
    assert read_tensors(path).arrays["theta"].shape == (1, 3)


@pytest.mark.parametrize("sigma", ["nan", "-1", "loud"])
def test_a_native_file_with_a_sigma_that_is_none(tmp_path, sigma):
    path = tmp_path / "a.npz"
    nlmeans.save_weights(path, next(iter(BLOCKS.values())), sigma=25)
    arrays = dict(np.load(path))
    (key,) = (name for name, value in arrays.items() if str(value) == "25.0")
    np.savez(path, **{**arrays, key: np.array(sigma)})
    with pytest.raises(WeightsError, match="sigma"):
        nlmeans.load_weights(path)


@pytest.mark.parametrize(("shape", "strides", "offset"), [
    ((3, 4), (4, 1), 1),  # one beyond
    ((1000, 1000), (0, 0), 0),  # grown from nothing
    ((2, 2), (10**18, 1), 0),
    ((2, 2), (-1, 1), 4),
    ((2,), (1, 1), 0),
])  # fmt: skip
def test_tensors_reaching_beyond_their_storage(tmp_path, shape, strides, offset):
    storage = files.Storage("0", "float32", 12, False)
    tree = {"theta": files.tensor(storage, shape, strides, offset)}
    content = files.torch_zip({}, wrap=lambda _: tree)
    said = frugal_refusal(with_storage(tmp_path, content, bytes(48)))
    assert "damaged" in said


def test_storages_shorter_than_they_say(tmp_path):
    storage = files.Storage("0", "float32", 10**15, False)
    tree = {"theta": files.tensor(storage, (10**15,))}
    content = files.torch_zip({}, wrap=lambda _: tree)
    assert "48 bytes for" in frugal_refusal(with_storage(tmp_path, content, bytes(48)))


def changed(tmp_path, **changes):
    """A file with some arrays replaced, or dropped where the change is None."""
    given = arrays()
    for name, value in changes.items():
        key = f"nl.{name.replace('_', '.')}"
        if value is None:
            del given[key]
        else:
            given[key] = value
    return written(tmp_path, "a.npz", npz(given))


def test_what_does_not_fit_is_named_by_its_key(tmp_path):
    two = np.ones((D, C, 1, 1), np.float32)

    def said(**changes):
        return refusal(changed(tmp_path, **changes))

    assert "nl has no phi (phi.weight)" in said(phi_weight=None)
    assert "nl has no theta" in said(theta_weight=None)
    assert "nl has no g" in said(g_weight=None)
    assert "nl has no out (W.weight)" in said(W_weight=None)
    assert "and nl.phi.weight (3, 4, 1, 1); theta and phi have to be alike" in said(
        phi_weight=np.ones((3, C, 1, 1)), phi_bias=None
    )
    assert "nl.g.weight has shape (2, 5, 1, 1)" in said(g_weight=np.ones((D, 5, 1, 1)))
    assert "nl.W.weight has shape (5, 2, 1, 1)" in said(
        W_weight=np.ones((5, D, 1, 1)), W_bias=np.ones(5)
    )
    assert "nl.theta.bias has shape (7,)" in said(theta_bias=np.ones(7))
    assert "nl.theta.weight has a window of 3x3" in said(theta_weight=np.ones((D, C, 3, 3)))
    assert "nl.phi.weight holds 1 NaN or infinite" in said(phi_weight=nan_at(two))
    assert "nl.phi.weight has dtype int8" in said(phi_weight=two.astype(np.int8))
    assert "nl.phi.weight has dtype complex64" in said(phi_weight=two.astype(np.complex64))
    assert "nl.phi.weight has shape (2,)" in said(phi_weight=np.ones(2))
    assert "nl.theta.1.weight is no part of the layout" in said(theta_1_weight=np.ones(2))


@pytest.mark.parametrize("key", ["prelu.weight", "pos_bias", "W.2.weight", "theta.prior"])
def test_what_else_a_block_holds_is_refused(tmp_path, key):
    given = {**arrays(), f"nl.{key}": np.ones(1, np.float32)}
    said = refusal(written(tmp_path, "a.npz", npz(given)), "alexhex7")
    assert f"nl.{key} is no part of the layout alexhex7" in said
    beside = {**arrays(), key: np.ones(1, np.float32)}
    beside |= {"nl.W.1.num_batches_tracked": np.ones(())}
    assert nlmeans.load_weights(written(tmp_path, "b.npz", npz(beside)), "alexhex7").name == "nl"


@pytest.mark.parametrize(("first", "second"), [
    ("W.weight", "W.0.weight"), ("g.weight", "g.0.weight"), ("g.weight", "g.0.bias"),
])  # fmt: skip
def test_two_keys_for_one_role_are_refused(tmp_path, first, second):
    given = {**arrays(), f"nl.{second}": np.ones(1, np.float32)}
    del given["nl.g.bias"]
    said = refusal(written(tmp_path, "a.npz", npz(given)), "alexhex7")
    assert f"nl.{first} and nl.{second}" in said


def test_keys_that_one_layout_takes_for_the_same_are_no_fault_elsewhere(tmp_path):
    given = {**arrays(), "head_g_w": np.ones(3), "head.g.w": np.ones(3)}
    path = written(tmp_path, "a.npz", npz(given))
    assert nlmeans.load_weights(path, block="nl").layout == "alexhex7"


def nan_at(array):
    broken = array.copy()
    broken[0, 1] = np.nan
    return broken


def test_long_names_and_values_stay_apart_in_what_is_printed():
    for name in ("eps", "group_frames", "0.key_bias.patch"):
        for value in ("1", "x" * 24, "y" * 40):
            assert str(Choice(name, value, "option")).split() == [name, value, "given"]
        assert str(Reading(name, "key", (2, 3), "float32")).split()[:2] == [name, "key"]


@pytest.mark.parametrize("stored", ["weight_bar", "weight"])
def test_spectral_norm_by_a_step_of_the_power_method(tmp_path, rng, stored):
    """sigma = |W v|, v = W^T u / |W^T u|, u as stored; what is stored of v plays no part."""
    shapes = {"query_conv": (2, 8), "key_conv": (2, 8), "value_conv": (8, 8)}
    given, expected = {"attn.gamma": np.ones(1)}, []
    for name, (rows, columns) in shapes.items():
        weight, u = rng.normal(size=(rows, columns, 1, 1)), rng.normal(size=rows)
        given |= {f"attn.{name}.{stored}": weight, f"attn.{name}.weight_u": u}
        if stored == "weight_bar":
            given[f"attn.{name}.weight_v"] = rng.normal(size=columns)
        matrix = weight[..., 0, 0]
        v = matrix.T @ u
        expected.append(matrix / np.linalg.norm(matrix @ (v / np.linalg.norm(v))))
    op = nlmeans.load_weights(written(tmp_path, "a.npz", npz(given))).block.operation
    for found, matrix in zip((op.f.query, op.f.key, op.g), expected, strict=True):
        np.testing.assert_allclose(found.weight, matrix)


def test_many_blocks_take_no_longer_than_their_keys(tmp_path, monkeypatch):
    """Not the square of them: each block looks at the keys that are its own."""
    given = {f"{k}.{key}": a for k in range(400) for key, a in arrays("", window=()).items()}
    given |= {f"other{k}.running_mean": np.ones(1, np.float32) for k in range(4000)}
    path = written(tmp_path, "a.safetensors", to_safetensors(given))
    looked = 0
    true = roles._complaint

    def counted(block, partial, layout, others):
        nonlocal looked
        looked += len(others)
        return true(block, partial, layout, others)

    monkeypatch.setattr(roles, "_complaint", counted)
    assert len(nlmeans.weights.block_names(path)) == 400
    assert looked <= 4 * len(given) * len(LAYOUTS)


def test_other_operations_are_refused_with_the_reason(tmp_path):
    keys = {
        "N3Net": "nls.0.n3aggregation.aggregation.nnn.bn.weight",
        "CSNLN": "body.conv_match1.0.weight",
        "NLSN": "body.1.conv_match.0.weight",
        "EDVR": "tsa_fusion.temporal_attn1.weight",
        "Restormer": "encoder.0.attn.qkv_dwconv.weight",
        "timm bilinear": "layer2.ba.conv_p.weight",
        "SwinIR": "layers.0.attn.relative_position_bias_table",
        "CGNL": "layer3.nl.gn.weight",
        "DNL": "head.dnl.conv_mask.weight",
    }
    assert set(keys) == {other.name for other in OTHERS}
    for other in OTHERS:
        path = written(tmp_path, "a.npz", npz({keys[other.name]: np.ones((2, 2))}))
        said = refusal(path)
        assert f"holds {other.name} weights ({keys[other.name]})" in said
        assert other.reason in said
        assert other.reason in refusal(path, other.name)
    cgnl = {f"nl.{name}.weight": np.ones((4, 4, 1, 1)) for name in "tpgz"}
    path = written(tmp_path, "a.npz", npz({**cgnl, "nl.gn.weight": np.ones(4)}))
    assert "CGNL" in refusal(path)
    assert "PReLU" in refusal(path, "PANet")
    assert "known are alexhex7" in refusal(path, "alexnet")
    assert "BilinearAttnTransform" in refusal(path, "timm_bilinear")
    assert "is no native file" in refusal(path, "native")


@pytest.mark.parametrize("header", [
    "{'descr': '<f4', 'fortran_order': False, 'shape': (1,",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 'x'), }",
    "{'descr': [], 'fortran_order': False, 'shape': (1,), }",
    "{'descr': '<U0', 'fortran_order': False, 'shape': (99,), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': " + "(" * 900 + ")" * 900 + ", }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (" + "1, " * 70 + "), }",
    "{[]: 1}", "1 +", "\x00", "x" * 20_000,
])  # fmt: skip
def test_headers_that_python_cannot_parse(tmp_path, header):
    content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + bytes(4)
    said = refusal(written(tmp_path, "a.npz", zipped({"theta.npy": content})))
    assert said.startswith("theta ")


@pytest.mark.parametrize("name", ["nl.\x1b[31m.weight", "nl.a\nb.weight", "n" * 501])
def test_names_that_cannot_be_printed_are_refused(tmp_path, name):
    path = written(tmp_path, "a.safetensors", to_safetensors({**arrays(), name: np.ones(2)}))
    said = refusal(path, "alexhex7")
    assert said.startswith("has an array named ")
    assert said.isprintable()
    assert len(said) < 200


def test_texts_that_cannot_be_printed_are_shown_as_python_writes_them(tmp_path):
    texts = {"format": "nlmeans", "version": "1", "name": "\x1b[31m", "origin": "a\nb"}
    path = written(tmp_path, "a.safetensors", to_safetensors({"theta.weight": np.eye(2)}, texts))
    shown = str(nlmeans.load_weights(path))
    assert all(line.isprintable() for line in shown.split("\n"))
    assert "made from 'a\\nb'" in shown
    texts = {**texts, "\x1b" * 5000: "x"}
    path = written(tmp_path, "b.safetensors", to_safetensors({"theta.weight": np.eye(2)}, texts))
    assert len(refusal(path)) < 500


def test_numbers_that_overflow_are_refused_by_name(tmp_path):
    given = arrays("nl.", ("theta", "phi", "g", "W.0"))
    given["nl.W.0.weight"] = np.full((C, D, 1, 1), 1e300)
    given |= {f"nl.W.1.{name}": np.full(C, 1e300) for name in ("weight", "bias")}
    given |= {f"nl.W.1.running_{name}": np.ones(C) for name in ("mean", "var")}
    said = refusal(written(tmp_path, "a.npz", npz(given)), "alexhex7")
    assert "nl.W.0.weight with its norm and gain" in said


def test_a_layout_that_is_no_name(tmp_path):
    assert "layout is 3; known are alexhex7" in refusal(
        written(tmp_path, "a.npz", npz(arrays())), 3
    )


def test_layouts_are_data():
    assert layout_named("mmaction2") is LAYOUTS["mmcv"]
    for layout in LAYOUTS.values():
        assert layout.source
        assert {"theta", "phi", "g"} <= set(layout.roles)


# --------------------------------------------------------------------------- what is assumed


def test_what_the_keys_leave_open_is_assumed_and_said(tmp_path):
    path = written(tmp_path, "a.npz", npz(arrays()))
    loaded = nlmeans.load_weights(path)
    assert loaded.layout == "alexhex7"
    assert [each.name for each in loaded.assumed] == [
        "pairwise",
        "softmax",
        "input_range",  # RNAN's softmax differs
    ]
    assert "the keys fit the layouts tsm, rnan as well" in str(loaded)
    said = refusal(path, strict=True)
    assert "pairwise (embedded_gaussian), softmax (keys)" in said
    given = nlmeans.load_weights(path, pairwise="dot_product", strict=True, input_range=1)
    assert given.block.operation.f.normaliser == "count"
    rnan = nlmeans.load_weights(path, "rnan", strict=True, input_range=1)
    assert rnan.block.operation.f.normaliser == "query sum"


def test_what_matrices_alone_do_not_tell_is_assumed(tmp_path):
    names = ("conv_theta", "conv_phi", "conv_g", "conv_out")
    given = arrays("nl.", ("theta", "phi.0", "g.0", "W"), ())
    loaded = nlmeans.load_weights(written(tmp_path, "a.npz", npz(given)), "alexhex7")
    assert "pool" in [each.name for each in loaded.assumed]  # or else time might be pooled too
    timm = written(tmp_path, "b.npz", npz(arrays("nl.", ("t", "p", "g", "z"))))
    assert "scale" in [each.name for each in nlmeans.load_weights(timm, "timm").assumed]
    video = written(tmp_path, "c.npz", npz(arrays("nl.", names, (1, 1, 1))))
    assert "group_frames" in [each.name for each in nlmeans.load_weights(video).assumed]


def test_groups_of_frames(tmp_path):
    names = ("conv_theta", "conv_phi", "conv_g", "conv_out")
    path = written(tmp_path, "a.npz", npz(arrays("nl.", names, (1, 1, 1))))
    x = np.random.default_rng(0).normal(size=(4, 4, 6, C))
    pairs, whole = (nlmeans.load_weights(path, group_frames=frames) for frames in (2, 0))
    expected = np.concatenate([whole(x[:2], channel_axis=-1), whole(x[2:], channel_axis=-1)])
    np.testing.assert_allclose(pairs(x, channel_axis=-1), expected, rtol=1e-12)


def test_options_change_what_runs(tmp_path):
    path = written(tmp_path, "a.npz", npz(arrays()))
    loaded = nlmeans.load_weights(
        path,
        "alexhex7",
        pairwise="embedded_gaussian",
        scale="d**-0.5",
        pool=(2, 1),
        pool_kind="mean",
        pool_order="before",
        softmax="queries",
        strict=True,
        input_range=2,
    )
    operation = loaded.block.operation
    assert operation.f.scale == pytest.approx(D**-0.5)
    assert operation.f.normaliser == "query sum"
    assert operation.over == nlmeans.Everywhere(nlmeans.Pool((2, 1), "mean", "before"))
    assert nlmeans.load_weights(path, scale=3).block.operation.f.scale == 3


def test_options_that_contradict_are_refused(tmp_path):
    path = written(tmp_path, "a.npz", npz(arrays()))
    assert "'concatenation', but nl has" in refusal(path, pairwise="concatenation")
    assert "'gaussian', but nl has" in refusal(path, pairwise="gaussian")
    assert "softmax is given" in refusal(path, pairwise="dot_product", softmax="keys")
    assert "eps is given, but there is no batch norm" in refusal(path, eps=1e-3)
    for name, value in {"pool_kind": "mean", "pool_order": "after"}.items():
        assert f"{name} is given, but no keys are pooled" in refusal(
            path, "alexhex7", **{name: value}
        )
    pairs = {**arrays(), "nl.concat_project.0.weight": np.ones((1, 2 * D, 1, 1))}
    both = written(tmp_path, "c.npz", npz(pairs))
    assert "scale is given, but concatenation" in refusal(both, "alexhex7", scale=2)
    assert "group_frames is given, but" in refusal(path, group_frames=2)
    assert "pool (2, 2, 2) has 3 sides; the weights are for 2 axes" in refusal(path, pool=(2, 2, 2))
    for options in (
        {"pairwise": "x"},
        {"scale": "e**2"},
        {"pool": 0},
        {"softmax": "rows"},
        {"eps": -1},
        {"input_range": 0},
        {"scale": np.nan},
        {"scale": "d**99999"},
        {"pool": True},
        {"group_frames": -1},
    ):
        with pytest.raises(nlmeans.ParameterError):
            nlmeans.load_weights(path, **options)


def test_all_blocks_of_a_file_at_once(tmp_path, monkeypatch):
    path = written(tmp_path, "a.npz", npz({**arrays("a.nl."), **arrays("b.nl.")}))
    one_by_one = [nlmeans.load_weights(path, block=name) for name in ("a.nl", "b.nl")]
    read = []
    real = nlmeans.weights.load.read_tensors
    monkeypatch.setattr(
        nlmeans.weights.load, "read_tensors", lambda path: read.append(path) or real(path)
    )
    assert nlmeans.weights.load_blocks(path) == one_by_one
    assert len(read) == 1


def test_several_blocks_are_listed_and_chosen(tmp_path):
    given = {**arrays("a.nl."), **arrays("b.nl.")}
    path = written(tmp_path, "a.npz", npz(given))
    assert "holds 2 blocks: a.nl, b.nl; choose one" in refusal(path)
    assert "no block 'c'; it has a.nl, b.nl" in refusal(path, block="c")
    assert nlmeans.load_weights(path, block="b.nl").name == "b.nl"
    del given["b.nl.phi.weight"]
    path = written(tmp_path, "b.npz", npz(given))
    assert "left out: b.nl has no phi" in str(nlmeans.load_weights(path))
    assert "b.nl has no phi" in refusal(path, block="b.nl")


@pytest.mark.parametrize("wrapper", ["module.", "_orig_mod."])
def test_a_wrapped_block_has_both_names(tmp_path, wrapper):
    given = {**arrays(f"{wrapper}nl_1."), **arrays(f"{wrapper}nl_2.")}
    path = written(tmp_path, "a.npz", npz(given))
    for name in ("nl_2", f"{wrapper}nl_2"):
        assert nlmeans.load_weights(path, block=name).name == "nl_2"


@pytest.mark.parametrize("error", [AttributeError("x\ny"), RecursionError(), ZeroDivisionError()])
def test_errors_that_nobody_foresaw_are_one_line(tmp_path, monkeypatch, error):
    def fails(*_):
        raise error

    monkeypatch.setattr(nlmeans.weights.load, "read_tensors", fails)
    assert type(error).__name__ in refusal(tmp_path / "a.npz")
    with pytest.raises(WeightsError, match=type(error).__name__):
        nlmeans.weights.block_names(tmp_path / "a.npz")


def test_a_variance_of_0_needs_an_eps(tmp_path):
    given = arrays("nl.", ("theta", "phi", "g", "W.0"))
    given |= {f"nl.W.1.running_{name}": np.zeros(C) for name in ("mean", "var")}
    path = written(tmp_path, "a.npz", npz(given))
    nlmeans.load_weights(path, "alexhex7")
    said = refusal(path, "alexhex7", eps=0)
    assert "nl.W.1.running_var holds 0, which plus eps 0 is not above 0; give a larger eps" in said


def test_an_eps_as_text_is_its_number(tmp_path):
    norm = {f"nl.W.1.{key}": np.ones(C) for key in ("weight", "bias", "running_mean")}
    given = arrays(names=("theta", "phi", "g", "W.0")) | norm | {"nl.W.1.running_var": np.ones(C)}
    path = written(tmp_path, "a.npz", npz(given))
    text, number = (nlmeans.load_weights(path, eps=eps) for eps in ("1e-3", 1e-3))
    assert text.block == number.block
    assert text.choices == number.choices
    with pytest.raises(nlmeans.ParameterError, match="eps is 'much'"):
        nlmeans.load_weights(path, eps="much")


def test_affine_batch_norm_and_zero_gain(tmp_path):
    blobs = {
        key.replace("nl.", "nonlocal_1_").replace(".weight", "_w").replace(".bias", "_b"): array
        for key, array in arrays("nl.", ("theta", "phi", "g", "out"), (1, 1, 1)).items()
    }
    factor, shift = np.float32([1, 2, 3, 4]), np.float32([4, 3, 2, 1])
    blobs |= {"nonlocal_1_bn_s": factor, "nonlocal_1_bn_b": shift}
    path = written(tmp_path, "a.pkl", files.python2_pickle({"blobs": blobs}))
    block = nlmeans.load_weights(path).block
    expected = factor[:, None] * blobs["nonlocal_1_out_w"].reshape(C, D).astype(float)
    np.testing.assert_allclose(block.out.weight, expected)
    blobs["nonlocal_1_bn_s"] = 0 * factor
    path = written(tmp_path, "a.pkl", files.python2_pickle({"blobs": blobs}))
    with pytest.warns(nlmeans.WeightsWarning, match="only adds a constant"):
        nlmeans.load_weights(path)
    blobs["nonlocal_1_bn_b"] = 0 * shift
    path = written(tmp_path, "a.pkl", files.python2_pickle({"blobs": blobs}))
    with pytest.warns(nlmeans.WeightsWarning, match="nonlocal_1.* is the identity"):
        loaded = nlmeans.load_weights(path)
    x = np.random.default_rng(0).normal(size=(2, 4, 4, C))
    np.testing.assert_array_equal(loaded(x, channel_axis=-1), x)


@pytest.mark.parametrize(("layout", "names", "norm"), [
    ("slowfast", ("conv_theta", "conv_phi", "conv_g", "conv_out"), "norm"),
    ("timm", ("t", "p", "g", "z"), "norm"),
    ("alexhex7", ("theta", "phi", "g", "W.0"), "W.1"),
    ("plain", ("theta", "phi", "g", "out"), "norm"),
])  # fmt: skip
def test_a_norm_without_statistics_is_no_batch_norm(tmp_path, layout, names, norm):
    given = {**arrays("nl.", names), f"nl.{norm}.weight": np.ones(C), f"nl.{norm}.bias": np.ones(C)}
    said = refusal(written(tmp_path, "a.npz", npz(given)), layout)
    assert f"nl.{norm}.weight is of a norm without running statistics" in said


# --------------------------------------------------------------------------- Keras


def kernels(count=4):
    rng = np.random.default_rng(2)
    shapes = [(C, D), (C, D), (C, D), (D, C)][-count:]
    return [rng.normal(size=(1, 1, *shape)).astype(np.float32) for shape in shapes]


def test_keras_needs_its_name_and_says_what_it_assumes(tmp_path):
    h5py = pytest.importorskip("h5py")
    layers = {f"conv2d_{k + 7}": kernel for k, kernel in enumerate(kernels())}
    layers = {"conv2d": np.ones((3, 3, 1, C), np.float32), **layers}
    files.keras_file(tmp_path / "a.h5", layers, h5py)
    assert "name the layout" in refusal(tmp_path / "a.h5")
    loaded = nlmeans.load_weights(tmp_path / "a.h5", "keras")
    assert loaded.name == "conv2d_7"
    assert [each.name for each in loaded.assumed] == ["pairwise", "pool", "input_range"]
    assert loaded.block.operation.over == nlmeans.Everywhere(
        nlmeans.Pool(2, order="after", flat=True)
    )
    archive = zipped({"config.json": b"{}", "model.weights.h5": (tmp_path / "a.h5").read_bytes()})
    again = nlmeans.load_weights(written(tmp_path, "a.keras", archive), "keras")
    assert again.block == loaded.block


@pytest.mark.parametrize(
    ("options", "first"),
    [
        ({}, "phi"),
        ({"pool": 2}, "phi"),
        ({"pool": 1}, "theta"),
        ({"pairwise": "dot_product"}, "theta"),
    ],
    ids=str,
)
def test_keras_3_numbers_phi_first_where_a_pool_is_behind_it(tmp_path, options, first):
    h5py = pytest.importorskip("h5py")
    made = kernels()
    layers = {f"conv2d_{k}": kernel for k, kernel in enumerate(made)}
    files.keras_file(tmp_path / "a.weights.h5", layers, h5py, version=3)
    f = nlmeans.load_weights(tmp_path / "a.weights.h5", "keras", **options).block.operation.f
    theta, phi = (made[k][0, 0].T for k in ((1, 0) if first == "phi" else (0, 1)))
    np.testing.assert_array_equal(f.query.weight, theta)
    np.testing.assert_array_equal(f.key.weight, phi)


def test_hdf5_that_leads_elsewhere_is_refused(tmp_path):
    h5py = pytest.importorskip("h5py")

    def said(make):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            make(file)
        return refusal(tmp_path / "a.h5", "keras")

    def external(file):
        file.create_dataset("k", (4,), "f4", external=[("/etc/passwd", 0, 16)])

    def huge(file):
        file.create_dataset("k", (10**12,), "f4", chunks=(1000,))

    def chunked(file):
        file.create_dataset("k", (1,), "f4", chunks=(10**8,), maxshape=(None,), compression="gzip")

    def cycle(file):
        group = file.create_group("a")
        group["b"] = group

    def virtual(file):
        layout = h5py.VirtualLayout((4,), "f4")
        layout[:] = h5py.VirtualSource("other.h5", "k", (4,))
        file.create_virtual_dataset("k", layout)

    assert "link to elsewhere" in said(lambda file: file.update(x=h5py.ExternalLink("b.h5", "/")))
    assert "link to elsewhere" in said(lambda file: file.update(x=h5py.SoftLink("/y")))
    assert "another file" in said(external)
    assert "another file" in said(virtual)
    assert "claims 4000000000000 bytes" in said(huge)
    assert "linked to twice" in said(cycle)
    assert "claims 400000000 bytes" in said(chunked)
    content = (tmp_path / "a.h5").read_bytes()
    assert "damaged" in refusal(written(tmp_path, "b.h5", content[:100]), "keras")


@pytest.mark.parametrize("dtype", ["<f4", ">f8", "i2", "?"])
@pytest.mark.parametrize("shuffle", [False, True])
def test_packed_hdf5_is_read_as_h5py_reads_it(tmp_path, shuffle, dtype, rng):
    h5py = pytest.importorskip("h5py")
    made = (rng.normal(0, 9, (7, 11))).astype(dtype)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        options = {"chunks": (3, 4), "shuffle": shuffle, "compression": "gzip"}
        file.create_dataset("k", data=made, **options)
        part = file.create_dataset("part", (7, 11), dtype, fillvalue=made.dtype.type(1), **options)
        part[2:4, 5:6] = made[2:4, 5:6]
        expected = part[()]
        file.create_dataset("n", (0, 3), dtype, maxshape=(None, 3), compression="gzip")
        flat = file.create_dataset("raw", (4,), dtype, chunks=(4,), compression="gzip")
        flat.id.write_direct_chunk((0,), made[0, :4].tobytes(), filter_mask=1)  # left unpacked
    found = read_tensors(tmp_path / "a.h5").arrays
    np.testing.assert_array_equal(found["k"].values, made)
    np.testing.assert_array_equal(found["part"].values, expected)
    np.testing.assert_array_equal(found["raw"].values, made[0, :4])
    assert found["n"].shape == (0, 3)
    assert found["k"].values.dtype == made.dtype


@pytest.mark.parametrize(("packed", "said"), [
    (zlib.compress(bytes(2**24), 9), "not of its 4096 bytes"),
    (zlib.compress(bytes(4000)), "not of its 4096 bytes"),
    (bytes(2**16), "not of its 4096 bytes"),
    (b"no stream", "damaged chunk"),
])  # fmt: skip
def test_hdf5_chunks_that_unpack_to_another_length(tmp_path, packed, said):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        made = file.create_dataset("nl/theta", (1024,), "f4", chunks=(1024,), compression="gzip")
        made.id.write_direct_chunk((0,), packed)
    assert said in refusal(tmp_path / "a.h5", "keras")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="tells the memory on Linux")
def test_an_hdf5_bomb_takes_no_memory(tmp_path):
    """Watched in a process of its own, for h5py's memory is not Python's."""
    h5py = pytest.importorskip("h5py")
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(2**24)) for _ in range(16)) + packer.flush()
    with h5py.File(tmp_path / "a.h5", "w") as file:
        made = file.create_dataset("nl/theta", (1024,), "f4", chunks=(1024,), compression="gzip")
        made.id.write_direct_chunk((0,), packed)
    code = (
        "import re, sys, numpy, h5py, pathlib\n"
        "from nlmeans.weights.files.tensors import read_tensors\n"
        "status = pathlib.Path('/proc/self/status')\n"
        "peak = lambda: int(re.search(r'VmHWM:\\s*(\\d+)', status.read_text())[1])\n"
        "before = peak()\n"
        "try:\n    read_tensors(sys.argv[1])\n"
        "except Exception as error:\n    print(error)\n"
        "print(peak() - before)"
    )
    path = str(tmp_path / "a.h5")
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
    said, more = done.stdout.splitlines()
    assert "not of its 4096 bytes" in said
    assert int(more) < 50_000  # KiB, of 256 MiB that it unpacks to


def test_hdf5_filters_that_are_not_read(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("k", data=np.ones(100, "f4"), chunks=(50,), compression="lzf")
    assert "(lzf); save it with gzip" in refusal(tmp_path / "a.h5", "keras")


def test_a_keras_file_has_one_bound_for_both_containers(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["zeros"] = np.zeros(1_000_000, "i1")
        file.create_dataset(
            "huge", (4_000_000,), "f4", chunks=(1000,)
        )  # of the inner file 16 times
    archive = zipped({"model.weights.h5": (tmp_path / "a.h5").read_bytes()})
    said = frugal_refusal(written(tmp_path, "a.keras", archive), "keras")
    assert "huge claims 16000000 bytes" in said


def test_without_h5py_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    path = written(tmp_path, "a.h5", b"\x89HDF\r\n\x1a\n" + bytes(100))
    assert "pip install 'nlmeans[keras]'" in refusal(path)


# --------------------------------------------------------------------------- native


def patch_block(seed=0, channels=1, residual=False):
    rng = np.random.default_rng(seed)
    patches = nlmeans.Patches(3, "none")
    theta = nlmeans.Linear(rng.normal(size=(3, 9 * channels)) / 9, of=patches)
    f = nlmeans.embedded_gaussian(
        theta,
        nlmeans.Linear(rng.normal(size=(3, 9 * channels)) / 9, [1, 2, 3], of=patches),
        scale=0.3,
        key_bias=nlmeans.Linear(rng.normal(size=(1, 9 * channels)) / 9, of=patches),
    )
    g = nlmeans.Linear(rng.normal(size=(4, 9 * channels)), of=patches)
    out = nlmeans.Linear(rng.normal(size=(1, 4)) / 9)
    return nlmeans.Block(nlmeans.Operation(f, g, nlmeans.Window(5)), out, residual)


def block_of(f, over):
    return nlmeans.Block(nlmeans.Operation(f, nlmeans.Linear([[0.5]]), over))


MATRIX = [[0.1], [np.pi]]
BLOCKS = {
    "classical": nlmeans.Block(
        nlmeans.nl_means(20, 12, 5, 13, patch_weighting="gaussian", cut=0.01)
    ),
    "patches": patch_block(),
    "chain": nlmeans.Chain((patch_block(), patch_block(1, 2))),
    "queries": block_of(
        nlmeans.embedded_gaussian(MATRIX, MATRIX[::-1], softmax="queries"),
        nlmeans.Everywhere(nlmeans.Pool((1, 2), "mean", "after")),
    ),
    "identities": nlmeans.Block(
        nlmeans.Operation(nlmeans.embedded_gaussian(key_bias=nlmeans.Identity())),
        nlmeans.Identity(),
    ),
    "dot": block_of(nlmeans.dot_product(MATRIX), nlmeans.Regions((4, 0))),
    "concatenation": block_of(
        nlmeans.concatenation([1, 2, 3, 4], MATRIX, MATRIX, bias=0.5),
        nlmeans.Everywhere(nlmeans.Pool(2, order="after", flat=True)),
    ),
}


@pytest.mark.parametrize("suffix", [".safetensors", ".npz"])
@pytest.mark.parametrize("name", BLOCKS)
def test_what_is_saved_is_loaded(tmp_path, name, suffix):
    path = tmp_path / f"a{suffix}"
    nlmeans.save_weights(path, BLOCKS[name], input_range=255, sigma=25)
    loaded = nlmeans.load_weights(path, strict=True)
    assert loaded.block == BLOCKS[name]
    assert (loaded.layout, loaded.input_range, loaded.sigma) == ("native", 255, 25)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".safetensors", ".npz"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_matrices_in_fortran_order_are_saved_as_they_are(tmp_path, suffix, dtype):
    matrix = np.asfortranarray(np.random.default_rng(0).normal(size=(3, 4)).astype(dtype))
    theta = nlmeans.Linear(matrix)
    block = nlmeans.Block(nlmeans.Operation(nlmeans.embedded_gaussian(theta, theta)))
    nlmeans.save_weights(tmp_path / f"a{suffix}", block)
    assert nlmeans.load_weights(tmp_path / f"a{suffix}").block == block


@pytest.mark.parametrize("suffix", [".safetensors", ".npz"])
def test_kernels_are_converted_as_they_are(tmp_path, suffix):
    rng = np.random.default_rng(0)
    shapes = {"theta": (1, 1, 4, 2), "phi": (1, 1, 4, 2), "g": (1, 1, 4, 4)}
    given = {
        f"rnn/non_local_{k}/kernel": rng.normal(size=s).astype("f4") for k, s in shapes.items()
    }
    loaded = nlmeans.load_weights(written(tmp_path, "n.npz", npz(given)))
    nlmeans.save_weights(tmp_path / f"a{suffix}", loaded)
    assert nlmeans.load_weights(tmp_path / f"a{suffix}").block == loaded.block


def test_saving_refuses_in_one_line_and_leaves_nothing(tmp_path):
    def said(path, block=BLOCKS["patches"], **options):
        with pytest.raises(nlmeans.WeightsWriteError) as caught:
            nlmeans.save_weights(tmp_path / path, block, **options)
        return str(caught.value)

    assert "unknown extension '.pth'" in said("a.pth")
    assert "does not exist: create it first" in said("no/a.npz")
    points = nlmeans.Neighbours([[0.0], [1.0]], k=1)
    assert "2 points" in said("a.npz", block_of(nlmeans.dot_product(), points))
    maps = nlmeans.Block(nlmeans.nl_means(np.full((4, 4), 20.0), 12))
    assert "a.npz: the operation has maps of sigma or h" in said("a.npz", maps)
    assert list(tmp_path.iterdir()) == []
    nlmeans.save_weights(tmp_path / "a.npz", BLOCKS["dot"])
    assert "exists already" in said("a.npz")
    for options in ({"input_range": 0}, {"input_range": -1}, {"sigma": -1}):
        with pytest.raises(nlmeans.ParameterError):
            nlmeans.save_weights(tmp_path / "b.npz", BLOCKS["dot"], **options)
    with pytest.raises(TypeError, match="of type Operation; give a Block"):
        nlmeans.save_weights(tmp_path / "b.npz", BLOCKS["dot"].operation)
    nlmeans.save_weights(tmp_path / "a.npz", BLOCKS["patches"], overwrite=True)
    assert nlmeans.load_weights(tmp_path / "a.npz").block == BLOCKS["patches"]


def test_short_texts_of_a_native_file(tmp_path, rng):
    theta, g = rng.normal(size=(4, 9)), rng.normal(size=(2, 9))
    arrays = {
        "theta.weight": theta,
        "phi.weight": theta,
        "g.weight": g,
        "out.weight": rng.normal(size=(1, 2)),
    }
    texts = {"format": "nlmeans", "version": "1", "scale": "0.5", "input_range": "1"}
    short = {
        "pairwise": "embedded_gaussian",
        "normalise": "softmax",
        "window": "5x5",
        "patch": "3x3",
    }
    full = {
        "score": "dot",
        "weight": "exp",
        "normaliser": "sum",
        "over": "window 5x5 inside",
        "name": "embedded gaussian",
    }
    full |= {f"{role}.patch": "3x3 none" for role in ("theta", "phi", "g")}
    x = rng.normal(size=(8, 9))
    results = []
    for number, more in enumerate((short, full)):
        path = tmp_path / f"{number}.npz"
        np.savez(path, **arrays, **{k: np.array(v) for k, v in (texts | more).items()})
        results.append(nlmeans.load_weights(path).block(x))
    np.testing.assert_array_equal(*results)
    for wrong, says in (
        ({"pairwise": "cosine"}, "pairwise is 'cosine'; allowed are"),
        ({"window": "5x5", "over": "everywhere"}, "window is '5x5' and over 'everywhere'"),
        ({"0.patch": "3x3"}, "0.patch is '3x3', and there is no matrix of theta, phi or g"),
    ):
        np.savez(path, **arrays, **{k: np.array(v) for k, v in (texts | wrong).items()})
        with pytest.raises(nlmeans.WeightsError, match=says):
            nlmeans.load_weights(path)


def test_native_files_are_checked_text_by_text(tmp_path):
    nlmeans.save_weights(tmp_path / "a.npz", BLOCKS["patches"])
    with np.load(tmp_path / "a.npz") as archive:
        given = dict(archive)

    def said(**changes):
        content = {k: v for k, v in {**given, **changes}.items() if v is not None}
        return refusal(written(tmp_path, "b.npz", npz(content)))

    assert "version is '2'; allowed are '1'" in said(version=np.array("2"))
    assert "score is 'angle'" in said(score=np.array("angle"))
    assert "scale is 'much'" in said(scale=np.array("much"))
    assert "search_size is 4" in said(over=np.array("window 4 inside"))
    assert "theta.patch is '3'" in said(**{"theta.patch": np.array("3")})
    assert "has 'w.weight', which is no part" in said(**{"w.weight": np.ones((2, 2))})
    assert "key_bias is 'x'; allowed are 'identity'" in said(
        **{"key_bias": np.array("x"), "key_bias.patch": None, "key_bias.weight": None}
    )
    assert "has 'colour', which is no part" in said(colour=np.array("red"))
    assert "g.weight holds 1 NaN" in said(**{"g.weight": nan_at(given["g.weight"])})
    assert "g.weight: bias has shape" in said(**{"g.bias": np.ones(9)})
    assert "blocks is 5000" in said(blocks=np.array("5000"))
    assert "input_range is -1.0" in said(input_range=np.array("-1"))
    assert "leave out scale" in refusal(tmp_path / "a.npz", scale=2)
    assert "leave out layout 'plain'" in refusal(tmp_path / "a.npz", "plain")


def test_a_native_concatenation_without_its_w(tmp_path, rng):
    theta, w = rng.normal(size=(2, 4)), rng.normal(size=(1, 2))
    texts = {"format": "nlmeans", "version": "1", "pairwise": "concatenation"}
    arrays = {k: np.array(v) for k, v in texts.items()} | {"theta.weight": theta}
    arrays |= {"theta.1.weight": w, "phi.weight": theta}
    path = written(tmp_path, "a.npz", npz(arrays))
    assert "phi.weight gives 2 numbers a position" in refusal(path)
    arrays |= {"theta.1.weight": np.ones((3, 2)), "phi.1.weight": w}
    path = written(tmp_path, "b.npz", npz(arrays))
    assert "theta.1.weight gives 3 numbers a position" in refusal(path)
    path = written(tmp_path, "c.npz", npz(arrays | {"theta.1.weight": w}))
    nlmeans.load_weights(path)


@pytest.mark.parametrize(("out", "residual", "does"), [
    (nlmeans.Linear([[0.0]]), True, "the block: .* is the identity"),
    (nlmeans.Linear([[0.0]], [1]), True, "only adds a constant"),
    (nlmeans.Linear([[0.0]]), False, "gives 0"),
    (nlmeans.Linear([[0.0]], [1]), False, "gives a constant"),
])  # fmt: skip
def test_native_blocks_that_do_nothing(tmp_path, out, residual, does):
    block = nlmeans.Block(BLOCKS["dot"].operation, out, residual)
    nlmeans.save_weights(tmp_path / "a.npz", block)
    with pytest.warns(nlmeans.WeightsWarning, match=does) as caught:
        nlmeans.load_weights(tmp_path / "a.npz")
    assert caught[0].filename == __file__
    nlmeans.save_weights(tmp_path / "b.npz", nlmeans.Chain((BLOCKS["dot"], block)))
    with pytest.warns(nlmeans.WeightsWarning, match="block 1: W_z"):
        nlmeans.load_weights(tmp_path / "b.npz")


def test_a_text_that_is_missing_is_assumed(tmp_path):
    given = {
        "format": np.array("nlmeans"),
        "version": np.array("1"),
        "theta.weight": np.eye(2),
        "phi.weight": np.eye(2),
    }
    path = written(tmp_path, "a.npz", npz(given))
    loaded = nlmeans.load_weights(path)
    assert loaded.block == nlmeans.Block(
        nlmeans.Operation(nlmeans.embedded_gaussian(np.eye(2), np.eye(2)))
    )
    assert "scale (1.0)" in refusal(path, strict=True)


# --------------------------------------------------------------------------- images


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_an_image_is_scaled_to_what_the_weights_are_made_for(tmp_path, dtype):
    path = tmp_path / "a.npz"
    nlmeans.save_weights(path, BLOCKS["patches"], input_range=2)
    weights = nlmeans.load_weights(path)
    levels = {"uint8": 255, "uint16": 65535, "float32": 2}[np.dtype(dtype).name]
    image = (np.random.default_rng(0).random((6, 7)) * levels).astype(dtype)
    result = weights.denoise(image)
    assert (result.dtype, result.shape) == (image.dtype, image.shape)
    expected = weights(image / levels * 2.0) * levels / 2
    if dtype != np.float32:
        expected = np.rint(expected).clip(0, levels)
    assert np.abs(result - expected).max() <= (1 if dtype != np.float32 else 1e-5)


def ranged(tmp_path, **options):
    """Weights that are made for values over a range of 255."""
    block = nlmeans.Block(nlmeans.nl_means(20, 14, 3, 5), residual=False)
    nlmeans.save_weights(tmp_path / "a.npz", block, input_range=255, overwrite=True)
    return nlmeans.load_weights(tmp_path / "a.npz", **options)


def test_floats_from_0_to_1_are_scaled_where_input_range_is_given(tmp_path, rng):
    image = rng.random((12, 12))
    found = ranged(tmp_path, input_range=255).denoise(image)
    np.testing.assert_allclose(found, ranged(tmp_path).denoise(image * 255) / 255, rtol=1e-6)
    with pytest.raises(ValueError, match="with an input_range, they are taken to go from 0 to 1"):
        ranged(tmp_path, input_range=255).denoise(image * 255)


def test_floats_from_0_to_1_for_weights_of_another_range_are_refused(tmp_path, rng):
    for dtype in (np.float32, np.float64):
        with pytest.raises(ValueError, match=r"range of 255; set input_range to 255"):
            ranged(tmp_path).denoise(rng.random((12, 12)).astype(dtype))
    black = np.zeros((12, 12))  # tells nothing of its range
    np.testing.assert_array_equal(ranged(tmp_path).denoise(black), black)


def test_amount_is_the_share_of_the_result(tmp_path, rng):
    image = rng.normal(100, 20, (12, 12))
    weights = ranged(tmp_path)
    full = weights.denoise(image)
    assert np.abs(full - image).max() > 1
    np.testing.assert_array_equal(weights.denoise(image, amount=0), image)
    np.testing.assert_allclose(weights.denoise(image, amount=0.25), image + (full - image) / 4)


def test_a_chain_denoises_an_image(tmp_path):
    nlmeans.save_weights(tmp_path / "a.npz", BLOCKS["chain"])
    image = np.random.default_rng(0).random((6, 7)).astype(np.float32)
    weights = nlmeans.load_weights(tmp_path / "a.npz")
    first, second = BLOCKS["chain"].blocks
    both = np.stack([image, first(image)])
    np.testing.assert_allclose(
        weights.denoise(image), second(both, channel_axis=0)[0], rtol=1e-5, atol=1e-6
    )


def test_images_that_do_not_fit_are_refused_with_both_numbers(tmp_path):
    nlmeans.save_weights(tmp_path / "a.npz", BLOCKS["patches"])
    weights = nlmeans.load_weights(tmp_path / "a.npz")
    with pytest.raises(ValueError, match="has 3 channels and the weights take 1;"):
        weights.denoise(np.zeros((6, 7, 3), np.uint8))
    with pytest.raises(ValueError, match="patches of 3x3 and the image has 2x7"):
        weights.denoise(np.zeros((2, 7), np.uint8))
    with pytest.raises(ValueError, match="NaN"):
        weights.denoise(np.full((6, 7), np.nan))


# --------------------------------------------------------------------------- command line


def picture(path, shape=(6, 7)):
    from nlmeans.images import Picture, save

    pixels = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)
    save(path, Picture(pixels, alpha=False, format="PNG"))
    return pixels


def test_denoise_with_weights(cli, tmp_path):
    from nlmeans.images import load

    pixels = picture("a.png")
    nlmeans.save_weights("w.safetensors", BLOCKS["patches"])
    code, out, err = cli("denoise", "a.png", "--weights", "w.safetensors", "--amount", "0.5")
    assert (code, err) == (0, "")
    assert "weights w.safetensors, layout native" in out
    expected = nlmeans.load_weights("w.safetensors").denoise(pixels, amount=0.5)
    np.testing.assert_array_equal(load("a_denoised.png").pixels, expected)
    code, out, err = cli("denoise", "a.png", "--weights", "w.safetensors", "--json", "-o", "b.png")
    record = json.loads(out)
    assert (record["layout"], record["assumed"], record["settings"]["scale"]) == (
        "native",
        [],
        "0.3",
    )


def test_denoise_with_an_imported_block(cli, tmp_path):
    picture("a.png", (6, 7, 3))
    rng = np.random.default_rng(0)
    shapes = {"theta": (2, 3), "phi": (2, 3), "g": (2, 3), "W": (3, 2)}
    np.savez("w.npz", **{f"nl.{k}.weight": rng.normal(size=s) for k, s in shapes.items()})
    code, out, _ = cli(
        "denoise",
        "a.png",
        "--weights",
        "w.npz",
        "--layout",
        "alexhex7",
        "--block",
        "nl",
        "--set",
        "pairwise=dot_product",
        "--set",
        "input_range=2",
        "--set",
        "pool=1x2",
    )
    assert code == 0
    assert "layout alexhex7, block nl;" in out


def test_denoise_refuses_what_does_not_go_together(cli, tmp_path):
    picture("a.png", (6, 7, 3))
    nlmeans.save_weights("w.npz", BLOCKS["patches"])
    for option, value in (
        ("--sigma", 3),
        ("--noise", "rician"),
        ("--gain", 2),
        ("--read-noise", 1),
        ("--method", "classic"),
        ("--chroma-strength", 2),
    ):
        code, _, err = cli("denoise", "a.png", "--weights", "w.npz", option, value)
        assert (code, f"use just one of --weights and {option}" in err) == (2, True)
    code, _, err = cli("denoise", "a.png", "--layout", "timm")
    assert (code, "--layout is for --weights" in err) == (2, True)
    code, _, err = cli("denoise", "a.png", "--weights", "w.npz", "--set", "colour=red")
    assert (code, "is no setting" in err) == (2, True)
    for name, value, form in (
        ("pool", "two", "whole numbers from 1"),
        ("scale", "x", "a number, d**-0.5"),
        ("eps", "x", "from 0"),
        ("group_frames", "2.5", "0 for all"),
        ("input_range", "x", "above 0"),
    ):
        code, _, err = cli("denoise", "a.png", "--weights", "w.npz", "--set", f"{name}={value}")
        assert (code, f"'{value}' is no value of {name}; give " in err, form in err) == (
            2,
            True,
            True,
        )
    code, _, err = cli("denoise", "a.png", "--weights", "missing.npz")
    assert (code, err) == (1, "nlmeans: missing.npz: no such file; check the name and the folder\n")
    code, _, err = cli("denoise", "a.png", "--weights", "w.npz")
    assert code == 1
    assert "a.png: the image has 3 channels and the weights take 1" in err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "w.npz"]


def test_weights_show(cli, tmp_path):
    np.savez("w.npz", **arrays("a.nl."), **arrays("b.nl."))
    code, out, err = cli("weights", "show", "w.npz")
    assert (code, err) == (0, "")
    assert "block a.nl" in out
    assert "read (42 numbers)" in out
    assert "theta       b.nl.theta.weight  2x4x1x1 float32" in out
    assert "pairwise    embedded_gaussian       ASSUMED" in out
    code, out, _ = cli("weights", "show", "w.npz", "--block", "b.nl", "--json")
    record = json.loads(out)
    assert (record["format"], record["parameters"]) == ("npz", 42)
    (block,) = record["blocks"]
    assert (block["block"], block["assumed"]) == ("b.nl", ["pairwise", "softmax", "input_range"])
    assert block["tensors"][0] == {
        "role": "theta",
        "key": "b.nl.theta.weight",
        "shape": [2, 4, 1, 1],
        "dtype": "float32",
    }
    np.savez("root.npz", **arrays(""), **arrays("b.nl."))
    code, out, err = cli("weights", "show", "root.npz", "--layout", "alexhex7")
    assert (code, err, out.count("numbers)")) == (0, "", 2)
    nlmeans.save_weights("native.npz", BLOCKS["dot"])
    assert cli("weights", "show", "native.npz")[0] == 0
    code, _, err = cli("weights", "show", "w.npz", "missing.npz")
    assert (code, err.count("\n")) == (1, 1)


@pytest.mark.parametrize(("output", "said"), [
    ("no/o.npz", "does not exist: create it first"),
    ("o.txt", "unknown extension '.txt'"),
    ("there.npz", "exists already"),
])  # fmt: skip
@pytest.mark.parametrize("command", ["convert", "from-image"])
def test_an_output_that_cannot_be_is_said_before_any_work(
    cli, tmp_path, monkeypatch, command, output, said
):
    from nlmeans.weights import load

    def worked(*_):
        raise AssertionError

    monkeypatch.setattr(load, "read_tensors", worked)
    monkeypatch.setattr(nlmeans.images, "load", worked)
    for name in ("in.npz", "there.npz"):
        (tmp_path / name).write_bytes(b"x")
    code, _, err = cli("weights", command, "in.npz", output)
    assert code == 1
    assert said in err
    assert len(err.splitlines()) == 1


def test_weights_convert(cli, tmp_path):
    np.savez("w.npz", **arrays("a.nl."), **arrays("b.nl."))
    before = (tmp_path / "w.npz").read_bytes()
    code, out, _ = cli("weights", "convert", "w.npz", "o.safetensors", "--block", "a.nl")
    assert code == 0
    assert "assumed: pairwise embedded_gaussian; softmax keys" in out
    converted = nlmeans.load_weights("o.safetensors", strict=True)
    assert converted.block == nlmeans.load_weights("w.npz", block="a.nl").block
    assert "made from w.npz, layout alexhex7, block a.nl; assumed: pairwise" in str(converted)
    code, _, err = cli("weights", "convert", "w.npz", "o.safetensors", "--block", "a.nl")
    assert (code, "exists already" in err) == (1, True)
    code, _, err = cli("weights", "convert", "o.safetensors", "o.safetensors", "--overwrite")
    assert (code, "o.safetensors: is the input" in err) == (1, True)
    code, _, err = cli("weights", "convert", "o.safetensors", "no/o.npz")
    assert (code, "create it first" in err) == (1, True)
    code, _, err = cli("weights", "convert", "w.npz", "p.safetensors")
    assert (code, "choose one by its name" in err) == (1, True)
    assert (tmp_path / "w.npz").read_bytes() == before
    assert not (tmp_path / "p.safetensors").exists()
