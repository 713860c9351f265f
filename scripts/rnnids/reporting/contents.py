"""What stands on the results page, in which order, and what it is called."""

from collections.abc import Sequence
from typing import NamedTuple


class Section(NamedTuple):
    """One question and what answers it.

    Attributes:
        anchor, question: its name in links, and as a heading. charts: ids of interactive charts.
        tables, figures: names, in order; figures with their variants.
    """

    anchor: str
    question: str
    charts: Sequence[str]
    tables: Sequence[str]
    figures: Sequence[str]


SECTIONS = (
    Section(
        "detect", "Does it detect?", (), ("table2", "detection", "latency", "table1"), ("fig_detection", "latency")
    ),
    Section(
        "evade", "How is it evaded?", ("kappa", "budget", "flows"), ("attacks",), ("fig3", "fig1", "fig2", "budget")
    ),
    Section(
        "sure",
        "How sure is that?",
        (),
        ("ars", "bracket", "seeds", "round_trip", "jitter", "label_audit"),
        ("seeds", "jitter"),
    ),
    Section(
        "why",
        "Why does it decide so?",
        ("dependence",),
        ("table3", "agreement", "sanity"),
        ("fig4", "fig6", "fig7", "fig8", "fig9", "fig_steps", "pair_scores", "shapley", "agreement", "fig5"),
    ),
    Section("defend", "Which defence helps?", (), ("table_defences",), ("fig10",)),
    Section("elsewhere", "Will it hold elsewhere?", (), ("transfer", "paper_comparison"), ()),
)
TITLES = {
    "table1": "Table I: attack types",
    "table2": "Table II: metrics per packet and per flow",
    "table3": "Table III: accuracy drop per feature",
    "detection": "Recall at rates of false alarms",
    "latency": "How early the alarm comes",
    "attacks": "What finds evasions",
    "ars": "Robustness scores and their verdicts",
    "bracket": "Scores from below and above",
    "seeds": "Over several trainings",
    "round_trip": "Evasions as packets",
    "jitter": "Evasions under network jitter",
    "label_audit": "Label audit",
    "agreement": "Do explanations predict attacks?",
    "sanity": "Sanity checks of explanations",
    "table_defences": "What each defence costs and buys",
    "transfer": "Detectors on another recording",
    "paper_comparison": "The paper's numbers and these",
    "fig1": "Fig. 1: detection under attack",
    "fig2": "Fig. 2: CW over kappa",
    "fig3": "Fig. 3: recall and ARS",
    "fig4": "Fig. 4: importance of features",
    "fig5": "Fig. 5: equal accuracy, other information",
    "fig6": "Fig. 6: partial dependence",
    "fig7": "Fig. 7: confidence after each packet",
    "fig8": "Fig. 8: sequential partial dependence",
    "fig9": "Fig. 9: flows over time",
    "fig10": "Fig. 10: adversarial training",
    "fig_detection": "Detection against false alarms",
    "fig_steps": "Which packet matters",
    "budget": "Evasion within a budget",
    "pair_scores": "Eq. 4: pair scores",
    "shapley": "Shapley values",
}
CHARTS = {
    "kappa": (
        "Carlini and Wagner's attack over kappa",
        "The higher kappa, the less the attack minds how far it goes. First: share of the attacked flows that"
        " become benign. Second: how far the successful ones moved, in z-scores. Grey: the other attack types.",
    ),
    "budget": (
        "Evasion within a budget",
        "Share of the attacked flows that pass for benign if the attacker may add so many bytes, or so much time, to a"
        " flow. The evasions are the nearest in z-scores, so each line is a lower bound.",
    ),
    "flows": (
        "Flow explorer",
        "One attack flow, packet by packet, and over it what the search made of it. Packets of the flow's initiator"
        " point up, answers down. Below: the gap before each packet, and the detector's confidence that the flow is an"
        " attack once it has seen the packet; above 50 % it raises the alarm.",
    ),
    "dependence": (
        "Sequential partial dependence",
        "What the detector would say, on average, if one packet alone had another length or came later. Lines: the"
        " flows that evaded, as they were and as the attack made them.",
    ),
}
DRAWN = {"kappa": "fig2", "budget": "budget", "dependence": "fig8"}  # chart -> the figure that shows the same in print
