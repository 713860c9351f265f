"""Settings classes, sections of the configuration and schema say the same: names, defaults, types, bounds, choices."""

import importlib

import pytest
import yaml
from conftest import REPOSITORY

from rnnids import settings

SCHEMA = yaml.safe_load((REPOSITORY / "workflow/schemas/config.schema.yaml").read_text())
DEFAULT = yaml.safe_load((REPOSITORY / "config/config.yaml").read_text())
# Section -> the classes behind it; after "without" stand settings that the workflow gives to a script itself.
SECTIONS = {
    "extraction": ["flows.extract:Extraction"],
    "labelling": ["labels.labelling:Labelling without rename"],
    "dataset": ["datasets.build:DatasetOptions"],
    "label_audit": ["datasets.audit:LabelAudit"],
    "training": ["detectors.training:Training"],
    "detection": ["detectors.alarms:AlarmRule", "detectors.watch:Watching"],
    "early_detection": ["detectors.latency:EarlyDetection"],
    "evaluation": ["detectors.metrics:Evaluation"],
    "flow_statistics": ["detectors.flow_statistics:FlowStatistics"],
    "attacks.cw": ["attacks.gradient:CarliniWagner without kappa"],
    "attacks.constraints": ["attacks.feasible_set:ThreatModel"],
    "attacks.selection": ["attacks.targets:Selection"],
    "search": ["attacks.search:RobustSearch without goal"],
    "bounds": ["attacks.bounds:DistanceBounds"],
    "gate": ["attacks.indicators:Gate"],
    "jitter": ["attacks.jitter:JitterSurvival"],
    "adversarial_training": ["attacks.adversarial_training:AdversarialTraining"],
    "explanations.input_perturbation": ["explanations.importance:InputPerturbation"],
    "explanations.feature_dropout": ["explanations.importance:FeatureDropout"],
    "explanations.shapley": ["explanations.shapley:Shapley"],
    "explanations.mutual_information": ["explanations.mutual_information:MutualInformation"],
    "explanations.partial_dependence": ["explanations.partial_dependence:PartialDependence"],
    "explanations.sequential_dependence": ["explanations.partial_dependence:SequentialDependence"],
    "explanations.comparison": ["explanations.positions:Comparison"],
    "explanations.sanity": ["explanations.sanity:Sanity"],
}
# Sections that hold few values of which no class is behind all: these come from a script's own options.
WITHOUT_CLASS = {"figures", "transfer", "attacks.bounded", "attacks.cw_published", "ars"}
# Sections that describe by name what differs from another one.
DESCRIBING = {"datasets", "models", "threat_models", "unlabelled"}
BOUNDS = {"above": "exclusiveMinimum", "minimum": "minimum", "below": "exclusiveMaximum", "maximum": "maximum"}
TYPES = {int: "integer", float: "number", bool: "boolean", str: "string"}


def declared(section):
    """{name: field} of the classes behind a section."""
    found = {}
    for row in SECTIONS[section]:
        name, _, left_out = row.partition(" without ")
        module, _, cls = name.partition(":")
        fields = settings.fields(getattr(importlib.import_module(f"rnnids.{module}"), cls))
        found |= {field.name: field for field in fields if field.name not in left_out.split()}
    return found


def values_of(section):
    """A section of the default configuration."""
    values = DEFAULT
    for key in section.split("."):
        values = values[key]
    return values


def resolve(node):
    """A node of the schema without references."""
    while "$ref" in node:
        node = SCHEMA["$defs"][node["$ref"].removeprefix("#/$defs/")] | {k: v for k, v in node.items() if k != "$ref"}
    return node


def schema_of(section):
    """The schema of each key of a section."""
    node = SCHEMA
    for key in section.split("."):
        node = resolve(node["properties"][key])
    return {key: resolve(inner) for key, inner in node["properties"].items()}


def sections(tree, path=""):
    """The paths of all sections of a configuration that hold values."""
    for key, value in tree.items():
        if isinstance(value, dict) and path + key not in DESCRIBING:
            if not all(isinstance(inner, dict) for inner in value.values()):
                yield path + key
            yield from sections(value, f"{path}{key}.")


def types_of(node):
    """The types that a node of the schema allows."""
    if "enum" in node:
        return {"string"}
    return {node["type"]} if isinstance(node["type"], str) else set(node["type"])


def test_each_section_has_its_classes():
    assert set(sections(DEFAULT)) - {"attacks"} == set(SECTIONS) | WITHOUT_CLASS


@pytest.mark.parametrize("section", SECTIONS)
def test_names_and_defaults_are_those_of_the_configuration(section):
    fields = declared(section)
    defaults = {name: list(field.default) if field.many else field.default for name, field in fields.items()}
    assert defaults == values_of(section)


@pytest.mark.parametrize("section", SECTIONS)
def test_types_bounds_and_choices_are_those_of_the_schema(section):
    nodes = schema_of(section)
    for name, field in declared(section).items():
        node = nodes[name]
        if field.many:
            assert node["type"] == "array"
            node = resolve(node["items"])
        assert types_of(node) == {TYPES[field.kind]} | ({"null"} if field.optional else set()), name
        bounds = {BOUNDS[bound]: value for bound, value in field.bounds.items() if value is not None}
        assert {key: node[key] for key in BOUNDS.values() if key in node} == bounds, name
        assert node.get("enum") == (list(field.choices) if field.choices else None), name


@pytest.mark.parametrize("section", SECTIONS)
def test_the_defaults_are_allowed(section):
    for field in declared(section).values():
        field.check(field.default)
