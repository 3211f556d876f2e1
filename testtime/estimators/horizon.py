"""The horizon: which difficulty is solved half the time, and how it grows with thinking.

METR's form (Kwa et al. 2025, section 4): P(solved) = sigmoid(a - b log2 d) in a stated difficulty d
(number of terms, steps, human minutes), fitted for each budget; the horizon is d = 2^(a / b). How
it grows is a line through the horizons of all budgets: its doublings for a doubling of thinking.
Problems are resampled, the same draws for every budget.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from testtime.errors import UserError, suggest
from testtime.estimators.grid import build
from testtime.estimators.intervals import weighted_means
from testtime.estimators.table import normalise

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]

RIDGE = (
    1e-2  # problems' worth of prior, N(0, 1) in units of the difficulty's spread: keeps it finite
)
STEPS = 40


@dataclass(frozen=True, slots=True)
class Horizon:
    """cells: one row a model, setting and budget; growth: one row a model and curve."""

    cells: pd.DataFrame
    growth: pd.DataFrame


def horizon(
    scores: pd.DataFrame,
    difficulty: str,
    *,
    share: float = 0.5,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Horizon:
    """The horizon of every budget and effort level, one sample each.

    difficulty: a positive numeric column, one value a problem; share: of problems solved at the
    horizon. cells: model, setting, budget, horizon with lo and hi (in the column's units; 0 or inf:
    beyond any), slope (b: log-odds lost for each doubling of difficulty) with slope_lo, slope_hi,
    tokens (thinking, else all), range ("below", "within", "above" the difficulties seen), problems.
    growth: model, setting ("" for effort levels), doublings (of the horizon for each doubling of
    tokens) with lo and hi, points. Only horizons within the range enter the growth; fewer than two
    give none. Raises UserError for absent columns, values that are not positive, problems with two
    difficulties, and a single difficulty.
    """
    import pandas as pd

    stated = _stated(scores, difficulty)
    sample = build(scores, [1], ["mean"], seed=seed).bootstrap(resamples, seed)
    grid = sample.grid
    d = stated.reindex(grid.problems).to_numpy(dtype=np.float64)
    x = np.log2(d)
    centre, spread = float(np.nanmean(x)), float(np.nanstd(x))
    if len(np.unique(x[~np.isnan(x)])) < 2:
        raise UserError(f"horizon: column {difficulty!r} holds one difficulty; it needs several")
    z = (x - centre) / spread
    tokens = grid.cost("thinking_tokens")
    tokens = grid.cost("tokens") if np.isnan(tokens).all() else tokens
    weights = np.vstack([np.ones((1, len(d))), sample.weights])
    table = grid.cells[["model", "setting", "budget"]].copy()
    offset = np.log(share / (1 - share))
    place, slope, inside = [], [], []
    for column in range(len(grid.cells)):
        y = grid.value[:, column]
        known = ~np.isnan(y) & ~np.isnan(z)
        a, b = _logistic(z[known], y[known], weights[:, known])
        with np.errstate(divide="ignore", invalid="ignore"):
            at = np.where(b > 0, (a - offset) / b * spread + centre, np.sign(a - offset) * np.inf)
        place.append(at)
        slope.append(b / spread)
        inside.append((float(x[known].min()), float(x[known].max())))
    at, b = np.array(place), np.array(slope)
    tails = [50 * (1 - level), 50 * (1 + level)]
    lo, hi = np.percentile(at[:, 1:], tails, axis=1, method="nearest")
    with np.errstate(over="ignore"):  # beyond any difficulty
        table["horizon"], table["lo"], table["hi"] = np.exp2(at[:, 0]), np.exp2(lo), np.exp2(hi)
    table["slope"] = b[:, 0]
    table["slope_lo"], table["slope_hi"] = np.percentile(b[:, 1:], tails, axis=1)
    table["tokens"] = grid.means(tokens)
    low, high = np.array(inside).T
    within = (at[:, 0] >= low) & (at[:, 0] <= high)
    table["range"] = np.select([at[:, 0] < low, at[:, 0] > high], ["below", "above"], "within")
    table["problems"] = grid.problem_count.astype(int)
    spent = np.vstack([table["tokens"].to_numpy()[None], weighted_means(sample.weights, tokens)])
    told = table["budget"].notna()
    table["curve"] = table["setting"].where(told, "")
    rows = []
    for (model, setting), part in table[within].groupby(["model", "curve"], sort=False):
        rows.append(
            {"model": model, "setting": setting}
            | _growth(at[part.index], np.log2(spent[:, part.index].T), tails)
        )
    columns = ["model", "setting", "doublings", "lo", "hi", "points"]
    growth = pd.DataFrame(rows, columns=columns).dropna(subset="doublings")
    return Horizon(table.drop(columns="curve"), growth)


def _stated(scores: pd.DataFrame, difficulty: str) -> pd.Series:
    """The difficulty of each problem, by its id."""
    import pandas as pd

    if difficulty not in scores:
        raise UserError(
            f"horizon: no column {difficulty!r}{suggest(difficulty, map(str, scores.columns))}"
        )
    table = normalise(scores)
    number = pd.to_numeric(table[difficulty], errors="coerce")
    if not (number > 0).all():
        held = table[difficulty][~(number > 0)].iloc[0]
        raise UserError(f"horizon: column {difficulty!r} holds {held}; it needs numbers above 0")
    several = number.groupby(table["problem_id"]).nunique()
    if (several > 1).any():
        raise UserError(
            f"horizon: problem {several.idxmax()!r} has several values of {difficulty!r}; it needs "
            "one"
        )
    first: pd.Series = number.groupby(table["problem_id"]).first()
    return first


def _logistic(z: Floats, y: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """a and b of P = sigmoid(a - b z) for every row of weights, by Newton's method with a slight
    ridge. z, y: (problems,), y a mean score; weights: (fits, problems).
    """
    a, b = np.zeros(len(weights)), np.ones(len(weights))
    for _ in range(STEPS):
        eta = np.clip(a[:, None] - b[:, None] * z, -30, 30)
        p = 1 / (1 + np.exp(-eta))
        residual, curvature = weights * (y - p), weights * p * (1 - p)
        ga = residual.sum(axis=1) - RIDGE * a
        gb = -(residual @ z) - RIDGE * b
        haa = curvature.sum(axis=1) + RIDGE
        hab = -(curvature @ z)
        hbb = curvature @ (z * z) + RIDGE
        determinant = haa * hbb - hab**2
        da = (hbb * ga - hab * gb) / determinant
        db = (haa * gb - hab * ga) / determinant
        limit = np.maximum(1.0, np.maximum(np.abs(da), np.abs(db)) / 2)  # damps the first steps
        a, b = a + da / limit, b + db / limit
        if max(np.abs(da).max(), np.abs(db).max()) < 1e-9:
            break
    return a, b


def _growth(at: Floats, tokens: Floats, tails: list[float]) -> dict[str, float | int]:
    """Slope of log2 horizon in log2 tokens through (points, fits), the first fit being the data."""
    usable = np.isfinite(tokens).all(axis=1)
    at, tokens = at[usable], tokens[usable]
    if len(at) < 2 or np.ptp(tokens[:, 0]) <= 0:
        return {"doublings": np.nan, "lo": np.nan, "hi": np.nan, "points": len(at)}
    centred = tokens - tokens.mean(axis=0)
    finite = np.isfinite(at).all(axis=0)
    line = (centred[:, finite] * at[:, finite]).sum(axis=0) / (centred[:, finite] ** 2).sum(axis=0)
    lo, hi = np.percentile(line[1:], tails)
    return {"doublings": float(line[0]), "lo": float(lo), "hi": float(hi), "points": len(at)}
