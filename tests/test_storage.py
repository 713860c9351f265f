"""Files that are whole or absent."""

import contextlib
import errno
import hashlib
import json
import os
import resource
import stat
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from rnnids import storage
from rnnids.errors import InputError
from rnnids.flows.external_sort import scratch


def test_a_file_appears_when_it_is_whole(tmp_path):
    target = tmp_path / "new folder" / "table.csv"
    with storage.atomic_path(target) as temporary:
        temporary.write_text("whole")
        assert not target.exists()
        assert temporary.suffix == ".csv"  # writers choose the format by it
    assert target.read_text() == "whole"
    assert os.listdir(target.parent) == ["table.csv"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_failure_leaves_what_was_there(tmp_path, error):
    target = tmp_path / "table.csv"
    target.write_text("old")
    with pytest.raises(error), storage.atomic_path(target) as temporary:
        temporary.write_text("half")
        raise error
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["table.csv"]


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_the_umask_decides_who_may_read(tmp_path, mask):
    before = os.umask(mask)
    try:
        with storage.atomic_path(tmp_path / "shared.csv"):
            pass
        assert os.umask(mask) == mask  # unchanged
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(tmp_path / "shared.csv").st_mode) == 0o666 & ~mask


WAITS = """
import os, sys
from rnnids.storage import atomic_path
with atomic_path(sys.argv[1]) as temporary:
    temporary.write_bytes(b"half")
    print("ready", flush=True)
    sys.stdin.read()
"""


def begin(target):
    """A process that writes `target` and waits until its input ends."""
    environment = os.environ | {"PYTHONPATH": str(Path(storage.__file__).parents[1])}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, "-c", WAITS, target], env=environment, **pipes)
    assert process.stdout.readline() == b"ready\n"
    return process


def test_the_next_run_of_an_output_removes_what_a_killed_one_left_and_nothing_else(tmp_path):
    target = tmp_path / "flows.h5"
    others = {".flows.h5.notes", ".flows.h5", ".other.h5.abcdefgh.h5", ".flows.h5.scratch", "flows.h5.abcdefgh.h5"}
    for name in others:
        (tmp_path / name).write_text("kept")
    killed, running = begin(target), begin(target)
    assert len(os.listdir(tmp_path)) == len(others) + 2, "no run removes what another one still writes"
    killed.kill()
    killed.communicate()
    (tmp_path / ".flows.h5.scratch-0123abcd").mkdir()
    (tmp_path / ".flows.h5.scratch-0123abcd/tmpabc").write_text("packets")
    with storage.atomic_path(target) as own, scratch(target) as bucket, scratch(target) as second:
        assert len(os.listdir(tmp_path)) == len(others) + 4
        assert Path(bucket.directory).is_dir() and Path(second.directory).is_dir()
        own.write_text("whole")
    running.communicate()
    assert running.returncode == 0
    assert target.read_text() == "half", "that of the run which ended last"
    assert set(os.listdir(tmp_path)) == {*others, "flows.h5"}


def test_where_nothing_can_be_written_the_path_is_named(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with (
        pytest.raises(InputError, match=r"file/table\.csv: cannot write here"),
        storage.atomic_path(tmp_path / "file" / "table.csv"),
    ):
        pass


def test_hdf5_says_what_made_it_and_holds_no_half_file(tmp_path):
    path = tmp_path / "data.h5"
    with pytest.raises(ValueError), storage.create_hdf5(path, "made by") as file:
        file["values"] = [1]
        raise ValueError
    assert os.listdir(tmp_path) == []
    with storage.create_hdf5(path, "made by") as file:
        file["values"] = [1, 2]
    with storage.read_hdf5(path) as file:
        assert (file.attrs["provenance"], file["values"][:].tolist()) == ("made by", [1, 2])


@pytest.fixture
def column(tmp_path):
    """A file with one checksummed column."""
    path = tmp_path / "data.h5"
    with storage.create_hdf5(path, "") as file:
        values = np.random.default_rng(0).integers(0, 1 << 30, 20_000)
        file.create_dataset("values", data=values, **storage.COLUMN_OPTIONS)
    return path


def read(path):
    with storage.read_hdf5(path) as file:
        return file["values"][:], dict(file.attrs)


def test_damage_anywhere_is_found_or_harmless(column):
    content, (values, attributes) = column.read_bytes(), read(column)
    found = 0
    for position in np.linspace(0, len(content) - 1, 400).astype(int):
        damaged = bytearray(content)
        damaged[position] ^= 1 << (position % 8)
        column.write_bytes(damaged)
        try:
            assert (read(column)[0] == values).all() and read(column)[1] == attributes
        except InputError as error:
            assert str(error).startswith(f"{column}: damaged")
            found += 1
    assert found > 300  # the rest fell on unused bytes


@pytest.mark.parametrize("keep", [0, 10, 1000, 0.5, 0.999])
def test_a_cut_file_is_damaged(column, keep):
    content = column.read_bytes()
    column.write_bytes(content[: int(keep * len(content)) if isinstance(keep, float) else keep])
    with pytest.raises(InputError, match="damaged, or not written by this workflow"):
        read(column)


def test_absent_files_and_absent_columns_are_named(column, tmp_path):
    with pytest.raises(InputError, match=r"none\.h5: no such file"):
        read(tmp_path / "none.h5")
    with pytest.raises(InputError, match="other"), storage.read_hdf5(column) as file:
        file["other"]


def test_every_changed_character_of_an_attribute_is_found(tmp_path):
    path = tmp_path / "data.h5"
    with storage.create_hdf5(path, "made by") as file:
        file.attrs["attacks"] = json.dumps(["DoS Hulk", "PortScan"])
        values = file.create_dataset("values", data=[1, 2], **storage.COLUMN_OPTIONS)
        storage.Attributes(values)["unit"] = "bytes"
    assert read(path)[0].tolist() == [1, 2]
    content = path.read_bytes()
    for text in (b"made by", b"DoS Hulk", b"bytes", b"attributes_sha256", b"format_version"):
        start = content.index(text)
        for at in range(start, start + len(text)):
            damaged = bytearray(content)
            damaged[at] ^= 1
            path.write_bytes(damaged)
            with pytest.raises(InputError, match="damaged, or not written by this workflow"):
                read(path)


def test_a_flipped_bit_of_a_file_of_texts_is_found_or_harmless_and_keeps_hdf5_busy_for_no_time(tmp_path):
    path = tmp_path / "data.h5"
    with storage.create_hdf5(path, "made by") as file:
        file.attrs["attacks"], file.attrs["empty"], file.attrs["long"] = "Ünï \udcff", "", "x" * 70_000
        values = file.create_dataset("values", data=[1, 2], **storage.COLUMN_OPTIONS)
        storage.Attributes(values)["unit"] = "bytes"
    attributes = read(path)[1]
    assert (attributes["attacks"], attributes["empty"], len(attributes["long"])) == ("Ünï \udcff", "", 70_000)
    content = path.read_bytes()
    rest = np.setdiff1d(np.arange(8 * len(content)), np.arange(8 * content.index(b"xxx"), 8 * content.rindex(b"xxx")))
    whole, found = json.dumps([str(value) for value in attributes.values()]), 0
    for bit in rest[::3]:
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        try:
            again = read(path)[1]
        except InputError:
            found += 1
        else:  # some bytes of heaps mean nothing
            assert json.dumps([str(value) for value in again.values()]) == whole
    assert found > 5_000


def test_a_text_of_any_length_is_none_that_was_written(tmp_path):
    with storage.create_hdf5(tmp_path / "data.h5", "made by") as file:
        file.create_dataset("values", data=[1, 2], **storage.COLUMN_OPTIONS).attrs["unit"] = "bytes"
    with pytest.raises(InputError, match="its attribute unit is not one that was written"):
        read(tmp_path / "data.h5")


def test_a_file_of_a_later_format_is_refused_and_one_of_an_earlier_is_read(column):
    with h5py.File(column, "r+") as file:
        file.attrs["format_version"] = storage.FORMAT_VERSION + 1
    with pytest.raises(InputError, match="written by a later version; this one knows 2: update it"):
        read(column)
    with h5py.File(column, "r+") as file:
        del file.attrs["format_version"], file.attrs[storage.DIGEST]
    assert len(read(column)[0]) == 20_000


def test_mistakes_of_the_program_are_not_blamed_on_the_file(column):
    with pytest.raises(ZeroDivisionError), storage.read_hdf5(column):
        _ = 1 / 0


def test_fingerprints_tell_contents_apart(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    assert storage.fingerprint(path) == hashlib.sha256(b"abc").hexdigest()
    seen = set()
    for size, position in ((65 << 20, 0), (65 << 20, (65 << 20) - 1), (66 << 20, 0)):
        with open(path, "wb") as file:  # sparse: no more than a byte is written
            file.truncate(size)
            file.seek(position)
            file.write(b"x")
        seen.add(storage.fingerprint(path))
    assert len(seen) == 3 and all(text.startswith("sampled:") for text in seen)


def test_provenance_depends_on_arguments_and_inputs_not_on_places(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "in.csv").write_text("same")
    one, two = (storage.provenance("x.py", {"b": 1, "a": 2}, [tmp_path / place / "in.csv"]) for place in ("one", "two"))
    assert one == two == storage.provenance("x.py", {"a": 2, "b": 1}, [tmp_path / "one/in.csv"])
    assert json.loads(one)["inputs"] == {"in.csv": hashlib.sha256(b"same").hexdigest()}
    assert one != storage.provenance("x.py", {"a": 3, "b": 1}, [tmp_path / "one/in.csv"])


NAMES = ["a\rb", "c\r\nd", "\r", "=1+1", "+x", "-", "@home", "\tx", "'=x", "''+x", "'plain", "it's", "a-b", "DoS =x"]


def test_names_are_no_formulas_of_a_spreadsheet_and_come_back_as_they_were(tmp_path):
    storage.write_csv(tmp_path / "x.csv", [{"attack": name, "value": -1.5} for name in NAMES], model="-m")
    cells = pd.read_csv(tmp_path / "x.csv", dtype=str)
    assert not cells.attack.str.match(r"[=+\-@\t\r]").any()
    assert (cells.value == "-1.5").all()
    read = storage.read_csv(tmp_path / "x.csv", ("model", "attack"), ("value",))
    assert read.attack.tolist() == NAMES
    assert set(read.model) == {"-m"}


@pytest.fixture
def limit_files():
    """A context in which files can grow to some bytes only: to a program, what a full disk is."""

    @contextlib.contextmanager
    def limit(size):
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limit


COLUMN = np.random.default_rng(0).integers(0, 255, 60_000, dtype=np.uint8)


def write_columns(path, form):
    """Write ``COLUMN`` in one of the ways in which HDF5 holds bytes back before it writes them."""
    with storage.create_hdf5(path, "{}") as file:
        if form == "pieces":
            dataset = file.create_dataset("column", COLUMN.shape, COLUMN.dtype, **storage.COLUMN_OPTIONS)
            for first in range(0, len(COLUMN), 1000):
                dataset[first : first + 1000] = COLUMN[first : first + 1000]
        else:
            for part in range(10):  # none outlives its line
                options = storage.COLUMN_OPTIONS if form == "columns" else {}
                file.create_dataset(f"column{part}", data=COLUMN[part::10], **options)


@pytest.mark.parametrize("form", ["pieces", "columns", "contiguous"])
def test_a_full_disk_leaves_a_whole_file_or_none(form, limit_files, tmp_path):
    write_columns(tmp_path / "whole.h5", form)
    content = (tmp_path / "whole.h5").read_bytes()
    refused = 0
    for limit in range(0, len(content) + 4000, 1999):
        try:
            with limit_files(limit):
                write_columns(tmp_path / "file.h5", form)
        except InputError as error:
            assert f"{tmp_path / 'file.h5'}: no space left to write it; free some" in str(error)
            assert [path.name for path in tmp_path.iterdir()] == ["whole.h5"]
            refused += 1
        else:
            assert (tmp_path / "file.h5").read_bytes() == content
            (tmp_path / "file.h5").unlink()
    assert refused >= len(content) // 1999


def test_a_full_disk_while_writing_a_table_is_an_input_error(limit_files, tmp_path):
    with pytest.raises(InputError, match=r"table\.csv: no space left"), limit_files(1000):
        storage.write_csv(tmp_path / "table.csv", [{"x": i} for i in range(10_000)])
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_told_by_libraries_in_words_too(tmp_path):
    with pytest.raises(InputError, match=r"x: no space left"), storage.atomic_path(tmp_path / "x"):
        raise RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)")
    with pytest.raises(RuntimeError), storage.atomic_path(tmp_path / "x"):
        raise RuntimeError("I/O error: Permission denied (os error 13)")
    assert not list(tmp_path.iterdir())


def test_a_disk_that_turns_read_only_is_named_as_such(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EROFS, "Read-only file system")

    with pytest.raises(InputError, match=r"x: its disk is read-only now"), storage.atomic_path(tmp_path / "x"):
        monkeypatch.setattr(os, "unlink", refuse)
        refuse()
    monkeypatch.undo()
    with storage.atomic_path(tmp_path / "x"):
        pass
    assert os.listdir(tmp_path) == ["x"], "the next run removes what could not be removed"


@pytest.mark.parametrize("words", ["Can't read data (memory allocation failed for raw data)", "Unable to allocate 8 B"])
def test_a_file_is_not_blamed_for_a_lack_of_memory(words, column):
    with pytest.raises(OSError, match="a"), storage.read_hdf5(column):
        raise OSError(words)
    with pytest.raises(MemoryError), storage.read_hdf5(column):
        raise MemoryError(words)


def test_other_errors_keep_their_traceback(tmp_path):
    with pytest.raises(FileNotFoundError), storage.atomic_path(tmp_path / "file"):
        open(tmp_path / "absent")  # noqa: SIM115
