"""nlmeans compare: methods side by side on a folder of clean pictures."""

import shlex
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click
from nlmeans.cli import exits
from nlmeans.cli.files import shown
from nlmeans.cli.options.types import FILE, NUMBERS, option


@option("--sigma", "sigmas", type=NUMBERS, shown="with --noisy: estimated")
def sigma_option() -> None:
    """Noise levels to add, in grey levels of 0-255, above 0. With --noisy the one level that
    methods are told."""


@option("--noisy", type=FILE, metavar="DIR", shown="noise is added")
def noisy_option() -> None:
    """Take noisy pictures from this folder: same names and sizes as the clean ones."""


@option("--method", "methods", multiple=True, default=("classic",), metavar="NAME,...")
def method_option() -> None:
    """What to compare: a name such as classic, skimage, opencv or bm3d (an unknown one lists all),
    weights:FILE (trained weights), or results:DIR (finished pictures; for several noise levels in
    DIR/15 and so on). Several are separated by commas, or the option is repeated."""


@option("-o", "--output", "folder", type=FILE, default=Path("report"), metavar="DIR")
def folder_option() -> None:
    """Write the report into this folder, which must not be there."""


@option("--resume", is_flag=True, shown="refuse")
def resume_option() -> None:
    """Go on with an existing report: what was done with the same pictures, methods and versions is
    not done again."""


@option("--clip", is_flag=True, shown="the papers' noise is not clipped")
def clip_option() -> None:
    """Clip added noise to 0-255 and round it, as a file would hold it; not with --noisy."""


@option("--published", "published_set", metavar="SET", shown="none")
def published_option() -> None:
    """Add the rows that others published for this set: Set12, BSD68, Urban100, CBSD68, Kodak24,
    McMaster or FMD (real noise)."""


@option("--pictures", type=click.IntRange(0), default=4)
def pictures_option() -> None:
    """How many of the pictures the page shows, from 0."""


@option("--threads", type=click.IntRange(1), shown="all cores")
def threads_option() -> None:
    """Threads that methods have when they are timed, from 1."""


@option("--jobs", type=click.IntRange(1), shown="all cores")
def jobs_option() -> None:
    """Cases that are scored at once, from 1. Times are taken afterwards, one at a time."""


@option("-q", "--quiet", is_flag=True, shown="print the table")
def quiet_option() -> None:
    """Print nothing but errors."""


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
@click.argument("clean", metavar="CLEAN_DIR", type=FILE)
@sigma_option
@noisy_option
@method_option
@folder_option
@resume_option
@clip_option
@published_option
@pictures_option
@threads_option
@jobs_option
@quiet_option
def compare(
    clean: Path, methods: tuple[str, ...], folder: Path, quiet: bool, **protocol: Any
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
    sigmas = protocol.pop("sigmas") or ()
    comparison = prepare(clean, names, folder, sigmas=sigmas, **protocol)
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
