"""nlmeans points: files of point clouds, of which nothing but the positions changes."""

import json
import subprocess
import sys

import numpy as np
import pytest
from plyfile import PlyData, PlyElement

from nlmeans import denoise_points

COUNT = 400


@pytest.fixture
def points(rng):
    """A noisy unit sphere, with three decimals."""
    points = rng.normal(size=(COUNT, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return np.round(points + rng.normal(0, 0.03, points.shape), 3)


def write_ply(path, points, kind="f4", *, text=False, byte_order="<", faces_first=False):
    """Vertices with colours between the positions, and faces of three and four corners."""
    vertices = np.zeros(
        len(points),
        [("red", "u1"), ("z", kind), ("x", kind), ("quality", "f8"), ("y", kind), ("label", "i2")],
    )
    vertices["x"], vertices["y"], vertices["z"] = points.T
    vertices["red"], vertices["quality"], vertices["label"] = 200, 0.1, -3
    faces = np.zeros(2, [("vertex_indices", "O"), ("kind", "u1")])
    faces["vertex_indices"] = [np.array([0, 1, 2]), np.array([1, 2, 3, 4])]
    elements = [
        PlyElement.describe(vertices, "vertex", comments=["of vertices"]),
        PlyElement.describe(faces, "face", val_types={"vertex_indices": "u4"}),
    ]
    if faces_first:
        elements.reverse()
    comments, info = ["made by hand"], ["info"]
    PlyData(elements, text=text, byte_order=byte_order, comments=comments, obj_info=info).write(
        str(path)
    )


def positions(path):
    vertex = PlyData.read(str(path))["vertex"]
    return np.stack([vertex[name] for name in "xyz"], axis=1)


PLY = pytest.mark.parametrize(
    "options",
    [
        {},
        {"byte_order": ">"},
        {"kind": "f8"},
        {"faces_first": True},
        {"text": True},
        {"text": True, "kind": "f8", "faces_first": True},
    ],
    ids=str,
)


@PLY
def test_ply_keeps_everything_but_positions(cli, tmp_path, points, options):
    source, target = tmp_path / "a.ply", tmp_path / "b.ply"
    write_ply(source, points, **options)
    before = source.read_bytes()
    code, out, err = cli("points", "a.ply", "-o", "b.ply", "--sigma", "0.03")
    assert (code, err) == (0, "")
    assert "400 points, sigma 0.03 (given)" in out
    assert source.read_bytes() == before

    dtype = options.get("kind", "f4")
    expected = denoise_points(points.astype(dtype), 0.03)
    assert positions(target).dtype.str[1:] == dtype
    tolerance = 1e-3 if options.get("text") else 0  # text: four decimals are asked for
    np.testing.assert_allclose(positions(target), expected, rtol=0, atol=tolerance)
    old, new = PlyData.read(str(source)), PlyData.read(str(target))
    assert new.header == old.header
    for name in ("red", "quality", "label"):
        assert np.array_equal(new["vertex"][name], old["vertex"][name])
    for a, b in zip(new["face"].data, old["face"].data, strict=True):
        assert (list(a[0]), a[1]) == (list(b[0]), b[1])
    if not options.get("text"):  # nothing else can have changed: the old positions bring it back
        restored = tmp_path / "c.ply"
        code, _, _ = cli("points", "b.ply", "-o", "c.ply", "--sigma", "0")
        assert (code, restored.read_bytes()) == (0, target.read_bytes())
        assert len(target.read_bytes()) == len(before)


def test_text_ply_keeps_other_columns_to_the_letter(cli, tmp_path, points):
    rows = "".join(f"0.10 {x:.3f} {y:.3f} {z:.3f}  7\r\n" for x, y, z in points)
    header = (
        "ply\r\nformat ascii 1.0\r\ncomment a\r\nelement vertex 400\r\nproperty float w\r\n"
        "property float x\r\nproperty float y\r\nproperty float z\r\nproperty uchar c\r\n"
        "end_header\r\n"
    )
    (tmp_path / "a.ply").write_bytes((header + rows).encode())
    assert cli("points", "a.ply", "--sigma", "0.03")[0] == 0
    data = (tmp_path / "a_denoised.ply").read_bytes().decode()
    assert data.startswith(header)
    first = data[len(header) :].split("\r\n")[0]
    assert first.startswith("0.10 ")
    assert first.endswith("  7")
    assert all(len(number.partition(".")[2]) == 4 for number in first.split()[1:4])


@pytest.mark.parametrize(
    ("separator", "header"),
    [
        (" ", ""),
        ("\t", "# a comment\n\n"),
        (",", "X,Y,Z,name\n"),
        (" ; ", "400\n"),
        ("  ", "\ufeff"),
    ],
)
def test_xyz_keeps_separators_headers_and_columns(cli, tmp_path, points, separator, header):
    rows = [separator.join([*(f"{c:.5f}" for c in p), f"n{k}"]) for k, p in enumerate(points)]
    rows[5:5] = ["", "// between"]
    (tmp_path / "a.xyz").write_text(header + "\n".join(rows), encoding="utf-8")
    code, _, err = cli("points", "a.xyz", "-o", "b.xyz", "--sigma", "0.03")
    assert (code, err) == (0, "")
    text = (tmp_path / "b.xyz").read_text(encoding="utf-8")
    assert text.startswith(header)
    lines = text.removeprefix(header).split("\n")
    assert lines[5:7] == ["", "// between"]
    found = [line.split(separator) for line in lines[:5] + lines[7:]]
    assert [each[3] for each in found] == [f"n{k}" for k in range(COUNT)]
    assert {len(number.partition(".")[2]) for each in found for number in each[:3]} == {5}
    expected = denoise_points(points, 0.03)
    np.testing.assert_allclose(np.array([each[:3] for each in found], float), expected, atol=1e-5)


def test_exponents_and_unmoved_numbers(cli, tmp_path, points):
    np.savetxt(tmp_path / "a.xyz", points * 1e-9, fmt="%.6e")
    assert cli("points", "a.xyz", "-o", "b.xyz", "--sigma", "3e-11")[0] == 0
    expected = denoise_points(points * 1e-9, 3e-11)
    np.testing.assert_allclose(np.loadtxt(tmp_path / "b.xyz"), expected, rtol=0, atol=1e-14)
    assert cli("points", "a.xyz", "-o", "c.xyz", "--sigma", "0")[0] == 0
    assert (tmp_path / "c.xyz").read_bytes() == (tmp_path / "a.xyz").read_bytes()


def test_options_json_and_threads(cli, tmp_path, points):
    write_ply(tmp_path / "a.ply", points)
    options = (
        "--strength",
        "1.2",
        "--patch-neighbours",
        "20",
        "--search-neighbours",
        "50",
        "--iterations",
        "2",
    )
    code, out, _ = cli("points", "a.ply", "--json", "--threads", "1", *options)
    record = json.loads(out)
    assert code == 0
    assert (record["points"], record["sigma_estimated"]) == (400, True)
    expected = denoise_points(
        points.astype(np.float32),
        record["sigma"],
        strength=1.2,
        patch_neighbours=20,
        search_neighbours=50,
        iterations=2,
    )
    assert np.array_equal(positions(tmp_path / "a_denoised.ply"), expected)
    code, out, _ = cli("points", "a.ply", "-q", "--threads", "2", "--overwrite", *options)
    assert (code, out) == (0, "")
    assert np.array_equal(positions(tmp_path / "a_denoised.ply"), expected)


def test_nothing_is_overwritten_unasked(cli, tmp_path, points):
    write_ply(tmp_path / "a.ply", points)
    (tmp_path / "b.ply").write_text("mine")
    code, _, err = cli("points", "a.ply", "-o", "b.ply")
    assert (code, err.count("\n")) == (1, 1)
    assert "exists already" in err
    assert (tmp_path / "b.ply").read_text() == "mine"
    assert cli("points", "a.ply", "-o", "b.ply", "--overwrite")[0] == 0
    code, _, err = cli("points", "a.ply", "-o", "a.ply", "--overwrite")
    assert code == 1
    assert "is the input itself" in err
    code, _, err = cli("points", "a.ply", "-o", "b.xyz")
    assert code == 1
    assert "use one of .ply" in err


def binary(body):
    return b"ply\nformat binary_little_endian 1.0\n" + body + b"end_header\n"


XYZ = b"property float x\nproperty float y\nproperty float z\n"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.ply", b"", "is empty"),
        ("a.ply", b"solid stl", "is no PLY"),
        ("a.ply", b"ply\nformat ascii 1.0\n", "is no PLY"),
        ("a.ply", binary(b"element vertex 90\n" + XYZ) + b"\0" * 200, "damaged or cut short"),
        ("a.ply", binary(b"element vertex 999999999999\n" + XYZ), "cut short"),
        ("a.ply", binary(b"element vertex x\n" + XYZ), "damaged or cut short"),
        (
            "a.ply",
            binary(
                b"element vertex 150\n"
                + XYZ
                + b"".join(b"property double p%d\n" % k for k in range(100))
            ),
            "is cut short: 15450 values announced",
        ),
        ("a.ply", binary(b"element vertex " + b"9" * 5000 + b"\n" + XYZ), "is cut short"),
        (
            "a.ply",
            b"ply\nformat ascii 1.0\nelement face 1\nproperty list uchar int i\n"
            b"element vertex 1\n" + XYZ + b"end_header\n9993 1 2 3\n1 2 3\n",
            "damaged or cut short",
        ),
        ("a.ply", binary(b"element face 0\nproperty int x\n"), "no element 'vertex'"),
        ("a.ply", binary(b"element vertex 0\nproperty float x\nproperty float y\n"), "x, y and z"),
        ("a.ply", binary(b"element vertex 0\n" + XYZ.replace(b"float", b"int")), "float or double"),
        ("a.ply", binary(b"element vertex 0\nproperty list int int x\n"), "list ('x')"),
        ("a.ply", binary(b"element vertex 0\n" + XYZ), "points is empty"),
        ("a.ply", binary(b"element vertex 12\n" + XYZ) + b"\0" * 144, "1 distinct points"),
        (
            "a.ply",
            binary(b"element vertex 12\n" + XYZ) + np.full(36, np.nan, "<f4").tobytes(),
            "36 NaN",
        ),
        ("a.xyz", b"words only\nand more\n", "holds no points"),
        ("a.xyz", b"1 2 3\n4 5\n", "line 2 is '4 5'"),
        ("a.xyz", b"1,5 2,5 3,5\n", "holds no points"),
        ("a.xyz", b"1 2 3\n4 5 nan\n", "1 NaN"),
        ("a.pcd", b"1 2 3\n", ".ply and .xyz are read"),
    ],
)
def test_bad_files_in_one_line(cli, tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    code, out, err = cli("points", name)
    assert (code, out) == (1, "")
    assert message in err
    assert err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_bad_options(cli, tmp_path, points):
    np.savetxt(tmp_path / "a.xyz", points)
    code, _, err = cli("points", "a.xyz", "--patch-neighbours", "401")
    assert (code, err.count("\n")) == (2, 1)
    assert "to 400, the number of distinct points" in err
    assert cli("points", "a.xyz", "--sigma", "-1")[0] == 2
    code, _, err = cli("points", "missing.xyz", "a.xyz", "--suffix", "_b")
    assert code == 1
    assert "missing.xyz: no such file" in err
    assert (tmp_path / "a_b.xyz").exists()


def test_without_plyfile_the_message_names_the_extra(tmp_path, points):
    write_ply(tmp_path / "a.ply", points)
    code = (
        "import sys; sys.modules['plyfile'] = None; from nlmeans.cli.main import run; "
        "run(['points', 'a.ply'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "pip install 'nlmeans[points]'" in done.stderr
