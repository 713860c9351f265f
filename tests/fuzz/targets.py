"""What is fuzzed: files to start from, how they are changed, and what must hold whatever is in them.

A check may raise InputError, whose message names the file; anything else that it raises is a fault.
"""

import functools
import gzip
import io
import json
import runpy
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import captures as made
import detectors
import h5py
import mutate
import numpy as np
import rule_files
import yaml
import zstandard
from frames import FRAMES
from ground_truths import random_ground_truth
from snakemake.exceptions import WorkflowError

from rnnids.attacks.files import read_attack
from rnnids.captures.layers import layer_table
from rnnids.captures.packets import HASH_KEYS, PACKET, parse_batch
from rnnids.captures.pcap import BATCH, Capture, open_capture
from rnnids.captures.skipped import new_counts
from rnnids.datasets.flow_data import load_dataset
from rnnids.detectors.checkpoints import load_checkpoint, save_checkpoint
from rnnids.detectors.lstm import LSTMDetector, load_detector, save_detector
from rnnids.errors import InputError
from rnnids.flows.extract import extract_flows
from rnnids.flows.files import read_captures, read_packets
from rnnids.labels.labelling import Labelling, read_labels
from rnnids.storage import COLUMN_OPTIONS, create_hdf5

REPOSITORY = Path(__file__).parents[2]
EXTRACT_EVERY = 200  # mutants of captures; each of the others is read and parsed only
CHANGED_OFTEN = 8  # mutants of captures, of which one is read in other pieces and wrappings too
PACKETS, KEYS = np.zeros(BATCH, PACKET), np.zeros(HASH_KEYS, np.uint64)
LAYERS = layer_table()
FLOW_CSV = (
    "Flow ID,Source IP,Source Port,Destination IP,Destination Port,Protocol,Timestamp,Flow Duration,Label\n"
    "a,10.0.0.1,1000,10.0.0.2,80,6,5/7/2017 8:00,1000000,BENIGN\n"
    "b,10.0.0.2,80,10.0.0.1,1000,6,05/07/2017 08:00:01,5,DoS Hulk\n"
)


@dataclass(frozen=True)
class Target:
    """One kind of file.

    Attributes:
        name: in words. suffix: of its files.
        seeds: makes the files to start from, given a folder to work in.
        changes: functions of :mod:`mutate`.
        check: raises what is wrong with the file at a path; its second argument counts the mutants.
    """

    name: str
    suffix: str
    seeds: Callable[[Path], Sequence[bytes]]
    changes: Sequence[Callable]
    check: Callable[[Path, int], None]


def shipped_head():
    """The first packets of a shipped capture."""
    with gzip.open(REPOSITORY / "resources/lab/session1_mon.pcap.gz") as file:
        return file.read(8000)


def pcap_seeds(_):
    packets = list(made.random_traffic(np.random.default_rng(0), 24))
    frames = [frame[14:] for _, frame in packets]
    cooked = [(time, bytes(14) + frame[12:]) for time, frame in packets]
    raw = list(zip([time for time, _ in packets], frames, strict=True))
    return [
        made.pcap(packets),
        made.pcap(packets, tick=1),
        made.pcap(raw, link=101),
        made.pcap(cooked, link=113),
        made.pcap([(time, b"\x02\0\0\0" + frame) for time, frame in raw], link=0),
        *(made.pcap([(time, around(frame)) for time, frame in raw[:2]], link=link) for link, around in FRAMES.values()),
        shipped_head(),
    ]


def pcapng_seeds(_):
    packets = list(made.random_traffic(np.random.default_rng(1), 24))
    several = b"".join(
        made.section() + made.interface(resolution=resolution, offset=offset) + made.enhanced(1 << 40, packets[0][1])
        for resolution, offset in ((6, None), (9, 5), (0x80 | 20, -5))
    )
    return [made.pcapng(packets), several + made.pcapng(packets)]


def read_and_parse(capture, skipped):
    """All packets of an open capture as bytes, after checking that each is kept or counted."""
    kept = []
    for buffer, records in capture.batches():
        ends = records["offset"] + records["captured"]
        assert (records["offset"] >= 0).all() and (ends <= len(buffer)).all(), "a record lies outside of the buffer"
        count = parse_batch(buffer, records, PACKETS, skipped, LAYERS, KEYS)
        kept.append(PACKETS[:count].tobytes())
    content = b"".join(kept)
    accounted = len(content) // PACKET.itemsize + skipped["packets"].sum()
    assert accounted == capture.packets_read, "a packet is not accounted for"
    return content


class Pieces(io.BytesIO):
    """A file that gives a few bytes at a time, as slow streams do."""

    rng = np.random.default_rng(0)

    def readinto(self, view):
        return super().readinto(memoryview(view)[: int(self.rng.integers(1, 700))])


def read_twice(content):
    """What the bytes of a capture hold, and what they hold in small pieces and wrappings; (None, words) if refused."""
    outcomes = []
    wrapped = [io.BytesIO(content), Pieces(content)]
    wrapped += [io.BytesIO(gzip.compress(content, 1)), io.BytesIO(zstandard.compress(content, 1))]
    for file in wrapped:
        skipped = new_counts()
        try:
            outcomes.append((read_and_parse(Capture("x", file, len(content)), skipped), skipped.tolist()))
        except InputError:
            outcomes.append(None)
    return outcomes


def check_capture(path, number):
    if number % CHANGED_OFTEN == 0:
        content = path.read_bytes()
        if content[:2] != b"\x1f\x8b" and content[1:4] not in (b"\xb5\x2f\xfd", b"\x2a\x4d\x18"):  # compressed itself
            outcomes = read_twice(content)
            assert all(outcome == outcomes[0] for outcome in outcomes), "pieces or wrapping change what is read"
    skipped = new_counts()
    with open_capture(path) as capture:
        read_and_parse(capture, skipped)
    if number % EXTRACT_EVERY == 0:
        output = path.with_suffix(".h5")
        try:
            extract_flows(path, output, repair=number % (2 * EXTRACT_EVERY) == 0)
            with h5py.File(output) as file:
                kept = len(file["packets/length"])
                assert kept == file["flows/packet_count"][()].sum()
                assert kept + sum(json.loads(file.attrs["skipped"]).values()) == file.attrs["packets_read"]
        finally:
            output.unlink(missing_ok=True)


def compressed_seeds(folder):
    return [compress(seed) for seed in pcap_seeds(folder)[:2] for compress in (gzip.compress, zstandard.compress)]


def check_compressed(path, number):
    check_capture(path, number * CHANGED_OFTEN + 1)


def zip_seeds(folder):
    found = []
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", method) as archive:
            archive.writestr("a/1.pcap", pcap_seeds(folder)[0])
            archive.writestr("é", b"")
        found.append(file.getvalue())
    return found


def check_zip(path, _):
    with open_capture(path, "a/1.pcap") as capture:
        read_and_parse(capture, new_counts())


def rule_seeds(folder):
    return [rule_files.write_rules(folder / "seed.csv", rule_files.RULE, rule_files.RULE).read_bytes()]


def check_labels(kind):
    def check(path, _):
        if kind == "flow_csv":
            read_labels([path], Labelling(label_kind="flow_csv", time_zone="UTC"))
        else:
            read_labels([path], Labelling(label_kind=kind))

    return check


def flow_seeds(folder):
    (folder / "seed.pcap").write_bytes(pcap_seeds(folder)[0])
    extract_flows(folder / "seed.pcap", folder / "seed.h5", name="seed")
    return [(folder / "seed.h5").read_bytes()]


def check_flows(path, _):
    """What is read is what was written, or the file is refused."""
    captures, flows = read_captures([path])
    for _, packets in read_packets(captures[0], flows["offset"], flows["packet_count"]):
        assert len(packets["length"]) == flows["packet_count"].sum()


def dataset_seeds(folder):
    detectors.write_dataset(folder / "seed.h5", detectors.flows(40), split=np.ones(40))
    return [(folder / "seed.h5").read_bytes()]


def attack_seeds(folder):
    with create_hdf5(folder / "seed.h5", "{}") as file:
        file.attrs["attacks"] = json.dumps(["Benign", "Flood"])
        for name in ("row", "attack", "offset", "packet_count"):
            file.create_dataset(f"flows/{name}", data=np.arange(5), **COLUMN_OPTIONS)
    return [(folder / "seed.h5").read_bytes()]


def model_seeds(folder):
    detector = LSTMDetector(4, 1)
    save_detector(folder / "seed.safetensors", detector, np.zeros(15), std=np.ones(15), training={})
    return [(folder / "seed.safetensors").read_bytes()]


def checkpoint_seeds(folder):
    save_checkpoint(folder / "seed", "run", {"a": {"x": np.arange(9.0)}}, state=[{"epoch": 1}])
    return [(folder / "seed").read_bytes()]


def check_checkpoint(path, _):
    found = load_checkpoint(path, "run")
    if found is None:  # said in the log; the training starts anew
        raise InputError(f"{path}: not resumed")
    assert found[0]["a"]["x"].tolist() == list(range(9)) and found[1] == [{"epoch": 1}]


def configuration_seeds(_):
    return [(REPOSITORY / f"config/{name}.yaml").read_bytes() for name in ("config", "paper")]


@functools.cache
def validation():
    """The names of workflow/rules/validation.smk."""
    return SimpleNamespace(**runpy.run_path(str(REPOSITORY / "workflow/rules/validation.smk")))


def check_configuration(path, _):
    """YAML that can be read, is a mapping and names no other class is accepted or refused in words."""
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, ValueError):  # Snakemake says so itself, before it calls us
        return
    if not isinstance(given, dict):
        return
    try:
        config = validation().with_defaults(given, REPOSITORY / "config/config.yaml", {})
        validation().check_config(config, REPOSITORY / "workflow/schemas/config.schema.yaml", [str(path)])
    except WorkflowError as error:
        raise InputError(f"{path}: {error}") from error


BYTES = (mutate.change_bytes,)
TEXT = (mutate.change_text,)
TARGETS = (
    Target("pcap", ".pcap", pcap_seeds, (mutate.change_record,) * 3 + BYTES, check_capture),
    Target("pcapng", ".pcapng", pcapng_seeds, (mutate.change_block,) * 3 + BYTES, check_capture),
    Target("gzip and zstd", ".gz", compressed_seeds, BYTES, check_compressed),
    Target("zip archives", ".zip", zip_seeds, BYTES, check_zip),
    Target("label rules", ".csv", rule_seeds, TEXT, check_labels("rules")),
    Target(
        "ground truth",
        ".csv",
        lambda _: [random_ground_truth(np.random.default_rng(0), 8).encode()],
        TEXT,
        check_labels("ground_truth"),
    ),
    Target("flow CSV", ".csv", lambda _: [FLOW_CSV.encode()], TEXT, check_labels("flow_csv")),
    Target("configuration", ".yaml", configuration_seeds, TEXT, check_configuration),
    Target("flow files", ".h5", flow_seeds, BYTES, check_flows),
    Target("data sets", ".h5", dataset_seeds, BYTES, lambda path, _: load_dataset(path)),
    Target("attack files", ".h5", attack_seeds, BYTES, lambda path, _: read_attack(path)),
    Target("models", ".safetensors", model_seeds, BYTES, lambda path, _: load_detector(path)),
    Target("checkpoints", ".checkpoint", checkpoint_seeds, BYTES, check_checkpoint),
)
