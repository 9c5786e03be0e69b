"""The conversions, against the peers that are installed and against their published formulas.

OpenCV and scikit-image drop small weights, which the Operation keeps. So each is compared twice:
where every weight is large, the pictures have to agree; elsewhere a literal transcription of the
peer, which has to be exact, shows that nothing else sets them apart.
"""

import subprocess

import imageio.v3 as imageio
import numpy as np
import pytest
import tifffile
from numpy.lib.stride_tricks import sliding_window_view
from skimage import data
from skimage.restoration import denoise_nl_means

from nlmeans import ParameterError, peers

CUT = 5.0  # scikit-image drops weights below exp(-5)


@pytest.fixture(scope="module")
def scene():
    """A corner of a photograph: sky, coat, grass."""
    return data.camera()[100:164, 180:244]


def noisy_bytes(scene, sigma, seed=0):
    noise = np.random.default_rng(seed).normal(0, sigma, scene.shape)
    return np.clip(np.rint(scene + noise), 0, 255).astype(np.uint8)


def faint(scene):
    """Of little contrast, so that no weight is dropped, with some noise."""
    rng = np.random.default_rng(1)
    return 100 + scene / 12 + rng.normal(0, 2, scene.shape)


# --------------------------------------------------------------------------- OpenCV


@pytest.mark.parametrize("h", [20, 30.5])
@pytest.mark.parametrize("sizes", [(7, 21), (3, 9), (4, 10)])
def test_opencv_within_one_grey_level(scene, h, sizes):
    cv2 = pytest.importorskip("cv2")
    x = np.rint(faint(scene)).astype(np.uint8)
    theirs = cv2.fastNlMeansDenoising(x, None, h, *sizes)
    ours = peers.from_opencv(h, *sizes)(x)
    assert np.abs(theirs.astype(int) - ours).max() <= 1


def test_opencv_on_three_channels(scene):
    cv2 = pytest.importorskip("cv2")
    x = np.stack([np.rint(faint(scene)), 250 - scene / 12, 80 + scene / 12], -1).astype(np.uint8)
    theirs = cv2.fastNlMeansDenoising(x, None, 20, 7, 21)
    ours = peers.from_opencv(20)(x, channel_axis=-1)
    assert np.abs(theirs.astype(int) - ours).max() <= 1


def test_opencv_multi(scene):
    cv2 = pytest.importorskip("cv2")
    clip = np.stack([np.rint(faint(np.roll(scene, k, 1))) for k in range(5)]).astype(np.uint8)
    theirs = cv2.fastNlMeansDenoisingMulti(list(clip), 2, 3, None, 20, 7, 15)
    ours = peers.from_opencv(20, 7, 15, temporalWindowSize=3)(clip)[2]
    assert np.abs(theirs.astype(int) - ours).max() <= 1


def opencv_literally(x, h, cut, patch=7, search=21):
    """Float arithmetic; weights below `cut` are dropped."""
    o, r = patch // 2, search // 2
    height, width = x.shape
    wide = np.pad(x.astype(float), o + r, mode="reflect")
    centre = wide[r : r + height + 2 * o, r : r + width + 2 * o]
    total, sums = np.zeros(x.shape), np.zeros(x.shape)
    for dy in range(search):
        for dx in range(search):
            other = wide[dy : dy + height + 2 * o, dx : dx + width + 2 * o]
            patches = sliding_window_view((centre - other) ** 2, (patch, patch))
            w = np.exp(-patches.mean((2, 3)) / h**2)
            w[w < cut] = 0
            total += w
            sums += w * other[o : o + height, o : o + width]
    return np.rint(sums / total)


@pytest.mark.parametrize(("sigma", "h"), [(0, 30), (10, 10), (20, 10), (20, 20)])
def test_opencv_differs_by_dropped_weights_alone(scene, sigma, h):
    cv2 = pytest.importorskip("cv2")
    x = noisy_bytes(scene, sigma)
    theirs = cv2.fastNlMeansDenoising(x, None, h, 7, 21)
    assert np.abs(theirs - opencv_literally(x, h, 0.001)).max() <= 1
    ours = peers.from_opencv(h)(x)
    assert np.abs(ours - opencv_literally(x, h, 0)).max() <= 1
    assert np.abs(theirs.astype(int) - ours).mean() < 0.5


# --------------------------------------------------------------------------- scikit-image


def schraudolph(y):
    """scikit-image's exp: the exponent's bits from a product (N. Schraudolph, 1999)."""
    bits = (1512775.3951951856938 * y + 1072632447).astype(np.int64) << 32
    return bits.view(np.float64)


def slow_mode_literally(x, patch, distance, h, sigma, exp=np.exp, cut=np.inf):
    """The mode's weights; a pixel is dropped where the sum of some first rows exceeds `cut`."""
    o = patch // 2
    taps = np.exp(-(np.arange(-o, o + 1) ** 2) / (2 * ((patch - 1) / 4) ** 2))
    g = np.outer(taps, taps) / taps.sum() ** 2
    height, width = x.shape
    patches = sliding_window_view(np.pad(x, o, mode="reflect"), (patch, patch))
    total, sums = np.zeros(x.shape), np.zeros(x.shape)
    for dy in range(-distance, distance + 1):
        for dx in range(-distance, distance + 1):
            here = (slice(max(0, -dy), height - max(0, dy)), slice(max(0, -dx), width - max(0, dx)))
            there = (slice(max(0, dy), height + min(0, dy)), slice(max(0, dx), width + min(0, dx)))
            terms = ((patches[here] - patches[there]) ** 2 - 2 * sigma**2) * g / h**2
            rows = np.cumsum(terms.sum(3), axis=2)
            w = exp(-np.maximum(rows[..., -1], 0))
            w[(rows[..., :-1] > cut).any(-1)] = 0
            total[here] += w
            sums[here] += w * x[there]
    return sums / total


SLOW = [(5, 6, 0.1, 0.0), (7, 4, 0.05, 0.08), (5, 6, 0.3, 0.0)]


@pytest.mark.parametrize(("patch", "distance", "h", "sigma"), SLOW)
def test_skimage_slow_mode_is_this_filter_with_its_exp_and_cut(scene, patch, distance, h, sigma):
    x = noisy_bytes(scene, 20)[:40, :44] / 255
    theirs = denoise_nl_means(x, patch, distance, h, fast_mode=False, sigma=sigma)
    with_both = slow_mode_literally(x, patch, distance, h, sigma, schraudolph, CUT)
    np.testing.assert_allclose(theirs, with_both, atol=1e-6)
    ours = peers.from_skimage(patch, distance, h, False, sigma)(x)
    np.testing.assert_allclose(ours, slow_mode_literally(x, patch, distance, h, sigma), atol=1e-10)


@pytest.mark.parametrize("channel_axis", [None, -1])
def test_skimage_slow_mode_within_the_error_of_its_exp(scene, channel_axis):
    x = faint(scene)[:40, :44] / 255
    if channel_axis is not None:
        x = np.stack([x, 1 - x, np.sqrt(x)], -1)
    theirs = denoise_nl_means(x, 5, 6, 0.1, fast_mode=False, channel_axis=channel_axis)
    ours = peers.from_skimage(5, 6, 0.1, False)(x, channel_axis=channel_axis)
    # 4 % of the weights, of what the average moves a pixel by
    assert np.abs(theirs - ours).max() <= 0.04 * np.abs(x - ours).max()


def fast_mode_literally(x, patch, distance, h, sigma, *, skipped, exp=np.exp, cut=np.inf):
    """The mode's sums, over patches without their first `skipped` rows and columns."""
    o, side = patch // 2, patch - skipped
    height, width = x.shape
    wide = np.pad(x, o + distance, mode="reflect")
    boxes = sliding_window_view(wide, (side, side))[skipped:, skipped:]
    values = wide[o : wide.shape[0] - o, o : wide.shape[1] - o]
    total, sums = np.zeros(x.shape), np.zeros(x.shape)
    here = boxes[distance : distance + height, distance : distance + width]
    for dy in range(2 * distance + 1):
        for dx in range(2 * distance + 1):
            there = (slice(dy, dy + height), slice(dx, dx + width))
            squares = ((here - boxes[there]) ** 2 - 2 * sigma**2).sum((2, 3))
            score = np.maximum(squares, 0) / (patch * h) ** 2
            w = np.where(score > cut, 0, exp(-score))
            total += w
            sums += w * values[there]
    return sums / total


@pytest.mark.parametrize(("patch", "distance", "h", "sigma"), SLOW)
def test_skimage_fast_mode_is_this_filter_with_its_box_exp_and_cut(
    scene, patch, distance, h, sigma
):
    x = noisy_bytes(scene, 20)[:40, :44] / 255
    theirs = denoise_nl_means(x, patch, distance, h, sigma=sigma)
    as_theirs = fast_mode_literally(
        x, patch, distance, h, sigma, skipped=1, exp=schraudolph, cut=CUT
    )
    np.testing.assert_allclose(theirs, as_theirs, atol=1e-6)
    ours = peers.from_skimage(patch, distance, h, sigma=sigma)(x)
    effective = h * patch / (patch - 1)
    whole = fast_mode_literally(x, patch, distance, effective, sigma, skipped=0)
    np.testing.assert_allclose(ours, whole, atol=1e-10)


def test_skimage_fast_mode_gives_nearly_the_same_picture(scene):
    x = noisy_bytes(scene, 20) / 255
    theirs = denoise_nl_means(x, 7, 11, 0.08, sigma=0.08)
    ours = peers.from_skimage(7, 11, 0.08, sigma=0.08)(x)
    assert np.abs(theirs - ours).mean() < 0.25 * np.abs(theirs - x).mean()


def test_skimage_volume_in_fast_mode(rng):
    x = rng.normal(0.5, 0.02, (12, 14, 16))
    theirs = denoise_nl_means(x, 3, 3, 0.05)
    ours = peers.from_skimage(3, 3, 0.05, axes=3)(x)
    assert np.abs(theirs - ours).mean() < 0.25 * np.abs(theirs - x).mean()


# --------------------------------------------------------------------------- FFmpeg


def ffmpeg(x, s, p, r):
    from shutil import which

    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
    program = which("ffmpeg") or imageio_ffmpeg.get_ffmpeg_exe()
    raw = ["-f", "rawvideo", "-pix_fmt", "gray"]
    command = [
        program, "-loglevel", "error", *raw, "-s", f"{x.shape[1]}x{x.shape[0]}", "-i", "-",
        "-vf", f"nlmeans=s={s}:p={p}:r={r}", *raw, "-",
    ]  # fmt: skip
    result = subprocess.run(command, input=x.tobytes(), capture_output=True, check=True)
    return np.frombuffer(result.stdout, np.uint8).reshape(x.shape)


@pytest.mark.parametrize(("s", "p", "r"), [(10, 7, 15), (6, 3, 9), (14, 8, 10)])
def test_ffmpeg_within_two_grey_levels(scene, s, p, r):
    x = np.rint(faint(scene)).astype(np.uint8)
    ours = peers.from_ffmpeg(s, p=p, r=r)(x)
    assert np.abs(ffmpeg(x, s, p, r).astype(int) - ours).max() <= 2


def test_ffmpeg_on_a_photograph_within_two_grey_levels_nearly_everywhere(scene):
    x = noisy_bytes(scene, 10)
    difference = np.abs(ffmpeg(x, 10, 7, 15).astype(int) - peers.from_ffmpeg(10)(x))
    assert (difference > 2).mean() < 0.1
    assert difference.mean() < 1


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
        (lambda: peers.from_skimage(1), "patch_size is 1"),
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
    assert "OpenCV drops weights" in out
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
        ("skimage:h=0.1,patch_size=3,patch_distance=2",
         peers.from_skimage(3, 2, 0.1, axes=3, peak=255)(volume)),
    ):  # fmt: skip
        assert cli("denoise", "v.tif", "--stack", "volume", "--like", like, "--overwrite")[0] == 0
        written = tifffile.imread(tmp_path / "v_denoised.tif")
        assert np.abs(written.astype(int) - expected).max() <= 1


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
