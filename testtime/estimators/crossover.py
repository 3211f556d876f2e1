"""Where, along growing budgets, thinking longer starts and stops being the better way to spend a
doubled compute.

The difference (`doubling`) is at first negative where a few tokens of thinking help nobody, then
positive, then negative again where the chains have ended by themselves. So a path has at most one
stretch in which longer is better; its two ends are the crossovers. The stretch is the one with the
largest sum of differences; resamples that put an end outside the range count as below or above it,
so that its interval can be open.

A sum of noise has a largest stretch too. So an end is told only where the verdicts on the starts
show the change: "longer" on its one side and "more" on its other, both after the step-down over all
starts of the table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from testtime.estimators.doubling import Floats, Ints, measure
from testtime.estimators.grid import Replicates

if TYPE_CHECKING:
    import pandas as pd

UNDECIDED = "undecided throughout"
PATH = ["model", "selector", "setting", "n"]


def crossovers(
    sample: Replicates,
    axis: str = "tokens",
    level: float = 0.95,
    factor: int = 2,
    tables: int = 1,
) -> pd.DataFrame:
    """Where the better step changes along growing budgets, for each model, setting, n and selector.

    Columns: model, selector, setting, n; longer_from and longer_to, the compute between which
    longer is better and outside of which more is, each with _lo and _hi (0 or inf: not within the
    range of the starting cells; NaN: not shown by the verdicts, or one problem); from and to, that
    range; starts, how many cells it has; note: the verdicts on the starts, where no end is shown.
    Paths with fewer than two starts are left out. tables: as `doubling.measure`.
    """
    import pandas as pd

    measured = measure(sample, axis, level, factor, tables)
    drawn, own = measured.drawn["difference"], measured.table["difference"].to_numpy()
    better = measured.table["better"].to_numpy(dtype=str)
    alone = sample.grid.problem_count[measured.at.start] < 2
    seen = ~np.isnan(drawn).any(axis=1)  # a resample can miss a small bin
    starts = sample.grid.cells.iloc[measured.at.start].reset_index(drop=True)
    starts["setting"] = starts["setting"].where(starts["budget"].notna(), "(levels)")
    tails = [50 * (1 - level), 50 * (1 + level)]
    rows = []
    for _, group in starts.groupby(PATH, sort=False):
        index = group.index.to_numpy()
        index = index[np.argsort(measured.cost[index], kind="stable")]
        if len(index) < 2:
            continue
        cost = measured.cost[index]
        ends = [float(end[0]) for end in _stretch(cost[None], own[None, index])]
        resampled = _stretch(measured.drawn_cost[seen][:, index], drawn[seen][:, index])
        shown = _shown(cost, better[index], *ends)
        row = dict(group.iloc[0][PATH])
        names = ("longer_from", "longer_to")
        for name, end, drawn_end, told in zip(names, ends, resampled, shown, strict=True):
            lo, hi = np.full(2, np.nan)
            if told and not alone[index].any():
                lo, hi = np.percentile(drawn_end, tails, method="nearest")
            row |= {name: end if told else np.nan, f"{name}_lo": lo, f"{name}_hi": hi}
        crossed = any(np.isfinite(row[name]) and row[name] > 0 for name in names)
        if not crossed:
            row |= dict.fromkeys((f"{n}{e}" for n in names for e in ("", "_lo", "_hi")), np.nan)
        row |= {"from": cost[0], "to": cost[-1], "starts": len(index)}
        rows.append(row | {"note": "" if crossed else _note(better[index])})
    return pd.DataFrame(rows)


def _shown(cost: Floats, better: NDArray[np.str_], start: float, stop: float) -> tuple[bool, bool]:
    """Whether the verdicts show each end of a stretch: an inner end lies between "more" and
    "longer"; one at the edge of the range (0 or inf) has "longer" next to it.
    """
    longer = cost[better == "longer"]
    within = bool(((longer > start) & (longer < stop)).any())
    below, above = (cost < start) & (better == "more"), (cost > stop) & (better == "more")
    first = better[0] == "longer" if start == 0 else within and bool(below.any())
    last = better[-1] == "longer" if np.isinf(stop) else within and bool(above.any())
    return bool(first), bool(last)


def _note(better: NDArray[np.str_]) -> str:
    """The verdicts on the starts of a path in words: "no crossover in range: more throughout", or
    "no crossover shown: longer from 1, undecided from 3 starts".
    """
    counts = {side: int((better == side).sum()) for side in ("longer", "more", "undecided")}
    told = [f"{side} from {count}" for side, count in counts.items() if count]
    if len(told) > 1:
        return f"no crossover shown: {', '.join(told)} starts"
    return (
        UNDECIDED if better[0] == "undecided" else f"no crossover in range: {better[0]} throughout"
    )


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
