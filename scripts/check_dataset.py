"""Check in a minute whether the files of a data set are there and whole, before a week is spent on them.

Files up to 64 MiB are read from beginning to end; of larger ones the beginning and, of pcap and pcapng
files that are not compressed, the last records. Label files are read as a run would read them. Prints
a line per file; exits with status 2 and says what to do if something is wrong.
"""

import argparse
from collections.abc import Sequence

from rnnids import cli, settings
from rnnids.captures.check import Expected, Finding, check_captures
from rnnids.errors import InputError
from rnnids.labels.labelling import Labelling, read_labels
from rnnids.storage import write_csv


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--captures", required=True, nargs="+", help="captures, or archive.zip!member")
    parser.add_argument("--labels", required=True, nargs="+", help="label files (CSV)")
    parser.add_argument("--output", required=True, help="output: what was found (CSV)")
    settings.add_options(parser, Labelling)
    settings.add_options(parser, Expected, prefix="expected_")
    parser.add_argument("--source", default="unknown", help="where the files come from, for messages")
    return parser.parse_args(argv)


def check_labels(paths: Sequence[str], labelling: Labelling) -> Finding:
    """Finding of the label files."""
    try:
        source = read_labels(paths, labelling)
    except InputError as error:
        return Finding("labels", None, "", str(error))
    attacks = len({rule.attack for rule in source.rules})
    return Finding("labels", None, f"{sum(source.rows):,} rows of {attacks} attack types", "")


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    findings, faults = check_captures(args.captures, settings.from_args(Expected, args, prefix="expected_"))
    findings.append(check_labels(args.labels, settings.from_args(Labelling, args)))
    rows = [
        {"file": each.name, "bytes": "" if each.size is None else each.size, "holds": each.holds or "not usable"}
        for each in findings
    ]
    for row in rows:
        print(f"{row['file']:40} {row['bytes']:>16} {row['holds']}")
    faults = list(dict.fromkeys([each.fault for each in findings if each.fault] + faults))
    if faults:
        lines = "".join(f"\n  {fault}" for fault in faults)
        raise InputError(f"the files cannot be used as they are:{lines}\nSource: {args.source}")
    write_csv(args.output, rows)


if __name__ == "__main__":
    cli.run(main)
