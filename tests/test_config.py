"""The configuration: faults are named in one line each, and sections, schema and options are the same set of keys."""

import copy
import importlib
import json
import re
import runpy
import shlex
from pathlib import Path

import pytest
import yaml
from conftest import REPOSITORY, snakemake
from snakemake.exceptions import WorkflowError
from snakemake.utils import update_config
from workflow_rules import scripts_and_environments

SCHEMA_FILE = REPOSITORY / "workflow/schemas/config.schema.yaml"
SCHEMA = yaml.safe_load(SCHEMA_FILE.read_text())
DEFAULT = yaml.safe_load((REPOSITORY / "config/config.yaml").read_text())
PAPER = yaml.safe_load((REPOSITORY / "config/paper.yaml").read_text())
PUBLISHED = yaml.safe_load((REPOSITORY / "config/published.yaml").read_text())
QUICK = yaml.safe_load((REPOSITORY / "config/quick.yaml").read_text())
IMPORTED = {"published": {"flows": ["a"], "categories": "b"}, "source": "tests"}
# Of a capture in an archive; where a description has them.
CONDITIONAL = ["--member", "--expected-bytes", "--expected-smallest", "--expected-truncated"]


def with_nets(**nets):
    """A data set of published flows, with nets."""
    return IMPORTED | {"published": IMPORTED["published"] | {"nets": nets}}


@pytest.fixture(scope="module")
def check_config():
    """The workflow's own check."""
    return runpy.run_path(str(REPOSITORY / "workflow/rules/validation.smk"))["check_config"]


def changed(**change):
    """The default configuration as Snakemake merges a --configfile into it."""
    config = copy.deepcopy(DEFAULT)
    update_config(config, change)
    return config


@pytest.mark.parametrize(
    "change", [{}, PAPER, PUBLISHED, QUICK], ids=["config.yaml", "paper.yaml", "published.yaml", "quick.yaml"]
)
def test_shipped_configurations_are_valid(check_config, change):
    check_config(changed(**change), SCHEMA_FILE, ["config.yaml"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"attacks": {"cw": {"detla": -0.2}}}, "attacks.cw.detla: no such key; did you mean 'delta'?"),
        ({"atacks": {}}, "atacks: no such key; did you mean 'attacks'?"),
        ({"attacks": {"kappas": [0.5, 0]}}, "attacks.kappas.1: 0 is not allowed; expected a number of more than 0"),
        ({"attacks": {"kappas": [1, 1.0]}}, "attacks.kappas: [1, 1.0] is not allowed; expected a list of different"),
        ({"attacks": {"kappas": []}}, "attacks.kappas: [] is not allowed"),
        ({"attacks": None}, "attacks: None is not allowed; expected options of the attacks"),
        ({"training": {"epochs": "ten"}}, "training.epochs: 'ten' is not allowed; expected an integer of 1 or more"),
        (
            {"training": {"learning_rate": "1e-3"}},
            "training.learning_rate: '1e-3' is not allowed; expected a number of",
        ),
        ({"training": {"learning_rate": "1e-3"}}, "write it without quotes and 1e-3 as 1.0e-3"),
        ({"training": {"epochs": True}}, "training.epochs: True is not allowed"),
        ({"training": {"suppress": "bot"}}, "training.suppress: 'bot' is not allowed; did you mean 'both'?"),
        ({"dataset": {"test_fraction": 1}}, "dataset.test_fraction: 1 is not allowed; expected a number between"),
        ({"device": "cup"}, "device: 'cup' is not allowed; did you mean 'cpu'?"),
        ({"device": "metal"}, "device: 'metal' is not allowed; allowed: auto, cpu, cuda"),
        ({"datasets": {"mine": {"labels": "l.csv"}}}, "datasets.mine: 'captures' is a required property"),
        (
            {"datasets": {"Mine/1": DEFAULT["datasets"]["lab"]}},
            "datasets: 'Mine/1' is not allowed; expected lower-case letters",
        ),
        ({"selected_datasets": ["labs"]}, "selected_datasets: 'labs' is not described under datasets; did you mean"),
        ({"selected_models": ["mlp"]}, "selected_models: 'mlp' is not described under models; allowed: baseline"),
        ({"unlabelled": {"labs": ["a.pcap"]}}, "unlabelled.labs: not described under datasets; did you mean 'lab'?"),
        ({"detection": {"k": 9}}, "detection.k: 9 of n = 5 packets can never be; lower k"),
        (
            {"transfer": {"pairs": [{"trained_on": ["labs"], "tested_on": "lab2", "models": ["baseline"]}]}},
            "transfer.pairs.0: 'labs' is not described under datasets; did you mean 'lab'?",
        ),
        (
            {"transfer": {"pairs": [{"trained_on": ["lab"], "tested_on": "lab2", "models": ["basline"]}]}},
            "transfer.pairs.0: 'basline' is not described under models; did you mean 'baseline'?",
        ),
        (
            {"transfer": {"pairs": [{"trained_on": ["lab"], "tested_on": "lab", "models": ["baseline"]}]}},
            "transfer.pairs.0: trained and tested on 'lab', as every model is; name another data set",
        ),
        ({"datasets": {"lab_to_lab2": DEFAULT["datasets"]["lab"]}}, "transfer.pairs.0 has results of this name"),
        (
            {"datasets": {"mine": IMPORTED | {"labels": "l.csv"}}},
            "datasets.mine.labels: says nothing of published flows; leave it out",
        ),
        (
            {"datasets": {"mine": IMPORTED | {"options": {"split": "time"}}}},
            "datasets.mine: published flows have no times or captures; set options.split to flow",
        ),
        (
            {"datasets": {"mine": IMPORTED}, "selected_datasets": ["mine"]},
            "selected_threat_models: 'payload' asks for lengths of payload",
        ),
        ({"datasets": {"mine": with_nets(basline="a.pth")}}, "nets.basline: not described under models; did you mean"),
        ({"datasets": {"mine": with_nets(adversarial_training="a.pth")}}, "this model goes on from baseline"),
        ({"datasets": {"mine": with_nets(baseline="a.pth")}}, "nets need the normalisation with which they were"),
        ({"datasets": {"mine": {"published": {"flows": []}, "source": ""}}}, "datasets.mine.published"),
        (
            {"figures": {"width": "one"}},
            "figures.width: 'one' is not allowed; allowed: default, one_column, two_columns",
        ),
        ({"figures": {"one_column": 88.9}}, "figures.one_column: 88.9 is not allowed; expected a number of inches"),
        ({"run": "lab"}, "run: 'lab' is the name of a data set"),
        ({"run": "lab_to_lab2"}, "run: 'lab_to_lab2' is the name of a data set"),
        ({"run": "logs"}, "run: results/logs is a folder of every run without a name"),
        ({"run": "../mine"}, "run: '../mine' is not allowed; expected null, or a name of lower-case letters"),
        ({"run": 3}, "run: 3 is not allowed; expected null, or a name"),
        ({"models": {"wide": {"hidden": 9}}}, "models.wide.hidden: no such key; did you mean 'hidden_size'?"),
        (
            {"models": {"wide": {"detector": "a.pth"}}},
            "models.wide.detector: 'a.pth' is not allowed; expected lstm, FILE",
        ),
        ({"training": {"weights": "a.safetensors"}}, "training.weights: no such key"),
        (
            {"models": {"own": {"detector": "a.pt", "weights": "a.safetensors"}}},
            "models.own.weights: a.pt holds its weights itself; leave this out",
        ),
        (
            {"models": {"own": {"detector": "a.onnx"}}, "seeded_models": ["own"]},
            "seeded_models: 'own' is trained already, so seeds change nothing; leave it out, or set seeds to [0]",
        ),
        (
            {"models": {"baseline": {"weights": "a.safetensors"}}, "seeds": [0]},
            "transfer.pairs.1: 'baseline' is trained already; leave it out",
        ),
        ({"models": {"flow_statistics": {}}}, "models.flow_statistics: the results have a folder of this name already"),
        (
            {"models": {"adversarial_training": {"epochs": 3}}},
            "the section adversarial_training says how it is trained",
        ),
        ({"attacks": {"kappas": [1, 1e-5]}}, "attacks.kappas.1: 1e-05 is not allowed; expected at most 6 digits"),
        ({"attacks": {"kappas": [1e6]}}, "attacks.kappas.0: 1000000.0 is not allowed; expected at most 6 digits"),
        ({"attacks": {"kappas": [0.12345678]}}, "attacks.kappas.0: 0.12345678 is not allowed"),
        ({"attacks": {"reference_kappa": 0.12345679}}, "attacks.reference_kappa: 0.12345679 is not allowed"),
    ],
)
def test_a_fault_names_key_value_and_what_is_allowed(check_config, change, message):
    with pytest.raises(WorkflowError) as error:
        check_config(changed(**change), SCHEMA_FILE, ["mine.yaml"])
    assert message in str(error.value)
    assert "Read from: mine.yaml" in str(error.value)
    assert len(str(error.value).splitlines()) <= 5


def test_all_faults_are_named_at_once(check_config):
    with pytest.raises(WorkflowError) as error:
        check_config(changed(seed=-1, search={"draws": 0}), SCHEMA_FILE, ["mine.yaml"])
    assert "seed: -1" in str(error.value)
    assert "search.draws: 0" in str(error.value)


def sections(node, value, path="configuration"):
    """(path, schema, value) of every section that the schema requires to be complete."""
    if "$ref" in node:
        node = SCHEMA["$defs"][node["$ref"].removeprefix("#/$defs/")] | node
    if "required" in node:
        yield pytest.param(node, value, id=path)
    for key, inner in node.get("properties", {}).items():
        yield from sections(inner, value[key], key) if isinstance(value.get(key), dict) else ()


@pytest.mark.parametrize(("schema", "values"), list(sections(SCHEMA, DEFAULT)))
def test_the_default_sets_every_key_of_the_schema(schema, values):
    assert set(values) == set(schema["properties"]) == set(schema["required"])


SCRIPTS = sorted({script for script, _ in scripts_and_environments()})


def import_plan(folder):
    """What a dry run says of importing a data set, a net, and a detector that was trained elsewhere."""
    names = ("flows.pickle.gz.part-aa", "categories.json", "normalisation.pickle", "net.pth")
    for name in names:
        (folder / name).touch()
    own = {"flows": names[:1], "categories": names[1], "normalisation": names[2], "nets": {"baseline": names[3]}}
    described = PUBLISHED | {"selected_datasets": ["own"], "datasets": {"own": {"published": own, "source": "tests"}}}
    (folder / "given.safetensors").touch()
    described |= {"models": {"given": {"weights": "given.safetensors"}}}
    (folder / "own.json").write_text(json.dumps(described))
    targets = [f"results/own/{model}/metrics.csv" for model in ("baseline", "given")]
    run = snakemake(REPOSITORY, folder, "-n", "-p", "--configfile", "own.json", "--", *targets)
    assert run.returncode == 0, run.stdout
    return run.stdout


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    """Script -> the options that its commands give, in a dry run of the default configuration."""
    # Together they run every script.
    targets = ("all", "check_datasets", "fig2_published", "adversarial_captures", "bracket", "verify")
    run = snakemake(REPOSITORY, tmp_path_factory.mktemp("plan"), "-n", "-p", "--", *targets)
    assert run.returncode == 0, run.stdout
    imported = import_plan(tmp_path_factory.mktemp("published"))
    found = {}
    for line in re.findall(r"(?m)^Shell command: (python .*) 2> ", run.stdout + imported):
        words = shlex.split(line)
        found.setdefault(Path(words[1]).stem, set()).update(word for word in words if word.startswith("--"))
    return found


@pytest.fixture
def options_of(capsys):
    """A function that returns the option names in a script's --help, --no-x with --x."""

    def read(script):
        with pytest.raises(SystemExit):
            importlib.import_module(script).main(["--help"])
        lines = re.findall(r"(?m)^  (--[a-z0-9-]+)(?:, (--no-[a-z0-9-]+))?", capsys.readouterr().out)
        return [set(filter(None, names)) for names in lines]

    return read


@pytest.mark.parametrize("script", SCRIPTS)
def test_rule_and_configuration_give_a_script_exactly_its_options(script, commands, options_of):
    accepted, given = options_of(script), commands[script]
    assert given <= set().union(*accepted)
    left_out = {sorted(names)[-1] for names in accepted if not names & given}
    assert left_out <= {*CONDITIONAL}


def test_every_key_of_the_default_has_a_comment_or_a_section_with_one():
    lines = (REPOSITORY / "config/config.yaml").read_text().splitlines()
    bare = [line for line in lines if re.match(r"^[a-z_]+: *$", line) and lines[lines.index(line) - 1][:1] != "#"]
    assert bare == []


def test_a_working_directory_that_cannot_be_written_to():
    run = snakemake(REPOSITORY, Path("/proc"), "-n")  # not even root can write there
    assert run.returncode != 0
    assert "/proc: cannot be written to" in run.stdout
    assert "--directory FOLDER" in run.stdout


def test_lists_and_mappings_of_the_command_line_hold_numbers(tmp_path):
    own = ("seeds=[0, 3]", "search={restarts: 5}", "selected_models=[baseline]")
    run = snakemake(REPOSITORY, tmp_path, "-n", "-p", "--config", *own, "--", "seeds")
    assert run.returncode == 0, run.stdout
    assert "baseline/seed_3" in run.stdout and "seed_1" not in run.stdout
    assert "--restarts 5" in run.stdout


def test_what_the_command_line_gave_is_read_again_and_nothing_else():
    retyped = runpy.run_path(str(REPOSITORY / "workflow/rules/validation.smk"))["retyped"]
    merged = {"a": "1", "b": {"c": "2", "d": ["3", "x: y: z"]}, "e": "4"}
    given = {"a": "1", "b": {"d": ["3", "x: y: z"]}}
    assert retyped(merged, given) == {"a": 1, "b": {"c": "2", "d": [3, "x: y: z"]}, "e": "4"}
    assert retyped("1", "1") == "1"  # Snakemake reads numbers that stand alone
    assert retyped({"own": ["1"]}, None) == {"own": ["1"]}
