"""Files that are either whole or absent, and that say what made them."""

import contextlib
import csv
import errno
import fcntl
import hashlib
import io
import json
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import h5py
import numpy as np
import pandas as pd

from rnnids import __version__
from rnnids.cli import log
from rnnids.errors import InputError, shortage

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

FINGERPRINT_WHOLE = 64 << 20  # bytes; larger files are sampled at both ends
CHUNK_CACHE = 1 << 20  # bytes for each column being written: its last chunk is enough
# Opening is where HDF5 finds a damaged superblock, reading is where it finds a wrong checksum. Not compressed: a packet
# takes 17 bytes, a small part of what it took in the capture, and LZF makes writing and reading eight times slower.
COLUMN_OPTIONS: dict[str, Any] = {"chunks": True, "fletcher32": True}
FORMAT_VERSION, DIGEST = 2, "attributes_sha256"  # of all HDF5 files; the latter an attribute of them
# How a text begins that a spreadsheet takes for a formula, or that :func:`write_csv` made of one.
FORMULA = re.compile(r"'*[=+\-@\t\r]")


@contextlib.contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it on success, remove it on any failure.

    What a killed run left of the same file is removed first.

    Raises:
        InputError: the directory cannot be created or written, or room was lacking (``errors.shortage``).
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        clear_leftovers(path.parent, f".{path.name}.", path.suffix)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    except OSError as error:
        raise cannot_write(path, error) from error
    claim(handle)
    umask = os.umask(0)
    os.umask(umask)
    try:
        yield Path(temporary)
        os.chmod(temporary, 0o666 & ~umask)  # mkstemp makes private files; results are shared
        os.replace(temporary, path)
    except Exception as error:
        if not (lacking := shortage(error)):
            raise
        raise InputError(f"{path}: {lacking}") from error
    finally:
        os.close(handle)
        with contextlib.suppress(OSError):  # renamed, or on a disk that is read-only now: the next run removes it
            os.unlink(temporary)


@contextlib.contextmanager
def scratch_folder(output: Path | str) -> Iterator[Path]:
    """Yield a new folder beside the file `output` that is removed whatever happens.

    That of a run which was killed is removed by the next one of the same output.

    Raises:
        InputError: it cannot be made.
    """
    output = Path(output).absolute()
    prefix = f".{output.name}.scratch-"
    folder, handle = output.with_name(f"{prefix}{secrets.token_hex(4)}"), None
    try:  # before it is made: TemporaryDirectory leaves it if the interrupt comes too soon
        try:
            output.parent.mkdir(parents=True, exist_ok=True)
            clear_leftovers(output.parent, prefix)
            folder.mkdir(0o700)
            handle = os.open(folder, os.O_RDONLY)
        except OSError as error:
            raise cannot_write(output, error) from error
        claim(handle)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if handle is not None:
            os.close(handle)


def cannot_write(path: Path | str, error: OSError) -> InputError:
    """What to say where nothing can be written beside `path`."""
    return InputError(f"{path}: cannot write here ({error.strerror}); check permissions and free space")


def claim(handle: int) -> bool:
    """Mark an open file or folder as in use, until it is closed or the process ends; False where another one does."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EAGAIN, errno.EACCES)  # any other: a file system without locks
    return True


def clear_leftovers(folder: Path, prefix: str, suffix: str = "") -> None:
    """Remove temporary files and folders of these names from `folder` that no running process claims."""
    pattern = re.compile(re.escape(prefix) + "[a-z0-9_]{8}" + re.escape(suffix))
    for left in [path for path in folder.iterdir() if pattern.fullmatch(path.name)]:
        with contextlib.suppress(OSError):
            handle = os.open(left, os.O_RDONLY)
            try:
                if claim(handle):
                    shutil.rmtree(left) if left.is_dir() else left.unlink()
                    log.info("%s: removed what an interrupted run left", left)
            finally:
                os.close(handle)


def write_csv(path: Path | str, rows: Sequence[Mapping[str, Any]] | pd.DataFrame, **first: Any) -> None:
    """Write a list of dicts or a data frame atomically as CSV, with constant columns `first` before the others.

    A text that a spreadsheet would take for a formula gets an apostrophe before it, which :func:`read_csv` takes away.
    """
    frame = pd.DataFrame(rows)
    for position, (name, value) in enumerate(first.items()):
        frame.insert(position, name, value)
    quoting: Literal[0, 2] = csv.QUOTE_MINIMAL
    for column in frame.select_dtypes(exclude=["number", "bool"]):
        cells = [f"'{cell}" if isinstance(cell, str) and FORMULA.match(cell) else cell for cell in frame[column]]
        frame[column] = cells
        if any("\r" in cell for cell in cells if isinstance(cell, str)):  # not quoted by itself, and ends a row
            quoting = csv.QUOTE_NONNUMERIC
    with atomic_path(path) as temporary:
        frame.to_csv(temporary, index=False, quoting=quoting)


def read_csv(
    path: Path | str, text: Sequence[str], numbers: Sequence[str], *, may_be_empty: bool = False
) -> pd.DataFrame:
    """Data frame of a CSV file: columns `text` as strings, `numbers` as numbers ("inf" is infinity, empty is NaN).

    Raises:
        InputError: no such file, not CSV, a column missing or not numeric, or no rows unless it `may_be_empty`.
    """
    try:
        frame = pd.read_csv(path, keep_default_na=False, na_values=[""], dtype=dict.fromkeys(text, str))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a readable CSV file ({error}); run the rule that makes it") from error
    if missing := [name for name in (*text, *numbers) if name not in frame]:
        raise InputError(f"{path}: no column {', '.join(missing)}; it holds {', '.join(map(str, frame))}")
    if frame.empty and may_be_empty:
        return frame
    if frame.empty:
        raise InputError(f"{path}: no rows, so there is nothing to show; the step that made it found nothing to count")
    for name in text:
        frame[name] = frame[name].str.replace(f"^'(?={FORMULA.pattern})", "", regex=True)
    for name in numbers:
        if not pd.api.types.is_numeric_dtype(frame[name]):
            raise InputError(f"{path}: column {name}: holds something other than numbers; correct or remake it")
    return frame


def fingerprint(path: Path | str) -> str:
    """SHA-256 of a file as hex; above 64 MiB, of its size and its first and last 16 MiB."""
    size = os.path.getsize(path)
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        if size <= FINGERPRINT_WHOLE:
            digest.update(file.read())
            return digest.hexdigest()
        digest.update(str(size).encode())
        for position in (0, size - (16 << 20)):
            file.seek(position)
            digest.update(file.read(16 << 20))
    return f"sampled:{digest.hexdigest()}"


def provenance(script: str, arguments: Mapping[str, Any], inputs: Iterable[Path | str]) -> str:
    """What made a file, as JSON: script, version, arguments and fingerprints of the inputs."""
    return json.dumps(
        {
            "script": script,
            "version": __version__,
            "arguments": {name: str(value) for name, value in sorted(arguments.items())},
            "inputs": {Path(path).name: fingerprint(path) for path in inputs},
        },
        sort_keys=True,
    )


class HDF5Target(io.FileIO):
    """A file that keeps the first failure to write for :meth:`check`, and then takes everything.

    HDF5 writes late, in part when Python discards a data set, where h5py cannot raise; and it crashes
    when it closes a file to which a write has failed.
    """

    failure: OSError | None = None

    def write(self, data: "ReadableBuffer") -> int:
        """Write all of `data`, or nothing once something has failed; returns its length."""
        view = memoryview(data)
        size = len(view)
        try:
            while len(view) and not self.failure:
                view = view[super().write(view) :]
        except OSError as error:
            self.failure = error
        return size

    def check(self) -> None:
        """Raise what :meth:`write` kept, if anything."""
        if self.failure:
            raise self.failure


class Attributes(h5py.AttributeManager):
    """Attributes of a file, group or table whose texts have a fixed length, and are read as `str`.

    HDF5 keeps texts of any length in heaps, which have no checksum: with one wrong bit in a heap it reads without end.
    """

    def __setitem__(self, name: str, value: Any) -> None:
        if isinstance(value, str):
            text = value.encode("utf-8", "surrogateescape")
            self.create(name, np.bytes_(text), dtype=h5py.string_dtype("utf-8", max(len(text), 1)))
        else:
            super().__setitem__(name, value)

    def __getitem__(self, name: str) -> Any:
        value = super().__getitem__(name)
        return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value


def create_column(file: h5py.File, name: str, unit: str, **options: Any) -> None:
    """Make a table of one column with its unit; `options`: of ``create_dataset``, beside ``COLUMN_OPTIONS``."""
    Attributes(file.create_dataset(name, **COLUMN_OPTIONS | options))["unit"] = unit


class AttributedFile(h5py.File):
    """An HDF5 file whose own attributes are :class:`Attributes`."""

    @property
    def attrs(self) -> Attributes:
        """The file's attributes."""
        return Attributes(self)


@contextlib.contextmanager
def create_hdf5(path: Path | str, made_by: str) -> Iterator[h5py.File]:
    """Write an HDF5 file atomically; `made_by` is the text of :func:`provenance`."""
    with atomic_path(path) as temporary, HDF5Target(temporary, "w+") as target:
        try:
            # libver "latest" checksums the metadata; fletcher32 (COLUMN_OPTIONS) checksums the data.
            with AttributedFile(target, "w", libver="latest", rdcc_nbytes=CHUNK_CACHE) as file:
                file.attrs["provenance"], file.attrs["format_version"] = made_by, FORMAT_VERSION
                yield file
                file.attrs[DIGEST] = attributes_digest(file)
        finally:
            target.check()


@contextlib.contextmanager
def read_hdf5(path: Path | str) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading; a damaged file is an :class:`InputError` wherever it shows."""
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file; run the rule that makes it, or check the path")
    try:
        with AttributedFile(path, "r") as file:
            _check_attributes(path, file)
            yield file
    # h5py gives None for what it cannot open; texts in attributes have no checksum.
    except (OSError, KeyError, RuntimeError, TypeError, json.JSONDecodeError) as error:
        if shortage(error):  # then the file is not to blame
            raise
        raise InputError(
            f"{path}: damaged, or not written by this workflow ({error}); delete it and run again"
        ) from error


def _check_attributes(path: Path | str, file: h5py.File) -> None:
    """Raise where an open file is of a later version, or its attributes are not those that were written."""
    version = file.attrs.get("format_version", 0)  # 0: before there were digests
    if version > FORMAT_VERSION:
        raise InputError(
            f"{path}: of format {version}, written by a later version; this one knows {FORMAT_VERSION}: update it"
        )
    if version > 1:  # earlier ones have texts of any length
        _check_texts("/", file)
        file.visititems(_check_texts)
    if version and file.attrs[DIGEST] != attributes_digest(file):
        raise OSError("its attributes are not those that were written")


def _check_texts(_: str, item: h5py.Group | h5py.Dataset) -> None:
    """Raise, before any is read, where a text does not have a fixed length."""
    for name in item.attrs:
        text = h5py.check_string_dtype(item.attrs.get_id(name).dtype)
        if text and text.length is None:
            raise OSError(f"its attribute {name} is not one that was written")


def attributes_digest(file: h5py.File) -> str:
    """SHA-256, as hex, of names, types and shapes in an HDF5 file and of all attributes but this one.

    HDF5 has checksums for what lies in tables (``COLUMN_OPTIONS``) and for names, but none for texts in attributes.
    """
    parts: list[Any] = []

    def add(name: str, item: h5py.Group | h5py.Dataset) -> None:
        kind = [str(item.dtype), item.shape] if isinstance(item, h5py.Dataset) else None
        values = {key: np.asarray(value).tolist() for key, value in Attributes(item).items() if key != DIGEST}
        parts.append([name, kind, {key: str(value) for key, value in sorted(values.items())}])

    add("/", file)
    file.visititems(add)
    return hashlib.sha256(json.dumps(parts).encode("utf-8", "surrogateescape")).hexdigest()
