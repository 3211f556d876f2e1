"""What a call buys, and settings at equal compute, on pools whose answer is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from testtime.estimators import amounts
from testtime.estimators.calls import call_buys
from testtime.estimators.cells import replicates
from testtime.estimators.models import differences


def pool(turn: int, budget: float, right: float, tokens: float, told: str = "") -> pd.DataFrame:
    """Every problem has this share of right samples of four; wrong ones all differ."""
    setting = f"{told},turn={turn}" if told else f"turn={turn}"
    rows = [
        (f"p{i}", setting, budget, s, float(s < 4 * right), tokens, float(turn > 0))
        for i in range(40)
        for s in range(4)
    ]
    names = ["problem_id", "setting", "budget", "sample", "score", "thinking_tokens", "tool_calls"]
    table = pd.DataFrame(rows, columns=names)
    keys = np.where(table["score"] == 1, "r", "w" + table["sample"].astype(str))
    return table.assign(answer_key=keys, answer_tokens=0.0)


GRID = (
    pool(0, 8, 0.25, 8),
    pool(0, 16, 0.25, 16),
    pool(1, 8, 0.5, 8),
    pool(1, 16, 0.75, 20),
    pool(4, 8, 0.5, 8),
    pool(4, 16, 1.0, 40),
)


def test_a_setting_is_read_by_its_amounts() -> None:
    assert amounts.read("effort=low,turn=4,depth=1") == ("effort=low", {"turn": 4, "depth": 1})
    assert amounts.without("effort=low,turn=4,depth=1", "turn") == ("effort=low,depth=1", 4)
    assert amounts.without("turn=0", "turn") == ("", 0)
    assert amounts.without("", "turn") == ("", None)


def test_every_step_along_the_turns_with_what_a_turn_costs() -> None:
    table = call_buys(pd.concat(GRID), resamples=200)
    singles = table[table["n"] == 1].set_index(["budget", "from_"])
    assert singles.loc[(8, 0), "gain"] == 0.25 and singles.loc[(8, 1), "gain"] == 0
    assert singles.loc[(16, 1), "per_call"] == pytest.approx(0.25 / 3)
    assert singles.loc[(16, 0), "tokens"] == 4 and singles.loc[(16, 0), "calls"] == 1
    assert set(table.loc[table["n"] > 1, "budget"]) == {16}  # more samples at the largest alone
    verdicts = singles["verdict"].to_dict()
    assert verdicts == {
        (8, 0): "rises",
        (8, 1): "undecided",
        (16, 0): "rises",
        (16, 1): "rises",
    }
    assert (table["per_call_lo"] <= table["per_call"]).all()


def test_what_was_told_apart_stays_apart_and_without_turns_there_is_nothing() -> None:
    both = pd.concat([*GRID, *(part.assign(setting="e=x," + part["setting"]) for part in GRID)])
    assert set(call_buys(both, resamples=100)["setting"]) == {"", "e=x"}
    assert call_buys(GRID[0].assign(setting="wait=1")).empty
    assert call_buys(GRID[0].drop(columns="setting")).empty


def test_without_any_difference_few_tables_name_a_winner() -> None:
    """Thirty problems of every difficulty, eight samples; at 5 %, seven of sixty tables are few."""
    named = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        share = rng.beta(0.6, 0.6, 30)
        parts = []
        for turn, budget in ((0, 8), (0, 16), (4, 8), (4, 16)):
            right = rng.random((30, 8)) < share[:, None]
            table = pd.DataFrame(np.argwhere(right | True), columns=["problem_id", "sample"])
            table = table.assign(score=right.ravel().astype(float), thinking_tokens=budget)
            parts.append(table.assign(setting=f"turn={turn}", budget=budget, tool_calls=turn))
        bought = call_buys(pd.concat(parts), resamples=200)
        named += bool((bought["verdict"] != "undecided").any())
    assert named <= 7


def test_tables_that_share_the_error_rate_are_wider() -> None:
    sample = replicates(pd.concat(GRID), None, ["mean"], resamples=200)
    one, three = differences(sample), differences(sample, tables=3)
    assert (three["all_lo"] <= one["all_lo"]).all() and (three["p"] >= one["p"]).all()
    assert (three["all_hi"] - three["all_lo"]).sum() > (one["all_hi"] - one["all_lo"]).sum()
