"""Does any library's attack come nearer than the search? The same detector, flows and constraints.

Detected flows of a data set, cut at 12 packets, are attacked by the search of `scripts/search_evasions.py` at its
default settings and by the L1 attacks of the libraries that are installed (`make -C benchmarks libraries` does that),
which get as many iterations as asked for. A library's variable is the change in z-scores, which the detector cuts off
at the feasible limit. The search's evasions are whole bytes and ticks of the clock, as packets have them, theirs need
not be; so their distances are shown twice, as found and after the nearest rounding that still evades.
"""

import importlib.util
import math
import sys
import time
import warnings
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from attacking import BATCH_PACKETS, DELTA, STEPS, Limited, flows_to_attack, nearest_attacks
from measure import write_page
from torch import nn

from rnnids import cli
from rnnids.attacks.feasible_set import ThreatModel, raw_scale
from rnnids.attacks.search import RobustSearch
from rnnids.datasets.flow_data import TEST, load_dataset
from rnnids.detectors.lstm import load_detector
from rnnids.storage import write_csv

BOX = 10.0  # z-scores that adv-lib, whose inputs lie between 0 and 1, is given as 1
NEARER = 0.01  # relative
ROUNDS = 5  # in which attacks with a trade-off search it


class InUnitBox(nn.Module):
    """A detector of changes in units of ``BOX``, with a third logit that is never the largest: ALMA needs three."""

    def __init__(self, wrapped):
        super().__init__()
        self.wrapped = wrapped

    def forward(self, change):
        logits = self.wrapped(BOX * change)
        return torch.cat([logits, torch.full_like(logits[:, :1], DELTA - 10)], dim=1)


def attacks_of_libraries(wrapped, zero, iterations):
    """{name: function that returns changes in z-scores} of the libraries that are there."""
    label = torch.ones(len(zero), dtype=torch.long)
    found = nearest_attacks(wrapped, zero, label, iterations, rounds=ROUNDS)
    if importlib.util.find_spec("adv_lib"):
        for name in ("visdom", "torchvision", "torchvision.models", "torchvision.transforms"):
            sys.modules.setdefault(name, MagicMock())  # it imports them for pictures, which there are none of here
        from adv_lib.attacks import alma, pdpgd

        box = InUnitBox(wrapped)
        steps = {"num_steps": iterations}
        found["adv-lib ALMA"] = lambda: BOX * alma(box, zero, label, distance="l1", **steps)
        found["adv-lib PDPGD"] = lambda: BOX * pdpgd(box, zero, label, norm=1, **steps)
    return found


def compare(model, data, iterations):
    """One row an attack: seconds, gradients a flow, success, median distance, flows on which it comes nearer."""
    chosen, batch = flows_to_attack(data, model, "cpu")
    start = time.perf_counter()
    search = RobustSearch(delta=DELTA)(model, chosen, threat_model=ThreatModel(), batch_packets=BATCH_PACKETS)
    taken = time.perf_counter() - start
    counts = {"gradients": search.gradients.mean(), "evaluations": search.evaluations.mean()}
    ours = np.where(search.logit[1] <= DELTA, search.l1[1], math.inf)
    rows = [{"attack": "ours, search"} | measures(ours, ours, ours, seconds=taken, **counts)]
    wrapped, together, rounded = Limited(model, batch), np.full(len(ours), math.inf), np.full(len(ours), math.inf)
    zero = torch.zeros(len(ours), 1, STEPS, 2)
    for name, attack in attacks_of_libraries(wrapped, zero, iterations).items():
        start = time.perf_counter()
        changes = attack()
        taken = time.perf_counter() - start
        changes = torch.as_tensor(changes).detach()
        distance, whole = wrapped.distances(changes), distances_in_whole_steps(wrapped, changes)
        together, rounded = np.minimum(together, distance), np.minimum(rounded, whole)
        counts = {"gradients": iterations, "evaluations": iterations}
        rows.append({"attack": name} | measures(distance, whole, ours, seconds=taken, **counts))
    return [*rows, {"attack": "all libraries together"} | measures(together, rounded, ours, seconds=math.nan)]


def distances_in_whole_steps(wrapped, changes):
    """(N,) distances of the changes, rounded down, to the nearest or up to whole bytes and ticks, where that evades."""
    step = wrapped.batch.feasible.grid / raw_scale(wrapped.batch.std)
    changes = changes.reshape(-1, STEPS, 2).double().clamp(min=0)
    found = [wrapped.distances(rounding(changes / step) * step) for rounding in (torch.floor, torch.round, torch.ceil)]
    return np.minimum.reduce(found)


def measures(distance, whole, ours, *, seconds, gradients=math.nan, evaluations=math.nan):
    """The row of an attack that found `distance` (N,), `whole` when rounded, where the search found `ours` (N,)."""
    return {
        "seconds": seconds,
        "gradients_a_flow": gradients,
        "evaluations_a_flow": evaluations,
        "success_ratio": np.isfinite(distance).mean(),
        "median_l1": float(np.median(distance)),
        "median_l1_whole_bytes": float(np.median(whole)),
        "evades_alone": int((np.isfinite(distance) & np.isinf(ours)).sum()),
        "nearer_than_search": int((np.isfinite(ours) & (distance < (1 - NEARER) * ours)).sum()),
        "nearer_in_whole_bytes": int((np.isfinite(ours) & (whole < (1 - NEARER) * ours)).sum()),
    }


def arguments():
    parser = cli.parser(__doc__)
    parser.add_argument("--dataset", required=True, help="data set (HDF5)")
    parser.add_argument("--weights", required=True, nargs="+", help="models trained on it (safetensors)")
    parser.add_argument(
        "--iterations",
        required=True,
        nargs="+",
        type=cli.positive(int),
        help="of each attack of a library, for each model",
    )
    parser.add_argument("--csv", type=Path, required=True, help="output: table")
    parser.add_argument("--page", type=Path, required=True, help="output: page with the table")
    return parser.parse_args()


def main():
    args = arguments()
    warnings.filterwarnings("ignore")  # the libraries' own
    torch.set_num_threads(1)
    data, rows = load_dataset(args.dataset, TEST), []
    for weights, iterations in zip(args.weights, args.iterations, strict=True):
        model = load_detector(weights, data)
        torch.manual_seed(0)
        size = "{num_layers}x{hidden_size}".format(**model.architecture)
        rows += [{"detector": size} | row for row in compare(model, data, iterations)]
    write_csv(args.csv, rows)
    words = [
        "`make -C benchmarks libraries`: detected flows of 12 packets, threat model `paper`, logit at most -0.2.",
        "Distances in z-scores. *Evades alone*: flows of which the search",
        f"finds no evasion. *Nearer than search*: by more than {NEARER:.0%}. *Whole bytes*: and ticks, as packets have",
        "them; what a library found, rounded as near as it still evades. Medians are over all flows.",
    ]
    write_page(args.page, "The search against the attacks of libraries", words, rows)


if __name__ == "__main__":
    cli.run(main)
