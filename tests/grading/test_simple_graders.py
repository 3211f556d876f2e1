"""exact, numeric, text and choice: decided in place, without a worker."""

from __future__ import annotations

import json
from typing import Any

import pytest

from testtime.errors import UserError
from testtime.grading import grade


def verdict(grader: str, gold: str, answer: str, **options: Any) -> str:
    return grade(grader, [(gold, answer)], options)[0].verdict


@pytest.mark.parametrize(
    ("gold", "answer", "expected"),
    [
        ("42", " 42\n", "correct"),
        ("42", "42.", "wrong"),
        ("42", "", "unparsed"),
        ("42", "<think>42", "unparsed"),
    ],
)
def test_exact(gold: str, answer: str, expected: str) -> None:
    assert verdict("exact", gold, answer) == expected


@pytest.mark.parametrize(
    ("gold", "answer", "expected"),
    [
        ("42", "42", "correct"), ("42", "so it is "
                                        "42.0", "correct"), ("1234", "A: 1,234", "correct"),
        ("0.5", r"\boxed{\frac{1}{2}}", "correct"), ("42", "43", "wrong"), ("-3", "the answer is "
                                                                                  "3", "wrong"),
        ("42", "nothing", "unparsed"), ("42", "<think>42</think> "
                                              "41", "wrong"), ("x", "42", "error"),
    ],
)  # fmt: skip
def test_numeric(gold: str, answer: str, expected: str) -> None:
    assert verdict("numeric", gold, answer) == expected


def test_numeric_tolerances() -> None:
    assert verdict("numeric", "3.14159", "3.14") == "wrong"
    assert verdict("numeric", "3.14159", "3.14", abs_tol=0.01) == "correct"
    assert verdict("numeric", "1000", "1009", rel_tol=0.01) == "correct"
    assert verdict("numeric", "1000", "1011", rel_tol=0.01) == "wrong"
    assert verdict("numeric", "0", "0", rel_tol=0.01) == "correct"


def test_equal_values_vote_together_and_the_gold_does_not_matter() -> None:
    answers = ["0.5", "1/2", r"\boxed{\frac{2}{4}}", "50", "no"]
    for gold in ("0.5", "7"):
        keys = [g.answer_key for g in grade("numeric", [(gold, answer) for answer in answers])]
        assert keys == ["1/2", "1/2", "1/2", "50", None]


@pytest.mark.parametrize(
    ("gold", "answer", "expected"),
    [
        ("paris", "<think>x</think>Paris.", "correct"), ("new york "
                                                         "city", "<answer>New York "
                                                                 "City!</answer>", "correct"),
        ("answer is "
         "42", "The answer is 42", "correct"), ("simple test", "A simple test.", "correct"),
        ("3.5", "35", "wrong"), ("-5", "5", "wrong"), ("1000", "1,000", "correct"), ("yes", r"\boxed{Yes}", "correct"),
        ("42", "", "unparsed"), ("Paris", "London", "wrong"), ("True", r"So \boxed{\text{True}}.", "correct"),
    ],
)  # fmt: skip
def test_text(gold: str, answer: str, expected: str) -> None:
    assert verdict("text", gold, answer) == expected


GOLD = json.dumps(
    {
        "answer": "B",
        "choices": ["a single strand", "the primary transcript", "Rome", "none of these"],
    }
)


@pytest.mark.parametrize(
    ("answer", "chosen"),
    [
        (r"\boxed{B}", "B"), (r"\boxed{\text{(C)}}", "C"), ("The answer is "
                                                            "(B).", "B"), ("Answer: b", "B"),
        ("**Answer:** "
         "C", "C"), ("B. it cannot be A or C", "B"), ("It's not A, therefore I think it's D", "D"),
        ("The answer is the primary "
         "transcript.", "B"), (r"\boxed{Rome}", "C"), ("So Rome.", "C"), ("option C", "C"),
        ("The answer is A single "
         "strand", "A"), ("The correct option is C because B is wrong", "C"), ("(D)", "D"),
        ("The answer is E", None), ("I cannot tell", None), ("", None), ("A train leaves", None),
        ("<think>B</think>the answer is C", "C"), ("The answer is B) the primary transcript", "B"),
    ],
)  # fmt: skip
def test_choice(answer: str, chosen: str | None) -> None:
    found = grade("choice", [(GOLD, answer)])[0]
    assert found.answer_key == chosen
    assert found.verdict == (
        "unparsed" if chosen is None else "correct" if chosen == "B" else "wrong"
    )


def test_choice_with_a_bare_letter_as_gold() -> None:
    assert verdict("choice", "(D) Alina", "D") == "correct"
    assert verdict("choice", "nothing", "D") == "error"


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("exactt", {}, "no grader 'exactt'.*did you mean 'exact'"),
        ("numeric", {"abstol": 1}, "unknown option 'abstol'; did you mean 'abs_tol'"),
        ("numeric", {"abs_tol": -1}, "option 'abs_tol': "),
        ("math", {"percent": "off"}, "option 'percent': "),
        ("nowhere:Grader", {}, "cannot be imported"),
        ("json:JSONDecoder", {}, "no subclass"),
        ("judge", {}, "option 'model': Field required"),
        (
            "judge",
            {"model": "m", "prompt": "{reference}"},
            "'reference' is no field; use {question}, {gold}",
        ),
        ("judge", {"model": "m", "engine": "vlm"}, "option 'engine.name'"),
        ("code", {}, "allow_code: true"),
    ],
)
def test_mistakes_are_one_line(name: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        grade(name, [("1", "1")], options)
    assert "\n" not in str(caught.value)
