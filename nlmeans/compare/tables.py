"""Rows of results, and what is printed and written of them."""

import csv
import io
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from importlib import resources
from statistics import mean
from typing import Any

from nlmeans.compare.methods import Candidate
from nlmeans.compare.run import Outcome
from nlmeans.compare.scores import NAMES, PSNR, SSIM_GAUSSIAN, SSIM_UNIFORM
from nlmeans.compare.work import FREE

NOTHING = "-"
REAL = "real"  # noise whose level is not known
FORMULAS = ("=", "+", "-", "@")  # what spreadsheets compute begins with these
INCOMPLETE = "(1 of 2): the mean over only so many of the pictures, not comparable with the others"


@dataclass(frozen=True)
class MethodRow:
    """A method at one noise level: means over the pictures, and its time on one of them.

    Numbers that were not measured are None; so is a noise level that is not known. `images` have a
    result, of the `all_images` there are. `published` rows are others' figures, their source in the
    note.
    """

    sigma: float | None
    method: str
    images: int = 0
    psnr: float | None = None
    ssim_gaussian: float | None = None
    ssim_uniform: float | None = None
    seconds_per_megapixel: float | None = None
    threads: int | None = None
    memory_mib: float | None = None
    version: str = ""
    note: str = ""
    published: bool = False
    all_images: int = 0


# Heading, attribute of MethodRow, format of a number.
COLUMNS: tuple[tuple[str, str, str], ...] = (
    ("sigma", "sigma", "g"),
    ("method", "method", ""),
    ("images", "images", "d"),
    (f"{PSNR} dB", "psnr", ".2f"),
    (SSIM_GAUSSIAN, "ssim_gaussian", ".4f"),
    (SSIM_UNIFORM, "ssim_uniform", ".4f"),
    ("s/MP", "seconds_per_megapixel", ".3g"),
    ("threads", "threads", "d"),
    ("peak MiB", "memory_mib", ".1f"),
    ("version", "version", ""),
    ("note", "note", ""),
)


def rows(
    methods: Sequence[Candidate], levels: Sequence[float | None], outcomes: Sequence[Outcome]
) -> list[MethodRow]:
    """A row for each noise level and method, in this order."""
    return [_row(method, sigma, outcomes) for sigma in levels for method in methods]


def _row(method: Candidate, sigma: float | None, outcomes: Sequence[Outcome]) -> MethodRow:
    missing = method.missing()
    if missing:
        return MethodRow(sigma, method.label, note=missing)
    all_images = len({o.task.case for o in outcomes if o.task.case.sigma == sigma})
    own = [o for o in outcomes if o.task.method == method and o.task.case.sigma == sigma]
    failed = [o for o in own if "error" in o.record]
    scored = [o.record["scores"] for o in own if "scores" in o.record]
    times = [o.record for o in own if "seconds" in o.record]
    time = times[0] if times else None
    psnr, gaussian, uniform = (
        mean(each[name] for each in scored) if scored else None for name in NAMES
    )
    notes = [f"{len(failed)} failed: {failed[0].record['error']}"] if failed else []
    if 0 < len(scored) < all_images:
        notes.append(f"means over {len(scored)} of {all_images} pictures")
    if time and time["core_share"] < FREE:
        notes.append(f"timed on a busy machine, with {time['core_share']:.0%} of its cores")
    return MethodRow(
        sigma,
        method.label,
        len(scored),
        psnr,
        gaussian,
        uniform,
        time["seconds"] / time["megapixels"] if time else None,
        time["threads"] if time else None,
        time["memory_mib"] if time else None,
        "" if method.results else method.version(),
        "; ".join(notes),
        all_images=all_images,
    )


def published(name: str, levels: Sequence[float | None]) -> list[MethodRow]:
    """Rows that others published for a set of pictures, each with its source.

    Raises KeyError if there is none for this set.
    """
    found = []
    for entry in published_entries():
        if entry["set"] == name:
            numbers: dict[float | None, float] = {
                float(k): float(v) for k, v in entry.items() if k.isdigit() and v
            }
            if entry[REAL]:
                numbers[None] = float(entry[REAL])
            found += [
                MethodRow(
                    sigma,
                    entry["method"],
                    psnr=numbers[sigma],
                    note=entry["source"],
                    published=True,
                )
                for sigma in levels
                if sigma in numbers
            ]
    if not found and name not in published_sets():
        raise KeyError(name)
    return found


def published_sets() -> list[str]:
    """The sets of pictures with published rows."""
    return list(dict.fromkeys(entry["set"] for entry in published_entries()))


def published_entries() -> list[dict[str, str]]:
    text = (resources.files("nlmeans.compare") / "published.csv").read_text()
    return list(csv.DictReader(io.StringIO(text)))


def cell(row: MethodRow, attribute: str, form: str) -> str:
    value = getattr(row, attribute)
    if attribute == "method" and row.published:
        return f"{value} (published)"
    if value is None:
        return REAL if attribute == "sigma" else NOTHING
    if attribute == "images" and value == 0:
        return NOTHING
    return str(value) if form == "" else format(value, form)


def incomplete(row: MethodRow) -> str:
    """What is said beside a mean that leaves out pictures; nothing of others."""
    if 0 < row.images < row.all_images:
        return f" ({row.images} of {row.all_images})"
    return ""


def text_table(found: Sequence[MethodRow]) -> str:
    """For the screen: columns aligned, without the notes, which only the files hold."""
    columns = COLUMNS[:-1]
    lines = [[heading for heading, *_ in columns]]
    lines += [[cell(row, attribute, form) for _, attribute, form in columns] for row in found]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    left = {k for k, (_, _, form) in enumerate(columns) if form == ""}
    return "\n".join(
        "  ".join(
            text.ljust(width) if k in left else text.rjust(width)
            for k, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def csv_text(found: Sequence[MethodRow]) -> str:
    """Full precision; empty where nothing was measured."""
    names = [field.name for field in fields(MethodRow)]
    return _csv(names, [[getattr(row, name) for name in names] for row in found])


def cases_csv(outcomes: Sequence[Outcome]) -> str:
    """Every scored case."""
    scored = [o for o in outcomes if o.task.threads is None]
    lines = [
        [
            o.task.case.name,
            o.task.case.sigma,
            o.task.method.label,
            *(o.record.get("scores", {}).get(name) for name in NAMES),
            o.record.get("error"),
        ]
        for o in scored
    ]
    return _csv(["image", "sigma", "method", *NAMES, "error"], lines)


def _csv(heading: Sequence[str], lines: Sequence[Sequence[Any]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(heading)
    writer.writerows([_no_formula(value) for value in line] for line in lines)
    return buffer.getvalue()


def _no_formula(value: Any) -> Any:
    """A text that spreadsheets would compute gets an apostrophe, with which they show it."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULAS) else value


def json_text(
    about: dict[str, Any], found: Sequence[MethodRow], outcomes: Sequence[Outcome]
) -> str:
    """Everything; an infinite PSNR is the text "inf", as JSON has no such number."""
    cases = [
        {
            "image": o.task.case.name,
            "sigma": o.task.case.sigma,
            "method": o.task.method.label,
            **({} if o.task.threads is None else {"timed": True}),
            **o.record,
        }
        for o in outcomes
    ]
    whole = {**about, "rows": [asdict(row) for row in found], "cases": cases}
    return json.dumps(_finite(whole), indent=1, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def markdown(about: dict[str, Any], found: Sequence[MethodRow]) -> str:
    """A table of PSNR by noise level, the rows in full, and how they came about."""
    wide = _wide(found)
    lines = ["| " + " | ".join(map(_md, line)) + " |" for line in wide]
    lines.insert(1, "|---" * len(wide[0]) + "|")
    note = f"; {INCOMPLETE}" if any(map(incomplete, found)) else ""
    full = [[heading for heading, *_ in COLUMNS]]
    full += [[cell(row, attribute, form) for _, attribute, form in COLUMNS] for row in found]
    more = ["| " + " | ".join(map(_md, line)) + " |" for line in full]
    more.insert(1, "|---" * len(full[0]) + "|")
    facts = [f"- {_md(k)}: {_md(str(v))}" for k, v in flat(about)]
    return "\n".join([f"Mean PSNR in dB{note}", "", *lines, "", *more, "", *facts, ""])


def latex(found: Sequence[MethodRow]) -> str:
    """Rows for a tabular: method, then mean PSNR by noise level."""
    heading, *lines = _wide(found)
    body = [" & ".join(map(_tex, line)) + r" \\" for line in lines]
    note = [f"% {INCOMPLETE}"] if any(map(incomplete, found)) else []
    return "\n".join([*note, "% " + " & ".join(map(_tex, heading)), *body, ""])


def _wide(found: Sequence[MethodRow]) -> list[list[str]]:
    """Methods down, noise levels across."""
    levels = list(dict.fromkeys(row.sigma for row in found))
    # A published row may have the name of a method that ran here.
    by_place = {(row.method, row.published, row.sigma): row for row in found}
    lines = [["method", *(REAL if s is None else f"{s:g}" for s in levels)]]
    for name, is_published in dict.fromkeys((row.method, row.published) for row in found):
        some = [by_place.get((name, is_published, s)) for s in levels]
        label = f"{name} (published)" if is_published else name
        lines.append([label, *(NOTHING if r is None else _mean_psnr(r) for r in some)])
    return lines


def _mean_psnr(row: MethodRow) -> str:
    return cell(row, "psnr", ".2f") + incomplete(row)


def flat(about: dict[str, Any]) -> list[tuple[str, str]]:
    """Facts line by line: several of a kind joined."""
    shown: list[tuple[str, str]] = []
    for key, value in about.items():
        if isinstance(value, dict):
            value = ", ".join(f"{k} {v}" for k, v in value.items())
        elif isinstance(value, list | tuple):
            value = "; ".join(map(str, value)) or "none"
        shown.append((key, str(value)))
    return shown


def _escaper(table: dict[str, str]) -> Callable[[str], str]:
    return lambda text: "".join(table.get(c, c) for c in text)


_md = _escaper({c: f"\\{c}" for c in "\\|`*_<>[]"})
_tex = _escaper(
    {
        **{c: f"\\{c}" for c in "&%$#_{}"},
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
    }
)
