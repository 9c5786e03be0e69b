"""The report as one HTML page that loads nothing: table, plots, pictures with sliders."""

import base64
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

import imageio.v3 as imageio
import numpy as np

from nlmeans.compare.cases import Bytes, PictureCase
from nlmeans.compare.run import Outcome, png
from nlmeans.compare.scores import quantised
from nlmeans.compare.tables import COLUMNS, MethodRow, cell, flat, incomplete

CROP = 256  # pixels: sides of what is shown of a picture
WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 540, 280, 50, 40, 15  # of a plot


def page(
    title: str,
    about: dict[str, Any],
    found: Sequence[MethodRow],
    outcomes: Sequence[Outcome],
    problems: Sequence[str],
) -> str:
    """The page.

    - `about`: how the report was made, shown at the end.
    - `outcomes`: those with a picture are shown.
    - `problems`: what was not compared.
    """
    style, script = (_resource(f"page.{kind}") for kind in ("css", "js"))
    listed = "".join(f"<li>{escape(problem)}</li>" for problem in problems)
    return Template(_resource("page.html")).substitute(
        title=escape(title),
        style=style,
        script=script,
        style_hash=_hash(style),
        script_hash=_hash(script),
        table=_table(found),
        problems=f'<section id="problems"><h2>Not compared</h2><ul>{listed}</ul></section>'
        if problems
        else "",
        plots="\n".join(_plots(found)),
        figures="\n".join(_figures(outcomes)),
        about="".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in flat(about)),
    )


def _resource(name: str) -> str:
    return (resources.files("nlmeans.compare") / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _table(found: Sequence[MethodRow]) -> str:
    def kind(attribute: str, form: str) -> str:
        return "text note" if attribute == "note" else "text" if form == "" else ""

    heading = "".join(
        f'<th class="{"text" if form == "" else ""}"><button type="button">{escape(name)}'
        "</button></th>"
        for name, _, form in COLUMNS
    )
    lines = []
    for row in found:
        cells = []
        for _, attribute, form in COLUMNS:
            value = getattr(row, attribute)
            sorted_by = "" if value is None else str(value).replace("inf", "Infinity")
            if form == "":
                sorted_by = value
            cells.append(
                f'<td class="{kind(attribute, form)}" data-value="{escape(sorted_by)}">'
                f"{escape(cell(row, attribute, form))}</td>"
            )
        published = ' class="published"' if row.published else ""
        lines.append(f"<tr{published}>{''.join(cells)}</tr>")
    return (
        f"<table><thead><tr>{heading}</tr></thead>\n<tbody>\n"
        + "\n".join(lines)
        + "\n</tbody></table>"
    )


def _plots(found: Sequence[MethodRow]) -> list[str]:
    """A plot for each noise level: mean PSNR over seconds for a megapixel, the latter by powers."""
    plots = []
    for sigma in dict.fromkeys(row.sigma for row in found):
        points = [
            (math.log10(row.seconds_per_megapixel), row.psnr, row.method + incomplete(row))
            for row in found
            if row.sigma == sigma
            and row.seconds_per_megapixel
            and row.psnr
            and math.isfinite(row.psnr)
        ]
        if points:
            name = "noise as it is" if sigma is None else f"sigma {sigma:g}"
            plots.append(f"<div><h3>{escape(name)}</h3>\n{_plot(points)}</div>")
    return plots or ["<p>Nothing was timed.</p>"]


def _plot(points: Sequence[tuple[float, float, str]]) -> str:
    xs, ys = [x for x, _, _ in points], [y for _, y, _ in points]
    low_x, high_x = math.floor(min(xs)), max(math.ceil(max(xs)), math.floor(min(xs)) + 1)
    low_y, high_y = math.floor(min(ys) - 0.2), math.ceil(max(ys) + 0.2)

    def across(x: float) -> float:
        return LEFT + (x - low_x) / (high_x - low_x) * (WIDTH - LEFT - 110)

    def up(y: float) -> float:
        return HEIGHT - BOTTOM - (y - low_y) / (high_y - low_y) * (HEIGHT - BOTTOM - TOP)

    end = across(high_x)
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img" '
        'aria-label="PSNR over seconds for a megapixel">'
    ]
    for k in range(low_x, high_x + 1):
        x = across(k)
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
        parts.append(
            f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{10.0**k:g}</text>'
        )
    for k in range(low_y, high_y + 1, max(1, (high_y - low_y) // 6)):
        y = up(k)
        parts.append(f'<line x1="{LEFT}" x2="{end:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{k}</text>')
    parts.append(
        f'<text x="{(LEFT + end) / 2:.1f}" y="{HEIGHT - 6}" text-anchor="middle">'
        "seconds for a megapixel</text>"
    )
    parts.append(f'<text x="4" y="{TOP - 3}">dB</text>')
    for x, y, method in points:
        label = escape(method)
        parts.append(
            f'<circle cx="{across(x):.1f}" cy="{up(y):.1f}" r="5"><title>{label}: {y:.2f} dB, '
            f"{10**x:.3g} s/MP</title></circle>"
            f'<text x="{across(x) + 9:.1f}" y="{up(y) + 4:.1f}">{label}</text>'
        )
    return "".join([*parts, "</svg>"])


@dataclass(frozen=True)
class _View:
    label: str
    picture: Bytes


def _figures(outcomes: Sequence[Outcome]) -> list[str]:
    by_case: dict[PictureCase, list[tuple[str, Path]]] = {}
    for outcome in outcomes:
        if outcome.picture is not None and outcome.task.method.text != "noisy":
            found = (outcome.task.method.label, outcome.picture)
            by_case.setdefault(outcome.task.case, []).append(found)
    return [_figure(case, pictures) for case, pictures in by_case.items()]


def _figure(case: PictureCase, pictures: Sequence[tuple[str, Path]]) -> str:
    """The middle of a picture: noisy, clean, by each method, and what each took away."""
    clean, noisy = case.pictures()
    height, width = clean.shape[:2]
    y, x = max(0, (height - CROP) // 2), max(0, (width - CROP) // 2)
    crop = (slice(y, y + CROP), slice(x, x + CROP))
    views = [_View("noisy", quantised(noisy)[crop]), _View("clean", clean[crop])]
    noises = []
    for label, path in pictures:
        result = np.asarray(imageio.imread(path), dtype=np.uint8)[crop]
        views.append(_View(label, result))
        taken = noisy[crop].astype(np.float64) - result / 255
        noises.append(_View(f"method noise of {label}", quantised(taken + 128 / 255)))
    views += noises
    level = "" if case.sigma is None else f", sigma {case.sigma:g}"
    caption = escape(f"{case.name}{level}")
    left, right = 0, 2
    images = "".join(
        f'<img class="{" ".join(c for c, n in (("left", left), ("right", right)) if n == k)}" '
        f'alt="{escape(view.label)}" src="data:image/png;base64,'
        f'{base64.b64encode(png(view.picture)).decode()}">'
        for k, view in enumerate(views)
    )

    def select(side: str, chosen: int) -> str:
        options = "".join(
            f"<option{' selected' if k == chosen else ''}>{escape(view.label)}</option>"
            for k, view in enumerate(views)
        )
        return f'<label>{side} <select class="{side}">{options}</select></label>'

    return (
        f"<figure><figcaption>{caption}</figcaption>"
        f"<p>{select('left', left)} {select('right', right)}</p>"
        f'<div class="views">{images}</div>'
        f'<input type="range" min="0" max="100" value="50" aria-label="line between the two">'
        "</figure>"
    )
