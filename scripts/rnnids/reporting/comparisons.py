"""The verdict of the results page on other models, other recordings and other trainings."""

from collections.abc import Iterator

import pandas as pd

from rnnids.reporting.results import (
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
    percent,
    select,
    words,
)

DEFENCES, TRANSFER = "tables/table_defences.csv", "tables/transfer.csv"
SEEDS, CONCLUSIONS = "tables/seeds.csv", "seed_conclusions.csv"
AT_RATE = "flow recall at 1 % false alarms"  # a measure of the table of defences
FALL = 0.1  # of recall on another recording, from which on it is a warning
SHOWN = 4  # conclusions that are named one by one


def pass_share(own: Group, model: str) -> Cell | None:
    """Share of the attacked flows of all types that are benign under attack."""
    rows = select(own.rows, model=model, measure="success ratio")
    values, flows = numbers(rows, "value"), numbers(rows, "flows")
    known = values.notna() & (flows > 0)
    if not known.any():
        return None
    share = float((values[known] * flows[known]).sum() / flows[known].sum())
    how = f"mean of success ratio over the types of {model}, weighted by flows"
    return own.several("value", share, percent(share, 0), how=how)


def defences(results: Results) -> Iterator[Statement]:
    """Which model is the hardest to evade, and what it costs; what adversarial training does."""
    question, table = "Defences", results.table(DEFENCES)
    if table is None or table.empty:
        yield missing(question, DEFENCES)
        return
    own = Group(DEFENCES, table)
    reference, *others = dict.fromkeys(map(str, table["model"]))
    before = pass_share(own, reference)
    shares = {model: share for model in others if (share := pass_share(own, model))}
    if before is None or not shares:
        alone = "no other model was attacked" if before else f"{words(reference)} was not attacked"
        yield Statement(question, (f"No defence can be judged: {alone}.",))
        return
    best = min(shares, key=lambda model: float(shares[model].value))
    compared = f"Of {len(shares) + 1} models " if len(shares) > 1 else "Of two models "
    if float(shares[best].value) < float(before.value):
        parts: list[Part] = [f"{compared}{words(best)} is the hardest to evade: ", shares[best]]
        parts += [f" of the attacked flows pass for benign, with {words(reference)} ", before, "."]
    else:
        parts = [f"{compared}none is harder to evade than {words(reference)}: with it ", before]
        parts += [f" of the attacked flows pass for benign, with {words(best)} ", shares[best], "."]
    yield Statement(question, (*parts, *price(own, best, reference)))
    trained = "adversarial_training"
    if trained in shares and trained != best:
        parts = [shares[trained], " of the attacked flows pass for benign", *farther(own, trained, reference), "."]
        yield Statement("Adversarial training", (*parts, *price(own, trained, reference)))


def price(own: Group, model: str, reference: str) -> list[Part]:
    """What a model gives up in detection."""
    parts: list[Part] = []
    for measure, name in (("flow accuracy", "flow accuracy"), (AT_RATE, AT_RATE.removeprefix("flow "))):
        pair = [own.first("value", percent, model=one, measure=measure) for one in (model, reference)]
        if pair[0] and pair[1]:
            start = f", {name} " if parts else f" {name[:1].upper()}{name[1:]} is "
            parts += [start, pair[0], " instead of ", pair[1]]
    return [*parts, "."] if parts else []


def farther(own: Group, model: str, reference: str) -> list[Part]:
    """For how many attack types a model asks more of the attacker."""
    pair = []
    for one in (model, reference):
        rows = select(own.rows, model=one, measure="ARS")
        pair.append(numbers(rows, "value").set_axis(rows["attack"]) if len(rows) else pd.Series(dtype=float))
    both = pd.concat(pair, axis=1, keys=["after", "before"]).dropna()
    if both.empty:
        return []
    more = int((both["after"] > both["before"]).sum())
    cells = (
        own.several("value", more, count(more), how=f"types whose ARS with {model} is above that with {reference}"),
        own.several("value", len(both), count(len(both)), how=f"types with an ARS of {model} and of {reference}"),
    )
    return [", and the attacker has to go farther in ", cells[0], " of ", cells[1], " types"]


def transfer(results: Results) -> Iterator[Statement]:
    """What becomes of the first model on another recording."""
    question, table = "Another recording", results.table(TRANSFER)
    if table is None or table.empty:
        yield Statement(
            question, ("Not measured: no other recording stands under transfer.pairs of the configuration.",)
        )
        return
    own = Group(TRANSFER, select(table, model=str(table["model"].iloc[0]), of="flow"))
    home = str(table["trained_on"].iloc[0])
    here = detected(own, home, home)
    for trained_on, tested_on in dict.fromkeys(zip(own.rows["trained_on"], own.rows["tested_on"], strict=True)):
        there = detected(own, str(trained_on), str(tested_on))
        if trained_on == tested_on or not there:
            continue
        where = f", tested on {words(str(tested_on))}: flow accuracy "
        parts: list[Part] = [f"Trained on {words(str(trained_on))}{where}", there[0], ", recall ", there[1]]
        if here and trained_on == home:
            parts += [f"; on the test split of {words(home)} ", here[0], " and ", here[1]]
        yield Statement(question, (*parts, "."), warning=bool(here) and fell(here[1], there[1]))


def detected(own: Group, trained_on: str, tested_on: str) -> list[Cell]:
    """Flow accuracy and recall of a row of the table, if it has both."""
    pair = {"trained_on": trained_on, "tested_on": tested_on}
    cells = [own.first("value", percent, measure=measure, **pair) for measure in ("accuracy", "recall")]
    found = [cell for cell in cells if cell]
    return found if len(found) == len(cells) else []


def fell(here: Cell, there: Cell) -> bool:
    """Whether a share is lower there by so much that the difference matters to an operator."""
    return number(here.value) - number(there.value) >= FALL


def trainings(results: Results) -> Iterator[Statement]:
    """How far the numbers of one training are those of another, and which conclusions hold in all."""
    question, table = "Other trainings", results.table(SEEDS)
    if table is None or table.empty:
        yield Statement(question, ("Not measured: every number on this page is of one training of each model.",))
        return
    own = Group(SEEDS, select(table, model=str(table["model"].iloc[0])))
    parts: list[Part] = []
    for quantity in ("flow accuracy", "flow recall"):
        rows = select(own.rows, quantity=quantity)
        if rows.empty or not rows["mean"].iloc[0]:
            continue
        line = int(rows.index[0])
        parts += ["; " if parts else f"{capital(str(rows['model'].iloc[0]))}, ", f"{quantity} over "]
        parts += [own.cell(line, "seeds", count), " trainings: ", own.cell(line, "mean", percent), " on average, from "]
        parts += [own.cell(line, "smallest", percent), " to ", own.cell(line, "largest", percent)]
    if parts:
        yield Statement(question, (*parts, "."))
    yield from held(results)


def held(results: Results) -> Iterator[Statement]:
    """Which conclusions of the first training do not hold in all of them."""
    table = results.table(CONCLUSIONS)
    rows = table[table["same"] != ""] if table is not None and "same" in table else pd.DataFrame()
    if rows.empty:
        return
    own = Group(CONCLUSIONS, rows)
    broken = rows[numbers(rows, "same") < numbers(rows, "seeds")]
    whole = len(rows) - len(broken)
    parts: list[Part] = [own.several("same", whole, count(whole), how="rows with as many in same as in seeds")]
    parts += [" of ", own.several("same", len(rows), count(len(rows)), how="rows with a number in same")]
    parts += [" conclusions of the first training hold in all."]
    for line in broken.index[:SHOWN].map(int):
        parts += [f" {words(own.word(line, 'subject'))}: {words(own.word(line, 'first'))} in "]
        parts += [own.cell(line, "same", count), " of ", own.cell(line, "seeds", count), "."]
    if len(broken) > SHOWN:
        parts += [" And others."]
    yield Statement("Conclusions", tuple(parts), warning=len(broken) > 0)
