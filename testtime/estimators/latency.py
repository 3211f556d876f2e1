"""Sequential latency: tokens on the longest path, reported beside total compute.

n samples run side by side, so a cell of many short chains answers sooner than one of few long ones
at the same compute. The path of a sample is what it samples one by one, thinking and answer;
prompts and forced endings are read in one pass. With n samples the answer waits for the longest of
them: the expected maximum over n-subsets of the pool.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from testtime.estimators.grid import Grid, known_mean
from testtime.estimators.selection import oracle_at_k
from testtime.estimators.table import path_tokens, pools

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]


def latency(scores: pd.DataFrame, grid: Grid) -> Floats | None:
    """Mean sequential tokens a problem for each cell of the grid built from `scores`: (cells,).

    None where the table has neither thinking_tokens nor answer_tokens.
    """
    cells = grid.cells
    result = np.full(len(cells), np.nan)
    budgets = cells["budget"].to_numpy(dtype=np.float64, na_value=np.nan)
    for pool in pools(scores):
        path = path_tokens(pool)
        if not {"thinking_tokens", "answer_tokens"} & set(pool.columns):
            return None
        same = (cells["model"] == pool.model) & (cells["setting"] == pool.setting)
        mine = same.to_numpy() & (
            (budgets == pool.budget) | (np.isnan(budgets) & np.isnan(pool.budget))
        )
        n = cells["n"].to_numpy(dtype=np.int64)[mine]
        ks = sorted(set(n.tolist()))
        longest = oracle_at_k(path, ks)
        result[mine] = known_mean(longest, axis=0)[np.searchsorted(ks, n)] if ks else np.nan
    return result
