"""Votes counted one sample at a time, in many orders at once.

An *order* is one sequence in which a problem's samples arrive. `count` replays votes of equal
weight and keeps after every sample who leads, by how much, and what the leader scores: all that
the stopping rules read. Samples without a vote (key -1) take a place and cast nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


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
