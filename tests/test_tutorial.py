"""docs/tutorial.md: its tables are those of the README's pictures, and its commands work to the letter."""

import csv
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY, copy_workflow

TUTORIAL = (REPOSITORY / "docs/tutorial.md").read_text()
DRAWN = REPOSITORY / "docs/pictures/baseline"  # what `make reproduce` compares with the results of the default
TABLES = re.findall(r"(?m)^\| (attack \| .*) \|\n\|[-|]+\|\n((?:\|.*\|\n)+)", TUTORIAL)
COMMANDS = [line for block in re.findall(r"(?ms)^```sh\n(.*?)^```", TUTORIAL) for line in block.splitlines()]
AT_LEAST = 0.1  # by which recall may differ on another processor, and a score as a share of itself


def printed_rows(table):
    """The rows of a table of the tutorial as dicts."""
    names = table[0].split(" | ")
    return [dict(zip(names, line.strip("| ").split(" | "), strict=True)) for line in table[1].splitlines()]


def drawn_rows(folder):
    """{attack: its columns} of recall and scores."""
    rows = {}
    for name in ("recall.csv", "ars.csv"):
        with (Path(folder) / name).open(newline="") as file:
            for row in csv.DictReader(file):
                rows.setdefault(row["attack"], {}).setdefault(name, row)
    return rows


@pytest.mark.parametrize(
    ("table", "name"), [*zip(TABLES, ("recall.csv", "ars.csv"), strict=True)], ids=["recall", "ars"]
)
def test_the_numbers_are_those_of_the_pictures(table, name):
    rows = drawn_rows(DRAWN)
    for printed in printed_rows(table):
        for column, text in printed.items():
            value = rows[printed["attack"]][name][column]
            digits = len(text.partition(".")[2])
            assert text == (f"{float(value):.{digits}f}" if digits else value), printed


def test_the_price_of_the_botnet_is_what_the_sentence_says():
    score = float(drawn_rows(DRAWN)["Botnet ARES"]["ars.csv"]["ars"])
    deviation, price = re.search(r"About (\d+) bytes\. So [\d.]+ is the price of (\d+) bytes", TUTORIAL).groups()
    assert round(score * int(deviation)) == int(price)


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """What a fresh clone has, with the environment that `make setup` makes."""
    place = copy_workflow(tmp_path_factory.mktemp("clone") / "rnnids")
    shutil.copytree(REPOSITORY / "resources", place / "resources", dirs_exist_ok=True)
    return place


@pytest.mark.slow
def test_every_command_works_as_it_stands(clone):
    environment = os.environ | {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}
    said = {}
    first = COMMANDS.index("snakemake -n fig3")
    assert [shlex.split(line)[0] for line in COMMANDS[:first]] == ["git", "make", "."]
    assert COMMANDS[-1] == "snakemake --cores 2"  # all of it, which test_workflow.py runs on a small study
    for command in COMMANDS[first:-1]:
        run = subprocess.run(
            ["bash", "-euc", command], cwd=clone, env=environment, capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, f"{command}\n{run.stdout}\n{run.stderr}"
        said[command] = run.stdout
    assert (clone / "results/lab/figures/fig3.png").stat().st_size
    found, rows = drawn_rows(clone / "results/lab/baseline"), drawn_rows(DRAWN)
    for attack in ("FTP-Patator", "DoS Hulk", "Botnet ARES", "PortScan - Firewall off"):
        recall = [float(table[attack]["recall.csv"]["recall"]) for table in (found, rows)]
        assert abs(recall[0] - recall[1]) < AT_LEAST, attack
    (deviation,) = (float(text) for command, text in said.items() if ".std[3]" in command)
    assert round(deviation) == 573
    (evasion,) = (text.splitlines() for command, text in said.items() if command.startswith("grep"))
    assert float(evasion[-1].split(",")[-1]) < 0.5
    packets = [line.split(",") for line in evasion]
    assert any([float(x) for x in packet[2:4]] != [float(x) for x in packet[5:7]] for packet in packets)
