"""Intervals around means over problems, made to hold on thirty of them, and the bootstrap over
whole problems.

Problems, not samples, are what was drawn from the population a benchmark stands for, and all cells
of a pool share them. So one matrix of bootstrap weights (how often each problem was drawn) serves
every cell: replicates of any mean are one matrix product, and differences, covariances and fits of
laws on the same weights are automatically paired.

An interval is Student's t around the mean with two pseudo-problems added, which stand for what was
not seen: where all problems of thirty score alike, others need not. Around an accuracy they are one
right and one wrong problem (Agresti and Coull 1998, carried over to means of shares). A difference
of two accuracies gets the same two on each side, paired all four ways with equal weight: half a
problem at +1, half at -1, one at 0 (Agresti and Min 2005). One rule, continuous in the data, for
all-or-nothing problems and for shares; `docs/statistics.md` has what it covers and what it costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
PSEUDO = 2.0  # pseudo-problems added to every mean


class Reach(NamedTuple):
    """Between which values that of one problem lies, and how many of the two pseudo-problems stand
    at each of the two ends; the others stand in the middle.
    """

    lo: ArrayLike
    hi: ArrayLike
    ends: float


SHARE = Reach(0.0, 1.0, 1.0)  # an accuracy
DIFFERENCE = Reach(-1.0, 1.0, 0.5)  # the difference of two


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
    problems; unpaired_lo and unpaired_hi: what the interval would be had each its own problems.
    """

    value: float
    se: float
    lo: float
    hi: float
    problems: int
    correlation: float
    unpaired_lo: float
    unpaired_hi: float


def normal_quantile(q: float) -> float:
    """Inverse of the standard normal distribution function."""
    from scipy.special import ndtri

    return float(ndtri(q))


def student_quantile(q: float, freedom: ArrayLike) -> Floats:
    """Inverse of Student's distribution function; NaN for less than one degree of freedom."""
    from scipy.special import stdtrit

    degrees = np.asarray(freedom, dtype=np.float64)
    quantile: Floats = np.where(degrees < 1, np.nan, stdtrit(np.maximum(degrees, 1), q))
    return quantile


def mean_clt(values: ArrayLike, level: float = 0.95) -> Interval:
    """Mean of one value a problem, any real number, with Student's interval around it: s / sqrt(P)
    (Miller 2024, eq. 1), t at P - 1 degrees. NaN values are left out.

    For accuracies of few problems `bounded_interval` holds where this does not.
    """
    x = np.asarray(values, dtype=np.float64).ravel()
    x = x[~np.isnan(x)]
    se = float(x.std(ddof=1) / np.sqrt(len(x))) if len(x) > 1 else float("nan")
    return _student(float(x.mean()) if len(x) else float("nan"), se, len(x), level)


def clustered_mean(values: ArrayLike, clusters: ArrayLike, level: float = 0.95) -> Interval:
    """Mean over rows whose errors go together within a cluster (Miller 2024, eq. 4), t at C - 1
    degrees.

    values: (rows,), NaN left out; clusters: a label a row (the problem a sample belongs to, the
    passage a question belongs to). se^2 = sum over clusters of (sum of the cluster's residuals)^2 /
    rows^2, times C / (C - 1) for few clusters.
    """
    x = np.asarray(values, dtype=np.float64).ravel()
    kept = ~np.isnan(x)
    _, label = np.unique(np.asarray(clusters).ravel()[kept], return_inverse=True)
    x, groups = x[kept], int(label.max(initial=-1)) + 1
    if groups < 2:
        return _student(float(x.mean()) if len(x) else float("nan"), float("nan"), 0, level)
    residual = np.bincount(label, weights=x - x.mean(), minlength=groups)
    se = float(np.sqrt((residual**2).sum() * groups / (groups - 1)) / len(x))
    return _student(float(x.mean()), se, groups, level)


def paired_difference(a: ArrayLike, b: ArrayLike, level: float = 0.95) -> Paired:
    """Difference of two accuracies over the same problems (Miller 2024, eq. 7): values (problems,)
    within [0, 1], NaN where one has none. Its interval is `bounded_interval`'s.
    """
    x, y = np.asarray(a, dtype=np.float64).ravel(), np.asarray(b, dtype=np.float64).ravel()
    both = ~(np.isnan(x) | np.isnan(y))
    x, y = x[both], y[both]
    apart, count = mean_clt(x - y), len(x)
    if not count:
        nan = float("nan")
        return Paired(nan, nan, nan, nan, 0, nan, nan, nan)
    spread = np.var(x - y) / count, np.var(x) / count, np.var(y) / count
    lo, hi = bounded_interval(apart.value, spread[0], count, level, DIFFERENCE)
    wide = unpaired_interval(x.mean(), spread[1], y.mean(), spread[2], count, level)
    scale = x.std() * y.std()
    together = np.mean((x - x.mean()) * (y - y.mean())) / scale if scale > 0 else np.nan
    unpaired_lo, unpaired_hi = map(float, wide)
    return Paired(
        apart.value,
        apart.se,
        float(lo),
        float(hi),
        count,
        float(together),
        unpaired_lo,
        unpaired_hi,
    )


def bootstrap_weights(
    problems: int, resamples: int = 2000, seed: int = 0, strata: Ints | None = None
) -> Floats:
    """How often each problem is drawn in each resample: (resamples, problems), rows summing to
    `problems`.

    strata: (problems,), the benchmark each belongs to; each keeps its number of problems. Zero
    means out-of-bag. Deterministic by seed.
    """
    rng = np.random.default_rng(seed)
    weights = np.empty((resamples, problems))
    groups = np.zeros(problems, dtype=np.int64) if strata is None else strata
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        drawn = rng.integers(0, len(members), size=(resamples, len(members)))
        drawn += np.arange(resamples)[:, None] * len(members)
        times = np.bincount(drawn.ravel(), minlength=resamples * len(members))
        weights[:, members] = times.reshape(resamples, len(members))
    return weights


def known_mean(values: Floats, axis: int) -> Floats:
    """Mean of what is not NaN; NaN where nothing is."""
    known = ~np.isnan(values)
    count = known.sum(axis=axis)
    result: Floats = np.where(known, values, 0.0).sum(axis=axis) / np.where(
        count > 0, count, np.nan
    )
    return result


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


def steadied(
    value: ArrayLike, variance: ArrayLike, problems: ArrayLike, reach: Reach = SHARE
) -> tuple[Floats, Floats]:
    """Centre and standard error of means over `problems` problems with the two pseudo-problems
    among them.

    value: the means; variance: of each mean as the bootstrap has it, sum of squares over problems /
    P^2, so that it may be that of a ratio or of a stratified mean. All broadcast.
    """
    mean, count = np.asarray(value, dtype=np.float64), np.asarray(problems, dtype=np.float64)
    low, high = (np.asarray(end, dtype=np.float64) for end in reach[:2])
    middle, half, total = (low + high) / 2, (high - low) / 2, count + PSEUDO
    with np.errstate(invalid="ignore", divide="ignore"):
        centre: Floats = (count * mean + PSEUDO * middle) / total
        squares = count**2 * np.asarray(variance) + count * (mean - centre) ** 2
        squares = squares + PSEUDO * (middle - centre) ** 2 + 2 * reach.ends * half**2
        error: Floats = np.sqrt(squares / (total - 1) / total)
    return centre, np.where(count > 1, error, np.nan)


def bounded_interval(
    value: ArrayLike,
    variance: ArrayLike,
    problems: ArrayLike,
    level: float = 0.95,
    reach: Reach = SHARE,
    strata: int = 1,
    quantile: ArrayLike | None = None,
) -> tuple[Floats, Floats]:
    """Interval of means of values that lie within `reach`; arguments as `steadied`'s.

    quantile: of Student's t, by default at `level` with problems - strata degrees. NaN for one
    problem: it says nothing about how problems vary. The mean itself always lies within.
    """
    centre, error = steadied(value, variance, problems, reach)
    if quantile is None:
        quantile = student_quantile((1 + level) / 2, np.asarray(problems) - strata)
    half = np.asarray(quantile, dtype=np.float64) * error
    lo = np.maximum(np.minimum(centre - half, value), reach.lo)
    hi = np.minimum(np.maximum(centre + half, value), reach.hi)
    return np.where(np.isnan(half), np.nan, lo), np.where(np.isnan(half), np.nan, hi)


def mean_interval(
    values: ArrayLike, level: float = 0.95, reach: Reach = SHARE
) -> tuple[Floats, Floats, Floats]:
    """Mean, lo and hi of each column of (problems, columns) by `bounded_interval`; a problem with a
    NaN in a column is left out of it.
    """
    x = np.asarray(values, dtype=np.float64)
    count = (~np.isnan(x)).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.asarray(np.nansum(x, axis=0) / np.where(count, count, np.nan))
        variance = np.nansum((x - mean) ** 2, axis=0) / np.where(count, count, np.nan) ** 2
    lo, hi = bounded_interval(mean, variance, count, level, reach)
    return mean, lo, hi


def unpaired_interval(
    a: ArrayLike,
    a_variance: ArrayLike,
    b: ArrayLike,
    b_variance: ArrayLike,
    problems: ArrayLike,
    level: float = 0.95,
    strata: int = 1,
) -> tuple[Floats, Floats]:
    """Interval of the difference of two accuracies as if each had problems of its own; what it is
    wider by than the paired one is what the pairing gained.
    """
    x, x_error = steadied(a, a_variance, problems)
    y, y_error = steadied(b, b_variance, problems)
    half = student_quantile((1 + level) / 2, np.asarray(problems) - strata)
    half = half * np.hypot(x_error, y_error)
    return np.maximum(x - y - half, -1.0), np.minimum(x - y + half, 1.0)


def _student(value: float, se: float, units: int, level: float) -> Interval:
    half = float(student_quantile((1 + level) / 2, units - 1)) * se
    return Interval(value, se, value - half, value + half)
