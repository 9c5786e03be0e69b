"""Who may import whom: the packages, their order, and no circles among files."""

import ast
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PUBLIC = "nlmeans"  # nlmeans/__init__.pyi and the faces compat.py and stream.py
MAY_IMPORT = {
    "base": set(),
    "kernels": {"base"},
    "images": {"base"},
    "noise": {"base"},
    "operation": {"base", "kernels"},
    "points": {"base", "operation"},
    "peers": {"base", "operation"},
    "denoising": {"base", "noise", "operation"},
    "weights": {"base", "images", "operation", "denoising"},
    "learning": {"base", "noise", "operation", "denoising"},
    "compare": {PUBLIC, "base", "images", "noise"},
}
MAY_IMPORT["cli"] = {PUBLIC, *MAY_IMPORT} - {"kernels", "operation"}
MAY_IMPORT[PUBLIC] = set(MAY_IMPORT)


def files() -> dict[str, Path]:
    """Every module of the package and its file; cli/ is nlmeans.cli, a stub is the module's."""
    found = {}
    for folder, name in ((ROOT / "nlmeans", "nlmeans"), (ROOT / "cli", "nlmeans.cli")):
        for path in sorted(folder.rglob("*.py")):
            parts = [name, *path.relative_to(folder).with_suffix("").parts]
            stub = path.with_suffix(".pyi")
            found[".".join(parts).removesuffix(".__init__")] = stub if stub.exists() else path
    return found


FILES = files()


def package(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in MAY_IMPORT else PUBLIC


def imports(module: str) -> Iterator[tuple[str, str]]:
    """Modules of the project that one imports, and the name taken from each; "" for all of it."""
    path = FILES[module]
    here = module.split(".") if path.stem == "__init__" else module.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names if alias.name in FILES)
        elif isinstance(node, ast.ImportFrom):
            source = ".".join(filter(None, [*here[: len(here) + 1 - node.level], node.module]))
            source = source if node.level else node.module or ""
            for alias in node.names:
                inner = f"{source}.{alias.name}"
                if inner in FILES:
                    yield inner, ""
                elif source in FILES:
                    yield source, alias.name


@pytest.mark.parametrize("module", FILES)
def test_a_package_imports_only_what_it_may(module):
    own = package(module)
    wrong = {of for of, _ in imports(module) if package(of) not in MAY_IMPORT[own] | {own}}
    assert not wrong, f"{own} may import {sorted(MAY_IMPORT[own])}"


@pytest.mark.parametrize("module", FILES)
def test_no_private_name_crosses_files(module):
    wrong = [
        f"{of}.{name}" for of, name in imports(module) if name.startswith("_") and "__" not in name
    ]
    assert not wrong


def test_no_circles_of_files():
    """Imports for types and within functions count: a circle of files is one thing in two."""
    graph = {module: {of for of, _ in imports(module)} - {module} for module in FILES}
    while leaves := [module for module, of in graph.items() if not of]:
        for module in leaves:
            del graph[module]
        for of in graph.values():
            of.difference_update(leaves)
    # What only leads into a circle is not part of it.
    while ends := [m for m in graph if not any(m in of for of in graph.values())]:
        for module in ends:
            del graph[module]
    assert not graph


def test_no_two_classes_have_one_name():
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in files_of_code())
    names = Counter(
        node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)
    )
    assert [name for name, count in names.items() if count > 1] == []


def files_of_code() -> list[Path]:
    return [path.with_suffix(".py") for path in FILES.values()]


def test_every_package_is_installed():
    """An editable install finds packages that a wheel lacks."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = {name for name in FILES if FILES[name].stem == "__init__"}
    assert set(project["tool"]["setuptools"]["packages"]) == packages
