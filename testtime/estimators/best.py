"""Which settings may be the best, and which are surely within a margin of it.

Of forty settings measured on thirty problems, the one on top is the best one in perhaps one case of
seven. What the data do say is which settings are *not* the best: those that some other one beats
beyond what chance does to all of them together. The rest are a confidence set (multiple comparisons
with the best, Hsu 1984; Hansen, Lunde and Nason 2011 for the same idea with a bootstrap): it holds
the best with probability `level`.

For each setting j the bootstrap gives the quantile c_j of the largest of all differences to it, in
standard errors. On the event that the true best keeps its quantile, both claims hold at once: it is
in the set, and a setting that is within the margin of every member of the set (difference - c_j
standard errors above -margin) is within the margin of the best. So how many settings were looked at
costs nothing more, and the cheapest of those that pass may be named.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from testtime.estimators.grid import Replicates
from testtime.estimators.intervals import (
    DIFFERENCE,
    Floats,
    normal_quantile,
    steadied,
    student_quantile,
    weighted_means,
)
from testtime.estimators.simultaneous import critical

Flags = NDArray[np.bool_]
RESAMPLES = 1000  # of those drawn; each setting needs its own quantile
POWER = 0.8


@dataclass(frozen=True)
class Standing:
    """Settings against the best of them, an entry a setting. columns: their places in the grid;
    best: whether it may be the best; gap: its mean less the best one observed; lo and hi: bounds of
    its gap to the true best, each held with probability `level`; spread: variance over problems of
    its difference to the best one observed; quantile: that this difference is judged by.
    """

    columns: NDArray[np.int64]
    best: Flags
    gap: Floats
    lo: Floats
    hi: Floats
    spread: Floats
    quantile: float

    def needed(self, index: int, margin: float) -> float:
        """Problems with which setting `index`, were it as good as the best, would be found to be
        within `margin` of it with a power of 80 %; inf for a margin of 0.

        Solves (c + z) se(N) = margin, se(N)^2 = (N spread + 1) / N^2 with the pseudo-problems' one.
        """
        if margin <= 0:
            return float("inf")
        wide = ((self.quantile + normal_quantile(POWER)) / margin) ** 2
        half = wide * float(self.spread[index]) / 2
        return half + float(np.sqrt(half**2 + wide))


def standing(sample: Replicates, allowed: Flags, level: float = 0.95) -> Standing | None:
    """Every allowed cell against the best of them, on the problems that all of them know; None
    where there are fewer than two such problems or no allowed cell.
    """
    grid, columns = sample.grid, np.flatnonzero(allowed)
    values = grid.value[:, columns]
    rows: Flags = np.asarray(~np.isnan(values).any(axis=1))
    values = np.where(rows[:, None], values, np.nan)
    count = float(grid.counts(values)[0]) if len(columns) else 0.0
    if count - grid.benchmarks < 1:
        return None
    mean, away = grid.means(values), grid.deviations(values)
    covariance = away.T @ away / rows.sum() ** 2
    own = np.diag(covariance)
    # [i, j] is setting i less setting j
    variance = np.maximum(own[:, None] + own - 2 * covariance, 0.0)
    centre, error = steadied(mean[:, None] - mean, variance, count, DIFFERENCE)
    shift = weighted_means(sample.weights[:RESAMPLES, rows], values[rows]) - mean
    shift = shift[~np.isnan(shift).any(axis=1)]
    freedom = count - grid.benchmarks
    clearest = (centre / error).max(axis=0, initial=0.0)
    # one that even Bonferroni's quantile leaves behind needs no resampling
    hopeless = student_quantile(1 - (1 - level) / max(len(columns) - 1, 1), freedom)
    best: Flags = np.array(clearest <= hopeless, dtype=np.bool_)
    quantile = np.full(len(columns), np.nan)
    for j in np.flatnonzero(best):
        deviates = (shift - shift[:, [j]]) / error[:, j]
        quantile[j] = critical(deviates, freedom, level, sides=1)
    best &= clearest <= quantile
    rivals = np.flatnonzero(best)
    width = quantile[rivals] * error[:, rivals]
    low, high = centre[:, rivals] - width, centre[:, rivals] + width
    same = columns[:, None] == columns[rivals]
    low[same] = high[same] = 0.0
    top = int(np.argmax(mean))
    return Standing(
        columns=columns,
        best=best,
        gap=mean - mean[top],
        lo=np.clip(low.min(axis=1), -1.0, 0.0),
        hi=np.clip(high.max(axis=1), -1.0, 0.0),
        spread=variance[:, top] * count,
        quantile=float(quantile[top]),
    )
