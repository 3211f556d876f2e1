"""Many comparisons judged as one: quantiles that are known, and tables without any difference."""

from __future__ import annotations

import numpy as np
import pytest

from testtime.estimators.intervals import student_quantile
from testtime.estimators.simultaneous import adjusted, critical, verdicts


def test_the_quantile_of_independent_comparisons_is_sidaks() -> None:
    draws = np.random.default_rng(0).standard_normal((200_000, 10))
    share = 0.95 ** (1 / 10)
    assert critical(draws, 1e9)[()] == pytest.approx(
        student_quantile((1 + share) / 2, 1e9), abs=0.02
    )
    assert critical(draws, 1e9, sides=1)[()] == pytest.approx(
        student_quantile(share, 1e9), abs=0.02
    )
    few = critical(draws, 29)[()]
    assert few == pytest.approx(student_quantile((1 + share) / 2, 29), abs=0.03)


def test_comparisons_that_go_together_cost_nothing() -> None:
    one = np.random.default_rng(0).standard_normal((20_000, 1))
    assert critical(np.repeat(one, 40, axis=1), 29)[()] == pytest.approx(2.045, abs=0.03)
    assert critical(0.1 * one, 29)[()] == student_quantile(0.975, 29), "never below one alone"


def test_the_step_down_keeps_the_order_and_never_helps_beyond_the_row_alone() -> None:
    draws = np.random.default_rng(0).standard_normal((20_000, 3))
    statistic = np.array([3.0, -2.3, 0.5])
    p = adjusted(statistic, draws, 1e6)
    assert p[0] == pytest.approx(1 - (1 - 0.0027) ** 3, abs=0.002)
    assert p[1] == pytest.approx(1 - (1 - 0.02145) ** 2, abs=0.004), "against the two that remain"
    assert p[2] == pytest.approx(0.617, abs=0.01), "against itself"
    assert verdicts(statistic, p, 0.95, "a", "b").tolist() == ["a", "b", "undecided"]
    tied = adjusted(np.array([2.0, 2.0, np.nan]), draws[:, [0, 0, 1]], 1e6)
    assert tied[0] == tied[1] == pytest.approx(0.0455, abs=0.004) and tied[2] == 1


def test_resamples_that_miss_a_bin_are_left_out() -> None:
    draws = np.random.default_rng(0).standard_normal((2000, 2))
    holes = draws.copy()
    holes[:500, 1] = np.nan
    assert critical(holes, 29) == critical(draws[500:], 29)
    assert adjusted(np.array([2.5, 1.0]), holes, 29) == pytest.approx(
        adjusted(np.array([2.5, 1.0]), draws[500:], 29)
    )
