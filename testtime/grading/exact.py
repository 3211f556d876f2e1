"""Equal texts, after surrounding white space: for tasks whose answers have one spelling."""

from __future__ import annotations

from typing import ClassVar

from testtime.grading.base import Grade, Grader, Work
from testtime.grading.extract import after_thinking


class Exact(Grader):
    """Correct where the answer is the gold, character by character."""

    version: ClassVar[str] = "exact-1"

    def prepare(self, gold: str, answer: str) -> Grade | Work:
        found = after_thinking(answer).strip()
        if not found:
            return self.grade("unparsed", None, None, "no answer in the text")
        return self.grade(found == gold.strip(), found, found)
