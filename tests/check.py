"""All checks: lint, format, types, tests, lowest versions. What continuous integration runs.

.venv/bin/python tests/check.py
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from nlmeans.base.machine import cores

ROOT = Path(__file__).parent.parent


def run(name: str, *arguments: str, folder: Path = ROOT) -> None:
    print(f"--- {name} {' '.join(arguments)}", flush=True)  # noqa: T201
    subprocess.run([sys.executable, "-m", name, *arguments], cwd=folder, check=True)


def types() -> None:
    """mypy, over the package as it is installed: cli/ is nlmeans.cli."""
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "nlmeans"
        package.mkdir()
        for entry in (ROOT / "nlmeans").iterdir():
            (package / entry.name).symlink_to(entry)
        (package / "cli").symlink_to(ROOT / "cli")
        config = str(ROOT / "pyproject.toml")
        run("mypy", "--config-file", config, "-p", "nlmeans", folder=Path(folder))


def main() -> int:
    try:
        run("ruff", "check", ".")
        run("ruff", "format", "--check", ".")
        types()
        # Files of tests side by side: most of the time goes into compiling on one core.
        run("pytest", "-n", str(min(cores(), 8)), "--dist", "loadfile", "--cov")
        print("--- lowest versions", flush=True)  # noqa: T201
        subprocess.run([sys.executable, str(ROOT / "tests" / "lowest.py")], check=True)
    except subprocess.CalledProcessError as error:
        return error.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
