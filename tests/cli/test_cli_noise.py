"""--noise, --gain and --read-noise; what estimate says of noise that is not white and Gaussian."""

import json

import numpy as np
import pytest
import tifffile
from scenes import magnitude, micrograph, poisson_gaussian

import nlmeans
from nlmeans.images import load


@pytest.fixture
def micrographs(tmp_path, rng):
    """8 bits, of gain 6 and read noise 2."""
    noisy = poisson_gaussian(micrograph(), 6.0, 2.0, rng).clip(0, 255).round().astype(np.uint8)
    tifffile.imwrite(tmp_path / "in.tif", noisy)
    return noisy


def test_estimate_and_denoise_name_the_gain(cli, micrographs):
    code, out, _ = cli("estimate", "in.tif")
    assert code == 0
    assert "poisson-gaussian noise, gain " in out
    code, out, _ = cli("estimate", "--json", "in.tif")
    found = json.loads(out)["noise"]
    assert found["gain"] == pytest.approx([6], rel=0.2)
    code, out, _ = cli("denoise", "in.tif", "-o", "out.tif")
    assert code == 0
    assert "poisson-gaussian noise, gain " in out
    assert "(estimated)" in out
    assert np.array_equal(load("out.tif").pixels, nlmeans.denoise(micrographs))


def test_a_given_gain_is_used(cli, micrographs):
    code, out, _ = cli("denoise", "in.tif", "-o", "out.tif", "--gain", 6, "--read-noise", 2)
    assert code == 0
    assert "poisson-gaussian noise, gain 6, read noise 2 (given)" in out
    told = nlmeans.denoise(micrographs, gain=6, read_noise=2)
    assert np.array_equal(load("out.tif").pixels, told)
    code, out, _ = cli("plan", "in.tif", "--gain", 6, "--read-noise", 2)
    assert code == 0
    assert "gain 6, read noise 2 (given)" in out


def test_noise_gaussian_is_as_without_the_model(cli, micrographs):
    code, out, _ = cli("denoise", "in.tif", "-o", "out.tif", "--noise", "gaussian")
    assert code == 0
    assert "sigma" in out
    gaussian = nlmeans.denoise(micrographs, noise="gaussian")
    assert np.array_equal(load("out.tif").pixels, gaussian)


def test_a_magnitude_volume(cli, tmp_path, rng):
    clean = np.zeros((6, 40, 40))
    clean[:, 10:30, 10:30] = 100
    tifffile.imwrite(tmp_path / "in.tif", magnitude(clean, 8, rng).astype(np.float32))
    arguments = ("denoise", "in.tif", "-o", "out.tif", "--stack", "volume", "--noise", "rician")
    code, out, _ = cli(*arguments, "--sigma", 8)
    assert code == 0
    assert "rician noise, sigma 8 (given)" in out
    assert load("out.tif").pixels[:, :5, :5].mean() < 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--gain", "0"), "'0' is not allowed; give a number above 0"),
        (("--read-noise", "2"), "gain is missing"),
        (("--gain", "2", "--sigma", "3"), "the noise is Poisson-Gaussian"),
        (("--noise", "salt"), "'salt'"),
    ],
)
def test_what_does_not_go_together_is_a_usage_error(cli, micrographs, arguments, words, tmp_path):
    code, _, err = cli("denoise", "in.tif", *arguments)
    assert code == 2
    assert words in err
    assert [path.name for path in tmp_path.iterdir()] == ["in.tif"]


@pytest.mark.parametrize(
    "option", [("--read-noise", 3), ("--chroma-strength", 2), ("--gain", 2), ("--noise", "rician")]
)
def test_like_refuses_what_it_does_not_have(cli, micrographs, option):
    for command in ("denoise", "plan"):
        code, _, err = cli(command, "in.tif", "--like", "opencv", *option)
        assert code == 2
        assert f"{option[0]} {option[1]} does not go with --like" in err.replace(".0 ", " ")
        assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    "option",
    [("--mask", "m.png"), ("--preview", "0,0,2,2"), ("--h-map", "m.png"), ("--keep-detail",)],
)
def test_videos_refuse_what_they_do_not_have(cli, option, tmp_path):
    (tmp_path / "clip.mp4").write_bytes(b"")
    for command in ("denoise", "plan"):
        code, _, err = cli(command, "clip.mp4", *option)
        assert code == 2
        assert f"{' '.join(option)} does not go with a video; leave one of them out" in err
        assert len(err.splitlines()) == 1


def test_plan_says_that_it_is_of_the_classical_step(cli, micrographs):
    words = "the classical step alone; the groups take about 20 times as long"
    assert words in cli("plan", "in.tif", "--sigma", 9, "--method", "ridge")[1]
    assert words not in cli("plan", "in.tif", "--sigma", 9, "--method", "classic")[1]
