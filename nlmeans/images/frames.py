"""Frames of a video: their size, their format of pixels, and the data beside these."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

from av.sidedata.sidedata import SideData, Type
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Interpolation

# Frames are filtered as RGB, as images are: sigma then means the same for a clip and a still of it,
# and the table of settings holds. The planes of Y'CbCr would spare a conversion, but chroma is
# mostly stored at half the resolution, so that weights joint over all three need planes of one size
# in any case. There and back again changes no luma at all and chroma by 0.8 grey levels (root mean
# square, 4:2:0); full-range chroma falls by half a grey level, which swscale loses.
SCALING = (
    Interpolation.LANCZOS
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
)
# Side data of frames that is not written again, and what it is called.
NOT_KEPT = {
    Type.A53_CC: "closed captions",
    Type.MASTERING_DISPLAY_METADATA: "HDR mastering display",
    Type.CONTENT_LIGHT_LEVEL: "HDR light level",
    Type.DYNAMIC_HDR_PLUS: "HDR10+",
    Type.DOVI_METADATA: "Dolby Vision",
    Type.STEREO3D: "stereo layout",
    Type.SPHERICAL: "spherical projection",
    Type.ICC_PROFILE: "ICC profile",
}


@dataclass(frozen=True)
class FrameKind:
    """The size and the format of pixels that all frames of a clip have in common."""

    width: int
    height: int
    pixel_format: str  # FFmpeg's name, without the j of the full-range ones
    full_range: bool

    @property
    def bits(self) -> int:
        """Bits of a stored sample."""
        return max(c.bits for c in VideoFormat(self.pixel_format).components)

    @property
    def working_format(self) -> str:
        """The format that frames are filtered in: grey or RGB, of 8 or 16 bits."""
        colours = [c for c in VideoFormat(self.pixel_format).components if not c.is_alpha]
        deep = self.bits > 8
        if len(colours) == 1 and "pal" not in self.pixel_format:
            return "gray16le" if deep else "gray"
        return "rgb48le" if deep else "rgb24"

    @property
    def has_alpha(self) -> bool:
        return any(c.is_alpha for c in VideoFormat(self.pixel_format).components)


def kind_of(frame: VideoFrame) -> FrameKind:
    name = frame.format.name
    full = name.startswith("yuvj") or frame.color_range == ColorRange.JPEG
    return FrameKind(frame.width, frame.height, name.replace("yuvj", "yuv"), full)


def side_data(frame: VideoFrame) -> dict[Type, SideData]:
    """The data of a frame besides its pixels."""
    # PyAV's annotation calls it a dict with one string for a key.
    return {data.type: data for data in cast(Iterable[SideData], frame.side_data)}


def described(kind: FrameKind) -> str:
    full = ", full range" if kind.full_range else ""
    return f"{kind.width}x{kind.height} {kind.pixel_format}{full}"


def not_kept(frame: VideoFrame, kind: FrameKind) -> list[str]:
    """A line for each thing that the first frame has and the output will not."""
    found = side_data(frame)
    notes = [f"{name} data not kept" for key, name in NOT_KEPT.items() if key in found]
    if kind.has_alpha:
        notes.append("alpha channel not kept")
    if frame.interlaced_frame:
        notes.append("interlaced frames are filtered and stored as whole ones: deinterlace first")
    return notes
