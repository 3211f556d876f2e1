"""What a doubling buys: steps of known size, effort levels in order, runs pooled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from testtime.errors import UserError
from testtime.estimators.steps import between_runs, doubling_buys, pooled


def levels(
    rates: dict[str, float], tokens: dict[str, float], problems: int = 60, samples: int = 8
) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    base = rng.normal(0, 1, problems)
    rows = []
    for name, rate in rates.items():
        p = 1 / (1 + np.exp(-(base + np.log(rate / (1 - rate)))))
        for i in range(problems):
            for s in range(samples):
                spent = tokens[name] * rng.uniform(0.5, 1.5)
                rows.append((f"p{i}", s, name, float(rng.random() < p[i]), spent))
    columns = ["problem_id", "sample", "setting", "score", "thinking_tokens"]
    return pd.DataFrame(rows, columns=columns).assign(budget=np.nan)


def test_effort_levels_are_a_curve_sorted_by_what_was_thought() -> None:
    table = levels({"a": 0.8, "b": 0.3, "c": 0.8}, {"a": 4000, "b": 1000, "c": 8000})
    found = doubling_buys(table)
    assert found[["from_", "to_"]].to_numpy().tolist() == [["b", "a"], ["a", "c"]]
    assert found["along"].unique().tolist() == ["effort"]
    assert found["doublings"].tolist() == pytest.approx([2, 1], abs=0.1)
    assert found["per_doubling"].tolist() == pytest.approx(
        (found["gain"] / found["doublings"]).tolist()
    )
    assert found["verdict"].tolist() == ["rises", "undecided"]
    assert found["from_here"].tolist() == ["", "no gain shown"]


def test_two_points_are_enough_and_one_is_refused() -> None:
    table = levels({"low": 0.3, "high": 0.8}, {"low": 100, "high": 200})
    assert len(doubling_buys(table)) == 1
    with pytest.raises(UserError, match="no two budgets, effort levels"):
        doubling_buys(table[table["setting"] == "low"])


def test_samples_without_answers_step_along_n_by_pass_at_n() -> None:
    table = levels({"low": 0.3}, {"low": 100})
    with pytest.raises(UserError, match="--selector oracle is pass@n"):
        doubling_buys(table)
    assert doubling_buys(table, selector="oracle")["to_"].tolist() == ["n = 2", "n = 4", "n = 8"]


def test_samples_double_where_nobody_knows_tokens() -> None:
    table = levels({"low": 0.3}, {"low": 100}).drop(columns="thinking_tokens")
    for step in doubling_buys(table, selector="oracle").to_dict("records"):
        assert step["per_doubling"] == pytest.approx(step["gain"]) and step["doublings"] == 1
        assert np.isnan(step["from_tokens"])


def test_a_step_of_hardly_any_tokens_has_no_gain_a_doubling() -> None:
    """43.9 to 45.9 tokens and 16 points: "+250 points a doubling" was said once."""
    table = levels({"low": 0.4, "high": 0.6}, {"low": 100, "high": 110})
    (step,) = doubling_buys(table).to_dict("records")
    assert step["gain"] > 0.1 and np.isnan(step["per_doubling"])


def test_flat_is_said_only_where_it_is_shown() -> None:
    few = levels({"low": 0.9, "high": 0.9}, {"low": 100, "high": 200})
    assert doubling_buys(few, margin=0.01)["from_here"].tolist() == ["no gain shown"]
    many = levels({"low": 0.9, "high": 0.9}, {"low": 100, "high": 200}, problems=1500)
    assert doubling_buys(many, margin=0.02)["from_here"].tolist() == ["flat"]


def test_budgets_and_n_have_their_own_curves() -> None:
    rng = np.random.default_rng(1)
    rows = []
    for b, rate in ((100, 0.3), (200, 0.5), (400, 0.6)):
        for i in range(80):
            for s in range(4):
                right = rng.random() < rate
                rows.append((f"p{i}", s, b, float(right), "r" if right else f"w{s}", b))
    columns = ["problem_id", "sample", "budget", "score", "answer_key", "thinking_tokens"]
    found = doubling_buys(pd.DataFrame(rows, columns=columns))
    assert found["along"].tolist() == ["budget", "budget", "n", "n"]
    assert found["from_"].tolist() == ["100", "200", "n = 1", "n = 2"]
    assert found["doublings"].tolist() == pytest.approx([1, 1, 1, 1])
    first = found.iloc[0]
    assert first["gain_lo"] < first["gain"] < first["gain_hi"]
    assert first["gain"] == pytest.approx(first["to_value"] - first["from_value"])


def test_intervals_of_gain_per_doubling_cover() -> None:
    covered = []
    for seed in range(120):
        rng = np.random.default_rng(seed)
        p = rng.beta(1, 1, 60)
        rows = []
        for name, add, mean in (("low", 0.0, 6.0), ("high", 0.15, 7.0)):
            rate = np.clip(0.8 * p + add, 0, 1)
            for s in range(4):
                spent = np.exp2(mean + rng.normal(0, 0.5, 60))
                score = rng.random(60) < rate
                rows += [(f"p{i}", s, name, float(score[i]), spent[i]) for i in range(60)]
        columns = ["problem_id", "sample", "setting", "score", "thinking_tokens"]
        found = doubling_buys(
            pd.DataFrame(rows, columns=columns).assign(budget=np.nan), resamples=2
        )
        covered.append(found["per_doubling_lo"][0] <= 0.15 <= found["per_doubling_hi"][0])
    assert np.mean(covered) > 0.9


def test_runs_of_a_level_are_pooled_and_their_scatter_is_shown() -> None:
    table = levels({"low": 0.3, "high": 0.8}, {"low": 100, "high": 200})
    table["run"] = np.where(table["sample"] < 4, "first", "second")
    table["sample"] %= 4
    worse = (table["run"] == "second") & (table["setting"] == "high")
    table.loc[worse & (table.index % 3 == 0), "score"] = 0.0
    assert pooled(table, "run").groupby(["setting", "problem_id"])["sample"].nunique().eq(8).all()
    found = doubling_buys(table, run="run")
    assert found["to_value"][0] == pytest.approx(table[table["setting"] == "high"]["score"].mean())
    scatter = between_runs(table, "run").set_index(["setting", "run"])
    assert len(scatter) == 4
    assert scatter.loc[("high", "second"), "difference_hi"] < 0
    low = scatter.loc[("low", "first")]
    assert low["difference_lo"] < 0 < low["difference_hi"]
    with pytest.raises(UserError, match="runs: no column 'rum'; did you mean 'run'"):
        doubling_buys(table, run="rum")


def test_gpt_5_2_on_otis(shared_data: Path) -> None:
    """Epoch's logs hold one run of each of its four levels: .789 .939 .961 .961."""
    path = shared_data / "laws" / "epoch_benchmark_logs" / "otis_mock_aime_samples.csv.gz"
    logs = pd.read_csv(path)
    logs = logs[logs["model"] == "openai/gpt-5.2-2025-12-11"]
    table = pd.DataFrame(
        {
            "problem_id": logs["problem"],
            "sample": logs["epoch"],
            "setting": logs["reasoning_effort"],
            "run": logs["run_id"],
            "score": logs["score"].map({"C": 1.0, "I": 0.0}),
            "thinking_tokens": logs["reasoning_tokens"],
            "answer_tokens": logs["output_tokens"] - logs["reasoning_tokens"],
            "budget": np.nan,
        }
    )
    found = doubling_buys(table, run="run")
    assert found["to_"].tolist() == ["medium", "high", "xhigh"]
    assert found["from_value"][0] == pytest.approx(0.7889, abs=1e-4)
    assert found["to_value"].tolist() == pytest.approx([0.9389, 0.9611, 0.9611], abs=1e-4)
    assert found["per_doubling"].tolist() == pytest.approx([0.1836, 0.0481, 0.0], abs=2e-3)
    assert found["verdict"].tolist() == ["rises", "undecided", "undecided"]
    assert between_runs(table, "run").empty
