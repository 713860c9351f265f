"""How long a study takes on so many GPUs, before anything is run: its jobs, their work, a schedule.

    python benchmarks/plan.py --rate 4970 300000 --gpus 1 8 64

The jobs and what each waits for come from a dry run. Work is counted in packets that pass the network forth and back,
as in training; a rate is how many of those a GPU does a second, measured by `make -C benchmarks train`. A pass of an
attack counts as much, which is a little too much, and a prediction a third. Jobs without a GPU take a minute,
extraction as long as its packets.
"""

import argparse
import heapq
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import yaml
from snakemake.utils import update_config

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "scripts"))

from measure import write_page

# Published sizes: packets, flows, the attacks' part of the flows; and packets of a flow among its first 100, assumed.
SIZES = {
    "cic_ids_2017": {"packets": 56e6, "flows": 2.83e6, "attacks": 0.2, "kept": 11},
    "unsw_nb15": {"packets": 100e6, "flows": 2.54e6, "attacks": 0.13, "kept": 25},
}
EXTRACTION_RATE = 1e6  # packets a second, of a job; reading from a disk included
OTHERS = 60  # seconds of a job without a GPU
FEATURES = 15  # with a source of randomness or a flag of their own each
ATTACK_TYPES = 12
PREDICTED = 20  # predictions of a flow in a search for each of its random points, measured, refinement included
FEW = (  # a few flows of an attack type: a minute, whatever the GPU
    "bound_distances",
    "check_explanations",
    "check_round_trip",
    "compare_explanations",
    "measure_latency",
    "sequential_dependence",
    "trace_flows",
)


def planned_jobs(configfiles):
    """(rule, wildcards, inputs, outputs, GPUs) of every job of a dry run where nothing is there yet."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "snakemake", "-n", "-s", REPOSITORY / "Snakefile", "--directory", folder]
        command += ["--configfile", *(Path(name).resolve() for name in configfiles)]
        run = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if run.returncode:
        sys.exit(run.stdout + run.stderr)
    for block in re.split(r"(?m)^(?=(?:local)?rule \w+:$)", run.stdout)[1:]:
        fields = dict(re.findall(r"(?m)^    (\w+): (.+)$", block.partition("\n\n")[0]))
        rule = re.match(r"(?:local)?rule (\w+):", block)[1]
        wildcards = dict(word.split("=", 1) for word in fields.get("wildcards", "").split(", ") if word)
        gpus = int(re.search(r"\bgpu=(\d+)|$", fields.get("resources", ""))[1] or 0)
        files = [list(filter(None, fields.get(key, "").split(", "))) for key in ("input", "output")]
        yield rule, wildcards, *files, gpus


def configuration(configfiles):
    """The default configuration with what files replace, one after the other."""
    default, *changes = (
        yaml.safe_load(Path(name).read_text(encoding="utf-8"))
        for name in (REPOSITORY / "config/config.yaml", *configfiles)
    )
    for changed in changes:
        update_config(default, changed)
    return default


def work(rule, wildcards, config):
    """Packets that a GPU job passes forth and back."""
    size = SIZES[wildcards["dataset"]]
    packets = size["flows"] * size["kept"]
    attacks, adversarial, gate = config["attacks"], config["adversarial_training"], config["gate"]
    attacked, chunks = of_types(attacks["selection"]["max_flows"], size), attacks["selection"]["chunks"]
    steps = {"pgd": attacks["bounded"]["iterations"], "fgsm": 1}
    visits = adversarial["epochs"] * adversarial["visit_iterations"] * 2 * attacked
    again = adversarial["epochs"] * packets * 2 / 3
    costs = {
        "train": lambda: config["training"]["epochs"] * packets * 2 / 3,
        "attack_cw": lambda: attacked * attacks["cw"]["iterations"] * float(wildcards["kappa"]) / chunks,
        "attack_bounded": lambda: attacked * steps[wildcards["method"]] / chunks,
        "search_evasions": lambda: attacked * searched(config["search"]) / chunks,
        "check_robustness": lambda: attacked / 3 + of_types(gate["flows"], size) * gate["draws"] / 3,
        "measure_jitter": lambda: of_types(config["jitter"]["max_flows"], size) * jittered(config["jitter"]),
        "train_adversarially": lambda: visits + again + adversarial["epochs"] * 2 * attacked,
        "continue_training": lambda: again,
        "evaluate": lambda: packets / 9,
        **explaining(config["explanations"], size),
        **dict.fromkeys(FEW, lambda: 0),
    }
    return costs[rule]()


def searched(search):
    """Passes forth and back of a flow in a search for evasions; predictions count a third."""
    far = 3 * search["far_iterations"]  # two, and one to the margin
    fine = 2 * 2 * search["fine_iterations"]  # two of them, at both thresholds
    gradients = search["iterations"] + far + search["near_starts"] * search["near_iterations"] + fine
    return gradients + PREDICTED * search["draws"] / 3


def of_types(wanted, size):
    """Packets of the test set's attack flows, at most so many of each type; None: of all."""
    there = size["flows"] * size["attacks"] / 3
    return min(ATTACK_TYPES * wanted if wanted else there, there) * size["kept"]


def jittered(jitter):
    """Passes of an evasion: a descent to each logit, then predictions in random networks."""
    return len(jitter["deltas"]) * (jitter["iterations"] + len(jitter["jitter_ms"]) * jitter["draws"] / 3)


def explaining(explained, size):
    """{rule: function that gives its work} of explanations; all are predictions."""

    def part(section):  # a third of its packets
        return min(explained[section]["max_flows"] or size["flows"], size["flows"] / 3) * size["kept"] / 3

    perturbed, informed, dependent, shapley = (
        explained[name] for name in ("input_perturbation", "mutual_information", "partial_dependence", "shapley")
    )
    return {
        "perturb_inputs": lambda: part("input_perturbation") * FEATURES * perturbed["repeats"],
        "drop_features": lambda: part("feature_dropout") * FEATURES * (FEATURES + 1) / 2,
        "measure_shapley": lambda: part("shapley") * 2 * FEATURES * shapley["max_rounds"],
        "measure_mutual_information": lambda: part("mutual_information") * FEATURES * informed["draws"],
        "partial_dependence": lambda: part("partial_dependence") * 2 * dependent["grid_size"],
    }


def seconds(job, config, rate):
    """How long a job takes on the GPUs that it asks for."""
    rule, wildcards, _, _, gpus = job
    if rule == "extract_flows":
        captures = len(config["datasets"][wildcards["dataset"]]["captures"])
        return SIZES[wildcards["dataset"]]["packets"] / captures / EXTRACTION_RATE
    return OTHERS + (work(rule, wildcards, config) / rate / gpus if gpus else 0)


def schedule(jobs, durations, gpus):
    """Seconds until the last job ends, if each starts as soon as what it waits for is there and GPUs are free.

    Among waiting jobs the one with the longest chain behind it goes first. Jobs without a GPU never wait for room.
    """
    makers = {output: index for index, job in enumerate(jobs) for output in job[3]}
    needs = [{makers[file] for file in job[2] if file in makers} for job in jobs]
    followers = defaultdict(set)
    for index, before in enumerate(needs):
        for other in before:
            followers[other].add(index)
    chains = {}

    def chain(index):
        if index not in chains:
            chains[index] = durations[index] + max(map(chain, followers[index]), default=0)
        return chains[index]

    ready = [(-chain(index), index) for index, before in enumerate(needs) if not before]
    running, free, now = [], gpus, 0
    while ready or running:
        for entry in sorted(ready):
            asked = jobs[entry[1]][4]
            if asked <= free:
                free -= asked
                heapq.heappush(running, (now + durations[entry[1]], entry[1]))
                ready.remove(entry)
        if not running:
            raise ValueError(f"a job asks for more than {gpus} GPUs")
        now, ended = heapq.heappop(running)
        free += jobs[ended][4]
        for index in followers[ended]:
            needs[index].discard(ended)
            if not needs[index]:
                ready.append((-chain(index), index))
    return now


def main():
    """Print the table; write it as a page if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    paper = REPOSITORY / "config/paper.yaml"
    parser.add_argument("--configfile", nargs="+", default=[paper], help="the study, as Snakemake takes it")
    parser.add_argument(
        "--rate", type=float, nargs="+", required=True, help="packets a second of a GPU, forth and back"
    )
    parser.add_argument("--gpus", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--page", type=Path, help="Markdown file to write")
    arguments = parser.parse_args()
    config = configuration(arguments.configfile)
    jobs = list(planned_jobs(arguments.configfile))
    rows = []
    for rate in arguments.rate:
        durations = [seconds(job, config, rate) for job in jobs]
        busy = sum(duration * job[4] for duration, job in zip(durations, jobs, strict=True))
        row = {"packets a second of a GPU": rate, "jobs": len(jobs), "GPU-hours": busy / 3600}
        rows.append(row | {f"hours on {gpus}": schedule(jobs, durations, gpus) / 3600 for gpus in arguments.gpus})
    for row in rows:
        print(", ".join(f"{name}: {value:.3g}" for name, value in row.items()))
    if arguments.page:
        words = [
            "`make -C benchmarks plan`: the jobs of `config/paper.yaml`, their work and a schedule, computed and not",
            "run. What it assumes stands at the top of `benchmarks/plan.py`. The rates are RATES of the Makefile: the",
            "first was measured on the two cores of [train.md](train.md), the others are guesses of what a GPU does,",
            "until `make -C benchmarks train DEVICE=cuda` has measured yours. Computed on",
        ]
        write_page(arguments.page, "How long the paper's study takes", words, rows)


if __name__ == "__main__":
    main()
