"""Write a clip with other frames: encoded like the source, all else copied from it."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.error import FFmpegError
from av.sidedata.sidedata import Type
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from nlmeans.base.machine import usual_scheduling
from nlmeans.images.atomic import check_place, in_place
from nlmeans.images.encoders import HOLDS, encoder_for, pixel_format_for
from nlmeans.images.errors import StrPath, Unsupported, cause_of, reported
from nlmeans.images.formats import VIDEOS
from nlmeans.images.frames import SCALING, side_data
from nlmeans.images.video import Clip

Array = NDArray[Any]


LARGEST_MPEG4_CLOCK = 65535  # ticks a second
OWN_TAGS = {"major_brand", "minor_version", "compatible_brands", "encoder", "duration"}


def save_clip(
    path: StrPath,
    clip: Clip,
    frames: Iterable[Array],
    *,
    overwrite: bool = False,
    quality: int | None = None,
) -> tuple[str, ...]:
    """Write a video file, all of it or nothing: a clip with its frames replaced.

    Sound, subtitles, further video, time stamps, the shape of pixels, rotation, colour tags,
    chapters and titles are those of the clip; packets are copied as they are.

    - `path`: the extension chooses the container: .mp4, .m4v, .mov, .mkv, .webm, .avi, .mpg or
      .mpeg.
    - `clip`: open, from `nlmeans.images.video.open_clip`.
    - `frames`: one for each of ``clip.frames()``, of the same shape and dtype. They are encoded by
      the codec of the clip where there is an encoder that the container holds, in the clip's pixel
      format where the encoder takes it.
    - `overwrite`: whether a file that is there may be replaced.
    - `quality`: from the encoder's worst to its best; by default the losses cannot be seen.

    Returns
    -------
    tuple of str
        One line for each thing that changed besides the frames.

    Raises ImageWriteError: one line that starts with the path; nothing is left behind. Raises
    ValueError: the frames are not as many as the clip's.
    """
    target = Path(os.path.realpath(path))
    with reported(path, (FFmpegError, OSError)):
        check_place(path, VIDEOS, overwrite, clip.path)
        with in_place(target, overwrite) as temporary:
            writer = _Writer(temporary, VIDEOS[Path(path).suffix.lower()], clip, quality)
            try:
                for frame in frames:
                    writer.write(frame)
                writer.finish()
            finally:
                writer.abandon()
            return (*writer.notes, *_compared(temporary, clip, writer))


def check_clip_target(path: StrPath, source: StrPath, *, overwrite: bool) -> None:
    """Raise what `save_clip` would of the path, before there is anything to write."""
    with reported(path, (FFmpegError, OSError)):
        check_place(path, VIDEOS, overwrite, source)


class _Writer:
    def __init__(self, temporary: Path, container: str, clip: Clip, quality: int | None) -> None:
        self.clip = clip
        self.notes: list[str] = []
        self.written = 0
        self.copied = 0
        self._reformatter = VideoReformatter()
        self._last = -1
        self._out = av.open(f"file:{temporary}", "w", format=container)
        try:
            self._prepare(container, quality)
        except BaseException:
            self.abandon()
            raise

    def _prepare(self, container: str, quality: int | None) -> None:
        source = self.clip.container
        self._out.metadata.update(_carried(source.metadata))
        if source.chapters():
            self._out.set_chapters(source.chapters())
        self._copies: dict[int, Stream] = {}
        self.place = source.streams.video.index(self.clip.stream)  # among the video streams
        for stream in source.streams:
            if stream.index == self.clip.stream.index:
                self._video = self._encoded(container, quality)
            else:
                self._carry(stream, container)
        self._out.start_encoding()

    # ------------------------------------------------------------------- the streams

    def _encoded(self, container: str, quality: int | None) -> VideoStream:
        """The stream of new frames, set up like the old one."""
        clip, kind = self.clip, self.clip.kind
        codec = clip.stream.codec_context.codec.canonical_name
        encoder, note = encoder_for(codec, container, self._out.supported_codecs)
        self.notes += note
        if quality is not None and not encoder.option:
            raise Unsupported(f"quality {quality} has no meaning for {encoder.name}: leave it out")
        if encoder.name == "libsvtav1":
            os.environ.setdefault("SVT_LOG", "1")  # it prints on its own; this says: errors only
        settings = encoder.settings(quality)
        qscale = settings.pop("qscale", None)
        self._format, note = pixel_format_for(encoder, kind)
        self.notes += note
        stream = self._out.add_stream(encoder.name, rate=clip.rate, options=settings)
        assert isinstance(stream, VideoStream)
        context = stream.codec_context
        context.width, context.height = kind.width, kind.height
        context.pix_fmt = self._format
        context.thread_count = 1
        if qscale is not None:
            context.qscale = True
            context.global_quality = int(qscale) * 118  # FF_QP2LAMBDA
        self._set_look(stream)
        self._set_pace(stream, container, encoder.name)
        stream.metadata.update(_carried(clip.stream.metadata))
        stream.disposition = clip.stream.disposition
        try:
            with usual_scheduling():
                context.open()
        except FFmpegError as error:
            raise Unsupported(
                f"{encoder.name} does not take {kind.width}x{kind.height} pixels of {self._format} "
                f"at {float(clip.rate):.4g} frames/s ({cause_of(error)}): choose another extension"
            ) from error
        return stream

    def _set_look(self, stream: VideoStream) -> None:
        """Shape of pixels, meaning of colours and rotation, as in the clip."""
        clip, first, context = self.clip, self.clip.first, stream.codec_context
        if clip.stream.sample_aspect_ratio:
            context.sample_aspect_ratio = clip.stream.sample_aspect_ratio
        context.colorspace, context.color_trc = first.colorspace, first.color_trc
        context.color_primaries = first.color_primaries
        context.color_range = ColorRange.JPEG if clip.kind.full_range else first.color_range
        matrix = side_data(first).get(Type.DISPLAYMATRIX)
        if matrix is not None:
            stream.set_display_matrix(struct.unpack("=9i", bytes(matrix)))

    def _set_pace(self, stream: VideoStream, container: str, encoder: str) -> None:
        """The clip's clock, or a beat where the format holds a constant rate only."""
        clip, context = self.clip, stream.codec_context
        base = clip.stream.time_base or 1 / clip.rate
        constant = (
            container in HOLDS
            or encoder in HOLDS["mpeg"]
            or (encoder == "mpeg4" and base.denominator > LARGEST_MPEG4_CLOCK)
        )
        self._base, self._tick = base, 1 / clip.rate if constant else base
        context.time_base = self._tick
        stream.time_base = self._tick if container == "avi" else base

    def _carry(self, stream: Stream, container: str) -> None:
        """Add a stream that is copied packet by packet; refuse what the container cannot hold."""
        name = stream.codec_context.name if stream.codec_context else stream.name
        if stream.type == "attachment" and container == "matroska":
            self._out.add_stream_from_template(stream)
            return
        if stream.type not in ("audio", "subtitle", "video") or stream.codec_context is None:
            self.notes.append(f"stream {stream.index} ({stream.type}, {name}) not kept")
            return
        try:
            copy = self._out.add_stream_from_template(stream, opaque=True)
        except ValueError as error:
            raise Unsupported(
                f"{container} does not hold the {stream.type} stream {stream.index} ({name}): "
                "choose .mkv, or the extension of the input"
            ) from error
        copy.metadata.update(stream.metadata)
        copy.disposition = stream.disposition
        self._copies[stream.index] = copy
        if stream.type == "video":
            self.notes.append(f"stream {stream.index} (video, {name}) kept as it is")

    # ------------------------------------------------------------------- the packets

    def write(self, pixels: Array) -> None:
        if not self.clip.times:
            raise ValueError(
                f"frame {self.written + 1} is given, but the clip has {self.clip.count}"
            )
        frame = self._converted(pixels)
        frame.pts, frame.duration = self._timed()
        frame.time_base = self._tick
        self.written += 1
        self._encode(frame)
        self._copy()

    def _converted(self, pixels: Array) -> VideoFrame:
        first, kind = self.clip.first, self.clip.kind
        frame = VideoFrame.from_ndarray(pixels, format=kind.working_format)
        frame = self._reformatter.reformat(
            frame,
            format=self._format,
            interpolation=SCALING,
            dst_colorspace=first.colorspace,
            dst_color_range=ColorRange.JPEG if kind.full_range else ColorRange.MPEG,
        )
        frame.colorspace, frame.color_trc = first.colorspace, first.color_trc
        frame.color_primaries = first.color_primaries
        frame.color_range = self._video.codec_context.color_range
        return frame

    def _timed(self) -> tuple[int, int]:
        """Time stamp, from that of the first frame on, and duration, as ticks of the encoder."""
        instant = self.clip.times.popleft()
        if self.written == 0:
            self._first = instant.pts
        exact = (instant.pts - self._first) * self._base / self._tick
        pts = round(exact)
        if abs(pts - exact) > Fraction(1, 4) or (self.written and pts <= self._last):
            raise Unsupported(
                f"frame {self.written + 1} is not on a beat of {float(self.clip.rate):.4g} Hz, "
                "and this format holds a constant rate only: choose .mkv or .mp4"
            )
        self._last = pts
        return pts, max(1, round(instant.duration * self._base / self._tick))

    def _encode(self, frame: VideoFrame | None) -> None:
        ratio = self._tick / self._base
        for packet in self._video.encode(frame):
            packet.pts, packet.dts = (
                None if stamp is None else self._first + round(stamp * ratio)
                for stamp in (packet.pts, packet.dts)
            )
            packet.duration = round((packet.duration or 0) * ratio)
            packet.time_base = self._base
            self._out.mux_one(packet)

    def _copy(self) -> None:
        while self.clip.packets:
            packet = self.clip.packets.popleft()
            copy = self._copies.get(packet.stream_index)
            if copy is not None:
                packet.stream = copy
                self._out.mux_one(packet)
                self.copied += 1

    def finish(self) -> None:
        if self.written != self.clip.count:
            raise ValueError(f"{self.written} frames are given, but the clip has {self.clip.count}")
        self._encode(None)
        self._copy()
        self._out.close()

    def abandon(self) -> None:
        """Close the file, if it is not, whatever it takes: it is removed after this."""
        with suppress(FFmpegError):
            self._out.close()


def _carried(tags: dict[str, str]) -> dict[str, str]:
    """The tags without those that describe the file itself, which the new one gets anew."""
    return {
        name: text
        for name, text in tags.items()
        if name.lower() not in OWN_TAGS and not name.startswith(("_STATISTICS", "BPS", "NUMBER_OF"))
    }


def _compared(path: Path, clip: Clip, writer: _Writer) -> list[str]:
    """Read the new file again: every packet has to be there, and what is not kept is named."""
    with av.open(f"file:{path}", "r", metadata_errors="replace") as found:
        stream = found.streams.video[writer.place]
        counts = [0] * len(found.streams)
        for packet in found.demux():
            counts[packet.stream_index] += packet.size > 0
        frames = counts[stream.index]
        if (frames, sum(counts) - frames) != (writer.written, writer.copied):
            raise Unsupported(
                f"holds {frames} frames and {sum(counts) - frames} packets of {writer.written} and "
                f"{writer.copied} written: please report this"
            )
        present = {name.lower() for name in found.metadata}
        lost = [name for name in _carried(clip.container.metadata) if name.lower() not in present]
        notes = [f"{found.format.name} does not hold the tags {', '.join(lost)}"] if lost else []
        if len(found.chapters()) < len(clip.container.chapters()):
            notes.append("chapters not kept")
        if (stream.sample_aspect_ratio or 1) != (clip.stream.sample_aspect_ratio or 1):
            notes.append(f"shape of pixels, {clip.stream.sample_aspect_ratio}, not kept")
    with av.open(f"file:{path}", "r") as found:
        turn = next(found.decode(found.streams.video[writer.place])).rotation
    if turn != clip.first.rotation:
        notes.append(f"rotation by {clip.first.rotation} degrees not kept: it is stored unturned")
    return notes
