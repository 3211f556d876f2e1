"""What a run will be able to tell apart, before a token is drawn; how many problems and samples a
wished precision takes (Miller 2024, "Adding Error Bars to Evals", section 5).

Two accuracies on the same problems differ by noise of two kinds: the two do not find the same
problems hard (their correlation), and each was sampled a few times. `detectable` is the difference
that the paired interval of `intervals.bounded_interval` finds with the wished power.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import ArrayLike

from testtime.errors import UserError
from testtime.estimators.intervals import (
    DIFFERENCE,
    normal_quantile,
    steadied,
    student_quantile,
)

SPREAD = (
    0.5  # a + b of the Beta distribution of difficulty; OTIS Mock AIME: .51, quartiles .41, .69
)
PROBLEMS = (30, 60, 100, 300, 1000, 3000)


@dataclass(frozen=True, slots=True)
class Components:
    """Variance of a score: `between` problems (omega squared) and `within` a problem (sigma
    squared, of one sample).
    """

    between: float
    within: float


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of comparison and how far its two sides go together over problems. correlation: of
    their true success rates; of what they score, where `chosen`: each side is then one answer a
    problem, chosen among all samples.
    """

    name: str
    correlation: float
    chosen: bool = False


# Medians of what public samples show. Budgets: effort levels of one model that are within 15 points
# (OTIS Mock AIME, 8 pairs, .94 to 1.0); models: pairs within 15 points there (476 pairs, quartiles
# .79 to .91); selectors: majority, best and weighted of 8 with a reward model (100 MATH problems,
# .69, .82, .85).
KINDS = (
    Kind("two budgets", 0.95),
    Kind("two models", 0.85),
    Kind("two selectors", 0.8, chosen=True),
)


@dataclass(frozen=True, slots=True)
class Detectable:
    """The least true difference that a paired comparison of `kind` finds: a row of a plan."""

    kind: Kind
    problems: int
    samples: int
    difference: float


def detectable(variance: float, problems: int, *, power: float = 0.8, level: float = 0.95) -> float:
    """The least true difference of two accuracies on `problems` problems that a paired interval at
    `level` finds not to be 0 with the given power.

    variance: over problems, of the difference on one of them. Miller 2024, eq. 9, solved for the
    difference, with the t quantile and the pseudo-problems of the intervals in use. NaN for one
    problem.
    """
    _check(delta=1.0, power=power, level=level)
    _, error = steadied(0.0, variance / problems, problems, DIFFERENCE)
    t = float(student_quantile((1 + level) / 2, problems - 1))
    noise = normal_quantile(power) * np.sqrt(variance / problems)
    return float(t * error * (problems + 2) / problems + noise)


def paired_variance(
    kind: Kind, samples: int, *, accuracy: float = 0.5, spread: float = SPREAD
) -> float:
    """Variance over problems of the difference of two accuracies near `accuracy`.

    Success rates vary as Beta(a, b) with a + b = spread, so accuracy (1 - accuracy) / (1 + spread)
    is between problems, the rest within one, where `samples` samples average it out.
    """
    whole = accuracy * (1 - accuracy)
    if kind.chosen:
        return 2 * whole * (1 - kind.correlation)
    between = whole / (1 + spread)
    return 2 * (between * (1 - kind.correlation) + (whole - between) / samples)


def detectable_differences(
    samples: int,
    problems: Sequence[int] = PROBLEMS,
    *,
    kinds: Sequence[Kind] = KINDS,
    accuracy: float = 0.5,
    spread: float = SPREAD,
    power: float = 0.8,
    level: float = 0.95,
) -> list[Detectable]:
    """What each kind of comparison can tell apart, by number of problems; at an accuracy of .5,
    where it is hardest.
    """
    rows = []
    for kind in kinds:
        variance = paired_variance(kind, samples, accuracy=accuracy, spread=spread)
        for count in problems:
            least = detectable(variance, count, power=power, level=level)
            rows.append(Detectable(kind, count, samples, least))
    return rows


def what_can_be_told(samples: int, problems: int, kinds: Sequence[Kind] = KINDS) -> str:
    """The plan's line on one run: "30 problems x 16 samples tell two budgets 11.2 points apart
    (correlation .95), ..., with 80 % power".
    """
    rows = detectable_differences(samples, [problems], kinds=kinds)
    if all(row.difference > 0.5 for row in rows):
        return f"{problems} problems x {samples} samples are too few to tell settings apart"
    said = ", ".join(
        f"{row.kind.name} {100 * row.difference:.1f} points apart (correlation "
        f"{row.kind.correlation:g})"
        for row in rows
    )
    return f"{problems} problems x {samples} samples tell {said}; paired, with 80 % power"


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
