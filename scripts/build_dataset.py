"""Merge the flows of captures into a labelled data set.

Labels flows by rules, a ground truth or per-flow CSV files (config/labels/README.md), drops flows
with a negative interarrival time, keeps the first packets of each flow, splits into training and test
flows (2:1 in the paper, Sec. II) and measures mean and standard deviation of the features over the
packets of the training split.

The data set is an HDF5 file in CSR layout: /flows one row a flow, /packets one row a packet, with the
columns of the flow files and, per flow, its capture, attack and category (indices into the attributes
of these names, 0 = Benign), split (0 training, 1 test), manipulable (bit 1: the attacker sends the
forward packets, bit 2: the reverse packets) and full_packet_count (before the cut). Everything that was
left out or labelled is counted in the reports. The order of the flow files does not matter.
"""

import argparse
from collections.abc import Sequence

from rnnids import cli, settings
from rnnids.datasets.build import DatasetOptions, assemble, write_dataset
from rnnids.datasets.report import (
    attack_counts,
    dataset_report,
    label_report,
    warn_about_attackers,
    warn_about_labels,
    warn_about_overlaps,
    warn_about_splits,
)
from rnnids.flows.files import read_captures
from rnnids.labels.labelling import Labelling, label_flows, read_labels
from rnnids.labels.rules import BENIGN_NAME
from rnnids.storage import provenance, write_csv


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--flows", required=True, nargs="+", help="flow files (HDF5), one per capture")
    parser.add_argument("--labels", required=True, nargs="+", help="label file (CSV); of kind flow_csv also several")
    settings.add_options(parser, Labelling)
    settings.add_options(parser, DatasetOptions)
    parser.add_argument("--seed", type=int, default=0, help="of split flow")
    parser.add_argument("--output", required=True, help="output: data set (HDF5)")
    parser.add_argument("--report", required=True, help="output: counts of flows and packets (CSV)")
    parser.add_argument("--label-report", required=True, help="output: flows of each rule (CSV)")
    parser.add_argument("--counts", required=True, help="output: flows of each attack type (CSV)")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    options = settings.from_args(DatasetOptions, args)
    labelling = settings.from_args(Labelling, args)
    source = read_labels(args.labels, labelling)
    captures, flows = read_captures(args.flows)
    warn_about_overlaps(captures, flows)
    idle_timeout_ns = round(float(captures[0].attributes["idle_timeout"]) * 1e9)
    matcher = source.matcher(flows)
    ways = {"follow_connections": options.follow_connections, "attacker": labelling.attacker}
    labels = label_flows(flows, matcher, idle_timeout_ns, **ways)
    warn_about_labels(source, labels, matcher, flows=flows)
    if labelling.label_kind != "rules" and labelling.attacker == "source":
        warn_about_attackers(source, labels)
    dataset = assemble(captures, flows, labels, rules=source.rules, options=options, seed=args.seed)
    counts = attack_counts(dataset)
    warn_about_splits(counts)
    made_by = provenance("build_dataset.py", vars(args), [*args.flows, *args.labels])
    write_dataset(args.output, captures, dataset, max_packets=options.max_packets, made_by=made_by)
    write_csv(args.report, dataset_report(captures, flows, dataset, source=source, labels=labels))
    write_csv(args.label_report, label_report(source, labels))
    write_csv(args.counts, counts)
    attacks = int(counts.loc[counts["attack"] != BENIGN_NAME, "flows"].sum())
    cli.tell(
        "data set of %d captures: %d flows, %d of them attacks", len(captures), int(counts["flows"].sum()), attacks
    )


if __name__ == "__main__":
    cli.run(main)
