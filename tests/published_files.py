"""Files in the shape of those that the paper's authors published, of random flows."""

import gzip
import json
import pickle

import numpy as np
import torch
from detectors import flows as random_flows
from torch import nn

from rnnids.datasets.encoding import FLOW_INPUTS, encode_packets
from rnnids.datasets.features import DIRECTION

NAMES = {"Botnet:ARES": 0, "DoS / DDoS:DoS Hulk": 1, "Normal": 2}
GROUPS = {"Botnet": ["Botnet:ARES"], "DoS": ["DoS / DDoS:DoS Hulk"], "Normal": ["Normal"]}
THEIRS = np.array([2, 1, 0])  # index of Benign, Flood, Bot of the random flows
FLOWS = "flows.pickle.gz.part-"


def published_arrays(count=160, seed=0, longest=6):
    """(FlowData, the same flows as arrays (T, 17) float32)."""
    data = random_flows(count, seed, longest)
    chosen = {name: data.flows[name] for name in FLOW_INPUTS}
    rows = encode_packets(chosen, data.packets, data.packet_count)
    rows[:, DIRECTION] = 1 - rows[:, DIRECTION]
    attack = np.repeat(data.flows["attack"], data.packet_count)
    rows = np.column_stack([rows, THEIRS[attack], attack > 0]).astype(np.float32)
    return data, [part.copy() for part in np.split(rows, data.start[1:])]


def normalisation(arrays):
    """(mean, standard deviation) of all packets, as the authors compute them."""
    rows = np.concatenate(arrays)[:, :15]
    std = np.std(rows, axis=0)
    std[std == 0.0] = 1.0
    return np.mean(rows, axis=0), std


def write_parts(folder, content, parts=3, protocol=3):
    """The paths of a gzipped pickle, cut into parts as `split` does."""
    packed = gzip.compress(pickle.dumps(content, protocol=protocol))
    size = -(-len(packed) // parts)
    paths = [folder / f"{FLOWS}a{chr(ord('a') + part)}" for part in range(parts)]
    for part, path in enumerate(paths):
        path.write_bytes(packed[part * size : (part + 1) * size])
    return paths


def their_net(inputs=15, hidden=4, layers=2, seed=0):
    """(LSTM, linear layer, state) of a net with the names of theirs."""
    torch.manual_seed(seed)
    lstm, readout = nn.LSTM(inputs, hidden, layers), nn.Linear(hidden, 1)
    module = nn.ModuleDict({"lstm": lstm, "h2o": readout})
    return lstm, readout, module.state_dict()


def write_published(folder, arrays, nets=None):
    """Write all files; `nets` is {name: inputs} of the nets."""
    folder.mkdir(parents=True, exist_ok=True)
    write_parts(folder, arrays)
    (folder / "flows_categories_mapping.json").write_text(json.dumps({"categories_mapping": GROUPS, "mapping": NAMES}))
    (folder / "flows_normalization_data.pickle").write_bytes(pickle.dumps(normalisation(arrays), protocol=3))
    for name, inputs in (nets or {}).items():
        torch.save(their_net(inputs)[2], folder / name)
