"""One number against another, exactly or within a tolerance. Pure and cheap: needs no worker."""

from __future__ import annotations

from fractions import Fraction
from typing import ClassVar

from pydantic import Field

from testtime.grading.base import Grade, Grader, Work
from testtime.grading.extract import after_thinking, announced, last_box
from testtime.grading.numbers import last_number, number_key, parse_number


class Numeric(Grader):
    """Correct where |answer - gold| <= max(abs_tol, rel_tol * |gold|); with both 0, where the two
    are the same number.

    The answer is the last box, else what is announced as the answer, else the last number of the
    text.
    """

    version: ClassVar[str] = "numeric-1"
    abs_tol: float = Field(default=0.0, ge=0)
    rel_tol: float = Field(default=0.0, ge=0)

    def complaint(self, gold: str) -> str | None:
        return None if parse_number(gold) is not None else f"{gold[:60]!r} is no number"

    def prepare(self, gold: str, answer: str) -> Grade | Work:
        wanted = parse_number(gold)
        if wanted is None:
            return self.grade("error", None, None, f"the gold {gold[:60]!r} is no number")
        text = after_thinking(answer)
        written, value = _number(text)
        if written is None or value is None:
            return self.grade("unparsed", written, None, "no number in the answer")
        tolerance = max(Fraction(self.abs_tol), Fraction(self.rel_tol) * abs(wanted))
        return self.grade(abs(value - wanted) <= tolerance, written, number_key(value))


def _number(text: str) -> tuple[str | None, Fraction | None]:
    for part in (text, last_box(text), announced(text)):
        if part is not None and (value := parse_number(part)) is not None:
            return part.strip(), value
    for part in (last_box(text), announced(text), text):
        if part is not None and (found := last_number(part)) is not None:
            return found, parse_number(found)
    return None, None
