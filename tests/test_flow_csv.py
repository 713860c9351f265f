"""Per-flow CSV files as labels: times as people write them, and the row that is nearest to a flow."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from generated_flows import SECOND, address_texts, make_flows, random_flows

import extract_flows
from rnnids.errors import InputError
from rnnids.flows.files import read_captures
from rnnids.labels.flow_csv import TOLERANCE_NS, FlowCsvMatcher, parse_times, read_flow_csv
from rnnids.labels.labelling import Labelling, clock_offset, label_flows, read_labels
from rnnids.labels.times import parse_zone

SHARED = Path(__file__).parents[1].parent / "shared/data"
HEADER = "Flow ID, Source IP, Source Port, Destination IP, Destination Port, Protocol, Timestamp, Flow Duration, Label"
HALIFAX = parse_zone("America/Halifax")
ENDS = ("172.16.0.1", 1025, "192.168.10.50", 80)
LABELS = ["BENIGN", "DoS Hulk", "Bot"]


def line(time, label="Bot", ends=ENDS, protocol=6):
    return f"id,{','.join(map(str, ends))},{protocol},{time},12,{label}"


@pytest.fixture
def csv_file(tmp_path):
    """Writes a flow CSV: csv_file(line, line ..., text=..., name=...)."""

    def write(*lines, text=None, name="flows.csv"):
        content = "\n".join([HEADER, *lines, ""]) if text is None else text
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return tmp_path / name

    return write


def label(path, flows):
    rows = read_flow_csv([path], HALIFAX)
    labels = label_flows(flows, FlowCsvMatcher(rows, flows), 0, follow_connections=False)
    names = [rows.groups[index].attack if index >= 0 else None for index in labels.rule]
    return list(zip(names, labels.attacker_responds.tolist(), strict=True))


def reference(flows, path, resolution):
    """Flow by flow: all (label, attacker responds) of the rows nearest to a flow, {(None, False)} without a row."""
    table = pd.read_csv(path, skipinitialspace=True)
    local = pd.to_datetime(table["Timestamp"], dayfirst=True, format="mixed")
    begin = local.dt.tz_localize("America/Halifax").dt.tz_convert("UTC").dt.tz_localize(None)
    table["begin"] = begin.dt.as_unit("ns").astype("int64")
    found = []
    for i in range(len(flows["start_ns"])):
        addresses = [str(address_texts(flows[f"{end}_address"][i : i + 1])[0]) for end in ("source", "destination")]
        ports = [int(flows[f"{end}_port"][i]) for end in ("source", "destination")]
        if flows["protocol"][i] in (1, 58):
            ports = [0, 0]
        nearest, least = {(None, False)}, TOLERANCE_NS
        for row in table[table["Protocol"] == flows["protocol"][i]].itertuples(index=False):
            ends = [(row[1], row[2]), (row[3], row[4])]
            for responds in (False, True):
                if ends[:: 1 - 2 * responds] != list(zip(addresses, ports, strict=True)):
                    continue
                start = int(flows["start_ns"][i])
                gap = max(row.begin - start, start - (row.begin + resolution - 1), 0)
                if gap < least or (gap == least and nearest == {(None, False)}):
                    nearest, least = set(), gap
                if gap == least:
                    nearest.add(("Benign" if row.Label == "BENIGN" else row.Label, responds))
        found.append(nearest)
    return found


@pytest.mark.parametrize(("form", "resolution"), [("%d/%m/%Y %H:%M:%S", SECOND), ("%d/%m/%Y %H:%M", 60 * SECOND)])
@pytest.mark.parametrize("seed", range(3))
def test_labels_are_those_of_the_reference(csv_file, seed, form, resolution):
    rng = np.random.default_rng(seed)
    flows, of_rows = random_flows(rng, 300), random_flows(rng, 150)
    ends = [address_texts(of_rows[f"{end}_address"]) for end in ("source", "destination")]
    lines = []
    for i, begin in enumerate(of_rows["start_ns"] + rng.integers(0, SECOND, 150)):
        time = pd.Timestamp(begin, tz="UTC").tz_convert("America/Halifax").strftime(form)
        protocol = of_rows["protocol"][i]
        ports = [0, 0] if protocol in (1, 58) else [of_rows["source_port"][i], of_rows["destination_port"][i]]
        lines.append(line(time, rng.choice(LABELS), (ends[0][i], ports[0], ends[1][i], ports[1]), protocol))
    path = csv_file(*lines)
    found = label(path, flows)
    expected = reference(flows, path, resolution)
    assert all(one in allowed for one, allowed in zip(found, expected, strict=True))
    assert {name for name, _ in found} == {None, "Benign", "DoS Hulk", "Bot"}


def test_an_attack_goes_before_a_benign_row_of_the_same_time(csv_file):
    flows = make_flows([(0, 1, *ENDS, 6)])
    rows = [line("05/07/2017 09:00:00", label) for label in ("BENIGN", "Bot", "BENIGN")]
    assert label(csv_file(*rows), flows) == [("Bot", False)]


def test_a_twelve_hour_clock_is_matched_at_either_time(csv_file):
    afternoon = make_flows([(seconds, 1, *ENDS, 6) for seconds in (5 * 3600 + 20, 12 * 3600, 13 * 3600)])
    twelve = [line("5/7/2017 2:00"), line("5/7/2017 9:00", "BENIGN")]  # 14:00 at Halifax is 17:00 UTC
    assert label(csv_file(*twelve), afternoon) == [("Bot", False), ("Benign", False), (None, False)]
    full = [*twelve, line("5/7/2017 13:30", "BENIGN")]
    assert label(csv_file(*full), afternoon) == [(None, False)] * 3
    both = read_flow_csv([csv_file(*twelve)], HALIFAX)
    assert FlowCsvMatcher(both, afternoon).unmatched().tolist() == [0, 0]


@pytest.mark.parametrize(
    ("text", "expected", "resolution", "twelve"),
    [
        ("03/07/2017 09:08:11", "2017-07-03T09:08:11", SECOND, True),
        ("3/7/2017 9:08", "2017-07-03T09:08:00", 60 * SECOND, True),
        ("03/07/2017 01:08:11 PM", "2017-07-03T13:08:11", SECOND, False),
        ("2017-07-03 13:08:11", "2017-07-03T13:08:11", SECOND, False),
        ("2017-07-03 13:08:11.25", "2017-07-03T13:08:11.25", 1000, False),
    ],
)
def test_times_are_read_as_written(text, expected, resolution, twelve):
    times, found, twelve_hours = parse_times(pd.Series([text, "never"]))
    assert times.tolist() == [pd.Timestamp(expected).value, np.iinfo(np.int64).min]
    assert (found, twelve_hours) == (resolution, twelve)


@pytest.mark.parametrize("year", ["0017", "2417", "9999"])
def test_a_row_in_a_year_that_64_bits_do_not_hold_has_no_time(csv_file, year):
    path = csv_file(line("05/07/2017 09:00:00"), line(f"05/07/{year} 09:00:00"), line(f"{year}-07-05T09:00:00Z"))
    rows = read_flow_csv([path], HALIFAX)
    assert (len(rows.group), rows.skipped) == (1, {"no time": 2})


def test_a_wrong_time_zone_is_detected(csv_file):
    flows = make_flows([(second, 1, *ENDS, 6) for second in range(0, 60, 10)])
    rows = read_flow_csv([csv_file(line("05/07/2017 09:00:00"), line("05/07/2017 20:00:00"))], parse_zone("UTC"))
    assert clock_offset(FlowCsvMatcher(rows, flows)) == (180, 6, 1)


def test_dashes_line_ends_empty_rows_and_encodings_change_nothing(csv_file):
    flows = make_flows([(0, 1, *ENDS, 6), (600, 1, *ENDS, 6)])
    rows = f"{line('05/07/2017 09:00:00', 'Web Attack - XSS')}\n{line('05/07/2017 09:10:00')}\n"
    expected = [("Web Attack - XSS", False), ("Bot", False)]
    for content in (
        rows,
        rows.replace(" - ", " \u2013 "),
        rows.replace(" - ", " \ufffd "),
        rows.replace("\n", "\r\n"),
        rows + "," * 8 + "\n",
        rows + line("noon") + "\n" + line("05/07/2017 09:00:00", protocol=0) + "\n",
    ):
        assert label(csv_file(text=f"{HEADER}\n{content}"), flows) == expected
    for encoding in ("utf-8-sig", "cp1252"):  # the Thursday file of CIC-IDS-2017 is in the latter
        text = f"{HEADER}\n{rows}".replace(" - ", " \u2013 ").encode(encoding)
        assert label(csv_file(text=text), flows) == expected


def test_several_files_count_together(csv_file):
    flows = make_flows([(0, 1, *ENDS, 6), (86400, 1, *ENDS, 6)])
    paths = [csv_file(line("05/07/2017 09:00:00"), name="a.csv"), csv_file(line("6/7/2017 9:00", "Hulk"), name="b.csv")]
    source = read_labels(paths, Labelling(label_kind="flow_csv", time_zone="America/Halifax"))
    labels = label_flows(flows, source.matcher(flows), 0, follow_connections=False)
    assert [source.rules[index].attack for index in labels.rule] == ["Bot", "Hulk"]
    for kind in ("rules", "ground_truth"):
        with pytest.raises(InputError, match="come from one file"):
            read_labels(paths, Labelling(label_kind=kind))


def test_missing_time_zone_and_useless_files_are_refused(csv_file):
    path = csv_file(line("05/07/2017 09:00:00"))
    with pytest.raises(InputError, match=r"--time-zone: .*times of a flow CSV are local, like .05/07/2017"):
        read_flow_csv([path], None)
    with pytest.raises(InputError, match=r"no row can match a flow \(no time: 1\)"):
        read_flow_csv([csv_file(line("noon"))], HALIFAX)
    with pytest.raises(InputError, match="missing column Label"):
        read_flow_csv([csv_file(text=path.read_text().replace("Label", "Class"))], HALIFAX)
    with pytest.raises(InputError, match=r"flows.csv:1: more than one column Destination Port"):
        read_flow_csv([csv_file(text=HEADER.replace("Flow Duration", "DestinationPort"))], HALIFAX)
    with pytest.raises(InputError, match="counts seconds since 1970 UTC"):
        read_labels([path], Labelling(label_kind="ground_truth", time_zone="UTC"))


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.exists(), reason="pieces of CIC-IDS-2017 are not here")
def test_the_published_csv_meets_the_published_capture(tmp_path):
    """Monday of CIC-IDS-2017: what one host sent, and rows of the CSV of the same minutes."""
    output = tmp_path / "monday.h5"
    words = ["--pcap", SHARED / "public/cic2017-mon_benign.pcap.gz", "--output", output]
    words += ["--idle-timeout", 300, "--active-timeout", 1800, "--duplicate-window", 0.01, "--reorder-window", 1]
    extract_flows.main([*map(str, words)])
    _, flows = read_captures([output])
    sample = SHARED / "labels/cic_ids_2017_flow_csv_sample.csv"
    rows = read_flow_csv([sample], HALIFAX)
    assert rows.skipped == {"protocol of no flow": 1}
    matched = sum(len(hits) for hits, _ in FlowCsvMatcher(rows, flows).match())
    inside = np.count_nonzero(rows.columns["start_ns"] <= flows["start_ns"].max())  # the CSV goes on for longer
    assert matched > 0.8 * inside > 50
    elsewhere = read_flow_csv([sample], parse_zone("UTC"))
    assert clock_offset(FlowCsvMatcher(elsewhere, flows))[0] == 180


HEADINGS = {
    "CICFlowMeter 3": HEADER,
    "CICFlowMeter 4": "id,Flow ID,Src IP,Src Port,Dst IP,Dst Port,Protocol,Timestamp,Label,Attempted Category",
    "its Python port": "src_ip,dst_ip,src_port,dst_port,protocol,timestamp,label",
    "Argus": "StartTime,Dur,Proto,SrcAddr,Sport,Dir,DstAddr,Dport,State,Label",
    "Bot-IoT": "pkSeqID,stime,proto,saddr,sport,daddr,dport,attack,category,subcategory",
}
CELLS = {
    "source_address": ("Source IP", "Src IP", "src_ip", "SrcAddr", "saddr"),
    "source_port": ("Source Port", "Src Port", "src_port", "Sport", "sport"),
    "destination_address": ("Destination IP", "Dst IP", "dst_ip", "DstAddr", "daddr"),
    "destination_port": ("Destination Port", "Dst Port", "dst_port", "Dport", "dport"),
    "protocol": ("Protocol", "protocol", "Proto", "proto"),
    "time": ("Timestamp", "timestamp", "StartTime", "stime"),
    "label": ("Label", "label", "category"),
}
NOON = pd.Timestamp("2017-07-05T12:00:00Z").value


def written(program, time, name, delimiter=","):
    """A table of one row as this program heads it."""
    values = dict(zip(CELLS, (*ENDS, "tcp", time, name), strict=True))
    cell = {heading: str(values[here]) for here, headings in CELLS.items() for heading in headings}
    names = [heading.strip() for heading in HEADINGS[program].split(",")]
    return delimiter.join(names) + "\n" + delimiter.join(cell.get(heading, "7") for heading in names) + "\n"


@pytest.mark.parametrize("program", HEADINGS)
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_headings_and_delimiters_of_programs_that_write_flows(csv_file, program, delimiter):
    path = csv_file(text=written(program, "2017-07-05T12:00:00Z", "Bot", delimiter))
    rows = read_flow_csv([path], None)
    assert [group.attack for group in rows.groups] == ["Bot"]
    assert (int(rows.columns["start_ns"][0]), int(rows.columns["destination_port"][0])) == (NOON, 80)


@pytest.mark.parametrize(
    "time",
    [
        "2017-07-05T12:00:00Z",
        "2017-07-05 12:00:00Z",
        "2017-07-05T09:00:00-03:00",
        "2017-07-05T17:30:00.000+0530",
        "2017-07-05T14:00:00,000000+02",
        "2017-07-05T12:00Z",
        "1499256000",
        "1499256000.000000",
        "1499256000000",
        "1499256000000000",
    ],
)
def test_times_that_say_what_they_are_need_no_time_zone(csv_file, time):
    for zone in (None, HALIFAX):
        rows = read_flow_csv([csv_file(line(time if "," not in time else f'"{time}"'))], zone)
        assert rows.columns["start_ns"].tolist() == rows.columns["other_ns"].tolist() == [NOON]


@pytest.mark.parametrize(
    ("texts", "order", "expected"),
    [
        (["07/13/2017 01:00:00 PM", "07/05/2017 02:00:00 PM"], "auto", "2017-07-05T14:00:00"),
        (["13/07/2017 13:00:00", "05/07/2017 14:00:00"], "auto", "2017-07-05T14:00:00"),
        (["13.07.2017 13:00", "05.07.2017 14:00"], "auto", "2017-07-05T14:00:00"),
        (["07/06/2017 13:00:00", "07/05/2017 14:00:00"], "month", "2017-07-05T14:00:00"),
        (["07/06/2017 13:00:00", "07/05/2017 14:00:00"], "day", "2017-05-07T14:00:00"),
        (["2017-07-05T13:00:00", "2017-07-05T14:00:00"], "auto", "2017-07-05T14:00:00"),
        (["2017/07/05 13:00:00.5", "2017/07/05 14:00:00.0"], "auto", "2017-07-05T14:00:00"),
        (["2017-7-5 13:00", "2017-7-5 14:00"], "auto", "2017-07-05T14:00:00"),
    ],
)
def test_local_times_of_either_date_order(csv_file, texts, order, expected):
    rows = read_flow_csv([csv_file(*map(line, texts))], parse_zone("UTC"), date_order=order)
    assert rows.columns["start_ns"][1] == pd.Timestamp(expected).value


def test_a_date_that_can_be_two_days_is_a_warning_unless_its_order_is_given(csv_file, caplog):
    for day, order, warned in (("03/07", "auto", True), ("03/07", "day", False), ("13/07", "auto", False)):
        caplog.clear()
        read_flow_csv([csv_file(line(f"{day}/2017 13:00"), line("04/07/2017 13:00"))], HALIFAX, date_order=order)
        assert ("'04/07/2017 13:00' may have the day or the month first" in caplog.text) == warned


@pytest.mark.parametrize("label_columns", ["label\tdetailed-label", "tunnel_parents   label   detailed-label"])
def test_connection_logs_of_zeek_with_a_label_column(csv_file, label_columns):
    fields = ["#fields", "ts", "uid", "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p", "proto", label_columns]
    ends = ["1499256000.5", "C1", *map(str, ENDS), "tcp"]
    last = ["Malicious\tDDoS", "-\tBenign"] if "\t" in label_columns else ["-   Malicious   DDoS", "-   Benign   -"]
    lines = ["#separator \\x09", "#unset_field\t-", "\t".join(fields), *("\t".join([*ends, cell]) for cell in last)]
    rows = read_flow_csv([csv_file(text="\n".join([*lines, "#close\t2017", ""]))], None)
    assert [group.attack for group in rows.groups] == ["Malicious", "Benign"]
    assert rows.columns["start_ns"].tolist() == [NOON + SECOND // 2] * 2
    assert rows.columns["row"].tolist() == [4, 5]


def test_connection_logs_of_zeek_in_json(csv_file):
    keys = ("id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p", "proto", "ts", "label")
    objects = [
        dict(zip(keys, (*ENDS, "tcp", *rest), strict=True)) for rest in ((1499256000.123456, "Bot"), (1499256001, None))
    ]
    rows = read_flow_csv([csv_file(text="\n".join(map(json.dumps, objects)))], None)
    assert [group.attack for group in rows.groups] == ["Bot", "Benign"]
    assert rows.columns["start_ns"].tolist() == [NOON + 123456000, NOON + SECOND]
    with pytest.raises(InputError, match=r"flows.csv:2: not JSON"):
        read_flow_csv([csv_file(text=json.dumps(objects[0]) + "\n{oops\n")], None)


@pytest.mark.parametrize(
    "text",
    [
        "Web Attack \u2013 XSS",
        "Web Attack \ufffd XSS",
        "Web Attack \u0096 XSS",
        "Web Attack \u00e2\u20ac\u201c XSS",
        "Web Attack  -  XSS",
        "Web Attack\u00a0\u2014\u00a0XSS",
        "Web Attack \u00ef\u00bf\u00bd XSS",
    ],
)
def test_spellings_of_a_label_are_one_and_reported(csv_file, caplog, text):
    caplog.set_level("INFO")
    rows = read_flow_csv([csv_file(line(NOON, text), line(NOON + SECOND, "Web Attack - XSS"))], None)
    assert [group.attack for group in rows.groups] == ["Web Attack - XSS"]
    assert f"label {text!r} is read as 'Web Attack - XSS'" in caplog.text


def test_labels_can_be_renamed_and_na_stays(csv_file, caplog):
    names = ["DoS Hulk - Attempted", "DoS Hulk", "NA", "None", "flow=From-Botnet-V42-TCP", "flow=Background-UDP"]
    path = csv_file(*(line(NOON + i * SECOND, name) for i, name in enumerate(names)))
    rows = read_flow_csv([path], None, rename={"DoS Hulk - Attempted": "Benign", "DoS Hulk": "Hulk", "absent": "x"})
    assert [group.attack for group in rows.groups] == ["Benign", "Hulk", "NA", "None", "Botnet"]
    assert "no row has the label 'absent'" in caplog.text
    with pytest.raises(InputError, match="'DoS' is not of the form"):
        read_labels([path], Labelling(label_kind="flow_csv", rename=("DoS",)))


def test_the_initiator_can_be_the_attacker_whatever_the_row_says(csv_file):
    flows = make_flows([(0, 1, *ENDS[2:], *ENDS[:2], 6)])
    source = read_labels(
        [csv_file(line("05/07/2017 09:00:00"))], Labelling(label_kind="flow_csv", time_zone="America/Halifax")
    )
    for attacker, responds in (("source", [True]), ("initiator", [False])):
        labels = label_flows(flows, source.matcher(flows), 0, follow_connections=False, attacker=attacker)
        assert labels.attacker_responds.tolist() == responds
        assert labels.swapped.tolist() == [1]
