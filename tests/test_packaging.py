"""The package as pip installs it: built from a copy of the repository, imported where nothing else of it is."""

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile

import pytest
from conftest import REPOSITORY

PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
BUILT_FROM = ("scripts", "pyproject.toml", "README.md", "LICENSE")


def run(*command, cwd, **variables):
    """The output of a command that must end well."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | variables
    command = [str(word) for word in command]
    finished = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout.strip()


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """What a package is built from, copied: building leaves files behind."""
    folder = tmp_path_factory.mktemp("source")
    for name in BUILT_FROM:
        if (REPOSITORY / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
            shutil.copytree(REPOSITORY / name, folder / name, ignore=ignored)
        else:
            shutil.copy(REPOSITORY / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def wheel(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    run(*PIP, "wheel", source, "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder, cwd=folder)
    (found,) = folder.iterdir()
    return found


def test_a_wheel_holds_the_library_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    modules = {name for name in names if ".dist-info/" not in name}
    library = REPOSITORY / "scripts/rnnids"
    expected = {path.relative_to(library.parent).as_posix() for path in library.rglob("*.py")}
    assert modules == expected | {"rnnids/py.typed"}


def test_the_version_stands_in_one_place(wheel):
    (metadata,) = (name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".dist-info/METADATA"))
    text = zipfile.ZipFile(wheel).read(metadata).decode()
    version = next(line.split()[1] for line in text.splitlines() if line.startswith("Version: "))
    assert wheel.name == f"rnnids-{version}-py3-none-any.whl"
    assert f'\n__version__ = "{version}"\n' in (REPOSITORY / "scripts/rnnids/__init__.py").read_text()
    assert f"\nversion: {version}\n" in (REPOSITORY / "CITATION.cff").read_text()
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert "version" in project["dynamic"]
    assert "version" not in project


def test_what_pip_installs_can_be_used_anywhere(wheel, tmp_path):
    target = tmp_path / "installed"
    run(*PIP, "install", "--no-deps", "--no-index", "--target", target, wheel, cwd=tmp_path)
    code = "import rnnids; print(rnnids.__file__, rnnids.load_dataset.__module__)"
    words = run(sys.executable, "-c", code, cwd=tmp_path, PYTHONPATH=str(target)).split()
    assert words == [str(target / "rnnids/__init__.py"), "rnnids.datasets.flow_data"]


def test_pip_installs_the_folder_itself(source, tmp_path):
    target = tmp_path / "installed"
    run(*PIP, "install", source, "--no-deps", "--no-build-isolation", "--no-index", "--target", target, cwd=tmp_path)
    code = "import rnnids; print(rnnids.adversarial_robustness_score([1.0, 3.0]))"
    assert run(sys.executable, "-c", code, cwd=tmp_path, PYTHONPATH=str(target)) == "1.0"
