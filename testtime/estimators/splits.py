"""How compute is best split between solving and verifying: S samples and V verifications of each.

Of all cells under a vote weighted by V verifications, the best split at a compute is the one that
no cheaper cell is as good as. How its S and V grow with compute C, as C^a and C^b, are the
exponents of Singhi et al. (2025, "When to solve, when to verify", section 5), who find that solving
should grow faster.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from testtime.estimators.grid import Replicates

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
LEAST = 3  # best splits from which exponents are read


@dataclass(frozen=True)
class Exponent:
    """Of compute: the least-squares slope in logarithms, and its 95 % interval over problems."""

    value: float
    lo: float
    hi: float


def best_splits(sample: Replicates, name: str) -> pd.DataFrame:
    """The best splits in ascending order of compute: flops, samples, verifications, value.

    sample: of one setting and budget, with cells under weighted:NAME_v; name: the column's, without
    its number. Empty where there are no such cells.
    """
    grid = sample.grid
    cells = _cells(sample, name)
    mean, cost = grid.means(grid.value), grid.means(grid.cost("flops"))
    table = cells.assign(flops=cost[cells.index], value=mean[cells.index])
    kept = table.iloc[_frontier(table["flops"].to_numpy(), table["value"].to_numpy())]
    return kept[["flops", "samples", "verifications", "value"]].reset_index(drop=True)


def exponents(sample: Replicates, name: str) -> tuple[Exponent, Exponent] | None:
    """How the best splits' samples and verifications grow with compute; None where there are fewer
    than three of them, or all have the same number of verifications.

    Problems are resampled, with them accuracy and cost of every cell, and the best splits found
    anew each time; a resample with fewer than three best splits says nothing.
    """
    cells = _cells(sample, name)
    if len(best_splits(sample, name)) < LEAST or cells["verifications"].nunique() < 2:
        return None
    values, costs = sample.value[:, cells.index], sample.cost("flops")[:, cells.index]
    grid = sample.grid
    whole = grid.means(grid.value)[cells.index], grid.means(grid.cost("flops"))[cells.index]
    split = np.log(cells[["samples", "verifications"]].to_numpy(dtype=np.float64))

    def slopes(value: Floats, cost: Floats) -> Floats:
        best = _frontier(cost, value)
        if len(best) < LEAST:
            return np.full(2, np.nan)
        x = np.log(cost[best]) - np.log(cost[best]).mean()
        slope: Floats = x @ split[best] / (x @ x)
        return slope

    centre = slopes(*whole)
    drawn = np.array([slopes(value, cost) for value, cost in zip(values, costs, strict=True)])
    low, high = np.nanquantile(drawn, [0.025, 0.975], axis=0)
    a, b = (Exponent(*map(float, one)) for one in zip(centre, low, high, strict=True))
    return a, b


def _cells(sample: Replicates, name: str) -> pd.DataFrame:
    """samples and verifications of the cells that verify, by their number in the grid."""
    cells = sample.grid.cells
    number = cells["selector"].str.extract(f"^weighted:{re.escape(name)}_([0-9]+)$")[0]
    mine = cells[number.notna()]
    told = {"samples": mine["n"], "verifications": number.dropna().astype(int)}
    return mine.assign(**told)[["samples", "verifications"]]


def _frontier(cost: Floats, value: Floats) -> NDArray[np.int64]:
    """Places of the cells that no cheaper one is as good as, in ascending order of cost."""
    order = np.lexsort((-value, cost))
    before = np.concatenate([[-np.inf], np.maximum.accumulate(value[order])[:-1]])
    best: NDArray[np.int64] = order[value[order] > before]
    return best
