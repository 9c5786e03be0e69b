"""A contact sheet: one region at several strengths, to choose from."""

from collections.abc import Sequence
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from nlmeans.base.arrays import to_dtype, whole_range

Bytes = NDArray[np.uint8]
SIDE = 320  # pixels of a tile, about
LABEL = 22  # pixels above a tile
GAP = 8
WHITE, BLACK = (255, 255, 255), (0, 0, 0)


def in_bytes(colours: NDArray[Any], low: float, high: float) -> Bytes:
    """The first channel, or three, in 8 bits: black at `low`, white at `high`."""
    if colours.ndim == 3:
        colours = colours[..., :3] if colours.shape[-1] >= 3 else colours[..., 0]
    scaled = (colours.astype(np.float64) - low) * (255 / (high - low if high > low else 1.0))
    return np.asarray(to_dtype(scaled, np.dtype(np.uint8)))


def black_and_white(colours: NDArray[Any]) -> tuple[float, float]:
    """The values shown as black and white: the ends of unsigned integers, else the extremes."""
    if colours.dtype.kind in "bu":
        return 0.0, whole_range(colours.dtype)
    return float(colours.min()), float(colours.max())


def draw_sheet(tiles: Sequence[tuple[str, Bytes]]) -> Bytes:
    """Pictures of one size side by side, each below its label, enlarged to whole pixels.

    Returns
    -------
    array (H', W', 3), uint8

    Examples
    --------
    >>> import numpy as np
    >>> tile = np.zeros((160, 160), np.uint8)
    >>> draw_sheet([("noisy", tile), ("strength 1", tile)]).shape
    (342, 648, 3)
    """
    height, width = tiles[0][1].shape[:2]
    zoom = max(SIDE // max(height, width), 1)
    height, width = zoom * height, zoom * width
    columns = min(len(tiles), 3)
    rows = ceil(len(tiles) / columns)
    size = (columns * (width + GAP) - GAP, rows * (height + LABEL + GAP) - GAP)
    sheet = Image.new("RGB", size, WHITE)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=14)
    for k, (label, pixels) in enumerate(tiles):
        left, top = k % columns * (width + GAP), k // columns * (height + LABEL + GAP)
        draw.text((left + 2, top + LABEL // 2), label, BLACK, font, "lm")
        image = Image.fromarray(pixels).convert("RGB")
        image = image.resize((width, height), Image.Resampling.NEAREST)
        sheet.paste(image, (left, top + LABEL))
    return np.asarray(sheet)
