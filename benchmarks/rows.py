"""What `speed.py` compares: each row gives one table."""

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import peers
import processes
from measure import Array, Contender, Line, Row, Table, compare, timed
from skimage import data

from nlmeans import Operation, nl_means

SIGMA = 20.0
H = 0.8 * SIGMA
PEAK = 255.0


def grey(threads: int, runs: int) -> Table:
    """Grey 512x512, patch 7, search 21"""
    clean = data.camera()
    noisy = add_noise(clean)
    floats = noisy.astype(np.float32)
    op = nl_means(0, H, 7, 21, border="mirror")

    def methods() -> Iterator[Contender]:
        yield ours("float32", op, floats, threads)
        yield ours("float32", op, floats, 1)
        yield from peers.opencv(noisy, H, 7, 21, threads)
        yield from peers.opencv(noisy, H, 7, 21, 1)
        yield from peers.scikit_image(floats, H, 7, 21)
        yield from peers.ffmpeg(noisy, H, 7, 21, threads)
        yield from peers.bm3d(floats, SIGMA)

    return compare(title(grey), methods(), runs, clean, PEAK)


def colour(threads: int, runs: int) -> Table:
    """RGB 512x512, channels jointly, patch 7, search 21"""
    clean = data.astronaut()
    noisy = add_noise(clean)
    floats = noisy.astype(np.float32)
    op = nl_means(0, H, 7, 21, border="mirror")

    def methods() -> Iterator[Contender]:
        yield ours("float32", op, floats, threads, channel_axis=-1)
        yield from peers.opencv(noisy, H, 7, 21, threads)
        yield from peers.scikit_image(floats, H, 7, 21, channel_axis=-1)

    return compare(title(colour), methods(), runs, clean, PEAK)


def volume(threads: int, runs: int) -> Table:
    """Volume 64x64x64, patch 3, search 11"""
    z, y, x = np.indices((64, 64, 64)) / 64.0
    clean = 100 + 50 * np.sin(9 * x + 4 * y) * np.cos(7 * z) + 60 * ((x - 0.5) ** 2 + z**2 < 0.2)
    noisy = add_noise(clean).astype(np.float32)
    op = nl_means(0, H, 3, 11, border="mirror")

    def methods() -> Iterator[Contender]:
        yield ours("float32", op, noisy, threads)
        yield from peers.scikit_image(noisy, H, 3, 11)
        yield from peers.dipy(noisy, H, 3, 11, threads)

    return compare(title(volume), methods(), runs, clean, PEAK)


def clip(threads: int, runs: int) -> Table:
    """Clip of 5 frames of 240x352, patch 1x7x7, search 5x21x21, a frame"""
    camera = data.camera()
    clean = np.stack([camera[60 + 3 * t : 300 + 3 * t, 80 + 5 * t : 432 + 5 * t] for t in range(5)])
    noisy = add_noise(clean)
    floats = noisy.astype(np.float32)
    op = nl_means(0, H, (1, 7, 7), (5, 21, 21), border="mirror")

    def methods() -> Iterator[Contender]:
        yield ours("float32", op, floats, threads, units=len(clean))
        yield from peers.opencv_clip(noisy, 5, H, 7, 21, threads)

    return compare(title(clip), methods(), runs, clean, PEAK)


def drop_in(threads: int, runs: int) -> Table:
    """Drop-in for scikit-image, fast mode: grey 512x512 in float64, patch 7, distance 10"""
    return _drop_in(drop_in, data.camera(), True, threads, runs)


def drop_in_slow(threads: int, runs: int) -> Table:
    """Drop-in for scikit-image, slow mode: grey 256x256 in float64, patch 7, distance 10"""
    clean = data.camera()[80:336, 120:376]
    return _drop_in(drop_in_slow, clean, False, threads, min(runs, 3))


def _drop_in(row: Row, clean: Array, fast_mode: bool, threads: int, runs: int) -> Table:
    from nlmeans.peers.skimage import denoise_nl_means

    floats = add_noise(clean) / PEAK
    call = partial(denoise_nl_means, floats, 7, 10, H / PEAK, fast_mode)

    def methods() -> Iterator[Contender]:
        for count in (threads, 1):
            name = f"nlmeans.compat, {count} thread{'s' if count > 1 else ''}"
            yield Contender(name, timed(lambda count=count: PEAK * call(threads=count)))
        yield from peers.scikit_image_call(floats, 7, 10, H / PEAK, fast_mode, PEAK)

    return compare(title(row), methods(), runs, clean, PEAK)


def own(threads: int, runs: int) -> Table:
    """Ours alone: grey 512x512, search 21"""
    clean = data.camera()
    noisy = add_noise(clean)
    floats = noisy.astype(np.float32)
    op = nl_means(0, H, 7, 21)
    wide = nl_means(0, H, 15, 21)
    uint16 = noisy.astype(np.uint16) * 257
    op16 = nl_means(0, 257 * H, 7, 21)

    def methods() -> Iterator[Contender]:
        yield ours("patch 7, float32", op, floats, threads)
        yield ours("patch 7, float32", op, floats, 1)
        yield ours("patch 15, float32", wide, floats, threads)
        yield ours("patch 7, float64", op, floats.astype(np.float64), threads)
        yield ours("patch 7, uint8", op, noisy, threads)
        in_16_bits = timed(lambda: op16(uint16, threads=threads) / 257)
        yield Contender(f"nlmeans, patch 7, uint16, {threads} threads", in_16_bits)

    return compare(title(own), methods(), runs, clean, PEAK)


def limit(threads: int, runs: int) -> Table:
    """The limit: grey 512x512, patch 7, search 21, against what the cores can do"""
    from limits import measure_limits

    floats = add_noise(data.camera()).astype(np.float32)
    op = nl_means(0, H, 7, 21)
    methods = [ours("float32", op, floats, 1), ours("float32", op, floats, threads)]
    table = compare(title(limit), methods, runs, None, PEAK)
    operations = op.plan(floats.shape).operations
    found = measure_limits(threads)
    for name, rates in found.items():
        table.notes.append(
            f"- {name}: {rates['one']:.3g} {rates['unit']} on one core, {rates['all']:.3g} on "
            f"{threads}"
        )
    table.notes.append(f"- operations of the plan: {operations:.3g}")
    peak = found["multiply-add, as 2 operations"]
    for line, which in zip(table.lines, ("one", "all"), strict=True):
        rate = operations / line.milliseconds / 1e6
        table.notes.append(
            f"- {line.method}: {rate:.3g} Gop/s, {rate / peak[which]:.0%} of the multiply-add limit"
        )
    return table


def command(threads: int, runs: int) -> Table:
    """A whole program on a PNG of 512x512, patch 7, search 21"""
    from imageio.v3 import imwrite

    with TemporaryDirectory() as name:
        source, target = Path(name) / "in.png", Path(name) / "out.png"
        clean = data.camera()
        imwrite(source, add_noise(clean))
        arguments = processes.denoise_command(source, target, H, 7, 21)
        script = peers.opencv_script(source, target, H, 7, 21)

        def methods() -> Iterator[Contender]:
            yield Contender(
                "nlmeans denoise, kernel kept", partial(processes.run, arguments, target)
            )
            if script is not None:
                cv2 = [sys.executable, "-c", script]
                yield Contender("Python with OpenCV", partial(processes.run, cv2, target))

        table = compare(title(command), methods(), runs, clean, PEAK)
        seconds = processes.first_run(arguments, target)
        first = 1000 * seconds
        table.lines.append(
            Line(
                "nlmeans denoise, first run ever, once", first, first / table.lines[0].milliseconds
            )
        )
    return table


def large(threads: int, runs: int) -> Table:
    """Grey, patch 7, search 21, each size in a process of its own, a megapixel"""
    table = Table(f"{title(large)}, best of 3")
    for side in (512, 10_000):
        seconds, scratch = processes.filter_square(side, threads)
        per_megapixel = 1000 * seconds / (side * side / 1e6)
        base = table.lines[0].milliseconds if table.lines else per_megapixel
        table.lines.append(Line(f"{side} x {side}", per_megapixel, per_megapixel / base))
        table.notes.append(f"- {side} x {side}: {scratch:.0f} MiB above input and output")
    return table


def ours(
    what: str,
    op: Operation,
    x: Array,
    threads: int,
    *,
    channel_axis: int | None = None,
    units: int = 1,
) -> Contender:
    name = f"nlmeans, {what}, {threads} thread{'s' if threads > 1 else ''}"
    return Contender(name, timed(lambda: op(x, channel_axis=channel_axis, threads=threads), units))


def add_noise(clean: Array) -> Array:
    noise = np.random.default_rng(0).normal(0, SIGMA, clean.shape)
    return np.clip(np.rint(clean + noise), 0, 255).astype(np.uint8)


def title(row: Row) -> str:
    assert row.__doc__ is not None
    return row.__doc__
