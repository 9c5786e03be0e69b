"""Video files end to end: what is kept, what is refused, and that nothing is lost in silence."""

import json
import os
import re
import signal
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from nlmeans.cli import exits, notices
from processes import HANGS, on_a_terminal, reaching

import nlmeans
from nlmeans.base.machine import usual_scheduling
from nlmeans.images import ImageReadError, ImageWriteError

av = pytest.importorskip("av", reason="video needs PyAV: pip install 'nlmeans[video]'")

from nlmeans.denoising.frames import denoise_frames  # noqa: E402
from nlmeans.images.encode import save_clip  # noqa: E402
from nlmeans.images.video import open_clip  # noqa: E402

RATE = Fraction(25)
FAST = ("--sigma", "8", "--patch-size", "1", "--search-size", "1")


def pictures(count, width, height, dtype=np.uint8):
    rng = np.random.default_rng(3)
    ramp = np.add.outer(1.5 * np.arange(height), 1.0 * np.arange(width))[..., None]
    noisy = [40 + ramp + k / 2 + rng.normal(0, 8, (height, width, 3)) for k in range(count)]
    scale = 257 if dtype == np.uint16 else 1
    return [np.clip(scale * x, 0, 255 * scale).astype(dtype) for x in noisy]


def make(
    path,
    *,
    codec="libx264",
    pixels="yuv420p",
    size=(32, 24),
    count=8,
    sound="aac",
    stamps=None,
    rate=RATE,
    set_up=lambda out, video: None,
    **options,
):
    """A small clip with a tone."""
    width, height = size
    base = Fraction(1, 1000) if stamps else 1 / rate
    with av.open(f"file:{path}", "w") as out:
        video = out.add_stream(codec, rate=rate, options=options)
        video.width, video.height, video.pix_fmt = width, height, pixels
        video.codec_context.time_base = base
        video.codec_context.thread_count = 1
        set_up(out, video)
        with usual_scheduling():
            video.codec_context.open()
        tone = out.add_stream(sound, rate=16000, layout="mono") if sound else None
        deep = "10" in pixels
        for k, x in enumerate(pictures(count, width, height, np.uint16 if deep else np.uint8)):
            frame = av.VideoFrame.from_ndarray(x, format="rgb48le" if deep else "rgb24")
            frame.pts, frame.time_base = stamps[k] if stamps else k, base
            out.mux(video.encode(frame))
        if count:
            out.mux(video.encode(None))
        if tone:
            wave = np.sin(np.arange(int(16000 * max(count, 1) / rate)) / 5)
            samples = av.AudioFrame.from_ndarray(
                (8000 * wave).astype(np.int16)[None], format="s16", layout="mono"
            )
            samples.sample_rate = 16000
            context = tone.codec_context
            resampler = av.AudioResampler(context.format.name, "mono", 16000, context.frame_size)
            for part in resampler.resample(samples) + resampler.resample(None):
                out.mux(tone.encode(part))
            out.mux(tone.encode(None))


class Facts:
    """What a file holds."""

    def __init__(self, path):
        with av.open(f"file:{path}") as file:
            video = file.streams.video[0]
            self.rate, self.codec = video.average_rate, video.codec_context.codec.canonical_name
            self.shape = video.sample_aspect_ratio
            self.tags, self.chapters = file.metadata, file.chapters()
            frames, self.sound = [], []
            for packet in file.demux():
                if packet.stream is video:
                    frames += packet.decode()
                elif packet.size and packet.stream.type == "audio":
                    self.sound.append((packet.pts * packet.time_base, bytes(packet)))
        self.times = [(f.pts * f.time_base, f.duration * f.time_base) for f in frames]
        self.pixels = frames[0].format.name
        self.colours = {(f.colorspace, f.color_range, f.color_primaries) for f in frames}
        self.rotation = frames[0].rotation
        self.arrays = [f.to_ndarray(format="rgb24").astype(float) for f in frames]


def files(folder="."):
    return sorted(p.name for p in Path(folder).iterdir())


COMBINATIONS = [
    ("a.mp4", "libx264", "yuv420p", "aac"),
    ("a.m4v", "libx264", "yuv420p", "aac"),
    ("a.mov", "libx264", "yuv422p", "aac"),
    ("a.mkv", "libx264", "yuv444p", "aac"),
    ("a.mp4", "libx265", "yuv420p", "aac"),
    ("a.webm", "libvpx-vp9", "yuv420p", "libopus"),
    ("a.webm", "libvpx", "yuv420p", "libopus"),
    ("a.mp4", "libsvtav1", "yuv420p", "aac"),
    ("a.avi", "mjpeg", "yuvj420p", "mp2"),
    ("a.avi", "mpeg4", "yuv420p", "mp2"),
    ("a.mkv", "ffv1", "yuv420p", "pcm_s16le"),
    ("a.mov", "png", "rgb24", "pcm_s16le"),
    ("a.avi", "huffyuv", "yuv422p", "pcm_s16le"),
    ("a.mpg", "mpeg2video", "yuv420p", "mp2"),
]


@pytest.mark.parametrize(("name", "codec", "pixels", "sound"), COMBINATIONS)
def test_everything_but_the_noise_is_kept(cli, name, codec, pixels, sound):
    quiet = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    os.environ.setdefault("SVT_LOG", "1")
    make(name, codec=codec, pixels=pixels, sound=sound, size=(64, 48), count=6, **quiet)
    before = Path(name).read_bytes()
    code, out, err = cli("denoise", name, *FAST)
    assert (code, err) == (0, "")
    assert "6 frames 64x48 at 25 frames/s, sound kept" in out
    source, result = Facts(name), Facts(name.replace("a.", "a_denoised."))
    assert len(result.times) == 6
    assert result.times == source.times
    assert (result.rate, result.codec, result.pixels) == (RATE, source.codec, source.pixels)
    assert source.sound
    assert result.sound == source.sound
    for x, y in zip(source.arrays, result.arrays, strict=True):
        assert abs((x - y).mean()) < 1.5
        assert 0 < np.abs(x - y).mean() < 10
    assert Path(name).read_bytes() == before


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="the system lists no threads")
def test_no_encoder_makes_threads_real_time(cli):
    make("a.mp4", codec="libsvtav1", size=(64, 48), count=2)
    assert cli("denoise", "a.mp4", *FAST)[0] == 0
    found = {os.sched_getscheduler(int(task.name)) for task in Path("/proc/self/task").iterdir()}
    assert found == {os.SCHED_OTHER}


@pytest.mark.parametrize("pixels", ["bgr0", "gray", "gray16le"])
def test_a_lossless_clip_holds_the_filtered_frames(cli, pixels):
    make("a.mkv", codec="ffv1", pixels=pixels, sound=None)
    assert cli("denoise", "a.mkv", *FAST, "--amount", "0.7", "--h", "20")[0] == 0
    operation = nlmeans.nl_means(8, 20, (1, 1, 1), (5, 1, 1))
    with open_clip("a.mkv") as source, open_clip("a_denoised.mkv") as result:
        frames = list(source.frames())
        assert frames[0].dtype == (np.uint16 if pixels == "gray16le" else np.uint8)
        assert frames[0].shape == ((24, 32, 3) if pixels == "bgr0" else (24, 32))
        expected = list(denoise_frames(frames, operation, amount=0.7))
        np.testing.assert_array_equal(list(result.frames()), expected)


def test_times_of_a_variable_rate(cli):
    stamps = [0, 40, 100, 110, 300, 1000, 1033, 1500]
    make("a.mkv", stamps=stamps)
    make("a.mp4", stamps=stamps)
    for name in ("a.mkv", "a.mp4"):
        assert cli("denoise", name, *FAST)[0] == 0
        times = [t for t, _ in Facts(name.replace("a.", "a_denoised.")).times]
        assert times == [Fraction(s, 1000) for s in stamps]
    code, _, err = cli("denoise", "a.mp4", *FAST, "-o", "a.avi")
    assert code == exits.FAILED
    assert "a.avi: frame 2 is not on a beat of" in err
    assert "choose .mkv" in err
    assert "a.avi" not in files()


def test_shape_rotation_colours_titles_and_chapters_are_kept(cli):
    def set_up(out, video):
        video.codec_context.sample_aspect_ratio = Fraction(4, 3)
        video.codec_context.colorspace = 1  # BT.709
        video.codec_context.color_primaries = 1
        video.codec_context.color_range = 1
        video.set_display_rotation(90)
        out.metadata["title"] = "Holiday"
        chapter = {"id": 1, "start": 0, "end": 300, "time_base": Fraction(1, 1000)}
        out.set_chapters([chapter | {"metadata": {"title": "Start"}}])

    make("a.mov", set_up=set_up)
    code, _, err = cli("denoise", "a.mov", *FAST)
    assert code == 0
    assert "stream 2 (data, bin_data) not kept" in err  # the track of the chapters' titles
    source, result = Facts("a.mov"), Facts("a_denoised.mov")
    assert (result.shape, result.rotation) == (Fraction(4, 3), 90)
    assert result.colours == source.colours == {(1, 1, 1)}
    assert result.tags["title"] == "Holiday"
    assert [c["metadata"]["title"] for c in result.chapters] == ["Start"]
    _, _, err = cli("denoise", "a.mov", *FAST, "-o", "b.avi")
    assert "rotation by 90 degrees not kept" in err
    assert "chapters not kept" in err


@pytest.mark.parametrize(("codec", "name"), [("libx264", "a.mp4"), ("ffv1", "a.mkv")])
def test_ten_bits_stay(cli, codec, name):
    make(name, codec=codec, pixels="yuv420p10le")
    with open_clip(name) as clip:
        assert clip.head(1)[0].dtype == np.uint16
    code, _, err = cli("denoise", name, "--sigma", "2000", *FAST[2:])
    assert (code, err) == (0, "")
    assert Facts(name.replace("a.", "a_denoised.")).pixels == "yuv420p10le"


def test_a_loss_of_bits_is_named(cli):
    make("a.mkv", codec="ffv1", pixels="yuv420p10le", sound="libopus")
    code, _, err = cli("denoise", "a.mkv", "--sigma", "5%", *FAST[2:], "-o", "a.webm")
    assert code == 0
    assert "encoded as vp9 in place of ffv1: webm does not hold it" in err
    assert "10 bits a sample became 8" in err


def test_odd_sizes_are_not_cropped(cli):
    make("a.webm", codec="libvpx-vp9", size=(33, 25), sound=None)
    assert cli("denoise", "a.webm", *FAST)[0] == 0
    assert Facts("a_denoised.webm").arrays[0].shape == (25, 33, 3)
    code, _, err = cli("denoise", "a.webm", *FAST, "-o", "b.mp4")
    assert (code, err) == (0, "")  # MP4 holds VP9
    make("d.mov", codec="qtrle", pixels="rgb24", size=(33, 25), sound=None)
    code, _, err = cli("denoise", "d.mov", *FAST)
    assert code == 0
    assert "encoded as h264 in place of qtrle: it has no encoder here" in err
    assert "libx264 stores yuv444p in place of rgb24" in err
    assert Facts("d_denoised.mov").arrays[0].shape == (25, 33, 3)


def test_one_frame(cli):
    make("a.mp4", count=1)
    code, out, err = cli("denoise", "a.mp4", *FAST, "--json")
    record = json.loads(out)
    assert (code, err) == (0, "")
    assert (record["frames"], record["fps"], record["audio_kept"]) == (1, 25.0, True)
    assert Facts("a_denoised.mp4").times == Facts("a.mp4").times


def test_sigma_is_estimated_once_and_sizes_get_depth(cli):
    make("a.mkv", codec="ffv1", pixels="bgr0", size=(48, 32), count=4, sound=None)
    code, out, _ = cli("denoise", "a.mkv", "--search-size", "1", "--json")
    record = json.loads(out)
    assert code == 0
    assert record["sigma_estimated"] is True
    assert record["sigma"] == pytest.approx(8, rel=0.2)
    assert record["search_size"] == [5, 1, 1]
    assert record["patch_size"][0] == 1
    _, out, _ = cli(
        "denoise",
        "a.mkv",
        *FAST[:2],
        "--patch-size",
        "1x3",
        "--search-size",
        "3x1",
        "--json",
        "--overwrite",
    )
    record = json.loads(out)
    assert (record["patch_size"], record["search_size"]) == ([1, 1, 3], [5, 3, 1])


def test_a_clip_without_noise_keeps_its_frames(cli):
    make("a.mkv", codec="ffv1", pixels="bgr0")
    code, out, _ = cli("denoise", "a.mkv", "--sigma", "0")
    assert code == 0
    assert "no noise: not filtered" in out
    for x, y in zip(Facts("a.mkv").arrays, Facts("a_denoised.mkv").arrays, strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize(("noise", "trusted"), [(0.8, 0.0), (8, 1.0)])
def test_an_estimate_is_trusted_as_in_pictures(cli, monkeypatch, noise, trusted):
    rng = np.random.default_rng(0)
    ramp = np.linspace(20, 230, 64)[:, None] + np.zeros((48, 1, 3))

    def noisy(count, width, height, dtype):
        clean = np.broadcast_to(ramp[:height, :width], (count, height, width, 3))
        return np.rint(clean + rng.normal(0, noise, clean.shape)).clip(0, 255).astype(dtype)

    monkeypatch.setattr(sys.modules[__name__], "pictures", noisy)
    make("a.mkv", codec="ffv1", pixels="bgr0", size=(64, 48))
    _, out, _ = cli("denoise", "a.mkv", "--json")
    assert json.loads(out)["trust"] == trusted
    same = all(map(np.array_equal, Facts("a.mkv").arrays, Facts("a_denoised.mkv").arrays))
    assert same == (trusted == 0)
    assert ("may be texture" in cli("denoise", "a.mkv", "--overwrite")[1]) == (trusted < 1)


def test_blank_frames_at_the_start_tell_no_noise(cli, monkeypatch):
    shown = pictures

    def faded_in(count, width, height, dtype):
        return [
            *(np.zeros((height, width, 3), dtype) for _ in range(12)),
            *shown(count - 12, width, height, dtype),
        ]

    monkeypatch.setattr(sys.modules[__name__], "pictures", faded_in)
    make("a.mkv", codec="ffv1", pixels="bgr0", size=(48, 32), count=16, sound=None)
    _, out, _ = cli("denoise", "a.mkv", "--json")
    assert json.loads(out)["sigma"] == pytest.approx(8, rel=0.2)
    make("b.mkv", codec="ffv1", pixels="bgr0", size=(48, 32), count=12, sound=None)
    assert "no noise" in cli("denoise", "b.mkv")[1]


def refused(cli, code, text, *arguments):
    before = files()
    found, out, err = cli(*arguments)
    assert text in err
    assert (found, out, err.count("\n")) == (code, "", 1), err
    assert files() == before


CUTS = [("a.mp4", "libx264", "aac"), ("a.mkv", "libx264", "aac"), ("a.avi", "mpeg4", "mp2"),
        ("a.webm", "libvpx-vp9", "libopus")]  # fmt: skip


@pytest.mark.parametrize(("name", "codec", "sound"), CUTS)
@pytest.mark.parametrize("share", [0.6, 0.8, 0.95])
def test_a_clip_cut_short_is_refused_or_kept_in_part(cli, name, codec, sound, share):
    make(name, codec=codec, sound=sound, count=24)
    if name == "a.mp4":  # its index has to come first
        with (
            av.open("file:a.mp4") as source,
            av.open("file:b.mp4", "w", options={"movflags": "faststart"}) as out,
        ):
            copies = {s.index: out.add_stream_from_template(s, opaque=True) for s in source.streams}
            for packet in source.demux():
                if packet.size:
                    packet.stream = copies[packet.stream.index]
                    out.mux(packet)
        Path("b.mp4").replace(name)
    whole = Path(name).read_bytes()
    Path(name).write_bytes(whole[: int(share * len(whole))])
    code, out, err = cli("denoise", name, *FAST)
    assert (code, out, files()) == (exits.FAILED, "", [name])
    assert f"{name}: frame " in err
    assert "--keep-partial" in err
    code, out, err = cli("denoise", name, *FAST, "--keep-partial", "--json")
    record = json.loads(out)
    assert code == 0
    assert 0 < record["frames"] <= 24
    assert f"only the first {record['frames']} frames kept" in err
    assert len(Facts(name.replace("a.", "a_denoised.")).times) == record["frames"]


def test_damage_names_its_frame(cli):
    make("a.avi", codec="mjpeg", pixels="yuvj420p", sound=None)
    with av.open("file:a.avi") as file:
        fourth = [p.pos for p in file.demux() if p.size][3]
    data = bytearray(Path("a.avi").read_bytes())
    data[fourth + 8 : fourth + 208] = bytes(200)
    Path("a.avi").write_bytes(data)
    refused(cli, exits.FAILED, "a.avi: frame 4 of 8 cannot be decoded", "denoise", "a.avi", *FAST)
    code, _, err = cli("denoise", "a.avi", *FAST, "--keep-partial")
    assert code == 0
    assert "only the first 3 frames kept: frame 4 of 8 cannot be decoded" in err
    assert len(Facts("a_denoised.avi").times) == 3


def test_a_change_of_size_is_refused(cli):
    make("a.mkv", codec="mjpeg", pixels="yuvj420p", sound=None, count=3)
    make("b.mkv", codec="mjpeg", pixels="yuvj420p", sound=None, count=3, size=(48, 24))
    with av.open("file:c.mkv", "w") as out, av.open("file:a.mkv") as a, av.open("file:b.mkv") as b:
        copy = out.add_stream_from_template(a.streams.video[0], opaque=True)
        for k, file in enumerate((a, b)):
            for packet in file.demux():
                if packet.size:
                    packet.stream = copy
                    packet.pts = packet.dts = packet.pts + 120 * k
                    out.mux(packet)
    text = "c.mkv: frame 4 of 6 is 48x24 yuv420p, full range after 32x24 yuv420p, full range"
    refused(cli, exits.FAILED, text, "denoise", "c.mkv", *FAST)
    assert cli("denoise", "c.mkv", *FAST, "--keep-partial")[0] == 0
    assert len(Facts("c_denoised.mkv").times) == 3


def test_what_is_no_video_is_refused_in_one_line(cli):
    Path("empty.mp4").touch()
    Path("text.mp4").write_text("hello")
    Path("list.mp4").write_text("#EXTM3U\n#EXTINF:1,\nother.ts\n#EXT-X-ENDLIST\n")
    make("none.mkv", count=0)
    with av.open("file:tone.mp4", "w") as out:
        tone = out.add_stream("aac", rate=16000, layout="mono")
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 1024), "f4"), "fltp", "mono")
        samples.sample_rate = 16000
        out.mux(tone.encode(samples) + tone.encode(None))
    for name, text in (
        ("missing.mp4", "no such file"),
        ("empty.mp4", "is empty"),
        ("text.mp4", "cannot be read as video"),
        ("list.mp4", "cannot be read as video"),
        ("none.mkv", "none.mkv: holds no frames"),
        ("tone.mp4", "holds no video"),
    ):
        refused(cli, exits.FAILED, text, "denoise", name, *FAST)


def test_outputs_that_cannot_be(cli):
    make("a.mp4")
    make("a.mkv", codec="ffv1")
    Path("there.mp4").write_bytes(b"precious")
    for text, *arguments in (
        ("there.mp4: exists already", "a.mp4", "-o", "there.mp4"),
        ("is the input itself", "a.mp4", "-o", "a.mp4", "--overwrite"),
        ("unknown extension '.png': use one of .mp4", "a.mp4", "-o", "a.png"),
        ("does not exist", "a.mp4", "-o", "nowhere/a.mp4"),
        ("webm does not hold the audio stream 1 (aac): choose .mkv", "a.mp4", "-o", "b.webm"),
        ("quality 50 has no meaning for ffv1", "a.mkv", "-o", "b.mkv", "--quality", "50"),
    ):
        refused(cli, exits.FAILED, text, "denoise", *arguments, *FAST)
    assert Path("there.mp4").read_bytes() == b"precious"
    assert cli("denoise", "a.mp4", "-o", "there.mp4", "--overwrite", *FAST)[0] == 0
    assert len(Facts("there.mp4").times) == 8


def test_quality_changes_the_size(cli):
    make("a.mp4", sound=None)
    sizes = []
    for quality in (10, 60, 95):
        assert cli("denoise", "a.mp4", *FAST, "--quality", quality, "--overwrite")[0] == 0
        sizes.append(Path("a_denoised.mp4").stat().st_size)
    assert sizes == sorted(set(sizes))


def test_a_failure_in_the_middle_leaves_nothing(tmp_path):
    make(tmp_path / "a.mp4")

    def failing(frames, error):
        for k, frame in enumerate(frames):
            if k == 5:
                raise error
            yield frame

    for error in (KeyboardInterrupt(), ValueError("a bug"), MemoryError()):
        with open_clip(tmp_path / "a.mp4") as clip, pytest.raises(type(error)):
            save_clip(tmp_path / "b.mp4", clip, failing(clip.frames(), error))
        assert files(tmp_path) == ["a.mp4"]


def test_every_frame_needs_its_own(tmp_path):
    make(tmp_path / "a.mp4")
    with open_clip(tmp_path / "a.mp4") as clip, pytest.raises(ValueError, match="3 frames are"):
        save_clip(tmp_path / "b.mp4", clip, [f for k, f in enumerate(clip.frames()) if k < 3])
    with open_clip(tmp_path / "a.mp4") as clip, pytest.raises(ValueError, match="frame 9 is given"):
        save_clip(tmp_path / "b.mp4", clip, [x for f in clip.frames() for x in (f, f)])
    assert files(tmp_path) == ["a.mp4"]


@pytest.mark.skipif(os.name != "posix", reason="POSIX limits")
def test_a_full_disk_leaves_nothing(tmp_path):
    make(tmp_path / "a.mkv", codec="ffv1", size=(64, 48))
    code = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))\n"
        "from nlmeans.cli.main import run\n"
        "run(sys.argv[1:])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, "denoise", "a.mkv", *FAST],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == exits.FAILED, result.stderr
    assert result.stderr.count("\n") == 1
    assert "a_denoised.mkv: cannot be written" in result.stderr
    assert files(tmp_path) == ["a.mkv"]


def test_noise_that_grows_with_the_signal(cli):
    make("a.mkv", codec="ffv1", pixels="bgr0", sound=None)
    told = ("--gain", "0.5", "--read-noise", "4", "--patch-size", "3", "--search-size", "5")
    code, out, _ = cli("denoise", "a.mkv", *told, "-o", "b.mkv", "--json")
    assert code == 0
    record = json.loads(out)
    assert record["noise"]["kind"] == "poisson-gaussian"
    assert record["sigma_estimated"] is False
    with open_clip("a.mkv") as clip:
        frames = np.stack(list(clip.frames()))
    expected = nlmeans.denoise(
        frames, gain=0.5, read_noise=4, patch_size=3, search_size=5, stack="clip"
    )
    with open_clip("b.mkv") as clip:
        found = np.stack(list(clip.frames()))
    assert np.abs(found.astype(int) - expected).max() <= 1  # blocks are rounded by themselves


def test_a_plan_is_of_what_denoise_runs(cli):
    make("a.mp4", sound=None)
    told = ("--sigma", "8", "--patch-size", "3", "--search-size", "5", "--threads", "1")
    plan = json.loads(cli("plan", "a.mp4", *told, "--json")[1])
    done = json.loads(cli("denoise", "a.mp4", *told, "--json")[1])
    for name in ("sigma", "h", "patch_size", "search_size", "noise"):
        assert plan[name] == done[name]
    assert (plan["kernel"], plan["threads"], plan["shape"]) == ("window", 1, [8, 24, 32])
    assert plan["seconds"] > 0
    assert "filtering 8 frames sigma 8 (given)" in cli("plan", "a.mp4", *told)[1]


@pytest.mark.usefixtures("interruptible")
@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 143)])
def test_an_interrupt_leaves_nothing(tmp_path, name, code):
    make(tmp_path / "a.mp4")
    with reaching("filtering", "denoise", "a.mp4", "--sigma", "8", cwd=tmp_path) as process:
        assert len(files(tmp_path)) == 2  # the one that is being written
        process.send_signal(getattr(signal, name))
        out, err = process.communicate(timeout=HANGS)
    assert (process.returncode, out) == (code, "")
    assert "Traceback" not in err
    assert files(tmp_path) == ["a.mp4"]


def test_a_terminal_shows_progress(tmp_path):
    make(tmp_path / "a.mp4")
    blocks = ("--sigma", "8", "--search-size", "1x3x3")  # of one frame
    shown = on_a_terminal("denoise", "a.mp4", *blocks, cwd=tmp_path, state="passing")
    assert "a.mp4" in shown
    assert re.search(r"\d\d:\d\d:\d\d", shown)  # the time left
    assert "100%" in shown


def test_without_the_extra_a_line_says_what_to_install(cli, monkeypatch):
    make("a.mp4")
    for module in [
        m for m in sys.modules if m.startswith(("nlmeans.images.video", "nlmeans.images.enc"))
    ]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "av", None)
    refused(cli, exits.FAILED, "pip install 'nlmeans[video]'", "denoise", "a.mp4", *FAST)


def test_errors_are_those_of_images(tmp_path):
    with pytest.raises(ImageReadError, match="no such file"), open_clip(tmp_path / "a.mp4"):
        pass
    make(tmp_path / "a.mp4")
    with open_clip(tmp_path / "a.mp4") as clip, pytest.raises(ImageWriteError, match="extension"):
        save_clip(tmp_path / "b.gif", clip, clip.frames())


def test_a_long_run_is_announced(cli, monkeypatch):
    make("a.mp4", count=8)
    assert "about" not in cli("denoise", "a.mp4", *FAST)[2]
    monkeypatch.setattr(notices, "LONG", 0.0)
    code, _, err = cli("denoise", "a.mp4", *FAST, "--threads", "2", "--overwrite")
    assert code == 0
    assert re.search(r"^nlmeans: a.mp4: filtering 8 frames takes about .* s on 2 threads, ", err)
    assert cli("denoise", "a.mp4", *FAST, "--overwrite", "--quiet")[2] == ""


class Pipe:
    """What cannot be gone back in: the header never learns how long the clip is."""

    def __init__(self):
        self.data = b""

    def write(self, data):
        self.data += bytes(data)
        return len(data)


def test_a_clip_of_unknown_length_without_sound(cli, monkeypatch):
    pipe = Pipe()
    with av.open(pipe, "w", format="matroska") as out:
        video = out.add_stream("ffv1", 25)
        video.width, video.height, video.pix_fmt = 32, 24, "gray"
        for k in range(7):
            pixels = np.full((24, 32), 10 * k, np.uint8)
            out.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="gray")))
        out.mux(video.encode(None))
    Path("a.mkv").write_bytes(pipe.data)
    with open_clip("a.mkv") as clip:
        assert clip.expected is None
    monkeypatch.setattr(notices, "LONG", 0.0)
    code, out, err = cli("denoise", "a.mkv", *FAST)
    assert code == 0
    assert "7 frames 32x24 at 25 frames/s, in" in out
    assert "it does not say how many frames it has; filtering 1500 of them takes about" in err


def test_a_plan_counts_every_frame(cli):
    """Not those alone that the noise was measured on."""
    seconds = {}
    for count in (10, 40):
        make("a.mkv", codec="ffv1", size=(64, 48), count=count, sound=None)
        plan = json.loads(cli("plan", "a.mkv", "--sigma", "8", "--json", "--threads", "1")[1])
        op = nlmeans.nl_means(8, 7.2, tuple(plan["patch_size"]), tuple(plan["search_size"]))
        cost = op.cost((count, 48, 64, 3), channel_axis=-1, threads=1)
        seconds[count] = plan["seconds"]
        assert cost.seconds <= plan["seconds"] < 2 * cost.seconds
    assert seconds[40] > 2.5 * seconds[10]
