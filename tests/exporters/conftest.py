"""A made-up run with texts, which every exporter is given."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.report import made
from testtime.runs.run import Run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    table = made.scores(problems=6, samples=3)
    table["thinking"], table["text"] = (
        "thoughts on " + table["problem_id"],
        "answer " + table["answer_key"].fillna(""),
    )
    problems = {name: (f"what is {name}?", "right") for name in table["problem_id"].unique()}
    return made.run(tmp_path / "runs", table, problems)
