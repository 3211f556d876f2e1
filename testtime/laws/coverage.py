"""Coverage, pass@k against k: the mean over problems, and the spread of problems behind it.

A mean pass@k that falls like a power law in -log comes from a heavy tail of hard problems
(Schaeffer et al. 2025): each problem alone fails exponentially, (1 - p)^k. A beta distribution of
p, fitted by maximum likelihood to the counts, gives that tail's exponent (alpha) without needing
large k.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from testtime.errors import UserError
from testtime.estimators.selection import pass_at_k
from testtime.estimators.table import pools
from testtime.laws.law import Floats

if TYPE_CHECKING:
    import pandas as pd

GAIN = 2.0  # log-likelihood that a third parameter has to bring


@dataclass(frozen=True, slots=True)
class BetaBinomial:
    """Problems' success rates as scale * Beta(alpha, beta), by maximum likelihood.

    replicates: (resamples, 3) of (alpha, beta, scale) from resampled problems, or None.
    """

    alpha: float
    beta: float
    scale: float
    log_likelihood: float
    replicates: Floats | None = None

    def coverage(self, k: ArrayLike) -> Floats:
        """Expected pass@k: 1 - E[(1 - scale * u)^k], u ~ Beta(alpha, beta)."""
        from scipy.special import betaln

        a, b, size = self.alpha, self.beta, np.asarray(k, dtype=np.float64)
        if self.scale == 1:
            missed = betaln(a, b + size) - betaln(a, b)
        else:
            never = np.zeros(size.size)
            missed = _log_scaled(a, b, self.scale, never, size.ravel()).reshape(size.shape)
        result: Floats = -np.expm1(missed)
        return result

    def interval(self, level: float = 0.95) -> dict[str, tuple[float, float]]:
        """Percentile intervals. Raises UserError where no resamples were drawn."""
        if self.replicates is None:
            raise UserError("intervals of a beta-binomial fit need resamples > 0")
        lo, hi = np.quantile(self.replicates, [(1 - level) / 2, (1 + level) / 2], axis=0)
        ends = zip(lo.tolist(), hi.tolist(), strict=True)
        return dict(zip(("alpha", "beta", "scale"), ends, strict=True))

    def band(self, k: float, level: float = 0.95) -> tuple[float, float]:
        """Percentile interval of expected pass@k; NaN where no resamples were drawn."""
        from scipy.special import betaln

        if self.replicates is None:
            return float("nan"), float("nan")
        a, b, _ = self.replicates.T
        drawn = -np.expm1(betaln(a, b + k) - betaln(a, b))
        lo, hi = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
        return float(lo), float(hi)


def beta_binomial(
    correct: ArrayLike, total: ArrayLike, *, resamples: int = 0, seed: int = 0
) -> BetaBinomial:
    """Maximum likelihood of (alpha, beta) from correct counts out of total, one a problem (Kazdan
    et al. 2025; Schaeffer et al. 2025).

    resamples: bootstrap over problems, all fitted at once. Counts spread no wider than one
    binomial's have their maximum at infinity: alpha and beta come back very large, in the ratio of
    the rate. Raises UserError for counts that are no counts, where no problem, or every problem,
    was always solved, and where none has two samples.
    """
    c, n, weights = _counts(correct, total, resamples, seed)
    rate = float((weights[0] @ c) / (weights[0] @ n))
    starts = np.array(
        [(np.log(m * rate), np.log(m * (1 - rate))) for m in (0.1, 0.3, 1.0, 3.0, 10.0)]
    )
    main = _newton(starts, np.repeat(weights[:1], len(starts), axis=0), c, n)
    best = main[0][np.argmax(main[1])]
    drawn = None
    if resamples:
        theta, _ = _newton(np.repeat(best[None], resamples, axis=0), weights[1:], c, n)
        drawn = np.column_stack([np.exp(theta), np.ones(resamples)])
    return BetaBinomial(
        float(np.exp(best[0])), float(np.exp(best[1])), 1.0, float(main[1].max()), drawn
    )


def scaled_beta_binomial(correct: ArrayLike, total: ArrayLike) -> BetaBinomial:
    """The same with a largest success rate `scale` below 1, also free: for tasks whose best
    problems are not sure either.

    Three parameters, by Nelder and Mead; where the scale is not called for, the plain fit comes
    back.
    """
    from scipy.optimize import minimize

    c, n, weights = _counts(correct, total, 0, 0)
    plain = beta_binomial(correct, total)
    highest = float((c / n).max())

    def loss(theta: Floats) -> float:
        if np.any(np.abs(theta) > 30):
            return float("inf")
        scale = float(1 / (1 + np.exp(-theta[2])))
        value = _log_scaled(float(np.exp(theta[0])), float(np.exp(theta[1])), scale, c, n)
        missed = -float(weights[0] @ value)
        return missed if np.isfinite(missed) else float("inf")

    scale = min(0.98, max(highest * 1.02, 0.05))
    start = np.array(
        [np.log(plain.alpha), np.log(min(plain.beta, 10.0)), np.log(scale / (1 - scale))]
    )
    best = minimize(
        loss, start, method="Nelder-Mead", options={"xatol": 1e-4, "fatol": 1e-6, "maxiter": 600}
    )
    if -float(best.fun) <= plain.log_likelihood + 1e-4:  # no better than rounding
        return plain
    alpha, beta = np.exp(best.x[:2])
    return BetaBinomial(
        float(alpha), float(beta), float(1 / (1 + np.exp(-best.x[2]))), -float(best.fun)
    )


def counts(
    table: pd.DataFrame, budget: float | None = None, name: str = "the table"
) -> tuple[Floats, Floats]:
    """(correct, total), a number a problem, of a table with these columns, or of one model's scores
    table at one budget (default: the largest), called `name`. Raises UserError for other tables.
    """
    if {"correct", "total"} <= set(table.columns):
        return table["correct"].to_numpy(np.float64), table["total"].to_numpy(np.float64)
    groups = [p for p in pools(table) if budget is None or p.budget == budget]
    top = max((p.budget for p in groups), default=float("nan"))
    chosen = [p for p in groups if p.budget == top or np.isnan(top)]
    if len(chosen) != 1:
        there = sorted({f"{p.model} {p.setting} budget {p.budget:g}" for p in groups}) or ["none"]
        raise UserError(
            f"{name}: coverage is of one model, setting and budget; here are {', '.join(there)}"
        )
    known = ~np.isnan(chosen[0].score)
    return np.nansum(chosen[0].score, axis=1), known.sum(axis=1).astype(np.float64)


def report(correct: ArrayLike, total: ArrayLike, *, resamples: int = 1000, seed: int = 0) -> str:
    """Coverage in words: pass@k as measured, by the beta-binomial law with its interval, and beyond
    the samples. Raises UserError as `beta_binomial`.
    """
    c, n = np.asarray(correct, dtype=np.float64), np.asarray(total, dtype=np.float64)
    law = beta_binomial(c, n, resamples=resamples, seed=seed)
    scaled = scaled_beta_binomial(c, n)
    lines = [f"coverage of {len(c)} problems, {n.min():g} to {n.max():g} samples each"]
    ends = law.interval()
    for name, value in (("alpha", law.alpha), ("beta", law.beta)):
        lines.append(f"{name:<8}{value:>10.4g}   [{ends[name][0]:.4g}, {ends[name][1]:.4g}]")
    if scaled.log_likelihood - law.log_likelihood > GAIN:
        lines.append(
            f"better with a largest success rate of {scaled.scale:.3g}: no problem is sure"
        )
        law = replace(scaled, replicates=None)
    lines.append(f"{'k':>8}{'measured':>10}{'law':>8}   95 % interval of the law")
    top = int(n.min())
    inside = [1 << i for i in range(top.bit_length())]
    for k in [*inside, 10 * top, 100 * top]:
        seen = f"{np.mean(pass_at_k(c, n, k)):.4f}" if k <= top else "beyond"
        lo, hi = law.band(k)
        sure = f"   [{lo:.4f}, {hi:.4f}]" if np.isfinite(lo) else ""
        lines.append(f"{k:>8}{seen:>10}{float(law.coverage(k)):>8.4f}{sure}")
    return "\n".join(lines)


def _counts(
    correct: ArrayLike, total: ArrayLike, resamples: int, seed: int
) -> tuple[Floats, Floats, Floats]:
    """Distinct (correct, total) pairs and how many problems have each: weights (1 + resamples,
    pairs), the data first.
    """
    c, n = np.asarray(correct, dtype=np.float64), np.asarray(total, dtype=np.float64)
    if c.shape != n.shape or not np.all((c >= 0) & (c <= n)) or not len(c):
        raise UserError(
            "beta-binomial: needs as many totals as correct counts, with 0 <= correct <= total, "
            "none blank"
        )
    if n.max() < 2:
        raise UserError(
            "beta-binomial: one sample a problem cannot tell hard problems from bad luck; at "
            "least two"
        )
    if c.sum() == 0 or np.all(c == n):
        raise UserError(
            "beta-binomial: every count is 0, or every one is full; there is no spread to fit"
        )
    pairs, member = np.unique(np.column_stack([c, n]), axis=0, return_inverse=True)
    member = member.ravel()
    rng = np.random.default_rng(seed)
    draws = [member, *(member[rng.integers(0, len(c), len(c))] for _ in range(resamples))]
    weights = np.array([np.bincount(d, minlength=len(pairs)) for d in draws], dtype=np.float64)
    return pairs[:, 0], pairs[:, 1], weights


def _newton(theta: Floats, weights: Floats, c: Floats, n: Floats) -> tuple[Floats, Floats]:
    """Maximise the weighted log-likelihood in (log alpha, log beta) for a whole batch: (theta
    (batch, 2), value (batch,)).
    """
    from scipy.special import betaln, digamma, gammaln, polygamma

    choose = gammaln(n + 1) - gammaln(c + 1) - gammaln(n - c + 1)

    def value(theta: Floats) -> Floats:
        a, b = np.exp(theta[:, :1]), np.exp(theta[:, 1:])
        terms = choose + betaln(a + c, b + n - c) - betaln(a, b)
        result: Floats = np.einsum("bn,bn->b", terms, weights)
        return result

    def derivatives(theta: Floats) -> tuple[Floats, NDArray[np.float64]]:
        a, b = np.exp(theta[:, :1]), np.exp(theta[:, 1:])
        shared = digamma(a + b) - digamma(a + b + n)
        bent = polygamma(1, a + b) - polygamma(1, a + b + n)
        first = [digamma(a + c) - digamma(a) + shared, digamma(b + n - c) - digamma(b) + shared]
        second = [
            polygamma(1, a + c) - polygamma(1, a) + bent,
            polygamma(1, b + n - c) - polygamma(1, b) + bent,
        ]
        g = np.stack([(f * weights).sum(axis=1) for f in first], axis=1) * np.exp(theta)
        h = np.empty((len(theta), 2, 2))
        h[:, 0, 0], h[:, 1, 1] = ((s * weights).sum(axis=1) for s in second)
        h[:, 0, 1] = h[:, 1, 0] = (bent * weights).sum(axis=1)
        scale = np.exp(theta)
        h *= scale[:, :, None] * scale[:, None, :]
        h[:, [0, 1], [0, 1]] += g  # chain rule of the logarithm
        return g, h

    best, damping = value(theta), np.full(len(theta), 1e-3)
    for _ in range(100):
        g, h = derivatives(theta)
        values, vectors = np.linalg.eigh(-h)
        flat = np.maximum(np.abs(values), 1e-8 * np.abs(values).max(axis=1, keepdims=True)) * (
            1 + damping[:, None]
        )
        step = np.einsum("bij,bj->bi", vectors, np.einsum("bji,bj->bi", vectors, g) / flat)
        step = np.clip(step, -2, 2)
        trial = theta + step
        new = value(trial)
        good = new >= best
        theta, best = np.where(good[:, None], trial, theta), np.where(good, new, best)
        damping = np.where(good, damping / 10, np.maximum(damping, 1e-3) * 10)
        if np.all((np.abs(step).max(axis=1) < 1e-10) | (damping > 1e12)):
            break
    return theta, best


def _log_scaled(alpha: float, beta: float, scale: float, c: Floats, n: Floats) -> Floats:
    """Log-probability of c out of n when p = scale * u with u ~ Beta(alpha, beta), for each pair.

    The trapezoidal rule in t = logit u, where the integrand is smooth and falls off exponentially
    on both sides; a step of one standard deviation of the sharpest binomial peak leaves an error of
    about 1e-9. What lies beyond the ends is added in closed form, which matters for c = 0 and small
    alpha.
    """
    from scipy.special import betaln, gammaln, logsumexp

    rate = (c + 0.5) / (n + 1)
    step = float(np.clip((1 / np.sqrt(n * rate * (1 - rate))).min(), 1e-3, 0.1))
    low, high = -np.log(n.max()) - 30.0, 35.0
    t = np.arange(low, high + step, step)
    log_u, log_rest = -np.logaddexp(0, -t), -np.logaddexp(0, t)
    log_q = np.log1p(-scale * np.exp(log_u)) if scale < 1 else log_rest
    prior = alpha * log_u + beta * log_rest + np.log(step)
    prior[[0, -1]] -= np.log(2)  # the ends count half
    terms = c[:, None] * (np.log(scale) + log_u) + (n - c)[:, None] * log_q + prior
    left = (alpha + c) * low + c * np.log(scale) - np.log(alpha + c)
    right = (
        c * np.log(scale)
        + (n - c) * (np.log1p(-scale) if scale < 1 else -high)
        - beta * t[-1]
        - np.log(beta)
    )
    total: Floats = np.logaddexp(logsumexp(terms, axis=1), np.logaddexp(left, right))
    result: Floats = (
        total + gammaln(n + 1) - gammaln(c + 1) - gammaln(n - c + 1) - betaln(alpha, beta)
    )
    return result
