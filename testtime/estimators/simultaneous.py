"""Many comparisons judged as one: of forty rows without any difference, at most one table in twenty
may name a winner.

The bootstrap knows how comparisons that share problems go together: in each resample the largest
deviation of all, in standard errors, is what chance alone does (max-t, Westfall and Young 1993).
Its quantile gives simultaneous intervals; taking the comparisons in the order of their clearness,
each against the largest of those that remain, finds more at the same level (step-down, Romano and
Wolf 2005). Quantiles of the bootstrap are normal-like, so they are carried over to Student's t at
the same probability; none is taken below that of a comparison that stands alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from testtime.estimators.intervals import Floats, student_quantile


def critical(deviates: Floats, freedom: ArrayLike, level: float = 0.95, sides: int = 2) -> Floats:
    """Student's quantile that all comparisons keep together with probability `level`.

    deviates: (resamples, comparisons), (replicate - estimate) / standard error; NaN where there is
    none. freedom: degrees of each comparison (problems - strata). sides: 1 for upper bounds alone.
    """
    from scipy.special import ndtr

    tail = (1 - level) / sides
    alone = student_quantile(1 - tail, freedom)
    largest = _largest(deviates, sides)
    if not len(largest):
        return alone
    reached = ndtr(-np.quantile(largest, level))
    return np.fmax(alone, -student_quantile(float(max(reached, 1e-12)), freedom))


def adjusted(statistic: Floats, deviates: Floats, freedom: ArrayLike) -> Floats:
    """Two-sided p of each comparison, adjusted for all of them by the step-down: (comparisons,).

    statistic: estimate / standard error; deviates and freedom as `critical`. At least the p of the
    comparison alone; 1 where the statistic is NaN.
    """
    from scipy.special import ndtri, stdtr

    known = ~np.isnan(statistic)
    degrees = np.broadcast_to(np.asarray(freedom, dtype=np.float64), statistic.shape)
    result = np.ones(statistic.shape)
    if not known.any():
        return result
    alone = 2 * stdtr(degrees[known], -np.abs(statistic[known]))
    clear = -ndtri(np.maximum(alone / 2, 1e-300))
    away = np.abs(deviates[:, known])
    away = np.ascontiguousarray(away[~np.isnan(away).any(axis=1)].T)  # one comparison after another
    order = np.argsort(clear, kind="stable")  # the least clear first
    count, largest = np.empty(len(order)), np.full(away.shape[1], -np.inf)
    for index in order:
        np.maximum(largest, away[index], out=largest)
        count[index] = (largest >= clear[index]).sum()
    share = (1 + count) / (1 + away.shape[1])
    share[order[::-1]] = np.maximum.accumulate(share[order[::-1]])
    result[known] = np.maximum(share, alone)
    return result


def verdicts(
    statistic: Floats, p: Floats, level: float, above: str, below: str
) -> NDArray[np.str_]:
    """`above` or `below` where a comparison is decided at `level`, else "undecided"."""
    decided = p <= 1 - level
    sides = [decided & (statistic > 0), decided & (statistic < 0)]
    return np.select(sides, [above, below], "undecided")


def _largest(deviates: Floats, sides: int) -> Floats:
    """The largest deviation of each resample that has all comparisons."""
    known = deviates[:, ~np.isnan(deviates).all(axis=0)]
    known = known[~np.isnan(known).any(axis=1)]
    if not known.size:
        return np.empty(0)
    largest: Floats = (np.abs(known) if sides == 2 else known).max(axis=1)
    return largest
