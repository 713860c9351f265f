# Which sections of the configuration become the options of which script.

import re


def extraction_options(dataset, capture):
    """Options of extract_flows.py: the section `extraction`, with what the data set's own says instead."""
    return flags(
        config["extraction"], config["datasets"][dataset].get("extraction", {}), member(dataset, capture)
    )


def member(dataset, capture):
    """The name of a capture within its zip archive, as an option; nothing where it is in none."""
    _, name = split_member(captures(dataset)[capture])
    return {} if name is None else {"member": name}


def dataset_options(dataset):
    """Options of build_dataset.py: the section `dataset`, with what the data set's own `options` say instead."""
    description = config["datasets"][dataset]
    return flags(
        config["dataset"], description.get("options", {}), label_options(dataset), seed=config["seed"]
    )


def import_options(dataset):
    """Options of import_published.py: what of the section `dataset` applies to it, and names of attacks."""
    own = config["dataset"] | config["datasets"][dataset].get("options", {})
    kept = {key: own[key] for key in ("max_packets", "both_directions")}
    return flags(kept, renames(dataset), seed=config["seed"])


def renames(dataset):
    """What to call labels, as an option."""
    new_names = config["datasets"][dataset].get("rename", {})
    return {"rename": [f"{label}={name}" for label, name in new_names.items()]}


def label_options(dataset):
    """What the label files of a data set are: the section `labelling`, with what the data set says instead."""
    own = config["datasets"][dataset]
    said = {key: value for key, value in own.items() if key in config["labelling"]}
    return config["labelling"] | said | renames(dataset)


def check_options(dataset):
    """Options of check_dataset.py: what the label files are, and what is expected of the captures."""
    description = config["datasets"][dataset]
    expected = description.get("expected", {})
    sizes = [f"{name}={size}" for name, size in expected.get("bytes", {}).items()]
    given = {
        "expected_files": expected.get("files"),
        "expected_bytes": sizes or None,
        "expected_smallest": expected.get("smallest"),
        "expected_truncated": expected.get("truncated"),
    }
    known = {key: value for key, value in given.items() if value is not None}
    return flags(label_options(dataset), known, source=description["source"])


def detection_options(dataset, capture):
    """Options of detect.py: its section, and how captures become flows, as in the data set of the model."""
    description = config["datasets"][dataset]
    max_packets = (config["dataset"] | description.get("options", {}))["max_packets"]
    watched = {
        key: value
        for key, value in config["detection"].items()
        if key not in ("batch_packets", "state_memory")
    }
    _, member = split_member(unlabelled(dataset)[capture])
    own = description.get("extraction", {}) | ({} if member is None else {"member": member})
    return flags(config["extraction"], own, watched, max_packets=max_packets)


def audit_options(dataset):
    """Options of audit_labels.py: its section, and how the data set is split at random."""
    own = config["dataset"] | config["datasets"][dataset].get("options", {})
    return flags(config["label_audit"], test_fraction=own["test_fraction"], seed=config["seed"])


@functools.cache
def transfers():
    """Name -> description of the data sets that have training flows of some and test flows of another."""
    return {
        f"{'_and_'.join(pair['trained_on'])}_to_{pair['tested_on']}": pair
        for pair in config["transfer"]["pairs"]
    }


def copied_transfers():
    """Those trained on one data set, whose detectors are there already."""
    return [name for name, pair in transfers().items() if len(pair["trained_on"]) == 1]


def one_of(names):
    """A regular expression for a wildcard that is one of some names, perhaps of none."""
    return "|".join(names) or "(?!)"


def none_of(names):
    """A regular expression for a wildcard that is any name but some."""
    return f"(?!({one_of(names)})/)[a-z0-9_]+"


def pair_of(pairs):
    """A regular expression for the wildcard {dataset} before {model}, where both are one of some pairs dataset/model."""
    return f"(?=({one_of(pairs)})/weights)[a-z0-9_]+"


def transferred(dataset):
    """(trained on, tested on, model, folder of its results) of each row of table_transfer, a data set's own first."""
    described = [(name, pair) for name, pair in transfers().items() if pair["trained_on"][0] == dataset]
    models = dict.fromkeys(model for _, pair in described for model in pair["models"])
    rows = [(dataset, dataset, model, f"results/{dataset}/{model}") for model in models]
    for name, pair in described:
        trained_on = " + ".join(pair["trained_on"])
        rows += [
            (trained_on, pair["tested_on"], model, f"results/{name}/{model}") for model in pair["models"]
        ]
    return rows


def transfer_files(dataset, name, model=None):
    """A file of each row of table_transfer, or of those of one model that was trained on one data set."""
    rows = transferred(dataset)
    return [
        f"{folder}/{name}"
        for trained_on, _, own, folder in rows
        if model is None or (own == model and trained_on == dataset)
    ]


def transfer_rows(dataset):
    """Options of tabulate_transfer.py that name its rows, in the order of their files."""
    rows = transferred(dataset)
    named = {"trained_on": [row[0] for row in rows], "tested_on": [row[1] for row in rows]}
    return flags(named | {"models": [row[2] for row in rows]})


# A model, and a training of it: baseline is the first of `seeds`, baseline/seed_2 another.
MODEL = r"(?!tables/)[a-z0-9_]+(/seed_[0-9]+)?"  # tables/ars.csv is no model's


def trained_anew(name):
    """A regular expression for the wildcard of models that some names, themselves one, stand for."""
    return rf"{name}(/seed_[0-9]+)?"


def seeded_models():
    """The selected models that are trained with every seed."""
    return [model for model in config["selected_models"] if model in config["seeded_models"]]


def several_trainings():
    """Whether any model is trained with more than one seed."""
    return len(config["seeds"]) > 1 and bool(seeded_models())


def described_run():
    """A line that says how large the study is and where its results lie."""
    training, flows = config["training"], config["attacks"]["selection"]["max_flows"]
    return (
        f"{', '.join(config['selected_datasets'])} in {placed('results/manifest.csv').parent}: detectors of"
        f" {training['num_layers']} layers of {training['hidden_size']} units, {training['epochs']} epochs, attacks on"
        f" {'all' if flows is None else f'at most {flows}'} flows of a type"
    )


def trainings(model):
    """The trainings of a model, one for each of `seeds`."""
    return [model, *(f"{model}/seed_{seed}" for seed in config["seeds"][1:])]


def all_trainings(models=None):
    """The trainings of all models that are trained with every seed, or of some."""
    return [training for model in models or seeded_models() for training in trainings(model)]


def of_trainings(name, models=None):
    """A file of each training of all models that are trained with every seed, or of some."""
    return [f"results/{{dataset}}/{training}/{name}" for training in all_trainings(models)]


def main_threat_model():
    """The first of those selected, which figures show."""
    return config["selected_threat_models"][0]


def model_of(training):
    """The model of a training: baseline of baseline/seed_2."""
    return training.partition("/")[0]


def is_first(training):
    """Whether a training is that of the first seed, which figures show and of which everything is computed."""
    return "/" not in training


def seed_of(training):
    """The seed of a training: 2 of baseline/seed_2."""
    return config["seeds"][0] if is_first(training) else int(training.rpartition("_")[2])


def weights_of(model):
    """An input: the weights of another model, trained with the same seed."""

    def path(wildcards):
        derivable_weights(wildcards)
        training = wildcards.model.replace(model_of(wildcards.model), model, 1)
        return f"results/{wildcards.dataset}/{training}/weights.safetensors"

    return path


def described_model(training):
    """What the model of a training is like, and how it is trained; one that goes on from baseline is like that."""
    model = model_of(training)
    return config["training"] | config["models"]["baseline" if model in GO_ON else model]


def detector_of(training):
    """What a training is of: lstm, FILE:CLASS, FILE.pt or FILE.onnx, the file where it lies."""
    named = described_model(training)["detector"]
    path, _, name = named.rpartition(":")
    if holds_weights(named):
        return locate(named)
    return f"{locate(path)}:{name}" if path else named


def detector_file(training):
    """The file of the network of one's own that a training is of; none for an LSTM."""
    named = detector_of(training)
    return named if holds_weights(named) else named.rpartition(":")[0] or []


def weights_file(training):
    """The weights of a model that was trained elsewhere; none where its detector's file holds them."""
    given = described_model(training).get("weights")
    return locate(given) if given else []


def imported_models():
    """The models that were trained elsewhere."""
    own = [name for name in config["models"] if name not in GO_ON]
    return [name for name in own if weights_file(name) or holds_weights(detector_of(name))]


def derivable(training):
    """Whether the detector of a training has a gradient."""
    return not without_gradient(described_model(training)["detector"], BASE)


def derivable_models():
    """The selected models that attacks by gradients can attack; the log says which of the others are left out."""
    left_out = [name for name in config["selected_models"] if not derivable(name)]
    if left_out:
        warn(
            f"{', '.join(left_out)}: without gradient, so CW, PGD and FGSM leave them out; the search does not"
        )
    return [name for name in config["selected_models"] if name not in left_out]


def derivable_weights(wildcards):
    """The weights of a detector, for what needs its gradient."""
    if not derivable(wildcards.model):
        detector = described_model(wildcards.model)["detector"]
        raise WorkflowError(
            f"models.{model_of(wildcards.model)}: {detector} has no gradient, which CW, PGD, FGSM, what shows them,"
            " jitter and adversarial training need; the search does without (table_ars, fig3, docs/own_detector.md)"
        )
    return f"results/{wildcards.dataset}/{wildcards.model}/weights.safetensors"


def attacked_by_gradients(wildcards):
    """Whether CW, PGD and FGSM attack a model on their own: the baseline, on the recording it was trained on."""
    own = wildcards.model == "baseline" and wildcards.dataset not in transfers()
    return own and derivable("baseline")


def model_options(training, dataset):
    """Options of train.py: the section `training`, with what the model says instead."""
    own = {"epochs": config["transfer"]["epochs"]} if dataset in transfers() else {}
    own |= {"detector": detector_of(training), "seed": seed_of(training)}
    return flags(described_model(training), own)


def import_detector_options(model):
    """Options of import_detector.py: what of the section `training` a detector is like, and its weights."""
    described = described_model(model) | {"detector": detector_of(model)}
    kept = ("detector", "suppress", "feature_dropout", "hidden_size", "num_layers")
    given = weights_file(model)
    return flags({key: described[key] for key in kept}, {"trained": given} if given else {})


def unwatched(section, *more):
    """Device and size of batches, of a section that has `batch_packets`, and `more` keys, which no result depends on."""
    given = {key: section[key] for key in ("batch_packets", *more)}
    return Unwatched(flags(given, device=config["device"]))


def attack_options(*sections, constraints=None, dataset=None):
    """Options of an attack: its own sections, what the attacker can do, and the selection of flows."""
    attacks = config["attacks"]
    chosen = config["transfer"] if dataset in transfers() else attacks["selection"]
    return flags(
        *(attacks[section] for section in sections),
        constraints or attacks["constraints"],
        max_flows=chosen["max_flows"],
        seed=config["seed"],
    )


def threat_model(name):
    """What an attacker can do under a threat model: the constraints of all, with what it says instead."""
    return config["attacks"]["constraints"] | config["threat_models"][name]


def bounded_options():
    """Options of attack_bounded.py: its section, and what it has in common with CW."""
    common = {key: config["attacks"]["cw"][key] for key in ("delta", "objective")}
    return f"{attack_options('bounded')} {flags(common)}"


def search_options(name, dataset):
    """Options of search_evasions.py under a threat model."""
    attack = attack_options(constraints=threat_model(name), dataset=dataset)
    return f"{attack} {flags(config['search'], threat_model=name)}"


def main_bounds(pattern):
    """The file of lower bounds under the main threat model, as a list; `pattern` has the wildcard {threat_model}."""
    return [pattern.replace("{threat_model}", main_threat_model())]


def quick_bounds(pattern):
    """An input: the bounds that scores rest on, of the baseline on the recording that it was trained on; `pattern` as above."""

    def files(wildcards):
        bounded = wildcards.model == "baseline" and wildcards.dataset not in transfers()
        return [path.format(**wildcards) for path in main_bounds(pattern)] if bounded else []

    return files


def bound_options(name, extent):
    """Options of bound_distances.py under a threat model, for flows with `few` free numbers or for `all`."""
    extents = {"few": {}, "all": {"numbers": None}}
    return flags(threat_model(name), config["bounds"], extents[extent])


def searches():
    """(goal, threat model) of all searches of a model, the main one first."""
    names = config["selected_threat_models"]
    return [("last", name) for name in names] + [
        ("all", name) for name in names[:1] if config["all_packets_goal"]
    ]


def search_files(pattern, threat_models=None):
    """Files of the searches of a model, under all selected threat models or some of them.

    `pattern` has the wildcards {goal} and {threat_model}.
    """
    return [
        pattern.replace("{goal}", goal).replace("{threat_model}", name)
        for goal, name in searches()
        if threat_models is None or name in threat_models
    ]


def scored_searches(pattern):
    """An input: what scores rest on; `pattern` as in search_files.

    That is every search, but for other seeds than the first and on another recording the main one.
    """

    def files(wildcards):
        everything = is_first(wildcards.model) and wildcards.dataset not in transfers()
        return [path.format(**wildcards) for path in search_files(pattern)[: None if everything else 1]]

    return files


def main_searches(pattern):
    """Files of the searches of a model under the main threat model, of each goal; `pattern` as in search_files."""
    return search_files(pattern, config["selected_threat_models"][:1])


def known_attacks(wildcards):
    """What a search takes up: the attacks on the baseline, and what was found under the threat models after its own.

    Every search also weighs each flow taken up: what its own threat model does not allow is left out.
    """
    if wildcards.dataset in transfers() or not is_first(wildcards.model):
        return []
    folder = f"results/{wildcards.dataset}/{wildcards.model}/attacks"
    names = config["selected_threat_models"]
    own = names.index(wildcards.threat_model) if wildcards.threat_model in names else -1  # -1: takes up all
    later = names[own + 1 :] if wildcards.goal == "last" else []
    files = [f"{folder}/search/last/{name}.h5" for name in later]
    if attacked_by_gradients(wildcards):
        kappas = [f"{folder}/cw/kappa_{kappa:g}.h5" for kappa in config["attacks"]["kappas"]]
        files += [*kappas, f"{folder}/pgd.h5", f"{folder}/fgsm.h5"]
    return files


def all_attacks(wildcards):
    """All attacks on a model whose flows are stored, those of the figures of CW first."""
    folder = f"results/{wildcards.dataset}/{wildcards.model}/attacks"
    searches = search_files(f"{folder}/search/{{goal}}/{{threat_model}}.h5")
    if wildcards.model != "baseline" or not derivable("baseline"):
        return searches
    kappas = [f"{folder}/cw/kappa_{kappa:g}.h5" for kappa in config["attacks"]["kappas"]]
    return [*kappas, f"{folder}/pgd.h5", f"{folder}/fgsm.h5", *searches]


def round_trip_captures(wildcards):
    """The captures of a data set, or the zip archives that hold them."""
    files = dict.fromkeys(split_member(path)[0] for path in captures(wildcards.dataset).values())
    product = "results/{dataset}/{model}/round_trip.csv"
    found = [brought(path, wildcards, product) for path in files]
    return [path for path in found if path]


def adversarial_captures():
    """The captures that target adversarial_captures makes."""
    folder = f"{config['selected_models'][0]}/captures/search/last/{main_threat_model()}"
    return [
        f"results/{dataset}/{folder}/{name}.{capture_format(path)}.gz"
        for dataset in selected_captured()
        for name, path in captures(dataset).items()
    ]


def capture_format(path):
    """Which format a capture has, by its name."""
    return "pcapng" if re.search(r"\.pcapng(\.(gz|zst))?$", path) else "pcap"


def timed_attacks(wildcards):
    """The attacks on a model under which its alarms are timed: all searches and, of the baseline, CW, PGD and FGSM."""
    folder = f"results/{wildcards.dataset}/{wildcards.model}/attacks"
    bounded = [reference_attack().format(**wildcards), f"{folder}/pgd.h5", f"{folder}/fgsm.h5"]
    found = scored_searches("results/{dataset}/{model}/attacks/search/{goal}/{threat_model}.h5")(wildcards)
    return [*(bounded if attacked_by_gradients(wildcards) else []), *found]


def reference_attack():
    """The CW attack whose distances bound the other attacks and which Fig. 1 shows."""
    kappa = config["attacks"]["reference_kappa"]
    return f"results/{{dataset}}/{{model}}/attacks/cw/kappa_{kappa:g}.h5"


def division(folder, count):
    """The files of all chunks, where an attack is divided into `count` of them."""
    return [f"{folder}/chunk_{chunk}_of_{count}.h5" for chunk in range(1, count + 1)]


def chunks(wildcards):
    """The files of all chunks that an attack is divided into.

    A result that is there keeps the division with which it was made, the newest that is whole: another number of chunks
    makes nothing anew, and chunks of different divisions never come together.
    """
    folder = f"results/{wildcards.dataset}/{wildcards.model}/attacks/{wildcards.result}"
    made = []
    if placed(f"{folder}.h5").exists():
        first = sorted(placed(folder).glob("chunk_1_of_*.h5"), key=lambda path: path.stat().st_mtime)
        made = [division(folder, int(path.stem.rpartition("_")[2])) for path in first]
    whole = [files for files in made if all(placed(file).exists() for file in files)]
    return whole[-1] if whole else division(folder, config["attacks"]["selection"]["chunks"])


def training_launcher():
    """What starts a training: Python, or torchrun with a process for each GPU."""
    gpus = config["training_gpus"]
    launch = f"python -m torch.distributed.run --standalone --nproc-per-node {gpus}"
    return Unwatched("python" if gpus == 1 else launch)


def training_checkpoint(wildcards):
    """Where a training keeps what it needs to go on after an interruption."""
    return str(placed(f"results/{wildcards.dataset}/{wildcards.model}/.train.checkpoint"))


def bounds_checkpoint(wildcards):
    """Where bounds of distances keep what they need to go on after an interruption."""
    folder = f"results/{wildcards.dataset}/{wildcards.model}/attacks/bounds/{wildcards.extent}"
    return str(placed(f"{folder}/.{wildcards.threat_model}.checkpoint"))


def adversarial_training_options(training):
    """Options of train_adversarially.py: its section with what the model says instead, how to train, how to score."""
    attacks = config["attacks"]
    left_out = ("iterations", "keep")  # which the visits have of their own
    attack = {key: value for key, value in attacks["cw"].items() if key not in left_out}
    search = {f"search_{key}": config["search"][key] for key in ("iterations", "step", "gamma")}
    return flags(
        attack,
        attacks["constraints"],
        search,
        config["adversarial_training"],
        config["models"].get(model_of(training), {}),
        training_batch_packets=config["training"]["batch_packets"],
        precision=config["training"]["precision"],
        seed=seed_of(training),
    )


def explanation_options(name, *shared, constraints=False):
    """Options of an explanation: its own section and `shared` as in the evaluation, what the attacker can do, seed."""
    return flags(
        config["explanations"][name],
        {key: config["evaluation"][key] for key in shared},
        config["attacks"]["constraints"] if constraints else {},
        seed=config["seed"],
    )
