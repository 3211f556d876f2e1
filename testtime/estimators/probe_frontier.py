"""Stopping within chains against plain budgets that spend as many tokens.

A rule that asks for answers on the way pays for them. So its accuracy is compared with what the
budget curve gives for the same mean tokens: where these lie between two budgets, a mixture of the
two, which anybody can deploy by lot.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from testtime.estimators.grid import Grid, build
from testtime.estimators.intervals import DIFFERENCE, mean_interval
from testtime.estimators.paired import together
from testtime.estimators.probes import stop_thinking

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]


def against_budgets(
    scores: pd.DataFrame,
    rules: Sequence[str] = ("agree:2", "agree:3", "change:1"),
    cuts: Sequence[int] | None = None,
    *,
    n: int = 1,
    selector: str = "majority",
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> pd.DataFrame:
    """Every rule at every cap against budgets at equal tokens, paired by problem.

    rules, cuts: as `probes.stop_thinking`; n, selector: how many such chains vote. Columns: model,
    setting, rule, cap; value, tokens (mean a problem, probes included); budgets, the one or two
    that spend as much, and budget_value; difference with lo and hi, every row for itself; verdict,
    "better", "worse" or "undecided", all rows together. A rule that spends more than the largest
    budget is compared with that. Tokens are taken as known. Raises UserError as `stop_thinking`.
    """
    import pandas as pd

    chosen = ["mean"] if n == 1 else [selector]
    plain = build(scores, [n], chosen, seed=seed)
    ruled = build(stop_thinking(scores, rules, cuts), [n], chosen, seed=seed)
    at = np.searchsorted(plain.problems, ruled.problems)
    spent = [grid.means(grid.cost("tokens")) for grid in (plain, ruled)]
    rows, apart = [], []
    for column, cell in enumerate(ruled.cells.itertuples()):
        setting, _, rule = str(cell.setting).rpartition(" ")
        same = (plain.cells["model"] == cell.model) & (plain.cells["setting"] == setting)
        curve = np.flatnonzero((same & plain.cells["budget"].notna()).to_numpy())
        value, words = _mixed(plain, curve[np.argsort(spent[0][curve])], spent, column)
        difference = np.full(len(plain.problems), np.nan)
        difference[at] = ruled.value[:, column] - value[at]
        apart.append(difference)
        own = [float(x) for x in mean_interval(difference, level, DIFFERENCE)]
        row = {"model": cell.model, "setting": setting, "rule": rule, "cap": cell.budget}
        row |= {"value": float(np.nanmean(ruled.value[:, column])), "tokens": spent[1][column]}
        row |= {"budgets": words, "budget_value": float(np.nanmean(value[at]))}
        rows.append(row | dict(zip(("difference", "lo", "hi"), own, strict=True)))
    table = pd.DataFrame(rows)
    _, lo, hi = together(np.column_stack(apart), plain.bootstrap(resamples, seed), level)
    table["verdict"] = np.where(lo > 0, "better", np.where(hi < 0, "worse", "undecided"))
    return table


def _mixed(
    plain: Grid, curve: NDArray[np.int64], spent: list[Floats], column: int
) -> tuple[Floats, str]:
    """What each problem scores at the budgets that spend as much as the rule; their names."""
    budget, cost, wanted = plain.cells["budget"], spent[0][curve], spent[1][column]
    above = int(np.searchsorted(cost, wanted))
    if above in (0, len(curve)):
        only = curve[min(above, len(curve) - 1)]
        return plain.value[:, only], f"{budget.iloc[only]:g}"
    low, high = curve[above - 1], curve[above]
    share = (wanted - cost[above - 1]) / (cost[above] - cost[above - 1])
    value = (1 - share) * plain.value[:, low] + share * plain.value[:, high]
    return value, f"{budget.iloc[low]:g} and {budget.iloc[high]:g}"
