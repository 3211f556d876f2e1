"""The settings that may be the best, and those surely within a margin of it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy.special import betaincinv

from testtime.estimators.best import standing
from testtime.estimators.cells import replicates
from testtime.estimators.frontier import recommend
from testtime.estimators.grid import Replicates


def drawn(value: np.ndarray, resamples: int = 500) -> Replicates:
    """Cells from one value a problem: (problems, cells); a cell costs its place + 1."""
    like = blank(*value.shape, resamples)
    return Replicates(replace(like.grid, value=value), like.weights)


@cache
def blank(problems: int, cells: int, resamples: int) -> Replicates:
    return pool(np.zeros((problems, cells)), resamples)


def pool(value: np.ndarray, resamples: int = 500, **columns: object) -> Replicates:
    parts = [
        pd.DataFrame(
            {
                "problem_id": np.arange(len(value)).astype(str),
                "sample": 0,
                "score": v,
                "budget": i + 1,
                "thinking_tokens": i + 1.0,
                **columns,
            }
        )
        for i, v in enumerate(value.T)
    ]
    return replicates(pd.concat(parts), [1], ["mean"], resamples=resamples)


def everything(value: np.ndarray) -> np.ndarray:
    return np.ones(value.shape[1], dtype=bool)


def test_the_set_holds_the_best_and_leaves_the_bad_behind() -> None:
    """Five settings, one truly best by a hair, one far off."""
    held, size, bad = 0, [], 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        rate = rng.beta(0.3, 0.2, (60, 1)) * np.array([0.4, 0.97, 0.98, 0.99, 1.0])
        value = rng.binomial(4, rate) / 4
        among = standing(drawn(value, 200), everything(value))
        assert among is not None
        held += bool(among.best[4])
        bad += bool(among.best[0])
        size.append(among.best.sum())
        assert among.best[np.argmax(value.mean(axis=0))], "the one on top always may be"
        assert (among.hi[among.best] == 0).all() and (among.lo <= among.gap + 1e-9).all()
    assert held >= 94 and bad <= 5 and np.mean(size) < 4.5


def test_within_the_margin_is_true_when_it_is_said() -> None:
    """A cheaper setting is 0 to 6 points worse; said to be within 3 it is."""
    true = []
    for seed in range(100):
        rng = np.random.default_rng([1, seed])
        gap = rng.uniform(0, 0.06)
        rate = rng.beta(0.25, 0.25, (400, 1))
        luck = rng.random((400, 16, 1))
        worse = rng.random((400, 1)) < gap / 0.5
        value = (luck < np.hstack([np.where(worse, 0, rate), rate])[:, None, :]).mean(axis=1)
        best, row = (r for _, r in recommend(drawn(value, 200), tolerance=0.03).iterrows())
        if row["told"]:
            true.append(gap <= 0.03)
            assert row["budget"] == 1 and row["gap_lo"] >= -0.03
        elif row["budget"] < best["budget"]:
            assert row["gap_lo"] < -0.03 and row["needed"] > 10
    assert len(true) > 20 and np.mean(true) > 0.95


def test_settings_just_beyond_the_margin_are_not_said_to_be_within() -> None:
    """The hardest case: eight cheap settings, each a hair more than 10 points below the best."""
    false = 0
    for seed in range(60):
        rng = np.random.default_rng([2, seed])
        quantile = rng.random(100)
        low, high = (betaincinv(0.5 * m, 0.5 * (1 - m), quantile) for m in (0.4999, 0.6))
        rate = np.stack([low] * 8 + [high], axis=1)
        value = (rng.random((100, 16, 9)) < rate[:, None, :]).mean(axis=1)
        row = recommend(drawn(value, 200), tolerance=0.1).iloc[1]
        false += bool(row["told"])
    assert false <= 7, "5 % of 60 and two errors"


def test_thirty_problems_cannot_tell_one_point() -> None:
    rng = np.random.default_rng(0)
    rate = rng.beta(0.25, 0.25, (30, 1))
    value = rng.binomial(8, np.repeat(rate, 2, axis=1)) / 8
    value[:, 1] = value[:, 0].clip(0.01)  # the dearer is better by a hair
    row = recommend(drawn(value)).iloc[1]
    assert not row["told"] and 100 < row["needed"] < 1000
    assert row["gap_lo"] < -0.01 < row["gap"] <= row["gap_hi"] == 0


def test_a_clear_winner_has_no_rivals() -> None:
    rng = np.random.default_rng(0)
    value = (rng.random((100, 3)) < [0.1, 0.2, 0.95]).astype(float)
    row = recommend(drawn(value)).iloc[0]
    assert (row["budget"], row["rivals"], row["settings"]) == (3, 0, 3)


def test_one_problem_or_none_has_no_standing() -> None:
    value = np.ones((1, 2))
    assert standing(drawn(value), everything(value)) is None
    two = np.array([[0.0, 1.0], [1.0, 0.0]])
    assert standing(drawn(two), np.zeros(2, dtype=bool)) is None


def test_strata_leave_out_what_is_between_benchmarks() -> None:
    """One benchmark is solved, the other not: within each nothing varies."""
    value = np.repeat([[1.0], [0.0]], 20, axis=0)
    plain = pool(value).grid
    labels = np.repeat(["easy", "hard"], 20)
    strata = pool(value, benchmark=labels).grid
    assert plain.variance(plain.value)[0] == pytest.approx(0.25 / 40)
    assert strata.benchmarks == 2 and strata.variance(strata.value)[0] == pytest.approx(0)
