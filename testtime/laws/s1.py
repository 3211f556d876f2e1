"""s1's three measures of a way to control thinking (Muennighoff et al. 2025, section 3.1), and the
slope per doubling.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from testtime.errors import UserError
from testtime.laws.law import Floats


@dataclass(frozen=True, slots=True)
class Forcing:
    """control: share of runs whose tokens lie within bounds (NaN without bounds); scaling: mean
    slope over all pairs of points, in accuracy a token; performance: the highest accuracy;
    doubling: least-squares slope of accuracy on log2 tokens.
    """

    control: float
    scaling: float
    performance: float
    doubling: float

    @property
    def points_per_thousand(self) -> float:
        """Scaling in percentage points a thousand tokens."""
        return self.scaling * 1e5


def scaling(tokens: ArrayLike, accuracy: ArrayLike) -> float:
    """Mean of (f(b) - f(a)) / (b - a) over all pairs a < b (s1, eq. 2). Raises UserError with fewer
    than two distinct points.
    """
    x, y = _points(tokens, accuracy)
    i, j = np.triu_indices(len(x), k=1)
    apart = x[i] != x[j]
    return float(np.mean((y[j] - y[i])[apart] / (x[j] - x[i])[apart]))


def doubling(tokens: ArrayLike, accuracy: ArrayLike) -> float:
    """Least-squares slope of accuracy on log2 of tokens: accuracy gained a doubling. A description,
    no law: any two points have one.
    """
    x, y = _points(tokens, accuracy)
    step = np.log2(x) - np.log2(x).mean()
    return float(step @ y / (step @ step))


def control(tokens: ArrayLike, low: ArrayLike, high: ArrayLike) -> float:
    """Share of runs that spent between low and high tokens (s1, eq. 1)."""
    x, least, most = (np.asarray(v, dtype=np.float64) for v in (tokens, low, high))
    return float(np.mean((x >= least) & (x <= most)))


def measure(tokens: ArrayLike, accuracy: ArrayLike, held: float = float("nan")) -> Forcing:
    """All of them for the points of one curve; held: its `control`."""
    x, y = _points(tokens, accuracy)
    return Forcing(held, scaling(x, y), float(y.max()), doubling(x, y))


def _points(tokens: ArrayLike, accuracy: ArrayLike) -> tuple[Floats, Floats]:
    x, y = np.asarray(tokens, dtype=np.float64), np.asarray(accuracy, dtype=np.float64)
    if len(np.unique(x)) < 2:
        raise UserError("a slope needs points at two different token counts at least")
    return x, y
