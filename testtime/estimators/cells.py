"""The `cells` table: each cell's accuracy with an interval, and what it costs.

One row a (model, setting, budget, n, selector). Null scores are not guessed: a cell of n needs n
scored samples on every problem, else it is absent, and `null_bounds` says what the nulls could have
made of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from testtime.estimators.grid import (
    COSTS,
    Grid,
    Prefill,
    Replicates,
    build,
)
from testtime.estimators.intervals import bounded_interval
from testtime.estimators.latency import latency, latency_seconds
from testtime.estimators.selectors import check, selected
from testtime.estimators.table import GROUP, Pool, pools

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]


def cells(
    scores: pd.DataFrame,
    n: Sequence[int] | None,
    selectors: Sequence[str],
    *,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
    prefill: Prefill = "once",
) -> pd.DataFrame:
    """The cells of a scores table.

    Columns: model, setting, budget (nullable), n, selector, value, lo, hi (over problems at
    `level`; NaN for one problem), problems, thinking_tokens, tokens, prompt_tokens, flops, usd,
    seconds (means a problem for a deployment of the cell; NaN where the table does not say),
    mc_error (standard error from Monte Carlo votes, 0 where exact), latency (tokens on the longest
    path, `latency.latency`), and where the table says so tool_calls, tool_failures, tool_seconds,
    fallbacks (means a problem) and latency_seconds. Raises as `grid.build`.
    """
    sample = build(scores, n, selectors, prefill=prefill, seed=seed).bootstrap(resamples, seed)
    table = summary(sample, level, latency(scores, sample.grid))
    if (waiting := latency_seconds(scores, sample.grid)) is not None:
        table["latency_seconds"] = waiting
    return table


def replicates(
    scores: pd.DataFrame,
    n: Sequence[int] | None,
    selectors: Sequence[str],
    *,
    resamples: int = 2000,
    seed: int = 0,
    prefill: Prefill = "once",
) -> Replicates:
    """Bootstrap replicates of all cells, accuracy and cost from the same draws, in the order of
    `cells`.

    `.value` (resamples, cells), `.cost("flops")` (resamples, cells), `.out_of_bag`, `.weights`
    (resamples, problems), `.grid`.
    """
    return build(scores, n, selectors, prefill=prefill, seed=seed).bootstrap(resamples, seed)


def summary(sample: Replicates, level: float = 0.95, path: Floats | None = None) -> pd.DataFrame:
    """The cells table of replicates already drawn; path: (cells,), its latency column, left out
    where None.
    """
    grid = sample.grid
    table = grid.cells.copy()
    table["value"] = grid.means(grid.value)
    table["lo"], table["hi"] = interval(grid, level)
    table["problems"] = grid.problem_count.astype(int)
    for name in (*COSTS, *grid.uses):
        table[name] = grid.means(grid.cost(name))
    table["mc_error"] = grid.mc_error
    return table if path is None else table.assign(latency=path)


def interval(grid: Grid, level: float = 0.95) -> tuple[Floats, Floats]:
    """Interval of each cell's value over problems."""
    value, variance = grid.means(grid.value), grid.variance(grid.value)
    return bounded_interval(value, variance, grid.problem_count, level, strata=grid.benchmarks)


def null_bounds(
    scores: pd.DataFrame, n: Sequence[int] | None, selectors: Sequence[str]
) -> pd.DataFrame:
    """What the unscored samples leave open: columns of the cell, `lower`, `upper`, `nulls`
    (unscored samples in the pool) and `scored` (scored ones on the problem that has fewest).

    Every null is taken as wrong (lower) or right (upper); in votes, nulls stand behind the
    strongest wrong or right answer. Cells whose nulls keep them out of `cells` appear here too:
    those with n above `scored`.
    """
    import pandas as pd

    groups = pools(scores)
    check(selectors, scores, groups)
    rows = []
    for pool in groups:
        drawn = int(pool.drawn.sum(axis=1).min())
        ks = sorted(
            {
                k
                for k in (n if n is not None else [1 << i for i in range(drawn.bit_length())])
                if k <= drawn
            }
        )
        low, high = _filled(pool, 0.0), _filled(pool, 1.0)
        for selector in selectors:
            usable = [k for k in ks if k == 1 or selector != "mean"]
            if not usable or selector.startswith("genselect"):  # of what was shown, all is scored
                continue
            lower, upper = (selected(p, selector, usable)[0].mean(axis=0) for p in (low, high))
            nulls = int((pool.drawn & np.isnan(pool.score)).sum())
            identity = (pool.model, pool.setting, pool.budget)
            bounds = zip(usable, lower, upper, strict=True)
            rows += [(*identity, k, selector, lo, hi, nulls, pool.scored) for k, lo, hi in bounds]
    table = pd.DataFrame(
        rows, columns=[*GROUP, "n", "selector", "lower", "upper", "nulls", "scored"]
    )
    table["budget"] = table["budget"].astype(
        "Int64" if (table["budget"].dropna() % 1 == 0).all() else "Float64"
    )
    return table


def _filled(pool: Pool, score: float) -> Pool:
    """The pool with nulls scored, and voting for the answer of that score which has most votes (a
    new one where none has).
    """
    null = pool.drawn & np.isnan(pool.score)
    key = pool.key.copy()
    for row in np.flatnonzero(null.any(axis=1)):
        alike = pool.key[row][(pool.score[row] == score) & (pool.key[row] >= 0)]
        strongest = np.bincount(alike).argmax() if len(alike) else pool.key.max(initial=0) + 1
        key[row, null[row]] = strongest
    return replace(pool, score=np.where(null, score, pool.score), key=key)
