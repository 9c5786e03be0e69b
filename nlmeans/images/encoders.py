"""Which encoder writes the frames of a clip, and in which format of pixels."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from av.codec import Codec
from av.codec.codec import PixFmtLoss, find_best_pix_fmt_of_list
from av.video.format import VideoFormat

from nlmeans.images.frames import FrameKind

Notes = tuple[str, ...]


@dataclass(frozen=True)
class Encoder:
    """An encoder, and its scale of quality from the worst value to the best."""

    name: str
    option: str = ""  # none: the encoder is lossless
    worst: int = 0
    best: int = 0
    usual: int = 0  # where differences no longer show
    options: tuple[tuple[str, str], ...] = ()

    def settings(self, quality: int | None) -> dict[str, str]:
        """The encoder's options for a quality from 1 to 100."""
        if not self.option:
            return dict(self.options)
        value: float = self.usual
        if quality is not None:
            value = self.worst + (self.best - self.worst) * quality / 100
        return {self.option: str(round(value)), **dict(self.options)}


# One thread each where the bits would depend on their number; filtering takes far longer.
ENCODERS = {
    "h264": Encoder("libx264", "crf", 51, 0, 17),
    "hevc": Encoder(
        "libx265", "crf", 51, 0, 18, (("x265-params", "log-level=none:frame-threads=1:pools=none"),)
    ),
    "vp8": Encoder("libvpx", "crf", 63, 4, 10, (("b", "1G"), ("cpu-used", "2"))),
    "vp9": Encoder("libvpx-vp9", "crf", 63, 0, 18, (("b", "0"), ("cpu-used", "2"))),
    "av1": Encoder("libsvtav1", "crf", 63, 1, 18, (("preset", "6"), ("svtav1-params", "lp=1"))),
    "mjpeg": Encoder("mjpeg", "qscale", 31, 2, 2),
    "mpeg4": Encoder("mpeg4", "qscale", 31, 2, 2),
    "mpeg2video": Encoder("mpeg2video", "qscale", 31, 2, 2),
    "mpeg1video": Encoder("mpeg1video", "qscale", 31, 2, 2),
    "prores": Encoder("prores_ks", options=(("profile", "hq"),)),
    **{
        name: Encoder(name) for name in ("ffv1", "huffyuv", "ffvhuff", "utvideo", "png", "rawvideo")
    },
}
LOSSLESS_INSTEAD = "ffv1"
INSTEAD = {"webm": "vp9", "avi": "mpeg4", "mpeg": "mpeg2video"}  # others take H.264
# AVI could hold more, but has no time stamps: frames stored out of order would come late.
HOLDS = {
    "avi": {"mjpeg", "mpeg4", "ffv1", "huffyuv", "ffvhuff", "utvideo", "png", "rawvideo"},
    "mpeg": {"mpeg1video", "mpeg2video"},
}
EVEN_SIDES_ONLY = {"libx264", "libx265", "huffyuv", "utvideo"}  # where chroma is sub-sampled


def encoder_for(codec: str, container: str, supported: Collection[str]) -> tuple[Encoder, Notes]:
    """The encoder of the clip's codec, or of one that the container holds in its place."""
    wanted = [codec, INSTEAD.get(container, "h264")]
    if codec in ENCODERS and not ENCODERS[codec].option:
        wanted.insert(1, LOSSLESS_INSTEAD)
    held = HOLDS.get(container, supported)
    name = next(name for name in wanted if name in ENCODERS and name in held)
    if name == codec:
        return ENCODERS[name], ()
    why = f"{container} does not hold it" if codec in ENCODERS else "it has no encoder here"
    return ENCODERS[name], (f"encoded as {name} in place of {codec}: {why}",)


def pixel_format_for(encoder: Encoder, kind: FrameKind) -> tuple[str, Notes]:
    """The clip's format of pixels, or the one nearest to it that the encoder takes."""
    known = [f.name for f in Codec(encoder.name, "w").video_formats or ()]
    fitting = [
        name
        for name in known
        if _plain(name)
        and (encoder.name not in EVEN_SIDES_ONLY or _fits(name, kind.width, kind.height))
    ] or [kind.pixel_format]
    found, loss = find_best_pix_fmt_of_list(fitting, kind.pixel_format)
    assert found is not None
    if found.name == kind.pixel_format:
        return found.name, ()
    why = "it is the nearest that it takes"
    if loss & PixFmtLoss.DEPTH:
        bits = max(c.bits for c in found.components)
        why = f"{kind.bits} bits a sample became {bits}, the most that it takes"
    elif kind.pixel_format in known:
        why = f"that needs even sides, and frames are {kind.width}x{kind.height}"
    note = f"{encoder.name} stores {found.name} in place of {kind.pixel_format}: {why}"
    return found.name, (note,)


def _plain(name: str) -> bool:
    """Whether a pixel format holds colours alone, and is none of the outdated full-range ones."""
    layout = VideoFormat(name)
    alpha = any(c.is_alpha for c in layout.components)
    return not (alpha or layout.has_palette or name.startswith("yuvj"))


def _fits(name: str, width: int, height: int) -> bool:
    """Whether chroma of this pixel format covers a picture of that size exactly."""
    layout = VideoFormat(name, width, height)
    factors = layout.chroma_width(64), layout.chroma_height(64)
    return width * factors[0] % 64 == 0 and height * factors[1] % 64 == 0
