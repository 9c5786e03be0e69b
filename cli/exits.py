"""Exit codes, and which error becomes which."""

OK, FAILED, USAGE = range(3)
INTERRUPTED, TERMINATED = 130, 143

EXPLAINED = (
    "Exit codes: 0 all done; 1 at least one file failed; 2 wrong usage, or "
    "a number beyond what a file allows; 130 interrupted by Ctrl-C; 143 terminated, or its "
    "terminal was closed."
)


def code_of(error: Exception) -> int:
    """The exit code for an error met while working on one file."""
    from nlmeans.base.checks import ParameterError

    return USAGE if isinstance(error, ParameterError) else FAILED


def foreseen(error: Exception) -> bool:
    """Whether the error's own message is for the user; others are bugs."""
    from nlmeans.images import ImageReadError, ImageWriteError

    # ValueError and TypeError: pixels that filter or estimator do not take, and weights files.
    kinds = (ImageReadError, ImageWriteError, MemoryError, ValueError, TypeError)
    return isinstance(error, kinds)
