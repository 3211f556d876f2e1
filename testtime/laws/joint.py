"""Train more, or think more: laws in training and test compute together, and what one is worth in
the other.

Two forms. `TRAIN_TO_TEST` adds a term for samples to Hoffmann's law, for losses such as -log pass@k
over (N, D, k) (Roberts et al. 2026). `accuracy_surface` takes only what was spent, training FLOPs
and test FLOPs a problem, and bounds accuracy by a ceiling; its curves of equal accuracy are
straight in the logarithms of both, so the exchange rate is one number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import ArrayLike

from testtime.errors import UserError
from testtime.laws.law import Floats, Law, Parameter, Term, power_sum, sigmoid
from testtime.laws.result import Fit
from testtime.laws.test_compute import CEILINGS, ODDS, reference

TRAIN_TO_TEST = power_sum(
    "train-to-test",
    [
        Term("A", (("N", "alpha"),)),
        Term("B", (("D", "beta"),)),
        Term("G", (("k", "gamma"),)),
        Term("E"),
    ],
    [
        Parameter("A", "positive", (1.0, 1e3, 1e6)),
        Parameter("B", "positive", (1.0, 1e3, 1e6)),
        Parameter("G", "positive", (0.1, 1.0, 10.0)),
        Parameter("E", "positive", (0.01, 0.3, 1.0)),
        Parameter("alpha", "free", (0.1, 0.3, 0.7)),
        Parameter("beta", "free", (0.1, 0.3, 0.7)),
        Parameter("gamma", "free", (0.1, 0.3, 0.7)),
    ],
    ["N", "D", "k"],
    "L",
    "Roberts et al. 2026: E + A/N^alpha + B/D^beta + G/k^gamma, L = -log pass@k",
)


def accuracy_surface(train: ArrayLike, test: ArrayLike, *, plateau: bool = False) -> Law:
    """Accuracy over (train FLOPs, test FLOPs a problem): logistic in both logarithms, as the
    test-compute law is in its own.

    References are the geometric means of the points. plateau: ceiling free instead of 1.
    """
    t0, i0 = reference(train), reference(test)
    inner = f"odds + train * ln(T / {t0:.4g}) + test * ln(I / {i0:.4g})"
    slopes = (0.1, 0.3, 1.0)
    shared = (
        Parameter("odds", "free", ODDS),
        Parameter("train", "free", slopes),
        Parameter("test", "free", slopes),
    )
    if not plateau:
        return Law(
            "surface",
            f"logit accuracy = {inner}",
            shared,
            ("T", "I"),
            "accuracy",
            "logistic in log training and log test compute",
            lambda p, x: sigmoid(p[0] + p[1] * np.log(x[0] / t0) + p[2] * np.log(x[1] / i0)),
        )
    return Law(
        "surface-plateau",
        f"accuracy = ceiling * sigmoid({inner})",
        (Parameter("ceiling", "unit", CEILINGS), *shared),
        ("T", "I"),
        "accuracy",
        "logistic in log training and log test compute, ceiling free",
        lambda p, x: p[0] * sigmoid(p[1] + p[2] * np.log(x[0] / t0) + p[3] * np.log(x[1] / i0)),
    )


@dataclass(frozen=True, slots=True)
class ExchangeRate:
    """test compute is multiplied by `value` [lo, hi] to make up for training with 1/factor of the
    compute, at equal accuracy.
    """

    value: float
    lo: float
    hi: float
    factor: float

    def __str__(self) -> str:
        return (
            f"training with 1/{self.factor:g} of the compute is made up by {self.value:.3g} times "
            f"the test compute "
            f"[{self.lo:.3g}, {self.hi:.3g}]"
        )


def exchange_rate(fit: Fit, *, factor: float = 10.0, level: float = 0.95) -> ExchangeRate:
    """How many times more test compute replaces all but 1/factor of the training compute, from a
    fitted `accuracy_surface`.

    factor^(train slope / test slope), constant over the surface. Where the test slope is not above
    0, infinite: no amount of test compute does. The interval is that of the fit's replicates; NaN
    without.
    """
    at = {name: i for i, name in enumerate(fit.law.names)}
    if not {"train", "test"} <= at.keys():
        raise UserError(
            f"an exchange rate needs a fit of a law of training and test compute, not of "
            f"{fit.law.name!r}"
        )

    def rate(values: Floats) -> Floats:
        up, across = values[..., at["train"]], values[..., at["test"]]
        with np.errstate(all="ignore"):
            result: Floats = np.where(across > 0, factor ** (up / across), np.inf)
        return result

    lo = hi = float("nan")
    if fit.replicates is not None:
        lo, hi = np.quantile(
            rate(fit.replicates), [(1 - level) / 2, (1 + level) / 2], method="inverted_cdf"
        )
    return ExchangeRate(float(rate(fit.values)), float(lo), float(hi), factor)


@dataclass(frozen=True, slots=True)
class Setting:
    """A way to reach an accuracy: N parameters trained on D tokens, a thinking budget, n samples;
    all costs in FLOPs.
    """

    N: float
    D: float
    budget: float
    n: int
    accuracy: float
    train_flops: float
    query_flops: float
    total_flops: float


def cheapest(
    accuracy: Callable[[float, Floats, float, int], Floats],
    target: float,
    queries: float,
    *,
    sizes: Sequence[float],
    tokens: Sequence[float],
    budgets: Sequence[float],
    samples: Sequence[int],
    query_flops: Callable[[float, float, int], float] | None = None,
) -> Setting:
    """The (N, D, budget, n) that reaches `target` accuracy with the least training plus inference
    compute over `queries` problems.

    accuracy: of (N, array of D, budget, n), rising in D; the least D between two of `tokens` is
    found to 1e-9, the others are searched. query_flops: of (N, budget, n), FLOPs a problem; default
    2 N budget n. Training costs 6 N D. Raises UserError where nothing in the search reaches the
    target, with the best there is.
    """
    spend = query_flops or (lambda size, budget, n: 2 * size * budget * n)
    grid = np.asarray(sorted(tokens), dtype=np.float64)
    best: Setting | None = None
    highest = -np.inf
    for size, budget, n in product(sizes, budgets, samples):
        reached = np.asarray(accuracy(size, grid, budget, n), dtype=np.float64)
        highest = max(highest, float(reached.max()))
        first = int(np.argmax(reached >= target))
        if reached[first] < target:
            continue
        D = float(grid[first])
        low = float(grid[first - 1]) if first else D
        while low * (1 + 1e-9) < D:
            between = np.geomspace(low, D, 64)
            at = int(np.argmax(np.asarray(accuracy(size, between, budget, n)) >= target))
            low, D = float(between[max(at - 1, 0)]), float(between[at])
        train, query = 6.0 * size * D, float(spend(size, budget, n))
        if best is None or train + queries * query < best.total_flops:
            got = float(np.asarray(accuracy(size, np.array([D]), budget, n))[0])
            best = Setting(size, D, budget, n, got, train, query, train + queries * query)
    if best is None:
        raise UserError(
            f"accuracy {target:g} is not reached by any of these settings; the highest is "
            f"{highest:.4f}"
        )
    return best


def train_to_test_accuracy(
    values: Mapping[str, float],
) -> Callable[[float, Floats, float, int], Floats]:
    """pass@k of a fitted `TRAIN_TO_TEST` law as `cheapest` takes it: k samples, whatever the
    budget.
    """

    def accuracy(N: float, D: Floats, budget: float, n: int) -> Floats:
        result: Floats = np.exp(-TRAIN_TO_TEST(values, N=N, D=D, k=float(n)))
        return result

    return accuracy
