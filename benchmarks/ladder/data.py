"""From problems to token batches: what part of the traces is shown, and which tokens carry loss.

Four kinds of example, drawn at random: a whole chain; a chain cut at a random place and closed by
force, so that a cut chain still yields the best guess; a chain that goes on after "Wait" with a
second pass; and such a chain whose first pass is a real mistake of a weaker checkpoint. Prompts,
forced closings and mistaken passes carry no loss: nobody should learn those.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ladder.items import HELD_OUT, Item, item, trainable
from benchmarks.ladder.traces import TRACES, WAIT
from benchmarks.ladder.vocabulary import BOS, CLOSE, EOS, THINK

POOL = 2048
"""Examples drawn at once and sorted by length, so that batches hold little padding."""


@dataclass(frozen=True)
class Mixture:
    """What is trained on. Shares are probabilities; `tasks` are relative weights.

    cut: chains closed by force; unthought: the part of those cut at 0; again: chains with a second
    pass; mistakes: examples whose first pass is a recorded mistake, read from `mistakes_file`.
    """

    tasks: dict[str, float]
    cut: float = 0.3
    unthought: float = 0.1
    again: float = 0.0
    mistakes: float = 0.0
    mistakes_file: str = ""


@cache
def vocabulary() -> dict[str, int]:
    """Token to id."""
    from benchmarks.ladder.vocabulary import build

    return dict(build().get_vocab())


def ids(text: str) -> list[int]:
    """Token ids of thinking or answer text without spaces; equal to the saved tokenizer's
    (tested).
    """
    table = vocabulary()
    out: list[int] = []
    for n, part in enumerate(text.split(WAIT)):
        out += ([table[WAIT]] if n else []) + [table[c] for c in part]
    return out


@cache
def recorded(path: str) -> list[dict[str, Any]]:
    """The mistakes that a weaker checkpoint really made: {"task", "seed", "chain"}, one JSON a
    line.
    """
    with gzip.open(Path(__file__).parent / path, "rt") as lines:
        return [json.loads(line) for line in lines]


def example(
    made: Item, mixture: Mixture, rng: random.Random, wrong: str = ""
) -> tuple[list[int], list[int]]:
    """One example as (token ids, loss mask); `wrong` is a mistaken first pass to correct."""
    table = vocabulary()
    first = ids(wrong or TRACES[made.task](made.meta, False))
    chain, loss = first, [int(not wrong)] * len(first)
    if wrong or rng.random() < mixture.again:
        second = ids(WAIT + TRACES[made.task](made.meta, True))
        chain, loss = chain + second, loss + [1] * len(second)
    close = 1
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
    """One random example; held-out ones come from seeds and mistakes that training never sees."""
    while True:
        if rng.random() < mixture.mistakes:
            pick = rng.randrange(len(recorded(mixture.mistakes_file)))
            if (pick % 16 == 0) == held_out:
                record = recorded(mixture.mistakes_file)[pick]
                made = trainable(record["task"], record["seed"])
                assert made is not None
                return example(made, mixture, rng, record["chain"])
        else:
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
