"""Whether results are what they were: digests of files, checksums within them, and the inputs that they name."""

import functools
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import h5py

from rnnids.detectors.lstm import read_detector
from rnnids.errors import InputError
from rnnids.storage import fingerprint, read_csv, read_hdf5, write_csv

PIECE = 1 << 20  # bytes read at a time
LEFT_OUT = ("logs", "benchmarks")  # folders of what differs in every run
COPIES = "captures"  # folder of a model with adversarial captures, which have the names of their originals


def list_results(results: Path, manifest: Path) -> list[Path]:
    """The files below a folder, sorted, without hidden ones, ``LEFT_OUT``, the manifest and those of runs with a name.

    Logs lie in the folder of a data set, so a folder in which folders have logs is one of a run.

    Raises:
        InputError: no such folder, or no file in it.
    """
    runs = {path.relative_to(results).parts[0] for path in results.glob("*/*/logs")}
    found = [path for path in sorted(results.rglob("*")) if path.is_file() and path.resolve() != manifest.resolve()]
    kept = []
    for path in found:
        parts = path.relative_to(results).parts
        if parts[0] in runs:
            continue
        if not any(part.startswith(".") for part in parts) and not set(parts[:-1]) & set(LEFT_OUT):
            kept.append(path)
    if not kept:
        raise InputError(f"{results}: no results; run the workflow, or check the path")
    return kept


def digest(path: Path) -> str:
    """SHA-256 of a whole file as hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def record(results: Path, files: Sequence[Path], manifest: Path) -> None:
    """Write the digests of files to `manifest`."""
    write_csv(manifest, [{"file": str(path.relative_to(results)), "sha256": digest(path)} for path in files])


def read_manifest(path: Path) -> dict[str, str]:
    """{file: SHA-256} of a manifest."""
    frame = read_csv(path, ("file", "sha256"), ())
    return dict(zip(frame.file, frame.sha256, strict=True))


def compare(results: Path, files: Sequence[Path], manifest: dict[str, str]) -> list[str]:
    """Words for each file that is not as the manifest {file: SHA-256} has it."""
    here = {str(path.relative_to(results)): path for path in files}
    faults = [f"{results / name}: gone since it was recorded" for name in manifest if name not in here]
    for name, path in here.items():
        if name not in manifest:
            faults.append(f"{path}: new since the manifest was recorded")
        elif digest(path) != manifest[name]:
            faults.append(f"{path}: changed since it was recorded")
    return faults


def inspect(results: Path, files: Sequence[Path]) -> list[str]:
    """Words for each file that is damaged, or made of other inputs than those that lie among the results."""
    faults, fingerprint_of = [], functools.cache(fingerprint)
    originals = [path for path in files if COPIES not in path.relative_to(results).parts[2:-1]]
    for path in files:
        try:
            if path.suffix == ".h5":
                faults += _other_inputs(path, read_whole(path), originals, fingerprint_of=fingerprint_of)
            elif path.suffix == ".safetensors":
                read_detector(path)
        except InputError as error:
            faults.append(str(error))
    return faults


def read_whole(path: Path) -> dict[str, str]:
    """Read an HDF5 file from beginning to end; returns the inputs that it names, {name: fingerprint}.

    Raises:
        InputError: it is damaged.
    """
    with read_hdf5(path) as file:

        def read(_: str, item: h5py.Group | h5py.Dataset) -> None:
            if isinstance(item, h5py.Dataset):
                step = max(1, PIECE // max(1, item.dtype.itemsize))
                for first in range(0, item.shape[0], step) if item.shape else ():
                    item[first : first + step]

        file.visititems(read)
        return dict(json.loads(file.attrs["provenance"]).get("inputs", {}))


def _other_inputs(
    path: Path, inputs: dict[str, str], files: Sequence[Path], *, fingerprint_of: Callable[[Path], str]
) -> list[str]:
    """Words for each named input that lies among the results, but in no version that was read."""
    faults = []
    for name, wanted in inputs.items():
        # Files of one name lie in many folders: the nearest comes first, and is the one that is named.
        candidates = sorted(
            (file for file in files if file.name == name and file != path), key=lambda file: -_shared(path, file)
        )
        if candidates and not any(fingerprint_of(file) == wanted for file in candidates):
            faults.append(f"{path}: made of another {name} than {candidates[0]}; make it anew")
    return faults


def _shared(one: Path, other: Path) -> int:
    """Folders that the paths of two files have in common."""
    pairs = zip(one.parts[:-1], other.parts[:-1], strict=False)
    return next((place for place, (a, b) in enumerate(pairs) if a != b), min(len(one.parts), len(other.parts)) - 1)
