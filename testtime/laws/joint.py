"""Train more, or think more: what training compute is worth in test compute, over several models.

Each model gives a curve of accuracy against test FLOPs, logistic in their logarithm; across models
the curves' heights follow the logarithm of training FLOPs. So curves of equal accuracy are straight
in both logarithms and the exchange rate is one number. Models differ by more than their compute
(data, recipe, luck): they are the sample here, not the problems, so their scatter is in the
interval, and fewer than five say nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from testtime.errors import UserError
from testtime.estimators.intervals import bootstrap_weights, weighted_means
from testtime.laws.curves import Curve
from testtime.laws.curves import from_scores as along_compute
from testtime.laws.fit import SPARE, fit
from testtime.laws.law import Floats, sigmoid
from testtime.laws.result import SELDOM
from testtime.laws.test_compute import logistic, reference

if TYPE_CHECKING:
    import pandas as pd

LEAST_MODELS = 5


@dataclass(frozen=True)
class Exchange:
    """test compute is multiplied by `value` [lo, hi] to make up for training with 1/factor of the
    compute, at equal accuracy.

    models: name, training FLOPs, log-odds at the common test compute, its slope by log test FLOPs;
    scatter: standard deviation of models around the line, in log-odds, beyond the noise of their
    points; rejected: models whose curve is not logistic.
    """

    value: float
    lo: float
    hi: float
    factor: float
    models: tuple[tuple[str, float, float, float], ...]
    scatter: float
    rejected: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"training with 1/{self.factor:g} of the compute is made up by {self.value:.3g} times "
            f"the test compute [{self.lo:.3g}, {self.hi:.3g}] ({len(self.models)} models, which "
            f"scatter by {self.scatter:.2g} in log-odds)"
        )

    def report(self) -> str:
        lines = [str(self)]
        if self.rejected:
            lines.append(
                f"not to be trusted: the curve of {', '.join(self.rejected)} is not logistic"
            )
        lines.append(f"{'model':<32}{'training FLOPs':>16}{'log-odds':>10}{'slope':>8}")
        lines += [f"{name:<32}{t:>16.3g}{o:>10.2f}{s:>8.3f}" for name, t, o, s in self.models]
        return "\n".join(lines)


def from_scores(
    scores: pd.DataFrame, train_flops: Mapping[str, float], *, factor: float = 10.0
) -> Exchange:
    """`exchange` of the models of a scores table, along their budgets or settings. Raises UserError
    as it does, and for a table without test FLOPs.
    """
    known = scores[scores["model"].isin(train_flops)] if "model" in scores else scores.iloc[:0]
    models = known["model"].nunique() if len(known) else 0
    if models < LEAST_MODELS:
        raise UserError(_too_few(models))
    lines = [c for c in along_compute(known, ("oracle",)) if c.selector == "mean"]
    if any(c.axis != "flops" for c in lines) or {c.model for c in lines} < set(known["model"]):
        raise UserError("an exchange rate needs a column 'flops' above 0 on every sample")
    return exchange(lines, train_flops, factor=factor)


def _too_few(models: int) -> str:
    return f"it needs {LEAST_MODELS} models whose training FLOPs are known, here are {models}"


def exchange(
    curves: Sequence[Curve],
    train_flops: Mapping[str, float],
    *,
    factor: float = 10.0,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Exchange:
    """factor^(slope by log training FLOPs / slope by log test FLOPs).

    curves: along test FLOPs, one a model, with `problems`, the same for all; train_flops: by model
    name. Log-odds at the common test compute are regressed on log training FLOPs with
    random-effects weights and Knapp and Hartung's (2003) variance; the slope by test compute is the
    models' weighted mean; the interval of their ratio is Fieller's (1954), open where test compute
    may buy nothing. Raises UserError for fewer than five models with training FLOPs, and for models
    that were asked different problems or at one budget.
    """
    from scipy.special import stdtrit

    known = [c for c in curves if train_flops.get(c.model, 0.0) > 0 and c.problems is not None]
    if len(known) < LEAST_MODELS:
        raise UserError(_too_few(len(known)))
    pools = [c.problems for c in known if c.problems is not None]
    count = len(pools[0][0])
    if any(len(x) != count or np.isnan(y).any() for x, y in pools):
        raise UserError("the models were asked different problems")
    centre = reference(np.concatenate([c.x for c in known]))
    weights = np.vstack([np.ones((1, count)), bootstrap_weights(count, resamples, seed)])
    lines = []
    for c, (x, y) in zip(known, pools, strict=True):
        if len(c.x) < 2:
            raise UserError(f"{c.model}: one budget shows no slope by test compute")
        cost = np.log(weighted_means(weights, x) / centre)
        lines.append(_line(cost, weighted_means(weights, y), count))
    odds, slope = np.moveaxis(np.array(lines), -1, 0)  # (models, 1 + resamples) each
    train = np.log([train_flops[c.model] for c in known])
    noise = odds[:, 1:].var(axis=1)
    up, up_se, scatter = _random_effects(train - train.mean(), odds[:, 0], noise)
    across, across_se = _weighted_mean(slope)
    ratio = up / across
    parts = np.array([up_se, ratio * across_se]) ** 2
    freedom = parts.sum() ** 2 / (parts**2 / [len(known) - 2, count - 1]).sum()
    lo, hi = _fieller(up, up_se, across, across_se, float(stdtrit(freedom, (1 + level) / 2)))
    with np.errstate(over="ignore"):
        value, low, high = (float(factor**v) for v in (ratio if across > 0 else np.inf, lo, hi))
    rows = zip(known, train, odds[:, 0], slope[:, 0], strict=True)
    models = tuple((c.model, float(np.exp(t)), float(o), float(s)) for c, t, o, s in rows)
    return Exchange(value, low, high, factor, models, scatter, _not_logistic(known))


def _line(x: Floats, y: Floats, problems: int) -> Floats:
    """Intercept and slope of logit y on x by binomial quasi-likelihood, for each row of (rows, n):
    (rows, 2). Half a problem is added on either side, so that 0 and 1 have finite log-odds.
    """
    share = (y * problems + 0.5) / (problems + 1)
    design = np.stack([np.ones_like(x), x], axis=-1)
    line = np.zeros((len(x), 2))
    for _ in range(25):
        p = sigmoid(np.einsum("rni,ri->rn", design, line))
        bend = np.einsum("rn,rni,rnj->rij", p * (1 - p) + 1e-9, design, design)
        step = np.linalg.solve(bend, np.einsum("rn,rni->ri", share - p, design)[..., None])[..., 0]
        line += np.clip(step, -2, 2)
    return line


def _random_effects(x: Floats, y: Floats, noise: Floats) -> tuple[float, float, float]:
    """(slope, Knapp and Hartung's standard error, tau) of y on x, each (models,), whose rows
    scatter by tau beyond `noise`; tau as Paule and Mandel's.
    """
    design, freedom = np.column_stack([np.ones_like(x), x]), len(x) - 2

    def at(tau2: float) -> tuple[Floats, Floats, float]:
        weights = 1 / (noise + tau2 + 1e-12)
        inverse = np.linalg.inv((design.T * weights) @ design).astype(np.float64)
        line = inverse @ (design.T * weights) @ y
        return line, inverse, float(weights @ (y - design @ line) ** 2)

    low, high = 0.0, float(np.var(y)) * len(y) + 1e-9
    if at(0.0)[2] <= freedom:
        high = 0.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if at(middle)[2] > freedom else (low, middle)
    line, inverse, misfit = at(high)
    return float(line[1]), float(np.sqrt(inverse[1, 1] * misfit / freedom)), float(np.sqrt(high))


def _weighted_mean(slope: Floats) -> tuple[float, float]:
    """(mean, standard error) over models of (models, 1 + resamples), the points first: from the
    resamples, which the models share, or from the models' scatter where that is larger.
    """
    weights = 1 / (slope[:, 1:].var(axis=1) + 1e-12)
    mean = weights @ slope / weights.sum()
    scatter = weights @ (slope[:, 0] - mean[0]) ** 2 / (len(slope) - 1) / weights.sum()
    return float(mean[0]), float(max(mean[1:].std(), np.sqrt(scatter)))


def _fieller(a: float, a_se: float, b: float, b_se: float, t: float) -> tuple[float, float]:
    """Interval of a / b for independent a and b; without ends where b may be 0."""
    square = b * b - (t * b_se) ** 2
    if square <= 0 or b <= 0:
        return -np.inf, np.inf
    root = np.sqrt(max((a * b) ** 2 - square * (a * a - (t * a_se) ** 2), 0.0))
    return float((a * b - root) / square), float((a * b + root) / square)


def _not_logistic(curves: Sequence[Curve]) -> tuple[str, ...]:
    """Models whose points reject a logistic curve, allowing for how many were tested."""
    p_values = {}
    for c in curves:
        if len(c.x) >= 2 + SPARE and c.problems is not None:
            law = logistic(reference(c.x))
            each = ({"x": c.problems[0]}, c.problems[1])
            tested = fit(law, {"x": c.x}, c.y, covariance=c.covariance, problems=each)
            p_values[c.model] = tested.p_value
    return tuple(name for name, p in p_values.items() if p * len(p_values) < SELDOM)
