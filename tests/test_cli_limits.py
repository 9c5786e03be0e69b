"""--max-memory, and what is said of long runs and of compiling."""

import sys
import time

import numpy as np
import pytest
from imageio.v3 import imread, imwrite
from nlmeans.cli import notices
from numba import njit
from numba.extending import overload


@pytest.fixture
def picture(rng, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    imwrite("a.png", rng.normal(100, 20, (1200, 400)).clip(0, 255).astype(np.uint8))


CLASSIC = ("a.png", "--sigma", "20", "--h", "15", "--patch-size", "3", "--search-size", "5")


def test_a_limit_is_kept_in_parts(cli, picture):
    assert cli("denoise", *CLASSIC, "-o", "whole.png")[0] == 0
    code, _, err = cli("denoise", *CLASSIC, "-o", "parts.png", "--max-memory", "6M")
    assert code == 0
    assert "MiB of memory" in err
    assert (imread("parts.png") != imread("whole.png")).mean() < 1e-3


@pytest.mark.parametrize("limit", ["1000k", "1 MiB", "1048576"])
def test_a_limit_too_low_is_refused_with_both_figures(cli, picture, tmp_path, limit):
    code, out, err = cli("denoise", "a.png", "--sigma", "20", "--max-memory", limit, "--quiet")
    assert (code, out) == (1, "")
    assert "of memory are needed, and" in err
    assert err.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("wrong", ["much", "0", "-1G", "", "5X", "nan", "infG"])
def test_no_memory(cli, picture, wrong):
    code, _, err = cli("denoise", "a.png", "--max-memory", wrong)
    assert code == 2
    assert "such as 500M or 2G" in err


def test_limits_of_points_and_weights(cli, rng, tmp_path, monkeypatch, picture):
    import nlmeans

    np.savetxt("a.xyz", rng.normal(size=(200, 3)))
    code, _, err = cli("points", "a.xyz", "--sigma", "0.1", "--max-memory", "100K")
    assert code == 1
    assert "of memory are needed, and" in err
    block = nlmeans.Block(nlmeans.nl_means(20, 15, 3, 5), residual=False)
    nlmeans.save_weights("w.safetensors", block)
    code, _, err = cli("denoise", "a.png", "--weights", "w.safetensors", "--max-memory", "2M")
    assert code == 1
    assert not (tmp_path / "a_denoised.png").exists()


def test_a_long_run_is_announced(cli, picture, monkeypatch):
    assert "about" not in cli("denoise", *CLASSIC)[2]
    monkeypatch.setattr(notices, "LONG", 0.0)
    _, _, err = cli("denoise", *CLASSIC, "--threads", "2", "--overwrite")
    assert "a.png: about" in err
    assert "s on 2 threads, " in err
    assert "about" not in cli("denoise", *CLASSIC, "--overwrite", "--quiet")[2]


def test_plan_says_time_and_memory_of_the_whole(cli, picture):
    for method in ("ridge", "classic"):
        out = cli("plan", "a.png", "--sigma", "20", "--method", method)[1]
        assert "in all      about" in out
        assert "MiB of memory above input" in out


def test_compiling_is_told_once_and_only_while_it_lasts(monkeypatch, capsys):
    monkeypatch.setattr(notices, "PATIENCE", 0.2)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)

    def same(x):
        return x

    @overload(same)
    def _same(x):
        time.sleep(0.6)  # what the compiler takes, for each type
        return lambda x: x

    @njit
    def slow(x):
        return same(x)

    with notices.compiling_notice(silent=True):
        slow(1)
    assert capsys.readouterr().err == ""
    with notices.compiling_notice(silent=False):
        slow(1.0)
    assert capsys.readouterr().err == "nlmeans: compiling, the first time only\n"
    with notices.compiling_notice(silent=False):
        slow(1.0)  # compiled already
        time.sleep(0.4)
    assert capsys.readouterr().err == ""
