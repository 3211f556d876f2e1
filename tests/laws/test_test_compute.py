from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from testtime.errors import UserError
from testtime.estimators.cells import cells
from testtime.laws import coverage, fit, joint
from testtime.laws import s1 as forcing
from testtime.laws import test_compute as accuracy
from testtime.laws.fit import shrunk_covariance

X = np.geomspace(100, 10000, 9)


@pytest.mark.parametrize(
    ("build", "values"),
    [
        (accuracy.linear, (0.5, 0.05)),
        (accuracy.power, (0.4, 0.3)),
        (accuracy.power_plateau, (0.8, 0.3, 0.5)),
        (accuracy.logistic, (-0.5, 0.4)),
        (accuracy.logistic_plateau, (0.75, 0.5, 0.6)),
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


def test_plateau_is_told_from_growth():
    law, free = (
        accuracy.logistic(accuracy.reference(X)),
        accuracy.logistic_plateau(accuracy.reference(X)),
    )
    rng = np.random.default_rng(0)
    noise = 1e-5 * np.eye(9)
    for values, flat in (((0.7, 3.0, 2.0), True), ((1 - 1e-9, 0.0, 0.5), False)):
        y = free(np.array(values), x=X) + rng.normal(0, 3e-3, 9)
        drawn = ({"x": np.tile(X, (300, 1))}, y + rng.normal(0, 3e-3, (300, 9)))
        saturating = fit(free, {"x": X}, y, covariance=noise, replicates=drawn)
        straight = fit(law, {"x": X}, y, covariance=noise, replicates=drawn)
        got = accuracy.plateau(saturating, straight, X)
        assert (got.p_value < 1e-3) == flat
        assert ("a plateau:" in str(got)) == flat and ("still growing" in str(got)) == (not flat)


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
        assert -coverage.coverage_power_law(mean.index, mean).slope == pytest.approx(
            exponent, abs=5e-4
        )
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


def test_browns_law_on_its_own_curve():
    k = np.array([1, 2, 4, 8, 16, 32, 64])
    got = fit(coverage.BROWN, {"k": k}, np.exp(-2.0 * k**-0.35))
    assert got.params == pytest.approx({"A": 2.0, "b": 0.35}, rel=1e-5)


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
    measured = forcing.measure(got["tokens"], got["value"])
    assert measured.points_per_thousand == pytest.approx(1.52746, abs=1e-5)
    assert measured.doubling == pytest.approx(0.083787, abs=1e-6)
    assert measured.performance == pytest.approx(0.961111, abs=1e-6)


def test_s1_measures():
    assert forcing.scaling([1, 2, 4], [0.1, 0.2, 0.2]) == pytest.approx((0.1 + 0.1 / 3 + 0.0) / 3)
    assert forcing.control([10, 20, 30, 40], 15, 35) == 0.5
    with pytest.raises(UserError, match="two different"):
        forcing.doubling([5, 5], [0.1, 0.2])


def test_train_to_test_law_is_recovered():
    truth = {"A": 300.0, "B": 900.0, "G": 1.5, "E": 0.2, "alpha": 0.3, "beta": 0.33, "gamma": 0.4}
    N, D, k = (
        v.ravel()
        for v in np.meshgrid(np.geomspace(1e7, 1e10, 5), np.geomspace(1e9, 1e12, 5), [1, 4, 16, 64])
    )
    loss = joint.TRAIN_TO_TEST(truth, N=N, D=D, k=k)
    got = fit(joint.TRAIN_TO_TEST, {"N": N, "D": D, "k": k}, loss)
    assert got.params == pytest.approx(truth, rel=1e-3)


def test_exchange_rate_of_a_surface():
    rng = np.random.default_rng(0)
    train, test = (
        v.ravel() for v in np.meshgrid(np.geomspace(1e15, 1e18, 5), np.geomspace(1e9, 1e12, 5))
    )
    law = joint.accuracy_surface(train, test)
    y = law({"odds": 0.0, "train": 0.3, "test": 0.2}, T=train, I=test)
    drawn = (
        {"T": np.tile(train, (200, 1)), "I": np.tile(test, (200, 1))},
        y + rng.normal(0, 0.003, (200, 25)),
    )
    got = joint.exchange_rate(
        fit(law, {"T": train, "I": test}, y, covariance=1e-5 * np.eye(25), replicates=drawn)
    )
    assert got.value == pytest.approx(10**1.5, rel=1e-4)
    assert got.lo < got.value < got.hi < 2 * got.value
    less, more = law(
        {"odds": 0.0, "train": 0.3, "test": 0.2},
        T=np.array([1e16, 1e17]),
        I=np.array([1e10 * got.value, 1e10]),
    )
    assert less == pytest.approx(more)
    with pytest.raises(UserError, match="training and test"):
        joint.exchange_rate(fit(accuracy.linear(1.0), {"x": X}, np.linspace(0.1, 0.5, 9)))


def test_test_compute_that_does_not_help_has_no_finite_rate():
    train, test = (
        v.ravel() for v in np.meshgrid(np.geomspace(1e15, 1e18, 4), np.geomspace(1e9, 1e12, 4))
    )
    law = joint.accuracy_surface(train, test)
    y = law({"odds": 0.0, "train": 0.3, "test": -0.1}, T=train, I=test)
    assert joint.exchange_rate(fit(law, {"T": train, "I": test}, y)).value == np.inf


def test_cheapest_setting_trades_training_against_queries():
    values = {"A": 300.0, "B": 900.0, "G": 1.5, "E": 0.05, "alpha": 0.3, "beta": 0.33, "gamma": 0.4}
    reach = joint.train_to_test_accuracy(values)
    search = {
        "sizes": np.geomspace(1e8, 1e11, 13),
        "tokens": np.geomspace(1e9, 1e14, 60),
        "budgets": [1000],
        "samples": [1, 4, 16, 64, 256],
    }
    few, many = (joint.cheapest(reach, 0.5, q, **search) for q in (1e3, 1e12))
    assert few.accuracy == pytest.approx(0.5, abs=0.01) and many.accuracy == pytest.approx(
        0.5, abs=0.01
    )
    assert many.query_flops < few.query_flops and many.train_flops > few.train_flops
    assert few.accuracy >= 0.5 and many.accuracy >= 0.5
    coarse = joint.cheapest(reach, 0.5, 1e3, **{**search, "tokens": [1e9, 1e14]})
    assert abs(coarse.D / few.D - 1) < 1e-6 and coarse.accuracy >= 0.5
    with pytest.raises(UserError, match="not reached"):
        joint.cheapest(reach, 0.99, 1.0, **search)
