"""BMP, read at any depth and written at 1, 8 or 24 bits."""

from nlmeans.images.picture import Picture
from nlmeans.images.pillow import (
    decoded,
    encoded,
    header,
    metadata_of,
    opened,
    palette_notes,
    picture_of,
)

__all__ = ["header", "read", "write"]


def read(data: bytes) -> Picture:
    """The picture; colours of a palette become RGB."""
    image, mode = opened(data, "BMP")
    notes = palette_notes(image, mode)
    return picture_of(decoded(data, mode), "BMP", metadata_of(image.info), notes)


def write(picture: Picture, _suffix: str, _quality: int | None) -> tuple[bytes, tuple[str, ...]]:
    """The picture with its resolution."""
    # Pillow would claim 96 dpi when nothing is known.
    return encoded(picture, {"dpi": picture.metadata.dpi or (0, 0)}), ()
