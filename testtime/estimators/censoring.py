"""How much of a score is the cap: what a model would score if its capped chains could have gone on.

A chain that the cap cut is censored: its length is only known to exceed the cap. Bounds assume
nothing (every capped chain would end wrong, or right). The estimate assumes a form, which is said:
lengths of a problem's chains are log-normal, its mean varying between problems (a censored normal
with random effects, fitted by expectation-maximisation); and a chain that ends at length l is right
with log-odds c0 + c1 (log l - mu) + c2 mu, mu the problem's mean log length, fitted on chains that
ended. So longer chains of a problem, and problems with longer chains, may be right more or less
often. It extrapolates: where most
chains are capped, the bounds are the answer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from testtime.errors import UserError
from testtime.estimators.intervals import bootstrap_weights, mean_interval
from testtime.estimators.table import Pool, path_tokens, pools

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

ROUNDS, SHORT = 100, 10  # of expectation-maximisation: from scratch, and from the data's own fit
MOST = 0.5  # share of capped chains up to which an estimate is given
NODES = 12  # quantiles of a capped chain's length beyond the cap


def cap_effect(
    scores: pd.DataFrame,
    *,
    capped: str | None = None,
    resamples: int = 200,
    seed: int = 0,
    level: float = 0.95,
) -> pd.DataFrame:
    """One row a model, setting and budget: how much of its accuracy the cap decides.

    capped: a boolean column that says which chains were cut (None: `forced` where there is one,
    else `truncated`). Columns: model, setting, budget; value, lo, hi, as scored; capped, share of
    chains cut; capped_value, accuracy of what was answered for these; lower, upper: bounds if they
    could have gone on; uncapped with uncapped_lo and uncapped_hi: estimate from lengths (NaN where
    nothing or more than half was capped, or fewer than 10 chains ended right or wrong); problems.
    Raises UserError
    where the table has neither such a column nor lengths.
    """
    import pandas as pd

    column = capped or next((c for c in ("forced", "truncated") if c in scores), None)
    if column is None or column not in scores:
        raise UserError(
            f"cap: needs a column {capped or 'forced'!r} that says which chains were cut"
        )
    table = scores.assign(**{column: scores[column].fillna(False).astype(float)})
    rows = []
    for pool in pools(table):
        cut = pool.columns[column] > 0
        known = ~np.isnan(pool.score)
        value, lo, hi = (float(x) for x in mean_interval(_row_mean(pool.score, known), level))
        share = float(_row_mean(cut.astype(np.float64), known).mean())
        row = {"model": pool.model, "setting": pool.setting, "budget": pool.budget}
        row |= {"value": value, "lo": lo, "hi": hi, "capped": share}
        mine = cut & known
        row["capped_value"] = float(pool.score[mine].mean()) if mine.any() else np.nan
        row["lower"] = float(_row_mean(np.where(cut, 0.0, pool.score), known).mean())
        row["upper"] = float(_row_mean(np.where(cut, 1.0, pool.score), known).mean())
        names = ("uncapped", "uncapped_lo", "uncapped_hi")
        row |= dict(zip(names, _uncapped(pool, cut, resamples, seed, level), strict=True))
        rows.append(row | {"problems": len(pool.problems)})
    result = pd.DataFrame(rows)
    result["budget"] = result["budget"].astype("Float64")
    return result


def _uncapped(
    pool: Pool, cut: Flags, resamples: int, seed: int, level: float
) -> tuple[float, float, float]:
    """The estimate with its percentile interval over problems."""
    nothing = (np.nan,) * 3
    length = path_tokens(pool)
    known = ~np.isnan(pool.score) & ~np.isnan(length) & (length > 0)
    ended = known & ~cut
    right = pool.score[ended]
    few = min((right > 0.5).sum(), (right <= 0.5).sum()) < 10
    if few or not 0 < (cut & known).sum() <= MOST * known.sum():
        return nothing
    log = np.where(known, np.log(np.maximum(length, 1.0)), 0.0)
    weights = np.vstack([np.ones(len(log)), bootstrap_weights(len(log), resamples, seed)])
    start = lengths(log, known, cut & known, weights[0])
    values = np.array([_estimate(pool.score, log, known, cut & known, w, start) for w in weights])
    lo, hi = np.percentile(values[1:], [50 * (1 - level), 50 * (1 + level)])
    return float(values[0]), float(lo), float(hi)


def _estimate(
    score: Floats, log: Floats, known: Flags, cut: Flags, weight: Floats, start: Lengths
) -> float:
    """Accuracy if capped chains went on, problems weighted; arrays (problems, samples)."""
    from scipy.special import ndtr, ndtri

    kept = np.flatnonzero(weight > 0)
    score, log, weight = score[kept], log[kept], weight[kept]
    known, cut = known[kept], cut[kept]
    start = replace(start, mean=start.mean[kept])
    fitted = lengths(log, known, cut, weight, start, SHORT)
    ended = known & ~cut
    typical = np.broadcast_to(fitted.mean[:, None], log.shape)
    features = np.stack([np.ones_like(log), log - typical, typical - fitted.centre], axis=-1)
    each = np.broadcast_to(weight[:, None], log.shape)
    theta = _regression(features[ended], score[ended], each[ended])
    # how far a capped chain's log length lies above the mean: equal shares of the normal's tail
    at = (log[cut] - typical[cut]) / fitted.sigma
    tail = ndtr(-at)[:, None] * ((np.arange(NODES) + 0.5) / NODES)
    beyond = np.maximum(-ndtri(np.maximum(tail, 1e-300)), at[:, None]) * fitted.sigma
    logit = theta[0] + theta[1] * beyond + theta[2] * (typical[cut] - fitted.centre)[:, None]
    final = np.where(known, score, 0.0)
    final[cut] = (1 / (1 + np.exp(-np.clip(logit, -30, 30)))).mean(axis=1)
    return float(np.average(final.sum(axis=1) / known.sum(axis=1), weights=weight))


@dataclass(frozen=True, slots=True)
class Lengths:
    """Log lengths: each problem's mean (problems,), the spread of chains around it, and centre and
    variance of the means.
    """

    mean: Floats
    sigma: float
    centre: float
    tau2: float


def lengths(
    log: Floats,
    known: Flags,
    cut: Flags,
    weight: Floats,
    start: Lengths | None = None,
    rounds: int = ROUNDS,
) -> Lengths:
    """Fit log l ~ N(mu_i, sigma^2), mu_i ~ N(centre, tau^2) to censored logs, by
    expectation-maximisation.

    log: (problems, samples), at the cap where cut; weight: (problems,); start: a fit to go on from.
    """
    from scipy.special import log_ndtr

    count = known.sum(axis=1).astype(np.float64)
    filled = np.where(known, log, 0.0)
    problem, capped = np.nonzero(cut)[0], log[cut]
    if start is None:
        mean = filled.sum(axis=1) / count
        spread = np.where(known, (log - mean[:, None]) ** 2, 0.0).sum() / count.sum()
        centre = float(np.average(mean, weights=weight))
        start = Lengths(mean, max(float(np.sqrt(spread)), 0.05), centre, float(mean.var()) + 1e-6)
    mean, sigma, centre, tau2 = start.mean, start.sigma, start.centre, start.tau2
    for _ in range(rounds):
        z = (capped - mean[problem]) / sigma
        hazard = np.exp(-0.5 * z**2 - 0.5 * np.log(2 * np.pi) - log_ndtr(-z))
        filled[cut] = mean[problem] + sigma * hazard
        spare = sigma**2 * (1 + z * hazard - hazard**2)
        precision = count / sigma**2 + 1 / tau2
        mean = (filled.sum(axis=1) / sigma**2 + centre / tau2) / precision
        square = np.where(known, (filled - mean[:, None]) ** 2, 0.0).sum(axis=1)
        square += np.bincount(problem, weights=spare, minlength=len(count)) + count / precision
        sigma = max(float(np.sqrt(square @ weight / (count @ weight))), 0.02)
        centre = float(np.average(mean, weights=weight))
        tau2 = float(np.average((mean - centre) ** 2 + 1 / precision, weights=weight)) + 1e-9
    return Lengths(mean, sigma, centre, tau2)


def _regression(features: Floats, y: Floats, weight: Floats) -> Floats:
    """Logistic coefficients by Newton's method, with one chain's worth of prior N(0, 2.5^2)."""
    theta = np.zeros(features.shape[1])
    ridge = np.full(len(theta), 1 / 2.5**2)
    for _ in range(30):
        p = 1 / (1 + np.exp(-np.clip(features @ theta, -30, 30)))
        gradient = features.T @ (weight * (y - p)) - ridge * theta
        hessian = (features * (weight * p * (1 - p))[:, None]).T @ features + np.diag(ridge)
        step = np.linalg.solve(hessian, gradient)
        theta = theta + step / max(1.0, float(np.abs(step).max()) / 3)
        if np.abs(step).max() < 1e-8:
            break
    return theta


def _row_mean(values: Floats, known: Flags) -> Floats:
    """Mean of the known values of each problem: (problems,)."""
    mean: Floats = np.where(known, values, 0.0).sum(axis=1) / known.sum(axis=1)
    return mean
