"""A setting against the one without it, each at its best for the same compute: four turns of a tool
against none, three rounds of revision against one.

Without it, compute goes into longer thinking and more samples; so at each compute the best budget
and n of both are compared, chosen on some problems and judged on the others (`frontier.choose`).
What is compared, is the pair of choices; all rows are judged together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from testtime.estimators.amounts import read
from testtime.estimators.frontier import Choice, choose, costs, halvings
from testtime.estimators.grid import Replicates
from testtime.estimators.models import judged

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
CHOSEN = ("setting", "budget", "n", "selector")


def equal_cost(sample: Replicates, axis: str = "tokens", level: float = 0.95) -> pd.DataFrame:
    """Differences a - b of the best that two settings of a model do for the same compute: b has
    least of what settings are nested in (turn=0, depth=0, round=1), a is each other one.

    Columns: model; a_ and b_ setting, budget, n, selector (what all problems choose), value (out
    of bag) and cost; compute, the most that either may cost a problem; difference, with lo, hi,
    all_lo, all_hi, p and better as in `models.differences`. Empty where no settings differ so.
    """
    import pandas as pd

    cells, cost = sample.grid.cells, costs(sample, axis)
    rows, apart = [], list[Floats]()
    for model, mine in cells.groupby("model", sort=False):
        for names in _families(mine["setting"].unique()):
            least, *others = ((mine["setting"] == name) for name in names)
            base = _flags(cells, least.index[least])
            for other in others:
                own = _flags(cells, other.index[other])
                for compute in _levels(cost, base, own):
                    within = cost <= compute * (1 + 1e-9)
                    a, b = choose(sample, cost, own & within), choose(sample, cost, base & within)
                    if a is None or b is None:
                        continue
                    apart.append(a.out_of_bag - b.out_of_bag)
                    told = {**_told(cells, cost, "a", a), **_told(cells, cost, "b", b)}
                    rows.append({"model": model, "compute": compute, **told})
    if not rows:
        return pd.DataFrame()
    table, matrix = pd.DataFrame(rows), np.column_stack(apart)
    table["difference"] = sample.grid.means(matrix)
    return judged(table, sample, matrix, level, np.zeros(len(table), dtype=bool))


def _families(settings: NDArray[np.str_]) -> list[list[str]]:
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


def _flags(cells: pd.DataFrame, index: pd.Index) -> NDArray[np.bool_]:
    flags: NDArray[np.bool_] = np.isin(np.arange(len(cells)), index.to_numpy())
    return flags


def _levels(cost: Floats, base: NDArray[np.bool_], own: NDArray[np.bool_]) -> list[float]:
    """Halvings of the dearest cell's cost, where both have a cell."""
    known = [cost[flags & ~np.isnan(cost)] for flags in (base, own)]
    if not all(map(len, known)):
        return []
    least = max(float(part.min()) for part in known)
    return [level for level in halvings(np.concatenate(known)) if level >= least * (1 - 1e-9)]


def _told(cells: pd.DataFrame, cost: Floats, side: str, choice: Choice) -> dict[str, object]:
    row = {f"{side}_{name}": cells[name].iloc[choice.cell] for name in CHOSEN}
    known = float(np.nanmean(choice.out_of_bag))
    return {**row, f"{side}_value": known, f"{side}_cost": float(cost[choice.cell])}
