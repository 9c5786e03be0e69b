"""Maps, masks, regions, kept detail and contact sheets, in Python and at the shell."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from skimage import data
from skimage.metrics import peak_signal_noise_ratio

import nlmeans
from nlmeans import ParameterError, denoise, nl_means, settings_for
from nlmeans.denoising.detail import signs
from nlmeans.images.sheet import black_and_white, in_bytes

CLEAN = data.camera()[96:208, 150:310].astype(np.float32)
REGION = np.s_[40:72, 90:130]


@pytest.fixture(scope="module")
def noisy():
    noise = np.random.default_rng(7).normal(0, 20, CLEAN.shape)
    return (CLEAN + noise).astype(np.float32)


@pytest.fixture(scope="module")
def whole(noisy):
    """Filtered by each method, with and without kept detail."""
    return {
        (method, keep): denoise(noisy, 20, method=method, keep_detail=keep)
        for method in ("classic", "ridge")
        for keep in (False, True)
    }


def psnr(result):
    return peak_signal_noise_ratio(CLEAN, result, data_range=255)


# --------------------------------------------------------------------------- maps


def test_maps_are_those_of_nl_means(noisy, rng):
    sigma = rng.uniform(5, 25, noisy.shape)
    h = rng.uniform(3, 20, noisy.shape)
    sizes = {"patch_size": 3, "search_size": 7}
    np.testing.assert_array_equal(
        denoise(noisy, sigma, h=h, **sizes), nl_means(sigma, h, 3, 7)(noisy)
    )
    used = settings_for(noisy, sigma, strength=0.5)
    level = np.sqrt(np.mean(sigma**2))
    alone = settings_for(noisy, level, strength=0.5, method="classic")
    assert used.sigma == pytest.approx(level)
    assert (used.method, used.h) == ("classic", pytest.approx(alone.h))
    np.testing.assert_allclose(used.maps.h, alone.h / level * sigma)
    np.testing.assert_array_equal(
        denoise(noisy, sigma, strength=0.5), denoise(noisy, **used.arguments())
    )
    colours = np.stack([noisy, noisy[::-1]], axis=0)
    found = denoise(colours, sigma, h=h, channel_axis=0, **sizes)
    np.testing.assert_array_equal(found, nl_means(sigma, h, 3, 7)(colours, channel_axis=0))


def test_a_map_knows_where_the_noise_is(rng):
    """Half of the picture has three times the noise: no one level serves both."""
    sigma = np.where(np.arange(CLEAN.shape[1]) < 80, 10.0, 30.0) * np.ones(CLEAN.shape)
    noisy = (CLEAN + sigma * rng.normal(size=CLEAN.shape)).astype(np.float32)
    best = max(psnr(denoise(noisy, level, method="classic")) for level in (10, 15, 20, 25, 30))
    assert psnr(denoise(noisy, sigma)) > best + 0.5


def test_where_a_map_is_0_nothing_changes(noisy):
    sigma = np.full(noisy.shape, 20.0)
    sigma[:, :60] = 0
    found = denoise(noisy, sigma)
    np.testing.assert_allclose(found[:, :50], noisy[:, :50], atol=1e-3)
    assert found[:, 60:].std() < noisy[:, 60:].std()
    np.testing.assert_array_equal(denoise(noisy, 0 * sigma), noisy)


def test_maps_of_magnitudes_and_stabilised_images(rng):
    sigma = np.where(np.arange(96) < 48, 5.0, 15.0) * np.ones((96, 96))
    dark = np.full((96, 96), 20.0)
    parts = dark + sigma * rng.normal(size=dark.shape), sigma * rng.normal(size=dark.shape)
    magnitudes = np.hypot(*parts)
    found = denoise(magnitudes, sigma, noise="rician")
    for half in (np.s_[8:-8, 8:40], np.s_[8:-8, 56:-8]):
        assert abs(found[half].mean() - 20) < 1 < abs(magnitudes[half].mean() - 20) + 0.8
    photons = rng.poisson(CLEAN) * 1.0
    used = settings_for(photons, gain=1, h=np.full(CLEAN.shape, 0.6))
    again = settings_for(photons, gain=1, h=0.6)
    found = denoise(photons, gain=1, h=np.full(CLEAN.shape, 0.6))
    assert used.h == pytest.approx(again.h)
    np.testing.assert_allclose(found, denoise(photons, gain=1, h=0.6), rtol=1e-6)


def test_what_maps_are_refused(noisy):
    ones = np.ones(noisy.shape)
    with pytest.raises(ParameterError, match="'ridge' takes no map of sigma"):
        denoise(noisy, ones, method="ridge")
    with pytest.raises(ValueError, match=r"sigma has shape \(4, 4\) .*\(112, 160\)"):
        denoise(noisy, np.ones((4, 4)))
    with pytest.raises(ValueError, match=r"h has shape \(4,\) .*\(112, 160\)"):
        denoise(noisy, 20, h=np.ones(4))
    with pytest.raises(ParameterError, match=r"h is 0.0 at \(0, 0\)"):
        denoise(noisy, 20, h=0 * ones)


# --------------------------------------------------------------------------- regions and masks


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("method", ["classic", "ridge"])
@pytest.mark.parametrize("region", [REGION, np.s_[:9, 150:], np.s_[107:112, 3:4]], ids=str)
def test_a_region_is_the_crop_of_the_whole(noisy, whole, method, keep, region):
    found = denoise(noisy, 20, method=method, keep_detail=keep, region=region)
    np.testing.assert_allclose(found, whole[method, keep][region], atol=1e-3)


def test_regions_of_other_arrays(noisy, rng):
    image = np.stack([noisy, noisy[::-1], noisy, noisy], axis=-1).clip(0, 255).astype(np.uint8)
    found = denoise(image, region=REGION)  # the noise is that of the whole, alpha is kept
    expected = denoise(image)[REGION]
    assert np.abs(found.astype(int) - expected).max() <= 1
    np.testing.assert_array_equal(found[..., 3], image[REGION][..., 3])
    volume = rng.normal(size=(9, 20, 22)).astype(np.float32)
    for region in (np.s_[2:5, 3:9, 4:8], np.s_[3:9, 4:8]):
        full = region if len(region) == 3 else (slice(None), *region)
        for stack in ("volume", "clip", "pages"):
            found = denoise(volume, 0.5, stack=stack, region=region)
            expected = denoise(volume, 0.5, stack=stack)[full]
            np.testing.assert_allclose(found, expected, atol=1e-4)
    maps = {"sigma": rng.uniform(5, 25, noisy.shape), "h": rng.uniform(3, 20, noisy.shape)}
    np.testing.assert_allclose(
        denoise(noisy, **maps, region=REGION), denoise(noisy, **maps)[REGION], atol=1e-3
    )


@pytest.mark.parametrize("method", ["classic", "ridge"])
def test_outside_of_a_mask_nothing_changes(noisy, whole, method):
    mask = np.zeros(noisy.shape, bool)
    mask[30:50, 100:120] = mask[44:60, 90:104] = True
    found = denoise(noisy, 20, method=method, mask=mask)
    np.testing.assert_array_equal(found[~mask], noisy[~mask])
    np.testing.assert_allclose(found[mask], whole[method, False][mask], atol=1e-3)
    part = denoise(noisy, 20, method=method, mask=mask, region=REGION)
    np.testing.assert_allclose(part, found[REGION], atol=1e-3)
    elsewhere = np.s_[80:90, 10:20]
    np.testing.assert_array_equal(
        denoise(noisy, 20, method=method, mask=mask, region=elsewhere), noisy[elsewhere]
    )


def test_masks_of_colours_and_pages(noisy):
    image = np.stack([noisy, noisy[::-1], noisy[:, ::-1]], axis=0)
    mask = np.zeros(noisy.shape, bool)
    mask[20:40, 30:60] = True
    found = denoise(image, 20, channel_axis=0, mask=mask)
    np.testing.assert_array_equal(found[:, ~mask], image[:, ~mask])
    assert (found[:, mask] != image[:, mask]).mean() > 0.9
    masks = np.stack([mask, ~mask, mask])
    pages = denoise(image, 20, stack="pages", mask=masks)
    np.testing.assert_array_equal(pages[~masks], image[~masks])
    same = denoise(image, 20, stack="pages", mask=mask)
    np.testing.assert_array_equal(same[[0, 2]], pages[[0, 2]])


def test_what_regions_and_masks_are_refused(noisy):
    for region in (np.s_[100:120, 0:9], np.s_[5:5, 0:9], np.s_[-4:9, 0:9]):
        with pytest.raises(ParameterError, match="112 x 160"):
            denoise(noisy, 20, region=region)
    for region in ((3, 4), np.s_[0:9:2, 0:9], 5):
        with pytest.raises(TypeError, match=r"np\.s_"):
            denoise(noisy, 20, region=region)
    with pytest.raises(ParameterError, match="1 slices"):
        denoise(noisy, 20, region=np.s_[0:9])
    with pytest.raises(ValueError, match=r"mask has shape \(4, 5\) .*\(112, 160\)"):
        denoise(noisy, 20, mask=np.ones((4, 5), bool))
    with pytest.raises(ValueError, match="False everywhere"):
        denoise(noisy, 20, mask=np.zeros(noisy.shape, bool))
    with pytest.raises(TypeError, match="float32; it has to be bool"):
        denoise(noisy, 20, mask=noisy)


# --------------------------------------------------------------------------- kept detail


def test_kept_detail_has_less_error_in_textures_and_costs_nothing_elsewhere(whole, rng):
    for method in ("classic", "ridge"):
        assert psnr(whole[method, True]) > psnr(whole[method, False]) - 0.05
    grass = data.grass()[:128, :128].astype(np.float32)
    noisy = grass + rng.normal(0, 20, grass.shape).astype(np.float32)
    plain, kept = (
        np.mean((denoise(noisy, 20, method="classic", keep_detail=keep) - grass) ** 2)
        for keep in (False, True)
    )
    assert kept < 0.97 * plain


def test_a_filter_far_too_strong_is_taken_back(noisy):
    strong = denoise(noisy, 20, method="classic", strength=4)
    kept = denoise(noisy, 20, method="classic", strength=4, keep_detail=True)
    assert psnr(kept) > psnr(strong) + 1
    assert psnr(kept) > psnr(noisy) + 1


def test_kept_detail_in_other_units_and_kinds_of_noise(rng, whole):
    photons = rng.poisson(CLEAN / 4) * 4.0
    plain, kept = (
        denoise(photons, gain=4, method="classic", keep_detail=keep) for keep in (False, True)
    )
    assert psnr(kept) > psnr(plain)
    colours = np.stack([CLEAN, CLEAN, CLEAN], axis=-1) + rng.normal(0, 20, (*CLEAN.shape, 3))
    kept = denoise(colours, 20, method="classic", keep_detail=True)
    large = denoise(1000 * colours, 20000, method="classic", keep_detail=True)
    np.testing.assert_allclose(large, 1000 * kept, rtol=1e-6)
    np.testing.assert_array_equal(denoise(colours, 0, keep_detail=True), colours)


def test_signs_are_fair_and_those_of_the_whole():
    grid = (50, 60)
    chosen = signs(grid, np.s_[0:50, 0:60], 3, 0)
    assert chosen.shape == (3, 50, 60)
    assert set(np.unique(chosen)) == {-1, 1}
    assert abs(chosen.mean()) < 0.05
    np.testing.assert_array_equal(signs(grid, np.s_[10:20, 5:9], 3, 0), chosen[:, 10:20, 5:9])


def test_what_kept_detail_is_refused(noisy):
    with pytest.raises(ParameterError, match=r"amount is 0\.5"):
        denoise(noisy, 20, keep_detail=True, amount=0.5)
    with pytest.raises(ParameterError, match="Rician"):
        denoise(abs(noisy), 20, noise="rician", keep_detail=True)
    with pytest.raises(ParameterError, match=r"correlated over 2\.0 pixels"):
        denoise(noisy, 20, noise=nlmeans.Noise(extent=2), keep_detail=True)
    with pytest.raises(ParameterError, match="sigma is 0"):
        denoise(noisy, 0, h=5, keep_detail=True)


# --------------------------------------------------------------------------- shell


@pytest.fixture
def files(noisy, tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", noisy)
    ramp = np.linspace(5, 25, noisy.shape[1], dtype=np.float32) * np.ones_like(noisy)
    tifffile.imwrite(tmp_path / "map.tif", ramp)
    mask = np.zeros(noisy.shape, np.uint8)
    mask[30:50, 100:120] = 1
    Image.fromarray(mask).save(tmp_path / "mask.png")
    Image.fromarray(0 * mask).save(tmp_path / "none.png")
    Image.fromarray(mask[:8]).save(tmp_path / "small.png")
    return ramp, mask > 0


def test_shell_maps_mask_and_preview(cli, noisy, files):
    ramp, mask = files
    code, out, _ = cli("denoise", "a.tif", "--sigma-map", "map.tif", "--mask", "mask.png")
    assert (code, "(by a map)" in out) == (0, True)
    expected = denoise(noisy, ramp, mask=mask)
    np.testing.assert_array_equal(tifffile.imread("a_denoised.tif"), expected)
    code, out, _ = cli(
        "denoise", "a.tif", "--h-map", "map.tif", "--sigma", 9, "-o", "b.tif", "--json"
    )
    np.testing.assert_array_equal(tifffile.imread("b.tif"), denoise(noisy, 9, h=ramp))
    assert json.loads(out)["h_map"] == "map.tif"
    code, out, _ = cli("denoise", "a.tif", "--sigma", 20, "--preview", "90,40,40,32")
    assert (code, "region 90,40,40,32" in out) == (0, True)
    found = tifffile.imread("a_preview.tif")
    np.testing.assert_allclose(found, denoise(noisy, 20)[REGION], atol=1e-3)


def test_shell_pages_share_a_mask(cli, noisy, files):
    _, mask = files
    pages = np.stack([noisy, noisy[::-1]]).clip(0, 255).astype(np.uint8)
    tifffile.imwrite("p.tif", pages, metadata={"axes": "QYX"})
    assert cli("denoise", "p.tif", "--sigma", 20, "--mask", "mask.png")[0] == 0
    found = tifffile.imread("p_denoised.tif")
    np.testing.assert_array_equal(found, denoise(pages, 20, stack="pages", mask=mask))
    assert cli("denoise", "p.tif", "--sigma", 20, "--preview", "0,0,9,7")[0] == 0
    assert tifffile.imread("p_preview.tif").shape == (2, 7, 9)


def test_shell_keeps_detail(cli, noisy, files):
    code, out, _ = cli("denoise", "a.tif", "--sigma", 20, "--keep-detail")
    assert (code, bool(re.search(r"detail kept by weight [01]\.\d\d;", out))) == (0, True)
    expected = denoise(noisy, 20, keep_detail=True)
    np.testing.assert_array_equal(tifffile.imread("a_denoised.tif"), expected)


@pytest.mark.parametrize(
    ("expected", "arguments"),
    [
        ("small.png has 160x8 pixels, the picture 160x112", ["--mask", "small.png"]),
        ("none.png is 0 everywhere", ["--mask", "none.png"]),
        ("small.png has 160x8 pixels, the picture 160x112", ["--sigma-map", "small.png"]),
        (r"h is 0.0 at \(0, 0\); .* above 0", ["--h-map", "none.png"]),
        (r"--preview 150,40,40,32 reaches outside: .*160x112", ["--preview", "150,40,40,32"]),
        ("'1,2,3' is no region", ["--preview", "1,2,3"]),
        ("use just one of --sigma and --sigma-map", ["--sigma", 9, "--sigma-map", "map.tif"]),
        ("use just one of --amount and --keep-detail", ["--keep-detail", "--amount", 0.5]),
        ("'ridge' takes no map of sigma", ["--sigma-map", "map.tif", "--method", "ridge"]),
        ("--keep-detail does not go with --like", ["--like", "opencv", "--keep-detail"]),
        ("use just one of --weights and --h-map", ["--weights", "w.npz", "--h-map", "mask.png"]),
    ],
)
def test_shell_says_what_is_wrong(cli, files, expected, arguments):
    before = sorted(p.name for p in Path().iterdir())
    code, out, err = cli("denoise", "a.tif", *arguments)
    assert code != 0
    assert out == ""
    assert len(err.splitlines()) == 1
    assert re.search(expected, err)
    assert sorted(p.name for p in Path().iterdir()) == before


def test_a_contact_sheet_shows_what_denoise_gives(cli, noisy, files):
    image = np.stack([noisy, noisy, 255 - noisy], axis=-1).clip(0, 255)
    deep = (257 * image).astype(np.uint16)
    tifffile.imwrite("c.tif", deep, photometric="rgb")
    code, out, _ = cli(
        "strengths",
        "c.tif",
        "--preview",
        "90,40,40,32",
        "--strengths",
        "0.5,2",
        "--sigma",
        20 * 257,
    )
    assert (code, "at strengths 0.5, 2" in out) == (0, True)
    sheet = np.asarray(Image.open("c_strengths.png"))
    zoom, label, gap = 8, 22, 8
    for k, strength in enumerate((None, 0.5, 2)):
        region = deep[REGION]
        if strength is not None:
            region = denoise(deep, 20 * 257, strength=strength, region=REGION)
        left = k * (40 * zoom + gap)
        tile = sheet[label : label + 32 * zoom : zoom, left : left + 40 * zoom : zoom]
        np.testing.assert_array_equal(tile, in_bytes(region, *black_and_white(deep)))
    assert (sheet[:label, :100] < 128).any()  # the label is there
    assert cli("strengths", "c.tif", "--overwrite", "--strengths", "1")[0] == 0
    for arguments, expected in (
        (["--strengths", "1,0"], "above 0"),
        (["-o", "x.jpg"], "as a .png"),
        (["--preview", "0,0,900,9"], "the picture 160x112"),
        ([], "exists already"),
    ):
        code, _, err = cli("strengths", "c.tif", *arguments)
        assert code != 0
        assert expected in err
