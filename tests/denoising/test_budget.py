"""Memory and time: what is expected, what is allowed, and what is done to keep it."""

import tracemalloc
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

import nlmeans
from nlmeans import Operation, Window, nl_means
from nlmeans.base.cost import show_seconds
from nlmeans.base.machine import available_memory
from nlmeans.weights.loaded import LoadedWeights


def peak_of(call):
    """Bytes of NumPy's arrays; the kernels' own buffers are not seen."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.fixture
def classic():
    return nl_means(20, 15, 3, 7)


@pytest.mark.parametrize(
    ("shape", "axis"), [((700, 400), None), ((600, 200, 3), -1), ((3, 700, 200), 0)]
)
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_an_average_keeps_its_limit_in_parts(rng, classic, shape, axis, dtype):
    x = rng.normal(100, 20, shape).clip(0, 255).astype(dtype)
    whole = classic(x, channel_axis=axis)
    cost = classic.cost(shape, channel_axis=axis, dtype=dtype)
    limit = x.size * 4 + (cost.bytes - x.size * 4) * 3 // 4
    result = []
    taken = peak_of(lambda: result.append(classic(x, channel_axis=axis, max_memory=limit)))
    assert taken <= limit < cost.bytes
    assert result[0].dtype == whole.dtype
    difference = np.abs(result[0].astype(float) - whole)
    assert difference.max() <= (1 if dtype == "uint8" else 1e-3)
    assert (difference > 1e-3).mean() < 1e-3  # of integers few lie that near to a half


@pytest.mark.parametrize(
    "op",
    [
        nl_means(20, 15, 3, (3, 5, 5), border="mirror"),
        Operation(nlmeans.embedded_gaussian(scale=1e-4), over=Window(5)),
        Operation(
            replace(nlmeans.embedded_gaussian(scale=1e-4), normaliser="query sum"), over=Window(5)
        ),
    ],
)
def test_parts_of_a_volume_are_those_of_the_whole(rng, op):
    x = rng.normal(100, 20, (60, 40, 41))
    guide = rng.normal(100, 20, (60, 40, 41, 2))
    tight = 8 * x.size + op.cost((30, 40, 41), dtype=float, guide_channels=2).bytes
    assert tight < op.cost(x.shape, dtype=float, guide_channels=2).bytes
    np.testing.assert_allclose(op(x, guide=guide, max_memory=tight), op(x, guide=guide), rtol=1e-9)


def test_what_needs_all_is_refused_with_both_figures():
    attention = Operation(nlmeans.embedded_gaussian())
    x = np.zeros((600, 600), np.float32)
    with pytest.raises(
        MemoryError, match=r"[\d.]+ MiB of memory are needed, and of what is allowed 1 MiB is"
    ):
        attention(x, max_memory=2**20)
    with pytest.raises(MemoryError, match="even in parts"):
        nl_means(20, 15)(x, max_memory=2**20)
    for wrong in (0, 1.5, True):
        with pytest.raises(nlmeans.ParameterError, match="max_memory is"):
            attention(x, max_memory=wrong)


@pytest.mark.parametrize(
    "options",
    [{"sigma": 20, "method": "classic"}, {"sigma": 20}, {"gain": 2.0, "method": "classic"},
     {"sigma": 20, "method": "classic", "keep_detail": True}, {"sigma": 20, "keep_detail": True},
     {"sigma": 20, "noise": "rician"}, {"sigma": 20, "method": "classic", "amount": 0.5}],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("shape", [(500, 600), (300, 400, 3)])
def test_denoise_takes_what_it_says_at_most(rng, options, shape):
    x = rng.normal(100, 20, shape).clip(0, 255).astype(np.uint8)
    settings = {k: v for k, v in options.items() if k != "amount"}
    expected = nlmeans.expected_cost(x, nlmeans.settings_for(x, **settings)).bytes
    nlmeans.denoise(x[:30, :30], **options)  # compiled
    taken = peak_of(lambda: nlmeans.denoise(x, **options))
    assert taken <= expected < 4 * taken


def test_ridge_counts_the_doubles_that_faint_noise_takes(rng):
    x = rng.normal(30000, 30, (500, 600)).clip(0, 65535).astype(np.uint16)
    x[0, :2] = 0, 65535
    expected = nlmeans.expected_cost(x, nlmeans.settings_for(x, 30)).bytes
    nlmeans.denoise(x[:30, :30], 30)  # compiled
    assert peak_of(lambda: nlmeans.denoise(x, 30)) <= expected


def test_denoise_keeps_its_limit(rng):
    x = rng.normal(100, 20, (3000, 500)).clip(0, 255).astype(np.uint8)
    options = {"sigma": 20, "h": 15, "patch_size": 3, "search_size": 5}
    limit = 5 * x.size
    assert nlmeans.expected_cost(x, nlmeans.settings_for(x, **options)).bytes > limit
    whole, result = nlmeans.denoise(x, **options), []
    taken = peak_of(lambda: result.append(nlmeans.denoise(x, **options, max_memory=limit)))
    assert taken <= limit
    assert (result[0] != whole).mean() < 1e-3
    with pytest.raises(MemoryError, match=r"needed, and .* allowed"):
        nlmeans.denoise(x, 20, keep_detail=True, max_memory=limit)
    with pytest.raises(MemoryError, match=r"needed, even in parts, and .* allowed"):
        nlmeans.denoise(x, 20, method="ridge", max_memory=x.nbytes)


@pytest.mark.parametrize("options", [{"sigma": 20}, {"gain": 4.0}, {"sigma": 20, "amount": 0.7}])
@pytest.mark.parametrize("shape", [(470, 90), (401, 60, 3), (401, 60, 4)])
def test_ridge_keeps_a_limit_in_parts(options, shape):
    ramp = np.add.outer(np.arange(shape[0]), np.arange(shape[1])) % 97 + 60.0
    clean = np.repeat(ramp[..., None], shape[2], 2) if len(shape) == 3 else ramp
    x = clean + np.random.default_rng(1).normal(0, 20, shape)
    amount = options.get("amount", 1.0)
    noise = {name: value for name, value in options.items() if name != "amount"}
    used = nlmeans.settings_for(x, method="ridge", **noise)
    expected = nlmeans.expected_cost(x, used, amount=amount, threads=2).bytes
    whole, result = nlmeans.denoise(x, **options, method="ridge"), []
    limit = expected * 4 // 5
    call = partial(nlmeans.denoise, x, **options, method="ridge", max_memory=limit, threads=2)
    taken = peak_of(lambda: result.append(call()))
    assert taken <= limit
    np.testing.assert_allclose(result[0], whole, atol=1e-9)
    x = x.clip(0, 255).astype(np.uint8)
    whole = nlmeans.denoise(x, **options, method="ridge")
    limit = nlmeans.expected_cost(x, used, amount=amount, threads=2).bytes * 9 // 10
    parts = nlmeans.denoise(x, **options, method="ridge", max_memory=limit, threads=2)
    difference = np.abs(parts.astype(int) - whole)
    assert (difference.max(), (difference > 0).mean()) <= (2, 0.01)


def test_ridge_in_parts_of_a_region_and_a_mask(rng):
    x = rng.normal(100, 20, (600, 70))
    whole = nlmeans.denoise(x, 20, method="ridge")
    used = nlmeans.settings_for(x, 20, method="ridge")
    region = np.s_[33:580, 10:60]
    limit = nlmeans.expected_cost(x, used, region=region, threads=2).bytes * 3 // 4
    found = nlmeans.denoise(x, 20, method="ridge", region=region, max_memory=limit, threads=2)
    np.testing.assert_allclose(found, whole[region], atol=1e-9)
    mask = np.zeros(x.shape, bool)
    mask[region] = True
    limit = nlmeans.expected_cost(x, used, mask=mask, threads=2).bytes * 3 // 4
    found = nlmeans.denoise(x, 20, method="ridge", mask=mask, max_memory=limit, threads=2)
    np.testing.assert_allclose(found, np.where(mask, whole, x), atol=1e-9)


def loaded(block):
    return LoadedWeights("", "native", "native", "", block, (), ())


def blocks():
    theta, phi, w_g = np.random.default_rng(0).normal(size=(3, 2, 9)) / 9
    patches = nlmeans.Patches(3, "none")
    theta, phi, w_g = (nlmeans.Linear(matrix, of=patches) for matrix in (theta, phi, w_g))
    back = nlmeans.Linear(np.full((1, 2 * 9), 0.05), of=patches)
    attention = nlmeans.embedded_gaussian(theta, phi)
    over_queries = replace(attention, normaliser="query sum")
    mean = nlmeans.Linear([[0.5, 0.5]])
    first = nlmeans.Block(nl_means(0.1, 0.1, 3, 5))
    second = nlmeans.Block(nl_means(0.1, 0.1, 3, 7), out=mean, residual=False)
    return {
        "inside": nlmeans.Block(Operation(attention, w_g, over=Window(7)), out=back),
        "mirrored": nlmeans.Block(Operation(attention, w_g, over=Window(7, "mirror")), out=back),
        "over queries": nlmeans.Block(Operation(over_queries, w_g, over=Window(5)), out=back),
        "chain": nlmeans.Chain((first, second)),
    }


@pytest.mark.parametrize("layout", ["grey", "with alpha", "uint8"])
@pytest.mark.parametrize("name", blocks())
def test_weights_keep_a_limit_in_parts(rng, name, layout):
    weights = loaded(blocks()[name])
    x = rng.uniform(0, 1, (900, 60))
    x = {"grey": x, "with alpha": np.stack([x, x], -1), "uint8": (255 * x).astype(np.uint8)}[layout]
    weights.denoise(x[:40])  # compiled
    expected, results = weights.expected_cost(x).bytes, []
    for limit in (expected, expected * 3 // 4):
        run = partial(weights.denoise, x, max_memory=limit)
        assert peak_of(lambda run=run: results.append(run())) <= limit
    whole, parts = results
    if layout == "uint8":
        assert (parts != whole).mean() < 1e-3
    else:
        np.testing.assert_allclose(parts, whole, atol=1e-9)
    with pytest.raises(MemoryError, match="even in parts"):
        weights.denoise(x, max_memory=x.nbytes // 2)


def test_weights_that_look_everywhere_are_refused():
    weights = loaded(nlmeans.Block(Operation(nlmeans.embedded_gaussian())))
    x = np.zeros((64, 64))
    weights.denoise(x, max_memory=weights.expected_cost(x).bytes)
    with pytest.raises(MemoryError, match="needed, and of what"):
        weights.denoise(x, max_memory=x.nbytes)


def test_maps_masks_and_regions_keep_a_limit(rng):
    x = rng.normal(100, 20, (900, 200)).astype(np.float32)
    options = {"sigma": rng.uniform(5, 25, x.shape), "patch_size": 3, "search_size": 5}
    used = nlmeans.settings_for(x, **options)
    whole = nlmeans.denoise(x, **options)
    limit = nlmeans.expected_cost(x, used).bytes * 3 // 4
    np.testing.assert_allclose(nlmeans.denoise(x, **options, max_memory=limit), whole, atol=1e-3)
    op = used.operation()
    np.testing.assert_allclose(op(x, max_memory=limit), whole, atol=1e-3)
    region = np.s_[100:800, 20:180]
    limit = nlmeans.expected_cost(x, used, region=region).bytes * 4 // 5
    found = nlmeans.denoise(x, **options, region=region, max_memory=limit)
    np.testing.assert_allclose(found, whole[region], atol=1e-3)
    mask = np.zeros(x.shape, bool)
    mask[region] = True
    limit = nlmeans.expected_cost(x, used, mask=mask).bytes * 9 // 10
    found = nlmeans.denoise(x, **options, mask=mask, max_memory=limit)
    np.testing.assert_allclose(found[mask], whole[mask], atol=1e-3)
    np.testing.assert_array_equal(found[~mask], x[~mask])
    with pytest.raises(MemoryError, match="needed"):
        nlmeans.denoise(x, 20, keep_detail=True, method="classic", max_memory=x.nbytes)


def test_times_grow_with_work_and_shrink_with_threads(classic):
    small, large = (classic.plan((side, side)) for side in (1000, 2000))
    assert large.seconds(1) == pytest.approx(4 * small.seconds(1), rel=0.05)
    assert large.seconds(2) == large.seconds(1) / 2
    assert "on 1 thread" in str(large)
    assert show_seconds(3 * 86400) == "3 days"


@pytest.mark.parametrize(
    ("files", "left"),
    [
        ({"meminfo": "MemTotal: 9 kB\nMemAvailable: 8 kB\n"}, 8192),
        (
            {"meminfo": "MemAvailable: 8 kB\n", "memory.max": "5000\n", "memory.current": "3000\n",
             "memory.stat": "anon 1\ninactive_file 500\n"},
            2500,
        ),
        (
            {"meminfo": "MemAvailable: 8 kB\n", "memory.max": "max\n", "memory.current": "3000\n",
             "memory.stat": "anon 1\n"},
            8192,
        ),
    ],
)  # fmt: skip
def test_memory_that_is_left(tmp_path, files, left):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "own").write_text("0::/\n")
    assert available_memory(tmp_path, tmp_path / "own", tmp_path / "meminfo") == left


def test_points_take_what_they_say_at_most(rng):
    cloud = rng.normal(size=(3000, 3)) * [1, 1, 0.01]
    nlmeans.denoise_points(cloud[:100], 0.01)  # compiled
    taken = peak_of(lambda: nlmeans.denoise_points(cloud, 0.01, patch_neighbours=60, threads=2))
    assert taken <= nlmeans.expected_points_cost(3000, 60, threads=2).bytes < 4 * taken
    with pytest.raises(MemoryError, match="needed"):
        nlmeans.denoise_points(cloud, 0.01, max_memory=10**6)


def test_a_blocks_cost(rng):
    x = rng.normal(size=(300, 200)).astype(np.float32)
    one = nlmeans.Block(nl_means(1, 1, 3, 5))
    chain = nlmeans.Chain(
        (one, nlmeans.Block(nl_means(1, 1, 3, 5), out=nlmeans.Linear([[1, 1]]), residual=False))
    )
    for block in (one, chain):
        block(x[:20, :20])
        assert peak_of(lambda block=block: block(x)) <= block.cost(x.shape).bytes
    assert chain.cost(x.shape).seconds > 2 * one.cost(x.shape).seconds


def test_a_chain_counts_the_channels_between_its_blocks(rng):
    over = Window(3)
    wide, one = (nlmeans.Linear(rng.normal(size=shape) / 9) for shape in ((32, 1), (1, 33)))
    first = nlmeans.Block(Operation(nlmeans.gaussian(1), over=over), wide, residual=False)
    second = nlmeans.Block(Operation(nlmeans.embedded_gaussian(), over=over), one, residual=False)
    chain = nlmeans.Chain((first, second))
    x = rng.normal(size=(300, 200)).astype(np.float32)
    chain(x[:20, :20])
    assert peak_of(lambda: chain(x)) <= chain.cost(x.shape).bytes


@pytest.mark.parametrize("size", [1, 300])
@pytest.mark.parametrize(
    "over", [nlmeans.Everywhere(), nlmeans.Regions(32), Window(5), Window(5, "mirror")], ids=str
)
@pytest.mark.parametrize("softmax", ["keys", "queries"])
def test_attention_takes_what_it_says_at_most(rng, size, over, softmax):
    theta, phi, g = rng.normal(size=(3, 8, 16)) / 4
    f = nlmeans.embedded_gaussian(theta, phi, softmax=softmax)
    op = Operation(f, nlmeans.Linear(g), over)
    x = size * rng.normal(size=(100, 90, 16)).astype(np.float32)
    op(x[:20, :20], channel_axis=-1)
    expected = op.cost(x.shape, channel_axis=-1).bytes
    assert peak_of(lambda: op(x, channel_axis=-1)) <= expected


@pytest.mark.parametrize("size", [1, 300])
@pytest.mark.parametrize("which", [{"k": 50}, {"radius": 0.1}], ids=str)
@pytest.mark.parametrize("f", [nlmeans.gaussian(1), nlmeans.embedded_gaussian(softmax="queries")])
def test_neighbours_take_what_they_say_at_most(rng, size, which, f):
    points = rng.random((20000, 3))
    x = size * rng.normal(size=(20000, 8)).astype(np.float32)
    some = Operation(f, over=nlmeans.Neighbours(points[:60], k=50))
    some(x[:60], channel_axis=-1)
    expected = Operation(f, over=nlmeans.Neighbours(points, **which))
    expected = expected.cost(x.shape, channel_axis=-1).bytes
    op = Operation(f, over=nlmeans.Neighbours(points, **which))
    taken = peak_of(lambda: op(x, channel_axis=-1))
    assert taken <= expected < 4 * taken
