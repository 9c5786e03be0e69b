"""Checks of numbers and sides as peers take them."""

from nlmeans.base.checks import check_number, check_whole


def number(name: str, value: float) -> float:
    return check_number(name, value, low=0, above=True)


def count(name: str, value: int, low: int = 0, high: int = 4999) -> int:
    return check_whole(name, value, low=low, high=high)


def odd(name: str, side: int, low: int = 1, high: int = 9999) -> int:
    """The side itself, or the next odd one."""
    return count(name, side, low, high) | 1
