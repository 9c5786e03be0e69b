"""The command line on TIFFs of many pages."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from commands import bad, files
from nlmeans.cli import exits

import nlmeans
from nlmeans.images import Picture, load, save

FRAMES = np.random.default_rng(5).normal(100, 12, (3, 24, 25)).clip(0, 255).astype(np.uint8)
SMALL = ["--sigma", "12", "--h", "12", "--patch-size", "3", "--search-size", "3"]
USED = {"sigma": 12, "h": 12, "patch_size": 3, "search_size": 3}


def stack(path, pixels=FRAMES, axes="I", alpha=False):
    save(path, Picture(pixels, alpha=alpha, format="TIFF", stack=axes))
    return Path(path).read_bytes()


@pytest.mark.parametrize(
    ("axes", "asked", "taken"),
    [
        ("I", "auto", "pages"),
        ("Z", "auto", "volume"),
        ("T", "auto", "clip"),
        ("I", "volume", "volume"),
        ("Z", "clip", "clip"),
        ("T", "pages", "pages"),
    ],
)
def test_a_stack_is_taken_as_the_file_says_or_as_asked(cli, axes, asked, taken):
    pixels = FRAMES[:, :6, :7]
    before = stack("a.tif", pixels, axes)
    code, out, err = cli("denoise", "a.tif", "--stack", asked, "--json", *SMALL)
    record = json.loads(out)
    assert code == 0
    assert (record["stack"], record["pages"]) == (taken, 3)
    assert record["megapixels"] == pytest.approx(3 * 6 * 7 / 1e6)
    found = load("a_denoised.tif")
    assert found.stack == axes
    np.testing.assert_array_equal(found.pixels, nlmeans.denoise(pixels, stack=taken, **USED))
    assert Path("a.tif").read_bytes() == before
    asks = axes == "I" and asked == "auto"
    assert len(record["notes"]) == err.count("--stack volume or --stack clip") == asks


def test_what_is_said_of_pages(cli):
    pixels = FRAMES.copy()
    pixels[1] = np.clip(2.0 * pixels[1] - 100, 0, 255)
    stack("a.tif", pixels)
    code, out, err = cli("denoise", "a.tif", "--search-size", "5")
    assert code == 0
    assert out.startswith("a.tif -> a_denoised.tif: 3 pages, each alone, sigma 1")
    assert " to 2" in out
    assert ", search 5; 0.0018 MP" in out
    assert err == (
        "nlmeans: a.tif: 3 pages of no known meaning, each taken alone; --stack volume or "
        "--stack clip uses the neighbours\n"
    )
    each = [nlmeans.denoise(page, search_size=5) for page in pixels]
    np.testing.assert_array_equal(load("a_denoised.tif").pixels, each)
    _, out, _ = cli("denoise", "a.tif", "--search-size", "5", "--json", "--overwrite")
    parts = json.loads(out)["parts"]
    assert [p["sigma"] for p in parts] == [nlmeans.estimate_sigma(page) for page in pixels]
    assert cli("denoise", "a.tif", "--overwrite", "-q") == (0, "", "")


def test_what_is_said_of_a_clip(cli):
    stack("a.tif", FRAMES[:, :6, :7], "T")
    code, out, _ = cli(
        "denoise",
        "a.tif",
        "--sigma",
        "12",
        "--patch-size",
        "3",
        "--search-size",
        "5x3",
        "--threads",
        "1",
    )
    assert code == 0
    assert "a_denoised.tif: clip of 3 pages, sigma 12 (given), h " in out
    assert ", patch 1x3x3, search 5x5x3; 0.000126 MP in " in out


def test_sizes_may_be_deep(cli):
    stack("a.tif", FRAMES[:, :6, :7], "Z")
    _, out, _ = cli(
        "denoise",
        "a.tif",
        "--sigma",
        "12",
        "--patch-size",
        "1x3x3",
        "--search-size",
        "3x5x1",
        "--json",
    )
    record = json.loads(out)
    assert (record["patch_size"], record["search_size"]) == ([1, 3, 3], [3, 5, 1])


def test_volumes_over_time_are_each_a_volume(cli):
    pixels = np.stack([FRAMES[:, :5, :6], FRAMES[:, 6:11, 6:12], FRAMES[:, 9:14, :6]])[:2]
    stack("a.tif", pixels, "TZ")
    code, out, err = cli("denoise", "a.tif", *SMALL)
    assert (code, err) == (0, "")
    assert "2 volumes of 3 pages, sigma 12 (given), h 12, patch 3x3x3" in out
    each = [nlmeans.denoise(volume, stack="volume", **USED) for volume in pixels]
    np.testing.assert_array_equal(load("a_denoised.tif").pixels, each)
    assert load("a_denoised.tif").stack == "TZ"
    _, out, _ = cli("denoise", "a.tif", "--stack", "clip", "--overwrite", *SMALL)
    assert "3 clips of 2 pages" in out
    clips = [nlmeans.denoise(pixels[:, z], stack="clip", **USED) for z in range(3)]
    np.testing.assert_array_equal(load("a_denoised.tif").pixels, np.stack(clips, axis=1))
    _, out, _ = cli("denoise", "a.tif", "--stack", "pages", "--overwrite", *SMALL)
    assert "6 pages, each alone" in out


def test_alpha_and_colour_of_a_stack(cli):
    pixels = np.random.default_rng(2).integers(0, 255, (2, 6, 7, 4)).astype(np.uint8)
    stack("a.tif", pixels, "Z", alpha=True)
    assert cli("denoise", "a.tif", *SMALL)[0] == 0
    found = load("a_denoised.tif")
    np.testing.assert_array_equal(found.pixels, nlmeans.denoise(pixels, stack="volume", **USED))
    np.testing.assert_array_equal(found.pixels[..., 3], pixels[..., 3])


def test_channels_on_pages_of_their_own(cli):
    pixels = np.random.default_rng(2).integers(0, 255, (2, 3, 6, 7)).astype(np.uint16)
    tifffile.imwrite("a.tif", pixels, imagej=True, metadata={"axes": "ZCYX"})
    assert cli("denoise", "a.tif", *SMALL)[0] == 0
    expected = nlmeans.denoise(pixels, stack="volume", channel_axis=1, **USED)
    with tifffile.TiffFile("a_denoised.tif") as file:
        assert (file.series[0].kind, file.series[0].axes) == ("imagej", "ZCYX")
        np.testing.assert_array_equal(file.asarray(), expected)


def test_the_extension_of_ome_stays_whole(cli):
    tifffile.imwrite("a.ome.TIF", FRAMES[:, :6, :7], ome=True, metadata={"axes": "TYX"})
    assert cli("denoise", "a.ome.TIF", *SMALL)[0] == 0
    assert files() == ["a.ome.TIF", "a_denoised.ome.TIF"]
    with tifffile.TiffFile("a_denoised.ome.TIF") as file:
        assert (file.series[0].kind, file.series[0].axes) == ("ome", "TYX")


def test_a_single_picture_is_one_whatever_is_asked(cli):
    save("a.png", Picture(FRAMES[0], alpha=False, format="PNG"))
    for asked in ("auto", "volume", "clip", "pages"):
        _, out, _ = cli("denoise", "a.png", "--stack", asked, "--overwrite", "--json")
        record = json.loads(out)
        assert (record["stack"], record["pages"]) == (None, 1)
        np.testing.assert_array_equal(load("a_denoised.png").pixels, nlmeans.denoise(FRAMES[0]))


def test_estimate_of_stacks(cli):
    stack("a.tif", FRAMES, "T")
    _, out, err = cli("estimate", "a.tif")
    sigma = nlmeans.estimate_stack_sigma(FRAMES)
    assert (out, err) == (f"a.tif: clip of 3 pages, sigma {sigma:.4g}, {sigma / 2.55:.3g}%\n", "")
    _, out, _ = cli("estimate", "a.tif", "--stack", "pages")
    each = [nlmeans.estimate_sigma(page) for page in FRAMES]
    assert out.startswith(f"a.tif: 3 pages, each alone, sigma {min(each):.4g} to {max(each):.4g}, ")
    _, out, _ = cli("estimate", "a.tif", "--stack", "pages", "--json")
    assert [part["sigma"] for part in json.loads(out)["parts"]] == each
    stack("b.tif", FRAMES)
    _, _, err = cli("estimate", "b.tif")
    assert "--stack volume or --stack clip" in err


def test_plan_of_stacks(cli):
    stack("a.tif", FRAMES, "Z")
    code, out, err = cli("plan", "a.tif", "--sigma", "12")
    assert (code, err) == (0, "")
    assert out.startswith("a.tif: volume of 3 pages, sigma 12 (given)\n")
    assert "array       3 x 24 x 25, 1 channel" in out
    _, out, _ = cli("plan", "a.tif", "--sigma", "12", "--stack", "pages")
    assert out.startswith("a.tif: 3 pages, each alone, in the first sigma 12 (given)\n")
    assert "array       24 x 25, 1 channel" in out
    assert files() == ["a.tif"]


def test_bad_stacks(cli):
    stack("a.tif", FRAMES, "Z")
    bad(
        cli,
        1,
        "b.png: 3 pages; PNG holds a single picture: write TIFF",
        "denoise",
        "a.tif",
        "-o",
        "b.png",
    )
    bad(
        cli,
        2,
        "a.tif: patch_size is .*a volume takes one number or .depth",
        "denoise",
        "a.tif",
        "--patch-size",
        "3x5",
    )
    bad(
        cli,
        2,
        "page 1: patch_size is .3, 5, 5.; an image takes one number",
        "denoise",
        "a.tif",
        "--patch-size",
        "3x5x5",
        "--stack",
        "pages",
    )
    bad(cli, 2, "--stack.*'film'", "denoise", "a.tif", "--stack", "film")
    stack("tiny.tif", FRAMES[:, :9, :9], "Z")
    for command in ("denoise", "estimate", "plan"):
        bad(cli, 1, "^nlmeans: tiny.tif: .*9x9", command, "tiny.tif")


def test_a_bad_page_is_named_and_nothing_is_written(cli):
    floats = FRAMES.astype(np.float32)
    floats[1, 3, 5] = np.nan
    stack("nan.tif", floats)
    for command in ("denoise", "estimate"):
        bad(cli, exits.FAILED, r"nan.tif: page 2: .*1 NaN .*\(3, 5\)", command, "nan.tif")
