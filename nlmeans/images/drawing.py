"""Pictures of weights: how much each pixel gives to a position."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Bytes = NDArray[np.uint8]
SIDE = 640  # pixels of a panel, about
LEGEND = 44  # pixels below the panels
GAP = 12
DARKEST, LIGHTEST = 40, 215  # greys of the picture below the weights
WHITE, BLACK = (255, 255, 255), (0, 0, 0)


class Weights(NamedTuple):
    """A position (row, column), and how much each pixel gives to it, (H, W)."""

    position: tuple[int, int]
    map: NDArray[np.float64]


def draw_weights(grey: NDArray[Any], each: Sequence[Weights]) -> Bytes:
    """The picture in grey and the weights above it, in colours from violet (few) to yellow (most).

    - `grey` (H, W): in any unit: black is its lowest value, white its highest.
    - `each`: those with a small window get a panel of their own, in which it is enlarged.

    Returns
    -------
    array (H', W', 3), uint8

    Examples
    --------
    >>> import numpy as np
    >>> picture = np.arange(64.0).reshape(8, 8)
    >>> draw_weights(picture, [Weights((3, 4), picture / picture.sum())]).dtype
    dtype('uint8')
    """
    low, high = float(grey.min()), float(grey.max())
    scaled = (grey - low) / (high - low if high > low else 1.0)
    faint = DARKEST + (LIGHTEST - DARKEST) * scaled
    picture = np.repeat(faint[..., None], 3, axis=2)
    for weights in each:
        picture = _tinted(picture, weights.map)
    whole = (slice(0, grey.shape[0]), slice(0, grey.shape[1]))
    longest = max(grey.shape)
    zoom: float = max(SIDE // longest, 1) if longest <= 1.5 * SIDE else SIDE / longest
    panels = [_panel(picture, whole, each, zoom)]
    height = panels[0].height
    for weights in each:
        box = _surroundings(weights)
        if 4 * (box[0].stop - box[0].start) * (box[1].stop - box[1].start) < grey.size:
            alone = _tinted(np.repeat(faint[..., None], 3, axis=2), weights.map)
            panels.append(_panel(alone, box, [weights], height / (box[0].stop - box[0].start)))
    width = sum(panel.width for panel in panels) + GAP * (len(panels) - 1)
    sheet = Image.new("RGB", (max(width, 360), height + LEGEND), WHITE)
    left = 0
    for panel in panels:
        sheet.paste(panel, (left, 0))
        left += panel.width + GAP
    _legend(sheet, height, float(each[0].map.max()) if len(each) == 1 else None)
    return np.asarray(sheet)


def ramp(t: NDArray[np.float64]) -> NDArray[np.float64]:
    """Colours (..., 3) on 0 to 255 for shares from 0 to 1; their lightness grows evenly."""
    from skimage.color import lab2rgb, lch2lab

    hue = np.deg2rad(-50 + 140 * t)
    lch = np.stack([32 + 54 * t, 56 + 4 * t, np.mod(hue, 2 * np.pi)], axis=-1)
    colours: NDArray[np.float64] = 255 * lab2rgb(lch2lab(lch))
    return colours


def _shares(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Square roots of the shares of the largest: small weights are to be seen."""
    positive = np.maximum(weights, 0)
    top = positive.max()
    result: NDArray[np.float64] = np.sqrt(positive / top) if top > 0 else positive
    return result


def _tinted(picture: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Clear where nothing is given, covered where most is."""
    shares = _shares(weights)
    cover = np.minimum(1.4 * shares, 0.92)[..., None]
    mixed: NDArray[np.float64] = (1 - cover) * picture + cover * ramp(shares)
    return mixed


def _box(weights: Weights) -> tuple[slice, slice]:
    """The smallest that holds all that is not 0, and the position."""
    rows, columns = np.nonzero(weights.map)
    y, x = weights.position
    return (
        slice(min(rows.min(initial=y), y), max(rows.max(initial=y), y) + 1),
        slice(min(columns.min(initial=x), x), max(columns.max(initial=x), x) + 1),
    )


def _surroundings(weights: Weights) -> tuple[slice, slice]:
    """The window and a quarter more on every side, inside the picture."""
    parts = []
    for part, n in zip(_box(weights), weights.map.shape, strict=True):
        more = (part.stop - part.start + 3) // 4
        parts.append(slice(max(part.start - more, 0), min(part.stop + more, n)))
    return parts[0], parts[1]


def _panel(
    picture: NDArray[np.float64], part: tuple[slice, slice], each: Sequence[Weights], zoom: float
) -> Image.Image:
    """A part of the picture, enlarged or reduced, with windows and positions outlined."""
    pixels = np.rint(picture[part]).astype(np.uint8)
    image = Image.fromarray(pixels)
    size = (max(1, round(image.width * zoom)), max(1, round(image.height * zoom)))
    method = Image.Resampling.NEAREST if zoom >= 1 else Image.Resampling.BOX
    image = image.resize(size, method)
    draw = ImageDraw.Draw(image)
    for weights in each:
        y, x = weights.position
        _outline(draw, _box(weights), part, zoom, 1)
        _outline(draw, (slice(y, y + 1), slice(x, x + 1)), part, zoom, 2)
    return image


def _outline(
    draw: ImageDraw.ImageDraw,
    box: tuple[slice, slice],
    part: tuple[slice, slice],
    zoom: float,
    width: int,
) -> None:
    """White on black around the box, so that it shows on any ground."""
    top, bottom = ((k - part[0].start) * zoom for k in (box[0].start, box[0].stop))
    left, right = ((k - part[1].start) * zoom for k in (box[1].start, box[1].stop))
    draw.rectangle(
        (left - width - 1, top - width - 1, right + width, bottom + width),
        outline=BLACK,
        width=width + 2,
    )
    draw.rectangle(
        (left - width, top - width, right + width - 1, bottom + width - 1),
        outline=WHITE,
        width=width,
    )


def _legend(sheet: Image.Image, top: int, largest: float | None) -> None:
    """A bar of the colours, with the shares of the largest weight they stand for."""
    length, height = 256, 12
    bar = np.broadcast_to(ramp(np.linspace(0, 1, length)), (height, length, 3))
    sheet.paste(Image.fromarray(np.rint(bar).astype(np.uint8)), (10, top + 8))
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=12)
    most = "the largest weight" + ("" if largest is None else f", {largest:.2g}")
    for place, label, anchor in ((0.0, "0", "lt"), (0.5, "a quarter", "mt"), (0.85, most, "lt")):
        draw.text((10 + place * (length - 1), top + 23), label, BLACK, font, anchor)
