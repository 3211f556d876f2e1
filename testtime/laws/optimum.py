"""The compute-optimal model: what a budget of FLOPs is best spent on, from a law or from runs alone
(approaches 1 to 3).

FLOPs are 6 N D throughout, in float64: as integers they overflow 64 bits at today's sizes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from testtime.errors import UserError
from testtime.laws.law import Floats

FLOPS_PER = 6.0  # FLOPs a parameter and token in training
# computes that differ by less, relatively, are one budget: tokens are rounded where they are
# written down
SAME = 2e-3


@dataclass(frozen=True, slots=True)
class Optimum:
    """Compute-optimal parameters N and tokens D at C FLOPs, and the loss there (NaN where only runs
    were used).
    """

    C: Floats
    N: Floats
    D: Floats
    loss: Floats


@dataclass(frozen=True, slots=True)
class PowerLaw:
    """y = scale * x^slope, from least squares of log y on log x. se: standard error of the
    slope.
    """

    slope: float
    scale: float
    se: float
    r2: float

    def __call__(self, x: ArrayLike) -> Floats:
        result: Floats = self.scale * np.asarray(x, dtype=np.float64) ** self.slope
        return result


def parametric(values: Mapping[str, float], C: ArrayLike) -> Optimum:
    """Approach 3: the minimum of E + A/N^alpha + B/D^beta on 6 N D = C (Hoffmann et al. 2022, eq.
    4).
    """
    A, B, alpha, beta = (values[k] for k in ("A", "B", "alpha", "beta"))
    compute = np.asarray(C, dtype=np.float64)
    G = (alpha * A / (beta * B)) ** (1 / (alpha + beta))
    N = G * (compute / FLOPS_PER) ** (beta / (alpha + beta))
    D = compute / FLOPS_PER / N
    return Optimum(compute, N, D, values.get("E", 0.0) + A / N**alpha + B / D**beta)


def tokens_for(values: Mapping[str, float], N: ArrayLike) -> Floats:
    """Tokens at which N parameters are compute-optimal: where alpha A / N^alpha = beta B /
    D^beta.
    """
    A, B, alpha, beta = (values[k] for k in ("A", "B", "alpha", "beta"))
    result: Floats = (beta * B / (alpha * A) * np.asarray(N, dtype=np.float64) ** alpha) ** (
        1 / beta
    )
    return result


def budgets(C: ArrayLike) -> Floats:
    """Each run's nominal compute budget: the mean of the runs within `SAME` of the cheapest of
    them.
    """
    c = np.asarray(C, dtype=np.float64)
    result, order, first = np.empty_like(c), np.argsort(c), 0
    for i in range(1, len(c) + 1):
        if i == len(c) or c[order[i]] > c[order[first]] * (1 + SAME):
            result[order[first:i]] = c[order[first:i]].mean()
            first = i
    return result


def envelope(N: ArrayLike, D: ArrayLike, loss: ArrayLike, *, bins: int = 0) -> Optimum:
    """Approach 1: of the runs (or points of training curves) in each bin of log compute, the one
    with the lowest loss.

    bins: number of equal bins of log C; 0 takes every point no cheaper point beats (the lower
    envelope).
    """
    n, d, y = (np.asarray(v, dtype=np.float64) for v in (N, D, loss))
    C = budgets(FLOPS_PER * n * d)
    order = np.lexsort((y, C))
    if bins == 0:
        best = np.minimum.accumulate(y[order])
        chosen = order[np.concatenate([[True], y[order][1:] < best[:-1]])]
    else:
        edges = np.linspace(np.log(C.min()), np.log(C.max()), bins + 1)
        label = np.clip(np.searchsorted(edges, np.log(C), side="right") - 1, 0, bins - 1)
        chosen = np.array(
            [np.flatnonzero(label == b)[np.argmin(y[label == b])] for b in np.unique(label)]
        )
    return Optimum(C[chosen], n[chosen], d[chosen], y[chosen])


def isoflop(N: ArrayLike, C: ArrayLike, loss: ArrayLike) -> Optimum:
    """Approach 2: at each compute budget, the minimum of a parabola of loss in log N.

    C: of each run; runs whose `budgets` agree belong together. Budgets with fewer than three sizes,
    or whose parabola has no minimum, are left out. Raises UserError when none is left.
    """
    n, y = (np.asarray(v, dtype=np.float64) for v in (N, loss))
    c = budgets(C)
    rows = []
    for budget in np.unique(c):
        at = c == budget
        if len(np.unique(n[at])) < 3:
            continue
        log_n = np.log(n[at])
        center = log_n.mean()
        curve, line, base = np.polyfit(log_n - center, y[at], 2)
        if curve > 0:
            lowest = -line / (2 * curve)
            best = float(np.exp(center + lowest))
            rows.append((budget, best, budget / FLOPS_PER / best, base + lowest * line / 2))
    if not rows:
        raise UserError("IsoFLOP fit: no compute budget has three model sizes around a minimum")
    return Optimum(*np.array(rows).T)


def power_law(x: ArrayLike, y: ArrayLike) -> PowerLaw:
    """Ordinary least squares of log y on log x; points that lack either are left out.

    Raises UserError with fewer than two points, and for values that are not above 0.
    """
    u, v = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    known = ~(np.isnan(u) | np.isnan(v))
    if not (np.all(u[known] > 0) and np.all(v[known] > 0)):
        raise UserError("a power law needs values above 0 on both axes")
    a, b = np.log(u[known]), np.log(v[known])
    if len(a) < 2:
        raise UserError(f"a power law needs at least two points, got {len(a)}")
    da, db = a - a.mean(), b - b.mean()
    slope = float(da @ db / (da @ da))
    rest = float(((db - slope * da) ** 2).sum())
    se = float(np.sqrt(rest / (len(a) - 2) / (da @ da))) if len(a) > 2 else float("nan")
    return PowerLaw(
        slope,
        float(np.exp(b.mean() - slope * a.mean())),
        se,
        1 - rest / float(db @ db) if db @ db else 1.0,
    )
