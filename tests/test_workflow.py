"""The whole workflow on a configuration of seconds: what it makes, and what an edit or a new value reruns."""

import json
import os
import re
import shutil

import latex_reader
import pandas as pd
import pytest
import yaml
from conftest import REPOSITORY, TINY, snakemake
from documented import contradictions
from snakemake.utils import update_config

MODELS = ("baseline", "feature_dropout", "adversarial_training")
TABLES = ("table1", "label_audit", "table2", "table3", "table_defences", "paper_comparison")
FIGURES = (
    *(f"fig{number}" for number in (1, 2, 3, 4, 6, 7, 8, 9, 10)),
    *("pair_scores", "shapley", "fig_steps", "fig_detection", "budget", "jitter"),
)
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
    "baseline/attacks/search/last/payload.h5",
    "baseline/robustness.csv",
    "tables/ars.html",
    "tables/attacks.html",
    "tables/detection.html",
    "baseline/round_trip.csv",
    "baseline/round_trip_failures.csv",
    "tables/round_trip.html",
    "tables/agreement.html",
    "tables/sanity.html",
    "figures/agreement.pdf",
    "tables/jitter.html",
    "baseline/flow_samples.csv",
    "adversarial_training/flow_samples.csv",
    "index.html",
    *(f"tables/{table}.html" for table in TABLES),
    *(f"figures/{figure}.{suffix}" for figure in FIGURES for suffix in ("pdf", "svg", "png")),
    *(f"figures/fig{number}_before_after.pdf" for number in (6, 7, 8)),
]
DETECTION = {"extract_flows": 2, "build_dataset": 1, "train": 1, "evaluate": 1}
# What the scores of the baseline rest on: the attacks on it (two kappas, and the one that bounds the other attacks, in
# two chunks each) and searches under two threat models and for another goal.
ROBUSTNESS = {
    "attack_cw": 6,
    "attack_bounded": 4,
    "search_evasions": 6,
    "gather_attack": 8,
    "check_robustness": 3,
    "bound_distances": 1,
    "ars": 1,
}
# What an attack feeds: besides its own figures the adversarial training, and what shows that model.
ATTACKS = ROBUSTNESS | {
    "attack_cw": 8,
    "summarise_attacks": 1,
    "compare_attacks": 1,
    "search_evasions": 12,
    "gather_attack": 12,
    "check_robustness": 6,
    "ars": 2,
    "measure_budget": 2,
    "check_round_trip": 2,
    "measure_jitter": 1,
    "tabulate_jitter": 1,
    "plot_jitter": 1,
    "train_adversarially": 1,
    "evaluate": 1,
    "partial_dependence": 1,
    "confidence_per_step": 1,
    "sequential_dependence": 2,
    "measure_detection": 1,
    "compare_explanations": 1,
    "tabulate_agreement": 1,
    "plot_agreement": 1,
    "plot_detection": 1,
    "tabulate_detection": 1,
    "tabulate_table2": 1,
    "tabulate_comparison": 1,
    "tabulate_defences": 1,
    "tabulate_ars": 1,
    "tabulate_attacks": 1,
    "measure_latency": 1,
    "tabulate_latency": 1,
    "plot_latency": 1,
    "tabulate_round_trip": 1,
    "plot_fig1": 1,
    "plot_fig2": 1,
    "plot_fig3": 1,
    "plot_fig6": 1,
    "plot_fig7": 1,
    "plot_fig8": 2,
    "plot_fig10": 1,
    "plot_budget": 1,
    "trace_flows": 2,
    "make_page": 1,
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


def test_every_table_is_there_for_papers(done, tmp_path):
    """In LaTeX, which is read, and compiled where there is a LaTeX."""
    pages = sorted((done / "results/tiny/tables").glob("*.html"))
    assert pages
    sources = [path.with_suffix(".tex").read_text() for path in pages]
    for source in sources:
        latex_reader.check(source)
    if latex_reader.TEX:
        latex_reader.compiled("\n".join(sources), tmp_path)


def test_no_log_is_empty(done):
    logs = list((done / "results").rglob("*.log"))
    assert logs
    assert [str(path) for path in logs if not path.stat().st_size] == []


def test_no_temporary_file_or_checkpoint_is_left(done):
    assert not list((done / "results").rglob(".*"))


def test_a_second_run_has_nothing_to_do(checkout, done):
    assert plan(checkout, done) == {}


def restated():
    """Every value of the tiny study's configuration, in another order; also what its data set inherits."""
    config = yaml.safe_load((REPOSITORY / "config/config.yaml").read_text())
    update_config(config, TINY)
    config["datasets"]["tiny"] |= config["labelling"] | {
        "extraction": config["extraction"],
        "options": config["dataset"],
    }
    config["models"]["baseline"] = config["training"]
    return backwards(config)


def backwards(tree):
    """A configuration with the keys of each section in reverse."""
    return {key: backwards(value) if isinstance(value, dict) else value for key, value in reversed(list(tree.items()))}


def test_another_seed_is_another_training_of_everything_that_depends_on_one(checkout, done):
    models = ["baseline", "adversarial_training"]
    change = {"seeds": [0, 1], "selected_models": models, "seeded_models": models}
    planned = plan(checkout, done, "results/tiny/tables/seeds.html", **change)
    once = {"train": 1, "train_adversarially": 1, "compare_seeds": 1, "tabulate_seeds": 1, "perturb_inputs": 1}
    twice = dict.fromkeys(("evaluate", "gather_attack", "check_robustness"), 2)
    assert planned == once | twice | {"search_evasions": 4}


def test_what_varies_between_seeds_is_tabulated_and_drawn(checkout, done):
    targets = [f"results/tiny/{name}" for name in ("tables/seeds.html", "figures/seeds.pdf")]
    change = configured(done, seeds=[0, 1], selected_models=["baseline"])
    run = snakemake(checkout, done, "--cores", 2, *targets, *change)
    assert run.returncode == 0, run.stdout
    values = pd.read_csv(done / "results/tiny/seed_values.csv")
    assert set(values.seed) == {0, 1}
    first = pd.read_csv(done / "results/tiny/baseline/metrics.csv").set_index(["level", "metric"]).value
    chosen = values[(values.seed == 0) & (values.quantity == "flow accuracy")]
    assert chosen.value.item() == first["flow", "accuracy"]
    assert values[values.quantity == "flow accuracy"].value.nunique() == 2
    assert plan(checkout, done) == {}


def test_restating_every_value_reruns_nothing(checkout, done):
    assert plan(checkout, done, **restated()) == {}


def test_what_cannot_change_a_result_reruns_nothing(checkout, done):
    change = {
        "device": "cpu",
        "training_threads": 2,
        "training_gpus": 2,
        "attacks": {"selection": {"chunks": 3, "batch_packets": 100}, "reference_kappa": 1.0},
        "evaluation": {"batch_packets": 100},
    }
    assert plan(checkout, done, **change) == {}


def test_attacks_that_are_made_anew_keep_their_chunks(checkout, done):
    assert plan(checkout, done, attacks={"cw": {"delta": -0.3}, "selection": {"chunks": 5}}) == ATTACKS


def test_training_batches_do_change_a_result(checkout, done):
    assert plan(checkout, done, training={"batch_packets": 1024})["train"] == 2


def test_a_comment_or_a_touch_reruns_nothing(checkout, done, edited):
    edited("rnnids/attacks/gradient.py", "# A remark.\n")
    for path in checkout.rglob("*.py"):
        os.utime(path)
    assert plan(checkout, done) == {}


def test_a_new_delta_reruns_the_attacks_and_what_they_feed(checkout, done):
    assert plan(checkout, done, attacks={"cw": {"delta": -0.3}}) == ATTACKS


def test_a_new_kappa_adds_one_attack(checkout, done):
    planned = plan(checkout, done, attacks={"kappas": [0.5, 2, 3]})
    own = {"attack_cw": 2, "gather_attack": 4, "summarise_attacks": 1, "plot_fig2": 1}
    assert {rule: planned[rule] for rule in own} == own
    assert planned["search_evasions"] == 6  # those of the baseline, which take up what its attacks found
    assert not {"train", "train_adversarially", "attack_bounded"} & set(planned)


def test_an_edited_module_reruns_what_depends_on_it(checkout, done, edited):
    edited("rnnids/attacks/gradient.py", "EDITED = True\n")
    assert plan(checkout, done) == ATTACKS


def test_an_edited_script_reruns_its_own_rule(checkout, done, edited):
    edited("plot_fig2.py", "EDITED = True\n")
    assert plan(checkout, done) == {"plot_fig2": 1, "make_page": 1, "all": 1}


def test_an_edited_program_does_not_record_results_anew(checkout, done, edited):
    run = snakemake(checkout, done, "--cores", 1, "record_results", *configured(done))
    assert run.returncode == 0, run.stdout
    edited("verify_results.py", "EDITED = True\n")
    assert plan(checkout, done, "verify") == {"verify": 1}


def test_another_model_leaves_the_others_alone(checkout, done):
    change = {"models": {"wide": {"hidden_size": 9}}, "selected_models": [*MODELS, "wide"]}
    names = ("table2", "detection", "comparison", "defences", "ars", "attacks", "round_trip")
    tables = {f"tabulate_{name}": 1 for name in names} | {"plot_budget": 1, "plot_detection": 1}
    assert plan(checkout, done, **change) == {
        "train": 1,
        "evaluate": 1,
        "search_evasions": 6,
        "gather_attack": 3,
        "check_robustness": 3,
        "ars": 1,
        "measure_budget": 1,
        "measure_detection": 1,
        "check_round_trip": 1,
        **tables,
        "make_page": 1,
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
    expected = DETECTION | ROBUSTNESS | {"plot_fig3": 1} | ({"fig3": 1} if target == "fig3" else {})
    assert plan(checkout, tmp_path, target) == expected


OUTER = """
module detectors:
    snakefile: "{checkout}/Snakefile"
    config: config["detectors"]
    replace_prefix: {{"results/": "results/detectors/"}}

use rule * from detectors as detectors_*

rule outer:
    default_target: True
    input: rules.detectors_{target}.input
"""


@pytest.mark.parametrize("target", ["fig5", "all"])
def test_it_works_as_a_module_of_another_workflow(checkout, study, tmp_path, target):
    shutil.copytree(study / "captures", tmp_path / "captures")
    (tmp_path / "outer.yaml").write_text(json.dumps({"detectors": TINY, "ours": 1}))
    (tmp_path / "Snakefile").write_text(OUTER.format(checkout=checkout, target=target))
    arguments = ["--cores", 1] if target == "fig5" else ["-n"]
    run = snakemake(tmp_path, tmp_path, *arguments, "--configfile", tmp_path / "outer.yaml")
    assert run.returncode == 0, run.stdout
    assert (tmp_path / "results/detectors/tiny/figures/fig5.pdf").exists() == (target == "fig5")
    assert re.search(r"(?m)^detectors_extract_flows +2$", run.stdout) or target == "fig5"


def test_a_module_finds_the_division_of_an_attack_where_its_results_are(checkout, study, tmp_path):
    shutil.copytree(study / "captures", tmp_path / "captures")
    (tmp_path / "outer.yaml").write_text(json.dumps({"detectors": TINY}))
    (tmp_path / "Snakefile").write_text(OUTER.format(checkout=checkout, target="fig5"))
    attack = tmp_path / "results/detectors/tiny/baseline/attacks/cw/kappa_1"
    attack.mkdir(parents=True)
    for made in (attack.with_suffix(".h5"), *(attack / f"chunk_{chunk}_of_3.h5" for chunk in (1, 2, 3))):
        made.touch()
    target = attack.with_suffix(".h5").relative_to(tmp_path)
    forced = ("--forcerun", "detectors_gather_attack", "--configfile", tmp_path / "outer.yaml")
    run = snakemake(tmp_path, tmp_path, "-n", target, *forced)
    assert run.returncode == 0, run.stdout
    assert "chunk_3_of_3.h5" in run.stdout and "_of_2.h5" not in run.stdout


def test_a_module_says_what_is_wrong_with_its_configuration(checkout, tmp_path):
    (tmp_path / "Snakefile").write_text(OUTER.format(checkout=checkout, target="fig5"))
    run = snakemake(tmp_path, tmp_path, "-n", "--config", "detectors={sed: 1}")
    assert run.returncode != 0
    assert "sed: no such key; did you mean 'seed'?" in run.stdout


def test_every_file_and_column_is_described(done):
    """docs/reference/results.yaml, from which docs/reference/results.md is made."""
    assert contradictions(done / "results") == []


def test_targets_say_what_they_show(checkout, study):
    listed = snakemake(checkout, study, "--list-target-rules").stdout
    targets = dict(re.findall(r"(?m)^(\w+) \((.+)\)$", listed))
    assert {"all", "page", "fig5", *TABLES, *FIGURES} <= set(targets)
    assert targets["fig3"].startswith("Fig. 3:")
    assert len(set(targets.values())) == len(targets)  # none has that of the rule it inherits from
    assert not any("inherit" in words for words in targets.values())


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
