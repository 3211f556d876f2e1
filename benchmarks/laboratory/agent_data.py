"""Training batches of the agent: its roles mixed at random, and its own attempts for those that
look at one.

Direct solving is trained on one to four functions; longer questions are what splitting is for.
Held-out questions are in no batch, whatever the role.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.laboratory import roles, world
from benchmarks.laboratory.data import Examples, packed, questions
from benchmarks.laboratory.roles import Script
from benchmarks.laboratory.vocabulary import CLOSE, ids

POOL = 2048
SOLVE_HOPS = (1, 2, 3, 4)
SOLVE_WEIGHTS = (4, 4, 3, 3)
LONG_HOPS = (4, 5, 6, 7, 8, 9, 10, 11, 12)
CUT = 0.15
KEPT = 0.8
"""Of the own attempts that are shown for revision, so many are right."""


@dataclass(frozen=True)
class Attempt:
    """An own attempt: the question, the ids it wrote (without end of sequence), its answer, and
    what is true.

    rate: the share of right answers among all its attempts at this question. steps: whether the
    chain was right up to and with each step; empty where the thinking is not one step a function.
    """

    start: int
    functions: tuple[int, ...]
    written: tuple[int, ...]
    answer: str
    right: bool
    rate: float
    steps: tuple[bool, ...]


def arrays(scripts: list[Script]) -> Examples:
    """Scripts as padded arrays; what is learnt has kind 1."""
    width = max(len(one.tokens) for one in scripts)
    tokens = np.zeros((len(scripts), width), dtype=np.int64)
    kinds = np.zeros((len(scripts), width), dtype=np.int64)
    for row, one in enumerate(scripts):
        tokens[row, : len(one.tokens)], kinds[row, : len(one.learnt)] = one.tokens, one.learnt
    return Examples(tokens, kinds)


class Questions:
    """Questions that may be trained on, drawn a few hundred at a time."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.stock: dict[tuple[int, bool], list[tuple[int, list[int]]]] = {}

    def take(self, hops: int, even: bool = False) -> tuple[int, list[int]]:
        """One of so many hops; even: of functions that are all equally frequent."""
        if not self.stock.get((hops, even)):
            starts, functions = questions(self.rng, 256, hops, held_out=False, even=even)
            self.stock[hops, even] = list(zip(starts.tolist(), functions.tolist(), strict=True))
        return self.stock[hops, even].pop()


def written_down(kind: str, source: Questions, rng: random.Random) -> Script:
    """An example of a role that needs no attempt: solve, lookup, split or join.

    `lookup/even` and `split/even` are of functions that are all equally frequent: what is learnt
    there is to copy names, rare ones too.
    """
    kind, _, how = kind.partition("/")
    even = bool(how)
    if kind in ("split", "join"):
        start, functions = source.take(rng.choice(LONG_HOPS), even)
        if kind == "split":
            return roles.split(start, functions)
        ends = [*range(roles.PART, len(functions), roles.PART), len(functions)]
        found = world.states(start, functions)
        return roles.join(start, functions, [found[end - 1] for end in ends])
    start, functions = source.take(rng.choices(SOLVE_HOPS, SOLVE_WEIGHTS)[0], even)
    if kind == "lookup":
        return roles.solve(start, functions, tool=True)
    return roles.solve(
        start, functions, rng.randrange(4 * len(functions)) if rng.random() < CUT else -1
    )


def made_up(source: Questions, rng: random.Random) -> Attempt:
    """An attempt nobody made: the right chain, or with one letter wrong and followed faithfully
    from there.
    """
    start, functions = source.take(rng.choices(SOLVE_HOPS, SOLVE_WEIGHTS)[0])
    slip = rng.randrange(len(functions)) if rng.random() < 0.5 else -1
    x, letters = start, []
    for hop, f in enumerate(functions):
        x = int(world.tables()[f, x])
        if hop == slip:
            x = (x + rng.randrange(1, world.LETTERS)) % world.LETTERS
        letters.append(x)
    words: list[str] = []
    for before, f, after in zip([start, *letters], functions, letters, strict=False):
        words += [world.letter(before), f"{f:03d}", world.letter(after), world.STEP]
    answer = world.letter(letters[-1])
    written = tuple(ids()[word] for word in (*words, CLOSE, answer))
    right = letters[-1] == world.states(start, functions)[-1]
    good = tuple(slip < 0 or hop < slip for hop in range(len(functions)))
    return Attempt(start, tuple(functions), written, answer, right, 1.0, good)


def looked_at(
    kind: str, attempts: dict[str, list[Attempt]], source: Questions, rng: random.Random
) -> Script:
    """An example of a role that looks at an attempt, revise or verify: half of them made up, which
    teaches to check the letters, half its own, which teach how often it errs where.

    Own ones to verify are right and wrong equally often. Own ones to revise are of questions that
    the model solves now and then, where the truth is in reach, and mostly right, as they are there:
    so it learns not to change what it has no reason to.
    """
    if rng.random() < 0.5:
        one = made_up(source, rng)
    else:
        likely = KEPT if kind == "revise" else 0.5
        pool = attempts.get(f"{kind}/{'right' if rng.random() < likely else 'wrong'}")
        one = pool[rng.randrange(len(pool))] if pool else made_up(source, rng)
    if kind == "revise":
        return roles.revise(one.start, one.functions, one.written)
    return roles.verify(one.start, one.functions, one.written, one.right)


def by_use(attempts: list[Attempt], least: float = 0.125) -> dict[str, list[Attempt]]:
    """Attempts by what they are used for: all for verification, those of questions in reach for
    revision.
    """
    out: dict[str, list[Attempt]] = {}
    for one in attempts:
        word = "right" if one.right else "wrong"
        out.setdefault(f"verify/{word}", []).append(one)
        if one.rate >= least:
            out.setdefault(f"revise/{word}", []).append(one)
    return out


def mixed(
    shares: dict[str, float], tokens: int, attempts: dict[str, list[Attempt]]
) -> Callable[[int, int], Iterator[Examples]]:
    """A stream of batches by seed and first batch number, as `train.Run` takes it; `shares` weigh
    the roles.
    """

    def stream(seed: int, start: int) -> Iterator[Examples]:
        number, pool = 0, 0
        while True:
            rng = random.Random(f"{seed}/{pool}")
            source = Questions(np.random.default_rng([seed, pool]))
            kinds = rng.choices(list(shares), list(shares.values()), k=POOL)
            made = [
                looked_at(kind, attempts, source, rng)
                if kind in ("revise", "verify")
                else written_down(kind, source, rng)
                for kind in kinds
            ]
            found = packed([arrays(made)], tokens)
            rng.shuffle(found)
            for one in found:
                if number >= start:
                    yield one
                number += 1
            pool += 1

    return stream
