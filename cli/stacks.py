"""What the pages of a picture are taken as, and the parts of it that are worked on alone."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from nlmeans.images import Picture

Part = tuple[int | slice, ...]
T = TypeVar("T")
KINDS = {"Z": "volume", "TZ": "volume", "T": "clip", "I": "pages"}  # by the axes of a picture
UNKNOWN = "I"


@dataclass(frozen=True)
class Pages:
    """A picture with a decision."""

    picture: "Picture"
    stack: str | None  # "volume", "clip" or "pages"; None for a single picture
    # where in the pixels each part is: the picture, one volume or clip, or one page
    parts: list[Part]
    note: str | None = None  # what there is to say of the decision

    @property
    def layout(self) -> dict[str, Any]:
        """Of a part, as `nlmeans.denoise` wants it told."""
        return {
            "channel_axis": None if self.picture.channel_axis is None else -1,
            "alpha": self.picture.alpha,
            "stack": self.stack if self.stack in ("volume", "clip") else "auto",
        }

    @property
    def record(self) -> dict[str, Any]:
        """For --json."""
        return {"stack": self.stack, "pages": self.picture.pages}

    def __str__(self) -> str:
        """Such as "volume of 20 pages, "; empty for a single picture."""
        pages, count = self.picture.pages, len(self.parts)
        if self.stack is None:
            return ""
        if self.stack == "pages":
            return f"{pages} pages, each alone, "
        if count == 1:
            return f"{self.stack} of {pages} pages, "
        return f"{count} {self.stack}s of {pages // count} pages, "

    def map(self, work: Callable[[int, Part], T]) -> list[T]:
        """What ``work`` makes of each part and its number from 0; errors say which of several."""
        results = []
        for number, part in enumerate(self.parts):
            try:
                results.append(work(number, part))
            except ValueError as error:
                if len(self.parts) == 1:
                    raise
                name = "page" if self.stack == "pages" else self.stack
                raise type(error)(f"{name} {number + 1}: {error}") from error
        return results


def pages_of(picture: "Picture", asked: str) -> Pages:
    """As asked for, or as the file says; pages of no known meaning are left alone."""
    if not picture.stack:
        return Pages(picture, None, [()])
    stack = KINDS[picture.stack] if asked == "auto" else asked
    axis = {"volume": "Z", "clip": "T", "pages": ""}[stack]
    along = axis if axis in picture.stack else picture.stack
    note = None
    if asked == "auto" and picture.stack == UNKNOWN:
        note = (
            f"{picture.pages} pages of no known meaning, each taken alone; --stack volume or "
            "--stack clip uses the neighbours"
        )
    return Pages(picture, stack, list(picture.parts(along)), note)
