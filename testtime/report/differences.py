"""Any two settings of any two models, problem by problem: the paired difference, and on which
problems they part ways.

A setting is a level with one sample, or with the most samples under a selector: what the
leaderboard lists.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from testtime import labels
from testtime.estimators.intervals import DIFFERENCE, mean_interval
from testtime.labels import row_level
from testtime.report.results import Results

if TYPE_CHECKING:
    import pandas as pd

ONE = "one sample"


def settings(results: Results, selectors: bool) -> pd.DataFrame:
    """Share of right answers of each problem (rows), a column (level, what of its samples) a
    setting; NaN where unknown. selectors: whether to give those of several samples too.
    """
    import pandas as pd

    singles = {(level, ONE): results.rates[level] for level in results.rates}
    if not selectors:
        return pd.DataFrame(singles)
    grid = results.sample.grid
    cells = grid.cells
    most = cells["n"] == cells.groupby("selector")["n"].transform("max")
    kept = cells[most & (cells["n"] > 1) & (cells["selector"] != "oracle")]
    joined = {}
    for at, row in zip(kept.index.to_numpy(), kept.to_dict("records"), strict=True):
        what = labels.selector(row["selector"], int(row["n"]))
        value = pd.Series(grid.value[:, at], index=grid.problems)
        joined[labels.level(row_level(row)), what] = value
    return pd.DataFrame(singles | joined)


def shares(every: Sequence[pd.DataFrame], names: Sequence[str]) -> pd.DataFrame:
    """The settings of several models side by side, columns (model, level, what)."""
    import pandas as pd

    return pd.concat(list(every), axis=1, keys=list(names))


def flat(table: pd.DataFrame) -> pd.DataFrame:
    """`shares` for a file: problem_id, and a column `model, level, what` a setting."""
    columns = [", ".join(column) for column in table.columns]
    return table.set_axis(columns, axis=1).rename_axis("problem_id").reset_index()


def pairs(table: pd.DataFrame) -> list[list[Any]]:
    """Row minus column for each two settings of `shares`: for each setting the entries (points of
    accuracy as a share, lower, upper, problems) against the settings after it, None where no
    problem is shared.

    Each interval stands by itself, at 95 %: `compare` judges many together.
    """
    values = table.to_numpy(dtype=float)
    rows = []
    for index in range(values.shape[1]):
        apart = values[:, [index]] - values[:, index + 1 :]
        counts = (~np.isnan(apart)).sum(axis=0)
        ends = mean_interval(apart, reach=DIFFERENCE)
        rows.append(
            [
                [*(None if v != v else round(float(v), 4) for v in row), int(count)]
                if count
                else None
                for count, *row in zip(counts, *ends, strict=True)
            ]
        )
    return rows
