"""A still WebP, lossy or lossless."""

from typing import Any

from nlmeans.images import pillow
from nlmeans.images.picture import Picture

header = pillow.header


def read(data: bytes) -> Picture:
    """The picture in RGB or RGBA."""
    image, mode = pillow.opened(data, "WEBP")
    return pillow.picture_of(pillow.decoded(data, mode), "WebP", image.info)


def write(picture: Picture, _suffix: str, quality: int | None) -> tuple[bytes, tuple[str, ...]]:
    """Lossless, colours under transparent pixels too, unless a quality is given."""
    options: dict[str, Any] = {"lossless": True} if quality is None else {"quality": quality}
    options |= {"exact": True} | pillow.metadata_options(picture.metadata)
    return pillow.encoded(picture, options), ()
