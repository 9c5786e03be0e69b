"""All cases: what is there from an earlier run is taken, the rest is done in other processes.

Scores do not depend on what else the machine does, so cases are scored in parallel, each with one
thread. Times do: afterwards, with nothing else running, each method filters one picture a noise
level with all threads, in a process that has run nothing before.
"""

import hashlib
import json
import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from io import BytesIO
from math import prod
from pathlib import Path
from typing import Any

import imageio.v3 as imageio

import nlmeans
from nlmeans.base.machine import processor
from nlmeans.compare.cases import (
    SEED,
    Bytes,
    PictureCase,
    by_stem,
    check_shape,
    shown,
    unmatched,
    usable_shape,
)
from nlmeans.compare.methods import Candidate
from nlmeans.compare.scores import NAMES
from nlmeans.compare.work import FREE, TIMES, CaseTask, clock, score
from nlmeans.images import ImageReadError
from nlmeans.images.atomic import put_in_place

Work = Callable[[CaseTask], tuple[dict[str, Any], Bytes | None]]
STORE = "cases"
# What no score depends on: the command line, wherever it lies, and what only shows results.
SHOWING = ("cli/", "compare/page.py", "compare/report.py", "compare/tables.py")


@dataclass(frozen=True)
class Outcome:
    """What came of a task."""

    task: CaseTask
    record: dict[str, Any]  # what `work` found, or {"error": one line}
    picture: Path | None = None  # the scored result as a PNG, where it was to be kept


def run(
    tasks: Sequence[CaseTask],
    folder: Path,
    jobs: int,
    keep: frozenset[str] = frozenset(),
    progress: Callable[[int], None] = lambda done: None,
) -> list[Outcome]:
    """Do all tasks, scored ones first, `jobs` at a time.

    - `folder`: of the report; results are kept in it and found again.
    - `jobs`: processes that score.
    - `keep`: names of pictures whose results are kept as PNG.
    - `progress`: called with 1 for each task that is done.

    Returns
    -------
    list of Outcome, in the order of the tasks
    """
    store = folder / STORE
    store.mkdir(parents=True, exist_ok=True)
    found: dict[CaseTask, Outcome] = {}
    todo = []
    for task in tasks:
        outcome = _kept(task, store, keep)
        if outcome is None:
            todo.append(task)
        else:
            found[task] = outcome
            progress(1)
    scored = [task for task in todo if task.threads is None]
    timed = [task for task in todo if task.threads is not None]
    for pool, work, some in (
        (_processes(min(jobs, max(len(scored), 1))), score, scored),
        (_processes(1, fresh=True), clock, timed),
    ):
        with pool:
            for task, future in _done(pool, work, some):
                found[task] = _outcome(task, work, future, store, keep)
                progress(1)
    return [found[task] for task in tasks]


def _processes(count: int, *, fresh: bool = False) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(
        count,
        multiprocessing.get_context("spawn"),  # a fork of a process with threads may hang
        initializer=_end_on_interrupt,
        max_tasks_per_child=1 if fresh else None,
    )


def _end_on_interrupt() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # without a traceback from every process


def _done(
    pool: ProcessPoolExecutor, work: Work, tasks: Sequence[CaseTask]
) -> Iterator[tuple[CaseTask, Future[Any]]]:
    futures = {pool.submit(work, task): task for task in tasks}
    try:
        for future in as_completed(futures):
            yield futures[future], future
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise


def _outcome(
    task: CaseTask, work: Work, future: Future[Any], store: Path, keep: frozenset[str]
) -> Outcome:
    """The result, kept if it is one; a task whose process ended is tried once more, alone."""
    try:
        try:
            record, result = future.result()
        except BrokenProcessPool:
            with _processes(1) as alone:
                record, result = alone.submit(work, task).result()
    except Exception as error:
        text = " ".join(str(error).split())
        return Outcome(task, {"error": shown(f"{type(error).__name__}: {text}")})
    base = store / _key(task)
    picture = None
    if result is not None and task.case.name in keep:
        picture = base.with_suffix(".png")
        put_in_place(picture, png(result), overwrite=True)
    text = json.dumps({"inputs": _inputs(task), "record": record}, indent=1)
    put_in_place(base.with_suffix(".json"), text.encode(), overwrite=True)
    return Outcome(task, record, picture)


def _kept(task: CaseTask, store: Path, keep: frozenset[str]) -> Outcome | None:
    """What an earlier run found with the same inputs, method and versions.

    Times that were taken on a busy machine are taken anew, and so is what is damaged.
    """
    base = store / _key(task)
    picture = base.with_suffix(".png") if task.threads is None and task.case.name in keep else None
    try:
        kept = json.loads(base.with_suffix(".json").read_text())
        same: bool = kept["inputs"] == _inputs(task) and _is_whole(kept["record"], task)
        record = kept["record"]
    except (OSError, ValueError, KeyError, TypeError):  # not there, or not written by this
        return None
    if not same:
        return None
    if picture is not None:
        try:
            check_shape(picture, usable_shape(task.case.clean))
        except ImageReadError:  # not there, or not whole
            return None
    if record.get("core_share", 1) < FREE:
        return None
    return Outcome(task, record, picture)


def _is_whole(record: Any, task: CaseTask) -> bool:
    """Whether a record has what `score` and `clock` give, as numbers."""
    if task.threads is None:
        numbers = [record["scores"][name] for name in NAMES]
    else:
        numbers = [record[name] for name in TIMES]
        if record["memory_mib"] is not None:
            numbers.append(record["memory_mib"])
    return all(isinstance(n, int | float) for n in numbers)


def _key(task: CaseTask) -> str:
    return hashlib.sha256(json.dumps(_inputs(task)).encode()).hexdigest()[:32]


def _inputs(task: CaseTask) -> dict[str, Any]:
    """All that the result depends on."""
    case, method = task.case, task.method
    file = task.result or (None if method.results else method.path)
    inputs = {
        "clean": _digest(case.clean),
        "noisy": None if case.noisy is None else _digest(case.noisy),
        "sigma": case.sigma,
        "clip": case.clip,
        "seed": SEED,
        "method": method.kind if method.results else method.text,
        "file": None if file is None else _digest(file),
        "versions": versions(method),
    }
    if task.threads is not None:
        inputs |= {"threads": task.threads, "machine": processor()}
    return inputs


def versions(method: Candidate) -> dict[str, str]:
    """Of what a method's scores depend on."""
    sources = sources_digest(Path(nlmeans.__file__).parent)
    return {
        "nlmeans": f"{nlmeans.__version__} (sources {sources})",
        "method": method.version(),
        "numpy": metadata.version("numpy"),
        "scikit-image": metadata.version("scikit-image"),
    }


@cache
def sources_digest(package: Path) -> str:
    """A digest of a package's code but for SHOWING: it may change without the version."""
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        if not path.relative_to(package).as_posix().startswith(SHOWING):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


@cache
def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def png(picture: Bytes) -> bytes:
    buffer = BytesIO()
    imageio.imwrite(buffer, picture, extension=".png")
    return buffer.getvalue()


def plan_tasks(
    cases: Sequence[PictureCase], methods: Sequence[Candidate], threads: int
) -> tuple[list[CaseTask], list[str]]:
    """All tasks, and what of the folders of results cannot be compared."""
    clean = {case.clean.stem: case.clean for case in cases}
    levels = list(dict.fromkeys(case.sigma for case in cases))
    largest = max(clean.values(), key=lambda path: prod(usable_shape(path)))
    tasks, problems = [], []
    for method in methods:
        if method.missing():
            continue
        for sigma in levels:
            some = [case for case in cases if case.sigma == sigma]
            if method.results is None:
                tasks += [CaseTask(case, method) for case in some]
                if method.method().timed:
                    one = next(case for case in some if case.clean == largest)
                    tasks.append(CaseTask(one, method, threads=threads))
                continue
            try:
                folder = results_folder(method.results, sigma, len(levels))
                files, wrong = by_stem(folder)
            except ImageReadError as error:
                problems.append(str(error))
                continue
            problems += wrong + unmatched(clean, files, folder)
            for case in some:
                result = files.get(case.clean.stem)
                if result is None:
                    continue
                try:
                    check_shape(result, usable_shape(case.clean))
                except ImageReadError as error:
                    problems.append(str(error))
                else:
                    tasks.append(CaseTask(case, method, result))
    return tasks, [shown(problem) for problem in problems]


def results_folder(folder: Path, sigma: float | None, levels: int) -> Path:
    """DIR/25 for sigma 25 if there is one, else DIR itself where it can mean one level only."""
    own = folder / ("real" if sigma is None else f"{sigma:g}")
    return own if levels > 1 or own.is_dir() else folder
