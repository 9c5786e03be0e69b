"""The documentation cannot drift: commands, examples and test command are those that exist."""

import doctest
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from nlmeans.cli.main import main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("command", sorted(main.commands))
def test_every_command_is_in_the_readme(command):
    assert f"nlmeans {command} " in README


def test_every_option_in_the_readme_exists():
    known = {
        option
        for command in main.commands.values()
        for parameter in command.params
        for option in parameter.opts
    } | {"--help"}
    names = "|".join(main.commands)
    shell = "\n".join(re.findall(rf"nlmeans (?:{names})[^\n`#]*", README))
    used = set(re.findall(r"(?<=\s)--?[a-zA-Z][a-z-]*", shell))
    assert used
    assert used <= known


def test_readme_examples_run(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    failed, attempted = doctest.testfile(str(ROOT / "README.md"), module_relative=False)
    assert (failed, attempted > 8) == (0, True)


def test_the_output_shown_of_estimate_is_real(capfd, monkeypatch):
    monkeypatch.chdir(ROOT)
    shown = README.split("$ nlmeans estimate sample_images/*_noisy.png\n")[1].split("```")[0]
    inputs = sorted(str(p) for p in Path("sample_images").glob("*_noisy.png"))
    main(["estimate", *inputs], standalone_mode=False)
    assert capfd.readouterr().out == shown


def test_the_output_shown_of_a_stack_is_real(capfd, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    section = README.split("## Volumes, clips, many pages")[1].split("\n## ")[0]
    names = doctest.DocTestParser().get_doctest(section, {}, "README", None, None)
    runner = doctest.DocTestRunner()
    runner.run(names, clear_globs=False)
    written = re.search(r"^tifffile.*$", section, re.MULTILINE)
    exec(written[0], names.globs)
    shown = "".join(part.split("```")[0] for part in section.split("```console\n")[1:])
    commands = re.findall(r"^\$ nlmeans (.*)$", shown, re.MULTILINE)
    for command in commands:
        main(command.split(), standalone_mode=False)
    out, err = capfd.readouterr()
    lines = [line for line in shown.splitlines() if not line.startswith("$")]
    timed = re.compile(r"; [\d.]+ MP in .*")
    found = [timed.sub("", line) for line in (err + out).splitlines()]
    assert found == [timed.sub("", line) for line in lines]


@pytest.mark.skipif(sys.platform == "win32", reason="a shell's mkdir and cp")
def test_the_comparison_shown_runs_in_a_fresh_clone(tmp_path):
    shutil.copytree(ROOT / "sample_images", tmp_path / "sample_images")
    shown = README.split("## Comparing methods")[1].split("```sh\n")[1].split("```")[0]
    script = shown.replace("nlmeans compare", f"'{sys.executable}' -m nlmeans compare")
    done = subprocess.run(
        ["sh", "-e", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("skimage") == 1
    assert (tmp_path / "report" / "index.html").exists()


def test_continuous_integration_runs_the_readme_command():
    script = ROOT / ".ci" / "run"
    commands = re.findall(r"^python3 -m venv .*tests/check\.py$", README, re.MULTILINE)
    assert len(commands) == 1
    assert commands[0] in script.read_text().splitlines()
    assert script.stat().st_mode & stat.S_IXUSR


def test_readme_names_files_that_exist():
    for name in re.findall(r"`((?:nlmeans|benchmarks|sample_images|tests)/[\w/.]+\.py)`", README):
        assert (ROOT / name).exists(), name


def test_sample_images_are_those_that_the_script_makes():
    script = ROOT / "sample_images" / "make.py"
    subprocess.run([sys.executable, str(script), "--check"], check=True, capture_output=True)
