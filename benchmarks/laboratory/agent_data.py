"""Training batches of the agent: its roles mixed at random, and its own attempts for those that
look at one.

Direct solving is trained on one to four functions; longer questions are what splitting is for.
Held-out questions are in no batch, whatever the role.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
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
FREQUENT = 15
"""Functions of lower rank are taken as known before the model can be asked."""
OWN = 0.85
"""Of the attempts that are shown, so many are its own once there are any."""


@dataclass(frozen=True)
class Attempt:
    """An own attempt: the question, the ids it wrote (without end of sequence), its answer, and
    what is true.

    steps: whether the chain was right up to and with each step; empty where the thinking is not one
    step a function.
    """

    start: int
    functions: tuple[int, ...]
    written: tuple[int, ...]
    answer: str
    right: bool
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
    """An example of a role that needs no attempt: solve, lookup, check, split or join.

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
    if kind == "check":
        return roles.check(start, functions, letters(start, functions, rng, wrong=0.5))
    return roles.solve(
        start, functions, rng.randrange(4 * len(functions)) if rng.random() < CUT else -1
    )


def letters(
    start: int, functions: Sequence[int], rng: random.Random, wrong: float, most: int = world.HOPS
) -> list[int]:
    """What the steps of a made-up chain find: each wrong with probability `wrong`, `most` in all,
    and followed faithfully from there.
    """
    x, found = start, list[int]()
    for f in functions:
        x = int(world.tables()[f, x])
        if most and rng.random() < wrong:
            x, most = (x + rng.randrange(1, world.LETTERS)) % world.LETTERS, most - 1
        found.append(x)
    return found


def made_up(source: Questions, rng: random.Random) -> Attempt:
    """An attempt nobody made: the right chain, or with one letter wrong."""
    start, functions = source.take(rng.choices(SOLVE_HOPS, SOLVE_WEIGHTS)[0])
    truth = world.states(start, functions)
    slip = rng.randrange(len(functions)) if rng.random() < 0.5 else len(functions)
    found = truth[:slip] + letters(([start, *truth])[slip], functions[slip:], rng, 1.0, most=1)
    words: list[str] = []
    for before, f, after in zip([start, *found], functions, found, strict=False):
        words += [world.letter(before), f"{f:03d}", world.letter(after), world.STEP]
    answer = world.letter(found[-1])
    written = tuple(ids()[word] for word in (*words, CLOSE, answer))
    good = tuple(hop < slip for hop in range(len(functions)))
    return Attempt(start, tuple(functions), written, answer, found[-1] == truth[-1], good)


def looked_at(
    kind: str,
    attempts: dict[str, list[Attempt]],
    known: np.ndarray,
    source: Questions,
    rng: random.Random,
) -> Script:
    """An example of a role that looks at an attempt, revise, verify or verify/thought: its own,
    where there are any, right and wrong equally often, and now and then a made-up one.
    """
    pool = attempts.get("right" if rng.random() < 0.5 else "wrong")
    own = pool and rng.random() < OWN
    one = pool[rng.randrange(len(pool))] if pool and own else made_up(source, rng)
    if kind == "revise":
        return roles.revise(one.start, one.functions, one.written, known)
    sure = known if kind == "verify/thought" else None
    return roles.verify(one.start, one.functions, one.written, one.right, sure)


def frequent() -> np.ndarray:
    """What is taken as known before a model can be asked: the facts of frequent functions; shape
    (functions, letters).
    """
    return np.repeat(world.ranks()[:, None] < FREQUENT, world.LETTERS, axis=1)


def mixed(
    shares: dict[str, float], tokens: int, attempts: Sequence[Attempt], known: np.ndarray
) -> Callable[[int, int], Iterator[Examples]]:
    """A stream of batches by seed and first batch number, as `train.Run` takes it; `shares` weigh
    the roles.
    """
    own = {
        word: [one for one in attempts if one.right == right]
        for word, right in (("right", True), ("wrong", False))
    }

    def stream(seed: int, start: int) -> Iterator[Examples]:
        number, pool = 0, 0
        while True:
            rng = random.Random(f"{seed}/{pool}")
            source = Questions(np.random.default_rng([seed, pool]))
            kinds = rng.choices(list(shares), list(shares.values()), k=POOL)
            made = [
                looked_at(kind, own, known, source, rng)
                if kind.startswith(("revise", "verify"))
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
