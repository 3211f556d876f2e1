"""pass@k and best-of-k: selectors whose expectation over k-subsets has a closed form.

Both average over all k-subsets of a problem's samples drawn without replacement, which is unbiased
for k fresh samples; plugging the observed rate into 1 - (1 - p)^k is not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def pass_at_k(correct: ArrayLike, total: ArrayLike, k: ArrayLike) -> Floats:
    """Probability that at least one of k samples drawn without replacement is correct.

    1 - C(n - c, k) / C(n, k) (Chen et al. 2021, eq. 1). Arguments broadcast; NaN where n < k, since
    k samples were never there to draw. Counts may be floats holding whole numbers.
    """
    c, n, size = np.broadcast_arrays(
        *(np.asarray(x, dtype=np.float64) for x in (correct, total, k))
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        value = np.where(n - c < size, 1.0, -np.expm1(_log_miss(c, n, size)))
        value = np.where(size == 1, c / n, value)
    result: Floats = np.where(
        (n < size) | np.isnan(n) | np.isnan(c), np.nan, np.where(c == 0, 0.0, value)
    )
    return result


def _log_miss(c: Floats, n: Floats, k: Floats) -> Floats:
    """log of C(n - c, k) / C(n, k), for 0 < c and k <= n - c.

    Differences of log-gammas lose nine digits at a million samples; here Stirling's large terms are
    cancelled on paper, and what is left is of the size of min(c, k).
    """
    c, k = np.minimum(c, k), np.maximum(c, k)  # the ratio is symmetric in them
    left = n - c - k
    large = (
        (n - c) * np.log1p(-c / n)
        - np.where(left > 0, left * np.log1p(-c / (n - k)), 0.0)
        + c * np.log1p(-k / n)
    )
    root = np.where(left > 0, -np.log1p(-c / (n - k)), np.log(2 * np.pi * (n - k))) + np.log1p(
        -c / n
    )
    rest = (
        _stirling(n - c)
        + _stirling(n - k)
        - _stirling(n)
        - np.where(left > 0, _stirling(left), 0.0)
    )
    result: Floats = large + root / 2 + rest
    return result


def _stirling(x: Floats) -> Floats:
    """log x! less Stirling's formula, for x >= 1: the series from 16 on, the difference itself
    below.
    """
    from scipy.special import gammaln

    series = (1 / 12 - (1 / 360 - (1 / 1260 - 1 / (1680 * x**2)) / x**2) / x**2) / x
    near = np.clip(x, 1, 16)
    exact = gammaln(near + 1) - near * np.log(near) + near - np.log(2 * np.pi * near) / 2
    result: Floats = np.where(x >= 16, series, exact)
    return result


def best_weights(n: int, ks: Sequence[int]) -> Floats:
    """Weight of the i-th smallest of n in the maximum of k: C(i-1, k-1) / C(n, k), as an array (n,
    len(ks)).

    Columns with k > n are NaN.
    """
    weights = np.zeros((n, len(ks)))
    for column, k in enumerate(ks):
        if k > n:
            weights[:, column] = np.nan
            continue
        # from the top down: w_n = k/n and w_{i-1} = w_i (i-k)/(i-1), which never leaves [0, 1]
        i = np.arange(n, 1, -1, dtype=np.float64)
        weights[::-1, column] = (k / n) * np.concatenate(
            [[1.0], np.cumprod(np.maximum(i - k, 0.0) / (i - 1))]
        )
    return weights


def best_at_k(scores: ArrayLike, ranking: ArrayLike, ks: Sequence[int]) -> Floats:
    """Expected score of the sample that ranks highest among k drawn without replacement; ties are
    averaged.

    scores: (problems, samples), NaN = null (that sample is not in the pool). ranking: same shape,
    larger is better; NaN ranks below everything. Returns (problems, len(ks)), NaN where a problem
    has fewer than k scored samples.
    """
    values = np.asarray(scores, dtype=np.float64)
    rank = np.asarray(ranking, dtype=np.float64)
    result = np.full((values.shape[0], len(ks)), np.nan)
    counts = (~np.isnan(values)).sum(axis=1)
    for n in np.unique(counts):
        if n == 0:
            continue
        rows = np.flatnonzero(counts == n)
        kept = ~np.isnan(values[rows])
        s = values[rows][kept].reshape(len(rows), n)
        r = np.where(np.isnan(rank[rows]), -np.inf, rank[rows])[kept].reshape(len(rows), n)
        order = np.argsort(r, axis=1, kind="stable")
        s, r = np.take_along_axis(s, order, axis=1), np.take_along_axis(r, order, axis=1)
        result[rows] = _average_ties(s, r) @ best_weights(int(n), ks)
    return result


def oracle_at_k(scores: ArrayLike, ks: Sequence[int]) -> Floats:
    """Expected best score among k: pass@k for 0/1 scores, and its generalisation for partial
    credit. Shapes as `best_at_k`.
    """
    return best_at_k(scores, scores, ks)


def _average_ties(scores: Floats, ranking: Floats) -> Floats:
    """Replace the scores of equally ranked samples in each row (sorted by rank) by their mean."""
    fresh = np.ones(ranking.shape, dtype=bool)
    fresh[:, 1:] = ranking[:, 1:] != ranking[:, :-1]
    group = np.cumsum(fresh.ravel()) - 1
    mean = np.bincount(group, weights=scores.ravel()) / np.bincount(group)
    tied: Floats = mean[group].reshape(scores.shape)
    return tied
