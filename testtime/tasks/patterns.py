"""Regular expressions that come from a file: searched with a limit, because `(a+)+$` takes longer
than the universe on forty letters. `regex` stops after a time; `re` does not.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import regex

from testtime.errors import UserError

SECONDS = 2.0  # of one search; an honest pattern takes microseconds


@lru_cache(maxsize=256)
def compiled(pattern: str, where: str) -> Any:
    """The pattern. Raises UserError naming `where` for one that is no regular expression."""
    try:
        return regex.compile(pattern, regex.VERSION0)
    except (regex.error, RecursionError, OverflowError) as error:
        raise UserError(f"{where}: {pattern[:60]!r} is no regular expression ({error})") from None


def search(pattern: str, text: str, where: str) -> Any:
    """The first match, or None. Raises UserError where the pattern takes too long, or has no group
    to capture.
    """
    match = _timed(lambda: compiled(pattern, where).search(text, timeout=SECONDS), pattern, where)
    if match is not None and not match.re.groups:
        raise UserError(f"{where}: {pattern[:60]!r} captures nothing; put the gold in (brackets)")
    return match


def remove(pattern: str, text: str, where: str) -> str:
    """The text without what the pattern matches."""
    return str(
        _timed(lambda: compiled(pattern, where).sub("", text, timeout=SECONDS), pattern, where)
    )


def find_all(pattern: Any, text: str, where: str) -> list[Any]:
    """All matches of a compiled pattern, as `re.findall` gives them."""
    return list(_timed(lambda: pattern.findall(text, timeout=SECONDS), pattern.pattern, where))


def _timed(work: Any, pattern: str, where: str) -> Any:
    try:
        return work()
    except TimeoutError:
        raise UserError(
            f"{where}: the pattern {pattern[:60]!r} takes over {SECONDS:g} s on one text; "
            f"write one without repetitions of repetitions"
        ) from None
