"""What the scripts that explain a detector share: their options, the detector and the test split."""

from rnnids.cli import positive
from rnnids.datasets.flow_data import TEST, load_dataset
from rnnids.detectors.lstm import load_model, pick_device


def add_explanation_arguments(parser):
    """Options of every explanation that runs a detector."""
    parser.add_argument("--dataset", required=True, help="data set (HDF5)")
    parser.add_argument("--weights", required=True, help="model (safetensors)")
    parser.add_argument("--seed", required=True, type=int, help="of the choice of flows, of draws and of the bootstrap")
    parser.add_argument("--batch-packets", required=True, type=positive(int), help="padded packets per batch, at most")
    parser.add_argument("--device", required=True, choices=("auto", "cpu", "cuda"), help="where to compute")


def load_explained(args):
    """(model, FlowData of the test split, device)."""
    data = load_dataset(args.dataset, TEST)
    device = pick_device(args.device)
    return load_model(args.weights, data, device), data, device
