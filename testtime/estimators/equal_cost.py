"""A setting against the one without it at equal cost: four turns of a tool against none, whose
compute goes into longer thinking and more samples instead.

At each compute every budget of either takes the most samples that it affords. Cost alone decides
that, never accuracy: the best of both, chosen and judged on the same problems, named a winner in
one of ten tables without any difference. Each budget of the one is set against each of the other,
all pairs are judged as one table, and a setting wins at a compute only where one of its budgets
beats every budget of the other: then it beats the best of them, whichever that is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from testtime.estimators.amounts import read
from testtime.estimators.frontier import costs
from testtime.estimators.grid import Prefill, build
from testtime.estimators.paired import together
from testtime.estimators.table import GROUP, normalise

if TYPE_CHECKING:
    import pandas as pd

STEPS = 4  # numbers of samples between one and its double
CONTEST = ["model", "selector", "compute", "a_setting", "b_setting"]


def equal_cost(
    scores: pd.DataFrame,
    selectors: Sequence[str],
    axis: str = "tokens",
    *,
    prefill: Prefill = "once",
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> pd.DataFrame:
    """Differences a - b of a model's settings at equal cost on `axis`: b has least of what settings
    are nested in (turn=0, depth=0), a is each other one. Empty where no settings differ so.

    Columns: model, selector; compute, the most that either may cost a problem, each half-way
    between what b's largest budget costs with 1, 2, 4, ... samples; a_ and b_ setting, budget, n,
    value and cost; difference, with lo and hi, which hold for all rows together; better, "a", "b"
    or "undecided", by these.
    """
    import pandas as pd

    table = normalise(scores)
    families = {
        str(model): found
        for model, own in table.groupby("model", sort=False)
        if (found := _families(list(own["setting"].unique())))
    }
    if not families:
        return pd.DataFrame()
    mine = table[table["model"].isin(families)]
    most = int(mine.groupby([*GROUP, "problem_id"], dropna=False).size().max())
    joined = [name for name in selectors if name not in ("mean", "oracle")] or ["mean"]
    grid = build(mine, _counts(most), joined, prefill=prefill, seed=seed)
    sample = grid.bootstrap(resamples, seed)
    cells = grid.cells.assign(value=grid.means(grid.value), cost=costs(sample, axis))
    pairs = [
        (compute, a, b)
        for model, found in families.items()
        for settings in found
        for compute, a, b in _pairs(cells[cells["model"] == model], settings)
    ]
    if not pairs:
        return pd.DataFrame()
    compute, left, right = map(list, zip(*pairs, strict=True))
    sides = [
        cells.iloc[place][["setting", "budget", "n", "value", "cost"]].reset_index(drop=True)
        for place in (left, right)
    ]
    shared = cells.iloc[left][["model", "selector"]].reset_index(drop=True)
    shared = shared.assign(compute=compute)
    result = pd.concat([shared, sides[0].add_prefix("a_"), sides[1].add_prefix("b_")], axis=1)
    mean, lo, hi = together(grid.value[:, left] - grid.value[:, right], sample, level)
    better = np.where(lo > 0, "a", np.where(hi < 0, "b", "undecided"))
    return result.assign(difference=mean, lo=lo, hi=hi, better=better)


def contests(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Of each two settings at each compute, which wins, and the row of `equal_cost` that says by
    how much: with `winner` "a" or "b", that of its closest rival; with "undecided", the largest
    budgets of both.
    """
    found = []
    for _, rows in table.groupby(CONTEST, sort=False):
        led = {side: _least_lead(rows, side) for side in ("a", "b")}
        winner = next((side for side, row in led.items() if row is not None), "undecided")
        row = led.get(winner)
        told = rows.sort_values(["a_budget", "b_budget"]).iloc[-1] if row is None else row
        found.append({"winner": winner, **{str(name): value for name, value in told.items()}})
    return found


def _least_lead(rows: pd.DataFrame, side: str) -> pd.Series[Any] | None:
    """Of the budgets of one side that beat all of the other, the least lead of that which leads
    most; None where there is none.
    """
    lead = rows["lo"] if side == "a" else -rows["hi"]
    least = lead.groupby(rows[f"{side}_budget"], dropna=False).idxmin()
    closest = rows.loc[least]
    best = int(lead.loc[least].to_numpy().argmax())
    return closest.iloc[best] if closest["better"].iloc[best] == side else None


def _families(settings: Sequence[str]) -> list[list[str]]:
    """Settings that differ by amounts alone, that with the least first."""
    families: dict[tuple[str, ...], list[str]] = {}
    for setting in settings:
        told, amounts = read(setting)
        if amounts:
            families.setdefault((told, *amounts), []).append(setting)
    ordered = [sorted(family, key=_amounts) for family in families.values()]
    return [family for family in ordered if len(family) > 1]


def _amounts(setting: str) -> list[int]:
    return list(read(setting)[1].values())


def _counts(most: int) -> list[int]:
    """Numbers of samples, so close that what can be spent nearly is: 1 to 8, 10, 12, 14, ..."""
    every = {(1 << i) + (k << i) // STEPS for i in range(most.bit_length()) for k in range(STEPS)}
    return sorted({*(n for n in every if n <= most), most})


def _pairs(cells: pd.DataFrame, settings: Sequence[str]) -> Iterator[tuple[float, int, int]]:
    """(compute, cell of a, cell of b): every pair of budgets of each setting and the first."""
    known = cells[cells["cost"].notna()]
    base = known[known["setting"] == settings[0]]
    largest = base[base["budget"].isna() | (base["budget"] == base["budget"].max())]
    for selector, own in largest.groupby("selector", sort=False):
        for compute in _levels(own):
            afforded = known[(known["selector"] == selector) & (known["cost"] <= compute)]
            most = afforded.groupby(["setting", "budget"], dropna=False)["n"].idxmax()
            by = {name: most[afforded.loc[most, "setting"].to_numpy() == name] for name in settings}
            for other in settings[1:]:
                yield from ((compute, a, b) for a, b in product(by[other], by[settings[0]]))


def _levels(cells: pd.DataFrame) -> list[float]:
    """Half-way, in ratio, from each power of two of samples to the next: at the cost of a cell
    itself, another that costs a little more by chance would have to do without.
    """
    powers = cells[[n & (n - 1) == 0 for n in cells["n"]]].sort_values("n")
    cost = powers["cost"].to_numpy()
    between = np.sqrt(cost[:-1] * cost[1:]) if len(cost) > 1 else cost * np.sqrt(2)
    return list(map(float, between))
