"""The compute-optimal model: what a budget of FLOPs is best spent on, from a law or from runs alone
(approaches 1 to 3).

With the model's use counted in (Sardana et al. 2024), and with data that runs out (Muennighoff et
al. 2023). FLOPs are 6 N D throughout, in float64: as integers they overflow 64 bits at today's
sizes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from testtime.errors import UserError
from testtime.laws.law import Floats

FLOPS_PER = 6.0  # FLOPs a parameter and token in training
MUENNIGHOFF: Mapping[str, float] = {  # et al. 2023, appendix A; A, B, E were fitted as logarithms
    "A": float(np.exp(6.255414)),
    "B": float(np.exp(7.3049974)),
    "E": float(np.exp(0.6254804)),
    "alpha": 0.3526596,
    "beta": 0.3526596,
    "R_D": 15.387756,
    "R_N": 5.309743,
}
# computes that differ by less, relatively, are one budget: tokens are rounded where they are
# written down
SAME = 2e-3
OMEGA = 47491.0  # Pearce and Song 2024, eq. 10: fitted to the Chinchilla models (vocabulary 32,000)


@dataclass(frozen=True, slots=True)
class Optimum:
    """Compute-optimal parameters N and tokens D at C FLOPs, and the loss there (NaN where only runs
    were used).
    """

    C: Floats
    N: Floats
    D: Floats
    loss: Floats

    @property
    def ratio(self) -> Floats:
        """Tokens a parameter."""
        return self.D / self.N


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


def parametric(values: Mapping[str, Any], C: ArrayLike) -> Optimum:
    """Approach 3: the minimum of E + A/N^alpha + B/D^beta on 6 N D = C (Hoffmann et al. 2022, eq.
    4). values: numbers, or arrays that broadcast with C.
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


def power_law(x: ArrayLike, y: ArrayLike, weights: ArrayLike | None = None) -> PowerLaw:
    """Least squares of log y on log x; points that lack either are left out.

    weights: (n,), of each point, such as 1 / variance of log y; only their ratios count. Raises
    UserError with fewer than two points, and for values or weights that are not above 0.
    """
    u, v = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    w = np.ones_like(u) if weights is None else np.asarray(weights, dtype=np.float64)
    known = ~(np.isnan(u) | np.isnan(v) | np.isnan(w))
    u, v, w = u[known], v[known], w[known]
    if not (np.all(u > 0) and np.all(v > 0) and np.all(w > 0)):
        raise UserError("a power law needs values above 0 on both axes, and weights above 0")
    if len(u) < 2:
        raise UserError(f"a power law needs at least two points, got {len(u)}")
    a, b, w = np.log(u), np.log(v), w / w.mean()
    middle, height = float(w @ a / w.sum()), float(w @ b / w.sum())
    da, db = a - middle, b - height
    square, total = float(w @ da**2), float(w @ db**2)
    slope = float(w @ (da * db)) / square
    rest = float(w @ (db - slope * da) ** 2)
    se = float(np.sqrt(rest / (len(a) - 2) / square)) if len(a) > 2 else float("nan")
    scale = float(np.exp(height - slope * middle))
    return PowerLaw(slope, scale, se, 1 - rest / total if total else 1.0)


def with_inference(values: Mapping[str, float], N: float, queries: float) -> tuple[float, float]:
    """(parameters, tokens) of the cheapest model as good as the compute-optimal one of N
    parameters, training and the `queries` tokens it will read and write counted: 6 N D + 2 N
    queries (Sardana et al. 2024, eq. 3). values: A, B, alpha, beta.
    """
    from scipy.optimize import brentq

    A, B, alpha, beta = (values[k] for k in ("A", "B", "alpha", "beta"))
    excess = A / N**alpha + B / float(tokens_for(values, N)) ** beta  # loss above E

    def tokens(size: float) -> float:
        return float((B / (excess - A / size**alpha)) ** (1 / beta))

    def slope(log_size: float) -> float:
        """d FLOPs / d N: rises from minus infinity at the smallest size that is good enough."""
        size = float(np.exp(log_size))
        by_size = A * size**-alpha
        training = 6 * tokens(size) * (1 - alpha * by_size / (beta * (excess - by_size)))
        return float(training + 2 * queries)

    low = np.log(A / excess) / alpha
    best = float(np.exp(brentq(slope, low + 1e-9, low + 60.0, xtol=1e-13)))
    return best, tokens(best)


def repeated_data_loss(
    values: Mapping[str, float], N: ArrayLike, D: ArrayLike, unique: ArrayLike
) -> Floats:
    """Loss of N parameters on D tokens of which `unique` are distinct (Muennighoff et al. 2023,
    eqs. 5 to 8).

    values: A, B, E, alpha, beta, and R_D, R_N, the repetitions at which another epoch, or another
    parameter, is worth 1/e of a fresh one. Tokens seen R + 1 times count as U + U R_D (1 - exp(-R /
    R_D)); parameters beyond the compute-optimal number for the unique data likewise.
    """
    A, B, alpha, beta = (values[k] for k in ("A", "B", "alpha", "beta"))
    size, total, fresh = (np.asarray(v, dtype=np.float64) for v in (N, D, unique))
    used = np.minimum(fresh, total)
    fitting = np.minimum((alpha * A / (beta * B) * used**beta) ** (1 / alpha), size)
    worth = [
        base - base * scale * np.expm1(-(whole / base - 1) / scale)
        for whole, base, scale in ((size, fitting, values["R_N"]), (total, used, values["R_D"]))
    ]
    loss: Floats = values["E"] + A / worth[0] ** alpha + B / worth[1] ** beta
    return loss


def non_embedding_exponent(values: Mapping[str, float]) -> float:
    """The slope of log N* on log C that a study which counts parameters without embeddings, as
    Kaplan et al. did, would find, were a Hoffmann law true (Pearce and Song 2024, section 4, on
    their grid of sizes, computes and logged tokens; total = N + OMEGA N^(1/3), their eq. 10).
    """
    N, C, logged = (
        np.logspace(2.9, 9.2, 20),
        np.logspace(12.95, 20.7, 100),
        np.logspace(6, 25, 1000),
    )
    wanted = C / FLOPS_PER / N[:, None]
    right = np.clip(np.searchsorted(logged, wanted), 1, len(logged) - 1)
    nearer = np.abs(logged[right] - wanted) < np.abs(logged[right - 1] - wanted)
    D = np.where(nearer, logged[right], logged[right - 1])
    total = (N + OMEGA * np.cbrt(N))[:, None]
    loss = values["A"] / total ** values["alpha"] + values["B"] / D ** values["beta"]
    return power_law(C, N[loss.argmin(axis=0)]).slope


def report(name: str, values: Mapping[str, float], C: float, queries: float, unique: float) -> str:
    """What a budget of C FLOPs is best spent on by a law's constants, in words; queries: tokens
    that the model will read and write, 0 none; unique: distinct tokens there are, 0 enough.
    """
    best = parametric(values, C)
    lines = [
        f"{name}: at {C:.4g} FLOPs N = {float(best.N):.4g}, D = {float(best.D):.4g} (D/N "
        f"{float(best.ratio):.4g}), loss {float(best.loss):.4f}; N is proportional to "
        f"C^{values['beta'] / (values['alpha'] + values['beta']):.4f}, and counted without "
        f"embeddings it would seem C^{non_embedding_exponent(values):.4f}"
    ]
    if queries:
        N, D = with_inference(values, float(best.N), queries)
        saved = FLOPS_PER * (float(best.N * best.D) - N * D) + 2 * queries * (float(best.N) - N)
        lines.append(
            f"used for {queries:.4g} tokens, as good and cheapest: N = {N:.4g}, D = {D:.4g} (D/N "
            f"{D / N:.4g}), which saves {saved:.4g} FLOPs"
        )
    if unique:
        once, often = (
            float(repeated_data_loss(MUENNIGHOFF, best.N, best.D, u)) for u in (best.D, unique)
        )
        lines.append(
            f"of {unique:.4g} distinct tokens, {float(best.D) / unique:.3g} epochs: loss "
            f"{often:.4f}, against {once:.4f} of as many fresh ones (Muennighoff et al. 2023)"
        )
    return "\n".join(lines)
