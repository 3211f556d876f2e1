"""Repair, corruption and the anytime index against chains of known fate."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from testtime.errors import UserError
from testtime.estimators.changes import anytime, changes


def chains(problems: int, samples: int, repair: float, corrupt: float, seed: int = 0):
    """Budgets 10, 20, 40: right at 10 with probability 1/2, then Markov. Truth by level too."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(problems):
        for s in range(samples):
            right = rng.random() < 0.5
            for b in (10, 20, 40):
                if b > 10:
                    right = rng.random() >= corrupt if right else rng.random() < repair
                key = "r" if right else "w"
                rows.append((f"p{i:03d}", s, b, float(right), key, b, True, i % 2))
    names = [
        "problem_id",
        "sample",
        "budget",
        "score",
        "answer_key",
        "thinking_tokens",
        "forced",
        "level",
    ]
    return pd.DataFrame(rows, columns=names)


def test_a_busy_flat_curve_is_told_from_a_quiet_one() -> None:
    table = chains(200, 8, repair=0.3, corrupt=0.3)
    found = changes(table)
    assert found[["from_budget", "to_budget"]].to_numpy().tolist() == [[10, 20], [20, 40]]
    row = found.iloc[0]
    assert row["repaired_lo"] < 0.15 < row["repaired_hi"]
    assert row["corrupted_lo"] < 0.15 < row["corrupted_hi"]
    assert row["gain_lo"] < 0 < row["gain_hi"] and row["changed"] == pytest.approx(0.3, abs=0.03)
    assert row["repair_rate"] == pytest.approx(0.3, abs=0.04)
    assert row["corruption_rate"] == pytest.approx(0.3, abs=0.04)
    quiet = changes(chains(200, 8, repair=0.0, corrupt=0.0)).iloc[0]
    assert quiet["changed"] == 0 and quiet["repaired_hi"] < 0.03


def test_intervals_by_problem_cover() -> None:
    inside = [
        row["repaired_lo"] <= 0.5 * 0.2 <= row["repaired_hi"]
        for seed in range(50)
        for row in changes(chains(40, 4, 0.2, 0.1, seed)).head(1).to_dict("records")
    ]
    assert np.mean(inside) > 0.9


def test_by_difficulty_and_from_budget_zero() -> None:
    table = chains(40, 4, 0.2, 0.1)
    zero = table[table["budget"] == 10].assign(budget=0, thinking_tokens=0)
    found = changes(pd.concat([table, zero]), "level")
    assert found["difficulty"].unique().tolist() == ["all", "0", "1"]
    assert found[found["difficulty"] == "all"]["from_budget"].tolist() == [0, 10, 20]
    assert found[found["difficulty"] == "1"]["problems"].eq(20).all()
    with pytest.raises(UserError, match="no column 'levle'; did you mean 'level'"):
        changes(table, "levle")


def test_the_anytime_index_is_the_mean_over_log_budget() -> None:
    table = chains(50, 4, 0.5, 0.0)
    value = table.groupby("budget")["score"].mean()
    found = anytime(table).iloc[0]
    assert found["anytime"] == pytest.approx((value[10] / 2 + value[20] + value[40] / 2) / 2)
    assert found["lo"] < found["anytime"] < found["hi"]
