"""From a pool to tables where something cannot be graded: it is named, and empties nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.report import made
from tests.runs import test_draw as drawn
from testtime import engines
from testtime.errors import UserError
from testtime.grading import Grade
from testtime.report import results
from testtime.runs import prepare, sources, verdicts, watch
from testtime.runs.draw import draw
from testtime.runs.evaluate import evaluate
from testtime.runs.priced import priced_tables, ungraded
from testtime.runs.progress import Progress
from testtime.storage.tables import GradeRow
from testtime.strategies.registry import parse


def config(out: Path, golds: list[str]) -> Any:
    rows = "\n".join(f"q{i},{gold}" for i, gold in enumerate(golds))
    (out / "t.csv").write_text("question,answer\n" + rows + "\n")
    (out / "t.yaml").write_text(
        f"name: t\ndescription: d\nlicense: CC0-1.0\nloader: {{kind: file, path: {out}/t.csv}}\n"
        'prompt: "{question}"\ngold: "{answer}"\ngrader: {name: numeric}\n'
    )
    thinking = {"budgets": [8]}
    return parse({"name": "t", "task": str(out / "t.yaml"), "model": "m", "thinking": thinking})


def test_a_gold_that_its_grader_cannot_use_is_named_before_drawing_and_left_out(
    tmp_path: Path,
) -> None:
    said: list[str] = []
    kept = prepare.load_problems(config(tmp_path, ["1", "n/a", "3"]), said.append)
    assert [problem.gold for _, problem in kept.problems] == ["1", "3"]
    assert said == [f"left out: {line}" for line in kept.left_out]
    assert len(said) == 1 and "t/1" in said[0] and "n/a" in said[0]
    with pytest.raises(UserError, match="no problem can be graded"):
        prepare.load_problems(config(tmp_path, ["n/a", "none"]))


def test_a_problem_that_no_grader_could_judge_leaves_the_other_cells(tmp_path: Path) -> None:
    import pandas as pd

    rows = [(p, s, float(s % 2), "wrong", f"a{s}") for p in ("p0", "p1", "p2") for s in range(4)]
    table = pd.DataFrame(rows, columns=["problem_id", "sample", "score", "verdict", "answer_key"])
    table = table.assign(model="m", setting="", budget=8)
    broken = table["problem_id"] == "p1"
    table.loc[broken, ["score", "verdict"]] = (None, "error")
    assert ungraded(table) == ["p1"]
    chosen = config(tmp_path, ["1"])
    _, cells = priced_tables(table, chosen.model_copy(update={"samples": 4}), None, None)
    assert set(cells["n"]) == {1, 2, 4} and (cells["problems"] == 2).all()


def graded(name: str, texts: list[tuple[str, str]], *_: Any) -> list[Grade]:
    """Every third answer is right by convention, every other third right, the rest wrong."""
    details = ["by convention: unit, rounding", "", ""]
    return [
        Grade("wrong" if at % 3 == 2 else "correct", text, text, "v", details[at % 3])
        for at, (_, text) in enumerate(texts)
    ]


def test_a_problem_that_no_grader_could_judge_takes_no_cell_of_a_report_or_a_comparison(
    tmp_path: Path,
) -> None:
    """The report's replicates lacked what the cells table held, and compare all of it."""
    table = made.scores(problems=12, samples=4)
    lost = table["problem_id"] == "made/3"
    table.loc[lost, "score"], table.loc[lost, "verdict"] = None, "timeout"
    whole = made.run(tmp_path, made.scores(problems=12, samples=4))
    scores, cells = priced_tables(table.assign(setting=""), whole.config, None, None)
    run = replace(whole, scores=scores, cells=cells)
    (one,) = results.of(run)
    assert one.sample.grid.value.shape[0] == 11
    assert len(one.sample.grid.cells) == len(one.cells) and one.counts == [1, 2, 4]
    (source,) = sources.read([run])
    assert "made/3" not in set(source.scores["problem_id"]) and "made/3" in source.notes[0]


def test_scores_name_the_conventions_that_a_verdict_rests_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "make", lambda *_: (drawn.FakeEngine(), "fake"))
    monkeypatch.setattr(verdicts, "grade", graded)
    job = drawn.job(tmp_path)
    draw(job, Progress())
    table = evaluate(job.store, Progress()).scores
    rests = table["convention"].notna()
    assert set(table.loc[rests, "convention"]) == {"unit, rounding"}
    assert (table.loc[rests, "verdict"] == "correct").all() and rests.any() and not rests.all()


def test_a_run_is_watched_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(request: Any) -> bool:
        return bool(request.seed % 3 == 0)

    monkeypatch.setattr(engines, "make", lambda *_: (drawn.FakeEngine(broken), "fake"))
    monkeypatch.setattr(watch, "grade", graded)
    job = drawn.job(tmp_path)
    assert draw(job, Progress()), "some requests fail"
    text, complete = watch.standing(job.store.root)
    assert not complete and "samples" in text
    cells = [line.split() for line in text.splitlines()[-4:-1]]
    assert [cell for cell, *_ in cells] == ["budget=0", "budget=8", "budget=24"]
    assert 0 < sum(int(count) for _, count, *_ in cells) < 36
    assert all(count == judged and "-" not in value for _, count, judged, *value in cells)
    monkeypatch.setattr(engines, "make", lambda *_: (drawn.FakeEngine(), "fake"))
    draw(job, Progress())
    shown: list[str] = []
    watch.watch(job.store.root, 0, shown.append)
    assert len(shown) == 1 and "samples 12 of 12 done" in shown[0], "it ends when the run does"


def test_the_accuracy_of_a_run_that_draws_is_not_that_of_the_answers_judged_so_far(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the quickstart's smallest budget, 66 of 3,200 answers were judged and two thirds of these
    right: they were the largest budget's. In the end 3 % were.
    """
    monkeypatch.setattr(engines, "make", lambda *_: (drawn.FakeEngine(), "fake"))
    monkeypatch.setattr(watch, "grade", graded)
    job = drawn.job(tmp_path)
    draw(job, Progress())
    before = watch.standing(job.store.root)[0]
    *_, answers = verdicts.graded_answers(job.store, [])
    row = answers.iloc[0]
    job.store.append("grades", [GradeRow(row["grade_key"], "correct", None, None, "v", "")])
    after = watch.standing(job.store.root)[0]
    assert "distinct verdicts 1" in after
    assert after.splitlines()[-4:] == before.splitlines()[-4:]
