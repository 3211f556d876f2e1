"""Votes counted one sample at a time, in many orders at once.

An *order* is one sequence in which a problem's samples arrive. `count` replays votes of equal
weight and keeps after every sample who leads, by how much, and what the leader scores: all that
the stopping rules read. `weighed` replays votes that weigh. Samples without a vote (key -1) take a
place and cast nothing. A new strict maximum leads alone, an equal one joins the leaders.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
TIE = 1e-9  # sums of weights as near as this, relatively, are a tie: 1/3 + 2/3 ties with 1


@dataclass(frozen=True, slots=True)
class Replay:
    """What the votes were after each sample, every array (orders, samples).

    key: the vote cast (answers 0.., -1 none); top, second: votes of the two strongest answers; run:
    how many last samples cast the same vote; value: score of the answer that leads, ties averaged,
    0 without any vote.
    """

    key: NDArray[np.int32]
    top: NDArray[np.int16]
    second: NDArray[np.int16]
    run: NDArray[np.int16]
    value: Floats


def answers_of(score: Floats, key: Ints) -> tuple[NDArray[np.int32], Floats]:
    """Per problem: keys as 0, 1, ... and -1, and of each sample the mean score of its answer (0
    without one).

    score, key: (problems, samples); samples without a score (NaN) lose their vote.
    """
    rows = len(score)
    silent = (key < 0) | np.isnan(score)
    span = int(key.max(initial=-1)) + 2
    flat = np.where(silent, span - 1, key) + np.arange(rows)[:, None] * span
    names, inverse = np.unique(flat, return_inverse=True)
    inverse = inverse.reshape(score.shape)
    known = np.where(silent, 0.0, score)
    mean = np.bincount(inverse.ravel(), weights=known.ravel()) / np.bincount(inverse.ravel())
    first = np.searchsorted(names, np.arange(rows) * span)
    local = np.where(silent, -1, inverse - first[:, None]).astype(np.int32)
    return local, np.where(silent, 0.0, mean[inverse])


def count(key: NDArray[np.int32], score: Floats) -> Replay:
    """Replay votes; key, score: (orders, samples), as `answers_of` gives them, in each order."""
    orders, steps = key.shape
    answers = int(key.max(initial=0)) + 1
    total = np.zeros(orders * (answers + 1), dtype=np.int16)
    total[answers :: answers + 1] = -steps - 1  # samples without a vote gather here, never leading
    base = np.arange(orders) * (answers + 1)
    top, second, run = (np.zeros((steps, orders), dtype=np.int16) for _ in range(3))
    value = np.zeros((steps, orders))
    most, next_most = np.zeros(orders, np.int16), np.zeros(orders, np.int16)
    leaders, credit, same = np.zeros(orders), np.zeros(orders), np.zeros(orders, np.int16)
    ballots, gains = np.ascontiguousarray(key.T), np.ascontiguousarray(score.T)
    for step in range(steps):
        cast = ballots[step]
        slot = base + np.where(cast < 0, answers, cast)
        votes = total[slot] + np.int16(1)
        total[slot] = votes
        ahead, level = votes > most, votes == most
        # the one that moves ahead led already, so the second stays the second
        next_most = np.where(ahead, next_most, np.maximum(next_most, votes))
        most = np.maximum(most, votes)
        gain = gains[step]
        leaders = np.where(ahead, 1.0, leaders + level)
        credit = np.where(ahead, gain, credit + level * gain)
        again = (cast == ballots[step - 1]) if step else np.zeros(orders, dtype=bool)
        same = np.where(again, same + np.int16(1), np.int16(1))
        top[step], second[step], run[step] = most, next_most, np.where(cast < 0, 0, same)
        value[step] = credit / np.maximum(leaders, 1.0)
    return Replay(key, top.T, second.T, run.T, value.T)


def weighed(key: NDArray[np.int32], score: Floats, weight: Floats) -> Floats:
    """`Replay.value` of votes that weigh, (orders, samples); all arguments have that shape."""
    orders, steps = key.shape
    answers = int(key.max(initial=0)) + 1
    total = np.zeros(orders * (answers + 1))
    total[answers :: answers + 1] = -np.inf  # samples without a vote, never leading
    slots = np.arange(orders) * (answers + 1) + np.where(key < 0, answers, key).T
    gains, weights = np.ascontiguousarray(score.T), np.ascontiguousarray(weight.T)
    most, leaders, credit = np.zeros(orders), np.zeros(orders), np.zeros(orders)
    value = np.zeros((steps, orders))
    for step in range(steps):
        before = total[slots[step]]
        votes = before + weights[step]
        total[slots[step]] = votes
        ahead, least = votes > most * (1 + TIE), most * (1 - TIE)
        # one that leads already cannot join the leaders again
        level = ~ahead & (votes >= least) & ~((before >= least) & (most > 0))
        leaders = np.where(ahead, 1.0, leaders + level)
        credit = np.where(ahead, gains[step], credit + level * gains[step])
        most = np.maximum(most, votes)
        value[step] = credit / np.maximum(leaders, 1.0)
    return value.T
