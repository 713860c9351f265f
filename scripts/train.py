"""Train one variant of the recurrent detector (Sec. II; variants: Sec. V-A3 and VI-A).

Writes the weights after the last epoch, when the rate has fallen to 0, and if asked those of the smallest validation
loss, with their description, as safetensors, and the learning curve as CSV. A run that was interrupted resumes
from the checkpoint. Started by torchrun, it trains on several GPUs of a node.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from rnnids import cli
from rnnids.datasets.flow_data import TRAIN, FlowData, load_dataset
from rnnids.detectors import distributed
from rnnids.detectors.lstm import pick_device, save_detector
from rnnids.detectors.network import NetworkDetector
from rnnids.detectors.training import Training, fit
from rnnids.settings import add_options, from_args
from rnnids.storage import write_csv


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--dataset", required=True, help="data set (HDF5)")
    parser.add_argument("--weights", required=True, help="output: weights after the last epoch (safetensors)")
    parser.add_argument("--best", help="output: weights of the smallest validation loss; not written if not given")
    parser.add_argument("--curve", help="output: learning curve (CSV); not written if not given")
    parser.add_argument("--checkpoint", help="kept after every epoch, removed at the end; none: beside --weights")
    add_options(parser, Training)
    parser.add_argument("--seed", default=0, type=int, help="of everything random")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"), help="where to compute")
    args = parser.parse_args(argv)
    args.checkpoint = args.checkpoint or f"{args.weights}.checkpoint"
    return args


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    group, device = distributed.join(pick_device(args.device))
    data = load_dataset(args.dataset, TRAIN)
    settings = from_args(Training, args)
    torch.manual_seed(args.seed)
    detector = settings.new_detector()
    label = f"training {cli.training_of(args.weights)}"
    ways = {"checkpoint": args.checkpoint, "seed": args.seed, "device": device, "group": group, "label": label}
    best, curve = fit(detector, data, settings, **ways)
    if group.rank == 0:
        write(args, detector, data, best=best, curve=curve)
        accuracy = 100 * curve[-1]["validation_accuracy"]
        epochs = "1 epoch" if len(curve) == 1 else f"{len(curve)} epochs"
        done = "fitted" if detector.fits_itself else epochs
        cli.tell("%s: %s, accuracy %.1f %% of the packets held out", label, done, accuracy)
    distributed.leave()


def write(
    args: argparse.Namespace,
    detector: NetworkDetector,
    data: FlowData,
    *,
    best: Mapping[str, Tensor],
    curve: Sequence[Mapping[str, float]],
) -> None:
    """Write both sets of weights and the curve; the checkpoint has served."""
    description = asdict(from_args(Training, args)) | {"seed": args.seed}
    save_detector(args.weights, detector, data.mean, std=data.std, training=description | {"epoch": len(curve)})
    if args.best:
        detector.load_state_dict(best)
        epoch = min(curve, key=lambda row: row["validation_loss"])["epoch"]
        save_detector(args.best, detector, data.mean, std=data.std, training=description | {"epoch": epoch})
    if args.curve:
        write_csv(args.curve, curve)
    Path(args.checkpoint).unlink(missing_ok=True)


if __name__ == "__main__":
    cli.run(main)
