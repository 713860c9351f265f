"""The table of what the members of the search found and cost."""

import numpy as np
import pandas as pd
import pytest
import rugged
from pages import Cells

import tabulate_attacks
from rnnids.attacks.candidates import MEMBERS
from rnnids.attacks.files import write_search
from rnnids.attacks.search import RobustSearch
from rnnids.errors import InputError

SEARCH = RobustSearch(iterations=10, far_iterations=5, draws=16, generations=3, goal="all")


@pytest.fixture(scope="module")
def results():
    flows = rugged.targets(24)
    flows.flows["manipulable"][:4] = 0
    return [SEARCH(detector, flows) for detector in (rugged.steps(), rugged.ridge(), rugged.inert())]


def tabulate(folder, results, models):
    for place, result in enumerate(results):
        about = {"search": SEARCH, "members": MEMBERS, "threat_model": "payload_3s"}
        early = np.zeros(len(result.flows), dtype=bool)
        write_search(folder / f"{place}.h5", result, made_by="a test", early_alarm=early, **about)
    words = ["--searches", *(folder / f"{place}.h5" for place in range(len(results))), "--models", *models]
    words += ["--dataset", "lab", "--output", folder / "attacks.csv", "--html", folder / "attacks.html"]
    tabulate_attacks.main([str(word) for word in words])
    return pd.read_csv(folder / "attacks.csv"), Cells((folder / "attacks.html").read_text()).rows


def test_every_flow_counts_once(tmp_path, results):
    table, rows = tabulate(tmp_path, results, ["my_steps", "ridge", "inert"])
    assert table["model"].tolist() == ["my_steps", "ridge", "inert"]
    assert set(table["threat_model"]) == {"payload_3s"} and set(table["goal"]) == {"all"}
    for row, result in zip(table.to_dict("records"), results, strict=True):
        assert row["flows"] == 24
        detected = result.original_logit > 0
        assert row["benign_unmodified"] == (~detected).sum()
        assert row["immovable"] == (detected & (result.free == 0)).sum()
        for number, name in enumerate(MEMBERS):
            assert row[name] == (result.member[0] == number).sum(), name
        assert row["none_found"] == (np.isinf(result.l1[0]) & (result.free > 0)).sum()
        parts = ("benign_unmodified", "immovable", *MEMBERS, "none_found")
        assert sum(row[name] for name in parts) == 24
        assert row["evaluations"] == pytest.approx(result.evaluations.mean())
        assert row["gradients"] == pytest.approx(result.gradients.mean())
    assert (table["immovable"] >= 4).any() and table["none_found"].iloc[2] > 10 and table["enumeration"].iloc[0] > 0
    assert len(rows) == 4 and rows[0][0] == "Model" and "Far descent" in rows[0]
    assert rows[1][:4] == ["my steps", "payload 3s", "all", "24"]
    assert rows[1][rows[0].index("Evaluations")] == f"{results[0].evaluations.mean():,.0f}"


def test_each_search_has_its_model(tmp_path, results):
    with pytest.raises(InputError, match="1 names for 2 searches"):
        tabulate(tmp_path, results[:2], ["one"])
