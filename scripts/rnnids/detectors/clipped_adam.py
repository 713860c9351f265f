"""Adam (Kingma & Ba 2015) on clipped gradients: two compiled passes over all weights of a small network on a CPU.

Torch's fused Adam and its clipping take several calls for each tensor; with a few hundred packets in a batch that was a
tenth of the time of training.
"""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rnnids.machine_code import njit

DECAY_MEAN, DECAY_SQUARE, EPSILON = 0.9, 0.999, 1e-8  # torch's defaults


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "reassoc"})
def squared_norm(values: np.ndarray) -> float:
    """Sum of the squares of (n,) numbers, added in as many lanes as the processor has."""
    total = 0.0
    for i in range(len(values)):
        total += np.float64(values[i]) * np.float64(values[i])
    return total


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def adam_changes(
    gradient: np.ndarray,
    mean: np.ndarray,
    square: np.ndarray,
    limit: float,
    rate: float,
    step: int,
    changes: np.ndarray,
) -> None:
    """Fill `changes` (n,) float32, to be added to the weights.

    Args:
        gradient: (n,). limit: of its L2 norm, to which it is cut.
        mean, square: (n,), the running means of the gradient and of its square, brought up to date.
        rate: the learning rate. step: the number of this one, from 1.
    """
    cut = np.float32(min(1.0, limit / (math.sqrt(squared_norm(gradient)) + 1e-6)))
    keep_mean, add_mean = np.float32(DECAY_MEAN), np.float32(1 - DECAY_MEAN)
    keep_square, add_square = np.float32(DECAY_SQUARE), np.float32(1 - DECAY_SQUARE)
    # Both means begin at 0 and are too small at first.
    factor = np.float32(-rate / (1 - DECAY_MEAN**step))
    spread, tiny = np.float32(1 / math.sqrt(1 - DECAY_SQUARE**step)), np.float32(EPSILON)
    for i in range(len(gradient)):
        slope = gradient[i] * cut
        mean[i] = keep_mean * mean[i] + add_mean * slope
        square[i] = keep_square * square[i] + add_square * slope * slope
        changes[i] = factor * mean[i] / (np.sqrt(square[i]) * spread + tiny)


class ClippedAdam(torch.optim.Optimizer):
    """What ``clip_grad_norm_`` and ``torch.optim.Adam`` compute, for float32 weights on a CPU, all with a gradient."""

    def __init__(self, parameters: Iterable[nn.Parameter], *, lr: float, limit: float) -> None:
        """Begin at step 0.

        Args:
            lr: the learning rate. limit: L2 norm to which the gradient over all `parameters` is cut.
        """
        super().__init__(parameters, {"lr": lr})
        self.limit, self.steps = limit, 0
        self.weights: list[Tensor] = self.param_groups[0]["params"]
        sizes = [weight.numel() for weight in self.weights]
        self.mean, self.square, self.changes = (np.zeros(sum(sizes), dtype=np.float32) for _ in range(3))
        self.pieces = {
            name: list(map(Tensor.view_as, torch.from_numpy(values).split(sizes), self.weights))
            for name, values in (("exp_avg", self.mean), ("exp_avg_sq", self.square), ("changes", self.changes))
        }

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Change the weights by their gradients."""
        self.steps += 1
        gradient = torch.cat([weight.grad.flatten() for weight in self.weights if weight.grad is not None]).numpy()
        rate = self.param_groups[0]["lr"]
        adam_changes(gradient, self.mean, self.square, self.limit, rate, self.steps, self.changes)
        torch._foreach_add_(self.weights, self.pieces["changes"])

    def state_dict(self) -> dict[str, Any]:
        """As of ``torch.optim.Adam``."""
        names = ("exp_avg", "exp_avg_sq")
        state = {
            number: {"step": torch.tensor(float(self.steps))} | {name: self.pieces[name][number] for name in names}
            for number in range(len(self.weights))
        }
        return {"state": state, "param_groups": super().state_dict()["param_groups"]}

    @torch.no_grad()
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a ``state_dict``."""
        for number, values in state_dict["state"].items():
            self.steps = int(values["step"])
            for name in ("exp_avg", "exp_avg_sq"):
                self.pieces[name][number].copy_(values[name])
