"""The horizon on pools of known truth."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from testtime.errors import UserError
from testtime.estimators.horizon import horizon

BUDGETS = (16, 32, 64, 128)


def pool(problems: int = 120, samples: int = 4, seed: int = 0) -> pd.DataFrame:
    """The horizon is budget / 8 to the power .75, log-odds fall by 2 for each doubling."""
    rng = np.random.default_rng(seed)
    terms = rng.integers(1, 17, problems)
    rows = []
    for b in BUDGETS:
        logit = -2 * (np.log2(terms) - 0.75 * np.log2(b / 8))
        right = rng.random((samples, problems)) < 1 / (1 + np.exp(-logit))
        rows += [
            (f"p{i:03d}", s, b, float(right[s, i]), terms[i], b)
            for s in range(samples)
            for i in range(problems)
        ]
    names = ["problem_id", "sample", "budget", "score", "terms", "thinking_tokens"]
    return pd.DataFrame(rows, columns=names)


def test_horizons_and_their_growth_cover_the_truth() -> None:
    truth = (np.array(BUDGETS) / 8) ** 0.75
    inside, grown = [], []
    for seed in range(24):
        found = horizon(pool(seed=seed), "terms", resamples=200, seed=seed)
        inside.append((found.cells["lo"] <= truth) & (truth <= found.cells["hi"]))
        growth = found.growth.iloc[0]
        grown.append(growth["lo"] <= 0.75 <= growth["hi"])
    assert np.mean(inside) > 0.88 and np.mean(grown) > 0.83
    assert found.cells["horizon"].to_numpy() == pytest.approx(truth, rel=0.25)
    assert found.growth["points"].tolist() == [4]


def test_a_horizon_outside_what_was_seen_is_said_and_left_out_of_the_growth() -> None:
    table = pool()
    table.loc[table["budget"] == 128, "score"] = 1.0
    found = horizon(table, "terms", resamples=50)
    assert found.cells["range"].tolist() == ["within", "within", "within", "above"]
    assert found.growth["points"].tolist() == [3]


def test_another_share_lies_elsewhere() -> None:
    half, most = (horizon(pool(), "terms", share=q, resamples=50).cells for q in (0.5, 0.8))
    ratio = np.log2(half["horizon"] / most["horizon"])
    assert ratio.to_numpy() == pytest.approx(np.full(4, np.log(4) / 2), abs=0.15)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"terms": 3}, "holds one difficulty"),
        ({"terms": 0}, "holds 0; it needs numbers above 0"),
    ],
)
def test_mistakes_are_said(change, words) -> None:
    with pytest.raises(UserError, match=words):
        horizon(pool().assign(**change), "terms")


def test_absent_and_ambiguous_difficulties_are_refused() -> None:
    with pytest.raises(UserError, match="no column 'term'; did you mean 'terms'"):
        horizon(pool(), "term")
    table = pool()
    table.loc[0, "terms"] = 99
    with pytest.raises(UserError, match="problem 'p000' has several values"):
        horizon(table, "terms")
