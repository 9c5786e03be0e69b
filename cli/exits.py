"""Exit codes, and which error becomes which."""

OK, SOME_FAILED, USAGE, INPUT, OUTPUT, RESOURCES, INTERNAL = range(7)
INTERRUPTED, TERMINATED = 130, 143

EXPLAINED = (
    "Exit codes: 0 all done; 1 some of several files failed; 2 wrong usage; 3 input unreadable or "
    "not supported; 4 output or disk; 5 not enough memory; 6 a bug in nlmeans; 130 interrupted; "
    "143 terminated."
)


def code_of(error: Exception) -> int:
    """The exit code for an error met while working on one file."""
    from nlmeans.checks import ParameterError
    from nlmeans.images import ImageReadError, ImageWriteError
    from nlmeans.weights.errors import WeightsWriteError

    kinds: tuple[tuple[type[Exception], int], ...] = (
        (ImageReadError, INPUT),
        (ImageWriteError, OUTPUT),
        (WeightsWriteError, OUTPUT),
        (ParameterError, USAGE),
        (MemoryError, RESOURCES),
        (ValueError, INPUT),  # pixels that the filter or the estimator does not take
        (TypeError, INPUT),
    )
    return next((code for kind, code in kinds if isinstance(error, kind)), INTERNAL)
