"""Texts from outside, such as names in files, as they can be printed: on a line, not for ever."""

import os

LONGEST = 1000


def one_line(text: str, longest: int = LONGEST) -> str:
    """As it is if it can be printed on a line, else as Python would write it; cut where too long.

    Examples
    --------
    >>> one_line("two\\nlines")
    "'two\\\\nlines'"
    >>> one_line("abc", 2)
    'ab ...'
    """
    shown = text if text.isprintable() else repr(text)
    return shown if len(shown) <= longest else f"{shown[:longest]} ..."


def show_size(size: int | tuple[int, ...]) -> str:
    """One number, or one for each axis.

    >>> show_size(3), show_size((3, 5))
    ('3', '3x5')
    """
    return "x".join(map(str, size)) if isinstance(size, tuple) else str(size)


def shown(path: str | os.PathLike[str]) -> str:
    """A path on one line, whatever is in it, and whole: it is to be found again."""
    text = os.fspath(path)
    return text if text.isprintable() else repr(text)
