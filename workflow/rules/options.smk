# Which sections of the configuration become the options of which script.


def extraction_options(dataset, capture):
    """Options of extract_flows.py: the section `extraction`, with what the data set's own says instead."""
    _, member = split_member(captures(dataset)[capture])
    return flags(config["extraction"], config["datasets"][dataset].get("extraction", {}), member=member)


def dataset_options(dataset):
    """Options of build_dataset.py: the section `dataset`, with what the data set's own `options` say instead."""
    description = config["datasets"][dataset]
    return flags(
        config["dataset"], description.get("options", {}), label_options(dataset), seed=config["seed"]
    )


def label_options(dataset):
    """What the label files of a data set are: the section `labelling`, with what the data set says instead."""
    return config["labelling"] | {
        key: value for key, value in config["datasets"][dataset].items() if key in config["labelling"]
    }


def check_options(dataset):
    """Options of check_dataset.py: what the label files are, and what is expected of the captures."""
    description = config["datasets"][dataset]
    expected = description.get("expected", {})
    sizes = [f"{name}={size}" for name, size in expected.get("bytes", {}).items()]
    return flags(
        label_options(dataset),
        source=description["source"],
        expected_files=expected.get("files"),
        expected_bytes=sizes,
        expected_smallest=expected.get("smallest"),
        expected_truncated=expected.get("truncated"),
    )


def audit_options(dataset):
    """Options of audit_labels.py: its section, and how the data set is split at random."""
    own = config["dataset"] | config["datasets"][dataset].get("options", {})
    return flags(config["label_audit"], test_fraction=own["test_fraction"], seed=config["seed"])


def model_options(model):
    """Options of train.py: the section `training`, with what the model says instead."""
    return flags(config["training"], config["models"][model], seed=config["seed"], device=config["device"])


def attack_options(*sections):
    """Options of an attack: its own sections, the constraints and the selection of flows."""
    attacks = config["attacks"]
    return flags(
        *(attacks[section] for section in sections),
        attacks["constraints"],
        attacks["selection"],
        seed=config["seed"],
        device=config["device"],
    )


def reference_attack():
    """The CW attack whose distances bound the other attacks and which Fig. 1 shows."""
    kappa = config["attacks"]["reference_kappa"]
    return f"results/{{dataset}}/{{model}}/attacks/cw/kappa_{kappa:g}.h5"


def chunks(pattern):
    """The files of all chunks that attacks are divided into; `pattern` with the wildcard {chunk}."""
    return expand(pattern, chunk=range(1, config["attacks"]["selection"]["chunks"] + 1), allow_missing=True)


def training_launcher():
    """What starts a training: Python, or torchrun with a process for each GPU."""
    gpus = config["training_gpus"]
    return "python" if gpus == 1 else f"python -m torch.distributed.run --standalone --nproc-per-node {gpus}"


def ars_options():
    """Options of minimise_distances.py: the attack and how its kappa rises."""
    search = {key: value for key, value in config["ars"].items() if key != "bootstrap_samples"}
    return f"{attack_options('cw')} {flags(search)}"


def adversarial_training_options():
    """Options of train_adversarially.py: its section, how to train, and the attack of its scores."""
    attacks, training = config["attacks"], config["training"]
    attack = {key: attacks["cw"][key] for key in ("delta", "learning_rate", "objective")}
    search = {key: value for key, value in config["ars"].items() if key.startswith("search_")}
    return flags(
        attack,
        attacks["constraints"],
        search,
        config["adversarial_training"],
        training_batch_packets=training["batch_packets"],
        precision=training["precision"],
        batch_packets=attacks["selection"]["batch_packets"],
        seed=config["seed"],
        device=config["device"],
    )


def explanation_options(name, *shared):
    """Options of an explanation: its own section, its batch size and `shared` as in the evaluation, seed, device."""
    return flags(
        config["explanations"][name],
        {key: config["evaluation"][key] for key in ("batch_packets", *shared)},
        seed=config["seed"],
        device=config["device"],
    )
