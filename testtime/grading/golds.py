"""Golds that their grader cannot use, named before a token is drawn instead of after the last."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from testtime.grading.registry import make


class _Problem(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def gold(self) -> str: ...


def check_golds(
    grader: str, options: dict[str, Any], problems: Iterable[_Problem]
) -> dict[str, str]:
    """problem id -> what is wrong with its gold (`is blank`, `'n/a' is no number`); empty where all
    is well.

    Raises UserError for an unknown grader or option. Cheap: nothing is graded.
    """
    chosen = make(grader, options)
    said = {}
    for problem in problems:
        try:
            trouble = chosen.complaint(problem.gold)
        except Exception as error:  # a grader of one's own may do anything with an odd gold
            trouble = f"cannot be read ({type(error).__name__}: {str(error)[:80]})"
        if trouble:
            said[problem.id] = trouble
    return said
