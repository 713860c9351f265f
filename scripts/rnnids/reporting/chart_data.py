"""The numbers behind the interactive charts of the results page, as few as they need.

Every function takes the results of a data set and returns what goes to the page as JSON, {} where nothing is there.
Numbers are rounded to what a screen can show.
"""

import math
from collections.abc import Iterable
from typing import Any

import pandas as pd

from rnnids.datasets.features import FEATURES, INTERARRIVAL_TIME, PACKET_LENGTH
from rnnids.reporting.results import Results, number, select

KAPPA = "baseline/attacks/cw/summary.csv"
SHARED = ("length", "iat_ms", "confidence")
LINES = {FEATURES[PACKET_LENGTH]: "", FEATURES[INTERARRIVAL_TIME]: "_median"}  # the mean of delays is the longest one's


def rounded(value: str | float, digits: int = 5) -> float | None:
    """A number of so many significant digits; None, which is JSON, for infinite and missing ones."""
    found = number(value) if isinstance(value, str) else float(value)
    return float(f"{found:.{digits}g}") if math.isfinite(found) else None


def models_with(results: Results, name: str) -> list[str]:
    """The models that have a file of this name in their folder, the baseline first."""
    found = [path.removesuffix(f"/{name}") for path in results.files if path.endswith(f"/{name}")]
    return sorted((model for model in found if "/" not in model), key=lambda model: (model != "baseline", model))


def kappa_curves(results: Results) -> dict[str, Any]:
    """Success ratio and mean distance of CW over kappa, per attack type."""
    table = results.table(KAPPA)
    if table is None or table.empty:
        return {}
    curves: dict[str, Any] = {}
    for attack, rows in table.groupby("attack", sort=False):
        curves[str(attack)] = {
            "flows": int(rows["flows"].iloc[0]),
            "kappa": [rounded(value) for value in rows["kappa"]],
            "success": [rounded(value) for value in rows["success_ratio"]],
            "distance": [rounded(value) for value in rows["mean_l1"]],
        }
    return {"file": KAPPA, "curves": curves}


def budget_curves(results: Results) -> dict[str, Any]:
    """Share of flows that evade within a budget of bytes or seconds: {"model|threat model|attack": its curves}."""
    curves: dict[str, Any] = {}
    budgets: dict[str, list[float | None]] = {}
    for model in models_with(results, "budget.csv"):
        table = select(results.table(f"{model}/budget.csv"), goal="last")
        if table.empty:
            continue
        for (threat_model, attack, unit), rows in table.groupby(["threat_model", "attack", "unit"], sort=False):
            budgets.setdefault(str(unit), [rounded(value) for value in rows["budget"]])
            curve = curves.setdefault(f"{model}|{threat_model}|{attack}", {"flows": int(rows["flows"].iloc[0])})
            curve[str(unit)] = [rounded(value, 4) for value in rows["share"]]
    return {"budgets": budgets, "curves": curves} if curves else {}


def sequential_dependence(results: Results) -> dict[str, Any]:
    """Confidence over packet and value, with the lines of Fig. 8: {model: {attack: {feature: ...}}}."""
    found: dict[str, Any] = {}
    for model in models_with(results, "explanations/sequential_pdp.csv"):
        folder = f"{model}/explanations"
        shade, means = results.table(f"{folder}/sequential_pdp.csv"), results.table(f"{folder}/sequential_means.csv")
        if shade is None or shade.empty:
            continue
        for (attack, feature), rows in shade.groupby(["attack", "feature"], sort=False):
            own = select(means, attack=str(attack), feature=str(feature))
            types = found.setdefault(model, {})
            types.setdefault(str(attack), {})[str(feature)] = shade_of(rows) | lines_of(own, LINES[str(feature)])
    return found


def shade_of(rows: pd.DataFrame) -> dict[str, Any]:
    """One panel: steps, values, and the confidence of each step at each value."""
    cells = rows.assign(
        step=rows["step"].astype(int), at=rows["value"].astype(float), of=rows["confidence"].map(number)
    )
    grid = cells.pivot(index="step", columns="at", values="of").sort_index().sort_index(axis=1)
    flows = cells.groupby("step")["flows"].first()
    return {
        "steps": [int(step) for step in grid.index],
        "values": [rounded(float(value)) for value in grid.columns],
        "flows": [int(flows[step]) for step in grid.index],
        "confidence": [[rounded(value, 3) for value in row] for row in grid.to_numpy().tolist()],
    }


def lines_of(rows: pd.DataFrame, reduced: str) -> dict[str, Any]:
    """The flows that evaded, before and after the attack, at each step."""
    if rows.empty:
        return {"original": [], "adversarial": [], "evaded": 0}
    return {
        "original": [rounded(value) for value in rows[f"original{reduced}"]],
        "adversarial": [rounded(value) for value in rows[f"adversarial{reduced}"]],
        "evaded": max(map(int, rows["flows"])) if any(rows["adversarial"]) else 0,
    }


def sampled_flows(results: Results) -> dict[str, Any]:
    """Single flows with their twins: {model: {attack: [flow, ...]}}."""
    found: dict[str, Any] = {}
    for model in models_with(results, "flow_samples.csv"):
        table = results.table(f"{model}/flow_samples.csv")
        if table is None or table.empty:
            continue
        for (attack, _), rows in table.groupby(["attack", "row"], sort=False):
            found.setdefault(model, {}).setdefault(str(attack), []).append(flow_of(rows))
    return found


def flow_of(rows: pd.DataFrame) -> dict[str, Any]:
    """One flow with its packets, each value a list over them."""
    first = rows.iloc[0]
    flow = {"sample": first["sample"], "row": int(first["row"]), "l1": rounded(first["l1"], 3)}
    flow |= {"threat_model": first["threat_model"], "forward": [int(side == "forward") for side in rows["direction"]]}
    flow |= {name: column(rows[name]) for name in SHARED}
    if all(rows["adversarial_length"]):
        flow["adversarial"] = {name: column(rows[f"adversarial_{name}"]) for name in SHARED}
    return flow


def column(values: Iterable[str]) -> list[float | None]:
    """A column of numbers."""
    return [rounded(value, 6) for value in values]


def chart_data(results: Results) -> dict[str, Any]:
    """All that the charts of the page need."""
    return {
        "kappa": kappa_curves(results),
        "budget": budget_curves(results),
        "dependence": sequential_dependence(results),
        "flows": sampled_flows(results),
    }
