"""--max-memory, and what is said of long runs and of compiling."""

import io
import json
import re
import sys
import threading
from dataclasses import asdict

import numpy as np
import pytest
import tifffile
from imageio.v3 import imread, imwrite
from nlmeans.cli import notices
from numba import njit
from numba.extending import overload
from processes import HANGS

import nlmeans


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
    assert "of memory are needed, even in parts, and of what is allowed" in err
    assert err.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("wrong", ["much", "0", "-1G", "", "5X", "nan", "infG"])
def test_no_memory(cli, picture, wrong):
    code, _, err = cli("denoise", "a.png", "--max-memory", wrong)
    assert code == 2
    assert "such as 500M or 2G" in err


def test_limits_of_points_and_weights(cli, rng, tmp_path, monkeypatch, picture):
    np.savetxt("a.xyz", rng.normal(size=(200, 3)))
    code, _, err = cli("points", "a.xyz", "--sigma", "0.1", "--max-memory", "100K")
    assert code == 1
    assert "of memory are needed, and" in err
    everywhere = nlmeans.Block(nlmeans.Operation(nlmeans.embedded_gaussian()))
    window = nlmeans.Block(nlmeans.nl_means(20, 15, 3, 5), residual=False)
    for name, block, expected in (("all", everywhere, 1), ("near", window, 0)):
        nlmeans.save_weights(f"{name}.safetensors", block)
        arguments = ("a.png", "--weights", f"{name}.safetensors", "-o", f"{name}.png")
        code, _, err = cli("denoise", *arguments, "--max-memory", "10M")
        assert code == expected, err
        assert (tmp_path / f"{name}.png").exists() == (code == 0)
    assert cli("denoise", *arguments[:3], "-o", "whole.png")[0] == 0
    assert (imread("near.png") != imread("whole.png")).mean() < 1e-3


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
        assert re.search(r"in all      [\d.]+ MiB of memory above input; about [\d.]+ s on", out)


def test_plan_answers_in_the_order_of_the_questions(cli, picture):
    out = cli("plan", "a.png", "--method", "classic")[1]
    told = [
        "a.png: sigma",
        "y_i = ",
        "array  ",
        "kernel  ",
        "because  ",
        "tiles  ",
        "memory  ",
        "operations  ",
        "time  ",
        "in all  ",
    ]
    assert [out.index(text) for text in told] == sorted(out.index(text) for text in told)


@pytest.mark.parametrize("method", ["ridge", "classic"])
def test_plan_as_json(cli, picture, method):
    code, out, err = cli("plan", "a.png", "--method", method, "--sigma", "20", "--json")
    assert (code, err, out.count("\n")) == (0, "", 1)
    plan = json.loads(out)
    used = nlmeans.settings_for(imread("a.png"), 20, method=method)
    classic = used.operation() if method == "classic" else used.operation().classic
    assert plan["operation"] == str(used.operation())
    assert (plan["input"], plan["method"], plan["sigma"]) == ("a.png", method, 20)
    assert (plan["shape"], plan["channels"]) == ([1200, 400], 1)
    kernel = classic.plan((1200, 400), dtype="uint8")
    for name in ("kernel", "reason", "tiles", "pairs", "operations"):
        assert plan[name] == getattr(kernel, name)
    cost = nlmeans.expected_cost(imread("a.png"), used)
    assert (plan["memory_bytes"], plan["seconds"]) == (cost.bytes, cost.seconds)
    assert plan["estimating_seconds"] == 0
    documented = cli("plan", "--help")[1]
    settings = {"input", "sigma_estimated", *asdict(used)}
    assert all(key in documented for key in plan.keys() - settings)
    plan = json.loads(cli("plan", "a.png", "--sigma", "0", "--json")[1])
    assert (plan["kernel"], plan["operation"], plan["seconds"]) == (None, None, 0)


def test_the_time_for_estimating_the_noise_is_counted(cli, picture, rng):
    seconds = {}
    for noise in ("auto", "gaussian"):
        plan = json.loads(cli("plan", "a.png", "--noise", noise, "--json")[1])
        told = json.loads(cli("plan", "a.png", "--sigma", plan["sigma"], "--json")[1])
        seconds[noise] = plan["estimating_seconds"]
        assert plan["seconds"] == pytest.approx(told["seconds"] + seconds[noise], rel=0.05)
    assert 0 < 1.3 * seconds["gaussian"] < seconds["auto"]
    assert "with estimating the noise" in cli("plan", "a.png")[1]
    assert "estimating" not in cli("plan", "a.png", "--sigma", "20")[1]
    pages = rng.normal(100, 20, (3, 100, 90)).clip(0, 255).astype(np.uint8)
    tifffile.imwrite("a.tif", pages, photometric="minisblack")
    tifffile.imwrite("b.tif", pages[0], photometric="minisblack")
    several, one = (json.loads(cli("plan", f"{name}.tif", "--json")[1]) for name in "ab")
    assert several["seconds"] == pytest.approx(3 * one["seconds"])


class Terminal(io.StringIO):
    """What a test can wait for a line on."""

    def __init__(self):
        super().__init__()
        self.line = threading.Event()

    def isatty(self):
        return True

    def write(self, text):
        count = super().write(text)
        if "\n" in text:
            self.line.set()
        return count


def test_compiling_is_told_once_and_only_while_it_lasts(monkeypatch):
    def same(x):
        return x

    @overload(same)
    def _same(x):
        if notices.PATIENCE < HANGS and not silent:
            terminal.line.wait()  # the compiler takes just longer than that
        return lambda x: x

    @njit
    def slow(x):
        return same(x)

    def told(*, silent, patience, values):
        monkeypatch.setattr(notices, "PATIENCE", patience)
        monkeypatch.setattr(sys, "stderr", terminal)
        with notices.compiling_notice(silent=silent):
            for value in values:
                slow(value)
        return terminal.getvalue()

    line = "nlmeans: compiling, the first time only\n"
    silent, terminal = True, Terminal()
    assert told(silent=True, patience=0.01, values=[1]) == ""
    silent = False
    assert told(silent=False, patience=HANGS, values=[1j]) == ""
    assert told(silent=False, patience=0.01, values=[1.0, np.float32(1)]) == line
    terminal = Terminal()
    assert told(silent=False, patience=0.0, values=[1.0]) == ""  # compiled already
    assert not [each for each in threading.enumerate() if isinstance(each, threading.Timer)]
