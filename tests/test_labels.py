"""Rule files and the matching of flows to rules."""

import ipaddress

import numpy as np
import pandas as pd
import pytest
from generated_flows import COLUMNS, NOON, SECOND, make_flows, random_flows, random_rules, reference_labels

from rnnids.errors import InputError
from rnnids.labels import labelling as library
from rnnids.labels.labelling import clock_offset, hours_between
from rnnids.labels.rules import RuleMatcher, read_rules
from rnnids.labels.times import parse_time, parse_zone, to_utc

IDLE = 300 * SECOND
RULE = "2017-07-05T12:00:00Z,2017-07-05T12:10:00Z,172.16.0.1/32,192.168.10.50/32,80,tcp,false,DoS Hulk,DoS"
ATTACK = ("172.16.0.1", 1025, "192.168.10.50", 80, 6)
REPLY = ("192.168.10.50", 80, "172.16.0.1", 1025, 6)


@pytest.fixture
def rule_file(tmp_path):
    """Writes a rule file: rule_file(line, line ...) or rule_file(text=...)."""

    def write(*lines, text=None):
        path = tmp_path / "rules.csv"
        content = "\n".join([COLUMNS, *lines, ""]) if text is None else text
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def label_flows(flows, rules, idle_timeout_ns, follow_connections):
    matcher = RuleMatcher(rules, flows)
    return library.label_flows(flows, matcher, idle_timeout_ns, follow_connections=follow_connections)


def label(path, rows, follow=True):
    return label_flows(make_flows(rows), read_rules(path), IDLE, follow)


@pytest.mark.parametrize("follow", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_labels_are_those_of_the_reference(rule_file, seed, follow):
    rng = np.random.default_rng(seed)
    flows = random_flows(rng, 1500)
    flows["capture"] = np.repeat([0, 1], [900, 600]).astype(np.uint16)
    path = rule_file(text=random_rules(rng, 12))
    rules = read_rules(path)
    labels = label_flows(flows, rules, IDLE, follow)
    expected = reference_labels(flows, path, 300, follow)
    found = zip(labels.rule, labels.attacker_responds, labels.matches, labels.continuation, strict=True)
    assert [tuple(map(int, row)) for row in found] == [tuple(map(int, row)) for row in expected]
    # The comparison means something: every kind of flow is there.
    assert (labels.rule < 0).any() and (labels.matches > 1).any() and labels.swapped.sum() > 0
    assert labels.continuation.any() == follow
    assert (labels.continuation & labels.attacker_responds).any() == follow


def test_counts_per_rule_are_those_of_single_rules(rule_file):
    rng = np.random.default_rng(7)
    flows, path = random_flows(rng, 800), rule_file(text=random_rules(rng, 8))
    rules = read_rules(path)
    labels = label_flows(flows, rules, IDLE, True)
    alone = [label_flows(flows, [rule], IDLE, False) for rule in rules]
    assert labels.matched.tolist() == [int((each.matches > 0).sum()) for each in alone]
    assert labels.swapped.tolist() == [int(each.attacker_responds.sum()) for each in alone]
    assert labels.matches.tolist() == sum(each.matches for each in alone).tolist()
    assert labels.shared.tolist() == [int((labels.matches[each.matches > 0] > 1).sum()) for each in alone]
    assert labels.continued.sum() == labels.continuation.sum() > 0


def test_both_ends_of_a_window_belong_to_it(rule_file):
    flows = make_flows([(0, 1, *ATTACK)] * 4)
    flows["start_ns"] = NOON + np.array([-1, 0, 600 * SECOND, 600 * SECOND + 1])
    labels = label_flows(flows, read_rules(rule_file(RULE)), IDLE, False)
    assert labels.rule.tolist() == [-1, 0, 0, -1]


def test_the_last_rule_wins_and_benign_makes_an_exception(rule_file):
    wide = RULE.replace(",80,tcp", ",,").replace("DoS Hulk", "Other")
    path = rule_file(wide, RULE, RULE.replace("DoS Hulk,DoS", "Benign,Benign").replace("172.16.0.1/32", "172.16.0.2"))
    labels = label(
        path, [(1, 1, *ATTACK), (1, 1, "172.16.0.1", 1, "192.168.10.50", 22, 6), (1, 1, "172.16.0.2", *ATTACK[1:])]
    )
    assert labels.rule.tolist() == [1, 0, 2]
    assert labels.matches.tolist() == [2, 1, 1]


def test_swapped_ends_need_the_flag_and_name_the_responder_as_attacker(rule_file):
    assert label(rule_file(RULE), [(1, 1, *REPLY)]).rule.tolist() == [-1]
    labels = label(rule_file(RULE.replace("false", "TRUE")), [(1, 1, *REPLY), (1, 1, *ATTACK)])
    assert labels.rule.tolist() == [0, 0]
    assert labels.attacker_responds.tolist() == [True, False]
    assert labels.swapped.tolist() == [1]


def test_a_port_of_a_swapped_flow_is_the_source_port(rule_file):
    path = rule_file(RULE.replace("false", "true"))
    assert label(path, [(1, 1, "192.168.10.50", 1025, "172.16.0.1", 80, 6)]).rule.tolist() == [-1]


def test_a_continuation_has_the_attacker_of_its_connection(rule_file):
    # A flow ends with RST at 5 s; the victim goes on, then the attacker, then another connection begins.
    rows = [(0, 5, *ATTACK), (6, 1, *REPLY), (8, 1, *ATTACK[:3], 80, 6), (9, 1, "172.16.0.1", 2, "192.168.10.50", 1, 6)]
    window = RULE.replace("12:10:00", "12:00:00")
    labels = label(rule_file(window), rows)
    assert labels.rule.tolist() == [0, 0, 0, -1]
    assert labels.continuation.tolist() == [False, True, True, False]
    assert labels.attacker_responds.tolist() == [False, True, False, False]
    assert labels.continued.tolist() == [2]
    assert label(rule_file(window), rows, follow=False).rule.tolist() == [0, -1, -1, -1]


def test_continuations_end_after_the_idle_timeout(rule_file):
    path = rule_file(RULE.replace("12:10:00", "12:00:00"))
    flows = make_flows([(0, 5, *ATTACK), (305, 5, *REPLY), (611, 1, *REPLY)])
    rules = read_rules(path)
    assert label_flows(flows, rules, IDLE, True).rule.tolist() == [0, 0, -1]
    assert label_flows(flows, rules, IDLE - 1, True).rule.tolist() == [0, -1, -1]
    flows["capture"] = np.array([0, 1, 1], dtype=np.uint16)
    assert label_flows(flows, rules, IDLE, True).rule.tolist() == [0, -1, -1]


def test_an_ipv4_network_means_no_ipv6_address_and_the_other_way_round(rule_file):
    four = RULE.replace("172.16.0.1/32", "0.0.0.0/0").replace("192.168.10.50/32", "0.0.0.0/0")
    six = RULE.replace("172.16.0.1/32", "::/0").replace("192.168.10.50/32", "::/0")
    rows = [(1, 1, *ATTACK), (1, 1, "2001:db8::1", 1, "2001:db8::2", 80, 6)]
    assert label(rule_file(four), rows).rule.tolist() == [0, -1]
    assert label(rule_file(six), rows).rule.tolist() == [-1, 0]


def test_a_rule_file_in_local_time_is_found_out(rule_file):
    rules = read_rules(rule_file(RULE.replace("T12:", "T09:")))  # UTC-3 written as if it were UTC
    flows = make_flows([(second, 1, *ATTACK) for second in range(60)])
    assert clock_offset(RuleMatcher(rules, flows)) == (180, 60, 0)
    assert hours_between(flows, rules) == pytest.approx(3 - 1 / 6)
    assert clock_offset(RuleMatcher(rules, make_flows([(1, 1, *REPLY)]))) == (0, 0, 1)


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
        f"{COLUMNS}\n" + RULE.replace("DoS Hulk", '" DoS Hulk "').replace("tcp", "TCP"),
        "category,attack,"
        + COLUMNS.removesuffix(",attack,category")
        + "\nDoS,DoS Hulk,"
        + RULE.removesuffix(",DoS Hulk,DoS"),
    ):
        assert read_rules(rule_file(text=text)) == plain


def test_times_are_exact_and_offsets_count():
    assert parse_time("2017-07-05T12:48:54.539220001Z") == pd.Timestamp("2017-07-05T12:48:54.539220001Z").value
    assert parse_time("2017-07-05T09:00:00-03:00") == parse_time("2017-07-05 12:00:00z") == NOON
    assert parse_time("1969-12-31T23:59:59.5Z") == -SECOND // 2


def test_times_without_offset_need_a_time_zone(rule_file):
    local = RULE.replace("T12:00:00Z", "T09:00:00").replace("T12:10:00Z", "T09:10:00")
    for zone in ("UTC-03:00", "UTC-0300", "America/Halifax"):
        assert read_rules(rule_file(local), parse_zone(zone)) == read_rules(rule_file(RULE))
    assert read_rules(rule_file(RULE), parse_zone("UTC-03:00")) == read_rules(rule_file(RULE))  # an offset counts
    with pytest.raises(InputError, match="UTC offset"):
        read_rules(rule_file(local), parse_zone(None))


def test_hours_that_clocks_skip_or_repeat_are_read_alike_one_by_one_and_together():
    zone = parse_zone("America/Halifax")
    texts = ["2017-03-12T02:30:00", "2017-11-05T01:30:00", "2017-07-05T09:00:00", "2017-12-05T09:00:00"]
    together = to_utc(pd.DatetimeIndex(texts).as_unit("ns").asi8, zone)
    assert [parse_time(text, zone) for text in texts[1:]] == together[1:].tolist()
    assert together[1] == parse_time("2017-11-05T04:30:00Z")


@pytest.mark.parametrize("text", ["", "Atlantis", "UTC+25:00", "-03:00", "-3", "../etc/passwd"])
def test_a_time_zone_that_does_not_exist_is_refused(text):
    with pytest.raises(InputError, match=r"--time-zone: .* is no time zone; write a name like"):
        parse_zone(text)


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
        (COLUMNS.replace(",", ";"), ["the columns are start, end, source"]),
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
