"""Volumes, clips and pages through the one-call interface: what they are and what runs on them."""

import numpy as np
import pytest
from conftest import by_reference

import nlmeans
from nlmeans import ParameterError, denoise, estimate_stack_sigma, nl_means, settings_for
from nlmeans.denoising.table import VOLUME, table_row

DTYPES = ["bool", "uint8", "uint16", "int16", "float16", "float32", "float64"]
SMALL = {"h": 8, "search_size": 3}


@pytest.fixture
def noisy(rng):
    """Five frames, 18 x 17, a little different from each other."""
    frames = np.add.outer(np.arange(5) * 3, np.kron(np.eye(3) * 60 + 40, np.ones((6, 6)))[:, :17])
    return frames + rng.normal(0, 8, frames.shape)


# --------------------------------------------------------------------------- what runs


def test_maps_for_another_number_of_pages_are_refused(rng):
    pages = rng.normal(100, 10, (3, 20, 20))
    for count in (2, 4):
        for name in ("sigma", "h", "mask"):
            maps = np.ones((count, 20, 20), bool if name == "mask" else float)
            with pytest.raises(ValueError, match=name):
                denoise(pages, stack="pages", **{"sigma": 10, name: maps})


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_volume_is_the_three_dimensional_operation(noisy, dtype):
    volume = noisy[:3, :4, :5].astype(dtype)
    found = denoise(volume, 8, stack="volume")
    row = table_row(8, volume, None, volume=True)
    h = row.h_over_sigma * 8
    op = nl_means(8, h, (row.patch_size,) * 3, (row.search_size,) * 3)
    np.testing.assert_allclose(found, by_reference(op, volume), rtol=1e-5)
    assert np.abs(found - denoise(volume, 8, h=h, patch_size=3, stack="pages")).max() > 1


def test_a_clip_compares_patches_of_frames_over_five_frames(noisy):
    clip = noisy[:, :9, :8]
    found = denoise(clip, 8, h=9, patch_size=3, search_size=5, stack="clip")
    op = nl_means(8, 9, (1, 3, 3), (5, 5, 5))
    np.testing.assert_allclose(found, by_reference(op, clip))


def test_a_clip_takes_sizes_and_h_of_an_image(noisy):
    frame = settings_for(noisy[2], 8)
    clip = settings_for(noisy[2:3], 8, stack="clip")
    assert (clip.sigma, clip.h) == (frame.sigma, frame.h)
    assert clip.patch_size == (1, frame.patch_size, frame.patch_size)
    assert clip.search_size == (5, frame.search_size, frame.search_size)


def test_volumes_have_a_table_of_their_own(noisy):
    levels = (1, 2, 4, 6, 8, 10, 12, 15, 20, 40)
    used = [settings_for(noisy, sigma, stack="volume") for sigma in levels]
    found = {round(each.h / each.sigma, 9) for each in used}
    assert sorted(found) == pytest.approx(sorted(row.h_over_sigma for row in VOLUME))
    assert {each.search_size for each in used} == {(11, 11, 11)}


def test_frames_that_differ_in_brightness_have_the_contrast_of_one(noisy):
    still = np.stack([noisy[0]] * 4)
    fading = still + np.arange(4).reshape(4, 1, 1) * 1000
    assert settings_for(fading, 8, stack="clip") == settings_for(still, 8, stack="clip")


@pytest.mark.parametrize("given", [None, 8])
def test_pages_are_images_each_alone(noisy, given):
    pages = noisy * [[[1]], [[1]], [[2]], [[1]], [[1]]]
    found = denoise(pages, given, stack="pages")
    np.testing.assert_array_equal(found, np.stack([denoise(page, given) for page in pages]))


@pytest.mark.parametrize("stack", ["volume", "clip", "pages"])
def test_a_stack_of_one(noisy, stack):
    one = noisy[:1, :9, :8]
    found = denoise(one, 8, h=9, patch_size=3, search_size=5, stack=stack)
    assert found.shape == one.shape
    np.testing.assert_allclose(
        found[0], denoise(one[0], 8, h=9, patch_size=3, search_size=5), rtol=1e-6
    )


@pytest.mark.parametrize(
    ("stack", "size", "sides"),
    [
        ("volume", 5, (5, 5, 5)),
        ("volume", (1, 5, 3), (1, 5, 3)),
        ("clip", 5, (1, 5, 5)),
        ("clip", (5, 3), (1, 5, 3)),
        ("clip", (3, 5, 7), (3, 5, 7)),
        ("clip", [3, 5, 7], (3, 5, 7)),
    ],
)
def test_sizes_of_stacks(noisy, stack, size, sides):
    assert settings_for(noisy, 8, patch_size=size, stack=stack).patch_size == sides
    deeper = sides if stack == "volume" or len(np.atleast_1d(size)) == 3 else (5, *sides[1:])
    assert settings_for(noisy, 8, search_size=size, stack=stack).search_size == deeper


# --------------------------------------------------------------------------- what comes back


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("stack", ["volume", "clip", "pages"])
def test_dtype_and_shape_come_back_and_the_input_stays(rng, dtype, stack):
    image = (rng.random((2, 5, 6, 3)) * (1 if dtype == "bool" else 100)).round().astype(dtype)
    before = image.copy()
    image.flags.writeable = False
    result = denoise(image, 0.5, stack=stack, **SMALL)
    assert (result.dtype, result.shape) == (image.dtype, image.shape)
    np.testing.assert_array_equal(image, before)
    assert not np.shares_memory(result, image)
    assert result.flags.writeable


@pytest.mark.parametrize("stack", ["volume", "clip", "pages"])
@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_channels_may_lie_anywhere(rng, stack, axis):
    image = rng.normal(100, 8, (2, 5, 6, 3))
    expected = denoise(image, 8, stack=stack, **SMALL)
    found = denoise(np.moveaxis(image, -1, axis), 8, stack=stack, channel_axis=axis, **SMALL)
    np.testing.assert_allclose(np.moveaxis(found, axis, -1), expected, rtol=1e-12)


@pytest.mark.parametrize("stack", ["volume", "clip", "pages"])
def test_alpha_is_kept_and_not_seen(rng, stack):
    image = rng.normal(100, 8, (2, 5, 6, 4))
    found = denoise(image, 8, stack=stack, **SMALL)
    np.testing.assert_array_equal(found[..., 3], image[..., 3])
    np.testing.assert_array_equal(found[..., :3], denoise(image[..., :3], 8, stack=stack, **SMALL))


@pytest.mark.parametrize("stack", ["volume", "clip", "pages"])
def test_strength_and_amount(noisy, stack):
    part = noisy[:2, :6, :7]
    full = denoise(part, 8, stack=stack, **SMALL)
    half = denoise(part, 8, stack=stack, strength=0.5, h=16, search_size=3)
    np.testing.assert_array_equal(half, full)
    blend = denoise(part, 8, stack=stack, amount=0.25, **SMALL)
    np.testing.assert_allclose(blend, 0.75 * part + 0.25 * full)
    np.testing.assert_array_equal(denoise(part, 0, stack=stack), part)


def test_progress_of_pages_runs_once_from_start_to_end(noisy):
    seen = []
    denoise(noisy, 8, stack="pages", progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1
    assert len(seen) >= len(noisy)


# --------------------------------------------------------------------------- noise


def test_the_noise_of_a_stack_is_the_median_of_its_images(rng):
    stack = rng.normal(100, 10, (5, 64, 64))
    stack[3] = 100 + 4 * (stack[3] - 100)
    each = [nlmeans.estimate_sigma(image) for image in stack]
    assert estimate_stack_sigma(stack) == np.median(each)
    assert settings_for(stack, stack="clip").sigma == np.median(each)
    assert estimate_stack_sigma(stack[:1]) == each[0]


def test_empty_ends_do_not_count(rng):
    stack = np.zeros((9, 64, 64))
    stack[6:] = rng.normal(100, 10, (3, 64, 64))
    assert estimate_stack_sigma(stack) == pytest.approx(10, rel=0.1)
    assert estimate_stack_sigma(np.zeros((9, 64, 64))) == 0


def test_channels_have_levels_of_their_own(rng):
    stack = rng.normal(size=(3, 7, 64, 64)) * np.reshape([5, 10, 20], (3, 1, 1, 1))
    assert estimate_stack_sigma(stack, channel_axis=0) == pytest.approx([5, 10, 20], rel=0.1)
    last = np.moveaxis(stack, 0, -1)
    np.testing.assert_array_equal(
        estimate_stack_sigma(last, channel_axis=-1), estimate_stack_sigma(stack, channel_axis=0)
    )


def test_a_bounded_number_of_images_is_looked_at(monkeypatch):
    calls = []
    monkeypatch.setattr(
        "nlmeans.noise.level.estimate_sigma", lambda *a, **k: calls.append(a) or 1.0
    )
    assert estimate_stack_sigma(np.zeros((1000, 2, 2))) == 1
    assert len(calls) == 15


# --------------------------------------------------------------------------- refused


def bad(exception, match, *args, **options):
    for function in (denoise, settings_for):
        with pytest.raises(exception, match=match) as caught:
            function(*args, **options)
        assert "\n" not in str(caught.value)


def test_a_stack_that_is_not_named_is_refused(rng):
    bad(
        ValueError,
        "a stack of 5; say what it is: stack='volume'",
        np.ones((5, 20, 20)),
        1,
        channel_axis=None,
    )
    bad(ValueError, "a stack of 5; say", np.ones((5, 20, 20, 3)), 1)
    bad(ValueError, "a stack of 5; say", np.ones((3, 5, 20, 20)), 1, channel_axis=0)
    bad(
        ValueError,
        "name it with channel_axis, or give stack='volume', 'clip' or 'pages' if",
        np.ones((5, 20, 20)),
        1,
    )
    assert denoise(np.ones((20, 20, 3)), 1).shape == (20, 20, 3)


def test_shapes_that_are_no_stack(rng):
    bad(ValueError, r"shape \(9, 9\), 2 axes .*here 'volume'", np.ones((9, 9)), 1, stack="volume")
    bad(ValueError, "2 axes", np.ones((9, 9, 3)), 1, stack="clip", channel_axis=-1)
    bad(ValueError, "5 axes", np.ones((2, 2, 2, 9, 9)), 1, stack="pages")
    bad(
        ValueError, "of 4 axes the last .* up to 4; name it", np.ones((2, 9, 9, 9)), 1, stack="clip"
    )
    bad(ValueError, r"is empty: its shape is \(0, 9, 9\)", np.ones((0, 9, 9)), 1, stack="clip")
    bad(ParameterError, "stack is 'film'; allowed are 'auto'", np.ones((2, 9, 9)), 1, stack="film")
    bad(ValueError, "9x9; estimating .*pass sigma", np.ones((2, 9, 9)), stack="clip")


def test_sizes_that_are_none():
    stack = np.zeros((2, 9, 9))
    bad(
        ParameterError,
        r"patch_size is \(3, 5\); a volume takes one number or \(depth",
        stack,
        1,
        patch_size=(3, 5),
        stack="volume",
    )
    bad(
        ParameterError,
        r"search_size is \(3, 5, 5, 5\); a clip takes one number, \(height",
        stack,
        1,
        search_size=(3, 5, 5, 5),
        stack="clip",
    )
    bad(ParameterError, "patch_size is 4; .*such as 5", stack, 1, patch_size=4, stack="clip")


def test_pages_have_no_common_settings(noisy):
    with pytest.raises(ValueError, match="ask for every page"):
        settings_for(noisy, 8, stack="pages")


def test_nothing_is_filtered_when_a_later_page_is_refused(noisy):
    called = []
    noisy[4] /= 1e6
    with pytest.raises(ParameterError, match="units"):
        denoise(noisy, 8, stack="pages", progress=called.append)
    assert called == []


def test_noise_of_what_is_no_stack():
    with pytest.raises(ValueError, match=r"shape \(20, 20\); .*3 axes"):
        estimate_stack_sigma(np.ones((20, 20)))
