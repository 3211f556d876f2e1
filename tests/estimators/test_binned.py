"""Difficulty bins that do not select on the noise of the samples they score."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from testtime.errors import UserError
from testtime.estimators.binned import by_column, by_pass_rate
from testtime.estimators.cells import replicates, summary


def table(rate: np.ndarray, samples: int = 8, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    score = (rng.random((len(rate), samples)) < rate[:, None]).astype(float)
    problem, sample = np.indices(score.shape)
    return pd.DataFrame(
        {"problem_id": problem.ravel().astype(str), "sample": sample.ravel(), "score": score.ravel(),
         "thinking_tokens": 5, "level": np.where(problem.ravel() % 2, "odd", "even")}
    )  # fmt: skip


def test_equal_problems_have_equal_bins() -> None:
    """With every rate 0.5, bins by the scored samples would lie far apart."""
    parts = by_pass_rate(table(np.full(400, 0.5)), None, ["mean"], bins=4, resamples=200)
    values = [summary(part)["value"].iloc[0] for part in parts.values()]
    assert list(parts) == ["1", "2", "3", "4"]
    assert values == pytest.approx([0.5] * 4, abs=0.06)


def test_bins_order_by_difficulty_and_keep_n_to_half_the_samples() -> None:
    parts = by_pass_rate(
        table(np.linspace(0.05, 0.95, 100)), None, ["mean", "oracle"], bins=3, resamples=200
    )
    values = [summary(part)["value"].iloc[0] for part in parts.values()]
    assert values[0] > values[1] > values[2]
    assert max(next(iter(parts.values())).grid.cells["n"]) == 4


def test_both_halves_of_a_problem_are_drawn_together() -> None:
    part = by_pass_rate(table(np.full(20, 0.5)), None, ["mean"], bins=1, resamples=50)["1"]
    assert np.array_equal(part.weights[:, :20], part.weights[:, 20:])
    cost = part.grid.means(part.grid.cost("tokens"))
    assert cost == pytest.approx([5.0])


def test_a_stated_difficulty_needs_no_halves() -> None:
    scores = table(np.full(10, 0.5))
    sample = replicates(scores, [8], ["oracle"], resamples=50)
    parts = by_column(sample, scores, "level")
    assert list(parts) == ["even", "odd"] and all(len(p.grid.problems) == 5 for p in parts.values())
    assert max(parts["odd"].grid.cells["n"]) == 8


def test_what_cannot_be_binned_is_refused() -> None:
    scores = table(np.full(10, 0.5))
    sample = replicates(scores, [1], ["mean"], resamples=50)
    with pytest.raises(UserError, match="did you mean 'level'"):
        by_column(sample, scores, "levle")
    with pytest.raises(UserError, match="several values"):
        by_column(sample, scores, "sample")
    with pytest.raises(UserError, match="two samples a problem"):
        by_pass_rate(scores[scores["sample"] == 0], None, ["mean"])
    with pytest.raises(UserError, match="one model's own"):
        by_pass_rate(pd.concat([scores.assign(model=m) for m in "ab"]), None, ["mean"])
