"""The command line end to end: files in, files out, exit codes, one line an error."""

import json
import os
import re
import signal
import stat
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest
from commands import bad, files
from nlmeans.cli import exits
from nlmeans.cli.main import main
from PIL import Image
from processes import HANGS, of_a_user, on_a_terminal, program, reaching
from skimage import data

import nlmeans
from nlmeans.images import FORMATS, Picture, load, save

RNG = np.random.default_rng(11)
GREY = np.clip(data.camera()[100:148, 200:264] + RNG.normal(0, 15, (48, 64)), 0, 255)
COLOUR = np.clip(data.astronaut()[:48, 200:264] + RNG.normal(0, 15, (48, 64, 3)), 0, 255)


def picture(path, pixels=GREY, dtype=np.uint8):
    save(path, Picture(np.rint(pixels).astype(dtype), alpha=False, format="PNG"))
    return Path(path).read_bytes()


CASES = [
    ("a.png", GREY, np.uint8),
    ("a.png", COLOUR, np.uint8),
    ("a.png", GREY * 257, np.uint16),
    ("a.png", COLOUR * 257, np.uint16),
    ("a.jpg", GREY, np.uint8),
    ("a.jpeg", COLOUR, np.uint8),
    ("a.tif", COLOUR * 257, np.uint16),
    ("a.tiff", GREY / 255, np.float32),
    ("a.tif", COLOUR / 255, np.float64),
    ("a.tif", GREY - 128, np.int16),
    ("a.webp", COLOUR, np.uint8),
    ("a.bmp", COLOUR, np.uint8),
    ("a.pgm", GREY * 257, np.uint16),
    ("a.ppm", COLOUR, np.uint8),
    ("a.png", GREY > 128, bool),
]


@pytest.mark.parametrize(("name", "pixels", "dtype"), CASES)
def test_every_format_comes_out_denoised_in_its_own_depth(cli, name, pixels, dtype):
    values = pixels if np.dtype(dtype).kind == "f" else np.rint(pixels)
    save(name, Picture(values.astype(dtype), alpha=False, format="PNG"))
    before = Path(name).read_bytes()
    code, out, err = cli("denoise", name, "--sigma", "8%")
    assert (code, err) == (0, "")
    target = name.replace("a.", "a_denoised.")
    stored, result = load(name).pixels, load(target).pixels
    assert (result.dtype, result.shape) == (stored.dtype, stored.shape)
    if dtype is not bool:
        expected = nlmeans.denoise(stored, sigma_of_percent(8, stored))
        tolerance = 3 if name.startswith("a.j") else 0  # on the mean: JPEG output is lossy
        assert np.abs(result.astype(float) - expected).mean() <= tolerance
        assert result.std() < stored.std()
    assert Path(name).read_bytes() == before
    assert re.search(
        r"sigma [\d.e-]+ \(given\), ridge, h [\d.e-]+, patch \d+, search \d+; .* MP/s", out
    )


def sigma_of_percent(percent, pixels):
    if pixels.dtype.kind == "f":
        return percent / 100 * (float(pixels.max()) - float(pixels.min()))
    limits = np.iinfo(pixels.dtype)
    return percent / 100 * (float(limits.max) - float(limits.min))


def test_alpha_and_metadata_are_kept(cli):
    rgba = np.dstack([COLOUR, RNG.integers(0, 255, (48, 64))]).astype(np.uint8)
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Maker", 6
    Image.fromarray(rgba).save("a.png", exif=exif, dpi=(300, 300), icc_profile=b"profile")
    assert cli("denoise", "a.png")[0] == 0
    with Image.open("a_denoised.png") as result:
        np.testing.assert_array_equal(np.array(result)[..., 3], rgba[..., 3])
        assert (result.getexif()[0x010F], result.getexif()[0x0112]) == ("Maker", 6)
        assert result.info["dpi"] == pytest.approx((300, 300), abs=0.01)
        assert result.info["icc_profile"] == b"profile"


def test_what_the_output_cannot_hold_is_named(cli):
    Image.fromarray(COLOUR.astype(np.uint8)).save("a.png", dpi=(300, 300))
    code, _, err = cli("denoise", "a.png", "-o", "a.webp")
    assert code == 0
    assert err.count("\n") == 1
    assert re.match(r"nlmeans: a.webp: resolution .* not kept", err)


def test_output_places(cli):
    picture("a.png")
    Path("out").mkdir()
    assert cli("denoise", "a.png")[0] == 0
    assert cli("denoise", "a.png", "--suffix", "_x")[0] == 0
    assert cli("denoise", "a.png", "-o", "b.tif")[0] == 0
    assert cli("denoise", "a.png", "-O", "out")[0] == 0
    assert cli("denoise", "a.png", "-O", "out", "--suffix", "_y")[0] == 0
    assert files() == ["a.png", "a_denoised.png", "a_x.png", "b.tif", "out"]
    assert files("out") == ["a.png", "a_y.png"]
    pictures = [load(p).pixels for p in ("a_denoised.png", "b.tif", "out/a.png", "out/a_y.png")]
    for other in pictures[1:]:
        np.testing.assert_array_equal(other, pictures[0])


def test_an_existing_file_is_never_replaced_unasked(cli):
    picture("a.png")
    Path("a_denoised.png").write_bytes(b"precious")
    code, _, err = cli("denoise", "a.png")
    assert code == exits.FAILED
    assert "a_denoised.png" in err
    assert "exists" in err
    assert Path("a_denoised.png").read_bytes() == b"precious"
    assert cli("denoise", "a.png", "--overwrite")[0] == 0
    assert load("a_denoised.png").pixels.shape == GREY.shape


@pytest.mark.parametrize("extra", [[], ["--overwrite"]])
def test_the_input_is_never_the_output(cli, extra):
    before = picture("a.png")
    Path("hard.png").hardlink_to("a.png")
    Path("soft.png").symlink_to("a.png")
    for target in ("a.png", "./a.png", "hard.png", "soft.png"):
        code, _, err = cli("denoise", "a.png", "-o", target, *extra)
        assert code == exits.FAILED
        assert err.count("\n") == 1
    assert cli("denoise", "a.png", "-O", ".", *extra)[0] == exits.FAILED
    assert Path("a.png").read_bytes() == before
    assert files() == ["a.png", "hard.png", "soft.png"]


def test_strength_amount_sizes_and_h_reach_the_filter(cli):
    picture("a.png")
    pixels = load("a.png").pixels
    code, out, _ = cli(
        "denoise",
        "a.png",
        "--sigma",
        "15",
        "--h",
        "12",
        "--patch-size",
        "3x5",
        "--search-size",
        "9",
        "--strength",
        "0.5",
        "--amount",
        "0.7",
        "--json",
        "--threads",
        "1",
    )
    record = json.loads(out)
    assert code == 0
    assert record["h"] == 6
    assert record["patch_size"] == [3, 5]
    assert record["search_size"] == 9
    assert record["sigma_estimated"] is False
    assert record["output"] == "a_denoised.png"
    assert record["megapixels"] == pytest.approx(48 * 64 / 1e6)
    expected = nlmeans.denoise(pixels, 15, h=6, patch_size=(3, 5), search_size=9, amount=0.7)
    np.testing.assert_array_equal(load("a_denoised.png").pixels, expected)


def test_quiet_prints_nothing(cli):
    picture("a.png")
    assert cli("denoise", "a.png", "-q") == (0, "", "")


def test_sigma_auto_is_the_default(cli):
    picture("a.png")
    _, first, _ = cli("denoise", "a.png", "--json")
    _, second, _ = cli("denoise", "a.png", "--sigma", "auto", "--overwrite", "--json")
    assert json.loads(first)["sigma"] == json.loads(second)["sigma"] == pytest.approx(15, rel=0.2)


def test_a_clean_picture_is_copied(cli):
    picture("a.png", np.full((32, 32), 77))
    code, out, _ = cli("denoise", "a.png")
    assert code == 0
    assert "not filtered" in out
    np.testing.assert_array_equal(load("a_denoised.png").pixels, 77)


def test_a_batch_goes_on_after_errors(cli):
    picture("good.png")
    picture("fine.png", COLOUR)
    Path("empty.png").touch()
    Path("text.png").write_text("hello")
    code, out, err = cli(
        "denoise", "missing.png", "good.png", "empty.png", "text.png", "fine.png", "--json"
    )
    assert code == exits.FAILED
    assert err.count("\n") == 3
    records = [json.loads(line) for line in out.splitlines()]
    assert [r.get("exit_code", 0) for r in records] == [1, 0, 1, 1, 0]
    assert {"good_denoised.png", "fine_denoised.png"} < set(files())


def test_bad_inputs(cli):
    whole = picture("a.png")
    Path("empty.png").touch()
    Path("cut.png").write_bytes(whole[: len(whole) // 2])
    Path("jpeg.png").write_bytes(b"\xff\xd8\xff\xe0" + bytes(50))
    Path("named.jpg").write_bytes(whole)
    Path("folder.png").mkdir()
    Image.fromarray(GREY.astype(np.uint8)).save("a.gif")
    floats = (GREY / 255).astype(np.float32)
    floats[3, 5] = np.nan
    save("nan.tif", Picture(floats, alpha=False, format="TIFF"))
    floats[3, 5] = np.inf
    save("inf.tif", Picture(floats, alpha=False, format="TIFF"))
    picture("tiny.png", np.array([[1, 2], [3, 4]]))
    for command in ("denoise", "estimate", "plan"):
        bad(cli, 1, "^nlmeans: missing.png: no such file", command, "missing.png")
        bad(cli, 1, "^nlmeans: empty.png: .*empty", command, "empty.png")
        bad(cli, 1, "^nlmeans: cut.png: .*cut short", command, "cut.png")
        bad(cli, 1, "^nlmeans: jpeg.png: .*rename", command, "jpeg.png")
        bad(cli, 1, "^nlmeans: named.jpg: .*holds PNG: rename it to .png", command, "named.jpg")
        bad(cli, 1, "^nlmeans: folder.png: is a folder", command, "folder.png")
        bad(cli, 1, "^nlmeans: a.gif: is GIF; its 256 colours", command, "a.gif")
        bad(cli, 1, r"^nlmeans: nan.tif: .*1 NaN .* first at \(3, 5", command, "nan.tif")
        bad(cli, 1, r"^nlmeans: inf.tif: .*infinite", command, "inf.tif")
        bad(cli, 1, "^nlmeans: tiny.png: .*2x2", command, "tiny.png")
        bad(cli, 1, "no such file", command, "http://localhost/a.png")
        bad(cli, 1, "no such file", command, "imageio:camera.png")


def test_a_palette_that_becomes_rgb_is_noted(cli):
    Image.fromarray(COLOUR.astype(np.uint8)).convert("P").save("a.png")
    code, _, err = cli("denoise", "a.png", "--sigma", "9")
    assert (code, err) == (0, "nlmeans: a.png: palette not kept: its colours become RGB\n")
    assert "palette" not in cli("denoise", "a_denoised.png", "--sigma", "9")[2]


def test_tiny_pictures_work_when_sigma_is_given(cli):
    picture("tiny.png", np.array([[1, 2], [3, 4]]))
    assert cli("denoise", "tiny.png", "--sigma", "1")[0] == 0
    assert load("tiny_denoised.png").pixels.shape == (2, 2)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--sigma", "-1"), ("--sigma", "nan"), ("--sigma", "inf"), ("--sigma", "101%"),
        ("--sigma", "loud"), ("--sigma", ""), ("--sigma", "-5%"),
        ("--h", "0"), ("--h", "-2"), ("--h", "nan"),
        ("--patch-size", "4"), ("--patch-size", "-7"), ("--patch-size", "0"),
        ("--patch-size", "99999"), ("--patch-size", "3x"), ("--patch-size", "3x3x3x3"),
        ("--search-size", "20"), ("--search-size", "1.5"), ("--search-size", "100001"),
        ("--strength", "0"), ("--strength", "-1"), ("--strength", "inf"),
        ("--amount", "1.1"), ("--amount", "-0.1"), ("--amount", "nan"),
        ("--threads", "0"), ("--threads", "two"), ("--quality", "0"),
    ],
)  # fmt: skip
def test_bad_values_name_the_option(cli, option, value):
    picture("a.png")
    bad(cli, 2, f"{option}.*{re.escape(value)}", "denoise", "a.png", option, value)


@pytest.mark.parametrize("option", [("--h", "1e200"), ("--strength", "1e300")])
def test_numbers_beyond_computing(cli, option):
    picture("a.png")
    bad(
        cli,
        2,
        "a.png: (h|sigma) is .* finite numbers from 1e-150 up to 1e",
        "denoise",
        "a.png",
        *option,
    )


def test_sigma_beyond_the_range_of_the_file(cli):
    picture("a.png")
    bad(
        cli,
        2,
        "a.png: sigma is 300, above 255, the range of uint8",
        "denoise",
        "a.png",
        "--sigma",
        "300",
    )


def test_bad_outputs(cli):
    picture("a.png")
    picture("deep.png", GREY * 257, np.uint16)
    bad(cli, 1, "folder .*nowhere does not exist", "denoise", "a.png", "-O", "nowhere")
    bad(cli, 1, "does not exist", "denoise", "a.png", "-o", "nowhere/b.png")
    bad(cli, 1, "a.png is a file, not a folder", "denoise", "a.png", "-O", "a.png")
    bad(cli, 1, "unknown extension '.xyz': use one of .png", "denoise", "a.png", "-o", "b.xyz")
    bad(cli, 1, "extension", "denoise", "a.png", "-o", "b")
    bad(cli, 1, "b.jpg.*16", "denoise", "deep.png", "-o", "b.jpg")
    bad(cli, 1, "quality", "denoise", "a.png", "-o", "b.png", "--quality", "90")
    bad(cli, 2, "use just one of -o and -O", "denoise", "a.png", "-o", "b.png", "-O", ".")
    bad(cli, 2, "2 inputs", "denoise", "a.png", "deep.png", "-o", "b.png")
    bad(cli, 2, "--suffix", "denoise", "a.png", "--suffix", "../x")
    bad(cli, 2, "--suffix", "denoise", "a.png", "--suffix", "")
    bad(cli, 2, "twice", "denoise", "a.png", "a.png")
    bad(cli, 2, "Missing argument", "denoise")
    bad(cli, 2, "No such option", "denoise", "a.png", "--sgima", "3")
    bad(cli, 2, "No such command", "dnoise", "a.png")


@pytest.mark.parametrize("link", [False, True])
def test_no_input_is_overwritten_as_the_output_of_another(cli, link):
    picture("a.png")
    second = picture("b.png", COLOUR)
    if link:
        Path("a_denoised.png").hardlink_to("b.png")
    else:
        Path("b.png").rename("a_denoised.png")
    other = "b.png" if link else "a_denoised.png"
    bad(
        cli,
        2,
        f"a.png would be written to a_denoised.png, which is the input {other}",
        "denoise",
        "a.png",
        other,
        "--overwrite",
    )
    assert Path(other).read_bytes() == second


def test_two_inputs_for_one_output_are_refused_before_any_work(cli):
    Path("x").mkdir()
    Path("y").mkdir()
    Path("out").mkdir()
    picture("x/a.png")
    picture("y/a.png")
    bad(
        cli,
        2,
        "x/a.png and y/a.png would both be written to out/a.png",
        "denoise",
        "x/a.png",
        "y/a.png",
        "-O",
        "out",
    )
    assert files("out") == []


def test_unwritable_folder(tmp_path):
    picture(tmp_path / "a.png")
    (tmp_path / "locked").mkdir(mode=stat.S_IRUSR | stat.S_IXUSR)
    done = command("denoise", "a.png", "-O", "locked", before=of_a_user(), cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (exits.FAILED, "", 1)
    assert "not writable" in done.stderr
    assert files(tmp_path / "locked") == []


def test_errors_that_are_bugs_say_so(cli, monkeypatch):
    picture("a.png")

    def broken(*args, **kwargs):
        raise ZeroDivisionError

    monkeypatch.setattr("nlmeans.denoising.task.run_tasks", broken)
    bad(cli, 1, "unexpected ZeroDivisionError.*NLMEANS_DEBUG", "denoise", "a.png")


def test_no_memory(cli, monkeypatch):
    picture("a.png")

    def huge(*args, **kwargs):
        raise MemoryError

    monkeypatch.setattr("nlmeans.denoising.task.run_tasks", huge)
    bad(cli, 1, "a.png: not enough memory", "denoise", "a.png")


def test_file_names_are_kept_on_one_line(cli):
    picture("a\nb.png")
    code, out, _ = cli("denoise", "a\nb.png", "--sigma", "9")
    assert code == 0
    assert out.count("\n") == 1
    picture("-dash.png")
    assert cli("denoise", "--", "-dash.png")[0] == 0


def test_estimate(cli):
    picture("a.png", RNG.normal(100, 12, (64, 64)))
    picture("b.png", RNG.normal(100, 12, (64, 64, 3)))
    code, out, _ = cli("estimate", "a.png", "b.png")
    assert code == 0
    assert re.fullmatch(
        r"a.png: sigma 1[123]\.\d+, 4\.\d+%\n"
        r"b.png: sigma 1[123]\.\d+, 4\.\d+% \(per channel 1.*, 1.*, 1.*\)\n",
        out,
    )
    _, out, _ = cli("estimate", "b.png", "--json")
    record = json.loads(out)
    assert record["sigma"] == pytest.approx(12, rel=0.1)
    assert len(record["per_channel"]) == 3


def test_plan_shows_and_runs_nothing(cli):
    picture("a.png", COLOUR)
    code, out, err = cli("plan", "a.png", "--sigma", "20", "--patch-size", "5")
    assert (code, err) == (0, "")
    assert files() == ["a.png"]
    for text in (
        "sigma 20 (given)",
        "y_i = 1/C(x)",
        "patches of side 5",
        "kernel      window",
        "3 channels",
        "memory",
    ):
        assert text in out


COMMANDS = sorted(main.commands)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples_and_states_every_option(cli, command):
    code, out, _ = cli(command, "--help")
    assert code == 0
    assert out.index("Options:") < out.index("Examples:") < out.rindex(f"nlmeans {command} ")
    for parameter in main.commands[command].params:
        if isinstance(parameter, click.Option):
            assert parameter.help
            told = parameter.required or parameter.show_default
            assert told, f"{parameter.name} does not show its default"


def test_no_arguments_show_the_help(cli):
    code, out, err = cli()
    assert (code, err) == (2, "")
    assert "Commands:" in out


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux")
def test_a_full_standard_output_is_no_bug(tmp_path):
    picture(tmp_path / "a.png")
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "nlmeans", "estimate", "a.png"],
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert result.returncode == exits.FAILED
    assert result.stderr == "nlmeans: cannot print (No space left on device); files are complete\n"


def test_group_help_lists_commands_and_exit_codes(cli):
    _, out, _ = cli("--help")
    for text in (*COMMANDS, "Examples:", "Exit codes: 0", "130"):
        assert text in out


def test_exit_codes(cli, monkeypatch):
    """0, 1, 2 and 130, as README and --help have them, whatever fails."""
    picture("a.png")
    picture("b.png")
    assert cli("estimate", "a.png")[0] == 0
    assert cli("estimate", "missing.png")[0] == 1
    assert cli("denoise", "a.png", "--sigma", "9", "-o", "b.png")[0] == 1
    assert cli("denoise", "a.png", "--sigma", "9", "--max-memory", "1K")[0] == 1
    assert cli("estimate", "a.png", "missing.png")[0] == 1
    assert cli("denoise", "a.png", "b.png", "--sigma", "300")[0] == 1
    assert cli("denoise", "a.png", "--sigma", "300")[0] == 2
    assert cli("denoise", "a.png", "--sigma", "loud")[0] == 2

    def failing(error):
        def fail(*_, **__):
            raise error

        return fail

    monkeypatch.setattr("nlmeans.images.load", failing(RuntimeError("odd")))
    code, _, err = cli("estimate", "a.png")
    assert (code, "unexpected RuntimeError: odd; set NLMEANS_DEBUG=1" in err) == (1, True)
    monkeypatch.setattr("nlmeans.images.load", failing(KeyboardInterrupt()))
    assert cli("estimate", "a.png")[0] == 130


def test_formats_in_help_are_those_that_are_read(cli):
    _, out, _ = cli("denoise", "--help")
    for name in set(FORMATS.values()):
        assert name in out


def command(*arguments, before=(), **options):
    return subprocess.run(
        [*before, *program(*arguments)], capture_output=True, text=True, check=False, **options
    )


def test_version_and_help_load_neither_numba_nor_numpy():
    code = (
        "import sys\n"
        "from nlmeans.cli.main import run\n"
        "try:\n    run(sys.argv[1:])\n"
        "except SystemExit:\n    pass\n"
        "assert not {'numba', 'numpy', 'PIL', 'imageio'} & set(sys.modules)"
    )
    for arguments in (["--version"], ["--help"], ["denoise", "--help"], ["estimate", "--help"]):
        subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True)
    assert command("--version").stdout == f"nlmeans, version {nlmeans.__version__}\n"


@pytest.mark.usefixtures("interruptible")
@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 143)])
@pytest.mark.parametrize("state", ["compiling", "filtering"])
def test_interrupted_runs_leave_no_file(tmp_path, state, name, code):
    """They wait neither for a compiler nor for a kernel, which here never end."""
    picture(tmp_path / "a.png")
    arguments = ("denoise", "a.png", "--sigma", "15")
    with reaching(state, *arguments, cwd=tmp_path, NUMBA_CACHE_DIR="/proc/none") as process:
        process.send_signal(getattr(signal, name))
        out, err = process.communicate(timeout=HANGS)
    assert (process.returncode, out) == (code, "")
    assert "Traceback" not in err
    assert files(tmp_path) == ["a.png"]


def test_a_terminal_shows_progress(tmp_path):
    picture(tmp_path / "a.png")
    shown = on_a_terminal("denoise", "a.png", "--sigma", "15", cwd=tmp_path)
    assert "a.png" in shown
    assert "100%" in shown
