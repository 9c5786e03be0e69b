"""Are the results of given settings the same bits as those of another checkout?

Prints a SHA-256 of every result: arrays of the public functions, and files that the command line
writes. Only public names are used, so that the script of one checkout also runs on another. Bits
depend on the machine (its vector units and its BLAS): compare lists of one machine.

    python benchmarks/same_bits.py --write before.json
    python benchmarks/same_bits.py --check before.json   # exits with 1 and the names that differ
    python benchmarks/same_bits.py --only 'ridge*'       # some of them

Data: sample_images. Time: about half a minute once the kernels are compiled.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from fractions import Fraction
from functools import partial
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import nlmeans
import nlmeans.peers
from nlmeans.compat import denoise_nl_means
from nlmeans.images import load
from nlmeans.stream import denoise_frames

Array = NDArray[Any]
Case = Callable[[], Any]  # makes an array, a list of arrays, or the bytes of files by name
SAMPLES = Path(__file__).parent.parent / "sample_images"
SIGMA = 20.0
SCALES = {"uint8": 1, "uint16": 257, "float32": 1 / 255, "float64": 1 / 255}  # of grey levels
SIZES = {"patch_size": 5, "search_size": 9, "h": 15.0}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", type=Path, metavar="FILE", help="save the list as JSON")
    parser.add_argument("--check", type=Path, metavar="FILE", help="compare with a saved list")
    parser.add_argument("--only", default="*", metavar="PATTERN", help="names to run")
    arguments = parser.parse_args()
    found = {}
    for name, case in cases().items():
        if fnmatch(name, arguments.only):
            found[name] = outcome(case)
            print(f"{found[name][:16]}  {name}", flush=True)
    if arguments.write:
        arguments.write.write_text(json.dumps(found, indent=1) + "\n")
    if arguments.check:
        before = json.loads(arguments.check.read_text())
        before = {name: bits for name, bits in before.items() if fnmatch(name, arguments.only)}
        differing = differences(before, found)
        print("\n".join(differing) or f"all {len(found)} are the same")
        raise SystemExit(bool(differing))


def differences(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """A line for each name whose result is another, or is on one side alone."""
    lines = []
    for name in {**before, **after}:
        was, now = before.get(name, "not there"), after.get(name, "not there")
        if was != now:
            lines.append(f"DIFFERS  {name}: {was[:60]} -> {now[:60]}")
    return lines


def outcome(case: Case) -> str:
    """The SHA-256 of a result, or the error raised in its place."""
    try:
        return digest(case())
    except Exception as error:
        return f"raised {type(error).__name__}: {error}"


def digest(result: Any) -> str:
    sha = hashlib.sha256()
    parts = result if isinstance(result, list) else [result]
    for part in parts:
        if isinstance(part, bytes | str):
            sha.update(part if isinstance(part, bytes) else part.encode())
        else:
            sha.update(f"{part.dtype} {part.shape} ".encode())
            sha.update(np.ascontiguousarray(part).tobytes())
    return sha.hexdigest()


def cases() -> dict[str, Case]:
    """All results by name, none of them computed yet."""
    found: dict[str, Case] = {}
    for group in (images, kinds, places, stacks, parts, peers, operations, weights, points):
        found.update(group())
    found.update(commands())
    if find_spec("av"):
        found["command video"] = video
    return found


def grey() -> Array:
    return load(SAMPLES / "camera_noisy.png").pixels[60:188, 80:200]


def colour() -> Array:
    return load(SAMPLES / "chelsea_noisy.png").pixels[40:136, 60:148]


def scaled(image: Array, dtype: str) -> Array:
    return (image * np.float64(SCALES[dtype])).astype(dtype)


def volume(count: int = 8) -> Array:
    """A clip of a picture that moves, with noise."""
    clean = load(SAMPLES / "camera.png").pixels
    frames = np.stack([clean[80:144, 2 * k + 60 : 2 * k + 116] for k in range(count)])
    noisy = frames + np.random.default_rng(0).normal(0, SIGMA, frames.shape)
    return noisy.clip(0, 255).astype(np.uint8)


def images() -> dict[str, Case]:
    """Pictures of each dtype, by both methods, on one and two threads."""
    found: dict[str, Case] = {}
    for (name, image), dtype in product((("grey", grey()), ("colour", colour())), SCALES):
        x, unit = scaled(image, dtype), SCALES[dtype]
        sizes = {**SIZES, "h": SIZES["h"] * unit}
        run = partial(nlmeans.denoise, x, SIGMA * unit)
        found[f"classic {name} {dtype}"] = partial(run, method="classic")
        found[f"classic sizes {name} {dtype}"] = partial(run, **sizes)
        found[f"ridge {name} {dtype}"] = partial(run, method="ridge")
    run = partial(nlmeans.denoise, grey(), SIGMA)
    for threads, method in product((1, 2), ("classic", "ridge")):
        found[f"{method} on {threads} threads"] = partial(run, method=method, threads=threads)
    for dtype in ("bool", "int16", "float16"):
        x = (grey() > 100) if dtype == "bool" else grey().astype(dtype)
        sigma = 0.3 if dtype == "bool" else SIGMA
        found[f"classic {dtype}"] = partial(nlmeans.denoise, x, sigma, method="classic")
    alpha = np.concatenate([colour(), colour()[..., :1]], axis=-1)
    found["ridge alpha"] = partial(nlmeans.denoise, alpha, SIGMA)
    first = np.moveaxis(colour(), -1, 0)
    found["ridge channels first"] = partial(nlmeans.denoise, first, SIGMA, channel_axis=0)
    options = {"strength": 1.2, "chroma_strength": 1.5, "amount": 0.8}
    found["ridge strengths"] = partial(nlmeans.denoise, colour(), SIGMA, **options)
    for key, values in {
        "patch_weighting": ("gaussian", "off-centre"),
        "centre": ("max", "zero"),
        "border": ("mirror",),
        "cut": (0.01,),
    }.items():
        for value in values:
            found[f"classic {key} {value}"] = partial(run, **SIZES, **{key: value})
    return found


def kinds() -> dict[str, Case]:
    """Noise that is not white, with its parameters given."""
    camera = {"noise": "poisson-gaussian", "gain": 1.5, "read_noise": 4.0}
    found: dict[str, Case] = {
        "poisson-gaussian grey": partial(nlmeans.denoise, grey(), **camera),
        "poisson-gaussian colour": partial(nlmeans.denoise, colour(), **camera),
        "poisson-gaussian classic": partial(nlmeans.denoise, grey(), method="classic", **camera),
        "poisson-gaussian gain alone": partial(nlmeans.denoise, grey(), gain=2.0),
    }
    noise = nlmeans.Noise("poisson-gaussian", (1.5, 1.2, 1.8), (4.0, 3.0, 5.0))
    found["poisson-gaussian value"] = partial(nlmeans.denoise, colour(), noise=noise)
    for dtype in ("uint8", "float32"):
        x, unit = scaled(grey(), dtype), SCALES[dtype]
        found[f"rician {dtype}"] = partial(nlmeans.denoise, x, SIGMA * unit, noise="rician")
    return found


def places() -> dict[str, Case]:
    """Maps, masks, regions, and the blend with the original."""
    x = grey()
    ramp = np.linspace(10.0, 30.0, x.size).reshape(x.shape)
    mask = ramp > 15
    region = np.s_[20:70, 30:90]
    found: dict[str, Case] = {
        "sigma map": partial(nlmeans.denoise, x, ramp),
        "h map": partial(nlmeans.denoise, x, SIGMA, h=ramp),
        "both maps": partial(nlmeans.denoise, colour(), ramp[:96, :88], h=ramp[:96, :88] / 2),
    }
    for method in ("classic", "ridge"):
        run = partial(nlmeans.denoise, x, SIGMA, method=method)
        found[f"mask {method}"] = partial(run, mask=mask)
        found[f"region {method}"] = partial(run, region=region)
        found[f"mask and region {method}"] = partial(run, mask=mask, region=region)
        found[f"keep detail {method}"] = partial(run, keep_detail=True)
    noisy = {"gain": 1.5, "read_noise": 4.0}
    found["region poisson-gaussian"] = partial(nlmeans.denoise, x, region=region, **noisy)
    return found


def stacks() -> dict[str, Case]:
    x = volume()
    found: dict[str, Case] = {}
    for stack in ("volume", "clip", "pages"):
        found[f"stack {stack}"] = partial(nlmeans.denoise, x, SIGMA, stack=stack)
        run = partial(nlmeans.denoise, scaled(x, "float32"), SIGMA / 255, stack=stack)
        found[f"stack {stack} float32"] = partial(run, region=np.s_[2:5, 10:40, 10:40])
    found["stack clip sizes"] = partial(nlmeans.denoise, x, SIGMA, stack="clip", **SIZES)
    found["stack clip mask"] = partial(nlmeans.denoise, x, SIGMA, stack="clip", mask=x > 90)
    operation = nlmeans.nl_means(SIGMA, 15, patch_size=(1, 3, 3), search_size=(3, 9, 9))
    for dtype in ("uint8", "float32"):
        frames = partial(denoise_frames, x.astype(dtype), operation, amount=0.9)
        found[f"frames {dtype}"] = lambda frames=frames: list(frames())
    return found


def parts() -> dict[str, Case]:
    """Filtered in parts: their cuts, and so the last bits of floats, follow from `Cost.bytes`."""
    x = np.tile(grey(), (4, 2))
    run = partial(nlmeans.denoise, x, SIGMA, max_memory=4_000_000)
    found: dict[str, Case] = {"parts classic": partial(run, method="classic")}
    found["parts ridge"] = partial(
        nlmeans.denoise, np.tile(grey(), (3, 1)), SIGMA, max_memory=5_000_000
    )
    found["parts volume"] = partial(
        nlmeans.denoise, volume(24), SIGMA, stack="volume", max_memory=8_000_000
    )
    return found


def peers() -> dict[str, Case]:
    known = nlmeans.peers
    x, stack = grey(), volume()
    found: dict[str, Case] = {
        "peer opencv": partial(known.from_opencv(h=10, searchWindowSize=11), x),
        "peer skimage fast": partial(known.from_skimage(5, 5, 0.08, True, 0.08, peak=255), x),
        "peer skimage slow": partial(known.from_skimage(5, 5, 0.08, False, 0.08, peak=255), x),
        "peer ffmpeg": partial(known.from_ffmpeg(s=8, r=9), x),
        "peer dipy blockwise": partial(known.from_dipy(SIGMA), stack),
        "peer dipy classic": partial(known.from_dipy(SIGMA, 1, 3, method="classic"), stack),
        "peer ipol": partial(known.from_ipol(SIGMA, channels=3), colour(), channel_axis=-1),
        "peer knlmeans": partial(known.from_knlmeans(d=1, a=3, s=2), stack),
    }
    sizes = (5, 5, 0.08)
    for name, image in (("grey", x), ("colour", colour()), ("volume", stack)):
        axis = -1 if name == "colour" else None
        for fast in (True, False):
            options = {"fast_mode": fast, "sigma": 0.08, "channel_axis": axis}
            call = partial(denoise_nl_means, image, *sizes, **options)
            found[f"compat {name} {'fast' if fast else 'slow'}"] = call
    small = scaled(x, "float32")
    found["compat float32"] = partial(denoise_nl_means, small, *sizes, sigma=0.08)
    return found


def operations() -> dict[str, Case]:
    """The learned members of the family, groups, and the rows of weights."""
    rng = np.random.default_rng(0)
    theta, phi, w_g = rng.normal(0, 0.3, (3, 4, 6))
    x = rng.normal(size=(24, 20, 6))
    regions = nlmeans.Regions((2, 0, 0))
    found: dict[str, Case] = {}
    functions = {
        "embedded gaussian": nlmeans.embedded_gaussian(theta, phi),
        "dot product": nlmeans.dot_product(theta, phi),
        "concatenation": nlmeans.concatenation(rng.normal(size=8), theta, phi),
    }
    supports = {
        "everywhere": nlmeans.Everywhere(),
        "pooled": nlmeans.Everywhere(nlmeans.Pool(2)),
        "window": nlmeans.Window(7),
    }
    for (name, f), (where, over) in product(functions.items(), supports.items()):
        operation = nlmeans.Operation(f, nlmeans.Linear(w_g), over)
        for dtype in ("float32", "float64"):
            run = partial(operation, x.astype(dtype), channel_axis=-1)
            found[f"{name} {where} {dtype}"] = run
    attention = nlmeans.Operation(functions["embedded gaussian"], nlmeans.Linear(w_g), regions)
    clip = rng.normal(size=(4, 10, 8, 6))
    found["embedded gaussian regions"] = partial(attention, clip, channel_axis=-1)
    classic = nlmeans.nl_means(SIGMA, 15, 5, 9)
    found["affinity"] = partial(classic.affinity, grey(), (40, 50))
    found["operation guide"] = partial(classic, grey(), guide=grey()[::-1])
    near = nlmeans.Neighbours(rng.random((300, 3)), k=8)
    cloud = nlmeans.Operation(nlmeans.gaussian(h=30, patch_size=1), over=near)
    found["neighbours"] = partial(cloud, rng.normal(100, 20, 300))
    patches = rng.normal(100, SIGMA, (30, 49))
    group = nlmeans.group_operation(patches, SIGMA)
    found["group operation"] = partial(group, patches, channel_axis=-1)
    groups = nlmeans.GroupMeans(SIGMA, group_size=16)
    found["group means"] = partial(groups, colour(), channel_axis=-1)
    found["group means pilot"] = partial(groups, grey(), pilot=grey()[::-1])
    return found


def weights() -> dict[str, Case]:
    """Blocks saved as files and loaded again, and those learned."""

    def saved(suffix: str, block: Any, x: Array, **options: Any) -> list[Any]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f"block{suffix}")
            nlmeans.save_weights(path, block, input_range=255)
            loaded = nlmeans.load_weights(path)
            said = [f"{each.name} {each.value} {each.source}" for each in loaded.choices]
            return [loaded(x, **options), str(loaded.block), *said]

    rng = np.random.default_rng(1)
    theta, phi, w_g = rng.normal(0, 0.3, (3, 4, 6))
    f = nlmeans.embedded_gaussian(theta, phi)
    operation = nlmeans.Operation(f, nlmeans.Linear(w_g), nlmeans.Everywhere(nlmeans.Pool(2)))
    block = nlmeans.Block(operation, nlmeans.Linear(rng.normal(size=(6, 4))))
    features = rng.normal(size=(20, 18, 6))
    found: dict[str, Case] = {}
    for suffix in (".safetensors", ".npz"):
        found[f"weights {suffix}"] = partial(saved, suffix, block, features, channel_axis=-1)
    classic = nlmeans.Block(nlmeans.nl_means(SIGMA, 15, 3, 7), residual=False)
    found["weights classic"] = partial(saved, ".safetensors", classic, grey().astype(np.float32))
    learned = SAMPLES / "camera.safetensors"
    found["weights denoise"] = lambda: nlmeans.load_weights(learned).denoise(grey())
    found["weights pca"] = lambda: saved(
        ".safetensors", nlmeans.pca_weights(grey(), SIGMA), grey().astype(np.float32)
    )
    clean = load(SAMPLES / "camera.png").pixels[60:188, 80:200]
    found["weights fitted"] = lambda: saved(
        ".safetensors",
        nlmeans.fit_weights([clean], [grey()], sigma=SIGMA, crops=4, steps=2).block,
        grey().astype(np.float32),
    )
    return found


def points() -> dict[str, Case]:
    def cloud() -> Array:
        rng = np.random.default_rng(0)
        directions = rng.normal(size=(2000, 3))
        sphere = directions / np.linalg.norm(directions, axis=1, keepdims=True)
        return sphere + rng.normal(0, 0.02, sphere.shape)

    return {
        "points": lambda: nlmeans.denoise_points(cloud(), 0.02),
        "points float32": lambda: nlmeans.denoise_points(cloud().astype(np.float32), 0.02),
        "points sizes": lambda: nlmeans.denoise_points(
            cloud(), 0.02, patch_neighbours=20, search_neighbours=40, iterations=2
        ),
    }


def commands() -> Iterator[tuple[str, Case]]:
    """Files that the command line writes, each run in a folder of its own."""
    camera, learned = SAMPLES / "camera_noisy.png", SAMPLES / "camera.safetensors"
    small = ("--preview", "60,60,80,70")
    lines: dict[str, tuple[Any, ...]] = {
        "png": ("denoise", camera, SAMPLES / "cell16_noisy.png", "-O", ".", "--sigma", "20"),
        "tiff": ("denoise", camera, "-o", "out.tif", "--sigma", "20", "--method", "classic"),
        "preview": ("denoise", SAMPLES / "chelsea_noisy.png", "-O", ".", "--sigma", "25", *small),
        "stack": ("denoise", "stack.tif", "--sigma", "20", "--stack", "clip"),
        "pages": ("denoise", "stack.tif", "--sigma", "20", "--stack", "pages"),
        "weights": ("denoise", camera, "-o", "out.png", "--weights", learned),
        "noise": ("denoise", camera, "-o", "out.png", "--gain", "1.5", "--read-noise", "4"),
        "like": ("denoise", camera, "-o", "out.png", "--like", "opencv:h=10,searchWindowSize=9"),
        "like stack": ("denoise", "stack.tif", "--stack", "clip", "--like", "knlmeans:d=1,a=2"),
        "detail": ("denoise", camera, "-o", "out.png", "--sigma", "20", "--keep-detail"),
        "mask": ("denoise", camera, "-o", "out.png", "--sigma", "20", "--mask", "mask.tif"),
        "affinity": ("affinity", camera, "-o", "out.png", "--sigma", "20", "--h", "15"),
        "strengths": ("strengths", camera, "-o", "out.png", "--sigma", "20", *small),
        "points": ("points", "cloud.xyz", "--sigma", "0.02"),
        "convert": ("weights", "convert", learned, "out.npz"),
    }
    for name, line in lines.items():
        yield f"command {name}", partial(written, *line)


def written(*arguments: Any) -> list[Any]:
    """The names and bytes of the files that a command writes beside its inputs."""
    with tempfile.TemporaryDirectory() as folder:
        fill(Path(folder))
        before = set(Path(folder).iterdir())
        command(folder, *arguments)
        new = sorted(set(Path(folder).iterdir()) - before)
        return [part for path in new for part in (path.name, path.read_bytes())]


def fill(folder: Path) -> None:
    """Inputs that are no sample images: a stack, a mask, a cloud of points."""
    import tifffile

    tifffile.imwrite(folder / "stack.tif", volume(), photometric="minisblack")
    tifffile.imwrite(folder / "mask.tif", (load(SAMPLES / "camera.png").pixels > 90).astype("u1"))
    rng = np.random.default_rng(0)
    plane = np.column_stack([rng.random((1500, 2)), np.zeros(1500)])
    np.savetxt(folder / "cloud.xyz", plane + rng.normal(0, 0.01, plane.shape), fmt="%.6f")


def command(folder: str, *arguments: Any) -> None:
    line = [sys.executable, "-m", "nlmeans", *map(str, arguments), "--quiet"]
    if arguments[0] in ("affinity", "weights", "strengths"):
        line.remove("--quiet")
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip() or f"exit code {done.returncode}")


def video() -> list[Any]:
    """The frames of a clip that the command line writes without loss."""
    import av

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "clip.mkv"), Path(folder, "out.mkv")
        with av.open(source, "w") as out:
            stream = out.add_stream("ffv1", rate=Fraction(25))
            stream.width, stream.height, stream.pix_fmt = 56, 64, "gray"
            for frame in volume():
                out.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="gray")))
            out.mux(stream.encode(None))
        command(folder, "denoise", source, "-o", target, "--sigma", "20")
        with av.open(target) as result:
            return [frame.to_ndarray() for frame in result.decode(video=0)]


if __name__ == "__main__":
    main()
