"""Prompts, options and golds of one row."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from testtime.errors import UserError
from testtime.tasks.registry import _problem
from testtime.tasks.spec import TaskSpec, parse_spec

BASE = {
    "name": "t",
    "description": "d",
    "license": "MIT",
    "loader": {"kind": "file", "path": "x"},
    "grader": {"name": "choice"},
    "prompt": "{question}\n{options}\n({letters})",
    "base_prompt": "Q: {question}\nA:",
}
ROW = {"question": "Which?", "options": ["A)red", "B)green", "C)blue"], "answer": "B"}
CHOICES = {"options": "options", "correct": "{answer}", "strip": r"^[A-Z]\)"}


def spec(**more: Any) -> TaskSpec:
    return parse_spec({**BASE, **more}, "here")


def test_options_are_shuffled_by_problem_and_seed_and_the_gold_follows() -> None:
    seen = Counter()
    for index in range(60):
        problem = _problem(f"p{index}", ROW, spec(choices=CHOICES), 0, "here")
        gold = json.loads(problem.gold)
        assert gold["choices"][ord(gold["answer"]) - ord("A")] == "green"
        assert sorted(gold["choices"]) == ["blue", "green", "red"]
        assert f"{gold['answer']}) green" in problem.messages[0]["content"]
        assert problem.messages[0]["content"].endswith("(ABC)")
        seen[gold["answer"]] += 1
        assert _problem(f"p{index}", ROW, spec(choices=CHOICES), 0, "here") == problem
    assert set(seen) == {"A", "B", "C"} and min(seen.values()) > 5
    other = [_problem(f"p{i}", ROW, spec(choices=CHOICES), 1, "here").gold for i in range(20)]
    assert other != [
        _problem(f"p{i}", ROW, spec(choices=CHOICES), 0, "here").gold for i in range(20)
    ]


@pytest.mark.parametrize(
    ("choices", "row"),
    [
        ({**CHOICES, "shuffle": False}, ROW),
        (
            {"options": "options", "correct": "{answer}", "correct_is": "index", "shuffle": False},
            {**ROW, "answer": 1},
        ),
        (
            {"options": "o[text]", "correct": "{answer}", "shuffle": False},
            {"o": {"text": ["x", "y"]}, "answer": "2"},
        ),
        (
            {
                "options": ["{bad}", "{good}"],
                "correct": "{good}",
                "correct_is": "text",
                "shuffle": False,
            },
            {"bad": "1", "good": "2"},
        ),
    ],
)
def test_the_right_option_by_letter_number_index_or_text(
    choices: dict[str, Any], row: dict[str, Any]
) -> None:
    problem = _problem("p", {"question": "Which?", **row}, spec(choices=choices), 0, "here")
    assert json.loads(problem.gold)["answer"] == "B"


@pytest.mark.parametrize("answer", ["D", "", "BB", "-1"])
def test_a_wrong_key_of_the_data_is_named(answer: str) -> None:
    with pytest.raises(UserError, match=r"problem p: choices.correct gives"):
        _problem("p", {**ROW, "answer": answer}, spec(choices=CHOICES), 0, "here")


def test_few_shot_prompts_as_turns_and_as_plain_text() -> None:
    examples = [{"question": "1+1?", "answer": "2"}, {"question": "2+2?", "answer": "4"}]
    more: dict[str, Any] = {
        "examples": examples,
        "shots": 2,
        "system": "Be brief.",
        "prompt": "{question}",
        "gold": "3",
    }
    chat = _problem("p", {"question": "1+2?"}, spec(**more), 0, "here")
    assert [turn["role"] for turn in chat.messages] == [
        "system",
        "user",
        "assistant",
        "user",
        "assistant",
        "user",
    ]
    assert chat.messages[-1]["content"] == "1+2?" and chat.prompt is None
    base = _problem("p", {"question": "1+2?"}, spec(**more, style="base"), 0, "here")
    assert base.messages == []
    assert base.prompt == "Q: 1+1?\nA: 2\n\nQ: 2+2?\nA: 4\n\nQ: 1+2?\nA:"


def test_gold_by_pattern_and_as_mapping() -> None:
    row = {"question": "q", "answer": "some work\n#### 1,234 "}
    assert (
        _problem("p", row, spec(gold_pattern=r"####\s*(.+?)\s*$", prompt="x"), 0, "here").gold
        == "1,234"
    )
    mapped = spec(gold={"tests": "{tests}", "name": "f{n}"}, prompt="x")
    gold = _problem("p", {"question": "q", "tests": ["a", "b"], "n": 1}, mapped, 0, "here").gold
    assert json.loads(gold) == {"tests": ["a", "b"], "name": "f1"}


def test_braces_in_the_data_are_left_alone() -> None:
    problem = _problem(
        "p", {"question": r"\frac{1}{2} {x}", "answer": "1"}, spec(prompt="{question}"), 0, "here"
    )
    assert problem.messages[0]["content"] == r"\frac{1}{2} {x}"
