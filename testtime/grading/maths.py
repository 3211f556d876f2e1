"""Mathematical answers: math-verify, with what it gets wrong mended and kept in a worker it cannot harm.

The convention: the last box counts (boxes joined by commas or "and" are one list); a percent sign is ignored unless
`percent` is "strict"; a missing unit is forgiven, a different one is not.
"""

from __future__ import annotations

from fractions import Fraction
from typing import ClassVar, Literal

from testtime.grading.base import Grade, Grader, Work
from testtime.grading.extract import after_thinking, announced, last_box
from testtime.grading.numbers import last_number, number_key, parse_number


class Math(Grader):
    """Correct where the final answer is mathematically the gold.

    precision: decimals that must agree where one side is a decimal fraction.
    strict: variables must have the same names, a set is no tuple.
    """

    version: ClassVar[str] = "math-1"
    percent: Literal["ignore", "strict"] = "ignore"
    precision: int = 6
    strict: bool = True
    allow_set_relation_comp: bool = False
    match_types: tuple[Literal["latex", "expr"], ...] = ("latex", "expr")

    def prepare(self, gold: str, answer: str) -> Grade | Work:
        text = after_thinking(answer)
        found = last_box(text)
        if found is None:
            found = announced(text) or last_number(text)
        if not found or not found.strip():
            return self.grade("unparsed", None, None, "no answer in the text")
        found = found.strip()
        wanted_number, number = parse_number(gold), parse_number(found)
        if wanted_number is not None and number is not None:
            return self.grade(self._close(wanted_number, number), found, number_key(number))
        return (_wrapped(gold), _wrapped(found))

    def judge(self, work: Work) -> Grade:
        gold, found = work
        key = "".join(found.split())
        return self.grade(self.verify(gold, found), found, key)

    def verify(self, gold: str, pred: str) -> bool:
        """math-verify's comparison of two texts, each with its mathematics between dollar signs or in the open."""
        from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse, verify

        targets = [LatexExtractionConfig() if kind == "latex" else ExprExtractionConfig() for kind in self.match_types]
        return bool(
            verify(
                parse(gold, targets, parsing_timeout=None),
                parse(pred, targets, parsing_timeout=None),
                float_rounding=self.precision,
                strict=self.strict,
                allow_set_relation_comp=self.allow_set_relation_comp,
                timeout_seconds=None,
            )
        )

    def _close(self, gold: Fraction, found: Fraction) -> bool:
        return gold == found or abs(gold - found) < Fraction(1, 2 * 10**self.precision)


def _wrapped(text: str) -> str:
    return text if "$" in text or "\\(" in text or "\\[" in text or "\\boxed" in text else f"${text}$"
