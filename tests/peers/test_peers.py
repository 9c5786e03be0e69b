"""The conversions, against the peers that are installed and against their published formulas.

Where a peer's arithmetic is coarse, a literal transcription of it, which has to be exact, shows
that nothing else sets the two apart.
"""

import dataclasses
import subprocess

import imageio.v3 as imageio
import numpy as np
import pytest
import tifffile
from numpy.lib.stride_tricks import sliding_window_view
from skimage import data
from skimage.restoration import denoise_nl_means

from nlmeans import ParameterError, estimate_sigma, peers

CUT = 5.0  # scikit-image drops weights below exp(-5)


@pytest.fixture(scope="module")
def scene():
    """Of a photograph: sky, coat, grass."""
    return data.camera()[100:228, 160:288]


def noisy_bytes(scene, sigma, seed=0):
    noise = np.random.default_rng(seed).normal(0, sigma, scene.shape)
    return np.clip(np.rint(scene + noise), 0, 255).astype(np.uint8)


# --------------------------------------------------------------------------- OpenCV


@pytest.mark.parametrize("h", [3, 10, 20])
@pytest.mark.parametrize("sigma", [0, 5, 10, 20])
def test_opencv_within_one_grey_level(scene, sigma, h):
    cv2 = pytest.importorskip("cv2")
    x = noisy_bytes(scene, sigma)
    theirs = cv2.fastNlMeansDenoising(x, None, h)
    assert np.abs(theirs.astype(int) - peers.from_opencv(h)(x)).max() <= 1


@pytest.mark.parametrize("sizes", [(3, 9), (4, 10), (5, 15), (21, 21)])
@pytest.mark.parametrize("h", [2, 30.5])
def test_opencv_of_other_sizes(scene, h, sizes):
    cv2 = pytest.importorskip("cv2")
    x = noisy_bytes(scene, 8)
    theirs = cv2.fastNlMeansDenoising(x, None, h, *sizes)
    assert np.abs(theirs.astype(int) - peers.from_opencv(h, *sizes)(x)).max() <= 1


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_opencv_on_channels(scene, channels):
    cv2 = pytest.importorskip("cv2")
    x = np.stack([noisy_bytes(np.roll(scene, 3 * k, 0), 15, k) for k in range(channels)], -1)
    theirs = cv2.fastNlMeansDenoising(x, None, 14)
    ours = peers.from_opencv(14)(x, channel_axis=-1)
    assert np.abs(theirs.astype(int) - ours).max() <= 1


def test_opencv_multi(scene):
    cv2 = pytest.importorskip("cv2")
    clip = np.stack([noisy_bytes(np.roll(scene, k, 1), 10, k) for k in range(5)])
    theirs = cv2.fastNlMeansDenoisingMulti(list(clip), 2, 3, None, 12, 7, 15)
    ours = peers.from_opencv(12, 7, 15, temporalWindowSize=3)(clip)[2]
    assert np.abs(theirs.astype(int) - ours).max() <= 1


# --------------------------------------------------------------------------- scikit-image


def schraudolph(y):
    """scikit-image's exp: the exponent's bits from a product (N. Schraudolph, 1999)."""
    bits = (1512775.3951951856938 * y + 1072632447).astype(np.int64) << 32
    return bits.view(np.float64)


CALLS = [(5, 6, 0.1, 0.0), (7, 4, 0.05, 0.08), (5, 6, 0.06, 0.08), (3, 4, 0.3, 0.0)]


SLOW_CALLS = [
    *CALLS,
    (9, 5, 0.08, 0.02),
    (13, 3, 0.04, 0.08),
    (4, 3, 0.06, 0.05),
    (5, 50, 0.05, 0.0),
]


@pytest.mark.parametrize(("patch", "distance", "h", "sigma"), SLOW_CALLS)
def test_skimage_slow_mode(scene, patch, distance, h, sigma):
    x = noisy_bytes(scene, 20)[:40, :44] / 255
    theirs = denoise_nl_means(x, patch, distance, h, fast_mode=False, sigma=sigma)
    op = peers.from_skimage(patch, distance, h, False, sigma)
    assert op.plan(x.shape).kernel == "rowwise"
    np.testing.assert_allclose(op(x), theirs, atol=1e-10)
    # which no exact exp, and no other cut, gives
    exact = dataclasses.replace(op.f, arithmetic="exact")
    assert np.abs(dataclasses.replace(op, f=exact)(x) - theirs).max() > 1e-4


def fast_mode_literally(x, patch, distance, h, sigma, exp):
    """The mode's sums, over patches without their first row and column."""
    o, side = patch // 2, patch - 1
    height, width = x.shape
    wide = np.pad(x, o + distance, mode="reflect")
    boxes = sliding_window_view(wide, (side, side))[1:, 1:]
    values = wide[o : wide.shape[0] - o, o : wide.shape[1] - o]
    total, sums = np.zeros(x.shape), np.zeros(x.shape)
    here = boxes[distance : distance + height, distance : distance + width]
    for dy in range(2 * distance + 1):
        for dx in range(2 * distance + 1):
            there = (slice(dy, dy + height), slice(dx, dx + width))
            squares = ((here - boxes[there]) ** 2 - 2 * sigma**2).sum((2, 3))
            score = np.maximum(squares, 0) / (patch * h) ** 2
            w = np.where(score > CUT, 0, exp(-score))
            total += w
            sums += w * values[there]
    return sums / total


@pytest.mark.parametrize(("patch", "distance", "h", "sigma"), CALLS)
def test_skimage_fast_mode_is_this_filter_but_for_its_exp(scene, patch, distance, h, sigma):
    x = noisy_bytes(scene, 20)[:40, :44] / 255
    theirs = denoise_nl_means(x, patch, distance, h, sigma=sigma)
    as_theirs = fast_mode_literally(x, patch, distance, h, sigma, schraudolph)
    np.testing.assert_allclose(theirs, as_theirs, atol=1e-6)
    ours = peers.from_skimage(patch, distance, h, sigma=sigma)(x)
    exactly = fast_mode_literally(x, patch, distance, h, sigma, np.exp)
    np.testing.assert_allclose(ours, exactly, atol=1e-10)
    assert np.abs(theirs - ours).max() < 0.005
    assert np.abs(theirs - ours).mean() < 0.0005


@pytest.mark.parametrize("fast_mode", [True, False])
def test_skimage_with_channels(scene, fast_mode):
    x = noisy_bytes(scene, 20)[:80, :84] / 255
    x = np.stack([x, 1 - x, np.sqrt(x)], -1)
    theirs = denoise_nl_means(x, 5, 6, 0.1, fast_mode, channel_axis=-1)
    ours = peers.from_skimage(5, 6, 0.1, fast_mode)(x, channel_axis=-1)
    assert np.abs(theirs - ours).max() < (0.005 if fast_mode else 1e-10)


@pytest.mark.parametrize("fast_mode", [True, False])
@pytest.mark.parametrize("patch", [3, 5])
def test_skimage_volume(rng, fast_mode, patch):
    x = rng.normal(0.5, 0.05, (12, 14, 16))
    x[:, 6:] += 0.2
    theirs = denoise_nl_means(x, patch, 3, 0.06, fast_mode)
    ours = peers.from_skimage(patch, 3, 0.06, fast_mode, axes=3)(x)
    assert np.abs(theirs - ours).max() < (0.03 * np.abs(theirs - x).max() if fast_mode else 1e-10)


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("fast_mode", [True, False])
def test_skimage_with_patches_of_one_pixel_takes_the_mean(rng, fast_mode):
    x = rng.random((12, 13))
    theirs = denoise_nl_means(x, 1, 2, 0.1, fast_mode)
    np.testing.assert_allclose(peers.from_skimage(1, 2, 0.1, fast_mode)(x), theirs, atol=1e-12)


# --------------------------------------------------------------------------- FFmpeg


def ffmpeg(x, s, p, r):
    from shutil import which

    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
    program = which("ffmpeg") or imageio_ffmpeg.get_ffmpeg_exe()
    raw = ["-f", "rawvideo", "-pix_fmt", "gray"]
    command = [
        program,
        "-loglevel",
        "error",
        *raw,
        "-s",
        f"{x.shape[1]}x{x.shape[0]}",
        "-i",
        "-",
        "-vf",
        f"nlmeans=s={s}:p={p}:r={r}",
        *raw,
        "-",
    ]
    result = subprocess.run(command, input=x.tobytes(), capture_output=True, check=True)
    return np.frombuffer(result.stdout, np.uint8).reshape(x.shape)


@pytest.mark.parametrize("sigma", [0, 15])
@pytest.mark.parametrize(("s", "p", "r"), [(1, 7, 15), (10, 7, 15), (6, 3, 9), (14, 8, 10)])
def test_ffmpeg_within_two_grey_levels_inside(scene, s, p, r, sigma):
    x = noisy_bytes(scene, sigma)
    difference = np.abs(ffmpeg(x, s, p, r).astype(int) - peers.from_ffmpeg(s, p=p, r=r)(x))
    reach = p // 2 + r // 2  # of no candidate's patch does the border matter
    assert difference[reach:-reach, reach:-reach].max() <= 2
    assert difference.mean() < 0.2


# --------------------------------------------------------------------------- DIPY


def test_dipy_classic_where_squares_hardly_matter(rng):
    dipy = pytest.importorskip("dipy.denoise.nlmeans")
    # far above the noise the root of the mean square is the mean
    x = rng.normal(1000, 5, (14, 15, 16))
    theirs = dipy.nlmeans(x, 10.0, rician=False, method="classic", num_threads=1)
    ours = peers.from_dipy(10, rician=False, method="classic")(x)
    inside = (slice(5, -5),) * 3
    np.testing.assert_allclose(theirs[inside], ours[inside], atol=0.05)


def test_dipy_blockwise_has_its_window_and_weights():
    op = peers.from_dipy(10)
    assert (op.over.size, op.f.query.size, op.f.centre) == (3, 5, "zero")
    assert op.f.scale == pytest.approx(1 / 100)


# --------------------------------------------------------------------------- not installed


@pytest.mark.parametrize(
    ("sigma", "channels", "patch", "window", "ratio"),
    [(15, 1, 3, 21, 0.4), (15.1, 1, 5, 21, 0.4), (40, 1, 7, 35, 0.35), (75, 1, 9, 35, 0.35),
     (100, 1, 11, 35, 0.3), (25, 3, 3, 21, 0.55), (50, 3, 5, 35, 0.4), (60, 3, 7, 35, 0.35)],
)  # fmt: skip
def test_ipol_takes_its_table(sigma, channels, patch, window, ratio):
    op = peers.from_ipol(sigma, channels=channels, peak=1)
    assert (op.f.query.size, op.over.size, op.f.centre) == (patch, window, "max")
    assert op.f.scale**-0.5 == pytest.approx(ratio * sigma / 255)
    assert op.f.noise == pytest.approx(2 * (sigma / 255) ** 2)


def test_knlmeans_sizes_are_radii_and_d_frames():
    op = peers.from_knlmeans(d=2, a=3, s=1, h=4)
    assert (op.over.size, op.f.query.size) == ((5, 7, 7), (1, 3, 3))
    assert (op.f.centre, op.f.scale) == ("max", 1 / 16)
    assert peers.from_knlmeans(d=0, wref=0).f.centre == "zero"


@pytest.mark.parametrize("peer", ["opencv", "ffmpeg", "ipol", "knlmeans"])
def test_eight_bit_numbers_follow_the_peak(peer, scene):
    make = peers.PEERS[peer]
    options = {"ipol": {"sigma": 20}, "knlmeans": {"d": 0}}.get(peer, {})
    in_bytes = make(**options)(scene.astype(float))
    as_fractions = make(**options, peak=1)(scene / 255)
    np.testing.assert_allclose(in_bytes / 255, as_fractions, atol=1e-9)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: peers.from_opencv(h=0), "h is 0"),
        (lambda: peers.from_opencv(templateWindowSize=0), "templateWindowSize is 0"),
        (lambda: peers.from_opencv(peak=-1), "peak is -1"),
        (lambda: peers.from_skimage(0), "patch_size is 0"),
        (lambda: peers.from_skimage(patch_distance=2.5), "patch_distance is 2.5"),
        (lambda: peers.from_ffmpeg(s=31), "s is 31"),
        (lambda: peers.from_ffmpeg(plane="alpha"), "plane is 'alpha'"),
        (lambda: peers.from_dipy(0), "sigma is 0"),
        (lambda: peers.from_dipy(1, 3, 2, method="classic"), "block_radius is 2"),
        (lambda: peers.from_dipy(1, method="fast"), "method is 'fast'"),
        (lambda: peers.from_ipol(101), "sigma is 101"),
        (lambda: peers.from_knlmeans(channels="RGB"), "channels is 'RGB'"),
        (lambda: peers.from_knlmeans(wmode=1), "wmode is 1"),
        (lambda: peers.from_knlmeans(wref=0.5), "wref is 0.5"),
    ],
)
def test_errors_name_the_value(call, words):
    with pytest.raises(ParameterError, match=words.replace(".", r"\.")) as error:
        call()
    assert "\n" not in str(error.value)


def test_every_peer_says_what_differs():
    assert peers.DIFFERENCES.keys() == peers.PEERS.keys()


# --------------------------------------------------------------------------- --like


@pytest.fixture
def photo(tmp_path, scene):
    imageio.imwrite(tmp_path / "photo.png", noisy_bytes(scene, 10))
    return noisy_bytes(scene, 10)


def test_like_does_what_the_operation_does_and_says_so(cli, photo, tmp_path):
    code, out, err = cli("denoise", "photo.png", "--like", "opencv:searchWindowSize=11", "--h", 12)
    assert (code, err) == (0, "")
    assert "opencv(searchWindowSize=11, h=12.0) became sigma 0, h 12, patch 7, search 11" in out
    assert "border mirror, cut 0.001; not the same: OpenCV rounds" in out
    written = imageio.imread(tmp_path / "photo_denoised.png")
    np.testing.assert_array_equal(written, peers.from_opencv(12, 7, 11)(photo))


def test_like_in_units_of_the_peer(cli, photo, tmp_path):
    like = "skimage:h=0.06,fast_mode=false,patch_size=5"
    code, _, _ = cli("denoise", "photo.png", "--like", like, "--sigma", 0.08)
    expected = peers.from_skimage(5, 11, 0.06, False, 0.08, peak=255)(photo)
    assert code == 0
    np.testing.assert_array_equal(imageio.imread(tmp_path / "photo_denoised.png"), expected)


def test_like_on_16_bits_and_with_strength(cli, photo, tmp_path):
    deep = photo.astype(np.uint16) * 257
    tifffile.imwrite(tmp_path / "deep.tif", deep)
    assert cli("denoise", "deep.tif", "--like", "knlmeans:h=20", "--strength", 0.5)[0] == 0
    expected = peers.from_knlmeans(d=0, h=10)(deep / 257)
    written = tifffile.imread(tmp_path / "deep_denoised.tif")
    np.testing.assert_allclose(written / 257, expected, atol=0.01)


def test_like_takes_the_pages_of_a_stack_alone_or_as_cubes(cli, scene, tmp_path):
    volume = np.stack([noisy_bytes(scene, 10, seed) for seed in range(4)])
    tifffile.imwrite(tmp_path / "v.tif", volume, photometric="minisblack")
    for like, expected in (
        ("opencv:h=10", np.stack([peers.from_opencv(10)(page) for page in volume])),
        (
            "skimage:h=0.1,patch_size=3,patch_distance=2",
            peers.from_skimage(3, 2, 0.1, axes=3, peak=255)(volume),
        ),
    ):
        assert cli("denoise", "v.tif", "--stack", "volume", "--like", like, "--overwrite")[0] == 0
        written = tifffile.imread(tmp_path / "v_denoised.tif")
        assert np.abs(written.astype(int) - expected).max() <= 1


def test_like_estimates_the_noise_of_every_page(cli, scene, tmp_path):
    pages = np.stack([noisy_bytes(scene, 5), noisy_bytes(scene, 30)])
    tifffile.imwrite(tmp_path / "p.tif", pages, photometric="minisblack")
    code, out, _ = cli("denoise", "p.tif", "--stack", "pages", "--like", "ipol")
    assert code == 0
    assert "(estimated)" in out
    written = tifffile.imread(tmp_path / "p_denoised.tif")
    for page, found in zip(pages, written, strict=True):
        expected = peers.from_ipol(estimate_sigma(page))(page)
        assert np.abs(found.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("peer", sorted(peers.PEERS))
def test_plan_prints_what_a_peer_became(cli, photo, peer):
    code, out, err = cli("plan", "photo.png", "--like", peer)
    assert (code, err) == (0, "")
    assert f"{peer}(" in out
    assert " became sigma" in out
    assert "window" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--like", "gimp"), "'gimp' is unknown; there are opencv,"),
        (("--like", "opencv:s=2"), "opencv has no 's'; it has h, templateWindowSize"),
        (("--like", "opencv:peak=2"), "opencv has no 'peak'"),
        (("--like", "skimage:fast_mode=perhaps"), "fast_mode is 'perhaps'; give true or false"),
        (("--like", "opencv:h=1", "--h", 2), "both give h"),
        (("--like", "opencv", "--sigma", 2), "opencv has no sigma"),
        (("--like", "opencv", "--search-size", 9), "--search-size does not go with --like"),
        (("--like", "ipol", "--sigma", "5%"), "plain number"),
        (("--like", "ffmpeg:s=40"), "s is 40; allowed are"),
        (("--like", "ffmpeg:p=big"), "p is 'big'; allowed are"),
    ],
)
def test_like_errors_are_one_line_and_write_nothing(cli, photo, tmp_path, arguments, words):
    code, out, err = cli("denoise", "photo.png", *arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]
