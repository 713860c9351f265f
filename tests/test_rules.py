"""Rule files and the matching of flows to rules."""

import functools
import ipaddress

import numpy as np
import pandas as pd
import pytest
from generated_flows import COLUMNS, NOON, SECOND, make_flows
from rule_files import ATTACK, REPLY, RULE, label, label_flows, write_rules

from rnnids.errors import InputError
from rnnids.labels.rules import read_rules
from rnnids.labels.times import parse_zone


@pytest.fixture
def rule_file(tmp_path):
    """Writes a rule file: rule_file(line, line ...) or rule_file(text=...)."""
    return functools.partial(write_rules, tmp_path / "rules.csv")


def test_both_ends_of_a_window_belong_to_it(rule_file):
    flows = make_flows([(0, 1, *ATTACK)] * 4)
    flows["start_ns"] = NOON + np.array([-1, 0, 600 * SECOND, 600 * SECOND + 1])
    labels = label_flows(flows, read_rules(rule_file(RULE)), follow=False)
    assert labels.rule.tolist() == [-1, 0, 0, -1]


def test_swapped_ends_need_the_flag_and_name_the_responder_as_attacker(rule_file):
    assert label(rule_file(RULE), [(1, 1, *REPLY)]).rule.tolist() == [-1]
    labels = label(rule_file(RULE.replace("false", "TRUE")), [(1, 1, *REPLY), (1, 1, *ATTACK)])
    assert labels.rule.tolist() == [0, 0]
    assert labels.attacker_responds.tolist() == [True, False]
    assert labels.swapped.tolist() == [1]


def test_a_port_of_a_swapped_flow_is_the_source_port(rule_file):
    path = rule_file(RULE.replace("false", "true"))
    assert label(path, [(1, 1, "192.168.10.50", 1025, "172.16.0.1", 80, 6)]).rule.tolist() == [-1]


def test_an_ipv4_network_means_no_ipv6_address_and_the_other_way_round(rule_file):
    four = RULE.replace("172.16.0.1/32", "0.0.0.0/0").replace("192.168.10.50/32", "0.0.0.0/0")
    six = RULE.replace("172.16.0.1/32", "::/0").replace("192.168.10.50/32", "::/0")
    rows = [(1, 1, *ATTACK), (1, 1, "2001:db8::1", 1, "2001:db8::2", 80, 6)]
    assert label(rule_file(four), rows).rule.tolist() == [0, -1]
    assert label(rule_file(six), rows).rule.tolist() == [-1, 0]


def test_shipped_rule_files_are_valid(request):
    folder = request.config.rootpath / "config/labels"
    for path in sorted(folder.glob("*.csv")):
        table, rules = pd.read_csv(path, dtype=str), read_rules(path)
        assert [rule.attack for rule in rules] == table["attack"].tolist()
        assert [rule.start_ns for rule in rules] == [pd.Timestamp(text).value for text in table["start"]]
        assert [rule.line for rule in rules] == list(range(2, len(table) + 2))
    corrected, published = (read_rules(folder / f"cic_ids_2017_{name}.csv") for name in ("corrected", "published"))
    # One scheme of names, so that results by either file can be compared.
    assert {(r.attack, r.category) for r in corrected} == {(r.attack, r.category) for r in published}


def test_spreadsheet_habits_are_read_alike(rule_file):
    plain = read_rules(rule_file(RULE))
    for text in (
        b"\xef\xbb\xbf" + f"{COLUMNS}\n{RULE}\n".encode(),
        f"{COLUMNS}\r\n{RULE}\r\n",
        f"{COLUMNS}\n{RULE}\n,,,,,,,,\n\n",
        f"{COLUMNS}\n{RULE}\n".replace(",", ";"),
        f"{COLUMNS}\n{RULE}\n".replace(",", "\t"),
        f"{COLUMNS}\n" + RULE.replace("DoS Hulk", '" DoS Hulk "').replace("tcp", "TCP"),
        "category,attack,"
        + COLUMNS.removesuffix(",attack,category")
        + "\nDoS,DoS Hulk,"
        + RULE.removesuffix(",DoS Hulk,DoS"),
    ):
        assert read_rules(rule_file(text=text)) == plain


def test_times_without_offset_need_a_time_zone(rule_file):
    local = RULE.replace("T12:00:00Z", "T09:00:00").replace("T12:10:00Z", "T09:10:00")
    for zone in ("UTC-03:00", "UTC-0300", "America/Halifax"):
        assert read_rules(rule_file(local), parse_zone(zone)) == read_rules(rule_file(RULE))
    assert read_rules(rule_file(RULE), parse_zone("UTC-03:00")) == read_rules(rule_file(RULE))  # an offset counts
    with pytest.raises(InputError, match="UTC offset"):
        read_rules(rule_file(local), parse_zone(None))


def test_rules_hold_what_the_line_says(rule_file):
    rule = read_rules(rule_file(RULE.replace("80,tcp", ",")))[0]
    assert (rule.line, rule.start_ns, rule.end_ns) == (2, NOON, NOON + 600 * SECOND)
    assert (rule.source, rule.destination) == (
        ipaddress.ip_network("172.16.0.1"),
        ipaddress.ip_network("192.168.10.50"),
    )
    assert (rule.destination_port, rule.protocol, rule.bidirectional_initiator) == (None, None, False)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("2017-07-05T12:00:00Z", "2017-07-05T12:00:00", ["start", "UTC offset", "2017-07-05T12:48:54.539220Z"]),
        ("2017-07-05T12:00:00Z", "05/07/2017 12:00", ["start", "ISO 8601"]),
        ("2017-07-05T12:00:00Z", "2017-02-30T12:00:00Z", ["start", "day"]),
        ("2017-07-05T12:00:00Z", "9999-07-05T12:00:00Z", ["start", "year"]),
        ("2017-07-05T12:10:00Z", "2017-07-05T11:10:00Z", ["end lies before start", "swap"]),
        ("172.16.0.1/32", "172.16.0.1/24", ["source", "host bits", "192.168.10.0/24"]),
        ("172.16.0.1/32", "172.16.0.300", ["source", "write a network"]),
        ("172.16.0.1/32", "", ["source", "0.0.0.0/0"]),
        ("172.16.0.1/32", "2001:db8::/64", ["IP versions", "two rules"]),
        (",80,", ",http,", ["destination_port 'http'", "0 to 65535"]),
        (",80,", ",65536,", ["destination_port", "0 to 65535"]),
        (",80,", ",-1,", ["destination_port", "0 to 65535"]),
        (",tcp,", ",tpc,", ["protocol 'tpc'", "icmp, tcp, udp"]),
        (",tcp,", ",256,", ["protocol", "up to 255"]),
        (",false,", ",no,", ["bidirectional_initiator", "true nor false"]),
        (",DoS Hulk,", ", ,", ["attack", "empty"]),
        (",DoS Hulk,DoS", ",DoS Hulk,", ["category", "empty"]),
        (",DoS Hulk,DoS", ",DoS Hulk,Benign", ["category 'Benign'"]),
        (",DoS Hulk,DoS", ",Benign,DoS", ["'Benign'"]),
        (",DoS Hulk,DoS", ",Other,DoS", ["'Other'", "'DDoS'"]),
        (",DoS Hulk,DoS", ",DoS Hulk", ["8 cells", "9"]),
        (",DoS Hulk,DoS", ",DoS, Hulk,DoS", ["10 cells", "quote commas"]),
    ],
)
def test_a_bad_line_is_named_with_a_remedy(rule_file, old, new, expected):
    first = RULE.replace("DoS Hulk,DoS", "Other,DDoS")
    path = rule_file(first, RULE.replace(old, new))
    with pytest.raises(InputError) as caught:
        read_rules(path)
    message = str(caught.value)
    assert message.startswith(f"{path}:3: ")
    assert all(part in message for part in expected), message


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (COLUMNS.replace("destination_port", "dest_port"), ["'dest_port'", "destination_port"]),
        (COLUMNS.replace(",category", ""), ["missing column category"]),
        (COLUMNS + ",attack", ["'attack' stands there twice"]),
        (COLUMNS.replace(",", "|"), ["the columns are start, end, source"]),
        ("", ["missing column"]),
    ],
)
def test_a_bad_header_is_named_with_a_remedy(rule_file, header, expected):
    path = rule_file(text=f"{header}\n{RULE}\n")
    with pytest.raises(InputError) as caught:
        read_rules(path)
    assert str(caught.value).startswith(f"{path}:1: ")
    assert all(part in str(caught.value) for part in expected), str(caught.value)


@pytest.mark.parametrize("text", [b"", f"{COLUMNS}\n", b"\xff\xfe\x00s", f'{COLUMNS}\n"2017'])
def test_files_that_hold_no_rules_are_refused(rule_file, text):
    path = rule_file(text=text)
    with pytest.raises(InputError, match=str(path)):
        read_rules(path)


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"absent\.csv: cannot be read .* check the path"):
        read_rules(tmp_path / "absent.csv")
