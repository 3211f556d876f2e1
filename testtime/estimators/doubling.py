"""Think longer, or sample more? Doubling the budget against doubling n, from every cell.

From a cell (b, n) that costs c, both (2b, n) and (b, 2n) cost at most 2c, so the difference of
their gains says how a doubled compute is better spent. Where the longer step costs more than that
(from budget 0, or to the next effort level), only the share of its gain that twice the compute buys
counts, linear in log cost. Often it costs less, because chains that end by themselves do not get
longer; `equal_cost` then reads the gain of more samples at that lower cost. Everything is computed
in each bootstrap resample, accuracy and cost from the same problems, so intervals are paired.

A table has dozens of starts, and one of them always looks clear. So "longer" and "more" are said
where the step-down over all of them allows it (`simultaneous`); each start's own interval stands
beside. Oracles, which nobody can deploy, are judged by themselves; so are votes from n = 1: a
majority of two is a coin toss between two samples, which gains nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from testtime.estimators.frontier import CELL, costs
from testtime.estimators.grid import Replicates
from testtime.estimators.intervals import DIFFERENCE, Reach, bounded_interval, steadied
from testtime.estimators.simultaneous import adjusted, verdicts

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


GAINS = ("longer", "more", "difference", "equal_cost")


@dataclass(frozen=True, slots=True)
class Steps:
    """Columns of the grid, one entry a comparison: its start, the cell with more thinking, that
    with more samples.
    """

    start: Ints
    longer: Ints
    more: Ints


def steps(sample: Replicates, factor: int = 2) -> Steps:
    """Every cell from which both steps exist in the grid.

    The longer step goes to the smallest budget of at least `factor` times the start's (from 0, to
    the smallest above it); among effort levels, which have no budget, to the next level by realised
    thinking. The other goes to factor times n.
    """
    cells = sample.grid.cells
    budget = cells["budget"].to_numpy(dtype=np.float64, na_value=np.nan)
    each = sample.grid.means(sample.grid.cost("thinking_tokens"))
    if np.isnan(each).all():
        each = sample.grid.means(sample.grid.cost("tokens"))
    thinking = each / cells["n"].to_numpy(dtype=np.float64)
    told = np.isnan(budget)
    rank = np.where(told, thinking, budget)
    # effort levels of a model share one path; budgets share one where the setting is the same
    names = zip(
        cells["model"],
        cells["selector"],
        cells["setting"].mask(told, ""),
        told.tolist(),
        cells["n"],
        strict=True,
    )
    paths: dict[tuple[str, str, str, bool, int], list[int]] = {}
    for i, name in enumerate(names):
        paths.setdefault(name, []).append(i)
    pool = list(
        zip(
            cells["model"],
            cells["selector"],
            cells["setting"],
            np.where(told, -1.0, budget),
            strict=True,
        )
    )
    wider = {(*key, n): i for i, (key, n) in enumerate(zip(pool, cells["n"], strict=True))}
    found = []
    for (*_, n), path in paths.items():
        path.sort(key=lambda i: rank[i])
        for i in path:
            longer = (
                j
                for j in path
                if (rank[j] > rank[i] if told[i] else rank[j] >= max(factor * rank[i], 1e-9))
            )
            pair = next(longer, None), wider.get((*pool[i], factor * n))
            if None not in pair:
                found.append((i, *pair))
    columns = np.array(sorted(found), dtype=np.int64).reshape(-1, 3)
    return Steps(columns[:, 0], columns[:, 1], columns[:, 2])


@dataclass(frozen=True)
class Measured:
    """Both steps from every start that costs something. table: as `doublings` returns it; drawn:
    replicates of each of GAINS, (resamples, starts); cost and drawn_cost: of the starts.
    """

    table: pd.DataFrame
    at: Steps
    drawn: dict[str, Floats]
    cost: Floats
    drawn_cost: Floats


def doublings(
    sample: Replicates, axis: str = "tokens", level: float = 0.95, factor: int = 2
) -> pd.DataFrame:
    """Longer against more from every cell that allows both.

    Columns: the starting cell; its value and cost; to_setting and to_budget of the longer step;
    longer and more, the gains of the two steps; difference = longer - more; equal_cost, the
    difference at the longer step's cost; each of the four with its own _lo and _hi; ratio_longer
    and ratio_more, the steps' costs over the start's; p of the difference, adjusted for all starts;
    better: "longer" or "more" where that p is at most 1 - level, else "undecided".
    """
    return measure(sample, axis, level, factor).table


def measure(
    sample: Replicates, axis: str = "tokens", level: float = 0.95, factor: int = 2, tables: int = 1
) -> Measured:
    """`doublings` with what it was made from. tables: among how many such tables this is one; their
    verdicts share the error rate, so p is multiplied by it.
    """
    grid, cost = sample.grid, costs(sample, axis)
    value, drawn_cost = grid.means(grid.value), sample.cost(axis)
    at = steps(sample, factor)
    priced = cost[at.start] != 0  # nothing doubles a start that costs nothing
    at = Steps(at.start[priced], at.longer[priced], at.more[priced])
    own, drawn = gains(value[None], cost[None], at), gains(sample.value, drawn_cost, at)
    table = grid.cells.iloc[at.start][CELL].reset_index(drop=True)
    table["value"], table["cost"] = value[at.start], cost[at.start]
    table["to_setting"] = grid.cells["setting"].to_numpy()[at.longer]
    table["to_budget"] = grid.cells["budget"].array[at.longer]
    count = grid.problem_count[at.start]
    most = np.maximum(1, _share(cost[None], at)[0])  # a gain of more samples counts that often
    for name in GAINS:
        reach = Reach(-most, most, 0.5) if name == "equal_cost" else DIFFERENCE
        around = own[name][0], _variance(drawn[name]), count
        table[name] = own[name][0]
        table[f"{name}_lo"], table[f"{name}_hi"] = bounded_interval(
            *around, level, reach, grid.benchmarks
        )
        if name == "difference":
            centre, error = steadied(*around, reach)
    for name, step in (("longer", at.longer), ("more", at.more)):
        table[f"ratio_{name}"] = cost[step] / cost[at.start]
    away = (drawn["difference"] - own["difference"]) / error
    table["p"] = _adjusted(table, centre / error, away, count - grid.benchmarks, tables)
    table["better"] = verdicts(centre, table["p"].to_numpy(), level, "longer", "more")
    return Measured(table, at, drawn, cost[at.start], drawn_cost[:, at.start])


def _adjusted(
    table: pd.DataFrame, statistic: Floats, away: Floats, freedom: Floats, tables: int
) -> Floats:
    """The p of each start within its family: what can be deployed, votes from n = 1, oracles."""
    trivial = ((table["selector"] == "majority") & (table["n"] == 1)).to_numpy()
    family = np.where(table["selector"] == "oracle", 2, trivial.astype(int))
    p = np.ones(len(table))
    for which in np.unique(family):
        mine = family == which
        p[mine] = adjusted(statistic[mine], away[:, mine], freedom[mine])
    return np.minimum(p * tables, 1.0)


def _variance(drawn: Floats) -> Floats:
    """Over resamples; those in which a small bin had no problem are left out."""
    absent = np.isnan(drawn).any(axis=1)
    result: Floats = drawn[~absent].var(axis=0) if len(drawn) else drawn.sum(axis=0)
    return result


def gains(value: Floats, cost: Floats, at: Steps) -> dict[str, Floats]:
    """Gains of both steps and their differences, (resamples, comparisons) each."""
    longer = value[:, at.longer] - value[:, at.start]
    more = value[:, at.more] - value[:, at.start]
    share = _share(cost, at)
    with np.errstate(divide="ignore"):
        affordable = np.where(share > 1, 1 / share, 1.0)
    return {
        "longer": longer,
        "more": more,
        "difference": longer * affordable - more,
        "equal_cost": longer - more * share,
    }


def _share(cost: Floats, at: Steps) -> Floats:
    """Cost of the longer step over that of more samples, both in doublings: (resamples,
    comparisons).
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        share: Floats = np.log(cost[:, at.longer] / cost[:, at.start]) / np.log(
            cost[:, at.more] / cost[:, at.start]
        )
    return share
