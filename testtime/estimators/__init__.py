"""What a cell is worth: pass@k, majority, best-of-n, and the intervals around them.

Kernels take numpy arrays shaped (problems, samples) and return one value a problem, so that
everything downstream (means, bootstrap, paired comparisons, difficulty bins) is one weighted
average over problems. Tables enter in `table`, leave in `cells`.
"""

from testtime.estimators.intervals import (
    Interval,
    Paired,
    bootstrap_weights,
    bounded_interval,
    clustered_mean,
    mean_clt,
    paired_difference,
)
from testtime.estimators.majority import KValues, majority_at_k
from testtime.estimators.planning import problems_needed, samples_needed, variance_components
from testtime.estimators.selection import best_at_k, oracle_at_k, pass_at_k

__all__ = [
    "Interval",
    "KValues",
    "Paired",
    "best_at_k",
    "bootstrap_weights",
    "bounded_interval",
    "clustered_mean",
    "majority_at_k",
    "mean_clt",
    "oracle_at_k",
    "paired_difference",
    "pass_at_k",
    "problems_needed",
    "samples_needed",
    "variance_components",
]
