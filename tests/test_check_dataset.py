"""Whether files are there and whole: what a check of seconds finds, and what it says."""

import gzip
import zipfile

import numpy as np
import pandas as pd
import pytest
import zstandard
from captures import START, ethernet, ipv4, pcap, pcapng, tcp
from generated_flows import COLUMNS

import check_dataset
from rnnids.captures import check as capture_check
from rnnids.captures.check import check_capture
from rnnids.errors import InputError

RULE = "2017-07-05T12:00:00Z,2017-07-05T12:10:00Z,172.16.0.1/32,192.168.10.50/32,80,tcp,false,DoS Hulk,DoS"


def packets(rng, count):
    """(time, frame) pairs of random lengths, the payload being random too, so that it may look like a header."""
    for i in range(count):
        payload = rng.bytes(int(rng.integers(0, 200)))
        yield START + i * 10**6, ethernet(ipv4("10.0.0.1", "10.0.0.2", 6, tcp(1, 2, payload=payload)))


@pytest.fixture
def contents():
    return {
        "little": pcap(packets(np.random.default_rng(0), 900)),
        "big": pcap(packets(np.random.default_rng(1), 900), order=">", tick=1),
        "ng": pcapng(packets(np.random.default_rng(2), 900)),
        "ng_big": pcapng(packets(np.random.default_rng(3), 900), order=">"),
    }


@pytest.fixture
def large(monkeypatch):
    """Every file is taken for a large one, of which the ends alone are read."""
    monkeypatch.setattr(capture_check, "WHOLE", 0)
    monkeypatch.setattr(capture_check, "TAIL", 20_000)


@pytest.mark.parametrize("kind", ["little", "big", "ng", "ng_big"])
def test_whole_files_pass_and_cut_ones_do_not(contents, tmp_path, large, kind):
    path = tmp_path / "a.pcap"
    for cut in range(40):
        path.write_bytes(contents[kind][: len(contents[kind]) - cut])
        finding = check_capture(str(path))
        assert bool(finding.fault) == (cut > 0), cut
        assert not cut or "the last record is cut; fetch it again" in finding.fault
    path.write_bytes(contents[kind] + bytes(7))
    assert check_capture(str(path)).fault


def test_only_the_ends_of_a_large_file_are_read(contents, tmp_path, large):
    damaged = bytearray(contents["little"])
    damaged[len(damaged) // 2 : len(damaged) // 2 + 500] = bytes(500)
    (tmp_path / "a.pcap").write_bytes(damaged)
    finding = check_capture(str(tmp_path / "a.pcap"))
    assert (finding.fault, finding.holds.split(",")[0]) == ("", "both ends read")


@pytest.mark.parametrize("kind", ["little", "ng"])
def test_small_files_are_read_whole_however_compressed(contents, tmp_path, kind):
    content = contents[kind]
    pack = {"a.pcap": bytes, "a.gz": gzip.compress, "a.zst": zstandard.ZstdCompressor().compress}
    for name, compress in pack.items():
        (tmp_path / name).write_bytes(compress(content))
        assert (check_capture(str(tmp_path / name)).fault, check_capture(str(tmp_path / name)).holds) == (
            "",
            "900 packets",
        )
        (tmp_path / name).write_bytes(compress(content)[:-50])
        assert f"{name}: byte " in check_capture(str(tmp_path / name)).fault
        (tmp_path / name).write_bytes(compress(content[:-50]))
        assert "the file ends inside a record" in check_capture(str(tmp_path / name)).fault


def test_members_of_archives_are_checked(contents, tmp_path):
    path = tmp_path / "all.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("day 1/1.pcap", contents["little"])
        archive.writestr("day 1/2.pcap", contents["little"][:-5])
    assert check_capture(f"{path}!day 1/1.pcap") == capture_check.Finding(
        "day 1/1.pcap", len(contents["little"]), "900 packets", ""
    )
    assert "ends inside a record" in check_capture(f"{path}!day 1/2.pcap").fault
    assert "no member 'day 1/3.pcap'" in check_capture(f"{path}!day 1/3.pcap").fault
    path.write_bytes(path.read_bytes()[:-30])
    assert "not a whole zip archive" in check_capture(f"{path}!day 1/1.pcap").fault


def test_a_size_that_is_expected_excuses_a_cut_and_another_is_a_fault(contents, tmp_path):
    path = tmp_path / "27.pcap"
    path.write_bytes(contents["little"][:-5])
    size = path.stat().st_size
    excused = check_capture(str(path), size)
    assert excused.fault == "" and excused.holds.endswith("as published")
    assert f"{size:,} bytes, expected {size + 5:,}; fetch it again" in check_capture(str(path), size + 5).fault


def test_what_is_published_cut_passes_by_its_name_and_what_is_too_small_does_not(check, tmp_path, contents):
    (tmp_path / "fri.pcap").write_bytes(contents["little"][:-5])
    check("--expected-truncated", "fri.pcap")
    assert "ends inside a record" in pd.read_csv(tmp_path / "check.csv").set_index("file").loc["fri.pcap", "holds"]
    with pytest.raises(InputError, match=r"fri\.pcap: byte .* or, if it is published so, name it in `expected\.trunc"):
        check("--expected-truncated", "thu.pcap")
    size = len(contents["little"])
    with pytest.raises(InputError, match=rf"fri\.pcap: {size - 5:,} bytes, expected {size:,} or more; fetch it again"):
        check("--expected-truncated", "fri.pcap", "--expected-smallest", size)
    with pytest.raises(InputError, match=r"expected\.truncated: no capture is called 'sat\.pcap'"):
        check("--expected-truncated", "fri.pcap", "sat.pcap")


@pytest.mark.parametrize("content", [b"", b"This is a letter.", b"\xd4\xc3\xb2\xa1" + bytes(20)])
def test_what_holds_no_packets_is_a_fault(tmp_path, content):
    (tmp_path / "a.pcap").write_bytes(content)
    assert "a.pcap" in check_capture(str(tmp_path / "a.pcap")).fault


@pytest.fixture
def check(tmp_path, contents):
    """Runs the script on five captures, of which some may be missing."""
    (tmp_path / "rules.csv").write_text(f"{COLUMNS}\n{RULE}\n")
    paths = [tmp_path / f"{day}.pcap" for day in ("mon", "tue", "wed", "thu", "fri")]
    for path in paths:
        path.write_bytes(contents["little"])

    def call(*words, captures=paths, labels=tmp_path / "rules.csv"):
        command = ["--captures", *captures, "--labels", labels, "--label-kind", "rules", "--source", "our archive"]
        command += ["--output", tmp_path / "check.csv", *words]
        check_dataset.main(list(map(str, command)))

    return call


def test_all_is_well(check, tmp_path, capsys, contents):
    size = len(contents["little"])
    check("--expected-files", 5, "--expected-bytes", f"mon.pcap={size}")
    table = pd.read_csv(tmp_path / "check.csv")
    assert table["file"].tolist() == ["mon.pcap", "tue.pcap", "wed.pcap", "thu.pcap", "fri.pcap", "labels"]
    assert table["bytes"].tolist()[:5] == [size] * 5
    assert table["holds"].tolist()[-2:] == ["900 packets", "1 rows of 1 attack types"]
    assert len(capsys.readouterr().out.splitlines()) == 6


def test_a_missing_capture_of_five_a_cut_one_and_bad_labels_are_all_named(check, tmp_path, contents, capsys):
    (tmp_path / "wed.pcap").unlink()
    (tmp_path / "fri.pcap").write_bytes(contents["little"][:-1])
    (tmp_path / "rules.csv").write_text(f"{COLUMNS}\n{RULE.replace('80,tcp', '80,tpc')}\n")
    with pytest.raises(InputError) as error:
        check("--expected-files", 5, "--expected-bytes", "sun.pcap=5")
    for words in (
        "wed.pcap: no such file",
        "fri.pcap: byte",
        "rules.csv:2: protocol 'tpc'",
        "no capture is called 'sun",
    ):
        assert words in str(error.value)
    assert "Source: our archive" in str(error.value)
    assert "mon.pcap" in capsys.readouterr().out
    assert not (tmp_path / "check.csv").exists()


def test_what_nobody_expects_may_be_said_so(check, tmp_path):
    check("--expected-files", "none", "--expected-smallest", "none", "--expected-bytes", "--expected-truncated")
    assert len(pd.read_csv(tmp_path / "check.csv")) == 6


def test_fewer_captures_than_expected_are_a_fault(check, tmp_path):
    with pytest.raises(InputError, match="4 captures, expected 5; get the others"):
        check("--expected-files", 5, captures=[tmp_path / f"{day}.pcap" for day in ("mon", "tue", "thu", "fri")])


def test_sizes_are_written_with_a_name(check):
    with pytest.raises(InputError, match=r"'12' is not of the form name\.pcap=bytes"):
        check("--expected-bytes", "12")
