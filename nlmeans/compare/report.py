"""A comparison from folders to a folder: what is to be done, and the files that come of it."""

import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nlmeans.base.checks import ParameterError, check_choice, check_number, check_threads
from nlmeans.base.machine import processor, usable_threads
from nlmeans.compare import tables
from nlmeans.compare.cases import PictureCase, find_cases, shown
from nlmeans.compare.methods import Candidate, candidate
from nlmeans.compare.page import page
from nlmeans.compare.run import STORE, plan_tasks, run, versions
from nlmeans.compare.work import FREE, LEAST_RUNS, MOST_RUNS, CaseTask
from nlmeans.images import ImageWriteError
from nlmeans.images.atomic import put_in_place

BASELINE = "noisy"


@dataclass(frozen=True)
class Comparison:
    """What is to be done, all of it checked: see `prepare`."""

    cases: list[PictureCase]
    methods: list[Candidate]
    tasks: list[CaseTask]
    problems: list[str]
    folder: Path
    about: dict[str, Any]
    keep: frozenset[str]
    jobs: int
    published_set: str | None

    @property
    def levels(self) -> list[float | None]:
        return list(dict.fromkeys(case.sigma for case in self.cases))


@dataclass(frozen=True)
class Summary:
    """What came of a comparison."""

    rows: list[tables.MethodRow]
    problems: list[str]  # files that were not compared, and cases that failed
    missing: list[str]  # methods that cannot run here, with the reason
    busy: bool  # whether times were taken while others used the machine
    page: Path


def prepare(
    clean: Path,
    methods: Sequence[str],
    folder: Path,
    *,
    sigmas: Sequence[float] = (),
    noisy: Path | None = None,
    clip: bool = False,
    published_set: str | None = None,
    pictures: int = 4,
    threads: int | None = None,
    jobs: int | None = None,
    resume: bool = False,
) -> Comparison:
    """Check everything that a comparison needs, before any of it is done.

    - `clean`: folder of clean pictures of 8 bits.
    - `methods`: names of `nlmeans.compare.methods.METHODS`, "weights:FILE" or "results:DIR":
      pictures that another program wrote, under the clean ones' names; with several sigmas in
      DIR/15 and so on.
    - `folder`: of the report, made if it is not there.
    - `sigmas`: noise levels on 0 to 255; with `noisy` none, or the one that methods are told.
    - `noisy`: folder of noisy pictures.
    - `clip`: clip and round added noise, as a file would hold it; not with `noisy`.
    - `published_set`: add the published rows of this set of pictures.
    - `pictures`: so many pictures are shown on the page.
    - `threads`: when timing; all that the process may use by default.
    - `jobs`: processes that score; as many by default.
    - `resume`: go on with a report that is there.

    Raises ParameterError if a number or name is not allowed. Raises ImageReadError if a folder is
    missing or nothing in it can be compared. Raises ImageWriteError if the report is there already,
    or the folder is none.
    """
    for sigma in sigmas:
        check_number("sigma", sigma, low=0, above=True)
    if not sigmas and noisy is None:
        raise ParameterError("sigma is missing; give noise levels, or a folder of noisy pictures")
    if noisy is not None and len(sigmas) > 1:
        raise ParameterError(
            f"sigma has {len(sigmas)} numbers; noisy pictures have one level, or none given"
        )
    if noisy is not None and clip:
        raise ParameterError(
            "clip is for noise that is added; leave it out, as noisy pictures are given"
        )
    if not methods:
        raise ParameterError("method is missing; name at least one, such as classic")
    check_threads(threads)
    if published_set is not None:
        check_choice("published", published_set, tables.published_sets())
    asked = [candidate(text) for text in dict.fromkeys([BASELINE, *methods])]
    _check_folder(folder, resume=resume)
    cases, problems = find_cases(clean, list(dict.fromkeys(sigmas)), noisy, clip=clip)
    usable = usable_threads()
    tasks, more = plan_tasks(cases, asked, min(threads or usable, usable))
    names = list(dict.fromkeys(case.name for case in cases))
    timed = next((task.case.name for task in tasks if task.threads is not None), None)
    return Comparison(
        cases=cases,
        methods=asked,
        tasks=tasks,
        problems=problems + more,
        folder=folder,
        about={
            "clean pictures": f"{len(names)} in {shown(clean)}",
            "noise": _noise(sigmas, noisy, clip=clip),
            "scores": "of results rounded to 8 bits, by scikit-image; data range 255",
            "time and memory": f"of {timed}, the largest picture: the best of {LEAST_RUNS} to "
            f"{MOST_RUNS} runs, {LEAST_RUNS} where they are slow, with nothing else running; the "
            "peak above what was in use before, in the first of them",
            "processor": processor(),
            "system": platform.platform(),
            "versions": {"Python": platform.python_version(), **versions(asked[0])},
            "methods": [f"{m.label}: {m.missing() or m.method().about}" for m in asked],
        },
        keep=frozenset(names[:pictures]),
        jobs=jobs or usable,
        published_set=published_set,
    )


def _noise(sigmas: Sequence[float], noisy: Path | None, *, clip: bool) -> str:
    if noisy is not None:
        told = f"methods are told {sigmas[0]:g}" if sigmas else "its level estimated by nlmeans"
        return f"as in {shown(noisy)}; {told}"
    kept = "clipped and rounded to 8 bits" if clip else "not clipped"
    levels = ", ".join(f"{sigma:g}" for sigma in sigmas)
    return f"Gaussian, sigma {levels} of 255, numpy.random.seed(0) for each picture, {kept}"


def _check_folder(folder: Path, *, resume: bool) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ImageWriteError(f"{shown(folder)}: is no folder; name another")
    if not any(folder.iterdir()):
        return
    if not (folder / STORE).is_dir():
        raise ImageWriteError(
            f"{shown(folder)}: is there already and no report; name another folder"
        )
    if not resume:
        raise ImageWriteError(
            f"{shown(folder)}: is there already; resume it, or name another folder"
        )


def finish(
    comparison: Comparison, command: str, progress: Callable[[int], None] = lambda done: None
) -> Summary:
    """Do it, and write the report: index.html, summary.csv, cases.csv, report.json, .md, .tex.

    - `command`: what the user asked for, noted in the report.
    - `progress`: called with 1 for each of the tasks that is done.
    """
    folder = comparison.folder
    outcomes = run(comparison.tasks, folder, comparison.jobs, comparison.keep, progress)
    problems = comparison.problems + [
        f"{o.task.case.name}, {o.task.method.label}: {o.record['error']}"
        for o in outcomes
        if "error" in o.record
    ]
    rows = tables.rows(comparison.methods, comparison.levels, outcomes)
    if comparison.published_set is not None:
        rows += tables.published(comparison.published_set, comparison.levels)
        rows.sort(key=lambda row: comparison.levels.index(row.sigma))
    about = {"command": shown(command), **comparison.about, "not compared": problems}
    clean = comparison.cases[0].clean.parent
    title = f"{shown(clean.resolve().name)}: {len({c.clean for c in comparison.cases})} pictures"
    for name, text in (
        ("summary.csv", tables.csv_text(rows)),
        ("cases.csv", tables.cases_csv(outcomes)),
        ("report.json", tables.json_text(about, rows, outcomes)),
        ("report.md", tables.markdown(about, rows)),
        ("report.tex", tables.latex(rows)),
        ("index.html", page(title, about, rows, outcomes, problems)),
    ):
        put_in_place(folder / name, text.encode(), overwrite=True)
    missing = [f"{m.label}: {reason}" for m in comparison.methods if (reason := m.missing())]
    busy = any(o.record.get("core_share", 1) < FREE for o in outcomes)
    return Summary(rows, problems, missing, busy, folder / "index.html")
