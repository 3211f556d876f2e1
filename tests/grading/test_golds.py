"""Golds that could grade nothing are named before a run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from testtime.errors import UserError
from testtime.grading import check_golds


@dataclass
class Asked:
    id: str
    gold: str


CHOICES = json.dumps({"answer": "E", "choices": ["x", "y"]})


@pytest.mark.parametrize(
    ("grader", "options", "gold", "says"),
    [
        ("math", {}, " ", "is blank"), ("math", {}, "\\boxed{}", "is blank"), ("exact", {}, "", "is blank"),
        ("text", {}, "\n", "is blank"), ("numeric", {}, "n/a", "is no number"), ("numeric", {}, "", "is no number"),
        ("choice", {}, "the first", "names no option"), ("choice", {}, CHOICES, "none of its 2"), ("choice", {}, "{", "cannot be read"),
        ("code", {"allow_code": True, "allow_unsandboxed": True}, "[]", "holds no tests"),
        ("code", {"allow_code": True, "allow_unsandboxed": True}, '{"tests": []}', "holds no tests"),
        ("gym", {}, "{}", "lacks answer"), ("judge", {"model": "m"}, "", "is blank"),
    ],
)  # fmt: skip
def test_a_bad_gold_is_named(grader: str, options: dict[str, Any], gold: str, says: str) -> None:
    said = check_golds(grader, options, [Asked("p7", gold)])
    assert list(said) == ["p7"] and says in said["p7"]


def test_good_golds_pass_and_a_grader_that_does_not_exist_is_named() -> None:
    golds = [Asked("a", "12"), Asked("b", "1/2")]
    assert check_golds("numeric", {}, golds) == check_golds("math", {}, golds) == {}
    assert check_golds("choice", {}, [Asked("a", "B"), Asked("b", CHOICES.replace("E", "A"))]) == {}
    with pytest.raises(UserError, match="no grader 'numerc'"):
        check_golds("numerc", {}, golds)
