"""What the results of a data set say, in plain sentences, every number with the cell behind it.

Each function answers one question of a reader with the tables that are there. A table that is missing, a score that is
infinite, a type without flows, or a single model leads to a sentence that says so.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator

import pandas as pd

from rnnids.reporting.comparisons import defences, trainings, transfer
from rnnids.reporting.results import (
    SPACE,
    Cell,
    Group,
    Part,
    Results,
    Statement,
    capital,
    count,
    missing,
    number,
    numbers,
    of_percent,
    percent,
    score,
    select,
    words,
)

METRICS, DETECTION = "tables/table2.csv", "tables/detection.csv"
SCORES = "tables/ars.csv"
AUDIT = "label_audit.csv"
OK, INERT, UNCHECKED = "ok", "inert", "not checked"
FAULTS = {  # verdicts of the gate that speak against a score: what each means
    "refuted": "a random draw found a nearer evasion than the search",
    "invalid": "an evasion breaks the rules of the threat model, or its distance or logit is not what the search says",
    "no gradient": "the detector reacts to changes, but its gradient shows nothing",
}
SHOWN = 4  # scores that are named one by one
FLATTERED = 0.1  # share of test flows with their like in training, from which on it is a warning


def interval(group: Group, line: int, shown: Callable[[float], str]) -> list[Part]:
    """The 95 % interval of a row in brackets; nothing where it has none."""
    low, high = (group.word(line, name) for name in ("low", "high"))
    if not low or not high:
        return []
    cells = (group.cell(line, name, shown) for name in ("low", "high"))
    return [f" (95{SPACE}% interval ", next(cells), " to ", next(cells), ")"]


def detection(results: Results) -> Iterator[Statement]:
    """How much is detected, at how many false alarms, and what is missed."""
    question = "Detection"
    own = Group(METRICS, select(results.table(METRICS), source="ours", level="flow"))
    if own.rows.empty:
        yield (
            missing(question, METRICS)
            if results.table(METRICS) is None
            else Statement(question, (f"Unknown: {METRICS} has no metrics of flows.",))
        )
        return
    model = str(own.rows["model"].iloc[0])
    parts: list[Part] = []
    accuracy = own.first("value", of_percent, model=model, metric="accuracy")
    recall = own.first("value", of_percent, model=model, metric="recall")
    if accuracy and accuracy.line:
        parts += [f"{capital(model)} classifies ", accuracy, " of the test flows correctly"]
        parts += [*interval(own, accuracy.line, of_percent), ". "]
    parts += [f"{capital(model)} detects ", recall, " of the attack flows"] if recall else ["Its recall is undefined"]
    parts += false_alarms(Group(DETECTION, at_own_threshold(results, model)))
    yield Statement(question, (*parts, "."))
    yield from worst_detected(Group(DETECTION, at_own_threshold(results, model)))
    yield from duplicates(results)


def at_own_threshold(results: Results, model: str) -> pd.DataFrame:
    """What a model detects at logit 0."""
    return select(results.table(DETECTION), point="own threshold", model=model)


def false_alarms(own: Group) -> list[Part]:
    """The half sentence on false alarms, if they were counted."""
    share = own.first("false_alarms", lambda value: percent(value, 2), attack="All")
    hourly = own.first("per_hour", count, attack="All")
    if share is None:
        return []
    more: list[Part] = [", ", hourly, " an hour at the rate of the recording"] if hourly else []
    return [" and raises the alarm on ", share, " of the benign ones", *more]


def worst_detected(own: Group) -> Iterator[Statement]:
    """The attack type that is missed most."""
    types = own.rows[own.rows["attack"] != "All"] if len(own.rows) else own.rows
    recall = numbers(types, "recall")[numbers(types, "flows") > 0].dropna()
    if recall.empty:
        return
    if recall.min() == 1:
        yield Statement("Worst detected", ("Every attack type is detected in full.",))
        return
    line = lowest(recall)
    parts = (own.cell(line, "recall", percent), " of its ", own.cell(line, "flows", count), " test flows are detected.")
    yield Statement("Worst detected", (f"{own.word(line, 'attack')}: ", *parts))


def duplicates(results: Results) -> Iterator[Statement]:
    """How many test flows the training has seen in all but name."""
    audit = Group(AUDIT, select(results.table(AUDIT), subject="as built / All"))
    share = audit.first("value", of_percent, measure="near_duplicates_percent")
    if share is None:
        return
    flattered = number(share.value) >= 100 * FLATTERED
    end = ", which flatters every number on this page." if flattered else "."
    yield Statement(
        "Split", (share, " of the test flows have a near duplicate in the training split", end), warning=flattered
    )


def evasion(results: Results) -> Iterator[Statement]:
    """The attack type that is easiest to disguise, under each threat model, and what that costs the attacker.

    Threat models under which the same is true of the same type share a statement.
    """
    table = results.table(SCORES)
    if table is None or table.empty:
        yield missing("Evasion", SCORES)
        return
    model = str(table["model"].iloc[0])
    alike: dict[str, list[tuple[str, Group]]] = {}
    for threat_model, rows in select(table, model=model, goal="last").groupby("threat_model", sort=False):
        own = Group(SCORES, rows)
        alike.setdefault(Statement("", tuple(weakest(own))).text, []).append((words(str(threat_model)), own))
    for told in alike.values():
        parts = weakest(told[0][1])
        for place, (threat_model, own) in enumerate(told):
            parts += spread(own, start=place == 0, name=threat_model if len(told) > 1 else "")
        names = ", ".join(threat_model for threat_model, _ in told)
        yield Statement(f"Evasion, {names}", (*parts, "."))
    yield from evasion_costs(results, model)


def lowest(values: pd.Series) -> int:
    """The line of the smallest value, the first of equal ones."""
    return int(values.index[int(values.to_numpy().argmin())])


def weakest(own: Group) -> list[Part]:
    """What is said of the type that is easiest to disguise under one threat model."""
    scores = numbers(own.rows, "ars")
    if not (scores < math.inf).any():
        return ["Every score is infinite. "] if scores.notna().any() else []
    line = lowest(scores.fillna(math.inf))
    if scores[line] == 0:
        missed = f"{own.word(line, 'attack')} needs no disguise: half of its attacked flows are missed as they are. "
        return [missed, "Its ARS is ", own.cell(line, "ars", score), ". "]
    parts: list[Part] = [f"{own.word(line, 'attack')} is the easiest to disguise. Its ARS is at most "]
    parts += [own.cell(line, "ars", score), f"{SPACE}z-scores", *interval(own, line, score)]
    if number(own.word(line, "ars_lower")) > 0:
        parts += [", and no attack can bring it below ", own.cell(line, "ars_lower", score)]
    parts += ["; ", own.cell(line, "success_ratio", lambda value: percent(value, 0)), " of its "]
    parts += [own.cell(line, "flows", count), " attacked flows pass for benign. "]
    verdict = own.word(line, "verdict") or UNCHECKED
    doubted = verdict not in (OK, UNCHECKED)
    return [*parts, f"The independent check calls this score {verdict}. "] if doubted else parts


def spread(own: Group, *, start: bool, name: str) -> list[Part]:
    """In how many types at least half of the flows evade; `name` of the threat model where there are several."""
    scores = numbers(own.rows, "ars").dropna()
    under = f" under {name}" if name else ""
    if scores.empty:
        return [f"{'' if start else '. '}No score is defined{under}: no attack flow of the test split was attacked"]
    of = "rows of this model and threat model"
    found, proven = int((scores < math.inf).sum()), int((numbers(own.rows, "ars_lower") == math.inf).sum())
    parts: list[Part] = ["At least half of the flows evade in " if start else ", in "]
    parts += [own.several("ars", found, count(found), how=f"{of} with a finite score"), " of "]
    parts += [own.several("ars", len(scores), count(len(scores)), how=f"{of} with a score"), f" types{under}"]
    if proven:
        certain = own.several("ars_lower", proven, count(proven), how=f"{of} whose lower bound is infinite")
        parts += [" (in ", certain, " it is proven that no attack can do so)"]
    return parts


def evasion_costs(results: Results, model: str) -> Iterator[Statement]:
    """What the evasions of all types add under the first threat model."""
    file = f"{model}/budget.csv"
    own = Group(file, select(results.table(file), goal="last", attack="All"))
    if own.rows.empty:
        return
    threat_model = str(own.rows["threat_model"].iloc[0])
    evasions = own.first("evasions", count)
    added = [own.first(column, score) for column in ("median_bytes", "median_ms", "median_packets")]
    question = "Cost of evasion"
    if evasions is None or number(evasions.value) == 0 or None in added:
        yield Statement(question, (f"No detected flow evades under threat model {words(threat_model)}.",))
        return
    size, delay, packets = (cell for cell in added if cell)
    parts = (
        "The median of ",
        evasions,
        f" evasions under threat model {words(threat_model)} adds ",
        size,
        " bytes and ",
    )
    yield Statement(question, (*parts, delay, f"{SPACE}ms; packets touched: ", packets, "."))


def are(number: int) -> str:
    """The verb behind a number."""
    return "is" if number == 1 else "are"


def gate(results: Results) -> Iterator[Statement]:
    """What the independent check says of the scores."""
    question, table = "Independent check", results.table(SCORES)
    if table is None or table.empty:
        yield missing(question, SCORES)
        return
    verdicts = table["verdict"].replace("", UNCHECKED) if "verdict" in table else pd.Series(UNCHECKED, table.index)
    found, own = Counter(verdicts), Group(SCORES, table)

    def counted(verdict: str) -> Cell:
        return own.several("verdict", found[verdict], count(found[verdict]), how=f"rows with verdict {verdict!r}")

    total = own.several("verdict", len(table), count(len(table)), how="all rows")
    parts: list[Part] = ["The check with random flows finds nothing against ", counted(OK), " of ", total, " scores."]
    if found[INERT]:
        meaning = "nothing that the attacker may change has any effect on what the detector says"
        parts += [" ", counted(INERT), f" {are(found[INERT])} inert: {meaning}."]
    if found[UNCHECKED]:
        parts += [" ", counted(UNCHECKED), " were not checked."]
    red = [verdict for verdict in found if verdict not in (OK, INERT, UNCHECKED)]
    for verdict in red:
        rows = table.loc[verdicts == verdict, ["model", "attack", "threat_model"]].to_numpy().tolist()
        where = [f"{words(model)}, {attack} ({words(threat_model)})" for model, attack, threat_model in rows]
        names = "; ".join(where[:SHOWN]) + ("; and others" if len(where) > SHOWN else "")
        meaning, verb = FAULTS.get(verdict, "see table_ars"), are(found[verdict])
        parts += [" ", counted(verdict), f" {verb} {verdict}, as {meaning}: {names}. Do not rely on these."]
    yield Statement(question, tuple(parts), warning=bool(red))


QUESTIONS = (detection, evasion, gate, defences, transfer, trainings)


def verdict(results: Results) -> list[Statement]:
    """All statements, in the order in which a reader asks."""
    return [statement for ask in QUESTIONS for statement in ask(results)]
