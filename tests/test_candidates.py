"""What all members of the search work with: copies of flows evaluated in pieces, and the nearest kept of each."""

import math
from dataclasses import replace

import detectors
import gru
import numpy as np
import pytest
import rugged
import torch

from rnnids.attacks.candidates import Nearest, Problem, largest_growth
from rnnids.attacks.descent import decisive_logits, make_batch
from rnnids.attacks.feasible_set import ThreatModel


def problem(goal="last", batch_packets=8192, threat=None):
    detector, _ = detectors.trained()
    flows = rugged.targets(10)
    rows = np.argsort(-flows.packet_count, kind="stable")
    batch = make_batch(flows, rows, threat or ThreatModel())
    return Problem(detector, batch, goal, (0.0, -0.2), batch_packets, largest_growth(batch))


@pytest.mark.parametrize("goal", ["last", "all"])
@pytest.mark.parametrize("batch_packets", [1, 20, 8192])
def test_copies_get_the_logits_that_whole_batches_get(goal, batch_packets):
    given = problem(goal, batch_packets)
    owner = torch.arange(10).repeat_interleave(3)
    share = torch.rand((30, *given.limit.shape[1:]), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    values = given.feasible(share * given.limit[owner], owner)
    logits = given.evaluate(values, owner).reshape(10, 3)
    for copy in range(3):
        expected = decisive_logits(given.detector, given.batch, values[copy::3], goal=goal)
        torch.testing.assert_close(logits[:, copy], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("goal", ["last", "all"])
@pytest.mark.parametrize("batch_packets", [1, 20, 8192])
def test_copies_near_flows_that_were_seen_get_the_very_same_logits(goal, batch_packets):
    given = problem(goal, batch_packets)
    some = torch.tensor([0, 2, 3, 4, 7, 9])
    rng = np.random.default_rng(0)
    share = torch.from_numpy(rng.random((10, *given.limit.shape[1:]))) * 0.5
    base = given.feasible((share * given.limit)[some], some)
    owner = some.repeat_interleave(12)
    values = base.repeat_interleave(12, dim=0)
    for row, flow in enumerate(owner.tolist()):
        if row % 12:  # the first of each is as the base
            step, column = rng.integers(given.batch.lengths[flow]), rng.integers(2)
            values[row, step, column] += 1 if column == 0 else 1e6
    expected = given.evaluate(values, owner)
    found = given.evaluate(values, owner, given.base(base, some))
    assert torch.equal(found, expected)
    assert len(torch.unique(expected)) > len(some)


def test_a_detector_that_cannot_go_on_sees_whole_flows():
    given = replace(problem(), detector=gru.GRUDetector())
    assert given.base(given.batch.feasible.original, torch.arange(10)) is None


def test_a_number_grows_within_its_flow_s_room_by_whole_units():
    capped = problem(threat=ThreatModel(bytes_per_flow=100, delay_per_flow=0.0123456789))
    growth = (capped.limit * capped.scale).amax(dim=(0, 1))
    assert growth.tolist() == pytest.approx([100, 12_345_000])
    assert problem().limit.amax() > capped.limit.amax()


def test_the_nearest_that_evades_is_kept_at_each_threshold():
    given = problem()
    nearest = Nearest(given)
    unit = torch.zeros_like(given.batch.feasible.original[:1])
    unit[0, 0, 0] = 1
    original = given.batch.feasible.original

    def consider(flow, added, logit, member):
        owner = torch.tensor(flow)
        values = original[owner] + unit * torch.tensor(added, dtype=torch.float64)[:, None, None]
        return nearest.consider(values, owner, torch.tensor(logit), member=member)

    far = consider([0, 0, 0, 2, 2], [30, 10, 20, 50, 40], [-0.5, 0.1, -0.1, -0.3, -0.3], 3)
    std = float(given.scale[0])
    assert (far * std).tolist() == pytest.approx([30, 10, 20, 50, 40])
    assert (nearest.l1 * std)[:, [0, 2]].tolist() == [pytest.approx([20, 40]), pytest.approx([30, 40])]
    assert nearest.logit[:, 0].tolist() == pytest.approx([-0.1, -0.5])
    assert math.isinf(nearest.l1[0, 1]) and nearest.member[:, 1].tolist() == [-1, -1]
    consider([0, 2], [25, 41], [-1.0, -1.0], 5)  # nearer at the margin alone; farther
    assert (nearest.l1 * std)[:, [0, 2]].tolist() == [pytest.approx([20, 40]), pytest.approx([25, 40])]
    assert nearest.member[:, [0, 2]].tolist() == [[3, 3], [5, 3]]
    assert nearest.evaluations.tolist() == [4, 0, 3, *[0] * 7]
    assert nearest.values[1, 0, 0, 0] == original[0, 0, 0] + 25
    assert torch.equal(nearest.values[:, 1], original[[1, 1]])
    assert (nearest.change(1)[0].sum() * std).item() == pytest.approx(25)


def test_what_is_no_number_never_evades():
    given = problem()
    nearest = Nearest(given)
    nearest.consider(given.batch.feasible.original[:1], torch.tensor([0]), torch.tensor([math.nan]), member=1)
    assert torch.isinf(nearest.l1).all()
    broken = replace(given, detector=lambda inputs, lengths: given.detector(inputs, lengths) * math.nan)
    nearest = Nearest(broken)
    nearest.try_changes(given.limit, torch.arange(10), member=1)
    assert torch.isinf(nearest.l1).all()
