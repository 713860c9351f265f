"""The manual, as a new user follows it: two captures, six lines of labels and a config file, to Fig. 3."""

import json
import re
import shutil

import pytest
import yaml
from conftest import REPOSITORY, TINY, snakemake

MANUAL = (REPOSITORY / "config/README.md").read_text()
SIZES = ("training", "evaluation", "attacks", "selected_threat_models", "search", "gate", "ars")  # make it quick


def block(language):
    """The first code block of the manual in a language."""
    return re.search(rf"```{language}\n(.*?)```", MANUAL, flags=re.DOTALL)[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_captures):
    """What the manual has one write; the captures are cut to seconds."""
    place = tmp_path_factory.mktemp("a new user")
    (place / "captures").mkdir()
    for line in re.findall(r"resources/lab/(\w+)\.pcap\.gz > captures/(\w+\.pcap)", block("sh")):
        shutil.copy(tiny_captures / f"{line[0]}.pcap", place / "captures" / line[1])
    (place / "attacks.csv").write_text(block("csv"))
    (place / "mine.yaml").write_text(block("yaml"))
    (place / "quick.json").write_text(json.dumps({section: TINY[section] for section in SIZES}))
    return place


def test_ten_lines_of_configuration_and_six_of_labels_suffice(folder):
    assert len((folder / "mine.yaml").read_text().splitlines()) <= 10
    assert len((folder / "attacks.csv").read_text().splitlines()) == 6
    assert len(list((folder / "captures").iterdir())) == 2


def test_every_key_of_a_description_is_in_the_manual():
    schema = yaml.safe_load((REPOSITORY / "workflow/schemas/config.schema.yaml").read_text())
    keys = set(schema["$defs"]["described_dataset"]["properties"])
    assert keys == set(re.findall(r"(?m)^\| `(\w+)` \|", MANUAL))


def test_the_commands_of_the_manual_lead_to_figure_3(checkout, folder):
    targets = re.findall(r"--configfile mine.yaml --cores 4 (\w+)", MANUAL)
    assert targets == ["check_datasets", "label_audit", "fig3"]
    for target in targets:
        run = snakemake(checkout, folder, "--cores", 1, "--configfile", "mine.yaml", "quick.json", "--", target)
        assert run.returncode == 0, run.stdout
    for product in re.findall(r"`(results/office/[\w/.]+)`", MANUAL):
        assert (folder / product).stat().st_size
    audit = (folder / "results/office/tables/label_audit.html").read_text()
    assert audit.count("matches no flow") == 1  # GoldenEye, which the cuts leave out
    check = (folder / "results/office/file_check.csv").read_text()
    assert "wednesday.pcap" in check and "5 rows of 4 attack types" in check


def test_a_missing_or_cut_capture_is_reported_before_anything_runs(checkout, folder, tmp_path):
    shutil.copytree(folder / "captures", tmp_path / "captures")
    for name in ("attacks.csv", "mine.yaml"):
        shutil.copy(folder / name, tmp_path / name)
    wednesday = tmp_path / "captures/wednesday.pcap"
    wednesday.write_bytes(wednesday.read_bytes()[:-3])
    (tmp_path / "more.json").write_text(json.dumps({"datasets": {"office": {"expected": {"files": 3}}}}))
    run = snakemake(checkout, tmp_path, "--cores", 1, "--configfile", "mine.yaml", "more.json", "--", "check_datasets")
    assert run.returncode != 0
    assert "wednesday.pcap: byte" in run.stdout and "ends inside a record" in run.stdout
    assert "2 captures, expected 3; get the others" in run.stdout
    assert "Source: recorded in the office" in run.stdout
