"""The world of facts: a thousand random functions of 26 letters, asked one after the other.

A question is a letter and one to six functions, `a 123 045 ?`: apply function 123 to the letter a,
function 045 to what comes out, and say the last letter. Every function is a random table (26
facts), its name has three digits, and how often it is asked falls with its rank as rank^-1.3, so
more parameters and more tokens always buy the next rarer fact: loss falls smoothly (the quanta of
Michaud et al. 2023, arXiv:2303.13506). Thinking does one function a step: the letter, the function,
the new letter, and a blank line. A function is one token, so that what there is to learn is facts
and hardly any form.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache

import numpy as np

from testtime.zoo import facts

FUNCTIONS = 1000
LETTERS = 26
HOPS = 6
EXPONENT = 1.3
HOP_WEIGHTS = (6, 5, 4, 3, 2, 1)
"""How often a question has 1, 2, ... hops, relatively."""
STEP = "\n\n"
"""What ends a step of thinking; one token."""


@cache
def tables() -> np.ndarray:
    """The facts: `tables()[f, x]` is the letter (0 to 25) that function f makes of letter x; shape
    (1000, 26).
    """
    known = facts.functions()
    return np.array([[ord(c) - 97 for c in known[f"{f:03d}"]] for f in range(FUNCTIONS)])


@cache
def frequencies() -> np.ndarray:
    """The probability of each function, by its name; shape (1000,). Names are in random order of
    rank.
    """
    by_rank = np.arange(1, FUNCTIONS + 1, dtype=float) ** -EXPONENT
    return (by_rank / by_rank.sum())[ranks()]


@cache
def ranks() -> np.ndarray:
    """The rank of each function, 0 the most frequent, by its name; shape (1000,)."""
    out = np.empty(FUNCTIONS, dtype=int)
    out[[int(name) for name in facts.functions()]] = np.arange(FUNCTIONS)
    return out


def letter(x: int) -> str:
    """Letter 0 as `a`."""
    return chr(97 + x)


def question(start: int, functions: Sequence[int]) -> str:
    """`a 123 045 ?`."""
    return " ".join([letter(start), *(f"{f:03d}" for f in functions), "?"])


def parse(text: str) -> tuple[int, list[int]]:
    """The start and the functions of a question that `question` wrote."""
    words = text.split()
    return ord(words[0]) - 97, [int(word) for word in words[1:-1]]


def states(start: int, functions: Sequence[int]) -> list[int]:
    """The letter after each function, in order."""
    out, x = [], start
    for f in functions:
        x = int(tables()[f, x])
        out.append(x)
    return out


def steps(start: int, functions: Sequence[int]) -> list[str]:
    """The right thinking, a step a function: `["a123q", "q045z"]`; each is followed by STEP."""
    found = states(start, functions)
    return [
        f"{letter(x)}{f:03d}{letter(y)}"
        for x, f, y in zip([start, *found], functions, found, strict=False)
    ]


def held_out(start: int, functions: Sequence[int]) -> bool:
    """True for the sixteenth of all questions that nothing is trained on: decided by a hash of the
    question.

    Questions of one hop are facts, which can only be known by having been told: they are never held
    out.
    """
    if len(functions) < 2:
        return False
    return hashlib.blake2b(question(start, functions).encode(), digest_size=1).digest()[0] < 16


def draw(
    rng: np.random.Generator, count: int, hops: int, even: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Random questions of `hops` different functions: starts (count,) and functions (count, hops),
    by frequency, or all equally often where `even`.

    Different, so that what follows a function in the question is never in doubt. Drawn without
    replacement by the exponential race (Efraimidis & Spirakis 2006), then put in random order.
    """
    arrival = rng.standard_exponential((count, FUNCTIONS), dtype=np.float32)
    if not even:
        arrival /= frequencies().astype(np.float32)
    first = np.argpartition(arrival, hops, axis=1)[:, :hops]
    return rng.integers(0, LETTERS, size=count), rng.permuted(first, axis=1)
