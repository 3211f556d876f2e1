"""The vote of the best v among k samples: filtered votes, and the vote of the shortest or longest
chains.

Of k samples drawn without replacement the v that rank highest vote, ties at the edge broken
uniformly. Exact where the sets of v voters are few: such a set votes in every k-subset that holds
it and no better sample, and where samples outside tie with its weakest member, in one of
C(tied in the subset, tied in the set) of them. Elsewhere random orders, with their error.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import ArrayLike, NDArray

from testtime.estimators.majority import KValues, majority_at_k
from testtime.estimators.selection import best_at_k
from testtime.estimators.votes import answers_of, count

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SETS = 4096  # sets of voters enumerated a problem
CHUNK = 1 << 22  # votes counted at once, to bound memory


def ranked_vote_at_k(
    scores: ArrayLike,
    keys: ArrayLike,
    ranking: ArrayLike,
    ks: Sequence[int],
    voters: Sequence[int],
    *,
    draws: int = 128,
    seed: int = 0,
) -> KValues:
    """Expected score of the vote of the `voters` that rank highest among k samples.

    scores, keys, ranking: (problems, samples); scores NaN = not in the pool; keys -1 = no vote;
    ranking NaN = below everything. voters: one number for each k, more than k counting as k.
    Values (problems, len(ks)), NaN where a problem has fewer than k scored samples; Monte Carlo's
    error is 0 where exact.
    """
    score = np.asarray(scores, dtype=np.float64)
    rank = np.asarray(ranking, dtype=np.float64)
    local, worth = answers_of(score, np.asarray(keys, dtype=np.int64))
    rank = np.where(np.isnan(rank), -np.inf, rank)
    value, error = np.full((2, len(score), len(ks)), np.nan)
    sizes = (~np.isnan(score)).sum(axis=1)
    for column, (k, v) in enumerate(zip(ks, voters, strict=True)):
        if v >= k:
            vote = majority_at_k(score, local, [k], draws=draws, seed=seed)
            value[:, column], error[:, column] = vote.value[:, 0], vote.mc_error[:, 0]
            continue
        if v == 1:
            alone = np.where(np.isnan(score), np.nan, worth)
            value[:, column] = best_at_k(alone, rank, [k])[:, 0]
            error[:, column] = np.where(np.isnan(value[:, column]), np.nan, 0.0)
            continue
        for size in np.unique(sizes[sizes >= k]):
            rows = np.flatnonzero(sizes == size)
            held, shape = ~np.isnan(score[rows]), (len(rows), int(size))
            ranks = rank[rows][held].reshape(shape)
            order = np.argsort(-ranks, axis=1, kind="stable")
            ranks = np.take_along_axis(ranks, order, axis=1)
            vote_of = np.take_along_axis(local[rows][held].reshape(shape), order, axis=1)
            scored = np.take_along_axis(worth[rows][held].reshape(shape), order, axis=1)
            exact = comb(int(size), v) <= SETS
            each = comb(int(size), v) * v if exact else draws * k
            for part in np.array_split(np.arange(len(rows)), -(-len(rows) * each // CHUNK)):
                piece = vote_of[part], scored[part], ranks[part]
                at = rows[part], column
                value[at], error[at] = (
                    _listed(*piece, k, v) if exact else _drawn(*piece, k, v, draws, seed)
                )
    return KValues(value, error)


def _listed(
    key: NDArray[np.int32], worth: Floats, rank: Floats, k: int, v: int
) -> tuple[Floats, Floats]:
    """Exact values of problems of one size, samples sorted best first."""
    problems, size = key.shape
    sets = np.array(list(combinations(range(size), v)), dtype=np.int64)
    flat = np.broadcast_to(sets, (problems, *sets.shape)).reshape(problems, -1)
    vote = count(
        np.take_along_axis(key, flat, axis=1).reshape(-1, v),
        np.take_along_axis(worth, flat, axis=1).reshape(-1, v),
    ).value[:, -1]
    fresh = np.ones((problems, size), dtype=bool)
    fresh[:, 1:] = rank[:, 1:] != rank[:, :-1]
    group = np.cumsum(fresh, axis=1) - 1
    value = np.empty(problems)
    votes = vote.reshape(problems, len(sets))
    for i in range(problems):
        member = group[i, sets]
        edge = member[:, -1]
        inside = (member == edge[:, None]).sum(axis=1)
        tied = np.bincount(group[i])
        worse = size - np.cumsum(tied)
        weight = {
            (g, t): sum(
                comb(int(tied[g]) - t, j) * comb(int(worse[g]), k - v - j) / comb(t + j, t)
                for j in range(min(int(tied[g]) - t, k - v) + 1)
            )
            / comb(size, k)
            for g, t in set(zip(edge.tolist(), inside.tolist(), strict=True))
        }
        table = np.zeros((len(tied), v + 1))
        for (g, t), w in weight.items():
            table[g, t] = w
        value[i] = table[edge, inside] @ votes[i]
    return value, np.zeros(problems)


def _drawn(
    key: NDArray[np.int32], worth: Floats, rank: Floats, k: int, v: int, draws: int, seed: int
) -> tuple[Floats, Floats]:
    """Monte Carlo values of problems of one size, samples sorted best first, and their errors."""
    problems, size = key.shape
    rng = np.random.default_rng([seed, size, k])
    deck = np.broadcast_to(np.arange(size), (problems, draws, size))
    drawn = rng.permuted(deck, axis=2)[:, :, :k].reshape(problems, -1)
    by_rank = np.take_along_axis(rank, drawn, axis=1).reshape(-1, k)
    first = np.argsort(-by_rank, axis=1, kind="stable")[:, :v]  # the order drawn breaks ties
    cast = np.take_along_axis(np.take_along_axis(key, drawn, axis=1).reshape(-1, k), first, axis=1)
    gain = np.take_along_axis(
        np.take_along_axis(worth, drawn, axis=1).reshape(-1, k), first, axis=1
    )
    vote = count(cast, gain).value[:, -1].reshape(problems, draws)
    return vote.mean(axis=1), vote.std(axis=1, ddof=1) / np.sqrt(draws)
