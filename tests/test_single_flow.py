"""The explanation of one flow against detectors whose reasons are known, and against reading it anew."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from detectors import run_script, trained, write_dataset
from explained import INDEX, StandIn, Stateless, make_flows

from rnnids.detectors.inference import packet_logits
from rnnids.detectors.lstm import save_detector
from rnnids.explanations.single_flow import WHOLE_FLOW, explain_flow

LENGTH, PORT = INDEX["packet_length"], INDEX["destination_port"]


class LongestSoFar(StandIn):
    """An attack is a flow of which some packet so far was longer than the mean."""

    def __init__(self):
        super().__init__(lambda inputs: torch.cummax(inputs[..., LENGTH], dim=1).values)


def test_the_packet_that_turned_the_verdict_and_the_only_change_that_turns_it_back():
    data = make_flows([5, 5], length=[40, 50, 1400, 60, 70, 40, 40, 40, 40, 1490])
    found = explain_flow(LongestSoFar(), data, 0)
    assert found.turning_packet == 3
    assert (found.confidence > 0.5).tolist() == [False, False, True, True, True]
    (change,) = found.changes
    assert (change.packet, change.feature, change.original) == (3, "packet_length", 1400)
    below = np.unique(np.concatenate([np.linspace(40, 1490, 50).round()]))
    assert change.value == below[below <= data.mean[LENGTH]].max()
    assert change.size == pytest.approx((1400 - change.value) / data.std[LENGTH], rel=1e-6)


def test_a_verdict_from_the_first_packet_on_says_so_and_any_packet_turns_it():
    data = make_flows([4, 1], length=[40, 40, 40, 40, 1400])
    found = explain_flow(LongestSoFar(), data, 0)
    assert found.turning_packet == 1
    assert sorted(change.packet for change in found.changes) == [1, 2, 3, 4]
    assert all(change.logit > 0 for change in found.changes)


def test_constant_features_change_in_the_whole_flow():
    data = make_flows([3, 2], destination_port=[80, 8080])
    found = explain_flow(StandIn(lambda inputs: inputs[..., PORT]), data, 0)
    (change,) = found.changes
    assert (change.packet, change.feature, change.value) == (WHOLE_FLOW, "destination_port", 8080)


@pytest.mark.parametrize("wrap", [lambda detector: detector, Stateless])
def test_each_change_turns_the_verdict_when_the_flow_is_read_with_it(wrap):
    detector, data = trained()
    detector = wrap(detector)
    for row in (1, 2, 5):
        found = explain_flow(detector, data, row, grid_size=10)
        flow = data.take([row])
        np.testing.assert_allclose(found.logit, packet_logits(detector, flow), atol=1e-6)
        sizes = [change.size for change in found.changes]
        assert sizes == sorted(sizes)
        lengths = [change for change in found.changes if change.feature == "packet_length"]
        for change in lengths:
            packets = flow.packets | {"length": flow.packets["length"].copy()}
            packets["length"][change.packet - 1] = change.value
            logit = packet_logits(detector, replace(flow, packets=packets))[-1]
            assert logit == pytest.approx(change.logit, abs=1e-5)
            assert (logit > 0) != (found.logit[-1] > 0)


def test_the_script_tells_and_writes_what_the_function_finds(tmp_path, capsys):
    detector, data = trained()
    dataset = write_dataset(tmp_path / "dataset.h5", data, np.ones(len(data)))
    save_detector(tmp_path / "weights.safetensors", detector, data.mean, std=data.std, training={})
    row = int(np.flatnonzero(data.is_attack)[0])
    options = {"dataset": dataset, "weights": tmp_path / "weights.safetensors", "grid_size": 10}
    files = {"packets": tmp_path / "packets.csv", "changes": tmp_path / "changes.csv"}
    assert run_script("explain_flow.py", row=row, **options, **files) == 0
    found = explain_flow(detector, data, row, grid_size=10)
    printed = capsys.readouterr().out
    verdict, percent = "attack" if found.logit[-1] > 0 else "benign", 100 * found.confidence[-1]
    first = f"classified as {verdict} (confidence in an attack {percent:.1f} %), since packet {found.turning_packet}\n"
    assert printed.startswith("Flood, ") and first in printed
    assert ("nearest evasion found" in printed) == (found.logit[-1] > 0)
    packets, changes = (pd.read_csv(path) for path in files.values())
    np.testing.assert_allclose(packets["logit"], found.logit, atol=1e-5)
    assert packets["turned"].to_numpy().nonzero()[0].tolist() == [found.turning_packet - 1]
    assert list(zip(changes["packet"], changes["feature"], strict=True)) == [
        (change.packet, change.feature) for change in found.changes
    ]
    # The attacker of a flood sends forward packets, and only makes them longer or later.
    allowed = changes[changes["feasible"]]
    assert set(allowed["feature"]) <= {"packet_length", "interarrival_time"}
    assert (allowed["value"] >= allowed["original"]).all()
    assert run_script("explain_flow.py", row=len(data), **options) == 2
    assert f"rows are 0 to {len(data) - 1}" in capsys.readouterr().err
