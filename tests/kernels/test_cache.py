"""Compiled kernels are kept, and whatever is wrong with the folder costs no more than compiling."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from processes import HANGS, TESTS, environment, of_a_user, run_python

REPORT = "import stand_in; print(stand_in.report())"
COMPILED, LOADED = "right 0\n", "right 1\n"


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("filled")
    assert run_python(REPORT, NUMBA_CACHE_DIR=str(folder)) == COMPILED
    return folder


@pytest.fixture
def cache(filled, tmp_path):
    """A folder with a compiled kernel, and the parallel function that calls it."""
    shutil.copytree(filled, tmp_path, dirs_exist_ok=True)
    return tmp_path


def kernel_in(folder, name="kernel"):
    (file,) = folder.glob(f"*/{name}-*.kernel")
    return file


def test_a_second_process_compiles_nothing(cache):
    assert run_python(REPORT, NUMBA_CACHE_DIR=str(cache)) == LOADED
    if os.name == "posix":
        assert stat.S_IMODE(kernel_in(cache).parent.stat().st_mode) == 0o700
        assert stat.S_IMODE(kernel_in(cache).stat().st_mode) == 0o600


def empty(file):
    file.write_bytes(b"")


def truncate(file):
    file.write_bytes(file.read_bytes()[:-100])


def fill_with_garbage(file):
    file.write_bytes(bytes(range(256)) * 50)


def flip_a_bit(file):
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def remove(file):
    file.unlink()


@pytest.mark.parametrize("damage", [empty, truncate, fill_with_garbage, flip_a_bit, remove])
def test_a_damaged_file_is_compiled_again(cache, damage):
    damage(kernel_in(cache))
    assert run_python(REPORT, NUMBA_CACHE_DIR=str(cache)) == COMPILED
    assert run_python(REPORT, NUMBA_CACHE_DIR=str(cache)) == LOADED


def test_a_damaged_parallel_function_is_compiled_again(cache):
    file = kernel_in(cache, "call_workers")
    whole = file.read_bytes()
    truncate(file)
    assert run_python(REPORT, NUMBA_CACHE_DIR=str(cache)) == LOADED
    assert len(file.read_bytes()) == len(whole)


def test_a_folder_in_the_place_of_a_file(cache):
    file = kernel_in(cache)
    file.unlink()
    (file / "inside").mkdir(parents=True)
    before = sorted(file.parent.iterdir())
    for _ in range(2):
        assert run_python(REPORT, NUMBA_CACHE_DIR=str(cache)) == COMPILED
    assert sorted(file.parent.iterdir()) == before  # nothing left behind


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
def test_a_folder_that_others_can_write_is_not_used(cache):
    kernel_in(cache).parent.chmod(0o770)
    assert run_python(REPORT, NUMBA_CACHE_DIR=str(cache)) == COMPILED


def test_a_read_only_folder(tmp_path):
    tmp_path.chmod(0o500)
    for _ in range(2):
        assert run_python(REPORT, before=of_a_user(), NUMBA_CACHE_DIR=str(tmp_path)) == COMPILED
    tmp_path.chmod(0o700)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
@pytest.mark.parametrize(
    "places",
    [
        {"NUMBA_CACHE_DIR": "/proc/none"},
        {"NUMBA_CACHE_DIR": __file__},
        {"XDG_CACHE_HOME": "", "HOME": "/proc/none"},
    ],
)
def test_no_folder_to_write(places, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    assert run_python(REPORT, **places) == COMPILED
    assert not list(tmp_path.iterdir())


def test_a_full_disk(tmp_path):
    resource = pytest.importorskip("resource")
    limit = f"""
        import resource, signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, {resource.RLIM_INFINITY}))
    """
    assert run_python(limit, REPORT, NUMBA_CACHE_DIR=str(tmp_path)) == COMPILED
    assert not [f for f in tmp_path.rglob("*") if f.is_file()]


def test_several_first_runs_at_once(tmp_path):
    """Two signatures of one function, two processes each."""
    code = "import sys, stand_in; print(stand_in.report(sys.argv[1]))"
    for hits in (None, "1"):
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", code, dtype],
                env=environment(NUMBA_CACHE_DIR=str(tmp_path)),
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            for dtype in ("float32", "float64") * 2
        ]
        for process in processes:
            out, err = process.communicate(timeout=HANGS)
            assert process.returncode == 0, err
            right, found = out.split()
            assert right == "right"
            assert hits is None or found == hits
    for name in ("kernel", "call_workers"):
        assert len(list(tmp_path.glob(f"*/{name}-*.kernel"))) == 2
    assert not list(tmp_path.glob("*/*.tmp"))


def test_options_outside_the_sources_have_kernels_of_their_own(cache):
    assert run_python(REPORT, NUMBA_CACHE_DIR=str(cache), NUMBA_BOUNDSCHECK="1") == COMPILED
    assert run_python(REPORT, NUMBA_CACHE_DIR=str(cache)) == LOADED


def test_another_source_beside_a_kernel_is_compiled_anew(tmp_path):
    """As when a function that a kernel calls has changed, which Numba's own cache overlooks."""
    import nlmeans

    package = tmp_path / "nlmeans"
    shutil.copytree(Path(nlmeans.__file__).parent, package, ignore=lambda *_: ["__pycache__"])
    copy = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {REPORT}"
    kept = {"NUMBA_CACHE_DIR": str(tmp_path / "kept")}
    assert run_python(copy, **kept) == COMPILED
    assert run_python(copy, **kept) == LOADED
    with (package / "kernels" / "exp2.py").open("a") as file:
        file.write("\n")
    assert run_python(copy, **kept) == COMPILED


def test_numba_itself_is_left_alone(tmp_path):
    out = run_python(
        """
        import os, numba, stand_in
        print(stand_in.report())
        own = numba.njit(cache=True)(stand_in.squares)
        print(own.stats.cache_path, repr(numba.config.CACHE_DIR), "NUMBA_CACHE_DIR" in os.environ)
        """,
        XDG_CACHE_HOME=str(tmp_path),
        NUMBA_CACHE_DIR="",
    )
    assert "nlmeans" not in out.splitlines()[1].split()[0].replace(str(TESTS), "")
    assert out.splitlines()[1].endswith("'' True")
