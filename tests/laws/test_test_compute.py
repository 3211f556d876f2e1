from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from testtime.errors import UserError
from testtime.estimators.cells import cells
from testtime.estimators.table import read_table
from testtime.laws import coverage, fit, s1, train_to_test
from testtime.laws import test_compute as accuracy
from testtime.laws.fit import shrunk_covariance
from testtime.laws.optimum import power_law

X = np.geomspace(100, 10000, 9)


@pytest.mark.parametrize(
    ("build", "values"),
    [
        (accuracy.linear, (0.5, 0.05)),
        (accuracy.power, (0.4, 0.3)),
        (accuracy.power_plateau, (0.8, 0.3, 0.5)),
        (accuracy.logistic, (-0.5, 0.4)),
        (accuracy.logistic_plateau, (0.75, 0.5, 0.6)),
        (accuracy.logistic_floor, (0.2, 0.5, 0.6)),
        (accuracy.coverage, (0.7, 0.4)),
    ],
    ids=lambda v: getattr(v, "__name__", ""),
)
def test_forms_are_recovered_with_any_covariance(build, values):
    law = build(accuracy.reference(X))
    y = law(np.array(values), x=X)
    assert fit(law, {"x": X}, y).values == pytest.approx(values, rel=1e-4, abs=1e-5)
    nested = 1e-4 * np.minimum.outer(np.arange(1, 10), np.arange(1, 10))
    general = fit(law, {"x": X}, y, covariance=nested)
    assert general.values == pytest.approx(values, rel=1e-4, abs=1e-5)
    assert general.chi2 < 1e-8 and general.misfit == 0


def test_generalised_least_squares_is_the_textbook_estimator():
    rng = np.random.default_rng(0)
    law = accuracy.linear(1.0)
    root = rng.standard_normal((9, 9)) * 0.02
    covariance = root @ root.T + 1e-5 * np.eye(9)
    y = law(np.array([0.1, 0.05]), x=X) + rng.multivariate_normal(np.zeros(9), covariance)
    design = np.column_stack([np.ones(9), np.log2(X)])
    inverse = np.linalg.inv(covariance)
    bread = np.linalg.inv(design.T @ inverse @ design)
    got = fit(law, {"x": X}, y, covariance=covariance)
    if got.misfit == 0:
        assert got.values == pytest.approx(bread @ design.T @ inverse @ y, rel=1e-6)
        assert got.covariance == pytest.approx(bread, rel=1e-5)
    exact = fit(
        law, {"x": X}, y, covariance=covariance * 100
    )  # noise that explains the residuals leaves no misfit
    assert exact.misfit == 0
    assert exact.values == pytest.approx(bread @ design.T @ inverse @ y, rel=1e-6)


def test_a_wrong_law_owns_up_to_its_misfit():
    y = 0.5 + 0.2 * np.sin(np.arange(9))
    nearly_equal = 1e-6 * (0.99 * np.ones((9, 9)) + 0.01 * np.eye(9))
    got = fit(accuracy.linear(accuracy.reference(X)), {"x": X}, y, covariance=nearly_equal)
    assert got.misfit == pytest.approx(np.std(y), rel=0.3)
    assert got.p_value < 1e-6
    assert got.rmse < 1.05 * np.std(
        y
    )  # as near the points as least squares, not lost along the covariance


def test_too_few_points_support_no_law():
    law = accuracy.logistic_plateau(1.0)
    with pytest.raises(UserError, match="5 points are too few; its 3 parameters need at least 6"):
        fit(law, {"x": X[:5]}, np.linspace(0.2, 0.5, 5))


def test_shrunk_covariance_can_be_inverted():
    same = np.repeat(np.random.default_rng(0).normal(0.5, 0.02, (500, 1)), 4, axis=1)
    same[:, 3] = 1.0
    matrix = shrunk_covariance(same, 50)
    assert np.linalg.cond(matrix) < 1000
    assert matrix[3, 3] == pytest.approx(1 / 10000)
    assert matrix[0, 1] == pytest.approx(matrix[0, 0] * 50 / 54)


def test_a_ceiling_needs_the_chosen_law_and_no_rival_without_one():
    law, free = (
        form(accuracy.reference(X)) for form in (accuracy.logistic, accuracy.logistic_plateau)
    )
    rng = np.random.default_rng(0)
    noise = 1e-5 * np.eye(9)
    for values, flat in (((0.7, 3.0, 2.0), True), ((1 - 1e-9, 0.0, 0.5), False)):
        y = free(np.array(values), x=X) + rng.normal(0, 3e-3, 9)
        saturating, straight = (fit(form, {"x": X}, y, covariance=noise) for form in (free, law))
        assert (accuracy.ceiling_test(saturating, straight) < 1e-3) == flat
        said = accuracy.ceiling([saturating, straight])
        assert ("a ceiling at" in said) == flat and (
            "without one, logistic fits too" in said
        ) != flat
    assert "no law fits" in accuracy.ceiling(
        [straight.__class__(**{**vars(straight), "chi2": 1e9})]
    )


def test_coverage_of_the_pythia_models(shared_data):
    table = pd.read_parquet(
        shared_data
        / "laws"
        / "schaeffer_monkeys"
        / "large_language_monkeys_original_pass_at_k.parquet"
    )
    exponents = [0.1943, 0.2797, 0.2863, 0.3146, 0.3355, 0.3484, 0.3702]
    tails = [0.0650, 0.1755, 0.1804, 0.2156, 0.2460, 0.2698, 0.2955]
    for size, exponent, tail in zip(
        ("70M", "160M", "410M", "1B", "2.8B", "6.9B", "12B"), exponents, tails, strict=True
    ):
        part = table[table["Model"] == f"Pythia {size}"]
        mean = part.groupby("Scaling Parameter")["Score"].mean()
        assert len(mean) == 101
        assert -power_law(mean.index, -np.log(mean)).slope == pytest.approx(exponent, abs=5e-4)
        first = part[part["Scaling Parameter"] == 1]
        got = coverage.beta_binomial(first["Num. Samples Correct"], first["Num. Samples Total"])
        assert got.alpha == pytest.approx(tail, abs=0.001)


def test_beta_binomial_recovers_its_parameters():
    rng = np.random.default_rng(0)
    correct = rng.binomial(200, rng.beta(0.4, 3.0, 4000))
    got = coverage.beta_binomial(correct, np.full(4000, 200), resamples=100)
    assert (got.alpha, got.beta) == pytest.approx((0.4, 3.0), rel=0.1)
    lo, hi = got.interval()["alpha"]
    assert lo < 0.4 < hi
    k = np.array([1, 10, 100])
    assert got.coverage(k) == pytest.approx(
        np.mean(1 - (1 - rng.beta(got.alpha, got.beta, 400000))[:, None] ** k, axis=0), abs=5e-3
    )


def test_scaled_beta_binomial_finds_the_largest_rate():
    rng = np.random.default_rng(1)
    correct = rng.binomial(300, 0.4 * rng.beta(0.6, 0.6, 800))
    got = coverage.scaled_beta_binomial(correct, np.full(800, 300))
    assert got.scale == pytest.approx(0.4, abs=0.02)
    assert (got.alpha, got.beta) == pytest.approx((0.6, 0.6), rel=0.2)
    assert (
        got.log_likelihood > coverage.beta_binomial(correct, np.full(800, 300)).log_likelihood + 10
    )
    assert float(got.coverage(1)) == pytest.approx(correct.mean() / 300, rel=0.02)
    with pytest.raises(UserError, match="no spread"):
        coverage.beta_binomial([0, 0], [5, 5])
    with pytest.raises(UserError, match="none blank"):
        coverage.beta_binomial([1, np.nan], [5, 5])
    with pytest.raises(UserError, match="at least two"):
        coverage.beta_binomial([1, 0], [1, 1])


def test_coverage_in_words(tmp_path):
    rng = np.random.default_rng(0)
    counts = pd.DataFrame({"correct": rng.binomial(32, rng.beta(0.4, 1.5, 300)), "total": 32})
    counts.to_csv(tmp_path / "counts.csv", index=False)
    said = coverage.report(*coverage.counts(read_table(tmp_path / "counts.csv")), resamples=50)
    assert "coverage of 300 problems, 32 to 32 samples each" in said and "beyond" in said
    row = next(line.split() for line in said.splitlines() if line.split()[0] == "1")
    assert float(row[1]) == pytest.approx(counts["correct"].mean() / 32, abs=1e-4)
    scores = pd.DataFrame(
        {"problem_id": [1, 1, 2, 2], "sample": [0, 1, 0, 1], "score": [1, 0, 1, 1.0]}
    )
    scores.to_csv(tmp_path / "scores.csv", index=False)
    correct, total = coverage.counts(read_table(tmp_path / "scores.csv"))
    assert correct.tolist() == [1, 2] and total.tolist() == [2, 2]
    with pytest.raises(UserError, match="one model, setting and budget"):
        coverage.counts(read_table(tmp_path / "scores.csv"), budget=7)


def test_epochs_effort_levels(shared_data):
    samples = pd.read_csv(
        shared_data / "laws" / "epoch_benchmark_logs" / "otis_mock_aime_samples.csv.gz"
    )
    runs = pd.read_csv(shared_data / "laws" / "epoch_benchmark_logs" / "runs.csv").set_index(
        "run_id"
    )
    chosen = samples[samples["model"] == "openai/gpt-5.2-2025-12-11"]
    scores = pd.DataFrame(
        {
            "problem_id": chosen["problem"],
            "sample": chosen["epoch"],
            "score": chosen["score"].map({"C": 1.0, "I": 0.0}),
            "setting": "effort=" + chosen["reasoning_effort"],
            "budget": np.nan,
            "thinking_tokens": chosen["output_tokens"],
        }
    )
    assert runs.loc[chosen["run_id"].unique(), "accuracy"].notna().all()
    got = (
        cells(scores, [1], ["mean"])
        .set_index("setting")
        .loc[["effort=low", "effort=medium", "effort=high", "effort=xhigh"]]
    )
    assert got["value"].tolist() == pytest.approx(
        [0.788889, 0.938889, 0.961111, 0.961111], abs=1e-6
    )
    assert got["tokens"].tolist() == pytest.approx([4537.9, 7995.4, 11016.8, 18614.8], abs=0.05)
    measured = s1.measure(got["tokens"], got["value"])
    assert measured.points_per_thousand == pytest.approx(1.52746, abs=1e-5)
    assert measured.doubling == pytest.approx(0.083787, abs=1e-6)
    assert measured.performance == pytest.approx(0.961111, abs=1e-6)


def test_s1_measures():
    assert s1.scaling([1, 2, 4], [0.1, 0.2, 0.2]) == pytest.approx((0.1 + 0.1 / 3 + 0.0) / 3)
    assert s1.control([10, 20, 30, 40], 15, 35) == 0.5
    with pytest.raises(UserError, match="two different"):
        s1.doubling([5, 5], [0.1, 0.2])


def grid_of_models():
    truth = {"A": 300.0, "B": 900.0, "G": 1.5, "E": 0.2, "alpha": 0.3, "beta": 0.33, "gamma": 0.4}
    N, D, k = np.meshgrid(np.geomspace(1e7, 1e10, 5), np.geomspace(1e9, 1e12, 5), [1, 4, 16, 64])
    data = {"N": N.ravel(), "D": D.ravel(), "k": k.ravel()}
    return truth, data, train_to_test.TRAIN_TO_TEST(truth, **data)


def test_train_to_test_law_is_recovered():
    truth, data, loss = grid_of_models()
    assert fit(train_to_test.TRAIN_TO_TEST, data, loss).params == pytest.approx(truth, rel=1e-3)


def test_the_cheapest_setting_trades_training_against_queries_and_extrapolates_nowhere():
    _, data, loss = grid_of_models()
    noise = np.exp(0.003 * np.random.default_rng(0).standard_normal(len(loss)))
    table = pd.DataFrame({**data, "accuracy": np.exp(-loss * noise)})
    few, many = (train_to_test.cheapest(table, 0.4, q, resamples=40) for q in (1e3, 1e14))
    assert many.best["N"] * many.best["k"] < few.best["N"] * few.best["k"]
    assert many.best["flops"] > few.best["flops"]
    for name, value in few.best.items():
        lo, hi = few.interval[name]
        assert lo <= value * 1.0001 and value <= hi * 1.0001
    for got in (few, many):
        assert data["N"].min() <= got.best["N"] <= data["N"].max() and got.best["k"] <= 64
        reached = got.law.predict(**{k: got.best[k] for k in ("N", "D", "k")})
        assert float(np.exp(-reached)) >= 0.4 - 1e-9
        assert "cheapest way to 0.4" in got.report()
    with pytest.raises(UserError, match="not reached within what was measured"):
        train_to_test.cheapest(table, 0.8, 1e3, resamples=5)
    with pytest.raises(UserError, match="needs a column k"):
        train_to_test.cheapest(table.drop(columns="k"), 0.4, 1e3)
