"""Adversarial training (Sec. VI-B): the training split plus one CW flow per attack flow.

Training on all flows and re-optimising the adversarial ones alternate so that both cost the same
number of backward passes. An adversarial flow goes on from where its last optimisation left it.
"""

import json
import math
from dataclasses import asdict, dataclass

import numpy as np
import torch

from rnnids.attacks.ars import ars_rows
from rnnids.attacks.feasible_set import IAT, LENGTH, packet_values
from rnnids.attacks.gradient import Settings as AttackSettings
from rnnids.attacks.gradient import carlini_wagner, make_batch
from rnnids.attacks.minimum_norm import Settings as MinimumNorm
from rnnids.attacks.minimum_norm import nearest_distances
from rnnids.attacks.targets import select_flows
from rnnids.cli import Progress, log
from rnnids.datasets.flow_data import batches_by_length, concatenate, is_packet
from rnnids.detectors import training
from rnnids.detectors.checkpoints import load_checkpoint, optimiser_tensors, restore_optimiser, save_checkpoint

CURVE = ("epoch", "train_loss", "training_passes", "attack_passes", "fooled")


@dataclass(frozen=True)
class Schedule:
    """How adversarial training and its scoring alternate.

    Attributes:
        training: how to train; its epochs are all epochs together (the paper: 50).
        attack: CW's settings; `iterations` per visit of a flow (the paper: 10) at kappa 1.
        kappa: trade-off of the attack on the training flows.
        batch_packets: of the attacks, padded packets at most.
        score_every: epochs between two scores (Fig. 10).
        search, score_flows: the attack and the flows per type behind the ARS.
        samples: bootstrap resamples of the score.
    """

    training: training.Settings
    attack: AttackSettings
    kappa: float
    batch_packets: int
    score_every: int
    search: MinimumNorm
    score_flows: int | None
    samples: int


class AdversarialFlows:
    """One adversarial flow per attack flow of the training split, improved in turn.

    Attributes:
        source: FlowData of the attack flows as they were.
        flows: FlowData of the same flows as the attacker sends them now.
        visited: visits so far; flow ``visited % len(source)`` is next.
    """

    def __init__(self, data):
        self.source = data.take(data.is_attack)
        self.flows = data.take(data.is_attack)
        self.visited = 0

    def improve(self, model, visits, kappa, settings, batch_packets, device):
        """Optimise the next `visits` flows; returns (backward passes, share of them that is benign now)."""
        rows = (self.visited + np.arange(min(visits, len(self.source)))) % len(self.source)
        self.visited += len(rows)
        fooled = 0
        with Progress("adversarial flows", total=len(rows), unit="flows") as progress:
            for batch in batches_by_length(self.source.packet_count[rows], batch_packets):
                chosen = rows[batch]
                problem = make_batch(self.source, chosen, settings.mtu, device)
                start = torch.from_numpy(self.padded_values(chosen)).to(device)
                kept = carlini_wagner(model, problem, kappa, settings, start)
                length, iat_ns = packet_values(kept.values, self.source.packet_count[chosen])
                packet_rows = self.flows.packet_rows(chosen)
                self.flows.packets["length"][packet_rows] = length
                self.flows.packets["iat_ns"][packet_rows] = iat_ns
                fooled += int((kept.logit <= 0).sum())
                progress.update(len(chosen))
        return len(rows) * passes_per_visit(kappa, settings), fooled / len(rows)

    def padded_values(self, rows):
        """Raw values of the adversarial flows `rows`: (B, T, 2) float64, bytes and ns."""
        packet = is_packet(self.flows.packet_count[rows])
        values = np.zeros((*packet.shape, 2))
        packet_rows = self.flows.packet_rows(rows)
        values[packet, LENGTH] = self.flows.packets["length"][packet_rows]
        values[packet, IAT] = self.flows.packets["iat_ns"][packet_rows]
        return values


def passes_per_visit(kappa, settings):
    """Backward passes of one CW attack on one flow: its iterations; the last iterate is only looked at."""
    return math.ceil(settings.iterations * kappa)


def fit(model, data, test, schedule, checkpoint, device="cpu"):
    """Train `model` adversarially in place, with a checkpoint after every epoch.

    Args:
        model: a trained Detector. data, test: FlowData of the two splits.

    Returns:
        (rows of ``CURVE``, rows of ars_by_epoch.csv, AdversarialFlows).
    """
    device = torch.device(device)
    model.to(device).requires_grad_(True)
    optimiser = training.adam(model, schedule.training.learning_rate)
    adversarial = AdversarialFlows(data)
    run = json.dumps([asdict(schedule), model.architecture, data.digest()])
    if found := load_checkpoint(checkpoint, run):
        groups, (curve, scores, adversarial.visited) = found
        model.load_state_dict(groups["model"])
        restore_optimiser(optimiser, groups["adam"])
        for name, column in groups["adversarial"].items():
            adversarial.flows.packets[name][:] = column.numpy()
    else:
        curve, scores = [], score(model, test, schedule, 0)
    for epoch in range(len(curve), schedule.training.epochs):
        curve.append(_epoch(model, optimiser, data, adversarial, schedule, epoch, device))
        if (epoch + 1) % schedule.score_every == 0:
            scores += score(model, test, schedule, epoch + 1)
        changed = {name: adversarial.flows.packets[name] for name in ("length", "iat_ns")}
        groups = {"model": model.state_dict(), "adam": optimiser_tensors(optimiser), "adversarial": changed}
        save_checkpoint(checkpoint, run, groups, [curve, scores, adversarial.visited])
    return curve, scores, adversarial


def _epoch(model, optimiser, data, adversarial, schedule, epoch, device):
    """Train on all flows once, then spend as many backward passes on the adversarial flows."""
    augmented = concatenate(data, adversarial.flows)
    loss = training.train_epoch(model, optimiser, augmented, schedule.training, epoch, device)
    visits = round(len(augmented) / passes_per_visit(schedule.kappa, schedule.attack))
    passes, fooled = adversarial.improve(model, visits, schedule.kappa, schedule.attack, schedule.batch_packets, device)
    log.info("epoch %d: loss %.5f, %.1f %% of the visited flows fool the model", epoch + 1, loss, 100 * fooled)
    return dict(zip(CURVE, (epoch + 1, loss, len(augmented), passes, fooled), strict=True))


def score(model, test, schedule, epoch):
    """Rows of ars_by_epoch.csv after `epoch` epochs."""
    rows = select_flows(test, schedule.score_flows, schedule.training.seed)
    distances = nearest_distances(model, test, rows, schedule.search, schedule.batch_packets, "score")
    rng = np.random.default_rng(schedule.training.seed)
    columns = ("attack", "category", "flows", "ars", "low", "high", "success_ratio")
    found = ars_rows(*(test.flows[name][rows] for name in ("attack", "category")), distances, schedule.samples, rng)
    for row in found:
        row |= {"attack": test.attacks[row["attack"]], "category": test.categories[row["category"]]}
    return [{"epoch": epoch} | {name: row[name] for name in columns} for row in found]
