from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from testtime.estimators import (
    bootstrap_weights,
    bounded_interval,
    clustered_mean,
    mean_clt,
    paired_difference,
)
from testtime.estimators.intervals import DIFFERENCE, SHARE, steadied, weighted_means


def test_clt_interval_is_students():
    got = mean_clt([0.0, 1.0, 1.0, np.nan, 0.0])
    assert got.value == 0.5
    assert got.se == pytest.approx(np.std([0, 1, 1, 0], ddof=1) / 2)
    assert (got.hi - got.lo) / 2 == pytest.approx(3.182446 * got.se, rel=1e-6)


def test_clustered_error_counts_clusters_not_rows():
    problem = np.repeat(np.arange(50), 20)
    rate = np.random.default_rng(0).random(50)
    copies = np.repeat(rate, 20)  # samples that repeat their problem say nothing new
    assert clustered_mean(copies, problem).se == pytest.approx(mean_clt(rate).se)
    alone = clustered_mean(rate, np.arange(50))
    assert alone.se == pytest.approx(mean_clt(rate).se)


def test_paired_difference_is_narrower_where_models_agree():
    rng = np.random.default_rng(0)
    hard = rng.random(200)
    a, b = hard + 0.1 + 0.01 * rng.standard_normal(200), hard
    got = paired_difference(a, np.where(np.arange(200) < 10, np.nan, b))
    assert got.problems == 190
    assert got.value == pytest.approx(0.1, abs=0.01)
    assert got.correlation > 0.99
    assert got.se < 0.1 * mean_clt(a).se


def test_bootstrap_weights_draw_whole_problems_and_follow_the_seed():
    weights = bootstrap_weights(30, 100, seed=5)
    assert weights.shape == (100, 30)
    assert np.all(weights.sum(axis=1) == 30)
    assert np.array_equal(weights, bootstrap_weights(30, 100, seed=5))
    assert 0.3 < (weights == 0).mean() < 0.45  # out-of-bag, about 1/e


def test_replicates_leave_absent_problems_out():
    values = np.array([[1.0, np.nan], [0.0, 0.5], [1.0, 1.0]])
    weights = np.array([[1.0, 1.0, 1.0], [2.0, 1.0, 0.0], [3.0, 0.0, 0.0]])
    got = weighted_means(weights, values)
    assert got[0] == pytest.approx([2 / 3, 0.75])
    assert got[1] == pytest.approx([2 / 3, 0.5])
    assert np.isnan(got[2, 1])


def test_the_pseudo_problems_are_one_right_and_one_wrong():
    """Around an accuracy: the mean and error of the values with a 0 and a 1 among them."""
    x = np.random.default_rng(0).random(30)
    among = np.append(x, [0.0, 1.0])
    centre, error = steadied(x.mean(), x.var() / 30, 30, SHARE)
    assert centre == pytest.approx(among.mean())
    assert error == pytest.approx(among.std(ddof=1) / np.sqrt(32))
    lo, hi = bounded_interval(x.mean(), x.var() / 30, 30)
    assert (hi - lo) / 2 == pytest.approx(2.045230 * error, rel=1e-6)


def test_around_a_difference_they_are_paired_all_four_ways():
    """For all-or-nothing problems it is Agresti and Min's interval, but for t: half a problem in
    each cell of the paired table. 20 problems, 5 only the one solves, 2 only the other.
    """
    x = np.repeat([1.0, -1.0, 0.0], [5, 2, 13])
    centre, error = steadied(x.mean(), x.var() / 20, 20, DIFFERENCE)
    b, c, n = 5.5, 2.5, 22
    assert centre == pytest.approx((b - c) / n)
    plug_in = np.sqrt((b + c) - (b - c) ** 2 / n) / n
    assert error == pytest.approx(plug_in * np.sqrt(n / (n - 1)))


def test_a_clean_sweep_still_has_an_interval():
    lo, hi = bounded_interval(1.0, 0.0, 30)
    assert hi == 1.0
    # a share of wrong problems that goes unseen among 30 in one case of 20
    assert lo == pytest.approx(0.05 ** (1 / 30), abs=0.001)


def test_the_interval_of_a_difference_is_continuous_in_the_data():
    """One problem of twenty that begins to favour the other side moves the ends as little as it
    moves."""
    ends = []
    for least in (0.0, 1e-6, 1e-3, 1e-2):
        x = np.append(np.linspace(0.0, 0.4, 19), -least)
        ends.append(bounded_interval(x.mean(), x.var() / 20, 20, reach=DIFFERENCE))
    steps = np.abs(np.diff(np.array(ends), axis=0)).max(axis=1)
    assert (steps < [1e-6, 1e-3, 1e-2]).all()
    same = paired_difference(np.ones(20), np.ones(20))
    assert same.value == 0 and same.lo == -same.hi and 0.05 < same.hi < 0.15


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_one_problem_has_no_interval(value):
    bounds = bounded_interval(value, 0.0, 1)
    pair = paired_difference([value], [0.0])
    assert np.isnan([*bounds, pair.lo, pair.hi, pair.unpaired_lo]).all()


def test_intervals_hold_at_thirty_problems_near_both_ends():
    """Beta-distributed success rates with a + b = .5, four samples: plain t covers 64 to 90 of 100
    here."""
    rng = np.random.default_rng(0)
    for truth in (0.03, 0.1, 0.9, 0.94, 0.97):
        rate = rng.beta(0.5 * truth, 0.5 * (1 - truth), (2000, 30))
        x = rng.binomial(4, rate) / 4
        lo, hi = bounded_interval(x.mean(axis=1), x.var(axis=1) / 30, 30)
        assert ((lo <= truth) & (truth <= hi)).mean() > 0.945


@pytest.mark.parametrize("problems", [30, 100, 300])
def test_intervals_hold_where_problems_are_all_or_nothing(problems):
    """The worst case, no problem of the few wrong ones drawn, enumerated at every accuracy; and of
    differences, where a few problems turn from never to always right.
    """
    right, truth = np.arange(problems + 1), np.linspace(0.02, 0.98, 193)
    mean = right / problems
    chance = binom.pmf(right, problems, truth[:, None])
    for reach, least in ((SHARE, 0.93), (DIFFERENCE, 0.86)):
        lo, hi = bounded_interval(mean, mean * (1 - mean) / problems, problems, reach=reach)
        covered = (chance * ((lo <= truth[:, None]) & (truth[:, None] <= hi))).sum(axis=1)
        assert least < covered.min() and 0.95 < covered.mean() < 0.97


def test_intervals_of_differences_cover_where_few_problems_differ():
    """True shares 0.98 and 0.95, one sample of 20 problems: plain t covers about 63 of 100."""
    rng = np.random.default_rng(0)
    x = (rng.random((3000, 20)) < 0.98).astype(float) - (rng.random((3000, 20)) < 0.95)
    lo, hi = bounded_interval(x.mean(axis=1), x.var(axis=1) / 20, 20, reach=DIFFERENCE)
    assert ((lo <= 0.03) & (hi >= 0.03)).mean() > 0.95


def test_unpaired_is_wider_where_problems_are_shared():
    rng = np.random.default_rng(0)
    rate = rng.beta(0.25, 0.25, 60)
    a, b = rng.binomial(16, rate) / 16, rng.binomial(16, rate) / 16
    got = paired_difference(a, b)
    assert got.unpaired_lo < got.lo < got.value < got.hi < got.unpaired_hi
    assert got.unpaired_hi - got.unpaired_lo > 2 * (got.hi - got.lo)


def test_each_benchmark_keeps_its_number_of_problems():
    strata = np.repeat([0, 1], [10, 30])
    weights = bootstrap_weights(40, 200, 3, strata)
    assert np.all(weights[:, :10].sum(axis=1) == 10) and np.all(weights[:, 10:].sum(axis=1) == 30)
