"""What more thinking changes: repaired and corrupted answers, and the anytime index.

A curve of accuracy against budget can be flat because nothing happens or because as many answers
turn right as wrong. On nested cuts the two are seen apart: the same chain, cut at b and at 2 b.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from testtime.errors import UserError, suggest
from testtime.estimators.intervals import DIFFERENCE, SHARE, mean_interval
from testtime.estimators.probes import Chains, chains

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]


def changes(
    scores: pd.DataFrame,
    difficulty: str | None = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """For every doubling of the budget, how many answers it repairs and how many it corrupts.

    A step goes from each budget to the smallest of at least twice it (from 0, to the next).
    Columns: model, setting, difficulty ("all", then each value of the column), from_budget,
    to_budget; repaired, P(wrong, then right), corrupted, P(right, then wrong), and gain, their
    difference, each with _lo and _hi (over problems); repair_rate = P(right then | wrong
    before) and corruption_rate = P(wrong then | right before), ratios of means over problems, NaN
    where nobody could; changed, share of answers that are another one; problems. Scores between 0
    and 1 count by how far they rise or fall. Raises UserError as `probes.chains`.
    """
    import pandas as pd

    rows = []
    for group in chains(scores):
        score, problem = group.of("score"), group.table["problem_id"].to_numpy()[group.row[:, 0]]
        names, place = np.unique(problem, return_inverse=True)
        for label, member in _strata(group, difficulty, names, place):
            for i, j in _doublings(group.cuts):
                rose = np.maximum(score[:, j] - score[:, i], 0)
                fell = np.maximum(score[:, i] - score[:, j], 0)
                other = (group.key[:, i] != group.key[:, j]).astype(np.float64)
                moves = [_by_problem(x, place, len(names)) for x in (rose, fell, rose - fell)]
                able = [_by_problem(x, place, len(names)) for x in (1 - score[:, i], score[:, i])]
                kept = member & ~np.isnan(np.column_stack(moves)).any(axis=1)
                if not kept.any():
                    continue
                first = group.table.iloc[group.row[0, 0]]
                row = {"model": first["model"], "setting": first["setting"], "difficulty": label}
                row |= {"from_budget": group.cuts[i], "to_budget": group.cuts[j]}
                reaches = {"repaired": SHARE, "corrupted": SHARE, "gain": DIFFERENCE}
                for (name, reach), values in zip(reaches.items(), moves, strict=True):
                    mean, lo, hi = mean_interval(values[kept], level, reach)
                    row |= {name: float(mean), f"{name}_lo": float(lo), f"{name}_hi": float(hi)}
                for name, move, base in zip(
                    ("repair_rate", "corruption_rate"), moves, able, strict=False
                ):
                    total = base[kept].sum()
                    row[name] = move[kept].sum() / total if total > 0 else np.nan
                row["changed"] = np.nanmean(_by_problem(other, place, len(names))[kept])
                rows.append(row | {"problems": int(kept.sum())})
    return pd.DataFrame(rows)


def anytime(scores: pd.DataFrame, level: float = 0.95) -> pd.DataFrame:
    """The anytime index of each model and setting: mean accuracy over log budget, from the smallest
    budget above 0 to the largest (area under the curve by trapezoids over its width).

    Columns: model, setting, from_budget, to_budget, anytime, lo, hi, problems. One number for a
    model that may be stopped at any time, every doubling alike likely.
    """
    import pandas as pd

    rows = []
    for group in chains(scores):
        used = np.flatnonzero(group.cuts > 0)
        if len(used) < 2:
            continue
        problem = group.table["problem_id"].to_numpy()[group.row[:, 0]]
        names, place = np.unique(problem, return_inverse=True)
        score = group.of("score")
        curve = np.column_stack([_by_problem(score[:, j], place, len(names)) for j in used])
        curve = curve[~np.isnan(curve).any(axis=1)]
        x = np.log(group.cuts[used])
        area = ((curve[:, 1:] + curve[:, :-1]) / 2 * np.diff(x)).sum(axis=1) / (x[-1] - x[0])
        mean, lo, hi = (float(x) for x in mean_interval(area, level))
        first = group.table.iloc[group.row[0, 0]]
        rows.append(
            {
                "model": first["model"],
                "setting": first["setting"],
                "from_budget": group.cuts[used[0]],
                "to_budget": group.cuts[used[-1]],
                "anytime": mean,
                "lo": lo,
                "hi": hi,
                "problems": len(area),
            }
        )
    return pd.DataFrame(rows)


def _doublings(cuts: Floats) -> list[tuple[int, int]]:
    """(from, to) places of each step."""
    steps = []
    for i, b in enumerate(cuts[:-1]):
        longer = np.flatnonzero(cuts >= 2 * b) if b > 0 else np.array([i + 1])
        if len(longer):
            steps.append((i, int(longer[0])))
    return steps


def _strata(
    group: Chains, difficulty: str | None, names: NDArray[np.object_], place: NDArray[np.int64]
) -> list[tuple[str, NDArray[np.bool_]]]:
    """All problems, then those of each stated difficulty: (label, (problems,))."""
    every = [("all", np.ones(len(names), dtype=bool))]
    if difficulty is None:
        return every
    if difficulty not in group.table:
        near = suggest(difficulty, map(str, group.table.columns))
        raise UserError(f"changes: no column {difficulty!r}{near}")
    stated = group.table[difficulty].to_numpy()[group.row[:, 0]]
    of_problem = np.empty(len(names), dtype=object)
    of_problem[place] = stated
    return every + [(str(v), of_problem == v) for v in sorted(set(of_problem.tolist()))]


def _by_problem(values: Floats, place: NDArray[np.int64], problems: int) -> Floats:
    """Mean of known values in each problem: (problems,); NaN where there is none."""
    known = ~np.isnan(values)
    count = np.bincount(place[known], minlength=problems)
    total = np.bincount(place[known], weights=values[known], minlength=problems)
    with np.errstate(invalid="ignore"):
        mean: Floats = total / np.where(count > 0, count, np.nan)
    return mean
