"""Accuracy by difficulty, with the bin of a problem decided on other samples than those scored.

Binning on the scored samples themselves selects on their noise: the hardest bin then looks worse than it is at one
sample and better with more (regression to the mean). Samples are therefore split in two folds; each fold's pass rates
bin the problems for the other (Snell et al. 2024, section 4.1, use the same two folds), and both are averaged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from testtime.errors import UserError
from testtime.estimators.grid import build
from testtime.estimators.intervals import bootstrap_weights, bounded_interval
from testtime.estimators.table import normalise

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]


def bins_by_rate(rate: ArrayLike, bins: int = 5) -> NDArray[np.int64]:
    """Equal-sized bins of problems by pass rate, 1 the easiest; ties in the order given. NaN rates (no samples) get
    bin 0.
    """
    x = np.asarray(rate, dtype=np.float64)
    result = np.zeros(len(x), dtype=np.int64)
    known = np.flatnonzero(~np.isnan(x))
    order = known[np.argsort(-x[known], kind="stable")]
    result[order] = 1 + np.arange(len(order)) * bins // max(len(order), 1)
    return result


def cells_by_difficulty(
    scores: pd.DataFrame,
    n: Sequence[int] | None,
    selectors: Sequence[str],
    *,
    bins: int = 5,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> pd.DataFrame:
    """The cells table with a leading column `difficulty` (1 easiest .. bins), for one model.

    Difficulty is the model's own pass rate over all budgets in the fold that is not scored. Each fold holds half the
    samples, so n goes up to half of them. Raises UserError for several models, or a pool with fewer than two samples
    a problem.
    """
    import pandas as pd

    table = normalise(scores)
    if table["model"].nunique() > 1:
        raise UserError(f"difficulty bins are one model's own; choose one of {sorted(table['model'].unique())}")
    fold = (table["sample"].rank(method="dense").astype(int) % 2).to_numpy()
    if (fold == fold[0]).all():
        raise UserError(
            "difficulty bins need at least two samples a problem: one half decides the bin, the other is scored"
        )
    grids, members = [], []
    for scored in (0, 1):
        grid = build(table[fold == scored], n, selectors, seed=seed)
        rate = table[fold != scored].groupby("problem_id")["score"].mean().reindex(grid.problems)
        grids.append(grid)
        members.append(bins_by_rate(rate.to_numpy(), bins))
    keys = ["model", "setting", "budget", "n", "selector"]
    both = grids[0].cells.reset_index().merge(grids[1].cells.reset_index(), on=keys)
    columns = [both["index_x"].to_numpy(), both["index_y"].to_numpy()]
    problems = np.union1d(grids[0].problems, grids[1].problems)
    weights = bootstrap_weights(len(problems), resamples, seed)
    parts = []
    for level_of in range(1, bins + 1):
        total, count = np.zeros((len(problems), len(both))), np.zeros((len(problems), len(both)))
        for grid, member, column in zip(grids, members, columns, strict=True):
            at = np.searchsorted(problems, grid.problems)
            value = np.where((member == level_of)[:, None], grid.value[:, column], np.nan)
            total[at] += np.nan_to_num(value)
            count[at] += ~np.isnan(value)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = total.sum(axis=0) / count.sum(axis=0)
            drawn = (weights @ total) / (weights @ count)
        lo, hi = bounded_interval(drawn, mean, np.maximum((count > 0).sum(axis=0), 1), level)
        part = both[keys].assign(value=mean, lo=lo, hi=hi, problems=(count > 0).sum(axis=0))
        part.insert(0, "difficulty", level_of)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)
