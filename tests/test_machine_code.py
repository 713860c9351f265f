"""Compiled code is that of the files as they are, also where another file than the caller's has changed."""

import os
import shutil
import subprocess
import sys

from conftest import REPOSITORY

from rnnids import machine_code

CALLED = "from rnnids.machine_code import njit\nNUMBER = {}\n\n\n@njit(cache=True)\ndef number():\n    return NUMBER\n"
CALLING = """import sys

from rnnids.called import number
from rnnids.machine_code import njit


@njit(cache=True)
def twice():
    return 2 * number()


print(twice(), sum(twice.stats.cache_hits.values()))
"""


def test_a_change_in_a_called_file_is_compiled_and_nothing_else_is_compiled_twice(tmp_path):
    library = tmp_path / "rnnids"
    library.mkdir()
    for name in ("__init__.py", "machine_code.py"):
        shutil.copy(REPOSITORY / "scripts/rnnids" / name, library)
    (tmp_path / "calling.py").write_text(CALLING)
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    environment |= {"PYTHONDONTWRITEBYTECODE": "1"}  # Python takes files written in one second for the same
    said = []
    for number in (3, 3, 5, 5):
        (library / "called.py").write_text(CALLED.format(number))
        command = [sys.executable, tmp_path / "calling.py"]
        run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        said.append(run.stdout.split())
    assert [value for value, _ in said] == ["6", "6", "10", "10"]
    assert [hits for _, hits in said] == ["0", "1", "0", "1"]


def test_old_code_goes_and_a_library_that_cannot_be_written_has_its_cache_elsewhere(tmp_path, monkeypatch):
    library, home = tmp_path / "rnnids", tmp_path / "home"
    library.mkdir()
    (library / "a.py").write_text("A = 1\n")
    first = machine_code.cache_folder(library)
    (library / "a.py").write_text("A = 2\n")
    second = machine_code.cache_folder(library)
    assert first != second and first.is_dir() and second.parent == library / "__pycache__"
    os.utime(first, (0, 0))
    assert machine_code.cache_folder(library) == second and first.is_dir()  # only a new state clears
    (library / "a.py").write_text("A = 3\n")
    machine_code.cache_folder(library)
    assert not first.exists() and second.is_dir()
    shutil.rmtree(library / "__pycache__")
    (library / "__pycache__").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    assert machine_code.cache_folder(library).parent == home / "rnnids"
    home_in_the_way = tmp_path / "file"
    home_in_the_way.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(home_in_the_way))
    assert machine_code.cache_folder(library) is None
