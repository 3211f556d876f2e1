"""majority@k and weighted majority@k: what the vote of k samples scores, on average over k-subsets
drawn without replacement.

Ties are broken uniformly. The answer that wins scores what its samples score on average. Samples
without a vote (unparsed) fill a place in the subset and cast nothing; a subset without any vote
scores 0. A weight of zero is no vote. Unweighted votes are computed exactly where the work is
bearable; otherwise, and for weights, random orders of the pool are counted vote by vote (every k is
a prefix, so one order serves all k) and the error of that is returned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from testtime.estimators import _majority_exact as exact
from testtime.estimators import votes

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

EXACT_OPERATIONS = 1.5e9  # complex multiplications an exact call may take, about five seconds
SUBSETS = 4096  # weighted votes are enumerated up to this many subsets
CHUNK = 1 << 22  # votes counted at once, to bound memory


@dataclass(frozen=True, slots=True)
class KValues:
    """One value a problem and k. `value` and `mc_error` are (problems, len(ks)); `mc_error` is the
    standard error of Monte Carlo, 0 where the value is exact. NaN where a problem has fewer than k
    scored samples.
    """

    value: Floats
    mc_error: Floats

    @property
    def exact(self) -> bool:
        return not np.any(self.mc_error > 0)


@dataclass(frozen=True, slots=True)
class _Votes:
    """A problem's scored samples: `key` 0..answers-1 or -1, `score` the mean score of the sample's
    answer, `weight` at most 1.
    """

    key: Ints
    score: Floats
    weight: Floats
    answers: int


def majority_at_k(
    scores: ArrayLike,
    keys: ArrayLike,
    ks: Sequence[int],
    weights: ArrayLike | None = None,
    *,
    method: Literal["auto", "exact", "montecarlo"] = "auto",
    draws: int = 128,
    seed: int = 0,
) -> KValues:
    """Expected score of the (weighted) vote of k samples.

    scores: (problems, samples), NaN = null (not in the pool); keys: integer codes of the answers,
    -1 = no vote; weights: at least 0. draws: random orders a problem, where Monte Carlo is used.
    Raises ValueError for shapes that differ and for negative weights, and for method "exact" with
    weights that are too many to enumerate.
    """
    score = np.asarray(scores, dtype=np.float64)
    key = np.asarray(keys, dtype=np.int64)
    weight = None if weights is None else np.asarray(weights, dtype=np.float64)
    if (
        score.ndim != 2
        or key.shape != score.shape
        or (weight is not None and weight.shape != score.shape)
    ):
        raise ValueError(
            f"scores, keys and weights must share one (problems, samples) shape, got "
            f"{score.shape}, {key.shape}"
        )
    if weight is not None and np.any(weight < 0):
        raise ValueError("weights of a vote must not be negative")
    pools = [
        _votes(score[i], key[i], None if weight is None else weight[i]) for i in range(len(score))
    ]
    if weight is None and method != "montecarlo":
        work = sum(exact.operations(_multiplicities(p)[0], len(p.key), ks) for p in pools)
        if method == "exact" or work <= EXACT_OPERATIONS:
            return _exact(pools, ks)
    return _counted(
        pools,
        ks,
        draws,
        seed,
        enumerate_all=weight is not None or method == "exact",
        strict=method == "exact",
    )


def _votes(score: Floats, key: Ints, weight: Floats | None) -> _Votes:
    kept = ~np.isnan(score)
    score, key = score[kept], key[kept].copy()
    share = np.ones(len(key))
    if weight is not None:
        share = np.nan_to_num(weight[kept], nan=0.0)
        key[share <= 0] = -1
        share = share / max(share.max(initial=0.0), np.finfo(float).tiny)
    voting = key >= 0
    names, code = np.unique(key[voting], return_inverse=True)
    local = np.full(len(key), -1, dtype=np.int64)
    local[voting] = code
    total, count = (
        np.bincount(code, weights=w, minlength=len(names)) for w in (score[voting], None)
    )
    mean = total / np.maximum(count, 1)
    answer = np.zeros(len(key))
    answer[voting] = mean[code]
    return _Votes(local, answer, share, len(names))


def _multiplicities(pool: _Votes) -> tuple[Ints, Floats]:
    """How often each answer occurs, and what it scores."""
    voting = pool.key >= 0
    count = np.bincount(pool.key[voting], minlength=pool.answers)
    total = np.bincount(pool.key[voting], weights=pool.score[voting], minlength=pool.answers)
    return count.astype(np.int64), total / np.maximum(count, 1)


def _exact(pools: Sequence[_Votes], ks: Sequence[int]) -> KValues:
    value = np.full((len(pools), len(ks)), np.nan)
    problems = [(*_multiplicities(p), len(p.key)) for p in pools]
    for column, k in enumerate(ks):
        value[:, column] = exact.column(problems, k)
    return KValues(value, np.where(np.isnan(value), np.nan, 0.0))


def _counted(
    pools: Sequence[_Votes],
    ks: Sequence[int],
    draws: int,
    seed: int,
    *,
    enumerate_all: bool,
    strict: bool,
) -> KValues:
    """Counts votes over all subsets where these are few, over random orders otherwise."""
    shape = (len(pools), len(ks))
    value, error = np.full(shape, np.nan), np.full(shape, np.nan)
    sizes = np.array([len(p.key) for p in pools])
    for size in np.unique(sizes):
        rows = np.flatnonzero(sizes == size)
        listed = [k for k in ks if k <= size and enumerate_all and comb(int(size), k) <= SUBSETS]
        drawn = [k for k in ks if k <= size and k not in listed]
        if drawn and strict:
            raise ValueError(
                f"{comb(int(size), drawn[0])} subsets of {drawn[0]} out of {size} are too many to "
                f"enumerate"
            )
        for k in listed:
            orders = np.array(list(combinations(range(size), k)), dtype=np.int64)
            for part in _parts(rows, orders.size):
                tally = _tally(
                    [pools[i] for i in part],
                    np.broadcast_to(orders, (len(part), *orders.shape)),
                    [k],
                )
                value[part, ks.index(k)], error[part, ks.index(k)] = tally[0].mean(axis=1), 0.0
        if drawn:
            columns = [ks.index(k) for k in drawn]
            rng = np.random.default_rng([seed, int(size)])
            deck = np.arange(size, dtype=np.int16 if size < 1 << 15 else np.int64)
            for part in _parts(rows, draws * size):
                orders = rng.permuted(np.broadcast_to(deck, (len(part), draws, size)), axis=2)[
                    :, :, : max(drawn)
                ]
                tally = _tally([pools[i] for i in part], orders, drawn)
                value[part[:, None], columns] = tally.mean(axis=2).T
                error[part[:, None], columns] = tally.std(axis=2, ddof=1).T / np.sqrt(draws)
    return KValues(value, error)


def _parts(rows: Ints, each: int) -> list[Ints]:
    return [np.asarray(p) for p in np.array_split(rows, max(1, -(-len(rows) * each // CHUNK)))]


def _tally(pools: Sequence[_Votes], orders: Ints, ks: Sequence[int]) -> Floats:
    """Score of the vote after each k of the given orders.

    orders: (problems, draws, steps) sample indices, all problems of one pool size. Returns
    (len(ks), problems, draws).
    """
    problems, draws, steps = orders.shape
    drawn = np.arange(problems)[:, None, None] * len(pools[0].key) + orders
    key, score, weight = (
        np.concatenate(parts)[drawn].reshape(-1, steps)
        for parts in zip(*((p.key, p.score, p.weight) for p in pools), strict=True)
    )
    if (weight == 1).all():
        value = votes.count(key.astype(np.int32), score).value
    else:
        value = votes.weighed(key.astype(np.int32), score, weight)
    return np.ascontiguousarray(value[:, [k - 1 for k in ks]].T).reshape(-1, problems, draws)
