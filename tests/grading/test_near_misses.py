"""No false positive among near misses, no false negative among plain spellings; what rests on a
convention says so.
"""

from __future__ import annotations

import pytest

from testtime.grading import grade

from .near_misses import NEAR, SAME


def pairs(table: dict[str, list[str]]) -> list[tuple[str, str]]:
    return [
        (gold, rf"So it is \boxed{{{answer}}}.") for gold, near in table.items() for answer in near
    ]


def test_no_near_miss_is_correct() -> None:
    asked = pairs(NEAR)
    assert len(asked) >= 500
    found = grade("math", asked, workers=2)
    assert [pair for pair, g in zip(asked, found, strict=True) if g.verdict == "correct"] == []
    assert [pair for pair, g in zip(asked, found, strict=True) if g.verdict == "error"] == []


def test_the_same_in_plain_text_is_correct() -> None:
    asked = pairs(SAME)
    found = grade("math", asked, workers=2)
    assert [pair for pair, g in zip(asked, found, strict=True) if g.verdict != "correct"] == []


@pytest.mark.parametrize(
    ("gold", "answer", "options", "verdict", "detail"),
    [
        ("50\\%", "0.5", {}, "correct", "by convention: percent"), ("50\\%", "50", {}, "correct", "by convention: percent"),
        ("50\\%", "50", {"percent": "strict"}, "wrong", ""), ("50\\%", "0.5", {"percent": "strict"}, "correct", ""),
        ("25 cm", "25", {}, "correct", "by convention: unit"), ("25", "25 cm", {"units": "strict"}, "wrong", "only one side names a unit"),
        ("25 cm", "25 cm", {"units": "strict"}, "correct", ""), ("0.3333333", "0.33333333", {}, "correct", "by convention: rounding"),
        ("0.3333333", "0.33333333", {"precision": 9}, "wrong", ""), ("x+1 cm", "1+x", {}, "correct", "by convention: unit"), ("25", "25", {}, "correct", ""),
    ],
)  # fmt: skip
def test_a_verdict_that_rests_on_a_convention_names_it(
    gold: str, answer: str, options: dict[str, str], verdict: str, detail: str
) -> None:
    found = grade("math", [(gold, answer)], options)[0]
    assert (found.verdict, found.detail) == (verdict, detail)
