"""What docs/reference/results.yaml says of the files of a run, and which of it a folder of results contradicts."""

import csv
import re
from pathlib import Path

import h5py
import yaml
from conftest import REPOSITORY

DESCRIBED = yaml.safe_load((REPOSITORY / "docs/reference/results.yaml").read_text())
FILES = {path: entry for files in DESCRIBED["files"].values() for path, entry in files.items()}
WILDCARDS = {"model": r"[a-z0-9_]+(/seed_[0-9]+)?", "result": ".+"}
CHUNK = re.compile(r"/chunk_\d+_of_\d+(?=\.h5$)")  # as the file that chunks are gathered in
APART = ("logs/", "benchmarks/", "figures/", "/tables/.*[.](html|tex)$")


def pattern(path):
    """The files that a described path stands for, relative to the folder of results."""
    words = re.split(r"\{(\w+)\}", path)
    words[::2] = map(re.escape, words[::2])
    words[1::2] = (f"({WILDCARDS.get(word, '[^/]+')})" for word in words[1::2])
    return re.compile("".join(words))


def described(name):
    """The path under which a file is described, the one with fewest wildcards; None if it is not."""
    name = CHUNK.sub("", name)
    return min(
        (path for path in FILES if pattern(path).fullmatch(name)), key=lambda path: path.count("{"), default=None
    )


def columns(path):
    """The columns of a CSV file in order, the arrays of an HDF5 file by name; None of other files."""
    if path.suffix == ".csv":
        with path.open(newline="") as file:
            return next(csv.reader(file))
    if path.suffix != ".h5":
        return None
    found = []
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None)
    return sorted(found)


def contradictions(results):
    """Sentences about the files of a folder that are not as described."""
    said, seen = [], set()
    for path in sorted(Path(results).rglob("*")):
        name = path.relative_to(results).as_posix()
        if not path.is_file() or any(re.search(word, f"/{name}") for word in APART):
            continue
        entry = described(name)
        seen.add(entry)
        if entry is None:
            said.append(f"{name} is not described")
            continue
        expected, found = FILES[entry].get("columns"), columns(path)
        if found is not None and found != (sorted(expected or []) if path.suffix == ".h5" else expected):
            said.append(f"{name} has {found}, described as {entry} are {expected}")
    wanted = {path for path, entry in FILES.items() if "when" not in entry}
    return said + [f"{path} is described and not there" for path in sorted(wanted - seen)]
