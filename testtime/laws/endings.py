"""The law of a curve along budgets whose chains end by themselves: a mixture of two accuracies.

A budget cuts the chains that are longer and leaves the others alone, so accuracy(b) = F(b) natural
+ (1 - F(b)) forced(b): F is the share of chains that end within b, from log-normal lengths. F is
not fitted to accuracies but to the thinking that the pool really spent, E min(length, b), which
says it without a column of its own; to the accuracies there remain one that every chain ends with
and one, logistic in log b, of what is cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from testtime.laws.fit import fit
from testtime.laws.law import Floats, Law, Numbers, Parameter, sigmoid

SOME = 0.05  # share of the largest budget that must be left over


def _spent(p: Sequence[Numbers], x: Sequence[Numbers]) -> Numbers:
    """E min(length, b) of log-normal lengths: median p[0], spread of logarithms p[1]."""
    from scipy.special import ndtr

    z = np.log(x[0] / p[0]) / p[1]
    cut: Numbers = p[0] * np.exp(p[1] ** 2 / 2) * ndtr(z - p[1]) + x[0] * ndtr(-z)
    return cut


SPENT = Law(
    "spent",
    "tokens = E min(length, budget), ln length ~ Normal(ln median, spread^2)",
    (
        Parameter("median", "positive", tuple(10.0 ** np.arange(1, 6))),
        Parameter("spread", "positive", (0.2, 0.6, 1.2)),
    ),
    ("x",),
    "tokens",
    "mean of a log-normal length that a budget cuts (Tobin 1958's censoring)",
    _spent,
    True,
)


@dataclass(frozen=True)
class ChainsEnd(Law):
    """accuracy(b) = F(b) ceiling + (1 - F(b)) sigmoid(odds + slope ln(b / x0)).

    budgets: those that F was learnt from, (n,); spent: mean thinking tokens at each.
    """

    budgets: Floats = field(default_factory=lambda: np.empty(0), repr=False, compare=False)
    spent: Floats = field(default_factory=lambda: np.empty(0), repr=False, compare=False)
    x0: float = 1.0

    def learnt_from(self, points: NDArray[np.intp]) -> Law:
        return chains_end(self.budgets[points], self.spent[points], self.x0)


def chains_end(budgets: Floats, spent: Floats, x0: float) -> ChainsEnd:
    """The law of a pool. budgets: (n,) above 0; spent: (n,), mean thinking tokens at each; x0: the
    reference of compute.
    """
    median, spread = fit(SPENT, {"x": budgets}, spent, spare=0).values

    def accuracy(p: Sequence[Numbers], x: Sequence[Numbers]) -> Numbers:
        ended = share_ended(x[0], median, spread)
        return ended * p[0] + (1 - ended) * sigmoid(p[1] + p[2] * np.log(x[0] / x0))

    return ChainsEnd(
        "chains-end",
        f"accuracy = F ceiling + (1 - F) sigmoid(odds + slope * ln(x / {x0:.4g})), "
        f"F = Phi(ln(x / {median:.4g}) / {spread:.3g})",
        (
            Parameter("ceiling", "unit", (0.3, 0.6, 0.9)),
            Parameter("odds", "free", (-3.0, -1.0, 0.0, 1.0, 3.0)),
            Parameter("slope", "free", (0.1, 0.3, 1.0, 2.0)),
        ),
        ("x",),
        "accuracy",
        "chains that end within the budget and chains that it cuts, each with its accuracy",
        accuracy,
        budgets=budgets,
        spent=spent,
        x0=x0,
    )


def some_end(budgets: Floats, spent: Floats) -> bool:
    """Whether the law may be tried: what was spent is known, no more than the budgets, and at the
    largest one less, by enough to know how chains end.
    """
    within = bool(np.all(spent <= budgets * (1 + 1e-9)))  # False where unknown
    return within and bool(spent[-1] < (1 - SOME) * budgets[-1])


def share_ended(budget: Floats, median: float, spread: float) -> Floats:
    """Share of chains that end within a budget."""
    from scipy.special import ndtr

    ended: Floats = ndtr(np.log(budget / median) / spread)
    return ended
