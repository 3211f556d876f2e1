from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from testtime.errors import UserError
from testtime.laws import figures, study
from testtime.laws.exchange import exchange
from testtime.laws.published import BESIROGLU


def run_table(**rename):
    N, D = (v.ravel() for v in np.meshgrid(np.geomspace(1e7, 1e10, 7), np.geomspace(1e9, 1e12, 7)))
    noise = np.exp(0.004 * np.random.default_rng(0).standard_normal(N.size))
    return pd.DataFrame({"N": N, "D": D, "loss": BESIROGLU(N=N, D=D) * noise}).rename(
        columns=rename
    )


def scores_table(budgets=(16, 32, 64, 128, 256, 512, 1024), problems=80, samples=8):
    rng = np.random.default_rng(0)
    hard, luck = rng.normal(0, 1.5, problems), rng.random((problems, samples))
    parts = []
    for budget in budgets:
        right = luck < 1 / (1 + np.exp(hard - 0.6 * np.log(budget / 100)))[:, None]
        parts.append(
            pd.DataFrame(
                {
                    "problem_id": np.repeat(np.arange(problems), samples),
                    "sample": np.tile(np.arange(samples), problems),
                    "budget": budget,
                    "score": right.ravel().astype(float),
                    "answer_key": np.where(right, 0, rng.integers(1, 6, right.shape))
                    .ravel()
                    .astype(str),
                    "thinking_tokens": budget,
                }
            )
        )
    return pd.concat(parts)


def test_runs_from_a_file(tmp_path):
    run_table().to_csv(tmp_path / "runs.csv", index=False)
    got = study.pretraining(tmp_path / "runs.csv", resamples=50)
    assert got.fit.params["alpha"] == pytest.approx(0.348, abs=0.05)
    text = got.report()
    for words in ("alpha", "held out", "approach 1", "besiroglu", "5.76e+23"):
        assert words in text
    got.figure(tmp_path / "figures" / "runs.png")
    assert (tmp_path / "figures" / "runs.png").stat().st_size > 10_000


def test_epochs_file_as_it_is(shared_data):
    got = study.pretraining(
        shared_data / "laws" / "epoch_chinchilla" / "svg_extracted_data.csv", skip=5, resamples=20
    )
    assert got.fit.params["A"] == pytest.approx(477.83, abs=0.5)
    assert got.dropped == 5


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (run_table().drop(columns="N"), "needs a column for N"),
        (run_table().drop(columns="D"), "needs a column D .* or C"),
        (run_table().assign(loss="low"), "'low', which is not a number"),
        (run_table().iloc[::10], "5 points are too few"),
        (run_table().iloc[:7], "every run has D = 1e"),
    ],
)
def test_run_tables_that_cannot_be_fitted(table, words):
    with pytest.raises(UserError, match=words):
        study.pretraining(table, resamples=0)


def test_scores_give_curves_with_replicates(tmp_path):
    got = study.testtime(scores_table(), resamples=200)
    titles = [c.curve.title for c in got.curves]
    assert titles == [
        "model, mean along budgets",
        "model, majority along n at budget 1024",
        "model, oracle along n at budget 1024",
    ]
    budgets = got.curves[0]
    assert budgets.curve.axis == "tokens" and len(budgets.fits) == 5
    assert budgets.best.replicates.shape == (200, len(budgets.best.values))
    assert budgets.best.heldout == pytest.approx(min(f.heldout for f in budgets.fits), rel=0.1)
    assert "too few budgets" in got.curves[1].verdict  # four sample counts
    assert "too few budgets" in got.report() and "rivals" in got.report()
    got.figure(tmp_path / "curves.svg")
    assert (tmp_path / "curves.svg").read_text().count("<image") == 0
    with pytest.raises(UserError, match="ends in one of"):
        got.figure(tmp_path / "curves.jpeg")


def test_cells_are_fitted_with_a_warning(shared_data):
    points = pd.read_csv(
        shared_data / "laws" / "claude37_aime" / "Claude_3_7_Sonnet_Estimated_Aime_df.csv"
    )
    points = points.rename(columns={"Budget": "budget", "Tokens": "tokens", "Accuracy": "value"})
    got = study.testtime(points[["budget", "tokens", "value"]])
    assert "cells are taken as independent" in got.report()
    assert got.curves[0].best.heldout < 0.03


def test_intervals_of_cells_become_their_variances():
    x = np.geomspace(10, 1000, 8)
    value = 1 / (1 + np.exp(-0.5 * np.log(x / 100)))
    table = pd.DataFrame({"tokens": x, "value": value, "lo": value - 0.02, "hi": value + 0.02})
    got = study.testtime(table).curves[0]
    assert got.best.law.name == "logistic" and got.best.chi2 < 1e-6
    assert got.curve.covariance[0, 0] == pytest.approx((0.02 / 1.96) ** 2, rel=1e-3)
    assert got.best.replicates is not None and np.isfinite(got.best.aicc)


def test_a_point_without_cost_and_a_model_without_costs_are_named():
    x = np.array([0, 10, 20, 40, 80, 160, 320])
    one = pd.DataFrame({"model": "a", "tokens": x, "value": 0.1 + 0.05 * np.arange(7), "budget": x})
    got = study.testtime(
        pd.concat(
            [
                one,
                one.assign(model="b", tokens=None),
                one.assign(model="c", tokens=np.nan, budget=None),
            ]
        )
    )
    assert [(c.curve.model, c.curve.axis, len(c.curve.x)) for c in got.curves] == [
        ("a", "tokens", 6),
        ("b", "budget", 6),
    ]
    assert "left out     budget 0, n=1: no tokens above 0" in got.report()
    assert "note: c: no curve" in got.report()


def test_noise_alone_seldom_rejects_a_true_law():
    rejected = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        share = 0.2 + 0.07 * np.arange(8)
        score = rng.random((50, 8)) < np.clip(share + rng.normal(0, 0.1, 50)[:, None], 0, 1)
        table = pd.DataFrame(
            {
                "problem_id": np.repeat(np.arange(50), 8),
                "budget": np.tile(2 ** np.arange(4, 12), 50),
                "sample": 0,
                "thinking_tokens": np.tile(2 ** np.arange(4, 12), 50),
                "score": score.ravel().astype(float),
            }
        )
        rejected += "no law fits" in study.testtime(table, resamples=200).curves[0].verdict
    assert rejected <= 3


def test_a_law_is_drawn_only_where_it_is_supported(monkeypatch):
    x = np.geomspace(10, 1000, 8)
    steps = pd.DataFrame(
        {"model": "steps", "tokens": x, "value": np.where(np.arange(8) % 2, 0.8, 0.2)}
    )
    smooth = pd.DataFrame(
        {"model": "smooth", "tokens": x, "value": 1 / (1 + np.exp(-np.log(x / 100)))}
    )
    table = pd.concat([steps, smooth])
    found = study.testtime(table.assign(lo=table["value"] - 0.02, hi=table["value"] + 0.02))
    assert {c.curve.model: c.supported for c in found.curves} == {"steps": False, "smooth": True}
    drawn = {}
    monkeypatch.setattr(
        study.figures,
        "testtime",
        lambda panels, path: drawn.update({c.model: f for c, f in panels}),
    )
    found.figure("law.png")
    assert drawn["steps"] is None and drawn["smooth"] is not None


def test_flat_curves_call_for_no_law():
    rng = np.random.default_rng(3)
    table = pd.DataFrame(
        {"tokens": np.geomspace(10, 1000, 8), "value": 0.5 + 0.01 * rng.standard_normal(8)}
    )
    assert "no law is called for" in study.testtime(table).curves[0].verdict
    assert (
        "accuracy is 0 at every point" in study.testtime(table.assign(value=0.0)).curves[0].verdict
    )


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (pd.DataFrame({"a": [1]}), "neither a scores table"),
        (pd.DataFrame({"value": [0.5, 0.6]}), "by one of the columns flops, tokens"),
        (pd.DataFrame({"value": [0.5], "tokens": [3]}), "points at two computes"),
        (scores_table(budgets=(16,), samples=1), "points at two computes"),
        (scores_table(problems=1), "needs at least 2"),
    ],
)
def test_tables_without_curves(table, words):
    with pytest.raises(UserError, match=words):
        study.testtime(table, resamples=20)


def model_scores(train_flops, problems=60, samples=4):
    rng = np.random.default_rng(1)
    hard, parts = rng.normal(0, 1, problems), []
    for model, spent in train_flops.items():
        for budget in (16, 64, 256, 1024):
            odds = 0.3 * np.log(spent / 1e16) + 0.25 * np.log(budget / 128)
            right = rng.random((problems, samples)) < 1 / (1 + np.exp(hard - odds))[:, None]
            parts.append(
                pd.DataFrame(
                    {
                        "model": model,
                        "problem_id": np.repeat(np.arange(problems), samples),
                        "sample": np.tile(np.arange(samples), problems),
                        "budget": budget,
                        "score": right.ravel().astype(float),
                        "flops": 1e6 * budget,
                    }
                )
            )
    return pd.concat(parts)


def test_exchange_rate_from_scores_of_several_models():
    spent = {"small": 1e15, "medium": 1e16, "large": 1e17, "largest": 1e18}
    got = exchange(model_scores(spent), spent, resamples=200)
    assert len(got.points) == 16 and {f.law.name for f in got.fits} == {
        "surface",
        "surface-plateau",
    }
    assert got.rate.lo < 10 ** (0.3 / 0.25) < got.rate.hi
    assert "times the test compute" in got.report()
    with pytest.raises(UserError, match="two models"):
        exchange(model_scores(spent), {"small": 1e15})
    with pytest.raises(UserError, match="column 'flops'"):
        exchange(model_scores(spent).drop(columns="flops"), spent, resamples=20)


def test_lineage_figure(tmp_path):
    figures.lineage(tmp_path / "gpt.svg")
    text = (tmp_path / "gpt.svg").read_text()
    assert "GPT-4 (public estimate)" in text and "GPT-3 175B" in text
