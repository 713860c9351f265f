"""Adversarial robustness and explanation of recurrent intrusion detectors.

The door: what a notebook needs, each name loaded when it is first used, so that reading captures costs no torch.

>>> import rnnids
>>> rnnids.adversarial_robustness_score([3.0, 1.0, 2.0])
1.5

From a capture to an attacked and explained flow: ``docs/examples/attack_one_flow.py``. The scripts need no
installation, ``python scripts/x.py`` finds this package beside it; they import from its rooms, not from here.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what type checkers and editors see; at run time __getattr__ imports by HOMES
    from rnnids.attacks.adversarial_capture import write_pcap
    from rnnids.attacks.ars import adversarial_robustness_score
    from rnnids.attacks.gradient import CarliniWagner, FastGradientSign, ProjectedGradientDescent
    from rnnids.attacks.minimum_norm import MinimumNorm
    from rnnids.attacks.search import RobustSearch
    from rnnids.datasets.build import build_dataset
    from rnnids.datasets.flow_data import load_dataset
    from rnnids.detectors.detect import detect
    from rnnids.detectors.evaluation import evaluate
    from rnnids.detectors.lstm import LSTMDetector, load_detector
    from rnnids.explanations.gradients import integrated_gradients
    from rnnids.explanations.importance import permutation_importance
    from rnnids.explanations.mutual_information import mutual_information
    from rnnids.explanations.partial_dependence import partial_dependence, sequential_partial_dependence
    from rnnids.explanations.shapley import shapley_values
    from rnnids.explanations.single_flow import explain_flow
    from rnnids.flows.extract import extract_flows

__version__ = "1.0.0"
__all__ = [
    "CarliniWagner",
    "FastGradientSign",
    "LSTMDetector",
    "MinimumNorm",
    "ProjectedGradientDescent",
    "RobustSearch",
    "adversarial_robustness_score",
    "build_dataset",
    "detect",
    "evaluate",
    "explain_flow",
    "extract_flows",
    "integrated_gradients",
    "load_dataset",
    "load_detector",
    "mutual_information",
    "partial_dependence",
    "permutation_importance",
    "sequential_partial_dependence",
    "shapley_values",
    "write_pcap",
]
HOMES = {
    "extract_flows": "flows.extract",
    "build_dataset": "datasets.build",
    "load_dataset": "datasets.flow_data",
    "LSTMDetector": "detectors.lstm",
    "load_detector": "detectors.lstm",
    "detect": "detectors.detect",
    "evaluate": "detectors.evaluation",
    "CarliniWagner": "attacks.gradient",
    "ProjectedGradientDescent": "attacks.gradient",
    "FastGradientSign": "attacks.gradient",
    "MinimumNorm": "attacks.minimum_norm",
    "RobustSearch": "attacks.search",
    "adversarial_robustness_score": "attacks.ars",
    "write_pcap": "attacks.adversarial_capture",
    "permutation_importance": "explanations.importance",
    "mutual_information": "explanations.mutual_information",
    "partial_dependence": "explanations.partial_dependence",
    "sequential_partial_dependence": "explanations.partial_dependence",
    "shapley_values": "explanations.shapley",
    "explain_flow": "explanations.single_flow",
    "integrated_gradients": "explanations.gradients",
}

if not TYPE_CHECKING:  # a type checker would take every misspelt name for one of these

    def __getattr__(name: str) -> Any:
        """Import a name of the door from its room (PEP 562); it is then an ordinary attribute."""
        if name not in HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(import_module(f"{__name__}.{HOMES[name]}"), name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *HOMES})
