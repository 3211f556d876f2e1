"""Choices are judged on problems they never saw, and cost decides between equals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from testtime.errors import UserError
from testtime.estimators.cells import replicates
from testtime.estimators.frontier import frontier, recommend
from testtime.estimators.grid import Replicates
from testtime.estimators.latency import latency


def table(budgets: dict[int, np.ndarray], tokens: dict[int, float] | None = None) -> pd.DataFrame:
    """budget -> scores (problems, samples); a sample costs its budget in thinking tokens unless
    `tokens` says otherwise.
    """
    pieces = []
    for budget, score in budgets.items():
        problem, sample = np.indices(score.shape)
        cost = budget if tokens is None else tokens[budget]
        columns = {
            "problem_id": problem.ravel().astype(str),
            "sample": sample.ravel(),
            "score": score.ravel(),
        }
        pieces.append(pd.DataFrame({**columns, "budget": budget, "thinking_tokens": float(cost)}))
    return pd.concat(pieces)


def drawn(budgets: dict[int, np.ndarray], n: list[int] | None = None, **more: object) -> Replicates:
    return replicates(table(budgets, **more), n or [1], ["mean", "oracle"], resamples=400)  # type: ignore[arg-type]


def test_noise_is_not_taken_for_skill() -> None:
    """Twenty settings of equal worth: the winner looks better than it is, and out of bag it does
    not.
    """
    seen, judged, covered = [], [], 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        best = recommend(
            drawn({b: rng.integers(0, 2, (60, 1)).astype(float) for b in range(1, 21)})
        ).iloc[0]
        seen.append(best["value"])
        judged.append(best["out_of_bag"])
        covered += best["lo"] <= 0.5 <= best["hi"]
        assert best["p_best"] < 0.9
    assert np.mean(seen) > 0.58
    assert np.mean(judged) == pytest.approx(0.5, abs=0.03)
    assert covered >= 8


def test_a_clear_winner_is_certain() -> None:
    rng = np.random.default_rng(0)
    good, bad = (rng.random((50, 4)) < p for p in (0.9, 0.2))
    found = frontier(drawn({10: bad.astype(float), 80: good.astype(float)}))
    assert found["compute"].tolist() == [10, 20, 40, 80]
    assert found["budget"].tolist() == [10, 10, 10, 80]
    assert (found["p_best"] == 1).all()
    assert found["out_of_bag"].to_numpy() == pytest.approx(found["value"].to_numpy())
    assert (found["lo"] < found["value"]).all() and (found["value"] < found["hi"]).all()


def test_the_oracle_is_never_recommended_and_equals_go_to_the_cheaper() -> None:
    score = np.tile([1.0, 0.0], (30, 1))
    best = recommend(drawn({10: score, 20: score}, n=[1, 2])).iloc[0]
    assert (best["selector"], best["budget"]) == ("mean", 10)


def test_recommended_settings_obey_their_rules() -> None:
    scores = {b: np.full((40, 2), v) for b, v in ((10, 0.5), (20, 0.895), (40, 0.9))}
    found = recommend(drawn(scores), limits={"tokens": 15, "thinking_tokens": 5}).set_index("rule")
    assert found["budget"].tolist()[:3] == [40, 20, 10]
    assert pd.isna(found.loc["best at thinking_tokens <= 5", "model"])
    assert recommend(drawn(scores), tolerance=0.0).loc[1, "budget"] == 40


def test_levels_are_as_asked_and_below_the_cheapest_there_is_nothing() -> None:
    sample = drawn({10: np.ones((5, 1)), 20: np.ones((5, 1))})
    assert frontier(sample, levels=[5, 10, 1000])["compute"].tolist() == [10, 1000]


@pytest.mark.parametrize(
    ("axis", "word"),
    [("flpos", "did you mean 'flops'"), ("usd", "does not hold it; it has thinking")],
)
def test_an_axis_the_table_lacks_is_named(axis: str, word: str) -> None:
    with pytest.raises(UserError, match=word):
        frontier(drawn({1: np.ones((3, 1))}), axis)


def test_limits_on_latency_need_tokens() -> None:
    with pytest.raises(UserError, match="latency"):
        recommend(drawn({1: np.ones((3, 1))}), limits={"latency": 5})


def test_latency_is_the_longest_of_n() -> None:
    scores = table({9: np.ones((2, 3))})
    scores["thinking_tokens"] = [1.0, 2.0, 6.0, 3.0, 3.0, 3.0]
    scores["answer_tokens"] = 10
    scores["forced_tokens"] = 7  # read in one pass
    sample = replicates(scores, [1, 2, 3], ["oracle"], resamples=100)
    path = latency(scores, sample.grid)
    assert path is not None
    expected = [((1 + 2 + 6) / 3 + 3) / 2, ((2 + 6 + 6) / 3 + 3) / 2, (6 + 3) / 2]
    assert path == pytest.approx(np.array(expected) + 10)
    assert latency(scores[["problem_id", "sample", "score"]], sample.grid) is None
