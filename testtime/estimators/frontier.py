"""The best setting at each compute, without the optimism of choosing and judging on the same
problems.

Among many cells the one that looks best was partly lucky. So a choice is made in each bootstrap
resample on the problems it drew, and judged on those it left out: each problem is scored by the
choices that never saw it (the leave-one-out bootstrap, Efron and Tibshirani 1997, section 4). How
often the resamples choose the same cell (`p_best`) says how firm the choice is, not how likely the
cell is the best: for that each choice comes with the number of its rivals, the settings that may as
well be the best (`best`). A cell's cost is taken as known: it varies far less than the question
which cell is best. The oracle selector is never chosen, because nobody can deploy it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from testtime.errors import UserError, suggest
from testtime.estimators.best import Standing, standing
from testtime.estimators.grid import COSTS, Replicates
from testtime.estimators.intervals import bounded_interval

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
CELL = ["model", "setting", "budget", "n", "selector"]


@dataclass(frozen=True, slots=True)
class Choice:
    """What a rule chose. cell: its column in the grid; value: its mean on all problems; p_best:
    share of resamples that chose it; out_of_bag: (problems,), what choices made without each
    problem score on it.
    """

    cell: int
    value: float
    p_best: float
    out_of_bag: Floats


def choose(
    sample: Replicates, cost: Floats, allowed: Flags, tolerance: float = 0.0
) -> Choice | None:
    """The cheapest allowed cell whose value is within `tolerance` of the best allowed one; None
    where none is allowed.

    cost, allowed: (cells,). With tolerance 0 it is the best cell, the cheapest of several equal
    ones.
    """
    columns = np.flatnonzero(allowed & _deployable(sample, cost))
    if not len(columns):
        return None
    columns = columns[np.argsort(cost[columns], kind="stable")]
    value = sample.grid.value[:, columns]
    means = sample.grid.means(value)

    def cheapest_good(values: Floats) -> NDArray[np.int64]:
        best = np.nanmax(values, axis=1, keepdims=True)
        result: NDArray[np.int64] = np.argmax(values >= best - tolerance - 1e-12, axis=1)
        return result

    own = int(cheapest_good(means[None])[0])
    drawn = sample.value[:, columns]
    usable = ~np.isnan(drawn).any(axis=1)  # a resample of a small difficulty bin can be empty
    chosen = cheapest_good(drawn[usable])
    picked = np.zeros((len(chosen), len(columns)))
    picked[np.arange(len(chosen)), chosen] = 1.0
    left_out = (sample.weights[usable] == 0).astype(np.float64)
    times = (
        left_out.T @ picked
    )  # (problems, columns): how often each cell was chosen without the problem
    times = np.where(np.isnan(value), 0.0, times)
    with np.errstate(invalid="ignore"):
        judged = (times * np.nan_to_num(value)).sum(axis=1) / times.sum(axis=1)
    return Choice(int(columns[own]), float(means[own]), float((chosen == own).mean()), judged)


def frontier(
    sample: Replicates,
    axis: str = "tokens",
    levels: Sequence[float] | None = None,
    latency: Floats | None = None,
    level: float = 0.95,
    model: str | None = None,
    rivals: bool = True,
) -> pd.DataFrame:
    """The best cell that costs at most each compute level.

    levels: compute on `axis` (a cost of the grid, means a problem); by default halvings of the
    dearest cell's cost down to the cheapest. model: only its cells. Columns: compute; the cell;
    cost; value (on all problems, optimistic); out_of_bag with lo and hi; p_best; and, where
    `rivals` are asked for, how many other settings may be the best of `settings` that cost no more.
    Raises UserError where the table holds no such cost.
    """
    cost = costs(sample, axis)
    if model is not None:
        cost = np.where(sample.grid.cells["model"] == model, cost, np.nan)
    rows = []
    for compute in levels if levels is not None else halvings(cost):
        within = cost <= compute * (1 + 1e-9)
        choice = choose(sample, cost, within)
        if choice is not None:
            row = _described(sample, choice, cost, latency, level)
            if rivals:
                row |= _rivals(standing(sample, within & _deployable(sample, cost), level))
            rows.append({"compute": float(compute), **row})
    return _table(rows, sample)


def path(
    sample: Replicates, axis: str = "tokens", level: float = 0.95, model: str | None = None
) -> pd.DataFrame:
    """The frontier's cells, each once, along growing cost: `frontier` at the cost of every cell."""
    cost = costs(sample, axis)
    if model is not None:  # nothing of its frontier changes between its own costs
        cost = cost[(sample.grid.cells["model"] == model).to_numpy()]
    levels = np.unique(cost)
    known = levels[np.isfinite(levels)].tolist()
    found = frontier(sample, axis, known, None, level, model, rivals=False)
    return found.drop_duplicates(CELL).sort_values("cost")


def recommend(
    sample: Replicates,
    axis: str = "tokens",
    tolerance: float = 0.01,
    limits: Mapping[str, float] | None = None,
    latency: Floats | None = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """Settings to deploy: the best, the cheapest within `tolerance` of it, and the best under each
    limit.

    limits: cost name (or "latency", in sequential tokens) -> the most that a problem may cost on
    average; latency: (cells,) as `latency.latency` gives. Columns: rule, then those of `frontier`
    without compute. A limit that no cell meets gives a row without a cell.

    The cheapest within tolerance is the cheapest one whose bound says so (`told`); where no cheaper
    cell's bound does, the row holds the cheapest that looks so and `needed`, the number of problems
    that could tell. Its gap to the best, with gap_lo and gap_hi, are those of `best.Standing`.
    """
    cost = costs(sample, axis)
    everything = np.ones(len(cost), dtype=bool)
    rules = {"best": everything}
    for name, limit in (limits or {}).items():
        if name == "latency" and latency is None:
            raise UserError(
                "limit 'latency': the scores table has no thinking_tokens or answer_tokens"
            )
        amount = latency if name == "latency" and latency is not None else costs(sample, name)
        rules[f"best at {name} <= {limit:g}"] = amount <= limit
    rows = []
    for rule, allowed in rules.items():
        among = standing(sample, allowed & _deployable(sample, cost), level)
        choice = choose(sample, cost, allowed)
        said = _described(sample, choice, cost, latency, level) if choice else {}
        rows.append({"rule": rule, **said, **(_rivals(among) if choice else {})})
        if rule == "best" and choice:
            rows.append(_cheapest(sample, cost, tolerance, latency, level, choice, among))
    return _table(rows, sample)


def _cheapest(
    sample: Replicates,
    cost: Floats,
    tolerance: float,
    latency: Floats | None,
    level: float,
    best: Choice,
    among: Standing | None,
) -> dict[str, object]:
    """The row of the cheapest setting within `tolerance` of the best one."""
    every = _deployable(sample, cost)
    choice = choose(sample, cost, every, tolerance) or best
    row: dict[str, object] = {"rule": f"cheapest within {points(tolerance)} of the best"}
    told = False
    if among is not None:
        place = {int(column): i for i, column in enumerate(among.columns)}
        passed = among.columns[(among.lo >= -tolerance) & (cost[among.columns] < cost[best.cell])]
        told = len(passed) > 0
        if told:
            cell = passed[np.argmin(cost[passed])]
            choice = choose(sample, cost, np.arange(len(cost)) == cell) or choice
        at = place[choice.cell]
        row |= {"gap": among.gap[at], "gap_lo": among.lo[at], "gap_hi": among.hi[at]}
        row |= {"needed": among.needed(at, tolerance)}
    return {**row, "told": told, **_described(sample, choice, cost, latency, level)}


def points(tolerance: float) -> str:
    """A difference of accuracies in words: "1 point", "2.5 points"."""
    return f"{100 * tolerance:g} point" + ("" if tolerance == 0.01 else "s")


def _deployable(sample: Replicates, cost: Floats) -> Flags:
    """Cells that somebody could deploy at a known cost: (cells,)."""
    flags: Flags = ~np.isnan(cost) & sample.grid.deployable
    return flags


def _rivals(among: Standing | None) -> dict[str, object]:
    if among is None:
        return {}
    return {"rivals": int(among.best.sum()) - 1, "settings": len(among.columns)}


def costs(sample: Replicates, axis: str) -> Floats:
    """Mean cost of each cell on an axis: (cells,). Raises UserError where the scores table lacks
    it.
    """
    if axis not in (*COSTS, "n"):
        raise UserError(f"axis {axis!r} does not exist{suggest(axis, (*COSTS, 'n'))}")
    cost = sample.grid.means(sample.grid.cost(axis))
    if np.isnan(cost).all():
        known = [c for c in COSTS if not np.isnan(sample.grid.cost(c)).all()]
        counts = "; axis 'n' counts samples instead"
        mend = {
            "usd": "; for dollars give prices (--price)",
            "seconds": "; for seconds give rates (--rate)",
        }.get(axis)
        raise UserError(
            f"axis {axis!r}: the scores table does not hold it; it has "
            f"{', '.join(known) or 'no costs at all'}"
            f"{mend or ('' if known else counts)}"
        )
    return cost


def halvings(cost: Floats) -> list[float]:
    """The dearest cost, its half, its quarter, down to the cheapest; ascending."""
    known = cost[~np.isnan(cost)]
    top, low = float(known.max()), float(known[known > 0].min(initial=known.max()))
    steps = int(np.floor(np.log2(top / low))) if low > 0 else 0
    return [top / 2.0**i for i in range(min(steps, 24), -1, -1)]


def _described(
    sample: Replicates, choice: Choice, cost: Floats, latency: Floats | None, level: float
) -> dict[str, object]:
    """A choice as a row: its cell, cost, value, out-of-bag value with interval, probability of
    being best, latency.
    """
    row = {name: sample.grid.cells[name].iloc[choice.cell] for name in CELL}
    judged = float(sample.grid.means(choice.out_of_bag[:, None])[0])
    grid, one = sample.grid, [choice.cell]
    variance = grid.variance(grid.value[:, one])
    # what is judged out of bag varies over problems as the cell itself does
    around = judged, variance[0], grid.problem_count[choice.cell], level
    lo, hi = map(float, bounded_interval(*around, strata=grid.benchmarks))
    found = {
        "value": choice.value,
        "out_of_bag": judged,
        "lo": lo,
        "hi": hi,
        "p_best": choice.p_best,
    }
    path = {} if latency is None else {"latency": float(latency[choice.cell])}
    return {**row, "cost": float(cost[choice.cell]), **found, **path}


def _table(rows: list[dict[str, object]], sample: Replicates) -> pd.DataFrame:
    import pandas as pd

    table = pd.DataFrame(rows)
    if "budget" in table:
        table["budget"] = table["budget"].astype(sample.grid.cells["budget"].dtype)
    return table
