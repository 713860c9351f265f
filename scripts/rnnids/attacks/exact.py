"""Exact distances, where a flow has so few free numbers that all their values can be tried."""

import math

import torch
from torch import Tensor

from rnnids.attacks.candidates import Nearest, Problem
from rnnids.attacks.feasible_set import IAT


def free_numbers(problem: Problem) -> Tensor:
    """(B,) numbers of each flow that the attacker can change."""
    return (problem.limit > 0).sum(dim=(1, 2))


def enumerate_flows(problem: Problem, nearest: Nearest, most: int, *, member: int) -> Tensor:
    """Try all values of flows whose free numbers are lengths alone and have at most `most` combinations.

    Returns:
        (B,) bool: flows whose nearest evasion is proven, also where there is none.
    """
    growth = torch.round(problem.limit * problem.scale / problem.batch.feasible.grid).long()
    only_lengths = (growth[..., IAT] == 0).all(dim=1)
    combinations = (growth + 1).double().log().sum(dim=(1, 2))
    small = only_lengths & (growth.sum(dim=(1, 2)) > 0) & (combinations <= math.log(most) + 1e-9)
    unit = problem.batch.feasible.grid / problem.scale
    for flow in torch.nonzero(small).flatten().tolist():
        alone = torch.tensor([flow], device=growth.device)
        # From its first packet on, a flow is quicker run as a whole: no state has to be multiplied.
        late = not growth[flow, 0].any()
        base = problem.base(problem.batch.feasible.original[alone], alone) if late else None
        for change in _grid(growth[flow], unit):
            owner = torch.full((len(change),), flow, device=growth.device)
            nearest.try_changes(change, owner, member=member, base=base)
    return small


PIECE = 1 << 15  # points at a time


def _grid(growth: Tensor, unit: Tensor) -> list[Tensor]:
    """All changes (n, T, 2) in z-scores of a flow whose numbers can grow by `growth` (T, 2) units, in pieces."""
    places = torch.nonzero(growth)
    ranges = [torch.arange(int(growth[step, column]) + 1, device=growth.device) for step, column in places.tolist()]
    points = torch.cartesian_prod(*ranges).reshape(-1, len(ranges)).to(unit.dtype)
    pieces = []
    for first in range(0, len(points), PIECE):
        piece = points[first : first + PIECE]
        change = unit.new_zeros((len(piece), *growth.shape))
        for number, (step, column) in enumerate(places.tolist()):
            change[:, step, column] = piece[:, number] * unit[column]
        pieces.append(change)
    return pieces
