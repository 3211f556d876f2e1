"""Paired differences of cells, judged as one table.

Several comparisons on the same problems: each has its own interval elsewhere; what is named a win
is judged here, together with all that stands beside it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from testtime.estimators.grid import Replicates
from testtime.estimators.intervals import DIFFERENCE, bounded_interval, weighted_means
from testtime.estimators.simultaneous import critical

Floats = NDArray[np.float64]


def together(
    apart: Floats, sample: Replicates, level: float = 0.95
) -> tuple[Floats, Floats, Floats]:
    """Means of (problems, columns) of paired differences, with intervals that hold for all columns
    at once (`simultaneous.critical`).
    """
    grid, count = sample.grid, sample.grid.counts(apart)
    mean, variance = grid.means(apart), grid.variance(apart)
    error = np.sqrt(variance)
    with np.errstate(invalid="ignore", divide="ignore"):
        deviates = (weighted_means(sample.weights, apart) - mean) / np.where(error, error, np.nan)
    quantile = critical(deviates, count - grid.benchmarks, level)
    lo, hi = bounded_interval(mean, variance, count, level, DIFFERENCE, quantile=quantile)
    return mean, lo, hi
