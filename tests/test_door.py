"""The door: `import rnnids` gives the public API, loads what is used, and its examples are true."""

import ast
import doctest
import importlib
import inspect
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY

import rnnids

EXAMPLE = REPOSITORY / "docs/examples/attack_one_flow.py"
MODULES = [module.name for module in pkgutil.walk_packages(rnnids.__path__, "rnnids.") if not module.ispkg]


def run(*arguments, cwd):
    """Python in a process of its own, outside the repository; what it printed."""
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "scripts")}
    command = [sys.executable, *map(str, arguments)]
    finished = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


@pytest.mark.parametrize("name", rnnids.__all__)
def test_each_name_is_there_documented_and_typed(name):
    found = getattr(rnnids, name)
    assert found.__name__ == name
    assert found.__module__ == f"rnnids.{rnnids.HOMES[name]}"
    assert inspect.getdoc(found)
    call = found.__init__ if inspect.isclass(found) else found
    assert all(
        parameter.annotation is not inspect.Parameter.empty
        for parameter in inspect.signature(call).parameters.values()
        if parameter.name != "self"
    )


def test_lists_of_names_agree():
    assert rnnids.__all__ == sorted(rnnids.__all__)
    assert set(rnnids.__all__) == set(rnnids.HOMES)
    assert set(rnnids.__all__) <= set(dir(rnnids))
    tree = ast.parse(Path(rnnids.__file__).read_text())
    seen = {
        alias.name: node.module.removeprefix("rnnids.")
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module.startswith("rnnids.")
        for alias in node.names
    }
    assert seen == rnnids.HOMES  # what type checkers see is what there is


def test_no_other_name_is_there():
    with pytest.raises(AttributeError, match="has no attribute 'extract_flow'"):
        rnnids.extract_flow  # noqa: B018


def test_the_door_costs_no_torch(tmp_path):
    code = """
import sys, rnnids
assert not {"torch", "numpy", "numba", "pandas"} & set(sys.modules)
rnnids.load_dataset, rnnids.extract_flows, rnnids.build_dataset, rnnids.adversarial_robustness_score
assert "torch" not in sys.modules
from rnnids import CarliniWagner
assert "torch" in sys.modules
"""
    run("-c", code, cwd=tmp_path)


@pytest.mark.parametrize("name", ["rnnids", *MODULES])
def test_examples_in_docstrings_are_true(name):
    module = importlib.import_module(name)
    assert doctest.testmod(module).failed == 0


def test_the_example_attacks_and_explains_a_flow(tmp_path):
    assert len(EXAMPLE.read_text().splitlines()) < 30
    lines = run(EXAMPLE, cwd=tmp_path).splitlines()
    assert lines[0].startswith("DoS Hulk, logit ")
    assert lines[1].endswith("success: True")
    assert len(lines) >= 4
    assert not list(tmp_path.iterdir())
