"""nlmeans compare: methods side by side on a folder of clean pictures."""

import math
import shlex
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click
from nlmeans.cli import exits
from nlmeans.cli.files import shown

FOLDER: Any = click.Path(path_type=Path)


class SigmasType(click.ParamType[tuple[float, ...]]):
    """Noise levels, separated by commas."""

    name = "sigmas"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return "NUMBER,..."

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        if not isinstance(value, str):
            return value  # type: ignore[no-any-return]
        try:
            levels = tuple(float(part) for part in value.split(","))
        except ValueError:
            levels = ()
        if not levels or not all(0 < level < math.inf for level in levels):
            self.fail(f"{value!r} is no list of noise levels such as 15,25,50", param, ctx)
        return levels


@click.command(
    epilog="""\b
Examples:
  nlmeans compare Set12 --sigma 15,25,50 --method classic,skimage,opencv -o report
      add noise, denoise with each, write tables and report/index.html
  nlmeans compare clean --noisy camera --method classic,results:mine -o report
      real noise; mine holds the pictures that another program made of it
  nlmeans compare Set12 --sigma 25 --method classic --published Set12 -o report
      beside the figures that others published"""
)
@click.argument("clean", metavar="CLEAN_DIR", type=FOLDER)
@click.option(
    "--sigma",
    "sigmas",
    type=SigmasType(),
    default=None,
    show_default="with --noisy: estimated",
    help="Noise levels to add, in grey levels of 0-255, above 0. With --noisy the one level that "
    "methods are told.",
)
@click.option(
    "--noisy",
    type=FOLDER,
    default=None,
    metavar="DIR",
    show_default="noise is added",
    help="Take noisy pictures from this folder: same names and sizes as the clean ones.",
)
@click.option(
    "--method",
    "methods",
    multiple=True,
    default=("classic",),
    show_default=True,
    metavar="NAME,...",
    help="What to compare: a name such as classic, skimage, opencv or bm3d (an unknown one lists "
    "all), weights:FILE (trained weights), or results:DIR (finished pictures; for several noise "
    "levels in DIR/15 and so on). Several are separated by commas, or the option is repeated.",
)
@click.option(
    "-o",
    "--output",
    "folder",
    type=FOLDER,
    default=Path("report"),
    metavar="DIR",
    show_default=True,
    help="Write the report into this folder, which must not be there.",
)
@click.option(
    "--resume",
    is_flag=True,
    default=False,
    show_default="refuse",
    help="Go on with a report that is there; what was done with the same pictures, methods and "
    "versions is not done again.",
)
@click.option(
    "--clip",
    is_flag=True,
    default=False,
    show_default="the papers' noise is not clipped",
    help="Clip added noise to 0-255 and round it, as a file would hold it; not with --noisy.",
)
@click.option(
    "--published",
    "published_set",
    default=None,
    metavar="SET",
    show_default="none",
    help="Add the rows that others published for this set: Set12, BSD68, Urban100, CBSD68, "
    "Kodak24, McMaster or FMD (real noise).",
)
@click.option(
    "--pictures",
    type=click.IntRange(0),
    default=4,
    show_default=True,
    help="How many of the pictures the page shows, from 0.",
)
@click.option(
    "--threads",
    type=click.IntRange(1),
    default=None,
    show_default="all cores",
    help="Threads that methods have when they are timed, from 1.",
)
@click.option(
    "--jobs",
    type=click.IntRange(1),
    default=None,
    show_default="all cores",
    help="Cases that are scored at once, from 1. Times are taken afterwards, one at a time.",
)
@click.option(
    "-q",
    "--quiet",
    is_flag=True,
    default=False,
    show_default="print the table",
    help="Print nothing but errors.",
)
def compare(
    clean: Path,
    sigmas: tuple[float, ...] | None,
    noisy: Path | None,
    methods: tuple[str, ...],
    folder: Path,
    resume: bool,
    clip: bool,
    published_set: str | None,
    pictures: int,
    threads: int | None,
    jobs: int | None,
    quiet: bool,
) -> int:
    """Compare denoising methods on a folder of clean pictures.

    Noise is that of the published tables: seed 0 for each picture, not clipped, results rounded to
    8 bits. PSNR and both kinds of SSIM come with seconds a megapixel, memory and versions, as a
    table here, and in the report as CSV, JSON, Markdown, LaTeX and a page with pictures.
    """
    from nlmeans.compare.report import finish, prepare
    from nlmeans.compare.tables import text_table

    command = shlex.join(["nlmeans", *sys.argv[1:]])
    names = [name for text in methods for name in text.split(",") if name]
    comparison = prepare(
        clean,
        names,
        folder,
        sigmas=sigmas or (),
        noisy=noisy,
        clip=clip,
        published_set=published_set,
        pictures=pictures,
        threads=threads,
        jobs=jobs,
        resume=resume,
    )
    for problem in comparison.problems:
        click.echo(f"nlmeans: {problem}", err=True)
    listed = len(comparison.problems)
    hidden = quiet or not sys.stderr.isatty()
    bar = click.progressbar(length=len(comparison.tasks), file=sys.stderr, hidden=hidden)
    with bar if not hidden else nullcontext() as shows:
        report = finish(comparison, command, (lambda done: None) if shows is None else shows.update)
    for line in [*report.problems[listed:], *report.missing]:
        click.echo(f"nlmeans: {line}", err=True)
    if report.busy:
        click.echo(
            "nlmeans: the machine was busy: times are too long; --resume redoes them", err=True
        )
    if not quiet:
        click.echo(text_table(report.rows))
        click.echo(f"\n{shown(report.page)}")
    return exits.FAILED if report.problems else exits.OK
