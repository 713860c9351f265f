"""Training a detector: mean binary cross-entropy over all packets (Sec. II), resumable.

Everything random is drawn from (seed, epoch), so a run that was killed and resumed ends, on a
CPU, with the same weights as one that was not.
"""

import json
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from rnnids import cli
from rnnids.cli import Progress, log
from rnnids.datasets.features import NUM_FEATURES
from rnnids.datasets.flow_data import FlowData, batches_by_length
from rnnids.detectors.checkpoints import load_checkpoint, optimiser_tensors, restore_optimiser, save_checkpoint
from rnnids.detectors.clipped_adam import ClippedAdam
from rnnids.detectors.distributed import Group
from rnnids.detectors.gpu_memory import accumulated, halved
from rnnids.detectors.lstm import LSTMDetector
from rnnids.detectors.network import SUPPRESS, NetworkDetector
from rnnids.detectors.own import OwnDetector
from rnnids.detectors.packed_lstm import Packing, pack
from rnnids.detectors.protocol import require_gradient
from rnnids.errors import InputError
from rnnids.prefetch import prefetch
from rnnids.settings import check, setting

CLIP_NORM = 1.0  # gradients of an LSTM explode on rare batches; clipping is the usual remedy
ALONE = Group()
CURVE = ("epoch", "train_loss", "validation_loss", "validation_accuracy")


@dataclass(frozen=True, kw_only=True)
class Training:
    """What a detector is like, and how it is trained (Sec. II)."""

    detector: str = setting("lstm", "lstm, or FILE:CLASS, FILE.pt, FILE.onnx: one's own (docs/own_detector.md)")
    suppress: str = setting("none", "packets whose length and interarrival time are left out", choices=SUPPRESS)
    feature_dropout: bool = setting(False, "train with suppression flags as further inputs (Sec. V-A3)")
    hidden_size: int = setting(64, "units of a layer; the paper: 512", minimum=1)
    num_layers: int = setting(2, "layers; the paper: 3", minimum=1)
    epochs: int = setting(30, "passes over the training flows", minimum=1)
    learning_rate: float = setting(0.01, "of Adam, before its decay to 0", above=0)
    batch_packets: int = setting(512, "padded packets in a batch, at most", minimum=1)
    validation_fraction: float = setting(0.1, "of the training flows, held out", above=0, below=1)
    precision: str = setting("auto", "auto: bfloat16 on a GPU that has it; float32", choices=("auto", "float32"))

    def __post_init__(self) -> None:
        check(self)

    def new_detector(self) -> NetworkDetector:
        """A detector with weights that are drawn from torch's generator.

        Raises:
            InputError: a `detector` of one's own that cannot be made.
        """
        dropout = self.feature_dropout
        if self.detector == "lstm":
            return LSTMDetector(self.hidden_size, self.num_layers, self.suppress, feature_dropout=dropout)
        sizes = {"hidden_size": self.hidden_size, "num_layers": self.num_layers}
        return OwnDetector(self.detector, sizes, suppress=self.suppress, feature_dropout=dropout)


def hold_out(data: FlowData, fraction: float, seed: int) -> tuple[FlowData, FlowData]:
    """Divide training flows at random into (fitted, validation); both keep every flow once."""
    chosen = np.random.default_rng([seed, len(data)]).permutation(len(data))
    held_out = max(1, round(fraction * len(data)))
    if held_out >= len(data):
        raise InputError(f"training split: validation_fraction {fraction} of {len(data)} flows leaves none to fit")
    return data.take(np.sort(chosen[held_out:])), data.take(np.sort(chosen[:held_out]))


def check_classes(data: FlowData) -> None:
    """Raise InputError where the training split holds one class only."""
    if data.is_attack.all() or not data.is_attack.any():
        kind = "attack" if data.is_attack.any() else "benign"
        raise InputError(f"training split: all {len(data)} flows are {kind}; check the label rules and the split")


def fit(
    model: NetworkDetector,
    data: FlowData,
    settings: Training,
    *,
    checkpoint: str | Path,
    seed: int = 0,
    device: torch.device | str = "cpu",
    group: Group = ALONE,
    label: str = "training",
) -> tuple[dict[str, Tensor], list[dict[str, float]]]:
    """Train `model` in place and keep a checkpoint after every epoch; a network with a method `fit` does it at once.

    Args:
        model: with its initial weights. data: FlowData of the training split.
        checkpoint: path; an interrupted run of the same settings resumes from it.
        group: the processes that train together. label: of the lines that say how far it is.

    Returns:
        (state dict of the epoch with the smallest validation loss, rows of ``CURVE``);
        `model` itself holds the weights of the last epoch.

    Raises:
        InputError: one class only, too few flows to fit, neither gradient nor `fit`, or the loss diverges.
    """
    check_classes(data)
    fitted, validation = hold_out(data, settings.validation_fraction, seed)
    model.to(device)
    if isinstance(model, OwnDetector) and model.fits_itself:
        return _fit_at_once(model, fitted, validation, settings=settings, seed=seed)
    optimiser = adam(model, settings.learning_rate)
    run = _digest(model, data, settings, seed=seed)
    best, curve = _resume(checkpoint, run, model, optimiser=optimiser)
    log.info("%s: %d flows, %d more for validation, from epoch %d", label, len(fitted), len(validation), len(curve) + 1)
    remaining = Remaining(label, len(curve), settings.epochs)
    for epoch in range(len(curve), settings.epochs):
        loss = train_epoch(model, optimiser, fitted, settings=settings, epoch=epoch, seed=seed, group=group)
        validation_loss, accuracy = validate(model, validation, settings.batch_packets)
        if not math.isfinite(loss + validation_loss):
            raise InputError(f"epoch {epoch + 1}: training diverges; lower learning_rate {settings.learning_rate}")
        if not curve or validation_loss < min(row["validation_loss"] for row in curve):
            best = {name: value.detach().clone() for name, value in model.state_dict().items()}
        curve.append(dict(zip(CURVE, (epoch + 1, loss, validation_loss, accuracy), strict=True)))
        numbers = epoch + 1, settings.epochs, loss, validation_loss, accuracy
        log.info("epoch %d of %d: loss %.5f, validation loss %.5f, packet accuracy %.4f", *numbers)
        if group.rank == 0:
            remaining.tell(epoch)
            groups = {"model": model.state_dict(), "best": best, "adam": optimiser_tensors(optimiser)}
            save_checkpoint(checkpoint, run, groups, state=curve)
    return best, curve


def _fit_at_once(
    model: OwnDetector, fitted: FlowData, validation: FlowData, *, settings: Training, seed: int
) -> tuple[dict[str, Tensor], list[dict[str, float]]]:
    """As :func:`fit`, by the network's own method."""
    log.info("%d flows at once, %d more for validation", len(fitted), len(validation))
    model.fit_flows(fitted, np.random.default_rng([seed, 0]))
    loss, _ = validate(model, fitted, settings.batch_packets)
    row = dict(zip(CURVE, (1, loss, *validate(model, validation, settings.batch_packets)), strict=True))
    return {name: value.detach().clone() for name, value in model.state_dict().items()}, [row]


class Remaining:
    """Says now and then how far a training is, which begins with the epoch `first`."""

    def __init__(self, label: str, first: int, epochs: int) -> None:
        self.label, self.first, self.epochs = label, first, epochs
        self.begun = self.said = time.monotonic()

    def tell(self, epoch: int) -> None:
        """After an epoch, counted from 0."""
        now = time.monotonic()
        if epoch == self.first:  # compiles, too, and so says nothing of the others
            self.begun = now
        elif now - self.said >= cli.PLAIN_INTERVAL and epoch + 1 < self.epochs:
            self.said = now
            rest = cli.left(self.begun, epoch - self.first, self.epochs - self.first - 1)
            cli.tell("%s: epoch %d of %d, %s", self.label, epoch + 1, self.epochs, rest)


def _resume(
    checkpoint: str | Path, run: str, model: NetworkDetector, *, optimiser: torch.optim.Optimizer
) -> tuple[dict[str, Tensor], list[dict[str, float]]]:
    """(best weights, curve) so far, model and optimiser set to where the run stopped; both empty at its start."""
    found = load_checkpoint(checkpoint, run)
    if not found:
        return {}, []
    groups, curve = found
    model.load_state_dict(groups["model"])
    restore_optimiser(optimiser, groups["adam"])
    return groups["best"], curve


def adam(model: NetworkDetector, learning_rate: float) -> torch.optim.Optimizer:
    """The optimiser, which clips gradients to ``CLIP_NORM``; InputError where there are none."""
    require_gradient(model)
    if model.device.type == "cpu":
        return ClippedAdam(model.parameters(), lr=learning_rate, limit=CLIP_NORM)
    optimiser = torch.optim.Adam(model.parameters(), lr=learning_rate, fused=True)

    def clip(*_: object) -> None:
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)

    optimiser.register_step_pre_hook(clip)
    return optimiser


def train_epoch(
    model: NetworkDetector,
    optimiser: torch.optim.Optimizer,
    data: FlowData,
    *,
    settings: Training,
    epoch: int,
    seed: int = 0,
    group: Group = ALONE,
) -> float:
    """One pass over `data`; returns the mean loss per packet."""
    rng, device = np.random.default_rng([seed, epoch]), model.device
    batches = batches_by_length(data.packet_count, settings.batch_packets, rng)
    network = group.wrap(model)
    total = torch.zeros((), dtype=torch.float64, device=device)
    packets = int(data.packet_count.sum())
    model.train()
    with Progress(f"epoch {epoch + 1}", total=packets, unit="packets") as progress:
        ready = prefetch((rows, load_batch(data, rows[group.share(len(rows))[0]], device)) for rows in batches)
        for index, (rows, batch) in enumerate(ready):
            set_learning_rate(optimiser, settings, epoch + index / len(batches))
            suppressed = None
            if model.feature_dropout:  # each with probability 1/n, for a whole flow (Sec. V-A3)
                suppressed = torch.from_numpy(rng.random((len(rows), NUM_FEATURES)) < 1 / NUM_FEATURES).to(device)
            mine, weight = group.share(len(rows))
            chosen = None if suppressed is None else suppressed[mine]
            count = int(data.packet_count[rows].sum())
            # The processes' gradients are averaged; their sum over the batch's packets is meant.
            scale = Scale(weight, group.size, count)
            total += add_gradients(
                network, optimiser, batch, data=data, precision=settings.precision, scale=scale, suppressed=chosen
            )
            optimiser.step()
            progress.update(count)
    model.eval()
    return float(group.total(total)) / packets


def set_learning_rate(optimiser: torch.optim.Optimizer, settings: Training, epochs_done: float) -> None:
    """Half a cosine from the given rate to 0."""
    rate = settings.learning_rate * 0.5 * (1 + math.cos(math.pi * epochs_done / settings.epochs))
    for group in optimiser.param_groups:
        group["lr"] = rate


@dataclass(frozen=True)
class Batch:
    """B flows to train on: rows, P packed packets (P, 15) in z-scores, where they lie, label of each packet."""

    rows: np.ndarray
    packets: Tensor
    packing: Packing
    labels: Tensor


def load_batch(data: FlowData, rows: np.ndarray, device: torch.device) -> Batch:
    """The flows `rows` of a FlowData on `device`, which computes on meanwhile."""
    count = data.packet_count[rows]
    packing = pack(count)
    first = torch.from_numpy(np.cumsum(count) - count)
    labels = torch.from_numpy(data.is_attack[rows].astype(np.float32))[packing.flow]
    packets = torch.from_numpy(data.normalised(rows))[first[packing.flow] + packing.step]
    if device.type == "cuda":
        packing = pack(count, device)
        packets, labels = (tensor.pin_memory().to(device, non_blocking=True) for tensor in (packets, labels))
    return Batch(rows, packets, packing, labels)


class Scale(NamedTuple):
    """What the loss of a batch counts for: `weight` in the sum, times `processes` / `packets` in gradients."""

    weight: float
    processes: int
    packets: int


def add_gradients(
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    batch: Batch,
    *,
    data: FlowData,
    precision: str,
    scale: Scale,
    suppressed: Tensor | None = None,
) -> Tensor:
    """The loss of a Batch of flows of `data`, whose gradients the optimiser's parameters have then, and no others.

    Where the memory of a GPU is too small, the sum is taken over parts of the batch, one after the other; not where
    processes train together, of which each awaits the gradients of the others.
    """
    losses: list[Tensor] = []

    def add(places: np.ndarray) -> None:
        whole = len(places) == len(batch.rows)
        part = batch if whole else load_batch(data, batch.rows[places], batch.packets.device)
        chosen = suppressed if suppressed is None or whole else suppressed[torch.from_numpy(places)]
        loss = scale.weight * summed_loss(network, part, precision, suppressed=chosen)
        (loss * scale.processes / scale.packets).backward()
        losses.append(loss.detach())

    def restart() -> None:
        optimiser.zero_grad()
        losses.clear()

    places = np.arange(len(batch.rows))
    if scale.processes > 1:
        restart()
        add(places)
    else:
        accumulated(add, places, restart=restart)
    return torch.stack(losses).sum()


def summed_loss(model: nn.Module, batch: Batch, precision: str, *, suppressed: Tensor | None = None) -> Tensor:
    """Binary cross-entropy summed over the packets of a Batch, each with its flow's label."""
    device = batch.packets.device
    if device.type == "cpu" and isinstance(model, LSTMDetector):
        return model.summed_loss(batch.packets, batch.labels, batch.packing, suppressed=suppressed)
    with torch.autocast(device.type, torch.bfloat16, enabled=use_bfloat16(precision, device)):
        logits = model(batch.packets, packing=batch.packing, suppressed=suppressed)
    return functional.binary_cross_entropy_with_logits(logits.float(), batch.labels, reduction="sum")


def use_bfloat16(precision: str, device: torch.device) -> bool:
    """Whether matrix products run in bfloat16: only on a card that has it, never on a CPU."""
    return precision == "auto" and device.type == "cuda" and torch.cuda.is_bf16_supported()


@torch.no_grad()
def validate(model: NetworkDetector, data: FlowData, batch_packets: int) -> tuple[float, float]:
    """(mean loss, accuracy) per packet of `data`."""
    loss, correct, packets = 0.0, 0, 0

    def add(rows: np.ndarray) -> None:
        nonlocal loss, correct, packets
        batch = load_batch(data, rows, model.device)
        logits = model(batch.packets, packing=batch.packing).float()
        of_batch = float(functional.binary_cross_entropy_with_logits(logits, batch.labels, reduction="sum"))
        right = int(((logits > 0) == (batch.labels > 0)).sum())
        loss, correct, packets = loss + of_batch, correct + right, packets + len(logits)

    for rows in batches_by_length(data.packet_count, batch_packets):
        halved(add, rows)
    return loss / packets, correct / packets


def _digest(model: NetworkDetector, data: FlowData, settings: Training, *, seed: int) -> str:
    """Text that differs whenever a checkpoint must not be resumed."""
    return json.dumps([model.architecture, asdict(settings), seed, data.digest()])
