"""Settings at equal cost, on pools whose answer is known."""

from __future__ import annotations

import pandas as pd
import pytest

from benchmarks.coverage_equal_cost import WORLDS, scores
from tests.estimators.test_calls import GRID, pool
from testtime.compare.comparison import compare
from testtime.compare.text import describe
from testtime.estimators.equal_cost import contests, equal_cost

AXIS = "thinking_tokens"


def test_each_budget_takes_the_most_samples_that_cost_affords() -> None:
    table = equal_cost(pd.concat(GRID), ["majority"], AXIS, resamples=300)
    assert set(table["b_setting"]) == {"turn=0"} and set(table["a_setting"]) == {"turn=1", "turn=4"}
    levels = sorted(table["compute"].unique())  # of turn=0's 16 tokens, between 1, 2 and 4 times
    assert levels == pytest.approx([16 * 2**0.5, 32 * 2**0.5])
    dearest = table[table["compute"] == levels[1]].set_index(["a_setting", "a_budget", "b_budget"])
    most = dearest[["a_n", "b_n"]].apply(tuple, axis=1)
    assert most["turn=1"].to_dict() == {
        (8, 8): (4, 4),
        (8, 16): (4, 2),
        (16, 8): (2, 4),
        (16, 16): (2, 2),
    }
    assert most["turn=4"].loc[(16, 16)] == (1, 2)
    cheapest = table[(table["compute"] == levels[0]) & (table["a_setting"] == "turn=4")]
    assert set(cheapest["a_budget"]) == {8}  # one sample of budget 16 costs 40
    assert (table["a_cost"] <= table["compute"]).all() and (
        table["b_cost"] <= table["compute"]
    ).all()
    assert (table["lo"] <= table["difference"]).all()


def test_what_costs_a_little_more_by_chance_does_not_lose_for_that() -> None:
    alike = [pool(t, b, r, b * (1 + t / 100)) for t in (0, 1) for b, r in ((8, 0.25), (16, 1.0))]
    table = equal_cost(pd.concat(alike), ["majority"], AXIS, resamples=300)
    assert {row["winner"] for row in contests(table)} == {"undecided"}


def test_a_setting_wins_where_one_budget_beats_all_of_the_other() -> None:
    found = contests(equal_cost(pd.concat(GRID), ["majority"], AXIS, resamples=300))
    assert [row["winner"] for row in found] == ["a"] * 4
    dearest = max(found, key=lambda row: (row["compute"], row["a_setting"] == "turn=1"))
    # of four samples two are right, and all wrong ones differ
    assert (dearest["a_budget"], dearest["a_n"], dearest["a_value"]) == (8, 4, 1.0)
    assert dearest["difference"] == pytest.approx(dearest["a_value"] - dearest["b_value"])
    worse = [pool(0, 8, 1.0, 8), pool(0, 16, 0.25, 16), pool(1, 8, 0.5, 8), pool(1, 16, 0.5, 16)]
    (lost, *_) = contests(equal_cost(pd.concat(worse), ["majority"], AXIS, resamples=300))
    assert lost["winner"] == "b" and lost["b_budget"] == 8 and lost["hi"] < 0
    split = [pool(0, 8, 1.0, 8), pool(0, 16, 0.25, 16), pool(1, 8, 1.0, 8), pool(1, 16, 0.5, 16)]
    for row in contests(equal_cost(pd.concat(split), ["majority"], AXIS, resamples=300)):
        assert row["winner"] == "undecided"  # their best are alike, though pairs of budgets differ
        assert row["a_budget"] == row["b_budget"] == 16


def test_settings_that_differ_by_what_was_told_are_no_pair() -> None:
    parts = [GRID[0].assign(setting="effort=low"), GRID[1].assign(setting="effort=high")]
    assert equal_cost(pd.concat(parts), ["majority"], AXIS).empty
    assert equal_cost(GRID[0].drop(columns="setting"), ["majority"], AXIS).empty


def test_without_votes_single_samples_are_compared() -> None:
    table = equal_cost(pd.concat(GRID).drop(columns="answer_key"), ["mean", "oracle"], AXIS)
    assert set(table["selector"]) == {"mean"} and set(table["a_n"]) == {1}


@pytest.mark.slow
def test_without_any_difference_few_tables_name_a_winner() -> None:
    """At 5 %, four of twenty tables would be the luck of 1 test in 60."""
    won = 0
    for seed in range(20):
        table = equal_cost(
            scores(WORLDS["all or nothing"], seed), ["majority"], "flops", resamples=200
        )
        won += any(row["winner"] != "undecided" for row in contests(table))
    assert won <= 3


def test_compare_says_who_wins_at_which_cost() -> None:
    told = describe(compare({"run": pd.concat(GRID)}, axis="tokens", resamples=200))
    assert "turn=4 against turn=0 (majority): of 2 costs wins at 2, loses at 0, undecided 0" in told
    assert (
        "up to 45.3 tokens: turn=4 beats every budget of turn=0; the closest: budget 8, majority "
        "vote of 4 (100.0 %) minus budget"
    ) in told
