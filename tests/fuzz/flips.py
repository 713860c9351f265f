"""Flip bits in result files: each flip must be found by `verify`, or where a file checks itself, by its reader.

A reader may also read on, if all that it reads is what was written: some bytes of HDF5 files mean nothing.
"""

import logging
import tempfile
from collections import Counter
from pathlib import Path

import h5py
import numpy as np

from rnnids.detectors.checkpoints import load_checkpoint, save_checkpoint
from rnnids.detectors.integrity import compare, inspect, list_results, read_manifest, record
from rnnids.detectors.tensor_files import FAULTS, read_tensors
from rnnids.errors import InputError
from rnnids.storage import read_hdf5

RUN = "a run"
# Where a file of each kind lies in a study's results; the smallest is taken.
KINDS = {
    "flow file": "flows/*.h5",
    "data set": "dataset.h5",
    "attack file": "attacks/**/*.h5",
    "predictions": "predictions.h5",
    "weights": "weights.safetensors",
    "checkpoint": "*.checkpoint",
    "CSV": "*.csv",
    "JSON": "*.json",
    "JSON lines": "*.jsonl",
    "HTML": "*.html",
    "PDF": "*.pdf",
    "PNG": "*.png",
    "SVG": "*.svg",
}


def read_h5(path):
    """All that an HDF5 file holds."""
    found = []

    def read(name, item):
        own = item[()].tobytes() if isinstance(item, h5py.Dataset) else b""
        found.append((name, own, sorted((key, str(value)) for key, value in item.attrs.items())))

    with read_hdf5(path) as file:
        read("/", file)
        file.visititems(read)
    return found


def read_model(path):
    """All that a model file holds."""
    try:
        tensors, texts = read_tensors(path, ["rnnids"])
    except FAULTS as error:
        raise InputError(f"{path}: {error}") from error
    return sorted((name, value.numpy().tobytes()) for name, value in tensors.items()), texts


def read_checkpoint(path):
    """All that a checkpoint holds."""
    found = load_checkpoint(path, RUN)
    if found is None:  # said in the log
        raise InputError(f"{path}: not resumed")
    groups, state = found
    return [(group, name, value.numpy().tobytes()) for group in groups for name, value in groups[group].items()], state


READERS = {".h5": read_h5, ".safetensors": read_model, ".checkpoint": read_checkpoint}


def examples(results):
    """{kind: a file of it} of the results of a study; a checkpoint is made, since a study that is done has none."""
    found = {}
    for kind, pattern in KINDS.items():
        files = [path for path in results.rglob(pattern) if path.is_file() and path.stat().st_size]
        if files:
            found[kind] = min(files, key=lambda path: path.stat().st_size)
    return found


def write_checkpoint(path):
    """A checkpoint as a training keeps it."""
    rng = np.random.default_rng(0)
    groups = {"model": {"a": rng.random((8, 15))}, "adam": {"0.step": np.float32(3)}, "best": {"a": rng.random(8)}}
    save_checkpoint(path, RUN, groups, state=[{"epoch": 1, "loss": 0.5}])


def flip(task):
    """Flip bits of a file, one at a time; (kind, Counter of what came of it, list of what went wrong)."""
    kind, path, count, seed = task
    rng, counts, wrong = np.random.default_rng([seed, *kind.encode()]), Counter(), []
    logging.disable()
    try:
        with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
            try_flips(kind, path, count, rng=rng, folder=Path(folder), counts=counts, wrong=wrong)
    finally:
        logging.disable(logging.NOTSET)
    return kind, counts, wrong


def try_flips(kind, path, count, *, rng, folder, counts, wrong):
    """:func:`flip` in a folder to work in."""
    copy, manifest = folder / path.name, folder / "manifest.csv"
    content, read = path.read_bytes(), READERS.get(path.suffix)
    copy.write_bytes(content)
    files = list_results(folder, manifest)
    record(folder, files, manifest)
    expected, original = read_manifest(manifest), read and read(copy)
    assert not inspect(folder, files) + compare(folder, files, expected)
    for _ in range(count):
        place, bit = int(rng.integers(len(content))), int(rng.integers(8))
        damaged = bytearray(content)
        damaged[place] ^= 1 << bit
        copy.write_bytes(damaged)
        try:
            found = bool(inspect(folder, files) + compare(folder, files, expected))
            outcome = outcome_of(read, copy, original) if read else "has no reader"
        except Exception as error:
            wrong.append(f"{kind}: byte {place}, bit {bit}: crash: {error!r}")
            continue
        counts["found by verify"] += found
        counts[outcome] += 1
        if not found or outcome == "silent":
            wrong.append(f"{kind}: byte {place}, bit {bit}: silent")


def outcome_of(read, path, original):
    """What a reader makes of a damaged file."""
    try:
        return "harmless" if read(path) == original else "silent"
    except InputError:
        return "refused"


def table(outcomes):
    """What came of flips, as text."""
    lines = [f"{'flipped bits':16}{'flips':>8}{'verify':>8}{'refused':>9}{'harmless':>10}{'silent':>8}"]
    for kind, counts, wrong in outcomes:
        flips = counts["refused"] + counts["harmless"] + counts["silent"] + counts["has no reader"]
        own = [f"{counts[name]:,}" if counts["has no reader"] == 0 else "-" for name in ("refused", "harmless")]
        verified = counts["found by verify"]
        lines.append(f"{kind:16}{flips:8,}{verified:8,}{own[0]:>9}{own[1]:>10}{len(wrong):8,}")
    return "\n".join(lines)
