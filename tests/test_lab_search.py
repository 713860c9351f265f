"""Search and lower bounds on the shipped captures and detector: flows with one free number, against a plain loop."""

import math

import numpy as np
import pytest
import torch
from conftest import REPOSITORY

import rnnids
from rnnids.attacks.bounds import DistanceBounds
from rnnids.attacks.feasible_set import ThreatModel
from rnnids.attacks.search import RobustSearch
from rnnids.datasets.features import PACKET_LENGTH

pytestmark = pytest.mark.slow
CLOSE = 1e-5  # logits nearer to the threshold may fall on either side: sums are in another order


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The embedded test split and the shipped detector."""
    folder, files = tmp_path_factory.mktemp("lab"), []
    for capture in sorted((REPOSITORY / "resources/lab").glob("*.pcap.gz")):
        files.append(folder / f"{capture.name}.h5")
        rnnids.extract_flows(capture, files[-1])
    rnnids.build_dataset(files, REPOSITORY / "config/labels/lab.csv", folder / "dataset.h5")
    flows = rnnids.load_dataset(folder / "dataset.h5", "test")
    return rnnids.load_detector(REPOSITORY / "resources/models/lab_baseline.safetensors", flows), flows


def with_one_length_free(flows, mtu):
    """{row: packet} of the attack flows in which the attacker sends one packet, the first, which cannot be delayed."""
    found = {}
    for row in np.flatnonzero(flows.is_attack):
        place = slice(flows.start[row], flows.start[row] + flows.packet_count[row])
        sides = int(flows.flows["manipulable"][row])
        sends = [bool(sides & 2) if reverse else bool(sides & 1) for reverse in flows.packets["direction"][place]]
        if sum(sends) == 1 and sends[0] and flows.packets["length"][place][0] < mtu:
            found[int(row)] = 0
    return found


@torch.no_grad()
def nearest_padding(detector, flows, row, packet, *, mtu):
    """(distance of the least padding that evades, infinite for none; whether rounding could decide otherwise)."""
    inputs = torch.from_numpy(flows.padded(np.array([row])))
    length, best, doubtful = int(flows.packets["length"][flows.start[row] + packet]), math.inf, False
    added = np.arange(mtu - length + 1)
    copies = inputs.repeat(len(added), 1, 1)
    values = (length + added - flows.mean[PACKET_LENGTH]) / flows.std[PACKET_LENGTH]
    copies[:, packet, PACKET_LENGTH] = torch.from_numpy(values.astype(np.float32))
    hidden, _ = detector.lstm(copies)  # plain nn.LSTM, from the first packet on
    logits = detector.readout(hidden[:, -1]).squeeze(-1).numpy()
    evades = np.flatnonzero(logits <= 0)
    if len(evades):
        best = added[evades[0]] / float(flows.std[PACKET_LENGTH])
    before = logits[: evades[0] + 1] if len(evades) else logits
    doubtful = bool((abs(before) < CLOSE).any())
    return best, doubtful


def test_no_evasion_by_one_length_is_missed(lab):
    detector, flows = lab
    threat = ThreatModel()
    alone = with_one_length_free(flows, threat.mtu)
    rows = np.array(list(alone))
    assert len(rows) > 500
    result = RobustSearch()(detector, flows.take(rows), threat_model=threat)
    assert result.exact.all()
    true, doubtful = map(
        np.array, zip(*(nearest_padding(detector, flows, *pair, mtu=threat.mtu) for pair in alone.items()), strict=True)
    )
    sure = ~doubtful
    assert sure.mean() > 0.99 and np.isfinite(true).sum() > 100 and np.isinf(true).sum() > 100
    np.testing.assert_allclose(result.l1[0][sure], true[sure], rtol=1e-6)


def test_no_bound_is_above_the_least_evasion_by_one_length(lab):
    """Bounds are not told of an evasion; every twentieth flow, as one takes a second."""
    detector, flows = lab
    threat = ThreatModel()
    alone = dict(list(with_one_length_free(flows, threat.mtu).items())[::20])
    rows = np.array(list(alone))
    least = np.array([nearest_padding(detector, flows, *pair, mtu=threat.mtu)[0] for pair in alone.items()])
    detected, unknown = least > 0, np.full(len(rows), np.inf)
    bounds = DistanceBounds(effort_of_few=60)
    lower = bounds(detector, flows.take(rows), unknown, exact=~detected, threat_model=threat).lower
    assert detected.sum() > 20
    assert (lower <= least)[detected].all() and (lower[detected] > 0).all()
    assert np.isinf(lower[np.isinf(least)]).mean() > 0.9
