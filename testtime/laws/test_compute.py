"""The laws of test-time compute: accuracy against what one problem costs.

Compute is counted in multiples of a reference (the geometric mean of the points), so that
parameters say what happens where the points are. With a plateau, accuracy saturates below 1 at
`ceiling`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from testtime.laws.law import Floats, Law, Parameter, sigmoid
from testtime.laws.result import Fit

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


def laws(x: ArrayLike) -> tuple[Law, ...]:
    """Those for any curve, at the reference of these points; `coverage` is for pass@k only."""
    x0 = reference(x)
    return linear(x0), power(x0), power_plateau(x0), logistic(x0), logistic_plateau(x0)


@dataclass(frozen=True, slots=True)
class Plateau:
    """Has the curve stopped growing?

    gain: accuracy gained over the last doubling of compute that was measured, under `law`, with its
    interval [lo, hi]; p_value: of the likelihood-ratio test that the ceiling is 1 (NaN without a
    covariance).
    """

    law: str
    gain: float
    lo: float
    hi: float
    p_value: float

    def __str__(self) -> str:
        if self.hi < 0.01:
            verdict = "a plateau: less than one point a doubling"
        elif self.lo > 0:
            verdict = "still growing"
        else:
            verdict = "undecided: the interval holds both no gain and more than one point"
        test = "" if np.isnan(self.p_value) else f"; ceiling below 1: p = {self.p_value:.3g}"
        return (
            f"last doubling gains {100 * self.gain:.2f} points [{100 * self.lo:.2f}, "
            f"{100 * self.hi:.2f}] "
            f"({self.law}): {verdict}{test}"
        )


def plateau(free: Fit, fixed: Fit | None, x: ArrayLike, level: float = 0.95) -> Plateau:
    """Test for a plateau. free: the fit of a law that can saturate; fixed: its counterpart with
    ceiling 1, if that was fitted.
    """
    top = float(np.max(np.asarray(x, dtype=np.float64)))
    ends = np.array([top / 2, top])
    gain = float(np.diff(free.predict(x=ends))[0])
    if free.replicates is not None:
        with np.errstate(all="ignore"):
            drawn: Floats = np.diff(free.law(free.replicates, x=ends), axis=1)[:, 0]
        lo, hi = np.nanquantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    else:
        lo = hi = float("nan")
    p_value = float("nan")
    if fixed is not None and np.isfinite(fixed.chi2) and np.isfinite(free.chi2):
        from scipy.special import gammaincc

        # the ceiling lies on the boundary of what is allowed: half of chi-square with one degree
        # (Self and Liang 1987)
        p_value = float(gammaincc(0.5, max(fixed.chi2 - free.chi2, 0.0) / 2)) / 2
    return Plateau(free.law.name, gain, float(lo), float(hi), p_value)
