"""What the agent writes in each of its roles, as tokens and what of them carries loss.

All of it is one conversation format, the tokenizer's chat template:

solve    user: the question. Thinks a step a function, closes, says the letter.
lookup   system `lookup`, user: the question. Thinks as before, but asks the tool for functions
         that are rare: `<tool_call>a123</tool_call>`, is fed `<tool_response>q</tool_response>`,
         and goes on.
split    user: `split` and the question. Closes at once, says sub-questions of at most PART
         functions, each followed by a blank line; a later one begins with `#1`, the answer of the
         first, and so on.
join     user: `join`, the question, and `:` with the answer for every part. Closes at once, says
         the letter.
revise   user: the question, assistant: an attempt, user: `revise`. Thinks again, says the letter:
         puts right the facts that it knows, and keeps what the attempt says of the others.
verify   user: the question, assistant: an attempt, user: `verify`. Says `yes` or `no`: closes at
         once, or thinks as if it revised, so that two letters that were written can be compared.
check    system `verify`, user: the question. Steps that are fed, each followed by `yes` or `no` for
         this step alone: a verdict a step teaches to compare letters, one an attempt hardly does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks.laboratory import world
from benchmarks.laboratory.vocabulary import (
    ASSISTANT,
    BOS,
    CALL,
    CLOSE,
    END_CALL,
    END_RESULT,
    EOS,
    RESULT,
    SYSTEM,
    THINK,
    USER,
    ids,
)

KNOWN = 40
"""Functions of lower rank are not looked up."""
PART = 3
"""Functions of one sub-question."""


@dataclass
class Script:
    """Token ids being written, and which of them carry loss."""

    tokens: list[int] = field(default_factory=list)
    learnt: list[bool] = field(default_factory=list)

    def add(self, words: Sequence[str] | Sequence[int], learnt: bool) -> Script:
        """Appends tokens, by name or by id."""
        self.tokens += [word if isinstance(word, int) else ids()[word] for word in words]
        self.learnt += [learnt] * len(words)
        return self


def asked(start: int | str, functions: Sequence[int]) -> list[str]:
    """A question's tokens; `start` may be `#1`."""
    first = [world.letter(start)] if isinstance(start, int) else list(start)
    return [*first, *(f"{f:03d}" for f in functions), "?"]


def thought(
    start: int, functions: Sequence[int], tool: bool = False
) -> list[tuple[list[str], bool]]:
    """The right thinking as pieces (tokens, learnt); with `tool`, the facts of rare functions are
    asked for.
    """
    pieces: list[tuple[list[str], bool]] = []
    found = world.states(start, functions)
    for x, f, y in zip([start, *found], functions, found, strict=False):
        key = [world.letter(x), f"{f:03d}"]
        if tool and world.ranks()[f] >= KNOWN:
            pieces.append(([CALL, *key, END_CALL], True))
            pieces.append(([RESULT, world.letter(y), END_RESULT], False))
        pieces.append(([*key, world.letter(y), world.STEP], True))
    return pieces


def _end(script: Script, answer: Sequence[str]) -> Script:
    return script.add([CLOSE, *answer, EOS], True)


def solve(start: int, functions: Sequence[int], kept: int = -1, tool: bool = False) -> Script:
    """Solving, after the system message `lookup` where `tool`; thinking closed by force after
    `kept` tokens if >= 0.
    """
    system = [SYSTEM, "lookup"] if tool else []
    script = Script().add([BOS, *system, USER, *asked(start, functions), ASSISTANT, THINK], False)
    prompt = len(script.tokens)
    for words, learnt in thought(start, functions, tool):
        script.add(words, learnt)
    answer = [world.letter(world.states(start, functions)[-1])]
    if kept < 0:
        return _end(script, answer)
    del script.tokens[prompt + kept :], script.learnt[prompt + kept :]
    return script.add([CLOSE], False).add([*answer, EOS], True)


def parts(functions: Sequence[int]) -> list[Sequence[int]]:
    """The functions in groups of PART."""
    return [functions[i : i + PART] for i in range(0, len(functions), PART)]


def split(start: int, functions: Sequence[int]) -> Script:
    """Splitting a question into sub-questions."""
    script = Script().add([BOS, USER, "split", *asked(start, functions), ASSISTANT, THINK], False)
    out: list[str] = []
    for number, part in enumerate(parts(functions)):
        out += [*asked(start if number == 0 else f"#{number}", part), world.STEP]
    return _end(script, out)


def join(start: int, functions: Sequence[int], answers: Sequence[int]) -> Script:
    """Joining the sub-questions' answers: the last one's."""
    told = [token for answer in answers for token in (":", world.letter(answer))]
    script = Script().add(
        [BOS, USER, "join", *asked(start, functions), *told, ASSISTANT, THINK], False
    )
    return _end(script, [world.letter(answers[-1])])


def after(start: int, functions: Sequence[int], attempt: Sequence[int], word: str) -> Script:
    """The conversation up to the third turn's generation prompt: question, attempt (ids after
    `<think>`), `word`.
    """
    script = Script().add([BOS, USER, *asked(start, functions), ASSISTANT, THINK], False)
    return script.add(list(attempt), False).add([EOS, USER, word, ASSISTANT, THINK], False)


def revise(
    start: int, functions: Sequence[int], attempt: Sequence[int], known: np.ndarray
) -> Script:
    """Revising an attempt: right where the fact is `known` (function, letter), and else the letter
    of the attempt, if it asks there for the same fact.
    """
    pieces, x = rethought(start, functions, attempt, known)
    script = after(start, functions, attempt, "revise").add(pieces, True)
    return _end(script, [world.letter(x)])


def rethought(
    start: int, functions: Sequence[int], attempt: Sequence[int], known: np.ndarray
) -> tuple[list[str], int]:
    """The thinking of a revision, and the letter that it comes to."""
    words, x = list[str](), start
    for hop, f in enumerate(functions):
        key = [world.letter(x), f"{f:03d}"]
        shown = list(attempt[4 * hop : 4 * hop + 4])
        asked_alike = shown[:2] == [ids()[word] for word in key]
        kept = asked_alike and shown[2:3] and 0 <= shown[2] - ids()["a"] < world.LETTERS
        right = int(world.tables()[f, x])
        x = right if known[f, x] or not kept else shown[2] - ids()["a"]
        words += [*key, world.letter(x), world.STEP]
    return words, x


def verify(
    start: int,
    functions: Sequence[int],
    attempt: Sequence[int],
    right: bool,
    known: np.ndarray | None = None,
) -> Script:
    """Saying whether an attempt's answer is right, after thinking where `known` says what of."""
    script = after(start, functions, attempt, "verify")
    if known is not None:
        script.add(rethought(start, functions, attempt, known)[0], True)
    return _end(script, ["yes" if right else "no"])


def check(start: int, functions: Sequence[int], letters: Sequence[int]) -> Script:
    """Saying of every step whether it is right by itself; `letters` are what the steps found."""
    head = [BOS, SYSTEM, "verify", USER, *asked(start, functions), ASSISTANT, THINK]
    script = Script().add(head, False)
    for x, f, y in zip([start, *letters], functions, letters, strict=False):
        script.add([world.letter(x), f"{f:03d}", world.letter(y), world.STEP], False)
        script.add(["yes" if y == world.tables()[f, x] else "no"], True)
    return script
