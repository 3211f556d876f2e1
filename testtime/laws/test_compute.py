"""The laws of test-time compute: accuracy against what one problem costs.

Compute is counted in multiples of a reference (the geometric mean of the points), so that
parameters say what happens where the points are. With a plateau, accuracy saturates below 1 at
`ceiling`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from testtime.estimators.intervals import paired_difference
from testtime.laws.law import Floats, Law, Numbers, Parameter, sigmoid
from testtime.laws.result import SELDOM, Fit

CEILINGS = (0.5, 0.7, 0.9, 0.98)
EXPONENTS = (0.05, 0.2, 0.5, 1.0, 2.0)
AMPLITUDES = (0.02, 0.1, 0.3, 0.7)
ODDS = (-3.0, -1.0, 0.0, 1.0, 3.0)
SLOPES = (0.1, 0.3, 1.0, 2.0)


def reference(x: ArrayLike) -> float:
    """Geometric mean of the compute axis."""
    return float(np.exp(np.mean(np.log(np.asarray(x, dtype=np.float64)))))


def linear(x0: float) -> Law:
    return Law(
        "linear",
        f"accuracy = middle + doubling * log2(x / {x0:.4g})",
        (
            Parameter("middle", "free", (0.2, 0.5, 0.8)),
            Parameter("doubling", "free", (0.0, 0.05, 0.2)),
        ),
        ("x",),
        "accuracy",
        "the form of OpenAI 2024 (o1): accuracy linear in log compute",
        lambda p, x: p[0] + p[1] * np.log2(x[0] / x0),
    )


def power(x0: float) -> Law:
    return Law(
        "power",
        f"accuracy = 1 - error * (x / {x0:.4g})^-exponent",
        (Parameter("error", "positive", AMPLITUDES), Parameter("exponent", "free", EXPONENTS)),
        ("x",),
        "accuracy",
        "power law in error",
        lambda p, x: 1 - p[0] * (x[0] / x0) ** -p[1],
    )


def power_plateau(x0: float) -> Law:
    return Law(
        "power-plateau",
        f"accuracy = ceiling - gap * (x / {x0:.4g})^-exponent",
        (
            Parameter("ceiling", "unit", CEILINGS),
            Parameter("gap", "positive", AMPLITUDES),
            Parameter("exponent", "free", EXPONENTS),
        ),
        ("x",),
        "accuracy",
        "saturating power law in error, ceiling free",
        lambda p, x: p[0] - p[1] * (x[0] / x0) ** -p[2],
    )


def logistic(x0: float) -> Law:
    return Law(
        "logistic",
        f"logit accuracy = odds + slope * ln(x / {x0:.4g})",
        (Parameter("odds", "free", ODDS), Parameter("slope", "free", SLOPES)),
        ("x",),
        "accuracy",
        "logistic in log compute",
        lambda p, x: sigmoid(p[0] + p[1] * np.log(x[0] / x0)),
    )


def logistic_floor(x0: float) -> Law:
    return Law(
        "logistic-floor",
        f"accuracy = floor + (1 - floor) * sigmoid(odds + slope * ln(x / {x0:.4g}))",
        (
            Parameter("floor", "unit", (0.02, 0.2, 0.4)),
            Parameter("odds", "free", ODDS),
            Parameter("slope", "free", SLOPES),
        ),
        ("x",),
        "accuracy",
        "two classes of problems: always solved, or at thresholds logistic in log compute",
        lambda p, x: p[0] + (1 - p[0]) * sigmoid(p[1] + p[2] * np.log(x[0] / x0)),
    )


def logistic_plateau(x0: float) -> Law:
    return Law(
        "logistic-plateau",
        f"accuracy = ceiling * sigmoid(odds + slope * ln(x / {x0:.4g}))",
        (
            Parameter("ceiling", "unit", CEILINGS),
            Parameter("odds", "free", ODDS),
            Parameter("slope", "free", SLOPES),
        ),
        ("x",),
        "accuracy",
        "logistic in log compute, ceiling free",
        lambda p, x: p[0] * sigmoid(p[1] + p[2] * np.log(x[0] / x0)),
    )


def coverage(x0: float) -> Law:
    return Law(
        "coverage",
        f"accuracy = exp(-A * (x / {x0:.4g})^-exponent)",
        (
            Parameter("A", "positive", (0.03, 0.1, 0.5, 1.0, 3.0)),
            Parameter("exponent", "free", EXPONENTS),
        ),
        ("x",),
        "accuracy",
        "Brown et al. 2024, eq. 1, with compute for the number of samples",
        lambda p, x: np.exp(-p[0] * (x[0] / x0) ** -p[1]),
    )


def item_response(least: float, most: float) -> Law:
    """Thresholds lie within the computes measured: of others the points say nothing."""
    reach = np.log(most / least)

    def accuracy(p: Sequence[Numbers], x: Sequence[Numbers]) -> Numbers:
        share, easy, apart, slope = p
        hard = easy + (1 - easy) * apart
        first, second = (slope * (np.log(x[0] / least) - at * reach) for at in (easy, hard))
        mixed: Numbers = share * sigmoid(first) + (1 - share) * sigmoid(second)
        return mixed

    return Law(
        "item-response",
        f"accuracy = share * sigmoid(slope * ln(x / x1)) + (1 - share) * sigmoid(slope * "
        f"ln(x / x2)), x1 and x2 from {least:.4g} to {most:.4g} in logs: x1 at easy, x2 at easy + "
        "(1 - easy) apart",
        (
            Parameter("share", "unit", (0.5,)),
            Parameter("easy", "unit", (0.2, 0.5)),
            Parameter("apart", "unit", (0.3, 0.7)),
            Parameter("slope", "positive", (0.3, 1.0, 2.0)),
        ),
        ("x",),
        "accuracy",
        "two classes of problems, each with its threshold logistic in log compute (Birnbaum 1968, "
        "as a mixture of Rost 1990)",
        accuracy,
    )


def laws(x: ArrayLike) -> tuple[Law, ...]:
    """Those for any curve, at the reference of these points; `coverage` is for pass@k only."""
    x0, measured = reference(x), np.asarray(x, dtype=np.float64)
    forms = (linear, power, power_plateau, logistic, logistic_plateau, logistic_floor)
    thresholds = item_response(float(measured.min()), float(measured.max()))
    return (*(form(x0) for form in forms), thresholds)


@dataclass(frozen=True, slots=True)
class Plateau:
    """Has the curve stopped growing?

    gain: accuracy gained by the last step that was measured, over `factor` times the compute, with
    its interval [lo, hi] (NaN where unknown); ceiling: what can be said of a limit below 1.
    """

    gain: float
    lo: float
    hi: float
    factor: float
    ceiling: str

    def __str__(self) -> str:
        if np.isnan(self.lo):
            verdict = "how surely is not known without the problems behind the points"
        elif self.hi < 0.01 and self.lo > -0.01:
            verdict = "a plateau: less than one point"
        elif self.hi < 0:
            verdict = "falling"
        elif self.lo > 0:
            verdict = "still growing"
        else:
            verdict = "undecided: the interval holds both no gain and more than one point"
        interval = "" if np.isnan(self.lo) else f" [{100 * self.lo:.2f}, {100 * self.hi:.2f}]"
        return (
            f"the last step, {self.factor:.3g} times the compute, gains {100 * self.gain:.2f} "
            f"points{interval} (paired difference of the two top points): {verdict}; {self.ceiling}"
        )


def plateau(
    fits: Sequence[Fit], x: Floats, y: Floats, problems: Floats | None, level: float = 0.95
) -> Plateau:
    """The last step and the ceiling. fits: best first; x, y: (n,), cheapest first; problems: y of
    each, (problems, n), or None.

    The gain needs no law: it is the paired difference of the two top points.
    """
    lo = hi = float("nan")
    if problems is not None:
        pair = paired_difference(problems[:, -1], problems[:, -2], level)
        lo, hi = pair.lo, pair.hi
    return Plateau(float(y[-1] - y[-2]), lo, hi, float(x[-1] / x[-2]), ceiling(fits))


def ceiling(fits: Sequence[Fit]) -> str:
    """What the laws say of a ceiling below 1, in words.

    It is there where the chosen law has one and was not rejected, its own counterpart without one
    fits worse by more than chance, and no law without a ceiling is left standing: else a power law
    that never ends passes for a plateau.
    """
    if not fits:
        return "a ceiling is not looked for: too few points for any law"
    free = next((f for f in fits if not f.rejected), None)
    if free is None:
        return "a ceiling depends on the form, and no law fits"
    without = [f.law.name for f in fits if "ceiling" not in f.law.names and not f.rejected]
    fixed = next((f for f in fits if f.law.name + "-plateau" == free.law.name), None)
    if without or fixed is None:
        named = f": without one, {', '.join(without)} fits too" if without else ""
        return f"a ceiling depends on the form{named}"
    p_value = ceiling_test(free, fixed)
    lo, hi = (100 * v for v in free.interval()["ceiling"])
    if not p_value < SELDOM:
        return f"no ceiling below 1 is called for (p = {p_value:.2g})"
    return f"a ceiling at {lo:.0f} to {hi:.0f} % within {free.law.name} (p = {p_value:.2g})"


def ceiling_test(free: Fit, fixed: Fit) -> float:
    """p of the likelihood-ratio test that the ceiling is 1; NaN where it is not known.

    The ceiling lies on the boundary of what is allowed, so half of the distribution with one degree
    (Self and Liang 1987).
    """
    from scipy.special import gammaincc

    if free.lack is not None and fixed.lack is not None:
        return fixed.lack.of_one_more(free.lack) / 2
    return float(gammaincc(0.5, max(fixed.chi2 - free.chi2, 0.0) / 2)) / 2
