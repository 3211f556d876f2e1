from __future__ import annotations

import numpy as np
import pytest

from testtime.errors import UserError
from testtime.estimators import (
    bootstrap_weights,
    clustered_mean,
    mean_clt,
    paired_difference,
    percentile_interval,
    problems_needed,
    samples_needed,
    variance_components,
)
from testtime.estimators.intervals import DIFFERENCE, bounded_interval, weighted_means
from testtime.estimators.planning import problems_for_halfwidth


def test_clt_interval():
    got = mean_clt([0.0, 1.0, 1.0, np.nan, 0.0])
    assert got.value == 0.5
    assert got.se == pytest.approx(np.std([0, 1, 1, 0], ddof=1) / 2)
    assert (got.hi - got.lo) / 2 == pytest.approx(1.959964 * got.se, rel=1e-6)


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


def test_percentile_interval_widens_for_few_problems():
    draws = np.random.default_rng(0).standard_normal((20000, 1))
    narrow, wide = (percentile_interval(draws, p) for p in (100000, 10))
    assert narrow[1][0] == pytest.approx(1.96, abs=0.05)
    assert wide[1][0] > 2.2  # t with 9 degrees of freedom is 2.26, times sqrt(10/9)


def test_a_clean_sweep_still_has_an_interval():
    lo, hi = bounded_interval(np.ones((100, 1)), np.ones((30, 1)), 30)
    assert hi[0] == 1.0
    assert lo[0] == pytest.approx(0.025 ** (1 / 30))


def test_ends_lie_beyond_the_values_seen():
    weights = bootstrap_weights(20, 500)
    apart = np.zeros((20, 3))
    apart[0, 1], apart[:10, 2] = -1, np.linspace(-0.5, 0.5, 10)
    lo, hi = bounded_interval(weighted_means(weights, apart), apart, 20, reach=DIFFERENCE)
    most = 1 - 0.025 ** (1 / 20)
    assert (lo[0], hi[0]) == pytest.approx((-most, most))  # all alike
    assert -1 < lo[1] < -0.1 and hi[1] == pytest.approx(most)  # one problem worse, none better
    plain = percentile_interval(weighted_means(weights, apart), 20)
    assert (lo[2], hi[2]) == (plain[0][2], plain[1][2])  # both kinds were seen
    pair = paired_difference(np.ones(20), np.ones(20))
    assert (pair.value, pair.lo, pair.hi) == pytest.approx((0, -most, most))


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_one_problem_has_no_interval(value):
    one = np.array([[value]])
    bounds = bounded_interval(np.repeat(one, 100, axis=0), one, 1)
    pair = paired_difference([value], [0.0])
    assert np.isnan([*bounds, [pair.lo], [pair.hi]]).all()


def test_intervals_of_differences_cover_where_few_problems_differ():
    """True shares 0.98 and 0.95, one sample of 20 problems: without the ends beyond, about 63 of
    100 cover.
    """
    rng = np.random.default_rng(0)
    held = 0
    for seed in range(300):
        apart = (rng.random((20, 1)) < 0.98).astype(float) - (rng.random((20, 1)) < 0.95)
        drawn = weighted_means(bootstrap_weights(20, 300, seed), apart)
        lo, hi = bounded_interval(drawn, apart, 20, reach=DIFFERENCE)
        held += bool(lo[0] <= 0.03 <= hi[0])
    assert held / 300 > 0.94


def test_millers_sample_size():
    assert problems_needed(1 / 9, 0.03) == 969
    assert problems_needed(1 / 9, 0.03, within=1 / 6, samples=1) > problems_needed(
        1 / 9, 0.03, within=1 / 6, samples=10
    )
    assert samples_needed(2000, 1 / 9, 0.03, within=1 / 6) == 2
    assert samples_needed(900, 1 / 9, 0.03, within=1 / 6) is None
    assert problems_for_halfwidth(0.25, 0.05) == 385
    with pytest.raises(UserError, match="above 0"):
        problems_needed(1 / 9, 0)


def test_variance_components_are_unbiased():
    rng = np.random.default_rng(0)
    rate = rng.beta(2, 2, size=20000)
    score = (rng.random((20000, 4)) < rate[:, None]).astype(float)
    score[:500, 2:] = np.nan
    got = variance_components(score)
    assert got.between == pytest.approx(0.05, abs=0.003)
    assert got.within == pytest.approx(0.2, abs=0.003)
    with pytest.raises(UserError, match="two scored samples"):
        variance_components(score[:, :1])
