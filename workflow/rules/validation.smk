# Checks the configuration before anything else uses it; its schema is workflow/schemas/config.schema.yaml.

import ast
import difflib
import os
import re
import shutil
import tempfile
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator
from snakemake.exceptions import WorkflowError
from snakemake.utils import update_config

KAPPA = r"[0-9]+(\.[0-9]+)?"  # in the name of a file
# Models that go on from baseline.
GO_ON = ("adversarial_training", "portfolio_training", "continued_training")
# Folders beside those of models.
RESERVED = ("flow_statistics", "flows", "figures", "tables", "logs", "benchmarks")


def nearest(word, allowed):
    """A hint at the allowed word that was probably meant, else the list of all."""
    close = difflib.get_close_matches(str(word), allowed, n=1)
    return f"did you mean {close[0]!r}?" if close else f"allowed: {', '.join(map(str, allowed)) or 'nothing'}"


def unknown_keys(error, where):
    """One line for each key that the schema does not have."""
    allowed = sorted(error.schema["properties"])
    return [
        f"{where}{key}: no such key; {nearest(key, allowed)}" for key in error.instance if key not in allowed
    ]


def explain(error):
    """Lines that name the key, its value and what is allowed there."""
    key = ".".join(map(str, error.absolute_path))
    if error.validator == "additionalProperties" and "properties" in error.schema:
        return unknown_keys(error, f"{key}." if key else "")
    if error.validator == "enum":
        expected = nearest(error.instance, error.validator_value)
    elif error.validator == "required" or "description" not in error.schema:
        return [f"{key or 'configuration'}: {error.message}"]
    else:
        expected = f"expected {error.schema['description']}"
    if isinstance(error.instance, str) and re.fullmatch(r"[+-]?[0-9.]+(e[+-]?[0-9]+)?", error.instance):
        expected = f"{expected}; for YAML this is text, write it without quotes and 1e-3 as 1.0e-3"
    return [f"{key}: {error.instance!r} is not allowed; {expected}"]


def unknown_selections(config):
    """Selected data sets and models that nothing describes."""
    selections = {f"selected_{kind}": kind for kind in ("datasets", "models", "threat_models")}
    for key, kind in (selections | {"seeded_models": "models"}).items():
        for name in config[key]:
            if name not in config[kind]:
                yield f"{key}: {name!r} is not described under {kind}; {nearest(name, list(config[kind]))}"


def unknown_watchers(config):
    """Data sets whose models are to watch captures and that nothing describes."""
    for name in config["unlabelled"]:
        if name not in config["datasets"]:
            yield f"unlabelled.{name}: not described under datasets; {nearest(name, list(config['datasets']))}"
    if config["detection"]["k"] > config["detection"]["n"]:
        yield f"detection.k: {config['detection']['k']} of n = {config['detection']['n']} packets can never be; lower k"


def impossible_transfers(config):
    """Pairs of data sets with names that nothing describes, or whose results would have the name of a data set."""
    for place, pair in enumerate(config["transfer"]["pairs"]):
        key = f"transfer.pairs.{place}"
        for name in (*pair["trained_on"], pair["tested_on"]):
            if name not in config["datasets"]:
                yield f"{key}: {name!r} is not described under datasets; {nearest(name, list(config['datasets']))}"
        for name in pair["models"]:
            if name not in config["models"]:
                yield f"{key}: {name!r} is not described under models; {nearest(name, list(config['models']))}"
        if pair["trained_on"] == [pair["tested_on"]]:
            yield f"{key}: trained and tested on {pair['tested_on']!r}, as every model is; name another data set"
        combined = f"{'_and_'.join(pair['trained_on'])}_to_{pair['tested_on']}"
        if combined in config["datasets"]:
            yield f"datasets.{combined}: {key} has results of this name; choose another"


def ambiguous_runs(config):
    """A run with the name of something else that lies in results/."""
    run, pairs = config["run"], config["transfer"]["pairs"]
    combined = [f"{'_and_'.join(pair['trained_on'])}_to_{pair['tested_on']}" for pair in pairs]
    if run in config["datasets"] or run in combined:
        yield f"run: {run!r} is the name of a data set, whose results may lie in results/{run}; choose another"
    elif run in RESERVED:
        yield f"run: results/{run} is a folder of every run without a name; choose another"


def names_in_use(config):
    """Models that would share their files with something else, and what is set for one that takes no settings."""
    for name in config["models"]:
        if name in RESERVED:
            yield f"models.{name}: the results have a folder of this name already; choose another"
    for name in ("adversarial_training", "continued_training"):
        if not config["models"].get(name):
            continue
        yield (
            f"models.{name}: nothing can be set here; the section adversarial_training says how it is"
            " trained, and the rest is as in baseline"
        )


def impossible_imports(config):
    """Data sets of published flows with what these do not have."""
    payload = [
        name
        for name in config["selected_threat_models"]
        if (config["attacks"]["constraints"] | config["threat_models"].get(name, {}))["padding"] == "payload"
    ]
    for name, own in config["datasets"].items():
        if "published" not in own:
            continue
        for key in ("captures", "labels", "extraction", "expected", *config["labelling"]):
            if key in own:
                yield f"datasets.{name}.{key}: says nothing of published flows; leave it out"
        if (config["dataset"] | own.get("options", {}))["split"] != "flow":
            yield f"datasets.{name}: published flows have no times or captures; set options.split to flow"
        if name in config["selected_datasets"] and payload:
            yield (
                f"selected_threat_models: {payload[0]!r} asks for lengths of payload, which the published flows of {name}"
                " do not have; leave it out"
            )
        nets = own["published"].get("nets", {})
        if nets and "normalisation" not in own["published"]:
            yield f"datasets.{name}.published: nets need the normalisation with which they were trained"
        for model in nets:
            key = f"datasets.{name}.published.nets.{model}"
            if model not in config["models"]:
                yield f"{key}: not described under models; {nearest(model, list(config['models']))}"
            elif model in GO_ON:
                yield f"{key}: this model goes on from baseline; leave its net out"


def holds_weights(detector):
    """Whether a detector's file holds a trained network: TorchScript or ONNX."""
    return detector.endswith((".pt", ".onnx"))


def without_gradient(detector, base):
    """Whether draws alone can attack a detector: a file of ONNX, or a class that says `differentiable = False`."""
    path, _, name = detector.rpartition(":")
    found = [file for file in (Path(path), Path(base) / path) if path and file.is_file()]
    if holds_weights(detector) or not found:
        return detector.endswith(".onnx")
    try:
        tree = ast.parse(found[0].read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):  # said where the file is used
        return False
    bodies = [node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name]
    return "differentiable = False" in [ast.unparse(node) for body in bodies for node in body]


def impossible_detectors(config):
    """Models that were trained elsewhere and of which a training, or two detectors, are asked for."""
    for name, own in config["models"].items():
        detector = own.get("detector", config["training"]["detector"])
        if own.get("weights") and holds_weights(detector):
            yield f"models.{name}.weights: {detector} holds its weights itself; leave this out"
        if not own.get("weights") and not holds_weights(detector):
            continue
        if name in config["seeded_models"] and len(config["seeds"]) > 1:
            yield f"seeded_models: {name!r} is trained already, so seeds change nothing; leave it out, or set seeds to [0]"
        for place, pair in enumerate(config["transfer"]["pairs"]):
            if name in pair["models"] and len(pair["trained_on"]) > 1:
                yield f"transfer.pairs.{place}: {name!r} is trained already; leave it out"


def awkward_kappas(config):
    """Trade-offs that cannot be told apart, or not written, in the name of a file."""
    attacks = config["attacks"]
    places = {f"kappas.{place}": kappa for place, kappa in enumerate(attacks["kappas"])}
    for key, kappa in {**places, "reference_kappa": attacks["reference_kappa"]}.items():
        if not re.fullmatch(KAPPA, f"{kappa:g}") or float(f"{kappa:g}") != kappa:
            yield f"attacks.{key}: {kappa!r} is not allowed; expected at most 6 digits, and from 0.0001 to 999999"


def check_executor(plugin):
    """Raise WorkflowError if jobs are to go to a SLURM that is not there."""
    if plugin is not None and plugin.name == "slurm" and not shutil.which("sbatch"):
        raise WorkflowError(
            "No program sbatch, so jobs cannot go to SLURM. Run this on a login node of the cluster, perhaps after"
            " `module load slurm`; or leave the profile out and run here with --cores N."
        )


def check_directory():
    """Raise WorkflowError if the working directory, or where its results lead, cannot be written to."""
    for folder in filter(os.path.exists, (".", "results")):
        try:
            tempfile.TemporaryFile(dir=folder).close()
        except OSError as error:
            raise WorkflowError(
                f"{os.path.abspath(folder)}: cannot be written to ({error.strerror}). Run in a folder of your own with"
                " --directory FOLDER, or make room or permission there."
            )


def with_defaults(config, path, given):
    """The configuration with all defaults; a module of another workflow has only what that one gives it.

    given: what --config gave. Snakemake leaves numbers in its lists and mappings as texts, so they are read again.
    """
    defaults = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    update_config(defaults, {key: retyped(value, given.get(key)) for key, value in config.items()})
    return defaults


def retyped(value, given):
    """A configured value; where it is a list or mapping that --config gave, its texts are read as YAML."""
    if isinstance(value, dict) and isinstance(given, dict):
        return {
            key: reread(item) if item == given.get(key) else retyped(item, given.get(key))
            for key, item in value.items()
        }
    return reread(value) if isinstance(value, list) and value == given else value


def reread(value):
    """A value in which each text is what YAML reads in it, or stays where that is nothing."""
    if isinstance(value, dict):
        return {key: reread(item) for key, item in value.items()}
    if isinstance(value, list):
        return [reread(item) for item in value]
    try:
        return yaml.safe_load(value) if isinstance(value, str) else value
    except yaml.YAMLError:
        return value


def check_config(config, schema, files):
    """Raise WorkflowError with one line per fault of the configuration, and the names of its files."""
    validator = Draft202012Validator(yaml.safe_load(Path(schema).read_text(encoding="utf-8")))
    errors = sorted(validator.iter_errors(config), key=lambda error: list(map(str, error.absolute_path)))
    lines = [line for error in errors for line in explain(error)]
    lines = lines or [
        *unknown_selections(config),
        *unknown_watchers(config),
        *impossible_transfers(config),
        *ambiguous_runs(config),
        *names_in_use(config),
        *impossible_imports(config),
        *impossible_detectors(config),
        *awkward_kappas(config),
    ]
    if lines:
        lines = [*lines, f"Read from: {', '.join(map(str, files))}", f"All keys: {schema}"]
        raise WorkflowError("The configuration cannot be used.\n" + "\n".join(f"  {line}" for line in lines))
