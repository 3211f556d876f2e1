"""Multiple choice: the letter or the text of an option, in the many ways models say it.

The gold is a letter, or JSON with the letter and the options' texts (what a task with `choices`
gives): `{"answer": "B", "choices": ["Paris", "Rome"]}`.
"""

from __future__ import annotations

import json
import re
from typing import ClassVar

from testtime.grading.base import Grade, Grader, Work
from testtime.grading.extract import after_thinking, announced, last_box
from testtime.grading.text import normalised

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
LONGEST = 2000  # characters of a box or announcement that are read
_GOLD = re.compile(r"(?m)^\s*\(?([A-Z])\)?(?=[\s.):,]|$)")
_CJK = "\u3000-\u30ff\u3400-\u9fff"
_ALONE = re.compile(rf"(?<![\w$\\'-])[(\[\"'*]*+([A-Z])(?![\w'-](?<![{_CJK}])|\s*[=+*/^])")
_CHOSEN = re.compile(
    r"(?i:\b(?:option|choice|choose|select|pick|correct|is|be|it's)\s*\(?(?:option|choice|letter)?\s*+[:(\[\"'*]*+)([A-Z])\b"
)
_ENDING = re.compile(r"(?:^|[\s(\[\"'*])([A-Z])[)\]\"'*]*+[.!]?\s*+$")


class Choice(Grader):
    """Correct where the chosen option is the gold's. Votes are letters."""

    version: ClassVar[str] = "choice-1"

    def complaint(self, gold: str) -> str | None:
        right, options = _gold(gold)
        if right is None:
            return f"{gold[:60]!r} names no option"
        if options and right not in LETTERS[: len(options)]:
            return f"{right!r} is none of its {len(options)} options"
        return None

    def prepare(self, gold: str, answer: str) -> Grade | Work:
        right, options = _gold(gold)
        if right is None:
            return self.grade("error", None, None, f"the gold {gold[:60]!r} names no option")
        text = after_thinking(answer).strip()
        letters = LETTERS[: len(options) or 26]
        chosen = _chosen(text, letters, options)
        if chosen is None:
            return self.grade("unparsed", None, None, "no option in the answer")
        return self.grade(chosen == right, chosen, chosen)


def _gold(gold: str) -> tuple[str | None, list[str]]:
    if gold.lstrip().startswith("{"):
        parsed = json.loads(gold)
        return str(parsed["answer"]).strip().upper(), [str(option) for option in parsed["choices"]]
    match = _GOLD.search(gold)
    return (match[1] if match else None), []


def _chosen(text: str, letters: str, options: list[str]) -> str | None:
    """What is in the box, else what is announced, else a letter the text begins with, is told of,
    or ends with.
    """
    boxed = last_box(text)
    if boxed is not None:
        inner = re.sub(
            r"\\(?:text|mathrm|textbf|mathbf)\s*+\{([^{}]*)\}", r"\1", boxed[:LONGEST]
        ).strip()
        return _of_snippet(inner, letters, options)
    tail = text[-2000:]
    said = announced(tail)
    if said is not None and (found := _of_snippet(said[:LONGEST], letters, options)):
        return found
    if len(alone := text.strip(" .()*")) == 1:
        return _of_snippet(alone, letters, options)
    begins = re.match(rf"[(\[*\"']*+([{letters}])(?:[)\].:,*\"']|\s*$|\s*[{_CJK}])", text)
    if begins:
        return str(begins[1])
    told = [letter for letter in _CHOSEN.findall(tail) if letter in letters]
    ending = _ENDING.search(tail)
    if ending and ending[1] in letters:
        return ending[1]
    if told:
        return str(told[-1])
    return _option_named(tail.rsplit("\n", 1)[-1], letters, options)


def _of_snippet(snippet: str, letters: str, options: list[str]) -> str | None:
    """The first option named in an announcement: its letter, or its text."""
    whole = snippet.strip(" .()[]*\"'$:`")
    if len(whole) == 1 and whole.upper() in letters:
        return whole.upper()
    by_text = _option_named(snippet, letters, options)
    first = next(
        (
            match[1]
            for match in _ALONE.finditer(snippet)
            if match[1] in letters and not _article(match)
        ),
        None,
    )
    return first or by_text


def _article(match: re.Match[str]) -> bool:
    """Whether an A opens a phrase (A train ...) instead of naming an option."""
    return match[1] in "AI" and bool(re.match(r"\s+[a-z]", match.string[match.end() :]))


def _option_named(text: str, letters: str, options: list[str]) -> str | None:
    """The one option whose text the words are, or contain; None where several would do."""
    said = normalised(text)
    same = [
        letter
        for letter, option in zip(letters, options, strict=False)
        if normalised(option) == said
    ]
    if not same:
        padded = f" {said} "
        same = [
            letter
            for letter, option in zip(letters, options, strict=False)
            if normalised(option) and f" {normalised(option)} " in padded
        ]
    return same[0] if len(same) == 1 else None
