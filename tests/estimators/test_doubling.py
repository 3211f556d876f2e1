"""Longer against more: gains, costs and crossovers of pools whose answer is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from testtime.estimators.cells import replicates
from testtime.estimators.crossover import crossovers
from testtime.estimators.doubling import doublings
from testtime.estimators.grid import Replicates


def pool(
    budget: float | None,
    right: float,
    tokens: float,
    setting: str = "",
    problems: int = 60,
    samples: int = 4,
):
    """Every problem has the same share of right answers; wrong ones all differ."""
    rows = [
        (
            f"p{i}",
            setting,
            budget,
            s,
            float(s < right * samples),
            "r" if s < right * samples else f"w{s}",
            tokens,
        )
        for i in range(problems)
        for s in range(samples)
    ]
    return pd.DataFrame(
        rows,
        columns=[
            "problem_id",
            "setting",
            "budget",
            "sample",
            "score",
            "answer_key",
            "thinking_tokens",
        ],
    )


def drawn(*pools: pd.DataFrame, selectors: tuple[str, ...] = ("oracle",)) -> Replicates:
    return replicates(pd.concat(pools), None, selectors, resamples=200)


def test_gains_and_costs_of_the_two_steps() -> None:
    table = doublings(drawn(pool(8, 0.25, 8), pool(16, 0.5, 12), pool(64, 1.0, 20)))
    first = table[(table["budget"] == 8) & (table["n"] == 1)].iloc[0]
    assert first["to_budget"] == 16  # v(8,1) = 1/4, v(16,1) = 1/2; oracle of two at 8: 1/2
    assert (first["longer"], first["more"]) == pytest.approx((0.25, 0.25))
    assert (first["ratio_longer"], first["ratio_more"]) == pytest.approx((1.5, 2.0))
    assert first["difference"] == pytest.approx(0) and first["better"] == "undecided"
    assert first["equal_cost"] == pytest.approx(0.25 - 0.25 * np.log2(1.5))
    second = table[(table["budget"] == 16) & (table["n"] == 1)].iloc[0]
    assert second["to_budget"] == 64  # 32 is not there
    assert second["longer"] == pytest.approx(0.5) and second["more"] == pytest.approx(5 / 6 - 0.5)
    # all problems are alike, others need not be: the pseudo-problems alone make the interval
    assert second["better"] == "longer" and second["p"] < 0.01
    assert second["difference"] - 0.06 < second["difference_lo"] < second["difference"]
    assert 64 not in table["budget"].to_numpy()  # nothing longer is in the grid


def test_a_longer_step_beyond_twice_the_compute_counts_in_part() -> None:
    table = doublings(drawn(pool(0, 0.0, 1), pool(64, 1.0, 16)))
    row = table[table["n"] == 1].iloc[0]
    assert row["ratio_longer"] == 16
    assert row["difference"] == pytest.approx(1 / 4)  # one doubling of four


def test_nothing_doubles_a_start_that_costs_nothing() -> None:
    sample = drawn(pool(0, 0.0, 0), pool(8, 0.25, 8), pool(16, 0.5, 16), pool(32, 1.0, 32))
    assert set(doublings(sample)["budget"]) == {8, 16}
    assert (crossovers(sample)["from"] > 0).all()


def test_effort_levels_are_ordered_by_what_they_really_think() -> None:
    levels = [
        pool(None, r, t, s)
        for s, r, t in (("high", 1.0, 400), ("low", 0.25, 100), ("medium", 0.5, 200))
    ]
    table = doublings(drawn(*levels))
    steps = table[table["n"] == 1][["setting", "to_setting"]].to_numpy().tolist()
    assert sorted(steps) == [["low", "medium"], ["medium", "high"]]
    assert table["to_budget"].isna().all()


def noisy(
    budgets: list[int], rate, seed: int = 0, problems: int = 120, samples: int = 16
) -> list[pd.DataFrame]:
    rng = np.random.default_rng(seed)
    return [pool(b, 0, b, problems=problems, samples=samples).assign(
        score=(x := (rng.random(problems * samples) < rate(b)).astype(float)),
        answer_key=np.where(x > 0, "r", np.char.add("w", rng.integers(0, 4, problems * samples).astype(str))),
    ) for b in budgets]  # fmt: skip


def test_the_crossover_is_where_the_better_step_changes() -> None:
    """One sample is right with 0.1, 0.2, 0.4, 0.7, then hardly more: from there on votes gain
    more.
    """
    rates = {8: 0.1, 16: 0.2, 32: 0.4, 64: 0.7, 128: 0.72, 256: 0.72}
    table = crossovers(drawn(*noisy(list(rates), rates.__getitem__), selectors=("majority",)))
    row = table[table["n"] == 2].iloc[0]
    assert (row["longer_from"], row["starts"], row["note"]) == (0, 5, "")
    assert 2 * 32 < row["longer_to_lo"] <= row["longer_to"] <= row["longer_to_hi"] <= 2 * 64


def test_between_two_starts_the_zero_is_interpolated_in_log_cost() -> None:
    """+25 points for longer at cost 8, -25 at cost 16: the change lies at their geometric mean, and
    all are alike.
    """
    table = crossovers(drawn(pool(8, 0.25, 8), pool(16, 0.75, 16), pool(32, 0.75, 32)))
    row = table[table["n"] == 1].iloc[0]
    found = [row["longer_to"], row["longer_to_lo"], row["longer_to_hi"]]
    assert found == pytest.approx([np.sqrt(8 * 16)] * 3)
    assert (row["longer_from"], row["from"], row["to"]) == (0, 8, 16)


def test_a_stretch_in_the_middle_has_two_ends() -> None:
    """Few tokens help nobody, then thinking pays, then the chains have ended: more, longer,
    more.
    """
    rates = {4: 0.25, 8: 0.25, 16: 0.75, 32: 0.75, 64: 0.75}
    row = crossovers(drawn(*(pool(b, r, b) for b, r in rates.items()))).query("n == 1").iloc[0]
    for end, place in (("longer_from", np.sqrt(4 * 8)), ("longer_to", np.sqrt(8 * 16))):
        assert [row[end], row[f"{end}_lo"], row[f"{end}_hi"]] == pytest.approx([place] * 3)


def test_where_one_step_always_wins_no_crossover_is_claimed() -> None:
    rates = {8: 0.1, 16: 0.2, 32: 0.4, 64: 0.95}
    table = crossovers(drawn(*noisy(list(rates), rates.__getitem__), selectors=("majority",)))
    row = table[table["n"] == 2].iloc[0]
    assert row["note"] == "no crossover in range: longer throughout" and np.isnan(row["longer_to"])
    flat = crossovers(drawn(*noisy([8, 16, 32, 64], lambda b: 0.6), selectors=("majority",)))
    row = flat[flat["n"] == 2].iloc[0]
    assert row["note"] == "no crossover in range: more throughout"


def test_words_agree_with_the_verdicts_on_the_starts() -> None:
    """Where every budget solves the same problems nothing is better, though no difference is above
    0.
    """
    alike = drawn(*(pool(b, 1.0, b) for b in (8, 16, 32, 64)))
    assert set(doublings(alike)["better"]) == {"undecided"}
    assert set(crossovers(alike)["note"]) == {"undecided throughout"}
    rates = {8: 0.1, 16: 0.2, 32: 0.4, 64: 0.6}
    mixed = crossovers(
        drawn(*noisy(list(rates), rates.__getitem__, problems=20), selectors=("majority",))
    )
    assert mixed["note"].iloc[2] == "no crossover shown: longer from 1, undecided from 2 starts"
    faint = crossovers(
        drawn(*noisy([8, 16, 32, 64], lambda b: 0.3, problems=20), selectors=("majority",))
    )
    assert faint[["longer_from", "longer_to"]].isna().all(axis=None), "noise has no crossover"


def test_a_crossover_at_the_edge_has_an_open_interval() -> None:
    """Beyond what a million tokens cost nobody looked: where the last start is clearly better
    sampled more, but the first is not decided, only the upper end is told.
    """
    rates = {8: 0.3, 16: 0.38, 32: 0.8, 64: 0.8, 128: 0.8}
    table = crossovers(
        drawn(*noisy(list(rates), rates.__getitem__, problems=60), selectors=("majority",))
    )
    row = table[table["n"] == 2].iloc[0]
    assert np.isnan(row["longer_from"]) or row["longer_from"] == 0
    assert row["from"] < row["longer_to_lo"] <= row["longer_to"] <= row["longer_to_hi"] < row["to"]


def test_grids_without_any_step_give_empty_tables() -> None:
    single = drawn(pool(8, 0.5, 8))
    assert len(doublings(single)) == 0 and len(crossovers(single)) == 0
