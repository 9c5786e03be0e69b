"""BMP, read at any depth and written at 1, 8 or 24 bits."""

from nlmeans.images import pillow
from nlmeans.images.picture import Picture

header = pillow.header


def read(data: bytes) -> Picture:
    """The picture; colours of a palette become RGB."""
    image, mode = pillow.opened(data, "BMP")
    notes = pillow.palette_notes(image, mode)
    return pillow.picture_of(pillow.decoded(data, mode), "BMP", image.info, notes)


def write(picture: Picture, _suffix: str, _quality: int | None) -> tuple[bytes, tuple[str, ...]]:
    """The picture with its resolution."""
    # Pillow would claim 96 dpi when nothing is known.
    return pillow.encoded(picture, {"dpi": picture.metadata.dpi or (0, 0)}), ()
