"""A still WebP, lossy or lossless."""

from typing import Any

from nlmeans.images.picture import Picture
from nlmeans.images.pillow import (
    decoded,
    encoded,
    header,
    metadata_of,
    metadata_options,
    opened,
    picture_of,
)

__all__ = ["header", "read", "write"]


def read(data: bytes) -> Picture:
    """The picture in RGB or RGBA."""
    image, mode = opened(data, "WEBP")
    return picture_of(decoded(data, mode), "WebP", metadata_of(image.info))


def write(picture: Picture, _suffix: str, quality: int | None) -> tuple[bytes, tuple[str, ...]]:
    """Lossless, colours under transparent pixels too, unless a quality is given."""
    options: dict[str, Any] = {"lossless": True} if quality is None else {"quality": quality}
    options |= {"exact": True} | metadata_options(picture.metadata)
    return encoded(picture, options), ()
