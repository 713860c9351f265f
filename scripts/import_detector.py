"""Turn a detector that was trained elsewhere into weights of this workflow.

The detector is a class with its weights, a state dict in safetensors; or a network in TorchScript (.pt) or ONNX
(.onnx), which hold them themselves. It is given z-scores: each feature less its mean in the training flows of the data
set, over its standard deviation there. One that was trained on other inputs has to turn these into its own itself.
"""

import argparse
from collections.abc import Sequence

from rnnids import cli, settings
from rnnids.cli import log
from rnnids.datasets.flow_data import TRAIN, load_dataset
from rnnids.detectors.imported import SHAPE, require_contract, trained_detector
from rnnids.detectors.lstm import save_detector
from rnnids.detectors.training import Training
from rnnids.storage import fingerprint


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--dataset", required=True, help="data set (HDF5), whose normalisation the detector is given")
    settings.add_options(parser, Training, only=SHAPE)
    parser.add_argument("--trained", help="state dict of the class (safetensors); none: the detector's file holds it")
    parser.add_argument("--weights", required=True, help="output: the detector (safetensors)")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    training = Training(**{name: getattr(args, name) for name in SHAPE})
    detector = trained_detector(training, args.trained)
    require_contract(detector, args.trained or args.detector)
    data = load_dataset(args.dataset, TRAIN)
    source = args.trained or args.detector
    described = {"imported_from": source, "imported_sha256": fingerprint(source)}
    save_detector(args.weights, detector, data.mean, std=data.std, training=described)
    log.info("%s: keeps the protocol, and is given z-scores by mean and standard deviation of %s", source, args.dataset)


if __name__ == "__main__":
    cli.run(main)
