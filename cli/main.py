"""The group of commands and the one place where exceptions become exit codes."""

import os
import signal
import sys
from contextlib import suppress
from traceback import walk_tb
from types import FrameType
from typing import NoReturn

import click
from nlmeans.cli import exits
from nlmeans.cli.commands.affinity import affinity
from nlmeans.cli.commands.compare import compare
from nlmeans.cli.commands.denoise import denoise
from nlmeans.cli.commands.estimate import estimate
from nlmeans.cli.commands.plan import plan
from nlmeans.cli.commands.points import points
from nlmeans.cli.commands.strengths import strengths
from nlmeans.cli.commands.weights import weights
from nlmeans.cli.files import explained, shown

import nlmeans


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=f"""\b
Examples:
  nlmeans denoise photo.jpg             writes photo_denoised.jpg
  nlmeans denoise scans/*.tif -O clean  writes into the folder clean
  nlmeans strengths photo.jpg           shows it at several strengths
  nlmeans estimate photo.jpg            says how noisy it is
  nlmeans points scan.ply               denoises a point cloud

{exits.EXPLAINED}""",
)
@click.version_option(nlmeans.__version__, prog_name="nlmeans")
def main() -> None:
    """Remove noise from images with non-local means.

    Every pixel becomes an average of the pixels whose surroundings look like its own.
    """


main.add_command(affinity)
main.add_command(compare)
main.add_command(denoise)
main.add_command(estimate)
main.add_command(plan)
main.add_command(points)
main.add_command(strengths)
main.add_command(weights)


def run(arguments: list[str] | None = None) -> NoReturn:
    """Entry point: run the command line and exit with the code of what happened."""
    signal.signal(signal.SIGTERM, _terminated)
    hang_up = getattr(signal, "SIGHUP", None)  # which Windows does not have, and nohup ignores
    if hang_up is not None and signal.getsignal(hang_up) == signal.SIG_DFL:
        signal.signal(hang_up, _terminated)
    try:
        code = main.main(arguments, prog_name="nlmeans", standalone_mode=False) or exits.OK
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        code = exits.USAGE
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "nlmeans"
        message = error.format_message()
        click.echo(f"{command}: {message} (see {command} --help)", err=True)
        code = exits.USAGE
    except (click.Abort, KeyboardInterrupt):
        click.echo("nlmeans: interrupted; files finished before are complete", err=True)
        code = exits.INTERRUPTED
    except _Terminated:
        code = exits.TERMINATED
    except Exception as error:
        if isinstance(error, OSError) and _is_of_printing(error):
            message = f"cannot print ({error.strerror}); files are complete"
        elif isinstance(error, OSError) and not exits.foreseen(error) and error.filename:
            # Pictures have theirs handled: this is another file, such as a report's.
            message = f"{shown(error.filename)}: {error.strerror}"
        else:
            message = explained(error)
        click.echo(f"nlmeans: {message}", err=True)
        code = exits.code_of(error)
    _leave(code)


def _is_of_printing(error: OSError) -> bool:
    """Whether standard output failed: the error itself does not say so."""
    frames = walk_tb(error.__traceback__)
    return any(frame.f_code is click.echo.__code__ for frame, _ in frames)


def _leave(code: int) -> NoReturn:
    """Exit; without the clean-up of the interpreter, which waits for a kernel that compiles."""
    driver = sys.modules.get("nlmeans.kernels.driver")
    if driver is not None and driver.busy():
        with suppress(OSError):  # nobody reads any more
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


class _Terminated(BaseException):
    pass


def _terminated(number: int, frame: FrameType | None) -> NoReturn:
    """Leave by an exception, so that temporary files are removed on the way out."""
    raise _Terminated
