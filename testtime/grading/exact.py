"""Equal texts, after surrounding white space: for tasks whose answers have one spelling."""

from __future__ import annotations

from typing import ClassVar

from testtime.grading.base import Grade, Grader, Work
from testtime.grading.extract import after_thinking


class Exact(Grader):
    """Correct where the answer is the gold, character by character."""

    version: ClassVar[str] = "exact-1"

    def prepare(self, gold: str, answer: str) -> Grade | Work:
        given = after_thinking(answer).strip()
        if not given:
            return self.grade("unparsed", None, None, "no answer in the text")
        return self.grade(given == gold.strip(), given, given)
