"""Put the chunks of one attack, as separate jobs made them, into one file of adversarial flows (HDF5)."""

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np

from rnnids import cli
from rnnids.errors import InputError
from rnnids.storage import COLUMN_OPTIONS, create_hdf5, provenance, read_hdf5

# Attributes that all chunks have in common.
SHARED = ("method", "delta", "kappa", "goal", "threat_model", "attacks", "categories", "members")


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--chunks", required=True, nargs="+", help="adversarial flows of each chunk, in order (HDF5)")
    parser.add_argument("--output", required=True, help="output: adversarial flows (HDF5)")
    return parser.parse_args(argv)


def read_chunk(path: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """(columns by name such as flows/l1, the attributes that all chunks share)."""
    with read_hdf5(path) as file:
        columns = {
            f"{group}/{name}": column[:] for group in ("flows", "packets") for name, column in file[group].items()
        }
        return columns, {name: file.attrs[name] for name in SHARED if name in file.attrs}


def gather(paths: Sequence[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Columns and attributes of all chunks together.

    Raises:
        InputError: the chunks are not those of one attack.
    """
    chunks, attributes = zip(*map(read_chunk, paths), strict=True)
    for path, own in zip(paths, attributes, strict=True):
        if own != attributes[0]:
            raise InputError(f"{path}: made by another attack than {paths[0]}; delete both and run again")
    columns = {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}
    count = columns["flows/packet_count"]
    columns["flows/offset"] = np.cumsum(count) - count
    return columns, attributes[0]


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    columns, attributes = gather(args.chunks)
    with create_hdf5(args.output, provenance("gather_attack.py", {}, args.chunks)) as file:
        file.attrs.update(attributes)
        for name, column in columns.items():
            file.create_dataset(name, data=column, **COLUMN_OPTIONS)


if __name__ == "__main__":
    cli.run(main)
