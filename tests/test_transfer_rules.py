"""Across data sets in the workflow: what a run plans, and what it takes from a detector's own data set."""

import re

from conftest import REPOSITORY, snakemake


def planned(folder, *arguments):
    """Rule -> number of jobs that a dry run of the default configuration plans, and its output."""
    run = snakemake(REPOSITORY, folder, "-n", "-p", *arguments)
    assert run.returncode == 0, run.stdout
    stats = run.stdout.rpartition("Job stats:")[2].partition("\ntotal")[0]
    return {rule: int(count) for rule, count in re.findall(r"(?m)^(\w+) +(\d+)$", stats)}, run.stdout


def test_detectors_are_taken_from_their_own_data_set_and_attacked_on_few_flows(tmp_path):
    jobs, output = planned(tmp_path, "table_transfer")
    assert (jobs["combine_datasets"], jobs["copy_weights"], jobs["train"]) == (2, 3, 4)
    assert jobs["evaluate"] == 7  # three models at home, three away, and the one trained on both recordings
    searches = re.findall(
        r"(?m)^Shell command: .*search_evasions.py --dataset results/(\w+)/.* --max-flows (\d+)", output
    )
    assert [flows for name, flows in searches if name == "lab_to_lab2"] == ["5"]
    assert not [name for name, _ in searches if name == "lab_and_lab2_to_lab2"]
    (both,) = re.findall(r"train.py --dataset results/lab_and_lab2_to_lab2/.*? --epochs (\d+)", output)
    assert both == "15"


def test_data_sets_of_ones_own_bring_no_others_in(tmp_path):
    (tmp_path / "a.pcap").touch()
    (tmp_path / "mine.yaml").write_text(
        "selected_datasets: [mine]\ndatasets: {mine: {captures: [a.pcap], labels: a.pcap, source: tests}}\n"
    )
    jobs, output = planned(tmp_path, "--configfile", tmp_path / "mine.yaml", "--", "all")
    assert not {"combine_datasets", "copy_weights", "tabulate_transfer", "detect"} & set(jobs)
    assert "results/lab" not in output


def test_captures_to_be_watched_are_found_by_name(tmp_path):
    jobs, _ = planned(tmp_path, "alerts")
    assert jobs["detect"] == 1
    run = snakemake(REPOSITORY, tmp_path, "-n", "results/lab/baseline/alerts/session4.jsonl")
    assert run.returncode != 0
    assert "session4" in run.stdout
