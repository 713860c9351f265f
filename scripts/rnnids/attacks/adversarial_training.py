"""Adversarial training (Sec. VI-B): the training split plus one CW flow per attack flow.

Training on all flows and re-optimising the adversarial ones alternate so that both cost the same
number of backward passes. An adversarial flow goes on from where its last optimisation left it.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rnnids.attacks.ars import ars_rows
from rnnids.attacks.candidates import largest_growth
from rnnids.attacks.descent import Batch, decisive_logits, make_batch
from rnnids.attacks.feasible_set import ThreatModel, packet_values, project, raw_scale, raw_values
from rnnids.attacks.gradient import CarliniWagner
from rnnids.attacks.minimum_norm import MinimumNorm
from rnnids.attacks.random_points import random_changes
from rnnids.attacks.targets import select_flows
from rnnids.cli import Progress, log
from rnnids.datasets.flow_data import FlowData, batches_by_length, concatenate
from rnnids.detectors import training
from rnnids.detectors.checkpoints import load_checkpoint, optimiser_tensors, restore_optimiser, save_checkpoint
from rnnids.detectors.network import NetworkDetector
from rnnids.detectors.training import Training
from rnnids.settings import check, setting

CURVE = ("epoch", "train_loss", "training_passes", "attack_passes", "fooled")


@dataclass(frozen=True, kw_only=True)
class AdversarialTraining:
    """How adversarial training and its scoring alternate (Sec. VI-B)."""

    epochs: int = setting(6, "of training, in all; the paper: 50", minimum=1)
    training_learning_rate: float = setting(0.005, "of Adam, before its decay to 0", above=0)
    kappa: float = setting(1.0, "of the attacks on training flows", above=0)
    far_starts: int = setting(
        0, "random far points, at each visit, of which the one of least logit may be where the attack begins", minimum=0
    )
    visit_iterations: int = setting(10, "of CW each time a flow's turn comes, at kappa 1", minimum=1)
    score_every: int = setting(1, "epochs between two scores (Fig. 10)", minimum=1)
    score_flows: int | None = setting(20, "attack flows of a type behind a score, at most; none: all", minimum=1)
    bootstrap_samples: int = setting(200, "resamples behind the 95 % intervals of a score", minimum=1)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class Schedule:
    """Everything that adversarial training does.

    Attributes:
        settings: how training and scoring alternate. training: batches and precision of training.
        attack: on the training flows; what it does at a visit. search: the attack behind the ARS.
        threat_model: of both. batch_packets: of both, padded packets at most.
        adversarial: whether there are adversarial flows at all; without, it is the control of equal length.
    """

    settings: AdversarialTraining
    training: Training
    attack: CarliniWagner
    search: MinimumNorm
    threat_model: ThreatModel
    batch_packets: int
    adversarial: bool = True


class AdversarialFlows:
    """One adversarial flow per attack flow of the training split, improved in turn.

    Attributes:
        source: FlowData of the attack flows as they were.
        flows: FlowData of the same flows as the attacker sends them now.
        visited: visits so far; flow ``visited % len(source)`` is next.
    """

    def __init__(self, data: FlowData) -> None:
        self.source = data.take(data.is_attack)
        self.flows = data.take(data.is_attack)
        self.visited = 0

    def improve(self, detector: NetworkDetector, visits: int, schedule: Schedule) -> tuple[int, float]:
        """Optimise the next `visits` flows; returns (backward passes, share of them that is benign now)."""
        rows = (self.visited + np.arange(min(visits, len(self.source)))) % len(self.source)
        self.visited += len(rows)
        fooled = 0
        with Progress("adversarial flows", total=len(rows), unit="flows") as progress:
            for batch in batches_by_length(self.source.packet_count[rows], schedule.batch_packets):
                chosen = rows[batch]
                problem = make_batch(self.source, chosen, schedule.threat_model, device=detector.device)
                start = torch.from_numpy(raw_values(self.flows, chosen)).to(detector.device)
                start = far_start(detector, problem, start, draws=schedule.settings.far_starts, visit=self.visited)
                kept = schedule.attack.run(detector, problem, start)
                length, iat_ns = packet_values(kept.values, self.source.packet_count[chosen])
                packet_rows = self.flows.packet_rows(chosen)
                self.flows.packets["length"][packet_rows] = length
                self.flows.packets["iat_ns"][packet_rows] = iat_ns
                fooled += int((kept.logit <= 0).sum())
                progress.update(len(chosen))
        return len(rows) * schedule.attack.passes, fooled / len(rows)


@torch.no_grad()
def far_start(detector: NetworkDetector, batch: Batch, start: Tensor, *, draws: int, visit: int) -> Tensor:
    """Where an attack on a batch of B flows begins: (B, T, 2), of `start` and random points that of least logit.

    A descent that goes on from where it was sees one slope of the detector; training against it alone leaves
    evasions behind every other hill, which random points find (docs/robustness.md).

    Args:
        draws: random points of each flow; 0: `start` itself. visit: tells the visits of a flow apart.
    """
    if not draws:
        return start
    limit = largest_growth(batch).cpu().numpy()
    scale, original = raw_scale(batch.std), batch.feasible.original
    changes = []
    for row, own, count in zip(batch.rows, limit, batch.lengths, strict=True):
        drawn = np.zeros((draws, *own.shape))
        drawn[:, :count] = random_changes(own[:count], draws, np.random.default_rng([visit, int(row)]))
        changes.append(drawn)
    least = decisive_logits(detector, batch, start)
    for change in torch.from_numpy(np.stack(changes, axis=1)).to(start.device):
        values = project(original + change * scale, batch.feasible)
        logit = decisive_logits(detector, batch, values)
        start = torch.where((logit < least)[:, None, None], values, start)
        least = torch.minimum(logit, least)
    return start


def fit(
    detector: NetworkDetector,
    data: FlowData,
    test: FlowData | None,
    *,
    schedule: Schedule,
    checkpoint: str | Path,
    seed: int = 0,
) -> tuple[list[dict], list[dict], AdversarialFlows]:
    """Train `detector` adversarially in place, with a checkpoint after every epoch.

    Args:
        detector: trained already. data, test: FlowData of the two splits; without `test` nothing is scored.

    Returns:
        (rows of ``CURVE``, rows of ars_by_epoch.csv, AdversarialFlows).
    """
    detector.requires_grad_(True)
    optimiser = training.adam(detector, schedule.settings.training_learning_rate)
    adversarial = AdversarialFlows(data)
    run = json.dumps([asdict(schedule), detector.architecture, seed, data.digest()])
    if found := load_checkpoint(checkpoint, run):
        groups, (curve, scores, adversarial.visited) = found
        detector.load_state_dict(groups["model"])
        restore_optimiser(optimiser, groups["adam"])
        for name, column in groups["adversarial"].items():
            adversarial.flows.packets[name][:] = column.numpy()
    else:
        curve, scores = [], score(detector, test, schedule, epoch=0, seed=seed) if test is not None else []
    for epoch in range(len(curve), schedule.settings.epochs):
        done = _epoch(detector, optimiser, data, adversarial=adversarial, schedule=schedule, epoch=epoch, seed=seed)
        curve.append(done)
        if test is not None and (epoch + 1) % schedule.settings.score_every == 0:
            scores += score(detector, test, schedule, epoch=epoch + 1, seed=seed)
        changed = {name: torch.from_numpy(adversarial.flows.packets[name]) for name in ("length", "iat_ns")}
        groups = {"model": detector.state_dict(), "adam": optimiser_tensors(optimiser), "adversarial": changed}
        save_checkpoint(checkpoint, run, groups, state=[curve, scores, adversarial.visited])
    return curve, scores, adversarial


def _epoch(
    detector: NetworkDetector,
    optimiser: torch.optim.Optimizer,
    data: FlowData,
    *,
    adversarial: AdversarialFlows,
    schedule: Schedule,
    epoch: int,
    seed: int,
) -> dict[str, Any]:
    """Train on all flows once, then spend as many backward passes on the adversarial flows."""
    augmented = concatenate(data, adversarial.flows) if schedule.adversarial else data
    loss = training.train_epoch(detector, optimiser, augmented, settings=schedule.training, epoch=epoch, seed=seed)
    if not schedule.adversarial:
        log.info("epoch %d: loss %.5f", epoch + 1, loss)
        return dict(zip(CURVE, (epoch + 1, loss, len(augmented), 0, 0.0), strict=True))
    visits = round(len(augmented) / schedule.attack.passes)
    passes, fooled = adversarial.improve(detector, visits, schedule)
    log.info("epoch %d: loss %.5f, %.1f %% of the visited flows fool the model", epoch + 1, loss, 100 * fooled)
    return dict(zip(CURVE, (epoch + 1, loss, len(augmented), passes, fooled), strict=True))


def score(detector: NetworkDetector, test: FlowData, schedule: Schedule, *, epoch: int, seed: int) -> list[dict]:
    """Rows of ars_by_epoch.csv after `epoch` epochs."""
    flows = test.take(select_flows(test, schedule.settings.score_flows, seed))
    result = schedule.search(
        detector, flows, threat_model=schedule.threat_model, batch_packets=schedule.batch_packets, label="score"
    )
    distances = np.where(result.success, result.l1, np.inf)
    columns: Sequence[str] = ("attack", "category", "flows", "ars", "low", "high", "success_ratio")
    attack, category = (flows.flows[name] for name in ("attack", "category"))
    samples = schedule.settings.bootstrap_samples
    found = ars_rows(attack, category, distances, samples=samples, rng=np.random.default_rng(seed))
    for row in found:
        row |= {"attack": test.attacks[row["attack"]], "category": test.categories[row["category"]]}
    return [{"epoch": epoch} | {name: row[name] for name in columns} for row in found]
