"""What tests of commands share."""

import re
from pathlib import Path


def files(folder="."):
    return sorted(p.name for p in Path(folder).iterdir())


def bad(cli, code, match, *arguments):
    before = files()
    found, out, err = cli(*arguments)
    assert re.search(match, err), err
    assert found == code
    assert err.count("\n") == 1, err
    assert out == ""
    assert files() == before
