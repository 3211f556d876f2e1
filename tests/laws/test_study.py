from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from testtime.errors import UserError
from testtime.estimators import paired_difference
from testtime.laws import joint, study
from testtime.laws.pretraining import pretraining
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
    got = pretraining(tmp_path / "runs.csv", resamples=50)
    assert got.fit.params["alpha"] == pytest.approx(0.348, abs=0.05)
    text = got.report()
    for words in ("alpha", "held out", "approach 1", "besiroglu", "5.76e+23", "besiroglu within"):
        assert words in text
    got.figure(tmp_path / "figures" / "runs.png")
    assert (tmp_path / "figures" / "runs.png").stat().st_size > 10_000


def test_epochs_file_as_it_is(shared_data):
    got = pretraining(
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
        pretraining(table, resamples=0)


def test_scores_give_curves_with_replicates(tmp_path):
    got = study.testtime(scores_table(), resamples=200)
    titles = [c.curve.title for c in got.curves]
    assert titles == [
        "model, mean along budgets",
        "model, majority along n at budget 1024",
        "model, oracle along n at budget 1024",
    ]
    budgets = got.curves[0]
    assert budgets.curve.axis == "tokens" and len(budgets.fits) == 7
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


def test_beyond_the_data_the_band_holds_every_law_left_and_a_standstill():
    one = study.testtime(scores_table(problems=40), resamples=200).curves[0]
    assert one.supported and one.curve.control == 1.0 and "control 100.0 %" in one.report()
    left = [f for f in one.fits if not f.rejected]
    far = one.curve.x[-1] * np.array([2.0, 4.0])
    lo, hi = one.band(far)
    for f in left:
        low, high = f.band(x=far)
        assert np.all(lo <= np.clip(low, 0, 1)) and np.all(hi >= np.clip(high, 0, 1))
    assert np.all(lo <= one.curve.lo[-1]) and np.all(hi <= 1)
    assert f"{100 * lo[1]:.1f} to {100 * hi[1]:.1f} % at 4 times" in one.report()
    none = study.CurveStudy(one.curve, (), one.plateau, ())
    assert none.band(far) is None and none.beyond == "no law supports extrapolation"


def test_the_last_step_is_the_paired_difference_of_the_two_top_points():
    table = scores_table(problems=40)
    one = study.testtime(table, resamples=50).curves[0]
    mean = table.pivot_table("score", "problem_id", "budget")
    pair = paired_difference(mean[1024], mean[512])
    got = one.plateau
    assert (got.gain, got.lo, got.hi, got.factor) == pytest.approx(
        (pair.value, pair.lo, pair.hi, 2)
    )
    assert "paired difference" in str(got) and "depends on the form" in got.ceiling
    cells = pd.DataFrame({"tokens": [10, 20, 40], "value": [0.1, 0.2, 0.4]})
    few = study.testtime(cells).curves[0].plateau
    assert "is not known" in str(few) and "too few points" in few.ceiling


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
        lambda panels, path: drawn.update({c.model: f for c, f, _ in panels}),
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


def test_chains_that_end_by_themselves_have_a_law_of_the_budget_they_were_given():
    table = scores_table(problems=40)
    spent = table.assign(thinking_tokens=np.minimum(table["budget"], 70 + table["budget"] / 50))
    given = study.testtime(spent, axis="budget", resamples=50).curves[0]
    assert given.curve.axis == "budget" and given.supported
    assert given.curve.x.tolist() == sorted(table["budget"].unique())
    assert study.testtime(spent, resamples=50).curves[0].curve.axis == "tokens"
    with pytest.raises(UserError, match="no axis 'miles' here"):
        study.testtime(spent, axis="miles")


def test_effort_levels_are_a_curve_sorted_by_what_was_thought():
    names = {16: "high", 64: "low", 256: "medium"}
    told = scores_table(budgets=tuple(names), problems=20)
    thought = told["budget"].map({16: 900.0, 64: 50.0, 256: 300.0})
    levels = told.assign(
        setting="effort=" + told["budget"].map(names), budget=None, thinking_tokens=thought
    )
    one = study.testtime(levels, resamples=20).curves[0].curve
    assert one.along == "effort" and one.x.tolist() == [50.0, 300.0, 900.0]
    assert [name.split(",")[0] for name in one.names] == [
        "effort=low",
        "effort=medium",
        "effort=high",
    ]


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
    spent = {name: 10.0**power for name, power in zip("abcde", (15, 16, 17, 18, 19), strict=True)}
    got = joint.from_scores(model_scores(spent), spent)
    assert len(got.models) == 5 and got.rejected == ()
    assert got.lo < 10 ** (0.3 / 0.25) < got.hi and got.value == pytest.approx(15.8, rel=0.6)
    assert "times the test compute" in got.report() and "scatter by" in str(got)
    four = {name: spent[name] for name in "abcd"}
    with pytest.raises(
        UserError, match="needs 5 models whose training FLOPs are known, here are 4"
    ):
        joint.from_scores(model_scores(spent), four)
    with pytest.raises(UserError, match="column 'flops'"):
        joint.from_scores(model_scores(spent).drop(columns="flops"), spent)
    fewer = model_scores(spent).query("model != 'c' or problem_id > 3")
    with pytest.raises(UserError, match="different problems"):
        joint.from_scores(fewer, spent)


def test_models_that_scatter_widen_the_exchange_rate_and_no_gain_leaves_it_open():
    rng = np.random.default_rng(0)
    train, noise = np.linspace(-4, 4, 8), np.full(8, 0.01)
    even, even_se, tau = joint._random_effects(train, 0.3 * train, noise)
    assert even == pytest.approx(0.3) and even_se < 1e-9 and tau == 0
    slopes = [
        joint._random_effects(train, 0.3 * train + 0.4 * rng.standard_normal(8), noise)
        for _ in range(300)
    ]
    assert np.mean([tau for _, _, tau in slopes]) == pytest.approx(0.37, abs=0.05)
    apart = np.array([abs(value - 0.3) / se for value, se, _ in slopes])
    assert np.mean(apart < 2.447) == pytest.approx(0.95, abs=0.035)  # Student's t, 6 degrees
    assert joint._fieller(1.0, 0.1, 0.1, 0.2, 2.0) == (-np.inf, np.inf)
    lo, hi = joint._fieller(1.0, 0.1, 2.0, 1e-9, 2.0)
    assert (lo, hi) == pytest.approx((0.4, 0.6))
