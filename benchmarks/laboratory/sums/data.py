"""From problems to token batches: what part of the traces is shown, and which tokens carry loss.

Two kinds of example, drawn at random: a whole chain, and a chain cut at a random place and closed
by force, so that a cut chain still yields the best guess. Prompts and forced closings carry no
loss: nobody should learn those.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

from benchmarks.laboratory.sums.items import HELD_OUT, Item, item, trainable
from benchmarks.laboratory.sums.traces import TRACES
from benchmarks.laboratory.sums.vocabulary import BOS, CLOSE, EOS, THINK

POOL = 2048
"""Examples drawn at once and sorted by length, so that batches hold little padding."""


@dataclass(frozen=True)
class Mixture:
    """What is trained on. Shares are probabilities; `tasks` are relative weights.

    cut: chains closed by force; unthought: the part of those cut at 0.
    """

    tasks: dict[str, float]
    cut: float = 0.3
    unthought: float = 0.1


@cache
def vocabulary() -> dict[str, int]:
    """Token to id."""
    from benchmarks.laboratory.sums.vocabulary import build

    return dict(build().get_vocab())


def ids(text: str) -> list[int]:
    """Token ids of thinking or answer text without spaces, as the saved tokenizer gives them."""
    return [vocabulary()[c] for c in text]


def example(made: Item, mixture: Mixture, rng: random.Random) -> tuple[list[int], list[int]]:
    """One example as (token ids, loss mask)."""
    table = vocabulary()
    chain = ids(TRACES[made.task](made.meta))
    loss, close = [1] * len(chain), 1
    rng.random()  # decided about a second pass once; drawn still, for the shipped weights' stream
    if rng.random() < mixture.cut:
        kept = 0 if rng.random() < mixture.unthought else rng.randrange(len(chain))
        chain, loss, close = chain[:kept], loss[:kept], 0
    prompt = [table[BOS], *ids(made.prompt), table[THINK]]
    answer = [*ids(made.gold), table[EOS]]
    return prompt + chain + [table[CLOSE]] + answer, [0] * len(prompt) + loss + [close] + [1] * len(
        answer
    )


def draw(
    mixture: Mixture, rng: random.Random, held_out: bool = False
) -> tuple[list[int], list[int]]:
    """One random example; held-out ones come from seeds that training never sees."""
    while True:
        rng.random()  # decided once about recorded mistakes
        task = rng.choices(list(mixture.tasks), list(mixture.tasks.values()))[0]
        seed = rng.randrange(500 if held_out else 2**32)
        found = item(task, HELD_OUT + seed) if held_out else trainable(task, seed)
        if found is not None:
            return example(found, mixture, rng)


def batch(examples: list[tuple[list[int], list[int]]], pad: int) -> tuple[np.ndarray, np.ndarray]:
    """Examples as two (rows, width) arrays, ids and loss mask, padded on the right to a multiple of
    8.
    """
    width = -(-max(len(tokens) for tokens, _ in examples) // 8) * 8
    inputs = np.full((len(examples), width), pad, dtype=np.int64)
    mask = np.zeros((len(examples), width), dtype=np.float32)
    for row, (tokens, loss) in enumerate(examples):
        inputs[row, : len(tokens)], mask[row, : len(loss)] = tokens, loss
    return inputs, mask


def packed(
    examples: list[tuple[list[int], list[int]]], tokens: int
) -> list[list[tuple[list[int], list[int]]]]:
    """Examples sorted by length and cut into groups of at most `tokens` padded tokens each."""
    groups: list[list[tuple[list[int], list[int]]]] = [[]]
    for one in sorted(examples, key=lambda pair: len(pair[0])):
        if (len(groups[-1]) + 1) * (-(-len(one[0]) // 8) * 8) > tokens:
            groups.append([])
        groups[-1].append(one)
    return groups


def batches(
    mixture: Mixture, seed: int, tokens: int, start: int = 0
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """An endless stream of training batches of about `tokens` tokens, from batch number `start` on.

    The stream depends on the seed alone, so a resumed run reads what it would have read.
    """
    number, pool = 0, 0
    while True:
        rng = random.Random(f"{seed}/{pool}")
        groups = packed([draw(mixture, rng) for _ in range(POOL)], tokens)
        rng.shuffle(groups)
        for group in groups:
            if number >= start:
                yield batch(group, vocabulary()["<pad>"])
            number += 1
        pool += 1


def held_out(
    mixture: Mixture, count: int, tokens: int, seed: int = 7
) -> list[tuple[np.ndarray, np.ndarray]]:
    """The fixed held-out set of `count` examples, as batches."""
    rng = random.Random(f"held-out {seed}")
    examples = [draw(mixture, rng, held_out=True) for _ in range(count)]
    return [batch(group, vocabulary()["<pad>"]) for group in packed(examples, tokens)]
