"""Models and settings against each other: paired, on the problems both have."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from testtime.estimators.cells import replicates
from testtime.estimators.models import catching_up, differences


def pool(
    model: str, scores: np.ndarray, budget: float | None = 0, setting: str = "", tokens: float = 1.0
) -> pd.DataFrame:
    problem, sample = np.indices(scores.shape)
    return pd.DataFrame(
        {"problem_id": problem.ravel().astype(str), "sample": sample.ravel(), "score": scores.ravel(), "model": model,
         "setting": setting, "budget": budget, "thinking_tokens": tokens}
    )  # fmt: skip


def drawn(*pools: pd.DataFrame, n: list[int] | None = None):
    return replicates(pd.concat(pools), n or [1], ["mean"], resamples=300)


def test_differences_are_paired() -> None:
    """Problems differ much, the two models by five or fifteen points on every one: pairing makes it
    tight.
    """
    rng = np.random.default_rng(0)
    hard = np.repeat(rng.random((50, 1)) * 0.85, 2, axis=1)
    row = differences(drawn(pool("a", hard + [[0.05], [0.15]] * 25), pool("b", hard))).iloc[0]
    assert (row["a_model"], row["b_model"], row["problems"]) == ("a", "b", 50)
    assert row["difference"] == pytest.approx(0.1)
    assert row["lo"] > 0.04 and row["hi"] - row["lo"] < 0.1, "pairing makes it tight"
    assert row["unpaired_hi"] - row["unpaired_lo"] > 2 * (row["hi"] - row["lo"])
    assert row["better"] == "a" and row["all_lo"] == pytest.approx(row["lo"], abs=0.01)
    assert row["a_value"] - row["b_value"] == pytest.approx(0.1)


def test_two_models_that_agree_on_every_problem_may_differ_on_others() -> None:
    """None of 20 problems differs, so some of others may, either way."""
    score = np.repeat([[1.0, 1.0], [0.0, 0.0]], 10, axis=0)
    row = differences(drawn(pool("a", score), pool("b", score))).iloc[0]
    assert row["difference"] == 0 and row["lo"] == -row["hi"] and 0.08 < row["hi"] < 0.12


def test_problems_that_one_lacks_do_not_count() -> None:
    a, b = pool("a", np.ones((4, 1))), pool("b", np.zeros((6, 1)))
    row = differences(drawn(a, b)).iloc[0]
    assert (row["problems"], row["difference"]) == (4, 1.0)


def test_settings_of_a_model_are_paired_and_other_budgets_are_not() -> None:
    ones = np.ones((5, 1))
    table = differences(
        drawn(
            pool("m", ones, 8, "wait=0"),
            pool("m", 0 * ones, 8, "wait=1"),
            pool("m", ones, 16, "wait=0"),
        )
    )
    assert table[["a_setting", "b_setting", "a_budget", "b_budget"]].to_numpy().tolist() == [
        ["wait=0", "wait=1", 8, 8]
    ]
    assert table["difference"].tolist() == [1.0]


def test_effort_levels_meet_a_model_without_them() -> None:
    ones = np.ones((5, 1))
    levels = [pool("m", ones, None, s) for s in ("effort=high", "effort=low")]
    table = differences(drawn(*levels, pool("plain", ones, None)))
    across = table[table["a_model"] != table["b_model"]]
    assert len(table) == 3 and len(across) == 2


def test_models_that_share_budgets_meet_only_there() -> None:
    ones = np.ones((5, 1))
    table = differences(
        drawn(pool("a", ones, 8), pool("a", ones, 16), pool("b", ones, 16), pool("b", ones, 32))
    )
    assert table[["a_budget", "b_budget"]].to_numpy().tolist() == [[16, 16]]


def test_the_compute_at_which_the_small_model_catches_up() -> None:
    rng = np.random.default_rng(1)

    def drawn_at(p: float) -> np.ndarray:
        return (rng.random((200, 8)) < p).astype(float)

    small = [
        pool("small", drawn_at(p), b, tokens=b + 1) for b, p in ((0, 0.1), (16, 0.3), (64, 0.8))
    ]
    large = [pool("large", drawn_at(p), b, tokens=10 * (b + 1)) for b, p in ((0, 0.5), (16, 0.9))]
    row = catching_up(drawn(*small, *large)).iloc[0]
    assert (row["model"], row["reference"], row["reference_cost"]) == ("small", "large", 10)
    assert (row["compute"], row["lo"], row["hi"]) == (65, 65, 65)
    never = catching_up(drawn(*small[:2], *large)).iloc[0]
    assert never["compute"] == np.inf and never["note"] == "not reached in range"
