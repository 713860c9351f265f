"""Turn the data and the trained nets that the paper's authors published into a data set and weights.

Flows are a pickle in parts, compressed by gzip: a list of arrays, one row a packet. It is read without being run, and
anything but plain data is refused. What those arrays lack is filled plainly: addresses ::, times of day 0, no payload
(the attribute `unknown` of the data set lists it). The split is the authors': Python's own shuffle with their seed 0,
the first third for testing. A flow with a value that cannot be is left out, counted and reported.

Nets are files of PyTorch with weights alone: an LSTM of any size with a linear layer, on the 15 features or, with
feature dropout, on 30. They keep the normalisation with which they were trained, so both it and the data set need
--normalisation. Either, flows or nets, can be left out.
"""

import argparse
from collections.abc import Sequence

from rnnids import cli, settings
from rnnids.cli import log
from rnnids.datasets.build import DatasetOptions
from rnnids.datasets.published import (
    UNKNOWN,
    assemble_published,
    published_labels,
    published_report,
    read_attack_names,
    read_normalisation,
    write_published,
)
from rnnids.datasets.published_arrays import read_published
from rnnids.datasets.report import attack_counts, warn_about_splits
from rnnids.detectors.lstm import save_detector
from rnnids.detectors.published_nets import read_net
from rnnids.errors import InputError
from rnnids.labels.labelling import Labelling, parse_renames
from rnnids.storage import fingerprint, provenance, write_csv

OF_FLOWS = ("categories", "output", "report", "label_report", "counts")


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument(
        "--flows", nargs="+", help="the pickle of flows, or its parts in order; then also the next five"
    )
    parser.add_argument("--categories", help="names of the attacks: the authors' categories_mapping (JSON or pickle)")
    parser.add_argument("--output", help="output: data set (HDF5)")
    parser.add_argument("--report", help="output: counts of flows and packets (CSV)")
    parser.add_argument("--label-report", help="output: flows of each index of an attack (CSV)")
    parser.add_argument("--counts", help="output: flows of each attack type (CSV)")
    parser.add_argument("--net", help="weights of a trained net (.pth)")
    parser.add_argument("--weights", help="output: the same as safetensors")
    parser.add_argument("--normalisation", help="mean and standard deviation (pickle); none: of the training split")
    settings.add_options(parser, Labelling, only=("rename",))
    settings.add_options(parser, DatasetOptions, only=("max_packets", "both_directions"))
    parser.add_argument("--seed", type=int, default=0, help="of the split; 0: the authors'")
    return parser.parse_args(argv)


def import_flows(args: argparse.Namespace) -> None:
    """The data set and its reports."""
    options = settings.from_args(DatasetOptions, args)
    names = read_attack_names(args.categories, parse_renames(args.rename))
    normalisation = read_normalisation(args.normalisation) if args.normalisation else None
    published = read_published(args.flows, names, max_packets=options.max_packets)
    dataset = assemble_published(published, names, both_directions=options.both_directions, seed=args.seed)
    log.info("not published, so filled plainly: %s", "; ".join(UNKNOWN.values()))
    counts = attack_counts(dataset)
    warn_about_splits(counts)
    inputs = [*args.flows, args.categories, *([args.normalisation] if args.normalisation else [])]
    made_by = provenance("import_published.py", vars(args), inputs)
    shape = {"max_packets": options.max_packets, "normalisation": normalisation}
    write_published(args.output, published, dataset, made_by=made_by, **shape)
    write_csv(args.report, published_report(published, dataset))
    write_csv(args.label_report, published_labels(published, names))
    write_csv(args.counts, counts)


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    for first, others in (("flows", OF_FLOWS), ("net", ("weights", "normalisation"))):
        missing = [name for name in others if getattr(args, first) and not getattr(args, name)]
        if missing:
            raise InputError(f"--{first}: needs --{missing[0].replace('_', '-')} too")
    if not args.flows and not args.net:
        raise InputError("--flows, --net: nothing to do; give at least one of them")
    if args.flows:
        import_flows(args)
    if args.net:
        detector = read_net(args.net)
        mean, std = read_normalisation(args.normalisation)
        training = {"imported_from": str(args.net), "imported_sha256": fingerprint(args.net)}
        save_detector(args.weights, detector, mean, std=std, training=training)


if __name__ == "__main__":
    cli.run(main)
