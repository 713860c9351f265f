"""Members of the search that take no gradient: evasions drawn in, single numbers tried, single changes lowered."""

import torch
from torch import Tensor

from rnnids.attacks.candidates import NUMBER, Nearest, Problem, least_of_each
from rnnids.attacks.random_points import SMALLEST

SEGMENT = 8  # points at a time on the way from the original to an evasion


def segment(problem: Problem, nearest: Nearest, flows: Tensor, *, place: int) -> None:
    """Pull evasions straight towards the original: points on the way, then before the first of them that evades."""
    chosen = nearest.moved(flows, place)
    if not len(chosen):
        return
    change = nearest.change(place)[chosen]
    low, high = change.new_zeros(len(chosen)), change.new_ones(len(chosen))
    for _ in range(3):
        shares = low[:, None] + (high - low)[:, None] * torch.arange(1, SEGMENT, device=low.device) / SEGMENT
        owner = chosen.repeat_interleave(SEGMENT - 1)
        moved = (change[:, None] * shares[..., None, None]).flatten(0, 1)
        _, logit = nearest.try_changes(moved, owner, member=NUMBER["segment"])
        evades = logit.unflatten(0, shares.shape) <= problem.thresholds[place]
        first = torch.where(evades.any(dim=1), evades.long().argmax(dim=1), SEGMENT - 1)
        width = (high - low) / SEGMENT
        low, high = low + first * width, low + (first + 1) * width


def coordinates(problem: Problem, nearest: Nearest, flows: Tensor, *, values: int, depth: int) -> None:
    """Try each number alone, at many values nearer than what was found; then a second one beside the best first.

    Args:
        values: of a number at a time. depth: numbers changed at most.
    """
    base = torch.zeros_like(problem.limit)
    for _ in range(depth):
        spent = base.sum(dim=(1, 2))
        radius = nearest.l1[0] - spent
        open_flows = flows[radius[flows] > SMALLEST]
        owner, step, column = _movable(problem.limit - base, open_flows)
        if not len(owner):
            return
        near = problem.base(problem.feasible(base[open_flows], open_flows), open_flows)
        room = torch.minimum((problem.limit - base)[owner, step, column], radius[owner])
        # From a grid unit up to the room: half by equal ratios, since near points matter most, and half by equal
        # steps, since an evasion can be narrow far away.
        unit = (problem.batch.feasible.grid / problem.scale)[column]
        ratio = (room / unit).clamp(min=1.0)
        powers = torch.linspace(0, 1, values - values // 2, device=room.device, dtype=room.dtype)
        shares = torch.arange(1, values // 2 + 1, device=room.device, dtype=room.dtype) / (values // 2 + 1)
        tried = torch.cat([unit[:, None] * ratio[:, None] ** powers, room[:, None] * shares], dim=1)
        index = owner.repeat_interleave(values)
        change = base[index]
        place = torch.arange(len(index), device=index.device)
        change[place, step.repeat_interleave(values), column.repeat_interleave(values)] += tried.flatten()
        _, logit = nearest.try_changes(change, index, member=NUMBER["coordinates"], base=near)
        base = base.clone()
        # The point from which a second number leads on: where the logit is least.
        least = least_of_each(index, logit)
        base[index[least]] = change[least]


def _movable(limit: Tensor, flows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(flow, step, column) of each number that can change, of some flows."""
    found = torch.nonzero(limit[flows] > SMALLEST)
    return flows[found[:, 0]], found[:, 1], found[:, 2]


SHARES = (0.0, 0.5, 0.8, 0.95)  # of a change, to which polishing lowers it


def polish(problem: Problem, nearest: Nearest, flows: Tensor, *, rounds: int, place: int) -> None:
    """Lower or drop single changes of the evasions found while they evade, the best of all in each round."""
    active = nearest.moved(flows, place)
    for _ in range(rounds):
        if not len(active):
            return
        change = nearest.change(place)
        owner, step, column = _movable(change, active)
        before = nearest.l1[place].clone()
        index = owner.repeat_interleave(len(SHARES))
        moved = change[index]
        shares = torch.tensor(SHARES, dtype=moved.dtype, device=moved.device).repeat(len(owner))
        rows = torch.arange(len(index), device=index.device)
        at = rows, step.repeat_interleave(len(SHARES)), column.repeat_interleave(len(SHARES))
        moved[at] = moved[at] * shares
        near = problem.base(nearest.values[place][active], active)
        nearest.try_changes(moved, index, member=NUMBER["polish"], base=near)
        active = active[nearest.l1[place][active] < before[active] * (1 - 1e-3)]
