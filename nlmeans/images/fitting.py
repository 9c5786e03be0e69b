"""A picture as a format can hold it: the rest is refused, or left out with a note."""

from __future__ import annotations

from dataclasses import replace

from nlmeans.images.errors import Unsupported
from nlmeans.images.formats import PICTURES, Format, Notes
from nlmeans.images.picture import SAMPLES, Picture, native

STACKS = ("", "I", "Z", "T", "TZ")


def check_content(target: Format, suffix: str, picture: Picture, quality: int | None) -> None:
    """Refuse what files of the format and suffix cannot hold."""
    _check_axes(picture)
    if picture.pages > 1 and not target.pages:
        raise Unsupported(
            f"{picture.pages} pages; {target.name} holds a single picture: write TIFF"
        )
    _check_samples(target, picture.pixels.dtype.name)
    _check_channels(target, suffix, picture)
    height, width = picture.pixels.shape[len(picture.stack) :][:2]
    if target.longest_side is not None and max(height, width) > target.longest_side:
        size = f"{width} x {height} pixels"
        raise Unsupported(
            f"{size}; {target.name} holds {target.longest_side} a side: write PNG or TIFF"
        )
    if quality is None:
        return
    if not target.lossy:
        others = " or ".join(each.name for each in PICTURES if each.lossy)
        raise Unsupported(
            f"quality {quality} has no meaning for {target.name}: leave it out, or write {others}"
        )
    if not 1 <= quality <= 100:
        raise Unsupported(f"quality {quality} is out of range: use 1 to 100")


def _check_axes(picture: Picture) -> None:
    pixels, stack = picture.pixels, picture.stack
    if stack not in STACKS:
        raise Unsupported(f"stack is {stack!r}: use one of {', '.join(map(repr, STACKS))}")
    if pixels.ndim - len(stack) not in (2, 3) or pixels.size == 0:
        before = f" after the axes {stack}" if stack else ""
        needed = f"(H, W) or (H, W, C){before} with pixels in it is needed"
        raise Unsupported(f"pixels of shape {pixels.shape}: {needed}")


def _check_samples(target: Format, dtype: str) -> None:
    if dtype in target.samples:
        return
    fitting = [each.name for each in PICTURES if dtype in each.samples]
    mend = f"write {' or '.join(fitting)}" if fitting else f"use {', '.join(SAMPLES)}"
    raise Unsupported(f"{dtype} pixels; {target.name} holds {', '.join(target.samples)}: {mend}")


def _check_channels(target: Format, suffix: str, picture: Picture) -> None:
    pixels, axis, name = picture.pixels, picture.channel_axis, target.name
    channels = 1 if axis is None else pixels.shape[axis]
    colours = channels - picture.alpha
    if picture.alpha and suffix not in target.alpha:
        others = ", ".join(each.name for each in PICTURES if each.alpha == each.suffixes)
        raise Unsupported(f"{name} holds no alpha: write {others}, or remove the alpha first")
    if picture.premultiplied and "tiff" not in target.carries:
        raise Unsupported(
            f"colours are multiplied by alpha, which {name} does not hold: write TIFF"
        )
    if pixels.dtype == bool and channels > 1:
        raise Unsupported(
            f"1-bit pixels with {channels} channels; 1-bit is grey only: make them uint8 first"
        )
    if target.colours == (3,) and colours == 1:
        raise Unsupported(f"grey pixels; {name} holds RGB only: write PNG or TIFF")
    if target.colours and colours not in target.colours:
        held = " or ".join({1: "1 (grey)", 3: "3 (RGB)"}[count] for count in target.colours)
        raise Unsupported(f"{colours} colour channels; {name} holds {held}: write TIFF")
    kind = "1-bit" if pixels.dtype == bool else "grey" if channels == 1 else "RGB"
    if target.kinds.get(suffix, kind) != kind:
        raise Unsupported(f"{kind} pixels; {suffix} holds {target.kinds[suffix]}: use .pnm")


def fitted(target: Format, picture: Picture) -> tuple[Picture, Notes]:
    """The picture as the format can hold it, and a line for each thing that is left out."""
    picture, notes = _with_fewer_metadata(target, picture)
    pixels = native(picture.pixels)
    if picture.channel_axis is not None and pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    for axis in [k for k, n in enumerate(pixels.shape[: len(picture.stack)]) if n == 1][::-1]:
        stack = picture.stack[:axis] + picture.stack[axis + 1 :]
        pixels, picture = pixels.squeeze(axis), replace(picture, stack=stack)
    if target.drops_opaque_alpha and picture.alpha and pixels[:, :, -1].min() == 255:
        pixels, picture = native(pixels[:, :, :3]), replace(picture, alpha=False)
        notes += (f"alpha not kept: all of it is opaque, and {target.name} then stores none",)
    return replace(picture, pixels=pixels, format=target.name), notes


def _with_fewer_metadata(target: Format, picture: Picture) -> tuple[Picture, Notes]:
    metadata, notes = picture.metadata, []
    names = {"exif": "EXIF", "icc": "ICC profile", "xmp": "XMP"}
    if metadata.dpi:
        names["dpi"] = f"resolution of {metadata.dpi[0]:g} x {metadata.dpi[1]:g} dpi"
    if metadata.png:
        names["png"] = f"PNG chunks {', '.join(sorted({c.decode() for c, _ in metadata.png}))}"
    for key, name in names.items():
        value, most = getattr(metadata, key), target.largest_text
        if not value:
            continue
        if key not in target.carries:
            notes.append(f"{name} not kept: {target.name} does not hold it")
        elif key in ("exif", "xmp") and most is not None and len(value) > most:
            notes.append(f"{name} of {len(value)} bytes not kept: {target.name} holds {most}")
        else:
            continue
        metadata = replace(metadata, **{key: () if key == "png" else None})  # type: ignore[arg-type]
    return replace(picture, metadata=metadata), tuple(notes)
