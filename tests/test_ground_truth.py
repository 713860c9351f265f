"""The ground truth of UNSW-NB15: reading it, whatever it went through, and matching flows with its rows."""

import itertools
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from generated_flows import NOON, SECOND, address_bytes, make_flows, random_flows
from ground_truths import (
    HEADER,
    PRIORITY,
    ground_truth_of,
    ground_truth_row,
    random_ground_truth,
    reference_ground_truth,
)

from rnnids.errors import InputError
from rnnids.labels.ground_truth import CATEGORIES, GroundTruthMatcher, read_ground_truth
from rnnids.labels.labelling import clock_offset, label_flows
from rnnids.labels.tables import LabelGroup, LabelRows

SHARED = Path(__file__).parents[1].parent / "shared/data/labels"
START = NOON // SECOND
ENDS = ("175.45.176.0", 13284, "149.171.126.16", 80)
ROW = ground_truth_row(START, START + 2, "Exploits", "tcp", *ENDS)


@pytest.fixture
def truth_file(tmp_path):
    """Writes a ground truth: truth_file(line, line ...) or truth_file(text=...)."""

    def write(*lines, text=None):
        path = tmp_path / "truth.csv"
        content = "\n".join([HEADER, *lines, ""]) if text is None else text
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def label(path, flows):
    rows = read_ground_truth(path)
    labels = label_flows(flows, GroundTruthMatcher(rows, flows), 0, follow_connections=False)
    names = [rows.groups[index].attack if index >= 0 else None for index in labels.rule]
    return list(zip(names, labels.attacker_responds.tolist(), labels.matches.tolist(), strict=True))


@pytest.mark.parametrize("seed", range(4))
def test_labels_are_those_of_the_reference(truth_file, seed):
    rng = np.random.default_rng(seed)
    flows, path = random_flows(rng, 600), truth_file(text=random_ground_truth(rng, 500))
    found = label(path, flows)
    assert found == reference_ground_truth(flows, path)
    # The comparison means something: every kind of flow is there.
    names, responds, matches = zip(*found, strict=True)
    assert set(names) >= {None, *PRIORITY[:4]} and any(responds) and max(matches) > 1


def test_each_row_is_matched_or_counted_as_unmatched(truth_file):
    rng = np.random.default_rng(9)
    flows, path = random_flows(rng, 30), truth_file(text=random_ground_truth(rng, 60))
    rows = read_ground_truth(path)
    unmatched = GroundTruthMatcher(rows, flows).unmatched()
    lines = path.read_text().splitlines()[1:]
    alone = [reference_ground_truth(flows, truth_file(line)) for line in dict.fromkeys(lines)]
    idle = sum(not any(name for name, *_ in each) for each in alone)
    # Rows that no flow could have are left out; the others either match or not.
    useless = sum("ospf" in line or "sctp" in line or ",,HTTP" in line for line in dict.fromkeys(lines))
    assert 0 < unmatched.sum() == idle - useless
    assert sum(group.rows for group in rows.groups) + sum(rows.skipped.values()) == len(lines)
    assert min(rows.skipped["repeats another row"], rows.skipped["protocol of no flow"]) > 0


def test_lives_that_touch_the_tolerance_from_outside_do_not_match(truth_file):
    path = truth_file(ROW)
    flows = make_flows([(0, 1, *ENDS, 6)] * 5)
    flows["start_ns"] = NOON + np.array([-70, -70, 62, 62, -100]) * SECOND + np.array([0, 0, 0, -1, 0])
    flows["duration_ns"] = np.array([10, 10, 0, 0, 3600]) * SECOND + np.array([0, 1, 0, 0, 0])
    assert [name for name, *_ in label(path, flows)] == [None, "Exploits", None, "Exploits", "Exploits"]


def test_the_rows_source_is_the_attacker_whoever_began_the_flow(truth_file):
    flows = make_flows([(0, 1, *ENDS, 6), (0, 1, *ENDS[2:], *ENDS[:2], 6)])
    assert label(truth_file(ROW), flows) == [("Exploits", False, 1), ("Exploits", True, 1)]


def test_icmp_matches_without_ports_in_both_directions(truth_file):
    path = truth_file(ground_truth_row(START, START, "DoS", "icmp", "10.0.0.1", 0, "10.0.0.2", 0))
    flows = make_flows([(0, 1, "10.0.0.1", 0, "10.0.0.2", 2048, 1), (0, 1, "10.0.0.2", 0, "10.0.0.1", 0, 1)])
    assert label(path, flows) == [("DoS", False, 1), ("DoS", True, 1)]


def test_of_several_categories_the_first_by_priority_counts(truth_file):
    flows = make_flows([(0, 1, *ENDS, 6)])
    for first, second in itertools.pairwise(CATEGORIES):
        lines = [ground_truth_row(START, START, name, "tcp", *ENDS) for name in (first, second)]
        assert label(truth_file(*lines), flows) == label(truth_file(*lines[::-1]), flows) == [(first, False, 2)]
    assert list(CATEGORIES) == PRIORITY


def test_spreadsheet_habits_change_nothing(truth_file):
    flows = make_flows([(0, 1, *ENDS, 6)])
    text = f"{HEADER}\n{ROW}\n"
    for content in (
        b"\xef\xbb\xbf" + text.encode(),
        text.replace("\n", "\r\n"),
        text.replace("Start time", " start TIME "),
        text.replace(",", ";"),
        text.replace(",", "\t"),
        text.replace("An attack", "Caf\u00e9").encode("cp1252"),
        text + "\n\n",
        text + ",,,,,,,,,,,\n",
        text + "one,two,three\n" + ROW + ",too,many\n",
    ):
        assert label(truth_file(text=content), flows) == [("Exploits", False, 1)]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (f"{HEADER}\n{ROW}\n".encode("utf-16"), ["truth.csv:1: text in UTF-16", "UTF-8"]),
        (f"{HEADER}\n{ROW}\n".encode("utf-16-le"), ["truth.csv:1: text in UTF-16", "UTF-8"]),
        (f"{HEADER}\n", ["no rows"]),
        ("", ["not a CSV file", "UTF-8"]),
        (f"{HEADER}\n{ROW}\n".replace("Last time", "End"), ["missing column Last time", "Start time, Last time"]),
        (f"{HEADER}\n{ROW}\n".replace(",", "|"), ["missing column", "commas"]),
        (f"{HEADER}\n{ROW.replace('Exploits', 'Exploit')}\n", [":2: unknown attack category", "mean 'Exploits'?"]),
        (f"{HEADER}\n{ROW.replace('tcp', 'ospf')}\n", ["no row can match", "protocol of no flow: 1"]),
        (f"{HEADER}\n{ROW.replace(str(START), 'noon')}\n", ["no row can match", "no time: 1"]),
        (f"{HEADER}\n{ROW.replace('175.45.176.0', 'router')}\n", ["no row can match", "no address: 1"]),
        (f"{HEADER}\n{ROW.replace('13284', '70000')}\n", ["no row can match", "no port: 1"]),
    ],
)
def test_unusable_files_are_refused_with_a_remedy(truth_file, content, expected):
    with pytest.raises(InputError) as error:
        read_ground_truth(truth_file(text=content))
    assert all(part in str(error.value) for part in expected), error.value


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"absent\.csv: cannot be read"):
        read_ground_truth(tmp_path / "absent.csv")


def test_a_wrong_clock_is_detected(truth_file):
    flows = make_flows([(second, 1, *ENDS, 6) for second in range(0, 60, 10)])
    shifted = ground_truth_row(START - 5400, START - 5398, "Exploits", "tcp", *ENDS)
    assert clock_offset(GroundTruthMatcher(read_ground_truth(truth_file(shifted)), flows)) == (90, 6, 0)


def test_captures_of_ipv6_alone_match_nothing_that_is_ipv4(truth_file):
    flows = make_flows([(0, 1, "2001:db8::1", 13284, "2001:db8::2", 80, 6)])
    assert label(truth_file(ROW), flows) == [(None, False, 0)]
    six = ground_truth_row(START, START, "Worms", "tcp", "2001:db8:0::1", 13284, "2001:DB8::2", 80)
    assert label(truth_file(six), flows) == [("Worms", False, 1)]


def test_a_ground_truth_made_of_labels_gives_them_back(truth_file):
    rng = np.random.default_rng(5)
    flows = random_flows(rng, 400)
    flows = {name: column[np.isin(flows["protocol"], (6, 17))] for name, column in flows.items()}
    flows["source_port"] = np.arange(5000, 5000 + len(flows["protocol"]), dtype=np.uint16)
    attacks = rng.choice(["Benign", "a", "b"], len(flows["protocol"]))
    path = truth_file(text=ground_truth_of(flows, attacks, {"a": "Backdoors", "b": "Generic"}, rng))
    found = [name for name, *_ in label(path, flows)]
    assert found == [{"Benign": None, "a": "Backdoors", "b": "Generic"}[name] for name in attacks]


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.exists(), reason="the published sample is not here")
def test_the_published_sample_is_read():
    rows = read_ground_truth(SHARED / "unsw_nb15_GT_sample.csv")
    table = pd.read_csv(SHARED / "unsw_nb15_GT_sample.csv")
    assert sum(group.rows for group in rows.groups) == len(table) and rows.skipped == {}
    assert rows.columns["start_ns"].tolist() == (table["Start time"] * SECOND).tolist()
    assert (rows.columns["source_address"] == address_bytes(table["Source IP"])).all()


def test_two_million_flows_are_joined_with_two_hundred_thousand_rows_in_seconds(truth_file):
    rng, count, size = np.random.default_rng(0), 2_000_000, 200_000
    hosts = address_bytes([f"10.0.{i}.{j}" for i in range(4) for j in range(50)])
    flows = {
        "start_ns": NOON + np.sort(rng.integers(0, 10**5, count)) * SECOND,
        "duration_ns": rng.integers(0, 60, count) * SECOND,
        "source_address": hosts[rng.integers(0, 100, count)],
        "destination_address": hosts[rng.integers(100, 200, count)],
        "source_port": rng.integers(1024, 1124, count).astype(np.uint16),
        "destination_port": rng.choice([53, 80], count).astype(np.uint16),
        "protocol": np.full(count, 6, np.uint8),
    }
    # Half of the rows are of one 5-tuple, as the DNS floods of UNSW-NB15: a join of all pairs would not end.
    flows["source_address"][::10], flows["destination_address"][::10] = hosts[0], hosts[100]
    flows["source_port"][::10] = 1024
    row = rng.integers(0, count, size)
    row[::2] = 10 * rng.integers(0, count // 10, size // 2)
    columns = {name: flows[name][row] for name in list(flows)[2:]} | {"start_ns": flows["start_ns"][row]}
    columns["end_ns"] = columns["start_ns"] + SECOND
    begun = time.monotonic()
    groups = [LabelGroup(2, 1, 0, 1, name, name) for name in PRIORITY]
    matcher = GroundTruthMatcher(LabelRows(columns, rng.integers(0, 9, size), groups, {}), flows)
    hits = matcher.match()
    assert len(np.unique(np.concatenate([rows for rows, _ in hits]))) >= len(np.unique(row))
    assert matcher.unmatched().sum() == 0
    assert time.monotonic() - begun < 60
