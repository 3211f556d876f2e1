"""Batches for the ladder: questions with their thinking, some cut short, made by the thousand in
numpy.

Two kinds of example: a whole chain, and a chain cut at a random place and closed by force, so that
a cut chain still yields the best guess. Prompts and forced closings carry no loss. Held-out
questions are never in a training batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.laboratory import world
from benchmarks.laboratory.vocabulary import ASSISTANT, BOS, CLOSE, EOS, PAD, THINK, USER, ids
from benchmarks.laboratory.world import STEP

POOL = 2048
"""Examples drawn at once and sorted by length, so that batches hold little padding."""
PROMPT, COPY, FACT, GUESS = 0, 1, 2, 3
"""What a token is: nothing to learn; copied or form; a letter that a step finds; the answer after a
cut chain.
"""


@dataclass(frozen=True)
class Examples:
    """Token ids (rows, width), padded on the right, and what each token is (rows, width); 0 on
    padding.
    """

    tokens: np.ndarray
    kinds: np.ndarray

    def __len__(self) -> int:
        return len(self.tokens)


def _held_out(starts: np.ndarray, functions: np.ndarray) -> np.ndarray:
    return np.array(
        [world.held_out(int(s), f) for s, f in zip(starts, functions.tolist(), strict=True)],
        dtype=bool,
    )


def questions(
    rng: np.random.Generator, count: int, hops: int, held_out: bool | None, even: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """`count` questions of so many hops: held-out ones, others, or (None) any; one hop is never
    held out. even: all functions equally often.
    """
    starts, functions = world.draw(rng, count, hops, even)
    while held_out is not None and hops > 1:
        wrong = np.flatnonzero(_held_out(starts, functions) != held_out)
        if not len(wrong):
            break
        starts[wrong], functions[wrong] = world.draw(rng, len(wrong), hops, even)
    return starts, functions


def written(starts: np.ndarray, functions: np.ndarray, kept: np.ndarray | None = None) -> Examples:
    """Questions of equally many hops as examples; `kept` tokens of each chain where given (4 a
    step; -1: all).
    """
    count, hops = functions.shape
    table = ids()
    first, names = table["a"], table["000"]
    letters = np.empty((count, hops + 1), dtype=np.int64)
    letters[:, 0] = starts
    for hop in range(hops):
        letters[:, hop + 1] = world.tables()[functions[:, hop], letters[:, hop]]
    ones = np.ones((count, 1), dtype=np.int64)
    head = [ones * table[BOS], ones * table[USER], first + letters[:, :1], names + functions]
    prompt = np.hstack([*head, ones * table["?"], ones * table[ASSISTANT], ones * table[THINK]])
    parts = [
        first + letters[:, :-1],
        names + functions,
        first + letters[:, 1:],
        np.full((count, hops), table[STEP]),
    ]
    chain = np.stack(parts, axis=2).reshape(count, -1)
    end = np.hstack([ones * table[CLOSE], first + letters[:, -1:], ones * table[EOS]])
    tokens = np.hstack([prompt, chain, end])
    step = [COPY, COPY, FACT, COPY]
    kinds = np.hstack([np.zeros(prompt.shape[1], int), np.tile(step, hops), [COPY, COPY, COPY]])
    kinds = np.tile(kinds, (count, 1))
    if kept is not None:
        begin = prompt.shape[1]
        cut = np.flatnonzero(kept >= 0)
        at = begin + kept[cut]
        tokens[cut[:, None], at[:, None] + np.arange(3)] = end[cut]
        known = kept[cut] >= chain.shape[1] - 1  # the last letter is there: the answer is a copy
        kinds[cut[:, None], at[:, None] + np.arange(3)] = np.stack(
            [np.zeros(len(cut), int), np.where(known, COPY, GUESS), np.full(len(cut), COPY)], axis=1
        )
        after = np.arange(tokens.shape[1]) >= (at + 3)[:, None]
        tokens[cut] = np.where(after, table[PAD], tokens[cut])
        kinds[cut] = np.where(after, PROMPT, kinds[cut])
    return Examples(tokens, kinds)


def draw(rng: np.random.Generator, count: int, cut: float, held_out: bool) -> list[Examples]:
    """`count` examples, one group for each number of hops; a `cut` share of the chains is closed by
    force.
    """
    weights = np.array(world.HOP_WEIGHTS, dtype=float)
    many = rng.multinomial(count, weights / weights.sum())
    groups = []
    for hops, number in enumerate(many, 1):
        starts, functions = questions(rng, int(number), hops, held_out)
        kept = np.where(rng.random(number) < cut, rng.integers(0, 4 * hops, size=number), -1)
        groups.append(written(starts, functions, kept))
    return groups


def packed(groups: list[Examples], tokens: int) -> list[Examples]:
    """All examples sorted by length and cut into batches of at most `tokens` padded tokens, widths
    multiples of 8.
    """
    width = max(group.tokens.shape[1] for group in groups)
    width = -(-width // 8) * 8

    def wide(array: np.ndarray) -> np.ndarray:
        return np.pad(array, ((0, 0), (0, width - array.shape[1])))

    ids_ = np.concatenate([wide(group.tokens) for group in groups])
    kinds = np.concatenate([wide(group.kinds) for group in groups])
    lengths = -(-(ids_ != 0).sum(1) // 8) * 8
    order = np.argsort(lengths, kind="stable")
    out, begin = [], 0
    while begin < len(order):
        end = begin + 1
        while end < len(order) and (end + 1 - begin) * lengths[order[end]] <= tokens:
            end += 1
        rows, wide_ = order[begin:end], lengths[order[end - 1]]
        out.append(Examples(ids_[rows, :wide_], kinds[rows, :wide_]))
        begin = end
    return out


def batches(seed: int, tokens: int, cut: float, start: int = 0) -> Iterator[Examples]:
    """An endless stream of training batches of about `tokens` tokens, from batch number `start` on.

    The stream depends on the seed alone, so a resumed run reads what it would have read.
    """
    number, pool = 0, 0
    while True:
        rng = np.random.default_rng([seed, pool])
        found = packed(draw(rng, POOL, cut, held_out=False), tokens)
        for which in rng.permutation(len(found)):
            if number >= start:
                yield found[which]
            number += 1
        pool += 1


def held_out(count: int, cut: float, tokens: int) -> list[Examples]:
    """The fixed held-out set of about `count` examples, as batches."""
    return packed(draw(np.random.default_rng(7), count, cut, held_out=True), tokens)
