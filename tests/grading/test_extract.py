"""Where the final answer stands."""

from __future__ import annotations

import time

import pytest

from testtime.grading.extract import after_thinking, final_answer, last_box


@pytest.mark.parametrize(
    ("text", "box"),
    [
        (r"\boxed{42}", "42"),
        (r"so \boxed{\frac{1}{2}} holds", r"\frac{1}{2}"),
        (r"\boxed{41} wait, \boxed{42}", "42"),
        (r"\boxed{1} and \boxed{2}", "1, 2"),
        (r"$\boxed{1}$, $\boxed{2}$ or $\boxed{3}$", "1, 2, 3"),
        (r"\boxed{42} \boxed{42}", "42"),
        (r"\boxed{\{1,2\}}", r"\{1,2\}"),
        (r"\boxed 42.", "42"),
        (r"\fbox{42}", "42"),
        (r"\\boxed{35}", "35"),
        (r"\boxed{ \boxed{1}", "1"),  # the outer one never closes
        (r"\boxed{", None),
        ("no box", None),
    ],
)
def test_last_box(text: str, box: str | None) -> None:
    assert last_box(text) == box


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        (r"<think>\boxed{41}</think> 42", " 42"),
        (r"\boxed{41}</think>42", "42"),  # the template opened the thinking
        (r"<think>\boxed{41}", ""),
        ("<answer>Paris</answer>", "Paris"),
        ("a <answer>x</answer> b <answer>y", "y"),
        ("plain", "plain"),
    ],
)
def test_after_thinking(text: str, rest: str) -> None:
    assert after_thinking(text) == rest


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("The answer is 42.", "42"),
        ("The final answer is $x=3$. I hope it is correct.", "$x=3$"),
        ("Answer: 42, since 40+2=42.", "42"),
        ("**Answer: 42**", "42"),
        ("### Final Answer\n\n42", "42"),
        ("work\n#### 1,234", "1,234"),
        ("A: 9/4", "9/4"),
        ("The answer is $1$ and $2$.", "$1$ and $2$"),
        ("Réponse: 220 euros", "220 euros"),
        ("答案：每份应该是 5 吨", "5"),
        ("so it is $\\frac{1}{2}$ of 7.", "7"),
        ("it costs $5 and $10.", "$10"),
        (r"\frac{1}{9}", r"\frac{1}{9}"),
        ("I do not know", None),
        ("", None),
    ],
)
def test_final_answer(text: str, answer: str | None) -> None:
    found = final_answer(text)
    assert found is None if answer is None else found is not None and found.rstrip(".") == answer


def test_a_box_beats_what_is_announced_and_the_last_announcement_beats_the_first() -> None:
    assert final_answer(r"The answer is 41. \boxed{42} The answer is 43.") == "42"
    assert final_answer("The answer is 41. No, the answer is 42") == "42"


def test_extraction_is_linear_in_hostile_texts() -> None:
    started = time.process_time()
    for text in (
        r"\boxed{" * 100_000,
        r"\boxed{9} " * 50_000,
        "$" * 200_000,
        "{" * 10**6,
        "the answer is " * 50_000,
    ):
        final_answer(text)
    assert time.process_time() - started < 60  # quadratic would be hours; not a measurement
