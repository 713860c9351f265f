"""Detectors that a descent alone cannot be trusted with, and small attack flows for them."""

from collections.abc import Callable
from dataclasses import replace

import detectors
import numpy as np
import torch
from explained import INDEX, StandIn

from rnnids.attacks.targets import select_flows
from rnnids.datasets.flow_data import FlowData

LENGTH, IAT = INDEX["packet_length"], INDEX["interarrival_time"]


def targets(count: int, *, seed: int = 0, longest: int = 6) -> FlowData:
    """`count` attack flows, half of each type; a third of the packets carry no payload."""
    data = detectors.flows(4 * count, seed=seed, longest=longest)
    flows = data.take(select_flows(data, None, 0)).take(np.arange(0, 2 * count, 2))
    empty = np.random.default_rng(seed).random(len(flows.packets["length"])) < 1 / 3
    payload = np.where(empty, 0, flows.packets["length"] - 40)
    return replace(flows, row=np.arange(count), packets=flows.packets | {"payload_length": payload})


def mean_so_far(values: torch.Tensor) -> torch.Tensor:
    """(B, T) means of each row up to each place."""
    return values.cumsum(dim=1) / torch.arange(1, values.shape[1] + 1)


def _ridge(x: torch.Tensor) -> torch.Tensor:
    return mean_so_far(0.4 + torch.sin(3 * x[..., LENGTH] + 2.7) + 0.3 * torch.cos(2 * x[..., IAT].clamp(max=2) + 2))


def _steps(x: torch.Tensor) -> torch.Tensor:
    return 0.5 - mean_so_far(torch.round(4 * x[..., LENGTH] + 2 * x[..., IAT]) / 4)


def ridge() -> StandIn:
    """The first added bytes raise the logit, and further ones lower and raise it again."""
    return StandIn(_ridge)


def steps() -> StandIn:
    """Piecewise constant: its gradient is 0 everywhere."""
    return StandIn(lambda x: _steps(x) + 0 * x[..., LENGTH])


def without_gradient(logit: Callable[[torch.Tensor], torch.Tensor] = _steps) -> StandIn:
    """It says that it cannot be derived, and cannot."""
    detector = StandIn(lambda x: logit(x.detach()))
    detector.differentiable = False
    return detector


def inert() -> StandIn:
    """Its logit does not depend on what an attacker can change."""
    return StandIn(lambda x: 1 + 0.1 * torch.tanh(x[..., INDEX["source_port"]]) + 0 * x[..., LENGTH])
