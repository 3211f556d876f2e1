"""Intervals around means over problems: normal theory, clustered, and the bootstrap over whole
problems.

Problems, not samples, are what was drawn from the population a benchmark stands for, and all cells
of a pool share them. So one matrix of bootstrap weights (how often each problem was drawn) serves
every cell: replicates of any mean are one matrix product, and differences, covariances and fits of
laws on the same weights are automatically paired.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

SHARE, DIFFERENCE = (
    (0.0, 1.0),
    (-1.0, 1.0),
)  # where an accuracy lies, and where the difference of two does
SAME = 1e-9  # values closer than this are equal but for rounding


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its standard error and interval."""

    value: float
    se: float
    lo: float
    hi: float


@dataclass(frozen=True, slots=True)
class Paired:
    """Mean difference a - b over the problems both have. `correlation` is that of the two over
    problems.
    """

    value: float
    se: float
    lo: float
    hi: float
    problems: int
    correlation: float


def normal_quantile(q: float) -> float:
    """Inverse of the standard normal distribution function."""
    from scipy.special import ndtri

    return float(ndtri(q))


def mean_clt(values: ArrayLike, level: float = 0.95) -> Interval:
    """Mean of one value a problem, with the normal interval s / sqrt(P) (Miller 2024, eq. 1). NaN
    values are left out.
    """
    x = np.asarray(values, dtype=np.float64).ravel()
    x = x[~np.isnan(x)]
    se = float(x.std(ddof=1) / np.sqrt(len(x))) if len(x) > 1 else float("nan")
    return _normal(float(x.mean()) if len(x) else float("nan"), se, level)


def clustered_mean(values: ArrayLike, clusters: ArrayLike, level: float = 0.95) -> Interval:
    """Mean over rows whose errors go together within a cluster (Miller 2024, eq. 4).

    values: (rows,), NaN left out; clusters: a label a row (the problem a sample belongs to, the
    passage a question belongs to). se^2 = sum over clusters of (sum of the cluster's residuals)^2 /
    rows^2, times C / (C - 1) for few clusters.
    """
    x = np.asarray(values, dtype=np.float64).ravel()
    _, label = np.unique(np.asarray(clusters).ravel(), return_inverse=True)
    kept = ~np.isnan(x)
    _, label = np.unique(label[kept], return_inverse=True)
    x = x[kept]
    groups = int(label.max(initial=-1)) + 1
    if groups == 0:
        return _normal(float("nan"), float("nan"), level)
    residual = np.bincount(label, weights=x - x.mean(), minlength=groups)
    se = (
        float(np.sqrt((residual**2).sum() * groups / (groups - 1)) / len(x))
        if groups > 1
        else float("nan")
    )
    return _normal(float(x.mean()), se, level)


def paired_difference(a: ArrayLike, b: ArrayLike, level: float = 0.95) -> Paired:
    """Difference of two means over the same problems (Miller 2024, eq. 7): values (problems,), NaN
    where one has no value.

    Where all problems differ by the same amount there is no standard error to go by; the ends are
    then those that `beyond` allows values within [0, 1].
    """
    x, y = np.asarray(a, dtype=np.float64).ravel(), np.asarray(b, dtype=np.float64).ravel()
    both = ~(np.isnan(x) | np.isnan(y))
    apart = x[both] - y[both]
    interval = mean_clt(apart, level)
    if len(apart) > 1 and np.ptp(apart) < SAME:
        lo, hi = (float(beyond(apart[0], end, len(apart), level)) for end in DIFFERENCE)
        interval = Interval(interval.value, interval.se, lo, hi)
    spread = x[both].std() * y[both].std() if both.sum() > 1 else 0.0
    correlation = (
        float(np.mean((x[both] - x[both].mean()) * (y[both] - y[both].mean())) / spread)
        if spread > 0
        else float("nan")
    )
    return Paired(
        interval.value, interval.se, interval.lo, interval.hi, int(both.sum()), correlation
    )


def bootstrap_weights(problems: int, resamples: int = 2000, seed: int = 0) -> Floats:
    """How often each problem is drawn in each resample: (resamples, problems), rows summing to
    `problems`.

    Zero means out-of-bag. Deterministic by seed.
    """
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, problems, size=(resamples, problems))
    drawn += np.arange(resamples)[:, None] * problems
    return (
        np.bincount(drawn.ravel(), minlength=resamples * problems)
        .reshape(resamples, problems)
        .astype(np.float64)
    )


def weighted_means(weights: Floats, values: Floats) -> Floats:
    """Bootstrap replicates of the mean of each column.

    weights: (resamples, problems); values: (problems, columns), NaN where a column lacks that
    problem. Returns (resamples, columns); NaN where none of a column's problems was drawn.
    """
    missing = np.isnan(values)
    with np.errstate(
        invalid="ignore", divide="ignore"
    ):  # a resample can miss a small bin, or leave nothing out
        if not missing.any():
            complete: Floats = (weights @ values) / weights.sum(axis=1, keepdims=True)
            return complete
        partial: Floats = (weights @ np.where(missing, 0.0, values)) / (
            weights @ (~missing).astype(np.float64)
        )
    return partial


def percentile_interval(
    replicates: Floats, problems: ArrayLike, level: float = 0.95
) -> tuple[Floats, Floats]:
    """Percentile interval of each column of (resamples, columns) replicates of means over
    `problems` problems.

    NaN for fewer than two problems: one says nothing about how problems vary.

    Plain percentiles are too narrow for few problems, as a normal quantile with the biased variance
    would be: the tail is Phi(sqrt(P / (P - 1)) t) with t Student's quantile at P - 1 degrees (the
    expanded percentile interval, Hesterberg 2015, section 3.5.2).
    """
    from scipy.special import ndtr, stdtrit

    count = np.broadcast_to(np.asarray(problems, dtype=np.float64), replicates.shape[1:])
    lo, hi = np.full(count.shape, np.nan), np.full(count.shape, np.nan)
    for p in np.unique(count[count > 1]):
        columns = count == p
        tail = float(ndtr(np.sqrt(p / (p - 1)) * stdtrit(p - 1, (1 - level) / 2)))
        lo[columns], hi[columns] = _quantiles(replicates[:, columns], tail)
    return lo, hi


def bounded_interval(
    replicates: Floats,
    values: Floats,
    problems: ArrayLike,
    level: float = 0.95,
    reach: tuple[ArrayLike, ArrayLike] = SHARE,
) -> tuple[Floats, Floats]:
    """`percentile_interval` for means of `values` that lie within `reach` (lowest, highest; a
    number or one a column).

    values: (problems, columns), NaN where a column lacks the problem. Resampling never leaves the
    values that it saw: where all problems score alike (all right, or two models agree on all) it
    sees no spread, and where none favours one side, none on that side. So an end that lies at the
    most extreme value seen is moved `beyond` it.
    """
    lo, hi = percentile_interval(replicates, problems, level)
    least, most = np.fmin.reduce(values, axis=0), np.fmax.reduce(values, axis=0)
    lo = np.where(lo <= least + SAME, beyond(least, reach[0], problems, level), lo)
    hi = np.where(hi >= most - SAME, beyond(most, reach[1], problems, level), hi)
    return lo, hi


def beyond(extreme: ArrayLike, end: ArrayLike, problems: ArrayLike, level: float = 0.95) -> Floats:
    """How far the mean may lie beyond the most extreme of the values of `problems` problems,
    towards `end`.

    A share q of problems beyond it goes unseen with probability (1 - q)^P. So with alpha = 1 -
    level their share is at most 1 - (alpha / 2)^(1/P), the exact binomial bound for none among P
    (Clopper and Pearson 1934; about 3.7 / P, at one-sided 95 % the rule of three), and at worst
    they all lie at `end`. It holds for any distribution.
    """
    x = np.asarray(extreme, dtype=np.float64)
    with np.errstate(divide="ignore"):  # a column without problems
        share = 1 - ((1 - level) / 2) ** (1 / np.asarray(problems, dtype=np.float64))
    moved: Floats = x + share * (np.asarray(end, dtype=np.float64) - x)
    return moved


def _quantiles(columns: Floats, tail: float) -> tuple[Floats, Floats]:
    find = np.nanquantile if np.isnan(columns).any() else np.quantile
    low, high = find(np.ascontiguousarray(columns.T), [tail, 1 - tail], axis=1)
    return low, high


def _normal(value: float, se: float, level: float) -> Interval:
    z = normal_quantile((1 + level) / 2)
    return Interval(value, se, value - z * se, value + z * se)
