"""What do classical filters reach on the sets of the papers' tables (BASELINE.md)?

    pip install -e '.[compare]' bm3d     # bm3d: a licence of its own, its row may be missing
    python benchmarks/baseline.py --set12 DIR --kodak DIR --fmd DIR --polyu DIR
                                  [--work DIR] [-o BASELINE.md]

Data: Set12, Kodak24, FMD, PolyU. Time: hours, most of them for the peers.

Each set is one `nlmeans compare`, whose full report stays in the work folder; a run that was
stopped goes on where it was. Kodak24 is compared in colour and as grey pictures of its luma (ITU-R
601, as Pillow has it). FMD: folders raw and gt of the mixed test set, single frames. PolyU: pairs
*_real.JPG, *_mean.JPG. Parameters were chosen on Train400 and odd-numbered images of Kodak24, so
the even-numbered ones stand apart.
"""

import argparse
import csv
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import imageio.v3 as iio
from measure import options_of, pngs
from PIL import Image

from nlmeans.compare.report import Comparison, Summary, finish, prepare
from nlmeans.compare.scores import PSNR
from nlmeans.compare.tables import MethodRow
from nlmeans.compare.work import LEAST_RUNS, MOST_RUNS

SIGMAS = (15.0, 25.0, 50.0)
ADDED = ("classic", "ridge", "skimage", "skimage-slow", "opencv", "bm3d")
# Without scikit-image's slow mode and bm3d, which take up to half a minute a picture.
KODAK = ("classic", "ridge", "skimage", "opencv")
REAL = ("auto", "classic", "skimage", "opencv")


@dataclass(frozen=True)
class PictureSet:
    """One set of pictures.

    Attributes
    ----------
    title : str
    clean : Path
    methods : sequence of str
    noisy : Path or None
        Folder of noisy pictures; None where noise is added.
    published : str or None
        The set's name in the published rows.
    """

    title: str
    clean: Path
    methods: Sequence[str]
    noisy: Path | None = None
    published: str | None = None

    def lines(self, work: Path) -> Iterator[str]:
        """Markdown of what `nlmeans compare` finds."""
        folder = work / self.title.lower().replace(" ", "-").replace(",", "")
        sigmas = () if self.noisy else SIGMAS
        comparison = prepare(
            self.clean,
            self.methods,
            folder,
            sigmas=sigmas,
            noisy=self.noisy,
            pictures=0,
            published_set=self.published,
            resume=True,
        )
        report = finish(comparison, shlex.join(sys.argv), Counter(self.title, comparison))
        for problem in (*report.problems, *report.missing):
            print(f"{self.title}: {problem}", file=sys.stderr)
        if report.problems:
            raise SystemExit(f"{self.title}: not all was compared; mend it and run again")
        if report.busy:
            print(f"{self.title}: timed on a busy machine; run again", file=sys.stderr)
        yield from ("", f"## {self.title}", "")
        yield from table(report, comparison.levels, even_numbered(folder, self.title))
        about = comparison.about
        yield from ("", f"{about['clean pictures'].split(' in ')[0]} pictures.")
        yield from (f"- {text}" for text in about["methods"] if not text.startswith("noisy"))


class Counter:
    """Says on standard error how much of a table is done."""

    def __init__(self, title: str, comparison: Comparison) -> None:
        self.title, self.all, self.done = title, len(comparison.tasks), 0

    def __call__(self, done: int) -> None:
        self.done += done
        print(f"\r{self.title}: {self.done} of {self.all}", end="", file=sys.stderr)
        if self.done == self.all:
            print(file=sys.stderr)


def even_numbered(folder: Path, title: str) -> dict[tuple[str, str], float]:
    """Mean PSNR by method and sigma over the even-numbered images of Kodak24."""
    if not title.startswith("Kodak24"):
        return {}
    found: dict[tuple[str, str], list[float]] = {}
    with (folder / "cases.csv").open(newline="") as file:
        for case in csv.DictReader(file):
            number = int("".join(c for c in case["image"] if c.isdigit()))
            if number % 2 == 0:
                key = case["method"], f"{float(case['sigma']):g}"
                found.setdefault(key, []).append(float(case[PSNR]))
    return {key: mean(values) for key, values in found.items()}


def table(
    report: Summary, levels: Sequence[float | None], even: dict[tuple[str, str], float]
) -> Iterator[str]:
    """Methods down; PSNR, SSIM and time across."""
    names = ["real" if level is None else f"{level:g}" for level in levels]
    heading = ["method", *(f"PSNR {name}" for name in names)]
    heading += [f"even {name}" for name in names] if even else []
    heading += [*(f"SSIM {name}" for name in names), "s/MP", "threads", "version or source"]
    yield "| " + " | ".join(heading) + " |"
    yield "|---" * len(heading) + "|"
    for method, published in dict.fromkeys((row.method, row.published) for row in report.rows):
        own = [row for row in report.rows if (row.method, row.published) == (method, published)]
        by_level = {row.sigma: row for row in own}
        cells = [number(by_level.get(level), "psnr", ".2f") for level in levels]
        if even:
            cells += [f"{even[method, n]:.2f}" if (method, n) in even else "-" for n in names]
        cells += [number(by_level.get(level), "ssim_gaussian", ".4f") for level in levels]
        timed = by_level.get(25.0, own[0])
        cells += [number(timed, "seconds_per_megapixel", ".2f"), number(timed, "threads", "d")]
        cells.append(own[0].note if published else own[0].version or own[0].note or "-")
        label = f"{method} (published)" if published else method
        yield "| " + " | ".join([label, *cells]) + " |"


def number(row: MethodRow | None, attribute: str, form: str) -> str:
    value = (
        None
        if row is None or (row.method == "noisy" and attribute == "threads")
        else (getattr(row, attribute))
    )
    return "-" if value is None else format(value, form)


def grey_copies(folder: Path, target: Path) -> Path:
    """Luma of colour pictures, in a folder of their own."""
    target.mkdir(parents=True, exist_ok=True)
    for path in pngs(folder):
        with Image.open(path) as picture:
            iio.imwrite(target / path.name, picture.convert("L"))
    return target


def pairs(folder: Path, target: Path) -> tuple[Path, Path]:
    """Folders of the clean and the noisy pictures of PolyU, of the same names, as links."""
    clean, noisy = target / "clean", target / "noisy"
    for place, ending in ((clean, "_mean.JPG"), (noisy, "_real.JPG")):
        place.mkdir(parents=True, exist_ok=True)
        for path in sorted(folder.glob(f"*{ending}")):
            link = place / (path.name.removesuffix(ending) + ".jpg")
            link.unlink(missing_ok=True)
            link.symlink_to(path.resolve())
    return clean, noisy


def tables(options: argparse.Namespace) -> Iterator[PictureSet]:
    work = options.work
    if options.set12:
        yield PictureSet("Set12", options.set12, ADDED, published="Set12")
    if options.fmd:
        raw, clean = options.fmd / "raw", options.fmd / "gt"
        yield PictureSet("FMD, real noise", clean, REAL, noisy=raw, published="FMD")
    if options.polyu:
        clean, noisy = pairs(options.polyu, work / "polyu-pairs")
        yield PictureSet("PolyU, real noise", clean, REAL, noisy=noisy)
    if options.kodak:
        grey = grey_copies(options.kodak, work / "kodak-luma")
        yield PictureSet("Kodak24, grey", grey, KODAK)
        yield PictureSet("Kodak24, colour", options.kodak, KODAK, published="Kodak24")


def introduction(about: dict[str, Any]) -> list[str]:
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    return [
        "# Baseline",
        "",
        "Non-local means, told only the noise's standard deviation, on the sets of the published",
        "tables; beside it other classical filters, and rows that others published, with their",
        "source. This file is written by one command (see `benchmarks/baseline.py`):",
        "",
        "```sh",
        shlex.join(["python", *sys.argv]),
        "```",
        "",
        "Noise by the papers' protocol: clean picture in [0, 1], `numpy.random.seed(0)` for each,",
        "N(0, sigma/255) added and not clipped, results rounded to 8 bits. Mean PSNR in dB; SSIM",
        "with Gaussian windows (Wang et al., 2004); seconds a megapixel at sigma 25, the best of",
        f"{LEAST_RUNS} to {MOST_RUNS} runs. On pictures with real noise `auto` is told nothing,",
        "the others the estimate of `nlmeans.estimate_sigma`. All are given floats in [0, 1].",
        "Real noise was looked at while its estimate took shape (see `benchmarks/real_noise.py`).",
        "",
        f"{about['processor']}; {about['system']}; {versions}.",
    ]


def main() -> None:
    parser = options_of(__doc__)
    for name in ("set12", "kodak", "fmd", "polyu"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--work", type=Path, default=Path("baseline"), help="of the reports")
    parser.add_argument("-o", "--output", type=Path, default=Path("BASELINE.md"))
    options = parser.parse_args()
    chosen = list(tables(options))
    if not chosen:
        parser.error("give at least one of --set12, --kodak, --fmd and --polyu")
    about = prepare(chosen[0].clean, ["classic"], options.work / "about", sigmas=SIGMAS).about
    lines = introduction(about)
    for each in chosen:
        lines += each.lines(options.work)
        options.output.write_text("\n".join([*lines, ""]))


if __name__ == "__main__":
    main()
