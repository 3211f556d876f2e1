"""How many problems and samples a wished precision takes (Miller 2024, "Adding Error Bars to
Evals", section 5).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import ArrayLike

from testtime.errors import UserError
from testtime.estimators.intervals import normal_quantile


@dataclass(frozen=True, slots=True)
class Components:
    """Variance of a score: `between` problems (omega squared) and `within` a problem (sigma
    squared, of one sample).
    """

    between: float
    within: float


def problems_needed(
    omega2: float,
    delta: float,
    *,
    power: float = 0.8,
    level: float = 0.95,
    within: float = 0.0,
    samples: int = 1,
) -> int:
    """Problems needed to find a difference `delta` between two paired models with the given power
    (Miller 2024, eq. 9).

    (z_level + z_power)^2 (omega2 + within / samples) / delta^2, rounded up. omega2: variance over
    problems of the difference of the two models' true scores; within: the sum of both models'
    variances of one sample within a problem.
    """
    _check(delta=delta, power=power, level=level)
    z = normal_quantile((1 + level) / 2) + normal_quantile(power)
    return ceil(z**2 * (omega2 + within / samples) / delta**2 - 1e-9)


def samples_needed(
    problems: int,
    omega2: float,
    delta: float,
    within: float,
    *,
    power: float = 0.8,
    level: float = 0.95,
) -> int | None:
    """Samples a problem needed for the same, with the number of problems given; None where no
    number of samples suffices.
    """
    _check(delta=delta, power=power, level=level)
    z = normal_quantile((1 + level) / 2) + normal_quantile(power)
    room = problems * delta**2 / z**2 - omega2
    return None if room <= 0 else max(1, ceil(within / room - 1e-9))


def problems_for_halfwidth(variance: float, halfwidth: float, *, level: float = 0.95) -> int:
    """Problems needed for an interval of mean +- halfwidth. variance: of one problem's estimate
    (between + within / samples).
    """
    _check(delta=halfwidth, power=0.5, level=level)
    return ceil(variance * (normal_quantile((1 + level) / 2) / halfwidth) ** 2 - 1e-9)


def variance_components(scores: ArrayLike) -> Components:
    """Between- and within-problem variance of (problems, samples) scores, NaN = null; analysis of
    variance, unbiased.

    Raises UserError where there are fewer than two problems, or no problem with two scored samples.
    """
    x = np.asarray(scores, dtype=np.float64)
    count = (~np.isnan(x)).sum(axis=1)
    x, count = x[count > 0], count[count > 0]
    if len(x) < 2 or not np.any(count > 1):
        raise UserError(
            "variance components need at least two problems, and two scored samples on one of them"
        )
    mean = np.nanmean(x, axis=1)
    within = float(np.nansum((x - mean[:, None]) ** 2) / (count - 1).sum())
    between = float(mean.var(ddof=1) - within * np.mean(1 / count))
    return Components(max(between, 0.0), within)


def _check(*, delta: float, power: float, level: float) -> None:
    if not delta > 0:
        raise UserError(f"the difference to find must be above 0, got {delta}")
    if not (0 < power < 1 and 0 < level < 1):
        raise UserError(f"power and level lie between 0 and 1, got {power} and {level}")
