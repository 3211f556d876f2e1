"""Hotelling's test of a law: exact for linear laws, of the right size, and not blind."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import coverage_laws
from testtime.laws import fit
from testtime.laws import test_compute as forms
from testtime.laws.misfit import Lack, merging

X = 2.0 ** np.arange(5, 11)
LINE = forms.linear(forms.reference(X))


def lack_of(y: np.ndarray, x: np.ndarray | None = None) -> Lack:
    each = np.tile(X, (len(y), 1)) if x is None else x
    covariance = np.cov(y, rowvar=False) / len(y) + 1e-6 * np.eye(y.shape[1])
    got = fit(
        LINE, {"x": each.mean(0)}, y.mean(0), covariance=covariance, problems=({"x": each}, y)
    )
    assert got.lack is not None
    return got.lack


def test_it_is_hotellings_test_of_the_contrasts_of_a_straight_line() -> None:
    rng = np.random.default_rng(0)
    y = 0.4 + 0.05 * np.log2(X / 100) + 0.2 * np.cumsum(rng.standard_normal((40, 6)), axis=1)
    design = np.column_stack([np.ones(6), np.log2(X)])
    contrast = np.linalg.svd(design)[0][:, 2:]
    apart = y @ contrast
    t2 = 40 * apart.mean(0) @ np.linalg.solve(np.cov(apart, rowvar=False), apart.mean(0))
    got = lack_of(y)
    assert got.t2 == pytest.approx(t2, rel=1e-6) and (got.contrasts, got.problems) == (4, 40)


def test_its_size_is_nominal_with_few_problems_and_noise_in_the_compute() -> None:
    rng, rejected = np.random.default_rng(1), 0
    for _ in range(200):
        x = X * np.exp(0.2 * rng.standard_normal((25, 1)) + 0.1 * rng.standard_normal((25, 6)))
        shared = rng.standard_normal((25, 1))
        y = 0.5 + 0.1 * np.log2(X / 128) + 0.3 * shared + 0.05 * rng.standard_normal((25, 6))
        rejected += lack_of(y + 0.1 * np.log2(x / X), x).p_value < 0.05
    assert 3 <= rejected <= 20  # of 200 at 5 %


def test_a_curve_of_two_waves_is_refused_on_a_hundred_problems() -> None:
    rejected = 0
    for seed in range(6):
        truth = coverage_laws.TRUTHS["two waves"](coverage_laws.BUDGETS)
        x, y = coverage_laws.pool(np.random.default_rng(seed), truth, 100, 4)
        law = forms.logistic(forms.reference(x.mean(0)))
        covariance = np.cov(y, rowvar=False) / 100 + 1e-5 * np.eye(7)
        got = fit(law, {"x": x.mean(0)}, y.mean(0), covariance=covariance, problems=({"x": x}, y))
        rejected += got.rejected
    assert rejected >= 5


def test_points_that_hardly_differ_are_merged_and_then_not_lack_of() -> None:
    y = np.zeros((30, 4))
    y[:, 1:] += (np.arange(30) < 12)[:, None]
    y[:3, 2] = 0.0  # in which 3 problems differ from the point before
    np.testing.assert_allclose(merging(y), [[1, 0, 0, 0], [0, 1 / 3, 1 / 3, 1 / 3]])
    assert np.isnan(lack_of(np.hstack([y, y[:, 3:], y[:, 3:]])).p_value)


def test_a_budget_at_which_all_problems_say_the_same_is_left_out() -> None:
    y = 0.4 + 0.2 * np.random.default_rng(3).standard_normal((40, 6))
    y[:, 0] = 0.0
    got = lack_of(y)
    assert np.isfinite(got.t2) and got.contrasts == 3
    y[:, :4] = 0.0
    assert np.isnan(lack_of(y).t2)


def test_one_more_parameter_is_tested_given_the_rest() -> None:
    rng, p_values = np.random.default_rng(2), []
    for _ in range(2000):
        y = rng.standard_normal((20, 3)) @ np.array([[1, 0.5, 0], [0, 1, 0.5], [0, 0, 1]])
        mean, noise = y.mean(0), np.cov(y, rowvar=False) / 20
        t2 = [float(mean[:k] @ np.linalg.solve(noise[:k, :k], mean[:k])) for k in (2, 3)]
        p_values.append(Lack(t2[1], 3, 20).of_one_more(Lack(t2[0], 2, 20)))
    assert np.mean(np.array(p_values) < 0.05) == pytest.approx(0.05, abs=0.015)
