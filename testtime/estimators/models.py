"""Models, settings and selectors against each other on the same problems, and the test compute at
which one model catches up with another.

Two pools of samples on the same problems are compared problem by problem: what makes a problem hard
for both cancels.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from testtime.estimators.frontier import choose, costs
from testtime.estimators.grid import Replicates
from testtime.estimators.intervals import (
    DIFFERENCE,
    bounded_interval,
    steadied,
    unpaired_interval,
    weighted_means,
)
from testtime.estimators.simultaneous import adjusted, critical, verdicts

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
POOL = ["model", "setting", "budget"]


def differences(
    sample: Replicates, axis: str = "tokens", level: float = 0.95, tables: int = 1
) -> pd.DataFrame:
    """Paired differences a - b at each n and selector. tables: among how many such tables this is
    one, which share the error rate.

    Two models are paired at each setting and budget that both have; where they share none (effort
    levels against a model without), at all of them. Within a model, settings are paired at equal
    budgets ("wait=1" against "wait=0", two effort levels). Columns: a_ and b_ model, setting,
    budget; n; selector; a_value, b_value; difference; lo, hi, the row's own interval over the
    problems both have; all_lo, all_hi, which hold of all rows of the table together, and p,
    adjusted for all of them (oracle rows are a family of their own); better: "a", "b", or
    "undecided", by p; problems; unpaired_lo, unpaired_hi, were the problems not shared; a_cost,
    b_cost.
    """
    import pandas as pd

    cells, grid, cost = sample.grid.cells, sample.grid, costs(sample, axis)
    budgets = cells["budget"].to_numpy(dtype=np.float64, na_value=-1.0)
    pools = pd.Series(list(zip(cells["model"], cells["setting"], budgets, strict=True)))
    place = {
        (pool, n, s): i
        for i, (pool, n, s) in enumerate(zip(pools, cells["n"], cells["selector"], strict=True))
    }
    shared = {
        frozenset((x[0], y[0]))
        for x, y in combinations(pools.unique(), 2)
        if x[0] != y[0] and x[1:] == y[1:]
    }
    left, right = [], []
    for a, b in combinations(pools.unique(), 2):
        across = a[1:] == b[1:] or frozenset((a[0], b[0])) not in shared
        paired = a[2] == b[2] if a[0] == b[0] else across
        for (pool, n, selector), i in place.items() if paired else ():
            if pool == a and (b, n, selector) in place:
                left.append(i)
                right.append(place[b, n, selector])
    a, b = grid.value[:, left], grid.value[:, right]
    apart = a - b
    missing = np.isnan(apart)
    a, b = np.where(missing, np.nan, a), np.where(missing, np.nan, b)
    table = pd.DataFrame()
    for side, columns in (("a", left), ("b", right)):
        part = cells.iloc[columns][POOL].reset_index(drop=True)
        table = pd.concat([table, part.add_prefix(f"{side}_")], axis=1)
    table["n"], table["selector"] = cells["n"].to_numpy()[left], cells["selector"].to_numpy()[left]
    table["a_value"], table["b_value"] = grid.means(a), grid.means(b)
    table["difference"] = grid.means(apart)
    table["unpaired_lo"], table["unpaired_hi"] = unpaired_interval(
        table["a_value"],
        grid.variance(a),
        table["b_value"],
        grid.variance(b),
        grid.counts(apart),
        level,
        grid.benchmarks,
    )
    table["a_cost"], table["b_cost"] = cost[left], cost[right]
    # nobody can deploy an oracle: ceilings are a family of their own
    ceiling = (table["selector"] == "oracle").to_numpy()
    return _judged(table, sample, apart, level, ceiling, tables)


def selector_differences(sample: Replicates, level: float = 0.95) -> pd.DataFrame:
    """Paired differences a - b of the selectors of each model, setting, budget and n from 2, those
    that somebody can deploy. Columns: these, a_selector and b_selector, and the values, difference
    and judgement of `differences`.
    """
    import pandas as pd

    cells, grid = sample.grid.cells, sample.grid
    usable = cells[(cells["n"] > 1) & (cells["selector"] != "oracle")]
    pairs = [
        pair
        for at in usable.groupby([*POOL, "n"], dropna=False, sort=False).indices.values()
        for pair in combinations(usable.index[at], 2)
    ]
    if not pairs:
        return pd.DataFrame()
    left, right = (list(side) for side in zip(*pairs, strict=True))
    a, b = grid.value[:, left], grid.value[:, right]
    table = cells.iloc[left][[*POOL, "n"]].reset_index(drop=True)
    for side, columns, values in (("a", left, a), ("b", right, b)):
        table[f"{side}_selector"] = cells["selector"].to_numpy()[columns]
        table[f"{side}_value"] = grid.means(values)
    table["difference"] = grid.means(a - b)
    return _judged(table, sample, a - b, level, np.zeros(len(table), dtype=bool))


def _judged(
    table: pd.DataFrame,
    sample: Replicates,
    apart: Floats,
    level: float,
    ceiling: NDArray[np.bool_],
    tables: int = 1,
) -> pd.DataFrame:
    """The table of differences with each row's own interval, and what holds of all rows at once;
    ceiling: (rows,), which are judged as a family of their own; tables: how many such tables share
    the error rate.
    """
    grid, value = sample.grid, table["difference"].to_numpy()
    count, variance = grid.counts(apart), grid.variance(apart)
    centre, error = steadied(value, variance, count, DIFFERENCE)
    own = bounded_interval(value, variance, count, level, DIFFERENCE, grid.benchmarks)
    table["lo"], table["hi"] = own
    away = weighted_means(sample.weights, apart)
    away -= value  # in place: many models make many comparisons
    away /= error
    freedom, p = count - grid.benchmarks, np.ones(len(table))
    all_lo, all_hi = np.full((2, len(table)), np.nan)
    for family in (~ceiling, ceiling):
        if not family.any():
            continue
        p[family] = adjusted((centre / error)[family], away[:, family], freedom[family])
        quantile = critical(away[:, family], freedom[family], 1 - (1 - level) / tables)
        all_lo[family], all_hi[family] = bounded_interval(
            value[family], variance[family], count[family], level, DIFFERENCE, quantile=quantile
        )
    p = np.minimum(p * tables, 1.0)
    table["all_lo"], table["all_hi"], table["p"] = all_lo, all_hi, p
    table["better"] = verdicts(centre, p, level, "a", "b")
    return table.assign(problems=count.astype(int))


def catching_up(sample: Replicates, axis: str = "tokens", level: float = 0.95) -> pd.DataFrame:
    """At which test compute one model equals the least setting of another.

    For each two models: the target is a single sample with least thinking, of the one that solves
    more so; the other deploys its best cell at each compute (chosen in-bag, judged out-of-bag).
    Columns: model; reference, reference_setting, reference_budget, reference_value, reference_cost;
    behind, the target minus the model's own least setting, with behind_lo and behind_hi: only where
    they exclude 0 is it the weaker one; compute at which the target is reached, with lo and hi
    (inf: not within the model's cells in those resamples); most, the dearest cell's cost; note.
    """
    import pandas as pd

    cells, grid, cost = sample.grid.cells, sample.grid, costs(sample, axis)
    means = grid.means(grid.value)
    budget = cells["budget"].to_numpy(dtype=np.float64, na_value=np.nan)
    single = ((cells["n"] == 1) & (cells["selector"] != "oracle")).to_numpy()
    models = list(dict.fromkeys(cells["model"]))
    rank = np.where(np.isnan(budget), cost, budget)
    own = {m: np.flatnonzero((cells["model"] == m).to_numpy()) for m in models}
    bare = {
        m: min((i for i in own[m] if single[i]), key=lambda i: rank[i], default=None)
        for m in models
    }
    deployed = {m: _deployed(sample, cost, own[m]) for m in models if bare[m] is not None}
    rows = []
    for a, b in combinations(models, 2):
        start, target = bare[a], bare[b]
        if start is None or target is None:
            continue
        if means[start] > means[target]:
            a, b, start, target = b, a, target, start
        levels, judged = deployed[a]
        ahead = judged - grid.value[:, [target]]
        place = _first(grid.means(ahead)[None], levels)[0]
        drawn = _first(weighted_means(sample.weights, ahead), levels)
        lo, hi = np.percentile(drawn, [50 * (1 - level), 50 * (1 + level)], method="nearest")
        rows.append(
            {
                "model": a,
                "reference": b,
                "reference_setting": cells["setting"].iloc[target],
                "reference_budget": budget[target],
                "reference_value": means[target],
                "reference_cost": cost[target],
                **_behind(sample, grid.value[:, target] - grid.value[:, start], level),
                "compute": place,
                "lo": lo,
                "hi": hi,
                "most": levels[-1],
                "note": "" if np.isfinite(place) else "not reached in range",
            }
        )
    return pd.DataFrame(rows)


def _behind(sample: Replicates, apart: Floats, level: float) -> dict[str, float]:
    """The mean of paired differences, (problems,), with its interval."""
    values, grid = apart[:, None], sample.grid
    around = grid.means(values), grid.variance(values), grid.counts(values)
    lo, hi = bounded_interval(*around, level, DIFFERENCE, grid.benchmarks)
    return {"behind": around[0][0], "behind_lo": lo[0], "behind_hi": hi[0]}


def _deployed(sample: Replicates, cost: Floats, own: NDArray[np.intp]) -> tuple[Floats, Floats]:
    """A model's best cell at the cost of each of its cells: the costs (levels,), and the values out
    of bag (problems, levels). own: indices of its cells.
    """
    within = np.isin(np.arange(len(cost)), own)
    levels = np.unique(cost[within & ~np.isnan(cost)])
    choices = [choose(sample, cost, within & (cost <= c)) for c in levels]
    return levels, np.column_stack([c.out_of_bag for c in choices if c is not None])


def _first(ahead: Floats, levels: Floats) -> Floats:
    """The first level of each row at which `ahead` is 0 or more; inf where there is none."""
    reached = ahead >= 0
    return np.where(reached.any(axis=1), levels[np.argmax(reached, axis=1)], np.inf)
