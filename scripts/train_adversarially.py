"""Adversarial training of a trained detector (Sec. VI-B), scored as it goes on (Fig. 10).

Starts from the weights of the baseline. Training on all flows and optimising one CW flow per attack
flow alternate and cost the same number of backward passes; both are counted in the curve. A run
that was interrupted resumes after the last finished epoch.
"""

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from rnnids import cli
from rnnids.attacks import adversarial_training
from rnnids.attacks.adversarial_training import AdversarialFlows, AdversarialTraining, Schedule
from rnnids.attacks.feasible_set import ThreatModel
from rnnids.attacks.gradient import CarliniWagner
from rnnids.attacks.minimum_norm import MinimumNorm
from rnnids.datasets.flow_data import TEST, TRAIN, load_dataset
from rnnids.detectors.lstm import load_detector, pick_device, save_detector
from rnnids.detectors.training import Training
from rnnids.settings import add_options, from_args
from rnnids.storage import COLUMN_OPTIONS, create_hdf5, provenance, write_csv

OF_THE_VISITS = ("kappa", "iterations", "keep")  # set by AdversarialTraining, and the last iterate is what goes on


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    for name in ("dataset", "baseline"):
        parser.add_argument(f"--{name}", required=True, help=f"input: {name}")
    parser.add_argument("--weights", required=True, help="output: weights after the last epoch (safetensors)")
    parser.add_argument("--curve", required=True, help="output: losses and backward passes per epoch (CSV)")
    parser.add_argument("--scores", help="output: ARS per epoch and attack type (CSV); not scored if not given")
    parser.add_argument(
        "--adversarial-flows", help="output: adversarial training flows (HDF5); not written if not given"
    )
    parser.add_argument(
        "--adversarial",
        default=True,
        action=argparse.BooleanOptionalAction,
        help="no: the control, plain training of equal length",
    )
    parser.add_argument("--checkpoint", help="kept after every epoch, removed at the end; none: beside --weights")
    add_options(parser, AdversarialTraining)
    add_options(parser, Training, prefix="training_", only=["batch_packets"])
    add_options(parser, Training, only=["precision"])
    add_options(parser, CarliniWagner, leave_out=OF_THE_VISITS)
    add_options(parser, MinimumNorm, prefix="search_", leave_out=["delta"])
    add_options(parser, ThreatModel)
    parser.add_argument("--batch-packets", default=8192, type=cli.positive(int), help="of the attacks")
    parser.add_argument("--seed", default=0, type=int, help="of everything random")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"), help="where to compute")
    args = parser.parse_args(argv)
    args.checkpoint = args.checkpoint or f"{args.weights}.checkpoint"
    return args


def schedule_of(args: argparse.Namespace) -> Schedule:
    """The schedule among the script's arguments."""
    settings = from_args(AdversarialTraining, args)
    training = Training(
        epochs=settings.epochs,
        learning_rate=settings.training_learning_rate,
        batch_packets=args.training_batch_packets,
        precision=args.precision,
    )
    attack = CarliniWagner(
        kappa=settings.kappa,
        delta=args.delta,
        learning_rate=args.learning_rate,
        iterations=settings.visit_iterations,
        objective=args.objective,
        keep="last",
    )
    return Schedule(
        settings=settings,
        training=training,
        attack=attack,
        search=from_args(MinimumNorm, args, prefix="search_", delta=args.delta),
        threat_model=from_args(ThreatModel, args),
        batch_packets=args.batch_packets,
        adversarial=args.adversarial,
    )


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    data, test = load_dataset(args.dataset, TRAIN), load_dataset(args.dataset, TEST)
    detector = load_detector(args.baseline, data, pick_device(args.device))
    schedule = schedule_of(args)
    curve, scores, flows = adversarial_training.fit(
        detector, data, test if args.scores else None, schedule=schedule, checkpoint=args.checkpoint, seed=args.seed
    )
    description = {"adversarial_training": asdict(schedule), "seed": args.seed}
    save_detector(args.weights, detector, data.mean, std=data.std, training=description)
    write_csv(args.curve, curve)
    if args.scores:
        write_csv(args.scores, scores)
    if args.adversarial_flows:
        write_flows(args, flows)
    Path(args.checkpoint).unlink(missing_ok=True)


def write_flows(args: argparse.Namespace, flows: AdversarialFlows) -> None:
    """Write the adversarial flows as training left them."""
    made_by = provenance("train_adversarially.py", vars(args), [args.dataset, args.baseline])
    with create_hdf5(args.adversarial_flows, made_by) as file:
        columns = {"row": flows.source.row, "offset": flows.flows.start, "packet_count": flows.flows.packet_count}
        for name, column in columns.items():
            file.create_dataset(f"flows/{name}", data=np.asarray(column), **COLUMN_OPTIONS)
        for name in ("length", "iat_ns"):
            file.create_dataset(f"packets/{name}", data=flows.flows.packets[name], **COLUMN_OPTIONS)


if __name__ == "__main__":
    cli.run(main)
