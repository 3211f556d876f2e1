"""Think longer, or sample more? Doubling the budget against doubling n, from every cell.

From a cell (b, n) that costs c, both (2b, n) and (b, 2n) cost at most 2c, so the difference of
their gains says how a doubled compute is better spent. Where the longer step costs more than that
(from budget 0, or to the next effort level), only the share of its gain that twice the compute buys
counts, linear in log cost. Often it costs less, because chains that end by themselves do not get
longer; `equal_cost` then reads the gain of more samples at that lower cost. Everything is computed
in each bootstrap resample, accuracy and cost from the same problems, so intervals are paired. (A
majority of two is a coin toss between two samples: from n = 1, more votes gain nothing at first.)

Along growing budgets the difference is at first negative where a few tokens of thinking help
nobody, then positive, then negative again where the chains have ended by themselves. So a path has
at most one stretch in which longer is better; its two ends are the crossovers. The stretch is the
one with the largest sum of differences; resamples that put an end outside the range count as below
or above it, so that its interval can be open. What is said of a path must agree with the verdicts
on its starts: a stretch between starts that are all undecided is called that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from testtime.estimators.frontier import CELL, costs
from testtime.estimators.grid import Replicates
from testtime.estimators.intervals import DIFFERENCE, bounded_interval

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
UNDECIDED = "undecided throughout"


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


def _priced(at: Steps, cost: Floats) -> Steps:
    """Without the starts that cost nothing, which nothing doubles."""
    kept = cost[at.start] != 0
    return Steps(at.start[kept], at.longer[kept], at.more[kept])


def doublings(
    sample: Replicates, axis: str = "tokens", level: float = 0.95, factor: int = 2
) -> pd.DataFrame:
    """Longer against more from every cell that allows both.

    Columns: the starting cell; its value and cost; to_setting and to_budget of the longer step;
    longer and more, the gains of the two steps; ratio_longer and ratio_more, their costs over the
    start's; difference = longer - more; equal_cost, the difference at the longer step's cost; each
    of the four with _lo and _hi; better: "longer" or "more", "undecided" where the interval of the
    difference covers 0.
    """
    cost, value = costs(sample, axis), sample.grid.means(sample.grid.value)
    at = _priced(steps(sample, factor), cost)
    table = sample.grid.cells.iloc[at.start][CELL].reset_index(drop=True)
    table["value"], table["cost"] = value[at.start], cost[at.start]
    table["to_setting"] = sample.grid.cells["setting"].to_numpy()[at.longer]
    table["to_budget"] = sample.grid.cells["budget"].array[at.longer]
    own, drawn = _gains(value[None], cost[None], at), _gains(sample.value, sample.cost(axis), at)
    for name, (lo, hi) in _intervals(sample, cost, drawn, at, level).items():
        table[name], table[f"{name}_lo"], table[f"{name}_hi"] = own[name][0], lo, hi
    table["ratio_longer"], table["ratio_more"] = (
        cost[at.longer] / cost[at.start],
        cost[at.more] / cost[at.start],
    )
    table["better"] = _better(table["difference_lo"], table["difference_hi"])
    return table


def crossovers(
    sample: Replicates, axis: str = "tokens", level: float = 0.95, factor: int = 2
) -> pd.DataFrame:
    """Where the better step changes along growing budgets, for each model, setting, n and selector.

    Columns: model, selector, setting, n; longer_from and longer_to, the compute between which
    longer is better and outside of which more is, each with _lo and _hi (0 or inf: not within the
    range of the starting cells; NaN for one problem); from and to, that range; starts, how many
    cells it has; note: "no crossover in range" with the verdicts on the starts, where there is
    neither end within it (longer_from and longer_to are then NaN), and "undecided throughout" also
    where there is. Paths with fewer than two starts are left out.
    """
    import pandas as pd

    every, drawn_every = costs(sample, axis), sample.cost(axis)
    at = _priced(steps(sample, factor), every)
    cost, drawn_cost = every[at.start], drawn_every[:, at.start]
    own = _gains(sample.grid.means(sample.grid.value)[None], every[None], at)["difference"][0]
    drawn = _gains(sample.value, drawn_every, at)["difference"]
    better = _better(*_intervals(sample, every, {"difference": drawn}, at, level)["difference"])
    alone = sample.grid.problem_count[at.start] < 2
    seen = ~np.isnan(drawn).any(axis=1)  # a resample can miss a small bin
    starts = sample.grid.cells.iloc[at.start].reset_index(drop=True)
    starts["setting"] = starts["setting"].where(starts["budget"].notna(), "(levels)")
    keys = ["model", "selector", "setting", "n"]
    tails = [50 * (1 - level), 50 * (1 + level)]
    rows = []
    for _, group in starts.groupby(keys, sort=False):
        index = group.index.to_numpy()
        index = index[np.argsort(cost[index], kind="stable")]
        if len(index) < 2:
            continue
        ends = _stretch(cost[None, index], own[None, index])
        resampled = _stretch(drawn_cost[seen][:, index], drawn[seen][:, index])
        inside = any(0 < end[0] < np.inf for end in ends)
        row = dict(group.iloc[0][keys])
        for name, end, drawn_end in zip(("longer_from", "longer_to"), ends, resampled, strict=True):
            lo, hi = (
                (np.nan, np.nan)
                if alone[index].any()
                else np.percentile(drawn_end, tails, method="nearest")
            )
            row |= (
                {name: end[0], f"{name}_lo": lo, f"{name}_hi": hi}
                if inside
                else dict.fromkeys((name, f"{name}_lo", f"{name}_hi"), np.nan)
            )
        verdicts = _verdicts(better[index])
        note = verdicts if verdicts == UNDECIDED else ""
        note = note if inside else f"no crossover in range: {verdicts}"
        rows.append(
            row
            | {"from": cost[index[0]], "to": cost[index[-1]], "starts": len(index), "note": note}
        )
    return pd.DataFrame(rows)


def _gains(value: Floats, cost: Floats, at: Steps) -> dict[str, Floats]:
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


def _intervals(
    sample: Replicates, cost: Floats, drawn: dict[str, Floats], at: Steps, level: float
) -> dict[str, tuple[Floats, Floats]]:
    """Of each of `drawn`, the replicates of `_gains`. cost: (cells,), at which one problem's gains
    are compared.
    """
    each, count = _gains(sample.grid.value, cost[None], at), sample.grid.problem_count[at.start]
    most = np.maximum(1, _share(cost[None], at)[0])  # a gain of more samples counts that often
    reach = {"equal_cost": (-most, most)}
    return {
        name: bounded_interval(values, each[name], count, level, reach.get(name, DIFFERENCE))
        for name, values in drawn.items()
    }


def _better(lo: ArrayLike, hi: ArrayLike) -> NDArray[np.str_]:
    """The verdict on each interval of a difference longer - more."""
    return np.select([np.asarray(lo) > 0, np.asarray(hi) < 0], ["longer", "more"], "undecided")


def _verdicts(better: NDArray[np.str_]) -> str:
    """The verdicts on the starts of a path in words: `more throughout`, or `longer from 1,
    undecided from 3 starts`.
    """
    found = {side: int((better == side).sum()) for side in ("longer", "more", "undecided")}
    told = [f"{side} from {count}" for side, count in found.items() if count]
    return f"{better[0]} throughout" if len(told) == 1 else f"{', '.join(told)} starts"


def _stretch(cost: Floats, difference: Floats) -> tuple[Floats, Floats]:
    """The two ends, in compute, of the stretch of each row with the largest sum of differences.

    cost, difference: (rows, points), along growing cost. Between the points inside and outside the
    zero is interpolated in log cost. An end at the edge of the range is 0 below and inf above it;
    where no difference is positive, the stretch starts at inf and ends at 0.
    """
    rows, points = difference.shape
    before = np.concatenate([np.zeros((rows, 1)), np.cumsum(difference, axis=1)], axis=1)
    lowest = np.minimum.accumulate(before, axis=1)
    line, stop = np.arange(rows), np.argmax(before - lowest, axis=1)
    start = np.argmax(before == lowest[line, stop][:, None], axis=1)
    empty = stop <= start
    first = np.where(start == 0, 0.0, _zero(cost, difference, start))
    last = np.where(stop == points, np.inf, _zero(cost, difference, stop))
    return np.where(empty, np.inf, first), np.where(empty, 0.0, last)


def _zero(cost: Floats, difference: Floats, index: Ints) -> Floats:
    """Where each row changes sign between the points index - 1 and index; their geometric mean
    where it does not.
    """
    line, points = np.arange(len(cost)), cost.shape[1]
    left, right = np.clip(index - 1, 0, points - 1), np.clip(index, 0, points - 1)
    a, b = difference[line, left], difference[line, right]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(a * b < 0, a / (a - b), 0.5)
    x, y = np.log(cost[line, left]), np.log(cost[line, right])
    place: Floats = np.exp(x + share * (y - x))
    return place
