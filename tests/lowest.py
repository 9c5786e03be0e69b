"""The lowest versions that pyproject.toml allows, in an environment of their own.

python tests/lowest.py

Runs the tests that need few compiled kernels: files of every format, noise, weights, the command
line. What they import is what other packages change.
"""

import os
import re
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent
# Without the tests beside PyTorch and other programs, which are not in this environment.
TESTS = (
    "tests/base", "tests/images", "tests/noise", "tests/weights/test_weights.py", "tests/cli",
    "tests/peers/test_compat.py", "tests/test_help.py",
)  # fmt: skip
TOOLS = ("mypy", "ruff", "pytest-cov", "pytest-xdist")  # of the test extra, not of these tests


def bounds() -> list[str]:
    """Every requirement at its lower bound, with its marker."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    given = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    return [each.replace(">=", "==") for each in given if re.split(r"[=>\[]", each)[0] not in TOOLS]


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = str(Path(folder) / ("Scripts" if os.name == "nt" else "bin") / "python")
        for arguments in (bounds(), ["--no-deps", "-e", str(ROOT)]):
            subprocess.run([python, "-m", "pip", "install", "-q", *arguments], check=True)
        command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS]
        ran = subprocess.run(command, cwd=ROOT, check=False)
    return ran.returncode


if __name__ == "__main__":
    sys.exit(main())
