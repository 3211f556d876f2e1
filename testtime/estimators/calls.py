"""What a call buys: every step along the turns that a run with tools allows, beside what a doubling
buys (`steps`).

The points of a step are divided by the turns that it allows more, whether the model takes them or
not: that is what can be set. How many calls it really made more, and what they cost, stands beside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from testtime.estimators.amounts import without
from testtime.estimators.grid import Grid, build
from testtime.estimators.paired import together
from testtime.estimators.table import normalise
from testtime.grammar import selector as parsed

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
PLACE = ["model", "setting", "budget", "n", "selector"]


def call_buys(
    scores: pd.DataFrame,
    *,
    selector: str = "majority",
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> pd.DataFrame:
    """Every step along growing numbers of turns: at each budget with one sample, and at the largest
    budget with every n, joined by `selector` (left out where no answer votes). Empty where no
    setting has turns.

    Columns: model, setting (without its turns), budget, n, selector; from_, to_, the turns;
    from_value, to_value; gain and per_call (gain / turns more), each with _lo and _hi, which hold
    for all rows together; calls, tokens and seconds, what a problem took more of each (NaN where
    unknown); verdict, "rises", "falls" or "undecided", by these intervals.
    """
    import pandas as pd

    table = normalise(scores)
    if all(without(name, "turn")[1] is None for name in table["setting"].unique()):
        return pd.DataFrame()
    votes = "answer_key" in table and bool(table["answer_key"].notna().any())
    joined = votes or not parsed(selector).votes
    grid = build(table, None, ["mean", *([selector] if joined else [])], seed=seed)
    left, right, steps = _steps(grid)
    if not len(steps):
        return steps
    value = grid.means(grid.value)
    steps["from_value"], steps["to_value"] = value[left], value[right]
    apart = grid.value[:, right] - grid.value[:, left]
    gain, lo, hi = together(apart, grid.bootstrap(resamples, seed), level)
    more = (steps["to_"] - steps["from_"]).to_numpy()
    for name, by in (("gain", 1), ("per_call", more)):
        steps[name], steps[f"{name}_lo"], steps[f"{name}_hi"] = gain / by, lo / by, hi / by
    for name, column in (("calls", "tool_calls"), ("tokens", "tokens"), ("seconds", "seconds")):
        cost = grid.means(grid.cost(column))
        steps[name] = cost[right] - cost[left]
    steps["verdict"] = np.where(lo > 0, "rises", np.where(hi < 0, "falls", "undecided"))
    return steps


def _steps(grid: Grid) -> tuple[list[int], list[int], pd.DataFrame]:
    """The cells before and after each step, and where the step is."""
    import pandas as pd

    cells = grid.cells.copy()
    pairs = [without(setting, "turn") for setting in cells["setting"]]
    cells["setting"] = [rest for rest, _ in pairs]
    cells["turn"] = [-1 if turn is None else turn for _, turn in pairs]
    largest = cells["budget"].isna() | (cells["budget"] == cells["budget"].max())
    single = cells["selector"] == "mean"
    kept = cells[(cells["turn"] >= 0) & (single | (largest & (cells["n"] > 1)))]
    left, right, rows = list[int](), list[int](), []
    for _, path in kept.groupby(PLACE, sort=False, dropna=False):
        order = path.sort_values("turn")
        for a, b in zip(order.index[:-1], order.index[1:], strict=True):
            left.append(int(a))
            right.append(int(b))
            turns = {"from_": int(order.at[a, "turn"]), "to_": int(order.at[b, "turn"])}
            rows.append({**{name: order.at[a, name] for name in PLACE}, **turns})
    return left, right, pd.DataFrame(rows)
