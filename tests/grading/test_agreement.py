"""Agreement with other graders' labelled pairs; every known disagreement is named here with its
reason.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from testtime.grading import grade
from testtime.grading.maths import Math

Row = dict[str, Any]

# (file, row): why we disagree with its label
STAGE = {
    (
        "lighteval_math",
        11,
    ): "the amount is written `220 $ ... 12 mois`; the last number of a French sentence is 12",
    (
        "lighteval_math",
        200,
    ): "p = 5, q = 2 and p = 7, q = 2: joined by \\quad\\text{and}\\quad it is read as one chain",
    (
        "lighteval_math",
        208,
    ): "boxes with other words between them: the label takes the last two of three, we take all",
    ("lighteval_math", 209): "the other half of the row before",
}
FULL = {
    ("qwen_math_cot_100", 84): "the label is wrong: the gold 10{,}000 is 10000",
    ("lighteval_mcq_and_text", 24): "`Answer: c` is an answer; the suite wants capital letters",
    (
        "rl_rewards_misc",
        37,
    ): "a right answer without a box or a thinking block is right; the suite tests the format",
    ("rl_rewards_misc", 38): "a right answer without a box is right; the suite tests the format",
}


def rows_of(shared_data: Path, name: str) -> list[Row]:
    return [
        json.loads(line)
        for line in (shared_data / "grading" / f"{name}.jsonl").read_text().splitlines()
    ]


def options_of(row: Row) -> dict[str, Any]:
    given = row.get("opts") or {}
    options = {
        key: given[key]
        for key in ("precision", "strict", "allow_set_relation_comp")
        if key in given
    }
    kinds = given.get("match_types") or given.get("match_type")
    return {**options, "match_types": kinds} if kinds else options


@pytest.mark.parametrize(("name", "floor"), [("math_verify", 0.995), ("lighteval_math", 0.98)])
def test_the_verification_stage_with_each_rows_options(
    shared_data: Path, name: str, floor: float
) -> None:
    rows = rows_of(shared_data, name)
    wrong = {
        (name, number)
        for number, row in enumerate(rows)
        if Math(**options_of(row)).verify(row["gold"], row["pred"]) != row["expected"]
    }
    assert wrong == {case for case in STAGE if case[0] == name}
    assert 1 - len(wrong) / len(rows) >= floor


@pytest.mark.parametrize("name", ["gsm8k_model_solutions", "qwen_math_cot_100"])
def test_the_full_grader_on_real_generations(shared_data: Path, name: str) -> None:
    rows = rows_of(shared_data, name)
    grades = grade("math", [(row["gold"], row["pred"]) for row in rows], workers=2)
    wrong = {
        (name, number)
        for number, (row, found) in enumerate(zip(rows, grades, strict=True))
        if (found.verdict == "correct") != row["expected"]
    }
    assert wrong == {case for case in FULL if case[0] == name}


def test_choice_and_text_cases(shared_data: Path) -> None:
    rows = rows_of(shared_data, "lighteval_mcq_and_text")
    graders = [
        "text" if "exact_match" in row["source"] or "expr_gold" in row["source"] else "choice"
        for row in rows
    ]
    check(rows, graders, "lighteval_mcq_and_text")


def test_reward_cases(shared_data: Path) -> None:
    rows = rows_of(shared_data, "rl_rewards_misc")
    names = {"PuzzleMatcherVerifier": "text", "GSM8KVerifier": "numeric", None: "math"}
    check(rows, [names[(row.get("opts") or {}).get("verifier")] for row in rows], "rl_rewards_misc")


def check(rows: list[Row], graders: list[str], name: str) -> None:
    wrong = set()
    for number, (row, grader) in enumerate(zip(rows, graders, strict=True)):
        golds = row["gold"] if isinstance(row["gold"], list) else [row["gold"]]
        verdicts = {
            found.verdict for found in grade(grader, [(gold, row["pred"]) for gold in golds])
        }
        if ("correct" in verdicts) != row["expected"]:
            wrong.add((name, number))
    assert wrong == {case for case in FULL if case[0] == name}
