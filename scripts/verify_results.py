"""Verify results: whether every file is still what was recorded, undamaged, and made of the inputs that lie beside it.

With --record the SHA-256 of every file under --results is written to --manifest (CSV). Without it, the files are
compared with the manifest: one that changed, is gone or is new is named. In both cases HDF5 files and models are read
from beginning to end, which finds damage by the checksums within them; and where a file names its inputs with their
digests, those that lie among the results are compared with them. Exit status 2 if anything does not match.

Logs, benchmarks and what Snakemake keeps for itself are left out, since they differ in every run.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rnnids import cli
from rnnids.detectors.integrity import compare, inspect, list_results, read_manifest, record
from rnnids.errors import InputError


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--results", type=Path, required=True, help="folder to look through")
    parser.add_argument("--manifest", type=Path, required=True, help="CSV file of digests, written or compared with")
    parser.add_argument("--record", action=argparse.BooleanOptionalAction, default=False, help="write the manifest")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    files = list_results(args.results, args.manifest)
    faults = inspect(args.results, files)
    if not args.record:
        faults += compare(args.results, files, read_manifest(args.manifest))
    for fault in faults:
        print(fault)
    if faults:
        advice = "delete what is damaged and make it again" + ("" if args.record else "; record again if all is right")
        raise InputError(f"{args.results}: {len(faults)} of {len(files)} files do not match; {advice}")
    if args.record:
        record(args.results, files, args.manifest)
    print(f"{len(files)} files match" if not args.record else f"{len(files)} files recorded in {args.manifest}")


if __name__ == "__main__":
    cli.run(main)
