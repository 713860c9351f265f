"""Measure the attacks: gradients against nn.LSTM's, the attack against libraries, the ARS against the paper's search.

1. Gradients over length and interarrival time of flows of random lengths, by an untrained detector of the given size.
2. Libraries (those that are installed; `make -C benchmarks attack` does that) attack the same flows of 12 packets of a
   data set and detector, under the same constraints: their variable is the change in z-scores, which the detector cuts
   off at the feasible limit. The median distance is over the flows on which foolbox's minimum-norm attack succeeds,
   too. How fast they are on a large detector, whatever they find, is measured on an untrained one of the given size.
3. Enumeration: all values of the one number that is free in some flows, as the search tries them, against nn.LSTM on
   as many flows that are there already.
4. ARS by the minimum-norm attack and by rising kappa, for three choices of flows.
"""

import functools
import importlib.util
import math
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from measure import in_turn, write_page
from training import PEAK, by_packing, make_batch, ours, product, products, random_lengths

from rnnids import cli
from rnnids.attacks.ars import adversarial_robustness_score
from rnnids.attacks.candidates import Nearest, Problem, largest_growth
from rnnids.attacks.descent import Kept, largest_change
from rnnids.attacks.descent import make_batch as batch_to_attack
from rnnids.attacks.exact import enumerate_flows, free_numbers
from rnnids.attacks.feasible_set import ThreatModel
from rnnids.attacks.gradient import OBJECTIVES, CarliniWagner
from rnnids.attacks.minimum_norm import MinimumNorm
from rnnids.attacks.rising_kappa import search
from rnnids.attacks.search import RobustSearch
from rnnids.attacks.targets import select_flows
from rnnids.datasets.features import MANIPULABLE_FEATURES
from rnnids.datasets.flow_data import TEST, batches_by_length, load_dataset
from rnnids.detectors.inference import last_of_flow, packet_logits
from rnnids.detectors.lstm import LSTMDetector, load_detector
from rnnids.storage import write_csv

DELTA, STEPS, FLOWS, ITERATIONS = -0.2, 12, 64, 20
LENGTHS = (ITERATIONS, 5 * ITERATIONS)
BATCH_PACKETS = 8192  # of the embedded default
KAPPAS = [0.5, 2.5, 4.5, 6.5, 8.5]  # of the embedded default


def last_logits(model, batch, logits_of):
    """(B,) logits of the flows' last packets."""
    flow, step = batch.packing.index // batch.inputs.shape[1], batch.packing.index % batch.inputs.shape[1]
    return logits_of(model, batch)[step == torch.from_numpy(batch.lengths).to(step.device)[flow] - 1]


def gradient(model, batches, logits_of):
    """Gradients of the last logits over length and interarrival time of each packet, batch after batch."""
    found = []
    for batch in batches:
        inputs = batch.inputs.clone().requires_grad_()
        wanted = [inputs, *(weight for weight in model.parameters() if weight.requires_grad)]
        summed = last_logits(model, batch._replace(inputs=inputs), logits_of).sum()
        found.append(torch.autograd.grad(summed, wanted)[0][..., list(MANIPULABLE_FEATURES)].flatten())
    return torch.cat(found)


def measure_gradients(args):
    """Rows of the first table."""
    rng = np.random.default_rng(0)
    count = random_lengths(args.flows, 100, rng)
    random = [
        make_batch(count[rows], rng, args.device) for rows in np.array_split(np.arange(len(count)), len(count) // 64)
    ]
    by_length = [make_batch(count[rows], rng, args.device) for rows in batches_by_length(count, BATCH_PACKETS)]
    torch.manual_seed(0)
    usual = LSTMDetector(args.hidden_size, args.num_layers).to(args.device)
    frozen = LSTMDetector(args.hidden_size, args.num_layers).to(args.device).requires_grad_(False)
    ways = {
        "ours": lambda: gradient(frozen, by_length, ours),
        "nn.LSTM, packed, frozen, our batches": lambda: gradient(frozen, by_length, by_packing),
        "nn.LSTM, packed, frozen": lambda: gradient(frozen, random, by_packing),
        "nn.LSTM, packed": lambda: gradient(usual, random, by_packing),
    }
    operations, run = product(args.device)
    seconds = in_turn(ways | {PEAK: run}, args.repeats)
    limit = operations / seconds.pop(PEAK)
    needed = 2 / 3 * products(args.hidden_size, args.num_layers) * count.sum()  # none for the weights
    reference = gradient(frozen, by_length, by_packing)
    rows = []
    for name, taken in seconds.items():
        row = {"way": name, "flows_per_second": len(count) / taken, "ours_is_faster": taken / seconds["ours"]}
        row["share_of_peak"] = needed / taken / limit
        same = torch.cosine_similarity(ways[name](), reference, dim=0).item() if name.startswith("ours") else ""
        rows.append(row | {"gradient_cosine": same})
    return rows


class Limited(nn.Module):
    """Two logits of flows to which a change in z-scores is added, as far as it is feasible."""

    def __init__(self, model, batch):
        super().__init__()
        self.model, self.batch, self.limit = model, batch, largest_change(batch).float()

    def forward(self, change):
        """(N, 1, T, 2) or a part of them -> (N, 2): benign from a logit of delta on."""
        change = torch.minimum(change.reshape(-1, STEPS, 2).clamp(min=0).float(), self.limit[: len(change)])
        inputs = self.batch.inputs[: len(change)].clone()
        inputs[..., list(MANIPULABLE_FEATURES)] = inputs[..., list(MANIPULABLE_FEATURES)] + change
        logit = self.model(inputs)[:, -1]
        return torch.stack([torch.full_like(logit, DELTA), logit], dim=1)

    def distances(self, change):
        """(N,) L1 in z-scores of the successes, else infinite."""
        change = torch.as_tensor(change).to(self.limit.device).reshape(-1, STEPS, 2).float()
        change = torch.minimum(change.clamp(min=0), self.limit)
        with torch.no_grad():
            success = self(change)[:, 1] <= DELTA + 1e-4
        return torch.where(success, change.sum(dim=(1, 2)), math.inf).cpu().numpy()


def flows_to_attack(data, model, device):
    """(FlowData, batch) of detected flows, cut at 12 packets."""
    data = data.take(data.is_attack & (data.packet_count >= STEPS) & (data.flows["manipulable"] > 0))
    data.flows["packet_count"] = np.full(len(data), STEPS, dtype=np.int32)
    detected = packet_logits(model, data.take(np.arange(len(data))), batch_packets=BATCH_PACKETS)
    detected = last_of_flow(detected, data.packet_count) > 0
    chosen = np.random.default_rng(0).permutation(np.flatnonzero(detected))[:FLOWS]
    chosen = data.take(chosen)
    return chosen, batch_to_attack(chosen, np.arange(len(chosen)), ThreatModel(), device=device)


def nearest_attacks(wrapped, zero, label, iterations, *, rounds=1):
    """{name: function} of the installed libraries' attacks for small L1; a trade-off is searched in `rounds`."""
    top, found = float(wrapped.limit.max()), {}
    if importlib.util.find_spec("foolbox"):
        import foolbox

        bounded = foolbox.PyTorchModel(wrapped, bounds=(0, top), device=zero.device)
        wrong = foolbox.criteria.Misclassification(label)
        fmn = foolbox.attacks.L1FMNAttack(steps=iterations)
        ead = foolbox.attacks.EADAttack(binary_search_steps=rounds, steps=iterations // rounds, abort_early=False)
        found["foolbox L1FMN"] = lambda: fmn(bounded, zero, wrong, epsilons=None)[0]
        found["foolbox EAD"] = lambda: ead(bounded, zero, wrong, epsilons=None)[0]
    if importlib.util.find_spec("art") and zero.device.type == "cpu":
        from art.attacks.evasion import ElasticNet
        from art.estimators.classification import PyTorchClassifier

        shape, clip = tuple(zero.shape[1:]), (0, top)
        classifier = PyTorchClassifier(wrapped, nn.CrossEntropyLoss(), shape, 2, clip_values=clip, device_type="cpu")
        options = {"binary_search_steps": rounds, "max_iter": iterations // rounds, "batch_size": len(zero)}
        net = ElasticNet(classifier, decision_rule="L1", verbose=False, **options)
        found["ART ElasticNet"] = lambda: net.generate(zero.numpy(), y=np.eye(2)[label.numpy()])
    return found


def library_attacks(wrapped, zero, label, lengths):
    """{name: (iterations, function)} of the installed libraries' attacks; the minimum-norm attack of each length."""
    found = {}
    for steps in lengths:
        if attack := nearest_attacks(wrapped, zero, label, steps).get("foolbox L1FMN"):
            found[f"foolbox L1FMN, {steps} iterations"] = (steps, attack)
    others = nearest_attacks(wrapped, zero, label, ITERATIONS)
    others.pop("foolbox L1FMN", None)
    if importlib.util.find_spec("torchattacks"):
        import torchattacks

        pgd = torchattacks.PGD(wrapped, eps=1.0, alpha=0.1, steps=ITERATIONS, random_start=False)
        others["torchattacks PGD"] = lambda: pgd(zero, label)
    return found | {name: (ITERATIONS, attack) for name, attack in others.items()}


def measure_libraries(batch, model, repeats, lengths):
    """Rows of the second table, with minimum-norm attacks of several `lengths`."""
    device = batch.last.device
    wrapped = Limited(model, batch)
    zero = torch.zeros(len(batch.last), 1, STEPS, 2, device=device)
    label = torch.ones_like(batch.last)
    results, ways, iterations = {}, {}, {}
    for steps in lengths:
        attack = MinimumNorm(delta=DELTA, iterations=steps)
        name = f"ours, minimum norm, {steps} iterations"
        iterations[name] = steps
        ways[name] = lambda attack=attack: attack.run(model, batch)
    for name, (steps, attack) in library_attacks(wrapped, zero, label, lengths).items():
        iterations[name], ways[name] = steps, attack
    kept = {name: lambda name=name, way=way: results.__setitem__(name, way()) for name, way in ways.items()}
    seconds = in_turn(kept, repeats)
    rows = []
    ours = seconds[next(iter(seconds))] / ITERATIONS
    for name, taken in seconds.items():
        found = results[name]
        if isinstance(found, Kept):
            distance = torch.where(found.logit <= DELTA, found.l1, math.inf).cpu().numpy()
        else:
            distance = wrapped.distances(found)
        rows.append(
            {
                "attack": name,
                "seconds": taken,
                "flow_iterations_per_second": len(zero) * iterations[name] / taken,
                "ours_is_faster": taken / iterations[name] / ours,
                "success_ratio": float(np.isfinite(distance).mean()),
                "median_l1_all_flows": float(np.median(distance)),
                "ars": adversarial_robustness_score(distance),
            }
        )
    return rows


def measure_speed(batch, args):
    """Rows of the second table without what is found: by an untrained detector of the given size."""
    torch.manual_seed(0)
    large = LSTMDetector(args.hidden_size, args.num_layers).to(args.device).requires_grad_(False)
    kept = ("attack", "seconds", "flow_iterations_per_second", "ours_is_faster")
    return [{name: row[name] for name in kept} for row in measure_libraries(batch, large, args.repeats, LENGTHS[:1])]


def measure_enumeration(data, model, repeats):
    """Rows of the third table."""

    def problem_of(flows):
        batch = batch_to_attack(flows, np.arange(len(flows)), ThreatModel(), device=model.device)
        return Problem(model, batch, "last", (0.0, DELTA), BATCH_PACKETS, largest_growth(batch))

    flows = data.take(data.is_attack)
    problem = problem_of(flows)
    alone = torch.nonzero((free_numbers(problem) == 1) & (problem.limit[..., 1] == 0).all(dim=1)).flatten()
    problem = problem_of(flows.take(alone[:: max(1, len(alone) // FLOWS)].cpu().numpy()))
    batch, tried, most = problem.batch, Nearest(problem), RobustSearch().exact_values
    enumerate_flows(problem, tried, most, member=0)
    values = int(tried.evaluations.sum())

    def whole():
        for flow, length in enumerate(batch.lengths.tolist()):
            count = int(tried.evaluations[flow])
            model.readout(model.lstm(batch.inputs[flow, :length].expand(count, -1, -1).contiguous())[0])

    ways = {
        "ours": lambda: enumerate_flows(problem, Nearest(problem), most, member=0),
        "nn.LSTM, whole flows": torch.no_grad()(whole),
    }
    seconds = in_turn(ways, repeats)
    return [
        {"way": name, "evaluations_per_second": values / taken, "ours_is_faster": taken / seconds["ours"]}
        for name, taken in seconds.items()
    ]


def searches(flows, model):
    """{name: (gradients a flow, function that returns the distances)} of the searches for the ARS."""
    found = {}
    options = {"threat_model": ThreatModel(), "batch_packets": BATCH_PACKETS}

    def nearest(steps):
        result = MinimumNorm(delta=DELTA, iterations=steps)(model, flows, **options)
        return np.where(result.success, result.l1, math.inf)

    for objective in OBJECTIVES:
        attack = CarliniWagner(delta=DELTA, iterations=40, objective=objective)
        found[f"rising kappa, {objective}"] = (
            int(attack.iterations * sum(KAPPAS)),
            lambda attack=attack: search(model, flows, attack, kappas=KAPPAS, **options).distances,
        )
    for steps in (36, 60):
        found[f"minimum norm, {steps} iterations"] = (steps, functools.partial(nearest, steps))
    return found


def measure_ars(data, model, flows):
    """Rows of the fourth table; the mean ARS is over the attack types where all searches found a finite one."""
    rows = []
    for seed in range(3):
        chosen = data.take(select_flows(data, flows, seed))
        kind = chosen.flows["attack"]
        found, scores = [], []
        for name, (gradients, way) in searches(chosen, model).items():
            start = time.perf_counter()
            distances = way()
            row = {"choice": seed, "search": name, "gradients_a_flow": gradients}
            row |= {"seconds": time.perf_counter() - start, "success_ratio": float(np.isfinite(distances).mean())}
            scores.append([adversarial_robustness_score(distances[kind == one]) for one in np.unique(kind)])
            found.append(row | {"finite_scores": int(np.isfinite(scores[-1]).sum())})
        common = np.isfinite(scores).all(axis=0)
        means = np.array(scores)[:, common].mean(axis=1)
        rows += [row | {"mean_ars": float(mean)} for row, mean in zip(found, means, strict=True)]
    return rows


def arguments():
    parser = cli.parser(__doc__)
    parser.add_argument("--dataset", required=True, help="data set (HDF5)")
    parser.add_argument("--weights", required=True, help="model (safetensors)")
    parser.add_argument("--hidden-size", type=cli.positive(int), required=True, help="of the untrained detector")
    parser.add_argument("--num-layers", type=cli.positive(int), required=True, help="of the untrained detector")
    parser.add_argument("--flows", type=cli.positive(int), required=True, help="of random lengths")
    parser.add_argument("--ars-flows", type=cli.positive(int), required=True, help="of an attack type, for the ARS")
    parser.add_argument("--repeats", type=cli.positive(int), required=True, help="runs of each way")
    parser.add_argument("--threads", type=cli.positive(int), required=True, help="of torch")
    parser.add_argument("--device", choices=("cpu", "cuda"), required=True, help="where to compute; ART on the CPU")
    parser.add_argument("--folder", type=Path, required=True, help="output: for tables and pages")
    return parser.parse_args()


def main():
    args = arguments()
    warnings.filterwarnings("ignore")  # the libraries' own
    torch.set_num_threads(args.threads)
    data = load_dataset(args.dataset, TEST)
    model = load_detector(args.weights, data, args.device)
    _, batch = flows_to_attack(data, model, args.device)
    tables = {
        "attack_gradient": ("Gradients of attacks", lambda: measure_gradients(args)),
        "attack_libraries": ("Attacks of libraries", lambda: measure_libraries(batch, model, args.repeats, LENGTHS)),
        "attack_libraries_large": ("Attacks of libraries on a large detector", lambda: measure_speed(batch, args)),
        "enumeration": ("Enumeration", lambda: measure_enumeration(data, model, args.repeats)),
        "ars": ("Searches for the ARS", lambda: measure_ars(data, model, args.ars_flows)),
    }
    for name, (title, measure) in tables.items():
        rows = measure()
        write_csv(args.folder / f"{name}.csv", rows)
        words = [f"`make -C benchmarks attack`; medians of {args.repeats} runs in turn where it is speed that counts."]
        write_page(args.folder / f"{name}.md", title, words, rows)


if __name__ == "__main__":
    cli.run(main)
