"""Anybody's table: three columns are enough, names may differ, and what is wrong is named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from testtime.errors import UserError
from testtime.estimators.majority import majority_at_k
from testtime.estimators.table import pools
from testtime.importers import import_csv
from testtime.pipeline import grade
from testtime.runs.status import describe, status
from testtime.runs.summary import summary


def write(path: Path, table: dict[str, list[object]]) -> Path:
    path.parent.mkdir(exist_ok=True)
    pd.DataFrame(table).to_csv(path, index=False)
    return path


def test_three_columns_are_enough(tmp_path: Path) -> None:
    path = write(
        tmp_path / "mine.csv",
        {"problem_id": ["a", "a", "b", "b"], "sample": [0, 1, 0, 1], "score": [1, 0, 1, 1]},
    )
    run = import_csv(path, tmp_path)
    assert run.path == tmp_path / "mine" / "mine"
    oracle = run.cells[run.cells["selector"] == "oracle"].set_index("n")["value"]
    assert oracle.to_dict() == {1: 0.75, 2: 1.0}
    assert "accuracy in %" in summary(run)


def test_common_names_letters_and_blanks_are_understood(tmp_path: Path) -> None:
    path = write(
        tmp_path / "t.csv",
        {"problem": ["a", "a", "b"], "epoch": [1, 2, 1], "correct": ["C", None, "false"]},
    )
    run = import_csv(path, tmp_path, model="lab/model")
    assert run.scores["score"].tolist()[0] == 1.0 and run.scores["score"].isna().tolist() == [
        False,
        True,
        False,
    ]
    assert run.manifest.model == "lab/model"


def test_columns_can_be_named_and_missing_ones_are(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", {"name": ["a", "b"], "right": [1, 0], "answered": ["x", "y"]})
    columns = {"problem_id": "name", "score": "right", "answer_key": "answered"}
    run = import_csv(path, tmp_path, columns=columns)
    assert run.scores["answer_key"].tolist() == ["x", "y"] and run.scores["sample"].tolist() == [
        0,
        0,
    ]
    with pytest.raises(UserError, match="--column score=COLUMN"):
        import_csv(path, tmp_path, columns={"problem_id": "name"})
    with pytest.raises(UserError, match="no column 'nmae' for problem_id; did you mean 'name'"):
        import_csv(path, tmp_path, columns={"problem_id": "nmae"})
    with pytest.raises(UserError, match="no such file"):
        import_csv(tmp_path / "absent.csv", tmp_path)


@pytest.mark.parametrize(
    ("column", "held", "words"),
    [
        ("score", [100, 0], "'score' holds 100, .* divide percentages by 100"),
        ("problem_id", [None, 1], "'problem_id' has blanks"),
        ("budget", ["low", "high"], "'budget' holds 'low', .* a column 'setting'"),
    ],
)
def test_what_a_column_cannot_hold_is_named(
    tmp_path: Path, column: str, held: list[object], words: str
) -> None:
    table: dict[str, list[object]] = {
        "problem_id": ["a", "b"],
        "sample": [0, 0],
        "score": [1, 0],
        "budget": [8, 16],
    }
    with pytest.raises(UserError, match=words):
        import_csv(write(tmp_path / "t.csv", table | {column: held}), tmp_path)


def test_a_list_in_json_lines_is_a_sample_an_entry(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(
        '{"id": "a", "score": [true, false], "pred": ["1", "2"], "reward": [[0.5], [0.1]], '
        '"gold": "1"}\n'
    )
    run = import_csv(path, tmp_path, columns={"answer_key": "pred"}, selectors=["best:reward"])
    assert run.scores["score"].tolist() == [1, 0] and run.scores["reward"].tolist() == [0.5, 0.1]
    assert run.cells.set_index("n")["value"].to_dict() == {1: 0.5, 2: 1.0}


def test_an_imported_run_is_not_graded_again_and_keeps_other_runs_safe(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", {"problem_id": ["a"], "sample": [0], "score": [1]})
    run = import_csv(path, tmp_path)
    assert "100.0 [    -,    -]" in summary(run)
    with pytest.raises(UserError, match="nothing to grade"):
        grade(run.path)
    told = describe(status(run.path))
    assert (
        "imported from csv" in told and "1 rows, 1 of them scored" in told and "chains" not in told
    )
    again = write(tmp_path / "other" / "t.csv", {"problem_id": ["a"], "sample": [0], "score": [0]})
    with pytest.raises(UserError, match=r"holds an import of .*t\.csv; give another folder"):
        import_csv(again, tmp_path)
    import_csv(path, tmp_path)
    drawn = {**run.manifest.plain(), "imported": None, "thinking_format": {"open": []}}
    (run.path / "run.json").write_text(json.dumps(drawn))
    with pytest.raises(UserError, match="give another folder with --out"):
        import_csv(path, tmp_path)


SELECTED = ["majority", "weighted-logit:pred_score", "best:pred_score", "oracle"]


def test_real_chains_give_the_published_selection_curves(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "selection" / "qwen_math_cot_100.jsonl"
    columns = {"problem_id": "idx", "answer_key": "pred", "text": "code", "gold": "gt"}
    run = import_csv(path, tmp_path, columns=columns, selectors=SELECTED)
    value = run.cells.pivot(index="n", columns="selector", values="value")
    assert value.loc[8, "oracle"] == pytest.approx(0.96) and value.loc[
        1, "oracle"
    ] == pytest.approx(0.91)
    assert value.loc[8, "majority"] == pytest.approx(0.925, abs=1e-6)
    assert value.loc[8, "best:pred_score"] == pytest.approx(0.94, abs=1e-6)
    (pool,) = pools(run.scores)
    weight = 1 / (1 + np.exp(-pool.columns["pred_score"]))  # raw scores of both signs are log-odds
    weighted = majority_at_k(pool.score, pool.key, list(range(1, 9)), weight).value.mean(axis=0)
    assert value["weighted-logit:pred_score"].tolist() == pytest.approx(
        weighted[[k - 1 for k in value.index]].tolist()
    )
