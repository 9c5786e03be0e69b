"""What is said of a weights file: refusals with its path, and a warning."""


class WeightsError(OSError, ValueError):
    """A weights file that cannot be used; the message is one line that starts with its path."""


class WeightsWarning(UserWarning):
    """Weights that can be used but do nothing."""


LONGEST = 1000  # characters of a message


def one_line(text: str, longest: int = LONGEST) -> str:
    """A text with parts of a file as it can be printed, no longer than a few lines of a terminal."""
    shown = text if text.isprintable() else repr(text)
    return shown if len(shown) <= longest else f"{shown[:longest]} ..."


class Refused(Exception):
    """Why a file is refused, without its path, which the public functions put before it."""
