"""Check in a minute whether the files of a data set are there and whole, before a week is spent on them.

Files up to 64 MiB are read from beginning to end; of larger ones the beginning and, of pcap and pcapng
files that are not compressed, the last records. Label files are read as a run would read them. Prints
a line per file; exits with status 2 and says what to do if something is wrong.
"""

import os

from rnnids import cli
from rnnids.captures.check import Finding, check_capture, split_member
from rnnids.errors import InputError
from rnnids.labels.labelling import LABEL_KINDS, Labelling, read_labels
from rnnids.storage import write_csv


def arguments():
    parser = cli.parser(__doc__)
    parser.add_argument("--captures", required=True, nargs="+", help="captures, or archive.zip!member")
    parser.add_argument("--labels", required=True, nargs="+", help="label files (CSV)")
    parser.add_argument("--label-kind", required=True, choices=LABEL_KINDS, help="what the label file is")
    parser.add_argument("--time-zone", help="IANA name or offset of label times that have none, e.g. UTC-03:00")
    parser.add_argument("--expected-files", type=int, help="how many captures there are")
    parser.add_argument("--expected-bytes", nargs="+", default=[], help="sizes of captures: name.pcap=bytes ...")
    parser.add_argument("--expected-smallest", type=int, default=0, help="bytes that every capture has at least")
    parser.add_argument("--expected-truncated", nargs="+", default=[], help="captures published cut within a packet")
    parser.add_argument("--source", required=True, help="where the files come from, for messages")
    parser.add_argument("--output", required=True, help="output: what was found (CSV)")
    return parser.parse_args()


def parse_sizes(texts):
    """{name: bytes} of "name=bytes" texts."""
    sizes = {}
    for text in texts:
        name, _, size = text.rpartition("=")
        if not name or not size.isdecimal():
            raise InputError(f"--expected-bytes: {text!r} is no name.pcap=bytes; write it so")
        sizes[name] = int(size)
    return sizes


def names_of(path):
    """What a capture may be called in `expected.bytes`: its member, or its name alone."""
    file, member = split_member(path)
    return [name for name in (member, os.path.basename(member or file)) if name]


def expected_size(path, sizes):
    """The bytes that a capture should have, or None."""
    return next((sizes[name] for name in names_of(path) if name in sizes), None)


def check_one(path, sizes, args):
    """Finding of one capture, given what is expected of it."""
    may_be_cut = not set(args.expected_truncated).isdisjoint(names_of(path))
    return check_capture(path, expected_size(path, sizes), args.expected_smallest, may_be_cut)


def check_labels(kind, paths, time_zone):
    """Finding of the label files."""
    try:
        source = read_labels(paths, Labelling(label_kind=kind, time_zone=time_zone))
    except InputError as error:
        return Finding("labels", None, "", str(error))
    attacks = len({rule.attack for rule in source.rules})
    return Finding("labels", None, f"{sum(source.rows):,} rows of {attacks} attack types", "")


def check_all(args):
    """Findings of all files, and faults of the list of files."""
    sizes = parse_sizes(args.expected_bytes)
    found = [check_one(path, sizes, args) for path in args.captures]
    known = {name for path in args.captures for name in names_of(path)}
    faults = [
        f"expected.{key}: no capture is called {name!r}; take it out or correct it"
        for key, names in (("bytes", sizes), ("truncated", args.expected_truncated))
        for name in names
        if name not in known
    ]
    if args.expected_files not in (None, len(found)):
        faults.append(f"{len(found)} captures, expected {args.expected_files}; get the others, or correct `captures`")
    return [*found, check_labels(args.label_kind, args.labels, args.time_zone)], faults


def main():
    args = arguments()
    findings, faults = check_all(args)
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
