"""Answers that no parser should be given whole, numbers that nobody can write out, golds that say
nothing: each has a verdict, and it is not "unknown" where it need not be.
"""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from testtime.grading import Grade, Grader, grade
from testtime.grading.registry import make

N = 100_000
LONG = {
    "spaces in a power": r"\boxed{x^" + " " * N + "}", "thin spaces": r"\boxed{1" + r"\," * (5 * N) + "2}", "brackets": "Answer: " + "(" * (2 * N),
    "boxed brackets": r"\boxed{" + "(" * (2 * N) + "}", "quotes": "\"'" * N, "dollars": "$" * N, "backslashes": "\\" * N, "commands": r"\text{" * N,
    "boxes": r"\boxed{" * N, "nested boxes": r"\boxed{" * 20_000 + "}" * 20_000, "bare boxes": r"\boxed " * N, "primes": "f^" + r" \prime" * N,
    "digits": "9" * N, "groups": "1,000" + ",000" * N, "fractions": r"\frac1" * N, "units": "1 " + "m " * N, "fences": "```" * N, "stars": "**" * N,
    "blank box": r"\boxed{" + " " * N + "}", "minus": "-" * N, "lines": "\n" * N, "tabs in a fence": "```python\n" + "\t" * N, "equals": "x=" * N,
    "letters": "(A) " * N, "tags": "<answer>" * N, "thinking": "<think>" * N, "underlines": "_" * N, "dots": ".1" * N, "commas": "1," * N, "sums": "1+" * N + "1",
    "cjk": "答案" * N, "combining": "e" + "\u0301" * N, "wide": "\uff11" * N, "roots": "√(" * N, "raised": "²" * N, "percent": "\\%" * N,
}  # fmt: skip
GOLDS = {
    "math": r"\frac{1}{2}", "exact": "1", "text": "The Beatles", "numeric": "12", "choice": "B",
    "gym": json.dumps({"dataset": "x", "question": "q", "answer": "1", "metadata": {}}),
}  # fmt: skip


@pytest.mark.parametrize("name", GOLDS)
def test_reading_is_linear_in_the_answer(name: str) -> None:
    """Far from the limit on any machine where it is linear, far beyond it where it is not."""
    grader = make(name, {})
    for kind, text in LONG.items():
        for answer in (text, f"{text}\nThe answer is {text[-1500:]}"):
            began = time.process_time()
            prepared = grader.prepare(GOLDS[name], answer)
            assert time.process_time() - began < 5, (name, kind)
            assert isinstance(prepared, tuple) or prepared.verdict != "correct", (name, kind)


def test_a_grader_that_hangs_in_reading_costs_one_verdict() -> None:
    from testtime.grading.pool import Limits

    pairs = [("1", "x" * 5000), ("1", "1"), ("1", "HANG" + "x" * 5000), ("1", "1" + " " * 5000)]
    found = grade(f"{__name__}:Hanging", pairs, workers=1, limits=Limits(cpu_s=0.5))
    assert [g.verdict for g in found] == ["wrong", "correct", "timeout", "correct"]


class Hanging(Grader):
    version = "hanging-1"

    def prepare(self, gold: str, answer: str) -> Grade:
        while answer.startswith("HANG"):
            pass
        return self.grade(answer.strip() == gold, answer[:9])


@pytest.mark.parametrize(
    ("gold", "answer", "correct"),
    [
        ("A", "the", False), ("A", "...", False), ("The", "!!!", False), ("?", "the", False), ("?", "", False), ("?", "!", False),
        ("A", "A", True), ("A", "a.", True), ("The", "the", True), ("?", "?", True), ("The Beatles", "beatles", True), ("the", "a", False),
    ],
)  # fmt: skip
def test_nothing_normalises_to_the_empty_text_and_then_equals_it(
    gold: str, answer: str, correct: bool
) -> None:
    assert (grade("text", [(gold, answer)])[0].verdict == "correct") == correct


def test_a_blank_gold_makes_nothing_right() -> None:
    for name in ("text", "math", "exact"):
        assert {g.verdict for g in grade(name, [("", a) for a in ("", "x", "...", " ")])} <= {
            "error",
            "wrong",
            "unparsed",
        }


ABSURD: list[tuple[str, str, Any]] = [
    ("1e5000", r"\boxed{1e5000}", "correct"), ("42", r"\boxed{1e5000}", "wrong"), ("42", r"\boxed{9^{9^{9^{9}}}}", "wrong"),
    ("42", r"\boxed{-9^{9^{9}}}", "wrong"), ("0", r"\boxed{9^{9^{9}}}", "wrong"), ("42", r"\boxed{2^{-9^{9^{9}}}}", "wrong"),
    (r"\frac{1}{3}", r"\boxed{5 \cdot 9^{9^{9}}}", "wrong"), ("3.5", r"\boxed{7^{9^{9^{9}}}}", "wrong"), ("10^{100}", r"\boxed{9^{9^{9}}}", "wrong"),
    ("42", r"\boxed{9^{9^{9}} - 9^{9^{9}} + 42}", {"timeout", "correct", "wrong"}), ("9^{9^{9}}", r"\boxed{42}", "wrong"),
    ("9^{9^{9}}", r"\boxed{9^{9^{9}}}", "correct"), ("10^{5000}", r"\boxed{10^{5000}}", "correct"), ("10^{5000}", r"\boxed{10^{5001}}", "wrong"),
    ("2^{100000000}", r"\boxed{2^{100000001}}", "timeout"), ("42", r"\boxed{99999999!}", {"wrong", "timeout"}),
]  # fmt: skip


def test_an_absurd_answer_is_wrong_where_its_size_says_so() -> None:
    found = grade("math", [(gold, answer) for gold, answer, _ in ABSURD], workers=2)
    for (gold, answer, wanted), got in zip(ABSURD, found, strict=True):
        assert got.verdict in ({wanted} if isinstance(wanted, str) else wanted), (gold, answer, got)
