"""The scripts of benchmarks/ start, explain themselves, and stand in the index."""

import ast
import json
import re

import pytest
from conftest import ROOT
from processes import run_python

SCRIPTS = sorted((ROOT / "benchmarks").glob("*.py"))
INDEX = (ROOT / "benchmarks" / "README.md").read_text()
FOREIGN = ("torch", "cv2", "PIL", "dipy", "bm3d")  # what a machine may lack


def docstring(script):
    return ast.get_docstring(ast.parse(script.read_text()))


@pytest.fixture(scope="module")
def started():
    """What each script prints for --help, all in one process; None where a peer is missing."""
    return json.loads(
        run_python(
            f"folder, foreign = {str(ROOT / 'benchmarks')!r}, {FOREIGN!r}",
            """
            import contextlib, io, json, pathlib, runpy, sys, warnings
            warnings.simplefilter("default")  # those of peers
            sys.path.insert(0, folder)
            printed = {}
            for path in sorted(pathlib.Path(folder).glob("*.py")):
                sys.argv = [path.name, "--help"]
                out = io.StringIO()
                try:
                    with contextlib.redirect_stdout(out):
                        runpy.run_path(str(path), run_name="__main__")
                except SystemExit as end:
                    assert end.code in (0, None)
                except ModuleNotFoundError as error:
                    assert error.name.partition(".")[0] in foreign, error
                    out = None
                printed[path.name] = out and out.getvalue()
            print(json.dumps(printed))
            """,
        )
    )


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_stands_in_the_index_and_explains_itself(script, started):
    doc = docstring(script)
    question = doc.split("\n")[0]
    facts = re.search(r"^Data: (.+)\. Time: (.+)\.$", doc, re.MULTILINE)
    if "\ndef main(" not in script.read_text():
        assert f"- `{script.name}`: {question}\n" in INDEX
        return
    assert question.endswith("?")
    assert f"python benchmarks/{script.name}" in doc
    assert facts, "what data it needs and how long it takes: 'Data: ... . Time: ... .'"
    assert f"| `{script.name}` | {question} | {facts[1]} | {facts[2]} |\n" in INDEX
    if started[script.name] is not None:
        assert question in started[script.name]


def test_the_index_names_no_other_script():
    assert set(re.findall(r"^(?:\| |- )`(\w+\.py)`", INDEX, re.MULTILINE)) == {
        script.name for script in SCRIPTS
    }
