"""How much of a score is the cap: what a model would score if its capped chains could have gone on.

A chain that the cap cut is censored: its length is only known to exceed the cap. Bounds assume
nothing (every capped chain would end wrong, or right). The estimate assumes a form, which is said:
lengths of a problem's chains are log-normal, its mean varying between problems (a censored normal
with random effects, fitted by expectation-maximisation); and a chain that ends at length l is right
with log-odds c0 + c1 (log l - mu) + c2 mu, mu the problem's mean log length, fitted on chains that
ended. So longer chains of a problem, and problems with longer chains, may be right more or less
often. It extrapolates: where most chains are capped, the bounds are the answer.
"""

from __future__ import annotations

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

ROUNDS = 60  # of expectation-maximisation
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
    nothing was capped, or fewer than 10 chains ended right or wrong); problems. Raises UserError
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
    if not (cut & known).any() or min((right > 0.5).sum(), (right <= 0.5).sum()) < 10:
        return nothing
    log = np.where(known, np.log(np.maximum(length, 1.0)), 0.0)
    weights = np.vstack([np.ones(len(log)), bootstrap_weights(len(log), resamples, seed)])
    values = np.array([_estimate(pool.score, log, known, cut & known, w) for w in weights])
    lo, hi = np.percentile(values[1:], [50 * (1 - level), 50 * (1 + level)])
    return float(values[0]), float(lo), float(hi)


def _estimate(score: Floats, log: Floats, known: Flags, cut: Flags, weight: Floats) -> float:
    """Accuracy if capped chains went on, problems weighted; arrays (problems, samples)."""
    kept = weight > 0
    score, log, known, cut, weight = (x[kept] for x in (score, log, known, cut, weight))
    mean, sigma = lengths(log, known, cut, weight)
    ended = known & ~cut
    within, between = log - mean[:, None], np.broadcast_to(mean[:, None], log.shape)
    scale = float(np.average(mean, weights=weight))
    features = np.stack([np.ones_like(log), within, between - scale], axis=-1)
    each = np.broadcast_to(weight[:, None], log.shape)
    theta = _regression(features[ended], score[ended], each[ended])
    # lengths beyond the cap: equal shares of the normal's tail
    from scipy.special import ndtr, ndtri

    at = (log - mean[:, None]) / sigma
    tail = 1 - ndtr(at)
    quantile = 1 - tail[..., None] * ((np.arange(NODES) + 0.5) / NODES)
    beyond = np.clip(ndtri(np.clip(quantile, 1e-12, 1 - 1e-12)), at[..., None], None) * sigma
    logit = theta[0] + theta[1] * beyond + theta[2] * (between - scale)[..., None]
    expected = (1 / (1 + np.exp(-np.clip(logit, -30, 30)))).mean(axis=-1)
    value = np.where(cut, expected, np.where(known, score, 0.0)).sum(axis=1) / known.sum(axis=1)
    return float(np.average(value, weights=weight))


def lengths(log: Floats, known: Flags, cut: Flags, weight: Floats) -> tuple[Floats, float]:
    """Each problem's mean log length (problems,) and the spread of chains around it, from censored
    logs: log l ~ N(mu_i, sigma^2), mu_i ~ N(m, tau^2), by expectation-maximisation.

    log: (problems, samples), at the cap where cut; weight: (problems,).
    """
    from scipy.special import log_ndtr

    count = known.sum(axis=1)
    mean = np.where(known, log, 0.0).sum(axis=1) / count
    sigma = max(
        float(np.sqrt(np.where(known, (log - mean[:, None]) ** 2, 0).sum() / count.sum())), 0.05
    )
    centre, tau2 = float(np.average(mean, weights=weight)), float(mean.var()) + 1e-6
    for _ in range(ROUNDS):
        z = (log - mean[:, None]) / sigma
        hazard = np.exp(-0.5 * z**2 - 0.5 * np.log(2 * np.pi) - log_ndtr(-z))
        filled = np.where(cut, mean[:, None] + sigma * hazard, log)
        spare = np.where(cut, sigma**2 * (1 + z * hazard - hazard**2), 0.0)
        precision = count / sigma**2 + 1 / tau2
        total = np.where(known, filled, 0.0).sum(axis=1)
        mean = (total / sigma**2 + centre / tau2) / precision
        square = np.where(
            known, (filled - mean[:, None]) ** 2 + spare + 1 / precision[:, None], 0.0
        )
        sigma = max(float(np.sqrt((square.sum(axis=1) @ weight) / (count @ weight))), 0.02)
        centre = float(np.average(mean, weights=weight))
        tau2 = float(np.average((mean - centre) ** 2 + 1 / precision, weights=weight)) + 1e-9
    return mean, sigma


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
