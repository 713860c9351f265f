"""The same models trained with other seeds: what varies, and which conclusions hold in all of them.

Input: of each training its predictions, metrics and recall (evaluate.py), the nearest evasions of one search and nearer
ones of the gate (search_evasions.py, check_robustness.py) and, where given, the drop of accuracy per feature
(perturb_inputs.py). Writes the values of all trainings, one row each with its 95 % interval over flows; a row per
quantity with the mean over trainings, its interval over trainings and flows (rnnids/detectors/seeds.py), and how many
trainings lie outside the interval of the first; and what the first training shows, with the number of trainings that
show the same.
"""

import argparse
import itertools
import json
import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from rnnids import cli
from rnnids.attacks.ars import adversarial_robustness_score, resampled_scores, score_interval
from rnnids.attacks.files import read_attack, with_better
from rnnids.detectors.metrics import confusion_cells, metrics_of, proportion_interval
from rnnids.detectors.seeds import over_seeds, shared_part
from rnnids.errors import InputError
from rnnids.explanations.rank_agreement import rank_correlation
from rnnids.storage import read_csv, read_hdf5, write_csv

FILES = {  # option -> help, of the files that every training has
    "predictions": "logits on the test split (HDF5)",
    "metrics": "metrics per packet and per flow (CSV)",
    "recall": "recall per attack type (CSV)",
    "searches": "nearest evasions, all of one threat model and goal (HDF5)",
    "better": "nearer ones that the check found (HDF5)",
}
METRICS = (("packet", "accuracy"), ("flow", "accuracy"), ("flow", "recall"), ("flow", "precision"))
ALL = "All"
SHARE, DISTANCE, DROP = (0.0, 1.0), (0.0, math.inf), (-1.0, 1.0)
KEYS = ["model", "quantity", "of"]
SHOWN = 3  # features that matter most, in a conclusion


class Quantity(NamedTuple):
    """A quantity of one training, with its interval over flows and what it becomes on resamples of them."""

    value: float
    low: float
    high: float
    limits: tuple[float, float]
    resampled: np.ndarray | None = None  # (S,); None where flows are not at hand


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    for name, text in FILES.items():
        parser.add_argument(f"--{name}", required=True, nargs="+", help=f"of each training: {text}")
    parser.add_argument(
        "--importance", nargs="*", default=[], help="drop of accuracy per feature, of the first trainings named (CSV)"
    )
    parser.add_argument("--models", required=True, nargs="+", help="model of each training")
    parser.add_argument("--seeds", required=True, nargs="+", type=int, help="seed of each training")
    parser.add_argument("--bootstrap-samples", default=400, type=cli.positive(int), help="resamples of the flows")
    parser.add_argument("--seed", default=0, type=int, help="of the resampling")
    parser.add_argument("--values", required=True, help="output: the value of each training (CSV)")
    parser.add_argument("--conclusions", required=True, help="output: what holds in how many trainings (CSV)")
    parser.add_argument("--output", required=True, help="output: mean and interval of each quantity (CSV)")
    args = parser.parse_args(argv)
    for name in (*FILES, "seeds"):
        if len(getattr(args, name)) != len(args.models):
            raise InputError(
                f"--{name}: {len(getattr(args, name))} for {len(args.models)} trainings; give one for each"
            )
    return args


def detection(
    files: dict[str, str], rng: Callable[[], np.random.Generator], samples: int
) -> Iterator[tuple[tuple[str, str], Quantity]]:
    """((quantity, of), value) of what a detector finds."""
    with read_hdf5(files["predictions"]) as file:
        attack, logit = file["flows/attack"][:], file["flows/logit"][:]
        start, packet_logit = file["flows/offset"][:], file["packets/logit"][:]
        count, names = file["flows/packet_count"][:], json.loads(file.attrs["attacks"])
    weights = rng().multinomial(len(attack), np.full(len(attack), 1 / len(attack)), samples).astype(np.float32)
    cells = {
        "flow": confusion_cells(attack != 0, logit),
        "packet": np.add.reduceat(confusion_cells(np.repeat(attack != 0, count), packet_logit), start, axis=0),
    }
    resampled = {level: metrics_of((weights @ own.astype(np.float32)).T) for level, own in cells.items()}
    table = read_csv(files["metrics"], ("level", "metric"), ("value", "low", "high")).set_index(["level", "metric"])
    for level, metric in METRICS:
        row = table.loc[(level, metric)]
        yield (f"{level} {metric}", ""), Quantity(row.value, row.low, row.high, SHARE, resampled[level][metric])
    alarm = logit > 0

    def share_of(flows: np.ndarray) -> np.ndarray:
        """(S,) share of some flows that raise the alarm, on the resamples."""
        with np.errstate(invalid="ignore"):
            return (weights[:, flows] @ alarm[flows]) / weights[:, flows].sum(axis=1)

    benign = attack == 0
    interval = proportion_interval(int(alarm[benign].sum()), int(benign.sum()))
    yield ("false alarms", ""), Quantity(float(alarm[benign].mean()), *interval, SHARE, share_of(benign))
    for row in read_csv(files["recall"], ("attack",), ("recall", "low", "high")).itertuples():
        own = attack == names.index(str(row.attack))
        yield ("recall", str(row.attack)), Quantity(row.recall, row.low, row.high, SHARE, share_of(own))


def robustness(
    files: dict[str, str], rng: Callable[[], np.random.Generator], samples: int
) -> Iterator[tuple[tuple[str, str], Quantity]]:
    """((quantity, of), value) of how a detector is evaded: shares over all types, and the ARS of each."""
    found = read_attack(files["searches"])
    flows, names = with_better(found, files["better"]).sort_values("row"), found.attrs["attacks"]
    evade = flows["success"].to_numpy()
    if len(flows):
        weights = rng().multinomial(len(flows), np.full(len(flows), 1 / len(flows)), samples)
        interval = proportion_interval(int(evade.sum()), len(evade))
        yield ("evading flows", ALL), Quantity(float(evade.mean()), *interval, SHARE, weights @ evade / len(evade))
    for attack, own in flows.groupby("attack"):
        distances = own["l1"].to_numpy()
        scores = resampled_scores(distances, samples, rng())
        interval = score_interval(scores)
        yield ("ARS", names[attack]), Quantity(adversarial_robustness_score(distances), *interval, DISTANCE, scores)


def importance(path: str) -> Iterator[tuple[tuple[str, str], Quantity]]:
    """((quantity, of), value) of the drop of flow accuracy per feature."""
    table = read_csv(path, ("level", "feature"), ("value", "low", "high"))
    for row in table[table["level"] == "flow"].itertuples():
        yield ("accuracy drop", str(row.feature)), Quantity(row.value, row.low, row.high, DROP)


def collect(args: argparse.Namespace) -> dict[tuple[str, int], dict[tuple[str, str], Quantity]]:
    """{(model, seed): {(quantity, of): its value}}; all trainings see the same resamples of the flows."""

    def rng() -> np.random.Generator:
        return np.random.default_rng(args.seed)

    found = {}
    for place, training in enumerate(zip(args.models, args.seeds, strict=True)):
        files = {name: getattr(args, name)[place] for name in FILES}
        parts = [make(files, rng, args.bootstrap_samples) for make in (detection, robustness)]
        if place < len(args.importance):
            parts.append(importance(args.importance[place]))
        found[training] = dict(itertools.chain.from_iterable(parts))
    return found


def summary(found: dict[tuple[str, int], dict[tuple[str, str], Quantity]]) -> list[dict]:
    """A row per model and quantity, over its trainings; the first one named is the first."""
    rows = []
    for model in dict.fromkeys(model for model, _ in found):
        trainings = [values for (own, _), values in found.items() if own == model]
        for key, first in trainings[0].items():
            own = [values[key] for values in trainings if key in values]
            values, lows, highs = (np.array([getattr(q, name) for q in own]) for name in ("value", "low", "high"))
            known = all(q.resampled is not None for q in own)
            alike = shared_part(np.stack([q.resampled for q in own], axis=1)) if known else 1.0
            whole = over_seeds(values, lows, highs, correlation=alike, limits=first.limits)
            rows.append(
                {
                    "model": model,
                    "quantity": key[0],
                    "of": key[1],
                    "seeds": len(own),
                    "mean": whole.mean,
                    "deviation": whole.deviation,
                    "low": whole.low,
                    "high": whole.high,
                    "smallest": values.min(),
                    "largest": values.max(),
                    "first": first.value,
                    "first_low": first.low,
                    "first_high": first.high,
                    "outside": int(((values[1:] < first.low) | (values[1:] > first.high)).sum()),
                    "infinite": int(np.isinf(values).sum()),
                    "flows_shared": alike if known else math.nan,
                }
            )
    return rows


def comparisons(values: pd.DataFrame) -> Iterator[tuple[str, pd.Series]]:
    """(what a training says of two models, or of one, its words per seed)."""
    wide = values.set_index(["seed", *KEYS])["value"].unstack(KEYS)
    models = list(dict.fromkeys(values["model"]))
    pairs = [(model, models[0]) for model in models[1:]]
    if {"adversarial_training", "continued_training"} <= set(models):
        pairs.append(("adversarial_training", "continued_training"))
    for (model, other), (quantity, of, words) in itertools.product(
        pairs, (("flow accuracy", "", "Flow accuracy"), ("evading flows", ALL, "Share of flows that evade"))
    ):
        columns = [(name, quantity, of) for name in (model, other)]
        if all(column in wide for column in columns):
            difference = np.sign(wide[columns[0]] - wide[columns[1]]).dropna()
            said = difference.map({-1.0: "lower", 0.0: "equal", 1.0: "higher"})
            yield f"{words} of {model}, against {other}", said
    for quantity, words, best in (
        ("recall", "Attack type that {model} finds least often", "idxmin"),
        ("ARS", "Attack type by which {model} is evaded most easily", "idxmin"),
        ("accuracy drop", "Feature that matters most to {model}", "idxmax"),
    ):
        for model in models:
            if (model, quantity) in wide.columns.droplevel("of"):
                own = wide[model][quantity].dropna(how="all").dropna(axis=1)
                yield words.format(model=model), getattr(own, best)(axis=1)
    for model in models:
        if (model, "accuracy drop") in wide.columns.droplevel("of"):
            drops = wide[model]["accuracy drop"].dropna(how="all")
            most = drops.apply(lambda row: ", ".join(sorted(row.nlargest(SHOWN).index)), axis=1)
            yield f"The {SHOWN} features that matter most to {model}", most


def conclusions(values: pd.DataFrame) -> list[dict]:
    """What the first training says, and how many say the same; and how alike they rank features."""
    first = values["seed"].iloc[0]
    rows = []
    for subject, said in comparisons(values):
        if first in said.index:
            rows.append(
                {
                    "subject": subject,
                    "first": said[first],
                    "same": int((said == said[first]).sum()),
                    "seeds": len(said),
                    "others": "; ".join(dict.fromkeys(word for word in said if word != said[first])),
                }
            )
    for model, own in values[values["quantity"] == "accuracy drop"].groupby("model", sort=False):
        drops = own.pivot(index="seed", columns="of", values="value").to_numpy()
        pairs = [rank_correlation(*pair) for pair in itertools.combinations(drops, 2)]
        if pairs:
            rows.append(
                {
                    "subject": f"Rank correlation between trainings of what matters to {model}",
                    "first": f"{np.mean(pairs):.2f}",
                    "same": None,
                    "seeds": len(drops),
                    "others": f"{min(pairs):.2f} to {max(pairs):.2f}",
                }
            )
    return rows


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    found = collect(args)
    values = pd.DataFrame(
        [
            {
                "model": model,
                "seed": seed,
                "quantity": quantity,
                "of": of,
                "value": q.value,
                "low": q.low,
                "high": q.high,
            }
            for (model, seed), quantities in found.items()
            for (quantity, of), q in quantities.items()
        ]
    )
    write_csv(args.values, values)
    write_csv(args.output, pd.DataFrame(summary(found)))
    columns = ["subject", "first", "same", "seeds", "others"]
    rows = pd.DataFrame(conclusions(values), columns=columns).astype({"same": "Int64"})
    write_csv(args.conclusions, rows)


if __name__ == "__main__":
    cli.run(main)
