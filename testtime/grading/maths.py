"""Mathematical answers: math-verify, with what it gets wrong mended and kept in a worker it cannot
harm.

The conventions: the last box counts (boxes joined by commas or "and" are one list); a percent sign
is ignored unless `percent` is "strict"; a missing unit is forgiven unless `units` is "strict", a
different one is not; decimals may be rounded as `precision` says. Where a verdict rests on one of
them the grade's detail says which (BY_CONVENTION), because they decide benchmarks. Plain numbers,
equal spellings and words are decided without a worker.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import Any, ClassVar, Literal

from pydantic import Field

from testtime.grading import magnitudes
from testtime.grading.base import BY_CONVENTION, Grade, Grader, Work
from testtime.grading.conventions import difference, without_unit
from testtime.grading.extract import after_thinking, final_answer, last_box
from testtime.grading.keys import answer_key, spelling
from testtime.grading.latex import as_percent, letter_e, mend, one_spelling, unnested, words_of
from testtime.grading.numbers import parse_number, parse_sum
from testtime.grading.plain import as_latex, without_label

LONGEST = 2000  # characters of an answer that a parser is given


class Math(Grader):
    """Correct where the final answer is mathematically the gold.

    percent: "ignore" takes 25\\% for 25 and for 0.25, "strict" for 0.25 only.
    units: "ignore" forgives a unit that only one side names, "strict" does not.
    precision: decimals that must agree where one side is a decimal fraction.
    strict: variables must have the same names, and a set is no tuple.
    allow_set_relation_comp: an interval as gold accepts an inequality.
    match_types: what is read as mathematics: LaTeX, plain expressions.
    """

    version: ClassVar[str] = "math-2"
    percent: Literal["ignore", "strict"] = "ignore"
    units: Literal["ignore", "strict"] = "ignore"
    precision: int = Field(default=6, ge=0, le=15)
    strict: bool = True
    allow_set_relation_comp: bool = True
    match_types: tuple[Literal["latex", "expr"], ...] = ("latex", "expr")

    def complaint(self, gold: str) -> str | None:
        return None if _clean(gold) else "is blank"

    def prepare(self, gold: str, answer: str) -> Grade | Work:
        final = final_answer(after_thinking(answer))
        if final is None:
            return self.grade("unparsed", None, None, "no answer in the text")
        shown = final[:LONGEST]
        final = " ".join(final.split())
        if len(final) > LONGEST:
            final = unnested(final.strip("$ "))
        if len(final) > LONGEST:
            return self._long(gold, final.strip("$ "), shown)
        wanted, given = _clean(gold), _clean(final)
        if not given:
            return self.grade("unparsed", shown, None, "the answer is empty")
        key = self._key(given)
        if not wanted:
            return self.grade(False, shown, key, "the gold answer is empty")
        if (right := self._as_numbers(wanted, given)) is not None:
            return self.grade(right[0], shown, key, right[1])
        if spelling(wanted) == spelling(given):
            return self.grade(True, shown, key)
        if reason := difference(wanted, given):
            return self.grade(False, shown, key, reason)
        words = words_of(wanted)
        if words is not None:
            return self.grade(words in (words_of(given), spelling(given).lower()), shown, key)
        bare = without_unit(wanted), without_unit(given)
        forgiven = (bare[0] != wanted) != (bare[1] != given)
        if forgiven and self.units == "strict":
            return self.grade(False, shown, key, "only one side names a unit")
        note = f"{BY_CONVENTION}unit" if forgiven else ""
        if (right := self._as_numbers(*bare)) is not None:
            return self.grade(right[0], shown, key, _both(note, right[1]) if right[0] else "")
        wanted, given = letter_e(*bare)
        if self.percent == "strict":
            wanted, given = as_percent(wanted), as_percent(given)
        return (f"${wanted}$", f"${given}$", key, note, shown)

    def _long(self, gold: str, found: str, shown: str) -> Grade:
        """An answer too long for any parser: right where it is a number or a sum, or the gold word
        for word.
        """
        wanted, key = _clean(gold), answer_key(found)
        if (right := self._as_numbers(wanted, found)) is not None:
            return self.grade(right[0], shown, key, right[1])
        if wanted and spelling(wanted) == spelling(found):
            return self.grade(True, shown, key)
        return self.grade("unparsed", shown, None, f"the answer has {len(found)} characters")

    def judge(self, work: Work) -> Grade:
        gold, given, key, note, shown = work
        trees = [_parsed(mend(text), self.match_types) for text in (gold, given)]
        if any(map(magnitudes.huge, trees)):
            reason = f"a power of over {magnitudes.MOST_BITS:,} bits is not evaluated"
            if magnitudes.differ(*trees):
                return self.grade(False, shown, key, f"{reason}; its size alone differs")
            return self.grade("timeout", shown, key, reason)
        right = self.verify(gold, given)
        return self.grade(right, shown, key, note if right else "")

    def verify(self, gold: str, given: str) -> bool:
        """math-verify's comparison of two mended texts, each with its mathematics as LaTeX or in
        the open.
        """
        from math_verify import verify
        from sympy.core.random import seed

        seed(
            0
        )  # sympy tries expressions at random points: unseeded, the same pair takes 0.1 s or 12 s
        wanted, found = (
            _parsed(mend(gold), self.match_types),
            _parsed(mend(given), self.match_types),
        )
        return bool(
            verify(
                wanted,
                found,
                float_rounding=self.precision,
                strict=self.strict,
                allow_set_relation_comp=self.allow_set_relation_comp,
                timeout_seconds=None,
            )
        ) or _same_solutions(wanted, found)

    def _key(self, given: str) -> str:
        """The vote: of words the words, else the value. Never looks at the gold."""
        words = words_of(given)
        if words is not None and len(words) > 1:
            return words
        bare = words.upper() if words else without_unit(given)
        return answer_key(as_percent(bare) if self.percent == "strict" else bare)

    def _as_numbers(self, gold: str, given: str) -> tuple[bool, str] | None:
        """Whether the numbers are equal, and by which convention, where both are plain numbers or
        sums of them.
        """
        wanted, value = parse_number(gold), parse_number(given)
        value = parse_sum(given) if value is None else value
        if wanted is None or value is None:
            return None
        decimal = "." in gold or "." in given
        marks = gold.endswith("%"), given.endswith("%")
        if self.percent == "strict":
            wanted, value = (
                number / 100 if mark else number
                for number, mark in zip((wanted, value), marks, strict=True)
            )
        exact = wanted == value
        note = (
            f"{BY_CONVENTION}percent" if self.percent == "ignore" and marks[0] != marks[1] else ""
        )
        if exact or self._close(wanted, value, decimal):
            return True, note if exact else _both(note, f"{BY_CONVENTION}rounding")
        if note:
            bare, marked = (value, wanted) if marks[0] else (wanted, value)
            if self._close(marked / 100, bare, decimal):
                return True, note
        return False, ""

    def _close(self, gold: Fraction, value: Fraction, decimal: bool) -> bool:
        gap = abs(gold - value)
        return not gap or (
            decimal and gap <= Fraction(1, 2 * 10**self.precision) and gap <= abs(gold) / 100
        )


def _both(one: str, other: str) -> str:
    """The details of two conventions as one."""
    return f"{one}, {other.removeprefix(BY_CONVENTION)}" if one and other else one or other


def _clean(text: str) -> str:
    boxed = last_box(text)
    clean = one_spelling(mend(text if boxed is None else boxed))
    clean = one_spelling(without_label(clean)) if ":" in clean else clean
    return as_latex(clean)


@lru_cache(maxsize=4096)
def _parsed(text: str, match_types: tuple[str, ...]) -> Any:
    from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse

    targets = [
        LatexExtractionConfig() if kind == "latex" else ExprExtractionConfig()
        for kind in match_types
    ]
    return parse(text, targets, parsing_timeout=None)


def _same_solutions(wanted: list[Any], found: list[Any]) -> bool:
    """Whether two inequalities in one real variable hold for the same numbers (-1 < x < 1 and |x| <
    1).
    """
    from math_verify.grader import is_relation

    if not (wanted and found and is_relation(wanted[0]) and is_relation(found[0])):
        return False
    symbols = wanted[0].free_symbols
    if len(symbols) != 1 or found[0].free_symbols != symbols:
        return False
    try:
        return bool(wanted[0].as_set() == found[0].as_set())
    except (NotImplementedError, TypeError, ValueError, AttributeError):
        return False
