"""Replicates of the grid within bins of difficulty, so that every comparison can be made bin by
bin.

Binning on the scored samples themselves selects on their noise: the hardest bin then looks worse
than it is at one sample and better with more (regression to the mean). So the bin of a problem is
decided on one half of the samples and the cells are scored on the other, then the halves change
places (Snell et al. 2024, section 4.1, use the same two folds). Both halves of a problem are
resampled together. A column of the table that states the difficulty (a benchmark's level) needs no
halves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from testtime.errors import UserError, suggest
from testtime.estimators.cells import summary
from testtime.estimators.grid import Grid, Prefill, Replicates, build
from testtime.estimators.table import normalise

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]


def bins_by_rate(rate: ArrayLike, bins: int = 5) -> NDArray[np.int64]:
    """Equal-sized bins of problems by pass rate, 1 the easiest; ties in the order given. NaN rates
    (no samples) get bin 0.
    """
    x = np.asarray(rate, dtype=np.float64)
    result = np.zeros(len(x), dtype=np.int64)
    known = np.flatnonzero(~np.isnan(x))
    order = known[np.argsort(-x[known], kind="stable")]
    result[order] = 1 + np.arange(len(order)) * bins // max(len(order), 1)
    return result


def cells_by_difficulty(
    scores: pd.DataFrame,
    n: Sequence[int] | None,
    selectors: Sequence[str],
    *,
    bins: int = 5,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> pd.DataFrame:
    """The cells table of `by_pass_rate` with a leading column `difficulty` (1 easiest .. bins).
    Raises as that does.
    """
    import pandas as pd

    parts = by_pass_rate(scores, n, selectors, bins=bins, resamples=resamples, seed=seed)
    tables = [summary(part, level) for part in parts.values()]
    for label, table in zip(parts, tables, strict=True):
        table.insert(0, "difficulty", int(label))
    return pd.concat(tables, ignore_index=True)


def by_column(sample: Replicates, scores: pd.DataFrame, column: str) -> dict[str, Replicates]:
    """The replicates within each value of a column that states the difficulty, one value a problem,
    in sorted order.

    Raises UserError where the column is absent or a problem has two values of it.
    """
    if column not in scores:
        raise UserError(
            f"difficulty: the scores table has no column "
            f"{column!r}{suggest(column, map(str, scores.columns))}"
        )
    stated = scores.assign(problem_id=scores["problem_id"].astype(str)).groupby("problem_id")[
        column
    ]
    several = stated.nunique(dropna=False)
    if (several > 1).any():
        raise UserError(
            f"difficulty: problem {several.idxmax()!r} has several values of {column!r}; it needs "
            f"exactly one"
        )
    label = stated.first().reindex(sample.grid.problems)
    return {
        str(v): part_of(sample.grid, sample.weights, (label == v).to_numpy())
        for v in sorted(label.dropna().unique())
    }


def by_pass_rate(
    scores: pd.DataFrame,
    n: Sequence[int] | None,
    selectors: Sequence[str],
    *,
    bins: int = 5,
    resamples: int = 2000,
    seed: int = 0,
    prefill: Prefill = "once",
) -> dict[str, Replicates]:
    """The replicates within equal bins of one model's own pass rate: "1" (easiest) to str(bins).

    Each half holds half the samples, so n goes up to half of them. Raises UserError for several
    models, and for pools of fewer than two samples a problem.
    """
    table = normalise(scores)
    if table["model"].nunique() > 1:
        raise UserError(
            f"difficulty bins are one model's own; choose one of {sorted(table['model'].unique())}"
        )
    half = table["sample"].rank(method="dense").to_numpy().astype(int) % 2
    if (half == half[0]).all():
        raise UserError(
            "difficulty bins need two samples a problem: one half decides the bin, the other is "
            "scored"
        )
    ks = n
    if n is None:
        least = int(
            table.groupby([half, "setting", "budget", "problem_id"], dropna=False)["score"]
            .count()
            .min()
        )
        ks = [1 << i for i in range(max(least, 1).bit_length())]
    grids = [
        build(table[half == scored], ks, selectors, prefill=prefill, seed=seed) for scored in (0, 1)
    ]
    if not grids[0].cells.equals(grids[1].cells) or not np.array_equal(
        grids[0].problems, grids[1].problems
    ):
        raise UserError(
            "difficulty bins need the same budgets, problems and n in both halves of the samples"
        )
    rate = [table[half != scored].groupby("problem_id")["score"].mean() for scored in (0, 1)]
    member = np.concatenate(
        [
            bins_by_rate(r.reindex(g.problems).to_numpy(), bins)
            for r, g in zip(rate, grids, strict=True)
        ]
    )
    weights = np.tile(grids[0].bootstrap(resamples, seed).weights, (1, 2))
    both = replace(
        grids[0],
        problems=np.concatenate([g.problems for g in grids]),
        strata=np.concatenate([g.strata for g in grids]),
        value=np.vstack([g.value for g in grids]),
        _unit={name: np.vstack([g._unit[name] for g in grids]) for name in grids[0]._unit},
    )
    return {
        str(b): part_of(both, weights, member == b)
        for b in range(1, bins + 1)
        if (member == b).any()
    }


def part_of(grid: Grid, weights: Floats, rows: NDArray[np.bool_]) -> Replicates:
    """The replicates of some of the problems; rows: (problems,)."""
    unit = {name: values[rows] for name, values in grid._unit.items()}
    part = replace(
        grid,
        problems=grid.problems[rows],
        strata=grid.strata[rows],
        value=grid.value[rows],
        _unit=unit,
    )
    return Replicates(part, weights[:, rows])
