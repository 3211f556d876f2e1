"""Accuracy so far: what it says is true of the answers graded, and no verdict is found twice."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pandas as pd
import pytest

import testtime
from tests.test_pipeline import config, rows
from tests.tiny import evaluated
from testtime.cli.progress import Lines, Progress
from testtime.grading import Grade
from testtime.grading.base import Grader
from testtime.runs import draw as drawing
from testtime.runs import evaluate, verdicts
from testtime.runs import live_accuracy as tally
from testtime.storage.tables import GradeRow, ProblemRow


class Told(Progress):
    def __init__(self) -> None:
        self.shares: list[float] = []
        self.said: list[str] = []

    def accuracy(self, share: float, graded: int) -> None:
        self.shares.append(share)

    def say(self, line: str) -> None:
        self.said.append(line)


def drawn(
    path: Path, monkeypatch: pytest.MonkeyPatch, share: float
) -> tuple[testtime.Run, Told, int]:
    """A run that looks often, what it told, and how many verdicts it had when the drawing ended."""
    monkeypatch.setattr(drawing, "FLUSH_SECONDS", 0.01)
    monkeypatch.setattr(tally, "SHARE", share)
    held: list[int] = []
    work = verdicts.grade_pool

    def pool(store: object, **options: object) -> int:
        held.append(len(store.read("grades", [])))  # type: ignore[attr-defined]
        return work(store, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(evaluate, "grade_pool", pool)
    told = Told()
    (run,) = evaluated(config(path, samples=16), progress=told)
    return run, told, held[0]


def test_accuracy_so_far_is_told_and_nothing_is_graded_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, told, held = drawn(tmp_path / "a", monkeypatch, share=1.0)
    assert told.shares and 0.7 < told.shares[-1] <= 1.0 and held > 0
    found = rows(run, "grades")
    assert found["key"].is_unique and f"graded {len(found) - held} distinct answers" in told.said
    monkeypatch.setattr(tally.LiveAccuracy, "add", lambda self, problem_id, text: None)
    plain, silent, none = drawn(tmp_path / "b", monkeypatch, share=1.0)
    assert not silent.shares and none == 0
    pd.testing.assert_frame_equal(rows(plain, "grades"), found)
    pd.testing.assert_frame_equal(
        plain.scores, run.scores, atol=1e-5
    )  # other batches, other rounding


def test_it_takes_no_more_than_its_share_and_a_grader_that_fails_stops_it_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, told, _ = drawn(tmp_path / "a", monkeypatch, share=0.0)
    assert len(told.shares) == 1

    def broken(*_: object) -> None:
        raise RuntimeError("workers do not start")

    monkeypatch.setattr(tally, "grade", broken)
    run, told, held = drawn(tmp_path / "b", monkeypatch, share=1.0)
    assert (
        not told.shares
        and held == 0
        and set(run.scores["verdict"]) <= {"correct", "wrong", "unparsed"}
    )


class Asking(Grader):
    """Right where the answer repeats question and gold, which it has to be given both."""

    version: ClassVar[str] = "asking-1"
    asks: ClassVar[bool] = True

    def prepare(self, gold: str, answer: str) -> Grade:
        return self.grade(" ".join(json.loads(gold)) == answer, answer)


def test_a_grader_that_asks_gets_the_question_and_other_problems_are_left_out() -> None:
    spec = json.dumps({"name": f"{__name__}:Asking", "options": {}})
    found = tally.LiveAccuracy([ProblemRow("p", "t", "what?", "7", "", [], "", spec, "{}")])
    found.add("p", "what? 7")
    found.add("unknown", "other")
    stored: list[GradeRow] = []
    told, writer = Told(), SimpleNamespace(add=lambda table, row: stored.append(row))
    found._began -= 1e6
    asyncio.run(found.step(writer, told))  # type: ignore[arg-type]
    assert told.shares == [1.0] and [row.verdict for row in stored] == ["correct"]
    assert stored[0].key == verdicts.grade_key(
        verdicts.grader_id(spec), json.dumps(["what?", "7"]), "what? 7"
    )


def test_plain_lines_say_it(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines()
    lines.start("drawing m", 4, 0)
    lines.accuracy(0.4321, 1200)
    lines.finish()
    lines.start("drawing n", 4, 0)
    first, second, third = capsys.readouterr().err.splitlines()
    assert "43.2% right of the first 1,200 to end" in second and "right" not in first + third
