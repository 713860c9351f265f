"""Adversarial training of a trained detector (Sec. VI-B), scored as it goes on (Fig. 10).

Starts from the weights of the baseline. Training on all flows and optimising one CW flow per attack
flow alternate and cost the same number of backward passes; both are counted in the curve. A run
that was interrupted resumes after the last finished epoch.
"""

import os
from dataclasses import asdict

import numpy as np

from rnnids import cli
from rnnids.attacks import adversarial_training as adversarial
from rnnids.attacks.files import add_search_arguments, search_settings
from rnnids.attacks.gradient import OBJECTIVES, Settings
from rnnids.datasets.flow_data import TEST, TRAIN, load_dataset
from rnnids.detectors.lstm import load_model, pick_device, save_model
from rnnids.detectors.training import Settings as TrainingSettings
from rnnids.storage import COLUMN_OPTIONS, create_hdf5, provenance, write_csv


def arguments():
    parser = cli.parser(__doc__)
    for name in ("dataset", "baseline"):
        parser.add_argument(f"--{name}", required=True, help=f"input: {name}")
    parser.add_argument("--weights", required=True, help="output: weights after the last epoch (safetensors)")
    parser.add_argument("--curve", required=True, help="output: losses and backward passes per epoch (CSV)")
    parser.add_argument("--scores", required=True, help="output: ARS per epoch and attack type (CSV)")
    parser.add_argument("--adversarial-flows", required=True, help="output: adversarial training flows (HDF5)")
    parser.add_argument("--checkpoint", required=True, help="kept after every epoch, removed at the end")
    parser.add_argument("--epochs", required=True, type=cli.positive(int), help="of training, in all")
    parser.add_argument("--training-learning-rate", required=True, type=cli.positive(float), help="Adam's")
    parser.add_argument(
        "--training-batch-packets", required=True, type=cli.positive(int), help="padded packets a batch"
    )
    parser.add_argument("--precision", required=True, choices=("auto", "float32"), help="auto: bf16 on a GPU")
    parser.add_argument("--kappa", required=True, type=cli.positive(float), help="of the attacks on training flows")
    parser.add_argument(
        "--visit-iterations", required=True, type=cli.positive(int), help="of CW, per visit, at kappa 1"
    )
    parser.add_argument("--score-every", required=True, type=cli.positive(int), help="epochs between two scores")
    parser.add_argument("--score-flows", type=cli.positive(int), help="attack flows per type, at most")
    parser.add_argument("--bootstrap-samples", required=True, type=cli.positive(int), help="behind the intervals")
    parser.add_argument("--delta", required=True, type=float, help="logit to reach; below 0 is a margin")
    parser.add_argument("--learning-rate", required=True, type=cli.positive(float), help="of CW, z-scores")
    parser.add_argument("--objective", required=True, choices=OBJECTIVES, help="packets whose logits count")
    add_search_arguments(parser)
    parser.add_argument("--mtu", required=True, type=cli.positive(int), help="bytes")
    parser.add_argument("--batch-packets", required=True, type=cli.positive(int), help="of the attacks")
    parser.add_argument("--seed", required=True, type=int, help="of everything random")
    parser.add_argument("--device", required=True, choices=("auto", "cpu", "cuda"), help="where to compute")
    return parser.parse_args()


def schedule_of(args):
    """The schedule among the script's arguments."""
    attack = {"delta": args.delta, "learning_rate": args.learning_rate, "iterations": args.visit_iterations}
    attack |= {"objective": args.objective, "keep": "last", "mtu": args.mtu}
    training = TrainingSettings(
        epochs=args.epochs,
        learning_rate=args.training_learning_rate,
        batch_packets=args.training_batch_packets,
        validation_fraction=0.0,
        precision=args.precision,
        seed=args.seed,
    )
    return adversarial.Schedule(
        training=training,
        attack=Settings(**attack),
        kappa=args.kappa,
        batch_packets=args.batch_packets,
        score_every=args.score_every,
        search=search_settings(args),
        score_flows=args.score_flows,
        samples=args.bootstrap_samples,
    )


def main():
    args = arguments()
    device = pick_device(args.device)
    data, test = load_dataset(args.dataset, TRAIN), load_dataset(args.dataset, TEST)
    model = load_model(args.baseline, data, device)
    schedule = schedule_of(args)
    curve, scores, flows = adversarial.fit(model, data, test, schedule, args.checkpoint, device)
    save_model(args.weights, model, data.mean, data.std, {"adversarial_training": asdict(schedule)})
    write_csv(args.curve, curve)
    write_csv(args.scores, scores)
    made_by = provenance("train_adversarially.py", vars(args), [args.dataset, args.baseline])
    with create_hdf5(args.adversarial_flows, made_by) as file:
        columns = {"row": flows.source.row, "offset": flows.flows.start, "packet_count": flows.flows.packet_count}
        for name, column in columns.items():
            file.create_dataset(f"flows/{name}", data=np.asarray(column), **COLUMN_OPTIONS)
        for name in ("length", "iat_ns"):
            file.create_dataset(f"packets/{name}", data=flows.flows.packets[name], **COLUMN_OPTIONS)
    os.unlink(args.checkpoint)


if __name__ == "__main__":
    cli.run(main)
