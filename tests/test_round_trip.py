"""The round trip of adversarial flows through packets: what it counts, and that it sees what is wrong."""

import numpy as np
import pandas as pd
import pytest
from captures import pcap
from pages import Cells
from test_write_pcap import attacked, flow_data, traffic

import rnnids
import tabulate_round_trip
from rnnids.attacks import round_trip
from rnnids.attacks.round_trip import compare, others_changed, recover_flows
from rnnids.flows.extract import extract_flows


class Threshold:
    """A detector whose logit is the length of the packet, in z-scores of its data set, less a threshold."""

    device = "cpu"

    def __init__(self, threshold):
        self.threshold = threshold

    def __call__(self, inputs, count):
        return inputs[..., 3] - self.threshold


@pytest.fixture
def capture(tmp_path):
    """(capture, flow file, adversarial flows) of random traffic."""
    rng = np.random.default_rng(1)
    original = tmp_path / "a.pcap"
    original.write_bytes(pcap(traffic(rng)))
    extract_flows(original, tmp_path / "flows.h5")
    flows = flow_data(tmp_path / "flows.h5")
    flows.flows["full_packet_count"] = flows.packet_count
    return original, tmp_path / "flows.h5", attacked(flows, rng, np.arange(0, len(flows), 2))


def test_flows_come_back_as_they_were_made(capture, tmp_path, caplog):
    caplog.set_level("INFO", "rnnids")
    original, flows, adversarial = capture
    recovered = recover_flows(original, adversarial, flows=flows, output=tmp_path / "round_trip.csv")
    assert recovered.table[["written", "found", "same_packets"]].all(axis=None)
    assert (recovered.table.reason == "").all()
    assert recovered.others_changed == 0
    assert not list(tmp_path.glob(".round_trip*"))
    assert f"{original}: a copy with the adversarial flows is written and read again" in caplog.text
    table = compare(Threshold(60), recovered, adversarial, goal="last")
    last = adversarial.packets["length"][adversarial.start + adversarial.packet_count - 1]
    expected = dict(zip(adversarial.row, last <= 60, strict=True))
    assert table.benign.tolist() == [expected[row] for row in table.row]
    assert table.same_logits.all()
    table = compare(Threshold(60), recovered, adversarial, goal="all")
    most = np.maximum.reduceat(adversarial.packets["length"], adversarial.start)
    assert table.benign.sum() == (most <= 60).sum() < (last <= 60).sum()


def break_copy(monkeypatch, change):
    """Have the copy of each capture changed before it is extracted again."""
    write = round_trip.write_pcap

    def broken(pcap, copy, **rest):
        result = write(pcap, copy, **rest)
        data = bytearray(copy.read_bytes())
        change(data)
        copy.write_bytes(bytes(data))
        return result

    monkeypatch.setattr(round_trip, "write_pcap", broken)


def test_a_packet_that_is_lost_or_late_is_seen(capture, tmp_path, monkeypatch):
    original, flows, adversarial = capture
    everything = rnnids.write_pcap  # the door's own stays as it is

    def delay_last(data):
        place = 24
        while (after := place + 16 + int.from_bytes(data[place + 8 : place + 12], "little")) < len(data):
            place = after
        data[place + 4 : place + 8] = (int.from_bytes(data[place + 4 : place + 8], "little") + 1).to_bytes(4, "little")

    break_copy(monkeypatch, delay_last)
    recovered = recover_flows(original, adversarial, flows=flows, output=tmp_path / "round_trip.csv")
    failed = recovered.table[~recovered.table.same_packets]
    assert len(failed) + recovered.others_changed > 0
    assert set(failed.reason) <= {"its packets are not those of the attack"}
    assert everything is rnnids.write_pcap

    def cut(data):
        del data[24 + (len(data) - 24) // 2 :]

    monkeypatch.undo()
    break_copy(monkeypatch, cut)
    table = recover_flows(original, adversarial, flows=flows, output=tmp_path / "round_trip.csv").table
    assert {"no flow begins where it should", "the flow has another number of packets"} & set(table.reason)
    assert not table.found.all()


def test_what_cannot_be_written_keeps_its_reason(capture, tmp_path):
    original, flows, adversarial = capture
    adversarial.packets["length"][0] += 70000
    recovered = recover_flows(original, adversarial, flows=flows, output=tmp_path / "round_trip.csv")
    table = compare(Threshold(0), recovered, adversarial, goal="last")
    failed = table[table.row == adversarial.row[0]].iloc[0]
    assert not failed[["written", "found", "same_packets", "same_logits", "benign"]].any()
    assert failed.reason == "longer than 65,535 bytes"


def test_another_flow_that_changes_is_counted(capture):
    _, flows, adversarial = capture
    data = flow_data(flows)
    columns = dict(data.flows)
    changed = columns | {"duration_ns": columns["duration_ns"] + (columns["source_port"] == 0)}
    assert others_changed(columns, changed, adversarial.take([])) == 2 * (columns["source_port"] == 0).sum() > 0
    assert others_changed(columns, changed, data) == 0


ROW = {"method": "search", "kappa": np.nan, "goal": "last", "threat_model": "my_paper", "attack": "DoS Hulk"}
COUNTS = {"flows": 20, "written": 19, "found": 19, "same_packets": 19, "same_logits": 19, "benign": 19}


def tabulate(folder, rows):
    """(table, cells of the page) of the rows of a model."""
    path = folder / "tiny" / "my_model" / "round_trip.csv"
    path.parent.mkdir(parents=True)
    pd.DataFrame(rows).assign(model="my_model").to_csv(path, index=False)
    tabulate_round_trip.main(["--round-trips", str(path), "--output", str(folder / "a.csv")])
    return pd.read_csv(folder / "a.csv"), Cells((folder / "a.html").read_text()).rows


def test_the_table_adds_up_types_and_reasons(tmp_path):
    reasons = "1 longer than 65,535 bytes"
    of_cw = {
        "method": "cw",
        "kappa": 0.5,
        "goal": "",
        "threat_model": "",
        "share": 1,
        "others_changed": 0,
        "reasons": "",
    }
    rows = [
        ROW | COUNTS | {"share": 0.95, "others_changed": 0, "reasons": reasons},
        ROW | COUNTS | {"attack": "DDoS", "share": 0.95, "others_changed": 1, "reasons": reasons},
        ROW | dict.fromkeys(COUNTS, 7) | of_cw,
        ROW | dict.fromkeys(COUNTS, 0) | of_cw | {"method": "pgd", "kappa": np.nan, "attack": "none", "share": np.nan},
    ]
    table, cells = tabulate(tmp_path, rows)
    assert table.flows.tolist() == [20, 20, 7, 0]
    assert (table.dataset == "tiny").all()
    search = ["my model", "Search", "last", "my paper", "40", "38", "38", "38", "38", "38", "95 %", "1"]
    assert cells[1] == [*search, "2 longer than 65,535 bytes"]
    assert cells[2] == ["my model", "CW, kappa 0.5", "last", "", *["7"] * 6, "100 %", "0", ""]
    assert cells[3] == ["my model", "PGD", "last", "", *["0"] * 6, "-", "0", ""]
    assert ["my model", "DoS Hulk", "19 of 20"] in cells


def test_a_share_below_all_is_never_shown_as_all():
    assert tabulate_round_trip.percent(9999, 10000) == "99.9 %"
    assert tabulate_round_trip.percent(0, 0) == "-"
