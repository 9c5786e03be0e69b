"""What is said of a weights file: refusals with its path, and a warning."""


class WeightsError(OSError, ValueError):
    """A weights file that cannot be used; the message is one line that starts with its path."""


class WeightsWriteError(WeightsError):
    """A weights file that cannot be written; nothing was changed."""


class WeightsWarning(UserWarning):
    """Weights that can be used but do nothing."""


class Refusal(Exception):
    """Why a file is refused, without its path, which the public functions put before it."""
