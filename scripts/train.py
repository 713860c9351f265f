"""Train one variant of the recurrent detector (Sec. II; variants: Sec. V-A3 and VI-A).

Writes the weights of the epoch with the smallest validation loss and those of the last epoch, with
their description, as safetensors, and the learning curve as CSV. A run that was interrupted resumes
from the checkpoint. Started by torchrun, it trains on several GPUs of a node.
"""

import os
from dataclasses import asdict

import torch

from rnnids import cli
from rnnids.cli import positive
from rnnids.datasets.flow_data import TRAIN, load_dataset
from rnnids.detectors import distributed, training
from rnnids.detectors.lstm import SUPPRESS, Detector, pick_device, save_model
from rnnids.storage import write_csv


def arguments():
    parser = cli.parser(__doc__)
    parser.add_argument("--dataset", required=True, help="data set (HDF5)")
    parser.add_argument("--weights", required=True, help="output: best weights (safetensors)")
    parser.add_argument("--last", required=True, help="output: weights of the last epoch (safetensors)")
    parser.add_argument("--curve", required=True, help="output: learning curve (CSV)")
    parser.add_argument("--checkpoint", required=True, help="kept after every epoch, removed at the end")
    parser.add_argument("--hidden-size", required=True, type=positive(int), help="units per LSTM layer")
    parser.add_argument("--num-layers", required=True, type=positive(int), help="LSTM layers")
    parser.add_argument("--suppress", required=True, choices=SUPPRESS, help="packets whose length and IAT are left out")
    parser.add_argument("--feature-dropout", action="store_true", help="train with feature dropout (Sec. V-A3)")
    parser.add_argument("--epochs", required=True, type=positive(int), help="passes over the training flows")
    parser.add_argument("--learning-rate", required=True, type=positive(float), help="Adam's, before its decay to 0")
    parser.add_argument("--batch-packets", required=True, type=positive(int), help="padded packets per batch, at most")
    parser.add_argument("--validation-fraction", required=True, type=positive(float), help="of the training flows")
    parser.add_argument("--precision", required=True, choices=("auto", "float32"), help="auto: bf16 on a GPU")
    parser.add_argument("--seed", required=True, type=int, help="of everything random")
    parser.add_argument("--device", required=True, choices=("auto", "cpu", "cuda"), help="where to compute")
    return parser.parse_args()


def main():
    args = arguments()
    group, device = distributed.join(pick_device(args.device))
    data = load_dataset(args.dataset, TRAIN)
    torch.manual_seed(args.seed)
    model = Detector(args.hidden_size, args.num_layers, args.suppress, args.feature_dropout)
    settings = training.Settings(**{name: getattr(args, name) for name in training.Settings.__dataclass_fields__})
    best, curve = training.fit(model, data, settings, args.checkpoint, device, group)
    if group.rank == 0:
        write(args, model, data, settings, best, curve)
    distributed.leave()


def write(args, model, data, settings, best, curve):
    """Write both sets of weights and the curve; the checkpoint has served."""
    save_model(args.last, model, data.mean, data.std, asdict(settings) | {"epoch": len(curve)})
    model.load_state_dict(best)
    epoch = min(curve, key=lambda row: row["validation_loss"])["epoch"] + 1
    save_model(args.weights, model, data.mean, data.std, asdict(settings) | {"epoch": epoch})
    write_csv(args.curve, curve)
    os.unlink(args.checkpoint)


if __name__ == "__main__":
    cli.run(main)
