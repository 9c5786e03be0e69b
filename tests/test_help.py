"""What help() shows of every public name."""

import importlib
import inspect
import pydoc

import pytest

import nlmeans

MODULES = ("peers", "compat", "stream", "noise", "images", "weights", "points", "operation")


def public():
    for name in ("nlmeans", *(f"nlmeans.{module}" for module in MODULES)):
        module = importlib.import_module(name)
        for each in getattr(module, "__all__", dir(module)):
            if not each.startswith("_") and not inspect.ismodule(getattr(module, each)):
                yield name, each


@pytest.mark.parametrize(("module", "name"), [*public()])
def test_signatures_show_names_of_types_not_what_they_stand_for(module, name):
    shown = pydoc.render_doc(getattr(importlib.import_module(module), name))
    assert "_buffer" not in shown
    assert "numpy._typing" not in shown


def test_help_of_the_pairwise_functions_is_theirs():
    shown = pydoc.render_doc(nlmeans.PAIRWISE, renderer=pydoc.plaintext)
    assert "The pairwise functions f by name" in shown
    assert isinstance(nlmeans.PAIRWISE, dict)
