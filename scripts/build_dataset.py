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

from rnnids import cli
from rnnids.datasets.build import Settings, assemble, write_dataset
from rnnids.datasets.report import (
    attack_counts,
    dataset_report,
    label_report,
    warn_about_labels,
    warn_about_overlaps,
    warn_about_splits,
)
from rnnids.datasets.splits import SPLITS
from rnnids.flows.files import read_captures
from rnnids.labels.labelling import label_flows
from rnnids.labels.sources import LABEL_KINDS, read_labels
from rnnids.storage import atomic_path, provenance


def arguments():
    parser = cli.parser(__doc__)
    parser.add_argument("--flows", required=True, nargs="+", help="flow files (HDF5), one per capture")
    parser.add_argument("--labels", required=True, nargs="+", help="label file (CSV); of kind flow_csv also several")
    parser.add_argument("--label-kind", required=True, choices=LABEL_KINDS, help="what the label file is")
    parser.add_argument("--time-zone", help="IANA name or offset of label times that have none, e.g. UTC-03:00")
    parser.add_argument("--split", required=True, choices=SPLITS, help="what is divided: see scripts/rnnids/splits.py")
    parser.add_argument("--test-fraction", required=True, type=float, help="for split flow and time")
    parser.add_argument("--test-captures", nargs="+", default=[], help="names, for split capture")
    parser.add_argument("--seed", required=True, type=int, help="of split flow")
    parser.add_argument("--max-packets", required=True, type=int, help="of a flow, the first ones")
    parser.add_argument("--follow-connections", action="store_true", help="label what goes on after RST or FIN")
    parser.add_argument("--both-directions", nargs="+", default=[], help="categories whose attacker controls both ends")
    parser.add_argument("--output", required=True, help="output: data set (HDF5)")
    parser.add_argument("--report", required=True, help="output: counts of flows and packets (CSV)")
    parser.add_argument("--label-report", required=True, help="output: flows of each rule (CSV)")
    parser.add_argument("--counts", required=True, help="output: flows of each attack type (CSV)")
    return parser.parse_args()


def main():
    args = arguments()
    settings = Settings(**{name: getattr(args, name) for name in Settings.__dataclass_fields__})
    source = read_labels(args.label_kind, args.labels, args.time_zone)
    captures, flows = read_captures(args.flows)
    warn_about_overlaps(captures, flows)
    idle_timeout_ns = round(float(captures[0].attributes["idle_timeout"]) * 1e9)
    matcher = source.matcher(flows)
    labels = label_flows(flows, matcher, idle_timeout_ns, args.follow_connections)
    warn_about_labels(source, labels, matcher, flows)
    dataset = assemble(captures, flows, source.rules, labels, settings)
    counts = attack_counts(dataset)
    warn_about_splits(counts)
    made_by = provenance("build_dataset.py", vars(args), [*args.flows, *args.labels])
    write_dataset(args.output, captures, dataset, args.max_packets, made_by)
    for path, table in (
        (args.report, dataset_report(captures, flows, source, labels, dataset)),
        (args.label_report, label_report(source, labels)),
        (args.counts, counts),
    ):
        with atomic_path(path) as temporary:
            table.to_csv(temporary, index=False)


if __name__ == "__main__":
    cli.run(main)
