"""Score a detector on the test split: Table II's metrics, recall per attack type, predictions.

A flow's prediction is that of its last packet. predictions.h5 holds one logit per packet of the
test split (`/packets/logit`, CSR by `/flows/offset` and `/flows/packet_count`) and, per flow, its
row in the data set (`/flows/row`), its attack type (index into the attribute `attacks`) and its
last logit.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rnnids import cli
from rnnids.datasets.flow_data import TEST, load_dataset
from rnnids.detectors import metrics
from rnnids.detectors.inference import last_of_flow, packet_logits
from rnnids.detectors.lstm import load_detector, pick_device
from rnnids.detectors.metrics import Evaluation
from rnnids.settings import add_options
from rnnids.storage import COLUMN_OPTIONS, create_hdf5, provenance, write_csv


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--dataset", required=True, help="data set (HDF5)")
    parser.add_argument("--weights", required=True, help="model (safetensors)")
    parser.add_argument("--model-name", help="name in the column `model`; none: the folder of --weights")
    parser.add_argument("--predictions", required=True, help="output: logits (HDF5)")
    parser.add_argument("--metrics", required=True, help="output: metrics per packet and per flow (CSV)")
    parser.add_argument("--recall", required=True, help="output: recall per attack type (CSV)")
    parser.add_argument("--confusion", required=True, help="output: confusion counts (CSV)")
    add_options(parser, Evaluation)
    parser.add_argument("--seed", default=0, type=int, help="of the bootstrap")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"), help="where to compute")
    args = parser.parse_args(argv)
    args.model_name = args.model_name or Path(args.weights).absolute().parent.name
    return args


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    data = load_dataset(args.dataset, TEST)
    detector = load_detector(args.weights, data, pick_device(args.device))
    logits = packet_logits(detector, data, batch_packets=args.batch_packets)
    flow_logits = last_of_flow(logits, data.packet_count)
    ones = np.ones(len(data), dtype=np.int64)
    levels = {"packet": (logits, data.packet_count), "flow": (flow_logits, ones)}
    rng = np.random.default_rng(args.seed)
    metric_rows, confusions = [], []
    for level, (values, count) in levels.items():
        metric_rows += metrics.metric_rows(
            level, data.is_attack, values, packet_count=count, samples=args.bootstrap_samples, rng=rng
        )
        confusions += metrics.confusion_rows(level, np.repeat(data.is_attack, count), values)
    write_csv(args.metrics, metric_rows, model=args.model_name)
    found = {(row["level"], row["metric"]): 100 * row["value"] for row in metric_rows}
    shares = found["flow", "accuracy"], found["flow", "recall"], len(data)
    cli.tell("%s: accuracy %.1f %%, recall %.1f %% of %d test flows", args.model_name, *shares)
    write_csv(args.recall, metrics.recall_rows(data, flow_logits), model=args.model_name)
    write_csv(args.confusion, confusions, model=args.model_name)
    with create_hdf5(args.predictions, provenance("evaluate.py", vars(args), [args.dataset, args.weights])) as file:
        file.attrs["attacks"] = json.dumps(data.attacks)
        columns = {"row": data.row, "attack": data.flows["attack"], "logit": flow_logits}
        columns |= {"offset": data.start, "packet_count": data.packet_count}
        for name, column in columns.items():
            file.create_dataset(f"flows/{name}", data=column, **COLUMN_OPTIONS)
        file.create_dataset("packets/logit", data=logits, **COLUMN_OPTIONS)


if __name__ == "__main__":
    cli.run(main)
