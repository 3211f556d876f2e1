"""Does a law miss the points by more than their noise? Hotelling's test, on the problems.

The points of a pool are means over the same few problems, so their covariance is estimated from as
many: at 30 problems chi-square with a covariance that was shrunk to be inverted never rejects, and
with the raw one always does. T-squared with the raw covariance has an exact distribution for linear
laws, whatever the correlation (Hotelling 1931; as growth curves are tested, Rao 1959), and nearly
it for ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from testtime.laws.law import Floats
from testtime.laws.solver import Problem, best_start, minimise

LEAST = 8  # problems in which two neighbouring points must differ to count as two


@dataclass(frozen=True, slots=True)
class Lack:
    """t2: the smallest T-squared over all parameters; contrasts: points (after merging) less free
    parameters; problems: those known at every point. NaN without contrasts.
    """

    t2: float
    contrasts: int
    problems: int

    @property
    def p_value(self) -> float:
        """Chance of a larger T-squared were the law true; NaN where there is too little to test."""
        from scipy.special import fdtrc

        q, left = self.contrasts, self.problems - self.contrasts
        if q < 1 or left < 1:
            return float("nan")
        return float(fdtrc(q, left, self.t2 * left / (q * (self.problems - 1))))

    def of_one_more(self, free: Lack) -> float:
        """Chance of so much larger a T-squared than that of the same law with one more parameter
        `free`, were this one true (Rao's test of additional information).
        """
        from scipy.special import fdtrc

        left = self.problems - self.contrasts
        if self.contrasts != free.contrasts + 1 or left < 1 or np.isnan(self.t2 + free.t2):
            return float("nan")
        gained = max(self.t2 - free.t2, 0.0)
        return float(fdtrc(1, left, left * gained / (self.problems - 1 + free.t2)))


def lack_of_fit(
    problem: Problem, theta: Floats, x: Sequence[Floats], y: Floats, starts: Floats
) -> Lack:
    """Test problem.law on points that are means over problems.

    theta: a fit (P,), internal; x: inputs, each (problems, n); y: (problems, n), natural scale;
    problems unknown at some point are left out. Neighbouring points in which fewer than LEAST
    problems differ are merged: their difference is known to no better than a handful of coin flips,
    which no T-squared describes. The noise of the inputs is carried over along the law's slope.
    """
    known = np.isfinite(y).all(axis=1) & np.all([np.isfinite(v).all(axis=1) for v in x], axis=0)
    y, x = y[known], [v[known] for v in x]
    count = len(y)
    free = starts.shape[1] - len(problem.held)
    mean = merging(y)
    contrasts = len(mean) - free
    if contrasts < 1 or count <= contrasts + 1:
        return Lack(float("nan"), min(contrasts, 0), count)
    centre = [v.mean(axis=0) for v in x]
    apart = y.copy()
    for i, v in enumerate(x):
        moved = list(centre)
        moved[i] = centre[i] * (1 + 1e-6)
        rise = (problem.law.value(theta[None], moved) - problem.law.value(theta[None], centre))[0]
        steps = 1e-6 * centre[i]  # 0 at a budget of 0, which has no noise
        apart -= np.divide(rise, steps, out=np.zeros_like(rise), where=steps != 0) * (v - centre[i])
    noise = np.atleast_2d(np.cov(apart @ mean.T, rowvar=False)) / count
    told = np.diag(noise) > 0  # where all problems say the same, how sure they are is unknown
    noise, mean = noise[np.ix_(told, told)], mean[told]
    contrasts = len(mean) - free
    if contrasts < 1:
        return Lack(float("nan"), min(contrasts, 0), count)
    raw = replace(problem, x=centre, y=y.mean(axis=0), whiten=whitening(noise) @ mean, weights=None)
    tried = np.vstack([theta[None], best_start(raw, starts, keep=6)])
    return Lack(2 * float(minimise(raw, tried).objective.min()), contrasts, count)


def merging(y: Floats) -> Floats:
    """(groups, n) matrix that averages neighbouring points of (problems, n) in which fewer than
    LEAST problems differ from the first of the group.
    """
    member, first = [0], 0
    for j in range(1, y.shape[1]):
        apart = int((np.abs(y[:, j] - y[:, first]) > 1e-9).sum())
        first = j if apart >= LEAST else first
        member.append(member[-1] + (apart >= LEAST))
    groups = np.eye(member[-1] + 1)[member].T
    result: Floats = groups / groups.sum(axis=1, keepdims=True)
    return result


def whitening(covariance: Floats) -> Floats:
    """W with W' W = inverse covariance: multiplies residuals into independent ones of variance
    1.
    """
    spread = np.sqrt(np.diag(covariance))
    values, vectors = np.linalg.eigh(covariance / np.outer(spread, spread))
    values = np.maximum(values, 1e-10 * values.max())
    result: Floats = (vectors / np.sqrt(values)).T / spread
    return result
