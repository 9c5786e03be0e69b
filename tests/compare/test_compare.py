"""nlmeans compare: the protocol, the scores, the files it writes, resuming, bad input."""

import csv
import errno
import json
import math
import os
import re
import subprocess
import sys
from contextlib import contextmanager
from types import SimpleNamespace

import imageio.v3 as imageio
import numpy as np
import pytest
from processes import run_python
from skimage import data

import nlmeans
from nlmeans import ParameterError
from nlmeans.compare import methods, run, tables, work
from nlmeans.compare.cases import PictureCase, find_cases
from nlmeans.compare.methods import METHODS, Candidate, ComparedMethod, candidate
from nlmeans.compare.report import finish, prepare
from nlmeans.compare.run import Outcome
from nlmeans.compare.scores import NAMES, PSNR, SSIM_GAUSSIAN, SSIM_UNIFORM, quantised, scores
from nlmeans.compare.work import CaseTask, clock, score
from nlmeans.images import atomic

SIDE = 32


def write(path, picture):
    path.parent.mkdir(parents=True, exist_ok=True)
    imageio.imwrite(path, picture, extension=".png")


def crop(k):
    return data.camera()[100 + 20 * k : 100 + 20 * k + SIDE, 200 : 200 + SIDE + k]


@pytest.fixture
def clean(tmp_path):
    """Two grey pictures of different sizes and one in colour."""
    folder = tmp_path / "clean"
    for k in range(2):
        write(folder / f"{k}.png", crop(k))
    write(folder / "colour.png", data.astronaut()[:SIDE, 200 : 200 + SIDE])
    return folder


# --------------------------------------------------------------------------- protocol and scores


def test_noise_is_that_of_the_published_tables(clean):
    case = PictureCase("0.png", clean / "0.png", 25.0)
    np.random.seed(0)  # noqa: NPY002  # as the protocol says
    expected = crop(0) / 255 + np.random.normal(0, 25 / 255, (SIDE, SIDE))  # noqa: NPY002
    picture, noisy = case.pictures()
    np.testing.assert_array_equal(picture, crop(0))
    np.testing.assert_allclose(noisy, expected, atol=1e-6)
    assert noisy.min() < 0 or noisy.max() > 1
    _, clipped = PictureCase("0.png", clean / "0.png", 25.0, clip=True).pictures()
    np.testing.assert_array_equal(clipped, quantised(expected) / np.float32(255))


def test_results_are_rounded_and_clipped():
    assert quantised(np.array([-0.1, 0.5 / 255 + 1e-6, 1.2])).tolist() == [0, 1, 255]


def test_psnr_and_both_conventions_of_ssim(rng):
    clean = rng.integers(0, 256, (24, 25)).astype(np.uint8)
    result = np.clip(clean + rng.normal(0, 10, clean.shape), 0, 255).astype(np.uint8)
    found = scores(clean, result)
    a, b = clean.astype(float), result.astype(float)
    assert found[PSNR] == pytest.approx(10 * math.log10(255**2 / ((a - b) ** 2).mean()))
    taps = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    for name, weights, factor in (
        (SSIM_GAUSSIAN, np.outer(taps, taps) / taps.sum() ** 2, 1),
        (SSIM_UNIFORM, np.full((7, 7), 1 / 49), 49 / 48),
    ):
        window = np.lib.stride_tricks.sliding_window_view
        u, v = (window(x, weights.shape) for x in (a, b))
        mu, mv = ((x * weights).sum((2, 3)) for x in (u, v))
        uu, vv, uv = ((x * weights).sum((2, 3)) for x in (u * u, v * v, u * v))
        c1, c2 = 2.55**2, 7.65**2
        ssim = (2 * mu * mv + c1) * (2 * factor * (uv - mu * mv) + c2)
        ssim /= (mu**2 + mv**2 + c1) * (factor * (uu - mu**2 + vv - mv**2) + c2)
        assert found[name] == pytest.approx(ssim.mean(), abs=1e-9), name


def test_equal_pictures():
    assert scores(crop(0), crop(0)) == {PSNR: math.inf, SSIM_GAUSSIAN: 1.0, SSIM_UNIFORM: 1.0}


@pytest.mark.parametrize("name", sorted(METHODS))
@pytest.mark.parametrize("colour", [True, False])
def test_every_method_makes_it_cleaner(clean, name, colour):
    if candidate(name).missing():
        pytest.skip(candidate(name).missing())
    path = clean / ("colour.png" if colour else "0.png")
    case = PictureCase(path.name, path, 20.0)
    found, result = score(CaseTask(case, candidate(name)))
    assert result.dtype == np.uint8
    assert result.shape == case.pictures()[0].shape
    noisy = scores(case.pictures()[0], quantised(case.pictures()[1]))
    if name == "noisy":
        assert found["scores"] == noisy
    else:
        assert found["scores"][PSNR] > noisy[PSNR] + 2


def test_classic_is_denoise(clean):
    case = PictureCase("0.png", clean / "0.png", 20.0)
    expected = quantised(nlmeans.denoise(case.pictures()[1], 20 / 255, method="classic"))
    np.testing.assert_array_equal(score(CaseTask(case, candidate("classic")))[1], expected)


@pytest.mark.parametrize(
    ("name", "fast", "ratio"), [("skimage", True, 0.6), ("skimage-slow", False, 0.8)]
)
@pytest.mark.parametrize("shape", [(16, 17), (16, 17, 3)])
def test_scikit_image_has_the_settings_of_its_example(monkeypatch, name, fast, ratio, shape):
    called = []
    monkeypatch.setattr(
        "skimage.restoration.denoise_nl_means", lambda *a, **options: called.append((a, options))
    )
    x = np.zeros(shape, np.float32)
    METHODS[name].run(x, 0.1, 1)
    ((arguments, options),) = called
    assert arguments[0] is x
    assert arguments[1:] == (5, 6)  # patch_size, patch_distance
    assert options.pop("h") == pytest.approx(ratio * 0.1)
    assert options == {
        "sigma": 0.1,
        "fast_mode": fast,
        "channel_axis": -1 if len(shape) == 3 else None,
    }
    assert f"h {ratio} sigma" in METHODS[name].about


@pytest.mark.parametrize("sigma", [15, 25, 50])
def test_opencv_has_an_h_of_its_own_in_colour(sigma):
    """That of grey pictures blurs them."""
    if candidate("opencv").missing():
        pytest.skip(candidate("opencv").missing())
    clean = data.astronaut()[:64, 190:254]
    noise = np.random.default_rng(0).normal(0, sigma, clean.shape)
    noisy = ((clean + noise) / 255).astype(np.float32)
    grey = next(ratio for up_to, ratio in methods.OPENCV_H if sigma <= up_to)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(methods, "OPENCV_H_COLOUR", grey)
        before = scores(clean, quantised(methods.opencv(noisy, sigma / 255, 1)))[PSNR]
    assert scores(clean, quantised(methods.opencv(noisy, sigma / 255, 1)))[PSNR] > before + 0.5


def test_an_unknown_level_is_estimated(clean):
    case = PictureCase("0.png", clean / "0.png", None, noisy=clean / "0.png")
    expected = quantised(nlmeans.denoise(case.pictures()[1], method="classic"))
    np.testing.assert_array_equal(score(CaseTask(case, candidate("classic")))[1], expected)


def test_time_and_memory(clean, monkeypatch):
    def hungry(x, sigma, threads):
        assert threads == 1
        return np.ones(8 * 2**20)[: x.size].reshape(x.shape) * x

    monkeypatch.setattr(work, "LEAST_SECONDS", math.inf)
    monkeypatch.setitem(METHODS, "hungry", ComparedMethod(hungry, "nlmeans", "takes 64 MiB"))
    monkeypatch.setattr("os.sched_setaffinity", lambda *_: None, raising=False)
    record, nothing = clock(
        CaseTask(PictureCase("0", clean / "0.png", 10.0), candidate("hungry"), threads=1)
    )
    assert nothing is None
    assert record["megapixels"] == SIDE**2 / 1e6
    assert record["seconds"] > 0
    assert 0 < record["core_share"] <= 1.1
    assert record["runs"] == work.MOST_RUNS
    if record["memory_mib"] is not None:
        assert 60 < record["memory_mib"] < 80


class Clock:
    """The seconds that a method takes, those of them on a core, and those waited for one."""

    def __init__(self, monkeypatch, *takes):
        self.takes, self.now, self.used, self.waited = iter(takes), 0.0, 0.0, 0.0
        times = SimpleNamespace(perf_counter=lambda: self.now, process_time=lambda: self.used)
        monkeypatch.setattr(work, "time", times)
        monkeypatch.setattr(work, "waited", lambda: self.waited)
        monkeypatch.setattr("os.sched_setaffinity", lambda *_: None, raising=False)
        monkeypatch.setitem(METHODS, "timed", ComparedMethod(self.run, "nlmeans", ""))

    def run(self, x, sigma, threads):
        seconds, waited = next(self.takes)
        self.now += seconds
        self.used += seconds - waited
        self.waited += waited
        return x


def test_slow_methods_run_twice_and_the_better_time_counts(clean, monkeypatch):
    Clock(monkeypatch, (0, 0), (3, 0), (1, 0))  # the first is the untimed call
    record, _ = clock(
        CaseTask(PictureCase("0", clean / "0.png", 10.0), candidate("timed"), threads=1)
    )
    assert (record["runs"], record["seconds"], record["core_share"]) == (2, 1, 1)


def test_the_share_of_cores_is_of_what_was_used_and_waited_for():
    assert work._share(2.0, 0.0, 2.0) == 1
    assert work._share(1.0, 1.0, 2.0) == 0.5  # half of two cores was lost
    assert work._share(1.0, 0.0, 2.0) == 1  # it has one thread
    assert work._share(1.0, 3.0, 1.0) == 1  # four threads on one core wait for each other
    assert work._share(0.0, 0.0, 1.0) == 1


def test_a_machine_that_is_busy_only_during_a_run_is_noticed(clean, monkeypatch):
    Clock(monkeypatch, (0, 0), (4, 1), (5, 0))
    record, _ = clock(
        CaseTask(PictureCase("0", clean / "0.png", 9.0), candidate("timed"), threads=1)
    )
    assert (record["seconds"], record["core_share"]) == (4, 0.75)


@pytest.mark.skipif(work.waited() is None, reason="the system does not count")
def test_waiting_for_a_core_is_counted():
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, [min(cores)])
    rival = "print(flush=True)\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", rival], stdout=subprocess.PIPE) as other:
        try:
            other.stdout.readline()
            before = work.waited()
            while work.waited() < before + 0.05:
                pass
        finally:
            other.kill()
            os.sched_setaffinity(0, cores)


# --------------------------------------------------------------------------- which cases


def test_cases_by_level_and_name(clean):
    cases, problems = find_cases(clean, [15, 50], None)
    assert [(c.name, c.sigma) for c in cases] == [
        (name, s) for s in (15, 50) for name in ("0.png", "1.png", "colour.png")
    ]
    assert problems == []


def test_what_does_not_match_is_listed_and_the_rest_compared(clean, tmp_path):
    noisy = tmp_path / "noisy"
    write(noisy / "0.png", crop(0))
    write(noisy / "1.png", crop(0))
    write(noisy / "stray.png", crop(0))
    write(clean / "deep.png", crop(0).astype(np.uint16))
    write(noisy / "deep.png", crop(0))
    write(clean / "tiny.png", crop(0)[:8])
    write(noisy / "tiny.png", crop(0)[:8])
    (clean / "broken.png").write_bytes(b"no picture")
    write(noisy / "broken.png", crop(0))
    (clean / "notes.txt").write_text("ignored")
    cases, problems = find_cases(clean, [], noisy)
    assert [(c.name, c.sigma, c.noisy) for c in cases] == [("0.png", None, noisy / "0.png")]
    told = "\n".join(problems)
    assert "noisy: has no picture colour" in told
    assert "stray.png: there is no clean picture of this name" in told
    assert "1.png: is 32x32 with 1 channel, the clean picture 33x32 with 1 channel" in told
    assert "deep.png: is uint16; compared are single pictures of 8 bits" in told
    assert "tiny.png: is 32x8; SSIM takes 11x11" in told
    assert "broken.png" in told
    assert len(problems) == 6


def test_names_match_across_formats(clean, tmp_path):
    noisy = tmp_path / "noisy"
    noisy.mkdir()
    imageio.imwrite(noisy / "0.bmp", crop(0))
    cases, _ = find_cases(clean, [25], noisy)
    assert [(c.noisy, c.sigma) for c in cases] == [(noisy / "0.bmp", 25)]


def test_results_have_a_folder_for_each_level(clean, tmp_path):
    for sigma in (15, 25):
        write(tmp_path / "out" / str(sigma) / "0.png", crop(0))
    write(tmp_path / "out" / "15" / "1.png", crop(0))
    cases, _ = find_cases(clean, [15, 25], None)
    tasks, problems = run.plan_tasks(cases, [candidate(f"results:{tmp_path / 'out'}")], 1)
    assert [(t.case.sigma, t.case.name) for t in tasks] == [(15, "0.png"), (25, "0.png")]
    assert all(str(t.result).endswith(f"{t.case.sigma}/0.png") for t in tasks)
    assert len(problems) == 1 + 1 + 2  # a size, colour at 15; colour and 1 at 25
    single, _ = find_cases(clean, [15], None)
    write(tmp_path / "flat" / "0.png", crop(0))
    tasks, _ = run.plan_tasks(single, [candidate(f"results:{tmp_path / 'flat'}")], 1)
    assert [t.result for t in tasks] == [tmp_path / "flat" / "0.png"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("bm4d", "method bm4d is unknown; there are noisy, classic,"),
        ("weights:", "is unknown"),
        ("weights:no.safetensors", "there is no such file"),
        ("results:nowhere", "there is no such folder"),
    ],
)
def test_unknown_methods(text, words):
    with pytest.raises(ParameterError, match=words):
        candidate(text)


# --------------------------------------------------------------------------- running


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A whole comparison, with a peer that is missing and results of another program."""
    root = tmp_path_factory.mktemp("report")
    for k in range(2):
        write(root / "clean" / f"{k}.png", crop(k))
        write(root / "mine" / f"{k}.png", crop(k) // 2 * 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(
            METHODS, "absent", ComparedMethod(methods.noisy, "no_such_package", "not there")
        )
        comparison = prepare(
            root / "clean",
            ["classic", "absent", f"results:{root / 'mine'}"],
            root / "report",
            sigmas=[20],
            published_set=None,
            pictures=1,
            threads=1,
            jobs=1,
        )
        done = []
        yield finish(comparison, "the command", done.append), comparison, sum(done)


def test_rows(report):
    found, comparison, done = report
    noisy, classic, absent, mine = found.rows
    assert done == len(comparison.tasks) == 2 + 2 + 1 + 2
    assert (noisy.images, classic.images, absent.images, mine.images) == (2, 2, 0, 2)
    assert classic.psnr > noisy.psnr + 3
    assert mine.psnr > 40
    assert classic.seconds_per_megapixel > 0
    assert (classic.threads, classic.version) == (1, nlmeans.__version__)
    assert noisy.seconds_per_megapixel is mine.seconds_per_megapixel is None
    assert absent.note == "no_such_package is not installed"
    assert found.missing == ["absent: no_such_package is not installed"]
    assert found.problems == []


def test_scores_are_kept_when_only_the_command_line_or_the_tables_change(tmp_path):
    def digest(place):
        run.sources_digest.cache_clear()
        file = tmp_path / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("before = 1")
        before = run.sources_digest(tmp_path)
        file.write_text("after = 1")
        run.sources_digest.cache_clear()
        return before, run.sources_digest(tmp_path)

    for place in ("cli/main.py", "cli/options/sizes.py", "compare/page.py", "compare/tables.py"):
        before, after = digest(place)
        assert before == after, place
    for place in ("denoise.py", "images/page.py", "peers/cli/a.py", "client.py", "compare/run.py"):
        before, after = digest(place)
        assert before != after, place


def test_files(report):
    found, comparison, _ = report
    folder = comparison.folder
    summary = list(csv.DictReader((folder / "summary.csv").read_text().splitlines()))
    assert [row["method"] for row in summary] == [row.method for row in found.rows]
    assert float(summary[1]["psnr"]) == found.rows[1].psnr
    cases = list(csv.DictReader((folder / "cases.csv").read_text().splitlines()))
    assert [(row["image"], row["method"]) for row in cases[:3]] == [
        ("0.png", "noisy"),
        ("1.png", "noisy"),
        ("0.png", "classic"),
    ]
    mean = np.mean([float(row[PSNR]) for row in cases if row["method"] == "classic"])
    assert mean == pytest.approx(found.rows[1].psnr)
    whole = json.loads((folder / "report.json").read_text())
    assert whole["command"] == "the command"
    version = whole["versions"]["nlmeans"]
    assert re.fullmatch(rf"{re.escape(nlmeans.__version__)} \(sources [0-9a-f]{{12}}\)", version)
    assert len(whole["cases"]) == len(comparison.tasks)
    assert [p.suffix for p in (folder / "cases").iterdir()].count(".png") == 3
    tex = (folder / "report.tex").read_text().splitlines()
    assert tex[2] == rf"classic & {found.rows[1].psnr:.2f} \\"
    markdown = (folder / "report.md").read_text()
    assert f"| classic | {found.rows[1].psnr:.2f} |" in markdown
    assert "numpy.random.seed(0)" in markdown.replace("\\", "")
    assert (folder / "index.html").is_file()


def test_resuming_does_only_what_is_new(report, monkeypatch):
    found, comparison, _ = report
    monkeypatch.setattr(run, "_done", lambda pool, work, tasks: iter(asked.append(tasks) or ()))
    monkeypatch.setattr(run, "FREE", 0)  # this machine may be busy
    asked: list = []
    again = finish(comparison, "again")
    assert asked == [[], []]
    assert again.rows == found.rows
    # another version of a package: nothing of the old is taken
    monkeypatch.setattr(Candidate, "version", lambda self: "0.2")
    with pytest.raises(KeyError):
        finish(comparison, "again")
    assert [len(tasks) for tasks in asked[2:]] == [6, 1]


def test_a_changed_picture_is_done_again(report, tmp_path):
    _, comparison, _ = report
    task = next(t for t in comparison.tasks if t.method.text == "classic")
    store = comparison.folder / "cases"
    assert run._kept(task, store, frozenset()) is not None
    write(tmp_path / "0.png", crop(3))
    moved = CaseTask(PictureCase("0.png", tmp_path / "0.png", 20.0), task.method)
    assert run._kept(moved, store, frozenset()) is None
    louder = CaseTask(PictureCase("0.png", task.case.clean, 21.0), task.method)
    assert run._kept(louder, store, frozenset()) is None
    run._digest.cache_clear()


def test_a_damaged_picture_is_made_again(report, tmp_path):
    _, comparison, _ = report
    task = next(t for t in comparison.tasks if t.case.name in comparison.keep)
    for ending in (".json", ".png"):
        name = f"{run._key(task)}{ending}"
        (tmp_path / name).write_bytes((comparison.folder / "cases" / name).read_bytes())
    assert run._kept(task, tmp_path, comparison.keep) is not None
    picture = (tmp_path / run._key(task)).with_suffix(".png")
    whole = picture.read_bytes()
    for damaged in (whole[: len(whole) // 2], b""):
        picture.write_bytes(damaged)
        assert run._kept(task, tmp_path, comparison.keep) is None
    write(picture, crop(0)[:16])
    assert run._kept(task, tmp_path, comparison.keep) is None


@pytest.mark.parametrize(
    "record",
    [[1], [], 1, None, {}, {"scores": [1]}, {"scores": {PSNR: 1.0}}, {"seconds": 1.0},
     {"scores": dict.fromkeys(NAMES, "many")}, {"scores": dict.fromkeys(NAMES)},
     dict.fromkeys((*work.TIMES, "memory_mib"), "1"), dict.fromkeys(work.TIMES, 1.0)],
)  # fmt: skip
def test_a_record_of_another_shape_is_done_again(report, tmp_path, record):
    _, comparison, _ = report
    scored = next(t for t in comparison.tasks if t.threads is None)
    timed = next(t for t in comparison.tasks if t.threads is not None)
    for task in (scored, timed):
        kept = {"inputs": run._inputs(task), "record": record}
        (tmp_path / run._key(task)).with_suffix(".json").write_text(json.dumps(kept))
        assert run._kept(task, tmp_path, frozenset()) is None


@pytest.mark.parametrize("damage", [b"", b"{}", b"[1]", b'{"inputs": 1, "record": 2}'])
def test_a_damaged_record_is_done_again(report, tmp_path, damage):
    _, comparison, _ = report
    task = comparison.tasks[0]
    (tmp_path / run._key(task)).with_suffix(".json").write_bytes(damage)
    assert run._kept(task, tmp_path, frozenset()) is None


def test_failing_cases_and_dying_processes_spoil_only_themselves(tmp_path):
    write(tmp_path / "0.png", crop(0))
    (tmp_path / "plugin.py").write_text(
        "import os\n"
        "from nlmeans.compare.methods import METHODS, ComparedMethod\n"
        "def fails(x, sigma, threads): raise ValueError('of no use')\n"
        "def dies(x, sigma, threads): os._exit(3)\n"
        "for f in (fails, dies):\n"
        "    METHODS[f.__name__] = ComparedMethod(f, 'nlmeans', '', timed=False)\n"
    )
    out = run_python(
        f"folder = {str(tmp_path)!r}",
        """
        if __name__ == "__main__":
            import multiprocessing, plugin
            from concurrent.futures import ProcessPoolExecutor
            from pathlib import Path
            from nlmeans.compare import cases, methods, run, work

            run._processes = lambda count, fresh=False: ProcessPoolExecutor(
                count, multiprocessing.get_context("spawn"),
                initializer=__import__, initargs=("plugin",),
            )
            case = cases.PictureCase("0.png", Path(folder) / "0.png", 20.0)
            names = ("fails", "dies", "noisy")
            tasks = [work.CaseTask(case, methods.Candidate(name)) for name in names]
            for outcome in run.run(tasks, Path(folder), 1):
                print(outcome.task.method.text, outcome.record.get("error", "fine"))
        """,
        PYTHONPATH=str(tmp_path),
    )
    fails, dies, noisy = out.splitlines()
    assert fails == "fails ValueError: of no use"
    assert dies.startswith("dies BrokenProcessPool")
    assert noisy == "noisy fine"


def test_a_time_of_a_busy_machine_is_said_and_taken_anew(report):
    _, comparison, _ = report
    task = next(t for t in comparison.tasks if t.threads is not None)
    timed = {"seconds": 1.0, "megapixels": 1.0, "threads": 1, "memory_mib": 1.0}
    (row,) = tables.rows([task.method], [20], [Outcome(task, timed | {"core_share": 0.5})])
    assert row.note == "timed on a busy machine, with 50% of its cores"
    file = comparison.folder / "cases" / f"{run._key(task)}.json"
    kept = json.loads(file.read_text())
    for share, taken in ((1.0, True), (0.5, False)):
        kept["record"]["core_share"] = share
        file.write_text(json.dumps(kept))
        assert (run._kept(task, file.parent, frozenset()) is not None) == taken


@pytest.mark.skipif(sys.platform != "linux", reason="others refuse such names")
def test_file_names_that_are_no_text(tmp_path):
    for name in (b"a\nb.png", b"\xff.png", b"<script>.png"):
        write(tmp_path / "clean" / os.fsdecode(name), crop(0))
    (tmp_path / "clean" / os.fsdecode(b"\xfe.png")).write_bytes(b"none")
    comparison = prepare(tmp_path / "clean", ["noisy"], tmp_path / "report", sigmas=[20], jobs=1)
    finish(comparison, os.fsdecode(b"\xff"))
    for name in ("report.json", "report.md", "cases.csv", "index.html"):
        text = (tmp_path / "report" / name).read_text(encoding="utf-8")
        assert "<script>.png" not in text or name in ("report.json", "cases.csv"), name
    listed = json.loads((tmp_path / "report" / "report.json").read_text())
    names = sorted(case["image"] for case in listed["cases"])
    assert names == ["<script>.png", "\\udcff.png", "a\\nb.png"]


# --------------------------------------------------------------------------- tables


def rows():
    return [
        tables.MethodRow(15, "a_b|c", 3, 30.123, 0.9, 0.91, 0.5, 2, 1.5, "1"),
        tables.MethodRow(None, "gone", note="x is not installed"),
        tables.MethodRow(15, "BM3D", psnr=32.37, note="a table", published=True),
        tables.MethodRow(15, "BM3D", 2, math.inf, 1.0, 1.0, version="4"),
    ]


def test_tables_escape_and_leave_out_what_was_not_measured():
    assert tables.latex(rows()).splitlines() == [
        r"% method & 15 & real",
        r"a\_b|c & 30.12 & - \\",
        r"gone & - & - \\",
        r"BM3D (published) & 32.37 & - \\",
        r"BM3D & inf & - \\",
    ]
    assert r"| a\_b\|c | 30.12 | - |" in tables.markdown({}, rows())
    lines = tables.text_table(rows()).splitlines()
    assert lines[2].split() == ["real", "gone", "-", "-", "-", "-", "-", "-", "-"]
    assert json.loads(tables.json_text({}, rows(), []))["rows"][3]["psnr"] == "inf"


def test_means_over_fewer_pictures_are_marked_where_they_stand_beside_others(clean, tmp_path):
    write(tmp_path / "mine" / "0.png", crop(0))
    methods = ["noisy", f"results:{tmp_path / 'mine'}"]
    comparison = prepare(clean, methods, tmp_path / "report", sigmas=[20], jobs=1)
    noisy, mine = finish(comparison, "").rows
    assert (noisy.images, noisy.all_images, noisy.note) == (3, 3, "")
    assert (mine.images, mine.all_images) == (1, 3)
    assert mine.note == "means over 1 of 3 pictures"
    for text in ((tmp_path / "report" / f"report.{kind}").read_text() for kind in ("md", "tex")):
        assert f" {noisy.psnr:.2f} " in text
        assert "inf (1 of 3)" in text
        assert tables.INCOMPLETE in text
    for text in (tables.markdown({}, [noisy]), tables.latex([noisy])):
        assert "of 3" not in text
        assert tables.INCOMPLETE not in text
    failed = [
        Outcome(t, {"error": "no"} if k == 0 else {"scores": dict.fromkeys(NAMES, 1.0)})
        for k, t in enumerate(comparison.tasks)
    ]
    (row,) = tables.rows(comparison.methods[:1], [20], failed)
    assert row.note == "1 failed: no; means over 2 of 3 pictures"
    assert r"| noisy | 1.00 (2 of 3) |" in tables.markdown({}, [row])


def test_no_name_is_a_formula_in_a_spreadsheet(clean, tmp_path):
    for name in ("=1+1,2.png", "-1.png", "+1.png", "@a.png", "a=1.png"):
        write(tmp_path / "odd" / name, crop(0))
    comparison = prepare(tmp_path / "odd", ["noisy"], tmp_path / "report", sigmas=[20], jobs=1)
    finish(comparison, "")
    with (tmp_path / "report" / "cases.csv").open(newline="") as file:
        cases = list(csv.DictReader(file))
    assert sorted(case["image"] for case in cases) == [
        "'+1.png",
        "'-1.png",
        "'=1+1,2.png",
        "'@a.png",
        "a=1.png",
    ]
    assert all(float(case[PSNR]) > 0 for case in cases)
    text = tables.csv_text([tables.MethodRow(-1.0, "=x")])
    assert text.splitlines()[1].startswith("-1.0,'=x,")


def test_published_rows_have_sources():
    entries = tables.published_entries()
    assert {"Set12", "BSD68", "Kodak24"} <= set(tables.published_sets())
    for entry in entries:
        assert entry["source"]
        numbers = [float(v) for k, v in entry.items() if k.isdigit() and v]
        assert numbers == sorted(numbers, reverse=True)
        assert all(20 < number < 40 for number in numbers)
    (real,) = (row for row in tables.published("FMD", [None]) if row.method == "VST+BM3D")
    assert (real.sigma, real.psnr) == (None, 32.71)
    found = tables.published("Set12", [25, 30])
    assert [r.psnr for r in found if r.method == "BM3D"] == [29.97]
    with pytest.raises(KeyError):
        tables.published("Set13", [25])


# --------------------------------------------------------------------------- command line


def test_command(cli, clean, tmp_path):
    write(tmp_path / "mine" / "0.png", crop(0))
    code, out, err = cli(
        "compare",
        "clean",
        "--sigma",
        "20",
        "--method",
        "noisy,results:mine",
        "-o",
        "report",
        "--published",
        "Kodak24",
        "--jobs",
        1,
    )
    assert code == 1
    assert "mine: has no picture 1" in err
    heading, *lines = out.splitlines()
    assert heading.split()[:4] == ["sigma", "method", "images", "PSNR"]
    assert [line.split()[1] for line in lines[:2]] == ["noisy", "results:mine"]
    assert lines[1].split()[2:5] == ["1", "inf", "1.0000"]
    assert lines[-1] == "report/index.html"
    code, out, err = cli("compare", "clean", "--sigma", "20", "-o", "report")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "report: is there already; resume it, or name another folder" in err
    code, _, _ = cli(
        "compare", "clean", "--sigma", "20", "--method", "noisy", "-o", "report", "--resume", "-q"
    )
    assert code == 0


@pytest.mark.parametrize("full", ["index.html", "summary.csv", ".json"])
def test_a_full_disk_is_one_line_with_the_file(cli, clean, monkeypatch, full):
    def out_of_space(*_arguments, **_options):
        raise OSError(errno.ENOSPC, "No space left on device")

    in_place = atomic.in_place

    @contextmanager
    def until_full(target, overwrite):
        if target.name.endswith(full):
            monkeypatch.setattr("pathlib.Path.write_bytes", out_of_space)
        with in_place(target, overwrite) as temporary:
            yield temporary

    monkeypatch.setattr(atomic, "in_place", until_full)
    code, out, err = cli(
        "compare", "clean", "--sigma", 9, "--method", "noisy", "-o", "report", "--jobs", 1
    )
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert full in err
    assert "No space left on device" in err
    assert "complete" not in err
    assert not list(clean.parent.rglob("*.tmp"))


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("clean", "--sigma", "15,x"), 2, "'15,x' is no list of numbers above 0, such as 15,25,50"),
        (("clean", "--sigma", "15,0"), 2, "'15,0' is no list"),
        (("clean", "--sigma", ""), 2, "'' is no list"),
        (("clean",), 2, "sigma is missing"),
        (("clean", "--sigma", "9", "--method", ","), 2, "method is missing"),
        (("clean", "--noisy", "clean", "--clip"), 2, "clip is for noise that is added"),
        (("clean", "--sigma", "1,2", "--noisy", "clean"), 2, "sigma has 2 numbers"),
        (("clean", "--sigma", "9", "--method", "classic,bm5d"), 2, "method bm5d is unknown"),
        (("clean", "--sigma", "9", "--published", "Set13"), 2, "published is 'Set13'"),
        (("empty", "--sigma", "9"), 1, "empty: holds no picture"),
        (("nowhere", "--sigma", "9"), 1, "nowhere: is no folder"),
        (("clean", "--noisy", "empty"), 1, "empty: holds no picture"),
        (("clean", "--noisy", "other"), 1, "clean: no picture can be compared; other: has no"),
        (("clean", "--sigma", "9", "-o", "other"), 1, "other: is there already and no report"),
        (("clean", "--sigma", "9", "-o", "other", "--resume"), 1, "and no report"),
        (("clean", "--sigma", "9", "-o", "file"), 1, "file: is no folder"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(cli, clean, tmp_path, arguments, code, words):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    write(tmp_path / "other" / "else.png", crop(0))
    if "-o" not in arguments:
        arguments = (*arguments, "-o", "report")
    found, out, err = cli("compare", *arguments)
    assert (found, out, err.count("\n")) == (code, "", 1)
    assert words in err
    assert not (tmp_path / "report").exists()
