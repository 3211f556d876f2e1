"""The one exception that a person should ever see.

Anything a user can cause (a wrong key, a missing folder, an empty file) is raised as `UserError`
with one line that says what is wrong, where, and what to write instead. The command line prints
that line and exits with code 2; any other exception is a bug of ours and keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake in the input: one line saying what, where, and what to write instead."""


def suggest(word: str, known: Iterable[str]) -> str:
    """A tail for an error message: the nearest known word, or all of them when none is near.

    Empty when nothing is known. Example: `"; did you mean 'budgets'?"`.
    """
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; known: {', '.join(names)}" if names else ""
