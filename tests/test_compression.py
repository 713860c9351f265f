"""Captures inside zip archives: the same flows as from the file itself, and words for every fault."""

import contextlib
import functools
import gzip
import struct
import subprocess
import zipfile
import zlib

import numpy as np
import pytest
from captures import START, ethernet, ipv4, pcap, random_traffic, udp
from test_extract_flows import command
from test_flows import flows_of

from rnnids.captures.pcap import open_capture
from rnnids.errors import InputError
from rnnids.flows.extract import Extraction, extract

FOLDERS = ("pcaps 22-1-2015", "pcaps 17-2-2015")
FRAME = ethernet(ipv4("10.0.0.1", "10.0.0.2", 17, udp(1, 2)))


def read(path, member):
    """((time, frame) pairs, warnings) of a member."""
    found = []
    with open_capture(path, member) as capture:
        for buffer, records in capture.batches():
            for record in records:
                start = record["offset"]
                found.append((int(record["time"]), buffer[start : start + record["captured"]].tobytes()))
    return found, capture.warnings


@functools.cache
def made_once():
    return tuple(random_traffic(np.random.default_rng(5), 4000))


@pytest.fixture
def traffic():
    return list(made_once())


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_a_member_holds_the_same_packets_as_the_file(method, compress, traffic, tmp_path):
    with zipfile.ZipFile(tmp_path / "all.zip", "w", method) as archive:
        for number, folder in enumerate(FOLDERS):
            archive.writestr(f"{folder}/1.pcap", compress(pcap(traffic[number::2])))
    for number, folder in enumerate(FOLDERS):
        assert read(tmp_path / "all.zip", f"{folder}/1.pcap") == (traffic[number::2], [])


def test_flows_of_a_member_equal_those_of_the_file_and_nothing_is_unpacked(traffic, tmp_path):
    (tmp_path / "1.pcap").write_bytes(pcap(traffic))
    with zipfile.ZipFile(tmp_path / "all.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(tmp_path / "1.pcap", "a/1.pcap")
    flows_of(tmp_path / "1.pcap")
    expected = (tmp_path / "flows.h5").read_bytes()
    extract(tmp_path / "all.zip", tmp_path / "flows.h5", Extraction(), name="test", made_by="{}", member="a/1.pcap")
    assert (tmp_path / "flows.h5").read_bytes() == expected
    assert {path.name for path in tmp_path.iterdir()} == {"1.pcap", "all.zip", "flows.h5"}


def test_zip64_members_are_read(traffic, tmp_path):
    with (
        zipfile.ZipFile(tmp_path / "all.zip", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("1.pcap", "w", force_zip64=True) as member,
    ):
        member.write(pcap(traffic))
    assert read(tmp_path / "all.zip", "1.pcap") == (traffic, [])


def test_a_cut_capture_in_an_archive_is_read_as_far_as_it_goes(traffic, tmp_path):
    with zipfile.ZipFile(tmp_path / "all.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("27.pcap", pcap(traffic)[:-1])
    found, warnings = read(tmp_path / "all.zip", "27.pcap")
    assert found == traffic[:-1]
    assert "the file ends inside a record" in warnings[0]


def archive_of(path, content, method):
    """Write `content` as the member 1.pcap; returns its entry and where its bytes begin."""
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("1.pcap", content)
        return archive.getinfo("1.pcap"), 30 + len("1.pcap")


def inflate_byte_by_byte(compressed):
    """What deflate data hold before a fault."""
    inflate, content = zlib.decompressobj(wbits=-15), b""
    with contextlib.suppress(zlib.error):
        for i in range(len(compressed)):
            content += inflate.decompress(compressed[i : i + 1])
    return content


@pytest.mark.parametrize("place", [0.001, 0.2, 0.63, 0.99])
def test_of_a_corrupt_member_all_packets_before_the_fault_are_read(place, tmp_path):
    rng = np.random.default_rng(0)
    noisy = [(START + i * 1000, FRAME + bytes(rng.integers(0, 20, 1000).tolist())) for i in range(1000)]
    entry, begin = archive_of(tmp_path / "all.zip", pcap(noisy), zipfile.ZIP_DEFLATED)
    content = bytearray((tmp_path / "all.zip").read_bytes())
    at = begin + int(place * entry.compress_size)
    content[at : at + 100] = bytes(b ^ 0x55 for b in content[at : at + 100])
    (tmp_path / "all.zip").write_bytes(content)
    readable = inflate_byte_by_byte(content[begin : begin + entry.compress_size])
    (tmp_path / "1.pcap").write_bytes(readable)
    expected, _ = read(tmp_path / "1.pcap", None)
    found, warnings = read(tmp_path / "all.zip", "1.pcap")
    sound = max(0, int(place * 1000) - 1)
    assert found == expected and found[:sound] == noisy[:sound]
    assert "the zip member is cut or corrupt" in warnings[0] or "makes no sense" in warnings[0]


def test_a_stored_member_with_a_wrong_byte_is_read_to_its_end_and_reported(tmp_path):
    frames = [(START + i * 1000, FRAME + bytes(1000)) for i in range(1000)]
    _, begin = archive_of(tmp_path / "all.zip", pcap(frames), zipfile.ZIP_STORED)
    content = bytearray((tmp_path / "all.zip").read_bytes())
    content[begin + 500_000] ^= 1
    (tmp_path / "all.zip").write_bytes(content)
    found, warnings = read(tmp_path / "all.zip", "1.pcap")
    assert [time for time, _ in found] == [time for time, _ in frames]
    assert "its checksum does not fit" in warnings[0]


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_rare_compressions_are_read_too(method, traffic, tmp_path):
    archive_of(tmp_path / "all.zip", pcap(traffic), method)
    assert read(tmp_path / "all.zip", "1.pcap") == (traffic, [])
    content = bytearray((tmp_path / "all.zip").read_bytes())
    content[len(content) // 2 : len(content) // 2 + 50] = bytes(50)
    (tmp_path / "all.zip").write_bytes(content)
    try:
        message = read(tmp_path / "all.zip", "1.pcap")[1][0]
    except InputError as error:  # a single block: nothing is left
        message = str(error)
    assert "the zip member is cut or corrupt" in message


def test_a_wrong_member_name_lists_the_nearest(tmp_path):
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for number in range(1, 54):
            archive.writestr(f"pcaps 22-1-2015/{number}.pcap", b"")
    (tmp_path / "x").mkdir()
    run = subprocess.run(
        command(tmp_path / "all.zip", tmp_path / "x/flows.h5", "--member", "22-1-2015/17.pcap"),
        check=False,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 2
    (line,) = run.stderr.splitlines()
    assert line.startswith(f"error: {tmp_path / 'all.zip'}: no member '22-1-2015/17.pcap' among 53; nearest: ")
    assert "'pcaps 22-1-2015/17.pcap'" in line
    assert not list((tmp_path / "x").iterdir())


def test_damage_anywhere_in_an_archive_is_an_input_error_or_a_warning(tmp_path):
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        methods = {"1.pcap": zipfile.ZIP_DEFLATED, "é.pcap": zipfile.ZIP_BZIP2, "3.pcap": zipfile.ZIP_LZMA}
        for name, method in methods.items():
            archive.writestr(zipfile.ZipInfo(name), pcap([(START, FRAME)] * 3), method)
    content = (tmp_path / "all.zip").read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for at in [*range(len(content)), *rng.integers(len(content), size=len(content))]:
        damaged = bytearray(content)
        damaged[at] = rng.choice([0, 0xFF, damaged[at] ^ 1 << rng.integers(8)])
        if rng.random() < 0.2:
            damaged[at : at + rng.integers(1, 9)] = bytes(rng.integers(0, 9))
        (tmp_path / "bad.zip").write_bytes(damaged)
        for member in methods:
            try:
                with open_capture(tmp_path / "bad.zip", member) as capture:
                    for _ in capture.batches():
                        pass
            except InputError as error:
                assert str(error).startswith(f"{tmp_path / 'bad.zip'}")
                refused += 1
    assert refused > len(content) // 4


def test_what_is_no_whole_archive_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("1.pcap", pcap([(START, FRAME)]))
    (tmp_path / "cut.zip").write_bytes((tmp_path / "all.zip").read_bytes()[:-30])
    with pytest.raises(InputError, match=r"cut\.zip: not a whole zip archive"), open_capture(tmp_path / "cut.zip", "1"):
        pass


@pytest.mark.parametrize(("place", "value", "words"), [(6, 1, "encrypted"), (8, 9, "compression")])
def test_what_zipfile_cannot_read_is_refused_by_name(place, value, words, tmp_path):
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("1.pcap", pcap([(START, FRAME)]))
    content = bytearray((tmp_path / "all.zip").read_bytes())
    directory = content.index(b"PK\x01\x02")
    for at in (place, directory + place + 2):  # local header and central directory
        content[at : at + 2] = struct.pack("<H", value)
    (tmp_path / "all.zip").write_bytes(content)
    with (
        pytest.raises(InputError, match=rf"all\.zip!1\.pcap: cannot be read .*{words}.*unpack it"),
        open_capture(tmp_path / "all.zip", "1.pcap"),
    ):
        pass
