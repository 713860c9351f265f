"""What the attack scripts share: their options, their targets and the file of adversarial flows.

Adversarial flows (HDF5, CSR like a data set): `/flows/*`, one row an attacked flow: `row` in the
data set, `attack` (index into the attribute `attacks`), `original_logit`, `logit` (last packet),
`l1`, `linf` (z-scores), `last_l1` (of the last iterate), `iteration` (of the one kept),
`already_benign`, `success` (logit <= 0), `success_delta` (logit <= delta), `offset`,
`packet_count`; `/packets/length` (bytes) and `/packets/iat_ns`. PGD and FGSM add `epsilon`.
"""

import json
from dataclasses import replace

import numpy as np
import pandas as pd

from rnnids.attacks.gradient import KEEP, OBJECTIVES, Settings
from rnnids.attacks.minimum_norm import Settings as MinimumNorm
from rnnids.attacks.targets import chunk_of_rows, select_flows
from rnnids.cli import log, positive
from rnnids.datasets.flow_data import TEST, load_dataset
from rnnids.detectors.lstm import load_model, pick_device
from rnnids.errors import InputError
from rnnids.storage import COLUMN_OPTIONS, create_hdf5, provenance, read_hdf5


def add_attack_arguments(parser):
    """Options of every attack: data set, model, constraints, selection, device."""
    parser.add_argument("--dataset", required=True, help="data set (HDF5)")
    parser.add_argument("--weights", required=True, help="model (safetensors)")
    parser.add_argument("--delta", required=True, type=float, help="logit to reach; below 0 is a margin")
    parser.add_argument("--learning-rate", required=True, type=positive(float), help="step of the descent, z-scores")
    parser.add_argument("--iterations", required=True, type=positive(int), help="CW: per unit of kappa")
    parser.add_argument("--objective", required=True, choices=OBJECTIVES, help="packets whose logits count")
    parser.add_argument("--keep", required=True, choices=KEEP, help="iterate that is kept")
    parser.add_argument("--mtu", required=True, type=positive(int), help="longest packet that padding can make, bytes")
    parser.add_argument("--max-flows", type=positive(int), help="attack flows per type, at most; all if not given")
    parser.add_argument("--chunk", required=True, type=positive(int), help="part of the flows to take, from 1")
    parser.add_argument("--chunks", required=True, type=positive(int), help="parts that the flows are divided into")
    parser.add_argument("--seed", required=True, type=int, help="of the choice of flows")
    parser.add_argument("--batch-packets", required=True, type=positive(int), help="padded packets per batch, at most")
    parser.add_argument("--device", required=True, choices=("auto", "cpu", "cuda"), help="where to compute")


def settings_of(args):
    """The attack's settings among a script's arguments."""
    return Settings(**{name: getattr(args, name) for name in Settings.__dataclass_fields__})


def add_search_arguments(parser):
    """Options of the fast minimum-norm attack."""
    parser.add_argument("--search-iterations", required=True, type=positive(int), help="gradients a flow")
    parser.add_argument("--search-step", required=True, type=positive(float), help="first step, z-scores in L2")
    parser.add_argument("--search-gamma", required=True, type=positive(float), help="first change of the bound")


def search_settings(args):
    """The fast minimum-norm attack's settings among a script's arguments."""
    return MinimumNorm(args.delta, args.search_iterations, args.search_step, args.search_gamma, args.mtu)


def load_targets(args, whole_types=False):
    """(model, test split, rows of the flows of this chunk to attack); warns when there is nothing to attack.

    Args:
        whole_types: whether all flows of an attack type have to be in one chunk.
    """
    data = load_dataset(args.dataset, TEST)
    model = load_model(args.weights, data, pick_device(args.device))
    rows = select_flows(data, args.max_flows, args.seed)
    if not len(rows):
        log.warning("%s: no attack flow in the test split, so there is nothing to attack", args.dataset)
    return model, data, rows[chunk_of_rows(data, rows, args.chunks, whole_types) == args.chunk]


def write_attack(path, method, args, data, rows, result):
    """Write the result of ``attacks.attack_flows`` by `method` ("cw", "pgd", "fgsm") to `path`."""
    count = data.packet_count[rows]
    columns = {name: value for name, value in result.items() if name not in ("length", "iat_ns")}
    columns |= {
        "row": data.row[rows],
        "attack": data.flows["attack"][rows],
        "already_benign": result["original_logit"] <= 0,
        "success": result["logit"] <= 0,
        "success_delta": result["logit"] <= args.delta,
        "offset": np.cumsum(count) - count,
        "packet_count": count,
    }
    with create_hdf5(path, provenance(method, vars(args), [args.dataset, args.weights])) as file:
        file.attrs["attacks"] = json.dumps(data.attacks)
        file.attrs["method"] = method
        file.attrs["delta"] = args.delta
        if "kappa" in vars(args):
            file.attrs["kappa"] = args.kappa
        for name, column in columns.items():
            file.create_dataset(f"flows/{name}", data=column, **COLUMN_OPTIONS)
        for name in ("length", "iat_ns"):
            packets = np.concatenate(result[name]) if len(rows) else np.empty(0, dtype=np.int64)
            file.create_dataset(f"packets/{name}", data=packets, **COLUMN_OPTIONS)
    fooled = columns["success"].mean() if len(rows) else 0
    log.info("%d flows, %.1f %% classified as benign", len(rows), 100 * fooled)


def read_attack(path):
    """The flows of an attack file as a data frame, one row an attacked flow."""
    with read_hdf5(path) as file:
        frame = pd.DataFrame({name: column[:] for name, column in file["flows"].items()})
        frame.attrs = {name: file.attrs[name] for name in ("method", "delta", "kappa") if name in file.attrs}
        frame.attrs["attacks"] = json.loads(file.attrs["attacks"])
    return frame


def read_adversarial_flows(path, data):
    """An attack file's flows before and after the attack.

    Args:
        data: FlowData of the test split that was attacked.

    Returns:
        (original, adversarial, evaded): two FlowData of the same N flows, and (N,) bool, true where a
        detected flow became benign.

    Raises:
        InputError: the file holds flows of another data set.
    """
    frame = read_attack(path)
    with read_hdf5(path) as file:
        packets = {name: file["packets"][name][:] for name in ("length", "iat_ns")}
    rows = np.searchsorted(data.row, frame.row)
    if not np.isin(frame.row, data.row).all() or not np.array_equal(data.packet_count[rows], frame.packet_count):
        raise InputError(f"{path}: holds flows of another data set; attack this one")
    original = data.take(rows)
    adversarial = replace(original, packets={**original.packets, **packets})
    return original, adversarial, (frame.success & ~frame.already_benign).to_numpy()
