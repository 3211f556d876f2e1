"""The one exception that a person should ever see.

Anything a user can cause (a wrong key, a missing folder, an empty file) is raised as `UserError`
with one line that says what is wrong, where, and what to write instead. The command line prints
that line and exits with code 2; any other exception is a bug of ours and keeps its traceback.
What a message quotes may come from anywhere, so keys and control characters are taken out here.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from testtime.redact import redact

LONGEST = 4000  # characters of a message; what it quotes may be of any length
MOST = 24  # known words that a message lists
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class UserError(Exception):
    """A mistake in the input: one line saying what, where, and what to write instead."""

    def __init__(self, message: object = "") -> None:
        said = printable(redact(str(message)))
        super().__init__(" ".join(said.split("\n"))[:LONGEST])


def printable(text: str) -> str:
    """A text that a terminal shows and cannot be steered by: no escapes, no lone surrogates."""
    return _UNPRINTABLE.sub("\ufffd", text)


def suggest(word: str, known: Iterable[str]) -> str:
    """A tail for an error message: the nearest known word, or the first MOST when none is near.

    Empty when nothing is known. Example: `"; did you mean 'budgets'?"`.
    """
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {near[0]!r}?"
    more = f" and {len(names) - MOST:,} more" if len(names) > MOST else ""
    return f"; known: {', '.join(names[:MOST])}{more}" if names else ""
