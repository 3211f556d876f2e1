"""lighteval's metric cases: graded by us, then our estimators; where a definition differs, the
test's name says how.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from testtime.estimators import majority_at_k, pass_at_k
from testtime.grading import grade

Case = dict[str, Any]


def cases(shared_data: Path, suite: str) -> list[Case]:
    found: list[Case] = json.loads(
        (shared_data / "grading" / "metric_cases" / f"{suite}.json").read_text()
    )["test_cases"]
    return found


def golds(case: Case) -> list[str]:
    index = case["doc"]["gold_index"]
    return [case["doc"]["choices"][i] for i in (index if isinstance(index, list) else [index])]


def scores(case: Case, grader: str, gold: str) -> tuple[list[float], list[str | None]]:
    found = grade(grader, [(gold, answer) for answer in case["model_response"]["text"]])
    return [float(g.verdict == "correct") for g in found], [g.answer_key for g in found]


def expected(case: Case) -> float:
    return float(next(iter(case["expected_output"].values())))


@pytest.mark.parametrize(("suite", "grader"), [("pass_at_k", "text"), ("pass_at_k_math", "math")])
def test_pass_at_k_where_n_samples_are_given(shared_data: Path, suite: str, grader: str) -> None:
    """A case that gives three samples and n=2 keeps the first n, as lighteval does."""
    for case in cases(shared_data, suite):
        k, n = case["metric_params"]["k"], case["metric_params"]["n"]
        right = scores(case, grader, golds(case)[0])[0][:n]
        assert float(pass_at_k(sum(right), n, k)) == pytest.approx(expected(case), abs=0.01), case[
            "name"
        ]


def test_gpqa_pass_at_k_but_a_small_letter_is_an_answer_to_us(shared_data: Path) -> None:
    for case in cases(shared_data, "gpqa_instruct_pass_at_k"):
        right = scores(case, "choice", golds(case)[0])[0]
        ours = float(pass_at_k(sum(right), len(right), case["metric_params"]["k"]))
        if "b" in case["model_response"]["text"]:
            assert (ours, expected(case)) == (1.0, 0.5)
        else:
            assert ours == pytest.approx(expected(case), abs=0.01), case["name"]


def test_pass_at_k_letters_which_lighteval_scores_zero_for_want_of_a_formatted_choice(
    shared_data: Path,
) -> None:
    """There the only choice is shown as letter A, so a gold B or C can never be matched; we read
    the letter.
    """
    ours = []
    for case in cases(shared_data, "pass_at_k_letters"):
        right = scores(case, "choice", golds(case)[0])[0]
        ours.append(float(pass_at_k(sum(right), len(right), case["metric_params"]["k"])))
        assert expected(case) == 0.0
    assert ours == pytest.approx([0.5, 0.0, 2 / 3])


@pytest.mark.parametrize(("suite", "grader"), [("avg_at_k", "text"), ("avg_at_k_math", "math")])
def test_average_at_k_is_the_mean_of_the_first_k(
    shared_data: Path, suite: str, grader: str
) -> None:
    """With several golds lighteval compares with the first alone."""
    for case in cases(shared_data, suite):
        k = case["metric_params"]["k"]
        right = scores(case, grader, golds(case)[0])[0][:k]
        assert np.mean(right) == pytest.approx(expected(case), abs=0.01), case["name"]


def test_majority_at_k_except_that_a_tie_is_worth_its_chance_and_not_the_first_answer(
    shared_data: Path,
) -> None:
    for case in cases(shared_data, "maj_at_k"):
        right, keys = scores(case, "text", golds(case)[0])
        codes = {key: code for code, key in enumerate(dict.fromkeys(keys))}
        votes = np.array([[codes[key] for key in keys]])
        ours = float(
            majority_at_k(np.array([right]), votes, [case["metric_params"]["k"]]).value[0, 0]
        )
        if len(set(keys)) == len(keys):
            assert (ours, expected(case)) == (pytest.approx(1 / 3), 1)
        else:
            assert ours == pytest.approx(expected(case)), case["name"]
