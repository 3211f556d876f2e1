"""What can be told apart, and how many problems and samples that takes."""

from __future__ import annotations

import numpy as np
import pytest

from testtime.errors import UserError
from testtime.estimators import problems_needed, samples_needed, variance_components
from testtime.estimators.intervals import DIFFERENCE, bounded_interval
from testtime.estimators.planning import (
    Kind,
    detectable,
    detectable_differences,
    paired_variance,
    what_can_be_told,
)


@pytest.mark.parametrize(("problems", "samples"), [(30, 16), (100, 4), (300, 4)])
def test_what_is_planned_is_found_with_that_power(problems: int, samples: int) -> None:
    """Two models whose success rates correlate by .85, apart by what the plan says; their paired
    interval leaves 0 out in 80 of 100 simulated runs.
    """
    kind = Kind("two models", 0.85)
    gap = detectable(paired_variance(kind, samples), problems)
    rng = np.random.default_rng(0)
    shape = (4000, problems)
    first = rng.beta(0.25, 0.25, shape)
    second = np.where(rng.random(shape) < kind.correlation, first, rng.beta(0.25, 0.25, shape))
    x = gap + (rng.binomial(samples, first) - rng.binomial(samples, second)) / samples
    lo, _ = bounded_interval(x.mean(axis=1), x.var(axis=1) / problems, problems, reach=DIFFERENCE)
    assert (lo > 0).mean() == pytest.approx(0.8, abs=0.04)


def test_more_problems_and_more_samples_tell_more() -> None:
    rows = detectable_differences(4, [30, 300, 3000])
    by_kind = {row.kind.name: [] for row in rows}
    for row in rows:
        by_kind[row.kind.name].append(row.difference)
    assert len(by_kind) == 3
    for least in by_kind.values():
        assert least == sorted(least, reverse=True) and least[0] < 0.25 and least[-1] < 0.02
    more = detectable_differences(64, [30])
    assert more[0].difference < rows[0].difference
    assert "correlation 0.85" in what_can_be_told(4, 30) and "80 % power" in what_can_be_told(4, 30)
    assert what_can_be_told(4, 4).endswith("too few to tell settings apart")  # once "101.6 points"


def test_for_many_problems_it_is_millers_equation() -> None:
    needed = problems_needed(1 / 9, 0.03)
    assert detectable(1 / 9, needed) == pytest.approx(0.03, rel=0.01)
    assert np.isnan(detectable(1 / 9, 1))


def test_millers_sample_size():
    assert problems_needed(1 / 9, 0.03) == 969
    assert problems_needed(1 / 9, 0.03, within=1 / 6, samples=1) > problems_needed(
        1 / 9, 0.03, within=1 / 6, samples=10
    )
    assert samples_needed(2000, 1 / 9, 0.03, within=1 / 6) == 2
    assert samples_needed(900, 1 / 9, 0.03, within=1 / 6) is None
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
