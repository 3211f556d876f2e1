"""What is exported can be read back: tidy tables, a data set folder with its card, Inspect's
logs.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.report import made
from testtime.errors import UserError
from testtime.exporters import export_hub, export_inspect, export_tidy
from testtime.importers import import_csv, import_inspect
from testtime.pipeline import leaderboard
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


def test_tidy_tables_come_back_as_they_were(run: Run, tmp_path: Path) -> None:
    export_tidy(run, tmp_path / "tidy")
    again = import_csv(
        tmp_path / "tidy" / "scores.csv", tmp_path / "again", selectors=["majority", "oracle"]
    )
    pd.testing.assert_frame_equal(again.cells, run.cells, check_dtype=False)


def test_no_name_is_a_formula_in_a_file_and_all_names_come_back(tmp_path: Path) -> None:
    told = made.scores(problems=3, samples=2).assign(model="=1+1", setting="@effort")
    table = told.assign(answer_key=told["answer_key"].where(told["answer_key"].isna(), "-x"))
    run = made.run(tmp_path / "runs", table, {})
    paths = [*export_tidy(run, tmp_path / "tidy"), tmp_path / "board.csv"]
    paths[-1].write_text(leaderboard([run.path], "csv"))
    for path in paths:
        if path.suffix == ".csv":
            cells = re.split("[,\n]", path.read_text())
            assert "'=1+1" in cells and not {"=1+1", "@effort", "-x"} & set(cells)
    again = import_csv(tmp_path / "tidy" / "scores.csv", tmp_path / "again").scores
    for column in ("model", "setting", "answer_key"):
        assert set(again[column].dropna()) == set(run.scores[column].dropna())


def test_the_hub_folder_has_a_card_that_names_its_files(run: Run, tmp_path: Path) -> None:
    export_hub(run, tmp_path / "hub")
    card = (tmp_path / "hub" / "README.md").read_text(encoding="utf-8")
    front = yaml.safe_load(card.split("---")[1])
    tables = {
        c["config_name"]: pd.read_parquet(tmp_path / "hub" / c["data_files"])
        for c in front["configs"]
    }
    assert sorted(tables) == ["cells", "problems", "scores"] and len(tables["scores"]) == len(
        run.scores
    )
    assert tables["problems"]["question"].tolist()[0].startswith("what is made/")
    for table in tables.values():
        assert all(f"| {column} |" in card for column in table.columns)


def test_inspect_logs_come_back_with_the_same_scores_and_texts(run: Run, tmp_path: Path) -> None:
    paths = export_inspect(run, tmp_path / "inspect")
    assert len(paths) == len(made.BUDGETS)
    for path, budget in zip(paths, made.BUDGETS, strict=True):
        log = json.loads(path.read_text(encoding="utf-8"))
        scores = run.scores[run.scores["budget"] == budget]
        means = scores.groupby("problem_id")["score"].mean()
        assert log["results"]["scores"][0]["metrics"]["accuracy"]["value"] == pytest.approx(
            means.mean()
        )
        assert log["samples"][0]["output"]["choices"][0]["message"]["content"][0][
            "reasoning"
        ].startswith("thoughts on")
        again = import_inspect([path], tmp_path / "again" / str(budget))
        keys = ["problem_id", "sample"]
        both = scores.merge(again.scores, on=keys, suffixes=("", "_again"))
        assert len(both) == len(scores)
        assert both["score"].equals(both["score_again"]) and both["verdict"].equals(
            both["verdict_again"]
        )
        assert both["thinking_tokens"].tolist() == both["thinking_tokens_again"].tolist()


def test_a_folder_that_cannot_be_written_is_one_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for export in (export_tidy, export_hub, export_inspect):
        with pytest.raises(UserError, match="give another folder"):
            export(run, tmp_path / "file" / "x")
