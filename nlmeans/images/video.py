"""Video files, frame by frame: their pictures as arrays, everything else as it is stored.

Needs PyAV, which brings the FFmpeg libraries: ``pip install 'nlmeans[video]'``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from nlmeans.base.texts import shown
from nlmeans.images.errors import ImageReadError, StrPath, Unsupported, cause_of
from nlmeans.images.files import file_bytes
from nlmeans.images.frames import SCALING, FrameKind, described, kind_of, not_kept

Array = NDArray[Any]

# Containers that are opened: others, such as playlists, could make a file open further files.
CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,m4v,mpegvideo"
USUAL_RATE = Fraction(25)  # frames a second of a clip that does not say


@dataclass(frozen=True)
class Instant:
    """When a frame is shown, and for how long, in the stream's time base."""

    pts: int
    duration: int


@contextmanager
def open_clip(path: StrPath, *, keep_partial: bool = False) -> Iterator[Clip]:
    """Open a video file for reading.

    - `path`: a file that holds video: MP4, MOV, Matroska, WebM, AVI or MPEG.
    - `keep_partial`: take the frames before the damage of a clip that is damaged or cut short.

    Yields
    ------
    Clip

    Raises ImageReadError: missing, empty, no video, or without a frame; one line that starts with
    the path.

    Examples
    --------
    >>> from nlmeans.images.video import open_clip
    >>> with open_clip("missing.mp4") as clip:
    ...     frames = [frame.mean() for frame in clip.frames()]
    Traceback (most recent call last):
    nlmeans.images.errors.ImageReadError: missing.mp4: no such file; check the name and the folder
    """
    file_bytes(path, 1)
    try:
        # "file:" keeps names such as "http:a.mp4" what they are: names of files.
        container = av.open(
            f"file:{path}", "r", options={"format_whitelist": CONTAINERS}, metadata_errors="replace"
        )
    except (FFmpegError, OSError) as error:
        raise ImageReadError(
            f"{shown(path)}: cannot be read as video ({cause_of(error)}); it is damaged, cut short "
            "or no video: fetch it again"
        ) from error
    with container:
        clip = Clip(path, container, keep_partial)
        clip.head(1)
        yield clip


class Clip:
    """A video file being read; made by `open_clip`.

    Attributes
    ----------
    path : path-like
    container : av.container.InputContainer
    stream : av.video.stream.VideoStream
        The one whose frames are read; all others are carried over.
    rate : Fraction
        Frames a second, on average.
    expected : int or None
        How many frames the file promises.
    packets : deque of av.packet.Packet
        What was met of the streams carried over, for the output to take.
    times : deque of Instant
        Of the frames read, for the output to take.
    count : int
        Frames read so far.
    kind : Kind
    first : av.video.frame.VideoFrame
        The first frame, for what it says of colours, shape of pixels and rotation.
    """

    kind: FrameKind
    first: VideoFrame

    def __init__(self, path: StrPath, container: InputContainer, keep_partial: bool) -> None:
        self.path = path
        self.container = container
        self.stream = _main_stream(path, container)
        # Frames decoded by several threads report an error with the wrong frame.
        self.stream.codec_context.thread_count = 1
        self.rate = self.stream.average_rate or self.stream.guessed_rate or USUAL_RATE
        self.packets: deque[Packet[Any]] = deque()
        self.times: deque[Instant] = deque()
        self.count = 0
        self._keep_partial = keep_partial
        self._notes: list[str] = []
        self._untimed = 0
        self._last: Instant | None = None
        self._read_of = [0] * len(container.streams)  # packets
        self._unshown = 0  # packets of the video that an edit list hides
        self._end = Fraction(0)  # of the last frame stored, in seconds
        self._ahead: deque[Array] = deque()
        self._source = self._read()
        self._reformatter = VideoReformatter()

    @property
    def expected(self) -> int | None:
        if self.stream.frames:
            return self.stream.frames
        if self.container.duration:
            return max(1, round(self.container.duration * self.rate / av.time_base))
        return None

    @property
    def sounds(self) -> int:
        """How many sound tracks there are."""
        return len(self.container.streams.audio)

    @property
    def notes(self) -> tuple[str, ...]:
        """One line for each thing that reading left behind; complete after the last frame."""
        untimed = f"{self._untimed} of {self.count} frames have no time stamp: they are shown one "
        more = (f"{untimed}after the other",) if self._untimed else ()
        return (*self._notes, *more)

    def head(self, count: int) -> list[Array]:
        """The first frames, at most ``count``; `frames` gives them again."""
        self._ahead.extend(islice(self._source, max(count - len(self._ahead), 0)))
        return list(islice(self._ahead, count))

    def frames(self) -> Iterator[Array]:
        """The frames, (H, W) or (H, W, 3), uint8, or uint16 where more than 8 bits are stored.

        Raises ImageReadError: at a frame that cannot be decoded or differs in size, or an end that
        comes too early; with ``keep_partial`` the frames end there, and `notes` tells.
        """
        while self._ahead:
            yield self._ahead.popleft()
        yield from self._source

    def _read(self) -> Iterator[Array]:
        try:
            for frame in self._decoded():
                pixels, instant = self._pixels(frame), self._instant(frame)
                self.times.append(instant)
                self.count += 1
                yield pixels
            self._check_end()
        except (FFmpegError, Unsupported) as error:
            self._stop(error)
        if self.count == 0:
            raise ImageReadError(f"{shown(self.path)}: holds no frames: fetch it again")
        packets = self._read_of[self.stream.index] - self._unshown
        if packets > self.count:
            self._notes.append(f"{packets - self.count} of {packets} stored pictures gave no frame")

    def _stop(self, error: Exception) -> None:
        """End at damage: with an error, or with a note where what came before is wanted."""
        where = f"frame {self.count + 1}"
        if self.expected and self.expected > self.count:
            where += f" of {self.expected}"
        what = f"{where} cannot be decoded ({cause_of(error)}): fetch it again"
        if isinstance(error, Unsupported):
            what = f"{where} {error}"
        if self.count == 0 or not self._keep_partial:
            mend = ", or pass keep_partial=True to keep what comes before" if self.count else ""
            raise ImageReadError(f"{shown(self.path)}: {what}{mend}") from error
        self._notes.append(f"only the first {self.count} frames kept: {what}")

    def _decoded(self) -> Iterator[VideoFrame]:
        for packet in self.container.demux():
            if packet.is_corrupt:
                yield from self.stream.decode(None)
                raise Unsupported("is cut short: fetch it again")
            index = packet.stream.index  # packet.stream_index is 0 for all that flush
            if packet.size:
                self._read_of[index] += 1
                if index == self.stream.index and packet.pts is not None:
                    length = (packet.duration or 0) * packet.time_base or 1 / self.rate
                    self._end = max(self._end, packet.pts * packet.time_base + length)
            if index == self.stream.index:
                self._unshown += packet.is_discard
                for frame in self.stream.decode(packet if packet.size else None):
                    if frame.is_corrupt:
                        raise Unsupported("is damaged: fetch it again")
                    yield frame
            elif packet.size:
                self.packets.append(packet)

    def _check_end(self) -> None:
        """Most readers take a file that was cut short for one that ends there."""
        name = self.container.format.name
        if "mp4" in name:  # its index lists every packet
            streams = (self.stream, *self.container.streams.audio)
            complete = all(self._read_of[s.index] >= len(s.index_entries) for s in streams)
        elif "matroska" in name:
            complete = _size_by_header(self.path) <= Path(self.path).stat().st_size
        elif name == "avi":
            complete = (
                self._end * self.rate > self.stream.frames - Fraction(1, 2)
                and _size_by_header(self.path) <= Path(self.path).stat().st_size
            )
        else:
            complete = True  # MPEG streams say nothing of their length
        if not complete:
            raise Unsupported(
                f"is missing: the file is cut short after {float(self._end):.3g} s; fetch it again"
            )

    def _pixels(self, frame: VideoFrame) -> Array:
        kind = kind_of(frame)
        if self.count == 0:
            self.kind, self.first = kind, frame
            self._notes += not_kept(frame, kind)
        elif kind != self.kind:
            change = f"is {described(kind)} after {described(self.kind)}"
            raise Unsupported(f"{change}; all frames must be alike: split the clip there")
        converted = self._reformatter.reformat(
            frame, format=kind.working_format, interpolation=SCALING
        )
        return np.asarray(converted.to_ndarray())

    def _instant(self, frame: VideoFrame) -> Instant:
        base = self.stream.time_base or 1 / self.rate
        duration = frame.duration or round(1 / self.rate / base)
        pts, last = frame.pts, self._last
        if pts is None:
            self._untimed += 1
            pts = last.pts + last.duration if last else 0
        if last is not None and pts <= last.pts:
            raise Unsupported(
                f"has the time stamp {pts} after {last.pts}; they have to increase: remux the clip"
            )
        self._last = Instant(pts, duration)
        return self._last


def _main_stream(path: StrPath, container: InputContainer) -> VideoStream:
    """The first one that is no cover picture."""
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            return stream
    raise ImageReadError(
        f"{shown(path)}: holds no video, only {len(container.streams)} other streams: name a video"
    )


def _size_by_header(path: StrPath) -> int:
    """The size of an AVI or Matroska file as its header has it; 0 where it does not say."""
    with Path(path).open("rb") as file:
        header = file.read(256)
    if header[:4] == b"RIFF":
        return 8 + int.from_bytes(header[4:8], "little")
    end = 4  # two elements follow each other: a name of 4 bytes, the size, the content
    for name in (b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"):
        if header[end - 4 : end] != name or end >= len(header):
            return 0
        length = 9 - header[end].bit_length()  # the zeros before the first one count its bytes
        size = int.from_bytes(header[end : end + length]) - (1 << 7 * length)
        if size == (1 << 7 * length) - 1:  # all ones: unknown, as in a live recording
            return 0
        end += length + size + 4
    return end - 4
