"""Sequential latency: tokens on the longest path, reported beside total compute.

n samples run side by side, so a cell of many short chains answers sooner than one of few long ones
at the same compute. The path of a sample is what it samples one by one, thinking and answer;
prompts and forced endings are read in one pass. With n samples the answer waits for the longest of
them: the expected maximum over n-subsets of the pool.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from testtime.estimators.grid import Grid
from testtime.estimators.intervals import known_mean
from testtime.estimators.selection import oracle_at_k
from testtime.estimators.table import Pool, path_tokens, pools

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]


def latency(scores: pd.DataFrame, grid: Grid) -> Floats | None:
    """Mean sequential tokens a problem for each cell of the grid built from `scores`: (cells,).

    None where the table has neither thinking_tokens nor answer_tokens.
    """
    if not {"thinking_tokens", "answer_tokens"} & set(scores.columns):
        return None
    return _longest(scores, grid, path_tokens)


def latency_seconds(scores: pd.DataFrame, grid: Grid) -> Floats | None:
    """Mean seconds until a problem's answer is there, for each cell: (cells,). What tools took is
    part of them, as of column `path_seconds`; None where the table has no such column.
    """
    if "path_seconds" not in scores:
        return None
    return _longest(scores, grid, lambda pool: pool.columns["path_seconds"])


def _longest(scores: pd.DataFrame, grid: Grid, length: Callable[[Pool], Floats]) -> Floats:
    """The mean over problems of the longest of a cell's samples."""
    cells = grid.cells
    result = np.full(len(cells), np.nan)
    budgets = cells["budget"].to_numpy(dtype=np.float64, na_value=np.nan)
    for pool in pools(scores):
        same = (cells["model"] == pool.model) & (cells["setting"] == pool.setting)
        mine = same.to_numpy() & (
            (budgets == pool.budget) | (np.isnan(budgets) & np.isnan(pool.budget))
        )
        n = cells["n"].to_numpy(dtype=np.int64)[mine]
        ks = sorted(set(n.tolist()))
        longest = oracle_at_k(length(pool), ks)
        result[mine] = known_mean(longest, axis=0)[np.searchsorted(ks, n)] if ks else np.nan
    return result
