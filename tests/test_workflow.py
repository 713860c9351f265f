"""The whole workflow on a configuration of seconds: what it makes, and what an edit or a new value reruns."""

import json
import os
import re
import shutil

import pytest
from conftest import TINY, snakemake

MODELS = ("baseline", "feature_dropout", "adversarial_training")
TABLES = ("table1", "label_audit", "table2", "table3", "table_defences", "paper_comparison")
FIGURES = ("fig1", "fig2", "fig3", "fig4", "fig6", "fig7", "fig8", "fig9", "fig10", "pair_scores")
RESULTS = [
    "flows/session3_wed.h5",
    "flows/session5_fri.h5",
    "dataset.h5",
    "dataset_report.csv",
    "label_report.csv",
    "attack_counts.csv",
    "paper_comparison.csv",
    "flow_statistics/metrics.csv",
    *(f"{model}/{name}" for model in MODELS for name in ("weights.safetensors", "metrics.csv", "ars.csv")),
    "baseline/learning_curve.csv",
    "baseline/predictions.h5",
    "baseline/attacks/cw/kappa_0.5.h5",
    "baseline/attacks/pgd.h5",
    *(f"tables/{table}.html" for table in TABLES),
    *(f"figures/{figure}.{suffix}" for figure in FIGURES for suffix in ("pdf", "svg", "png")),
]
DETECTION = {"extract_flows": 2, "build_dataset": 1, "train": 1, "evaluate": 1}
# What an attack feeds: besides its own figures the adversarial training, and what shows that model.
ATTACKS = {
    "attack_cw": 6,  # two kappas, and the one that bounds the other attacks, in two chunks each
    "summarise_attacks": 1,
    "attack_bounded": 4,
    "gather_attack": 5,
    "compare_attacks": 1,
    "minimise_distances": 6,
    "ars": 3,
    "train_adversarially": 1,
    "evaluate": 1,
    "sequential_dependence": 1,
    "tabulate_table2": 1,
    "tabulate_comparison": 1,
    "tabulate_defences": 1,
    "plot_fig1": 1,
    "plot_fig2": 1,
    "plot_fig3": 1,
    "plot_fig8": 1,
    "plot_fig10": 1,
    "all": 1,
}


def configured(study, **change):
    """The --configfile options for the tiny configuration with some sections changed."""
    (study / "change.json").write_text(json.dumps(change))
    return ["--configfile", study / "tiny.yaml", study / "change.json"]


def plan(checkout, study, *arguments, **change):
    """Rule -> number of jobs that a dry run plans."""
    run = snakemake(checkout, study, "-n", *arguments, *configured(study, **change))
    assert run.returncode == 0, run.stdout
    stats = run.stdout.rpartition("Job stats:")[2].partition("\ntotal")[0] if "Job stats:" in run.stdout else ""
    return {rule: int(count) for rule, count in re.findall(r"(?m)^(\w+) +(\d+)$", stats)}


@pytest.fixture(scope="module")
def done(checkout, study):
    """The study after a complete run."""
    run = snakemake(checkout, study, "--cores", 2, *configured(study))
    assert run.returncode == 0, run.stdout
    return study


@pytest.fixture
def edited(checkout):
    """A function that appends text to a script for the length of a test."""
    originals = {}

    def append(name, text):
        path = checkout / "scripts" / name
        originals[path] = path.read_text()
        path.write_text(originals[path] + text)

    yield append
    for path, text in originals.items():
        path.write_text(text)


def test_every_result_is_made(done):
    missing = [name for name in RESULTS if not (done / "results/tiny" / name).stat().st_size]
    assert not missing


def test_no_temporary_file_or_checkpoint_is_left(done):
    assert not list((done / "results").rglob(".*"))


def test_a_second_run_has_nothing_to_do(checkout, done):
    assert plan(checkout, done) == {}


def test_a_comment_or_a_touch_reruns_nothing(checkout, done, edited):
    edited("rnnids/attacks/gradient.py", "# A remark.\n")
    for path in checkout.rglob("*.py"):
        os.utime(path)
    assert plan(checkout, done) == {}


def test_a_new_delta_reruns_the_attacks_and_what_they_feed(checkout, done):
    assert plan(checkout, done, attacks={"cw": {"delta": -0.3}}) == ATTACKS


def test_a_new_kappa_adds_one_attack(checkout, done):
    expected = {"attack_cw": 2, "gather_attack": 1, "summarise_attacks": 1, "plot_fig2": 1, "all": 1}
    assert plan(checkout, done, attacks={"kappas": [0.5, 2, 3]}) == expected


def test_an_edited_module_reruns_what_depends_on_it(checkout, done, edited):
    edited("rnnids/attacks/gradient.py", "EDITED = True\n")
    assert plan(checkout, done) == ATTACKS


def test_an_edited_script_reruns_its_own_rule(checkout, done, edited):
    edited("plot_fig2.py", "EDITED = True\n")
    assert plan(checkout, done) == {"plot_fig2": 1, "all": 1}


def test_another_model_leaves_the_others_alone(checkout, done):
    change = {"models": {"wide": {"hidden_size": 9}}, "selected_models": [*MODELS, "wide"]}
    tables = {"tabulate_table2": 1, "tabulate_comparison": 1, "tabulate_defences": 1}
    assert plan(checkout, done, **change) == {
        "train": 1,
        "evaluate": 1,
        "minimise_distances": 2,
        "ars": 1,
        **tables,
        "all": 1,
    }


def test_a_moved_checkout_reruns_nothing_but_what_reads_its_files(checkout, done, tmp_path):
    """The label rules and the paper's numbers lie in the checkout; the captures, and so the flows, do not."""
    moved = shutil.copytree(checkout, tmp_path / "moved", symlinks=True)
    assert "extract_flows" not in plan(moved, done)


@pytest.mark.parametrize("target", ["fig3", "results/tiny/figures/fig3.pdf"])
def test_one_figure_needs_no_more_than_it_shows(checkout, study, tmp_path, target):
    shutil.copytree(study / "captures", tmp_path / "captures")
    (tmp_path / "tiny.yaml").write_text(json.dumps(TINY))
    expected = (
        DETECTION | {"minimise_distances": 2, "ars": 1, "plot_fig3": 1} | ({"fig3": 1} if target == "fig3" else {})
    )
    assert plan(checkout, tmp_path, target) == expected


def test_targets_say_what_they_show(checkout, study):
    listed = snakemake(checkout, study, "--list-target-rules").stdout
    targets = dict(re.findall(r"(?m)^(\w+) \((.+)\)$", listed))
    assert {"all", "fig5", *TABLES, *FIGURES} <= set(targets)
    assert targets["fig3"].startswith("Fig. 3:")


def test_the_report_is_one_file_that_needs_no_network(checkout, done):
    run = snakemake(checkout, done, "--report", done / "report.html", *configured(done))
    assert run.returncode == 0, run.stdout
    text = (done / "report.html").read_text()
    assert all(f"{table}.html" in text for table in TABLES)
    assert all(f"{figure}.svg" in text for figure in FIGURES)
    assert not re.findall(r"""<(?:script|img|iframe|link)[^>]+(?:src|href)=["']?https?:""", text)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"attacks": {"kappas": [0]}}, ["attacks.kappas.0: 0 is not allowed", "more than 0", "change.json"]),
        ({"atacks": {}}, ["atacks: no such key; did you mean 'attacks'?", "change.json"]),
        ({"selected_models": ["basline"]}, ["'basline' is not described under models; did you mean 'baseline'?"]),
        ({"datasets": {"tiny": {"captures": ["gone.pcap"]}}}, ["1 of 2 files are missing", "gone.pcap", "the tests"]),
        ({"datasets": {"tiny": {"labels": "gone.csv"}}}, ["gone.csv", "Source: the tests"]),
    ],
)
def test_a_wrong_configuration_stops_with_a_short_message(checkout, tmp_path, study, change, words):
    shutil.copytree(study / "captures", tmp_path / "captures")
    run = snakemake(checkout, tmp_path, "--cores", 1, *configured(study, **change))
    assert run.returncode != 0
    assert all(word in run.stdout for word in words), run.stdout
    assert "Traceback (most recent call last)" not in run.stdout
    assert not (tmp_path / "results").exists()


def test_the_paper_is_planned_without_its_captures(checkout, tmp_path):
    run = snakemake(checkout, tmp_path, "-n", "--configfile", checkout / "config/paper.yaml")
    assert run.returncode == 0, run.stdout
    for word in (
        "Wednesday-workingHours.pcap",
        "captures/unsw_nb15",
        "https://www.unb.ca",
        "https://research.unsw.edu.au",
    ):
        assert word in run.stdout
    jobs = dict(re.findall(r"(?m)^(\w+) +(\d+)$", run.stdout))
    assert jobs["extract_flows"] == "85"
    assert jobs["train"] == "8"


def test_archived_captures_are_not_missed(checkout, done):
    """Once the flows are there the captures may go; Snakemake treats them as any source file."""
    (done / "captures").rename(done / "archive")
    change = {"datasets": {"tiny": {"captures": ["captures/session3_wed.pcap", "captures/session5_fri.pcap"]}}}
    try:
        assert plan(checkout, done, **change) == {}
    finally:
        (done / "archive").rename(done / "captures")


def test_an_unreadable_capture_shows_the_scripts_own_words(checkout, tmp_path, study):
    (tmp_path / "captures").mkdir()
    (tmp_path / "captures/letter.pcap").write_text("This is not a capture.")
    run = snakemake(checkout, tmp_path, "--cores", 1, *configured(study))
    assert run.returncode != 0
    assert "error: captures/letter.pcap" in run.stdout
