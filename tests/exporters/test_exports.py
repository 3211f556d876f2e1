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
from testtime.exporters import export_eval_results, export_hub, export_inspect, export_tidy
from testtime.importers import Log, import_csv, import_inspect, save
from testtime.pages import leaderboard
from testtime.runs.run import Run


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
    best = run.cells[run.cells["selector"] != "oracle"]["value"].max()
    assert f"| {100 * best:.1f} [" in card.split("## Leaderboard")[1].split("##")[0]
    assert "](accuracy.png)" in card
    assert (tmp_path / "hub" / "accuracy.png").read_bytes()[1:4] == b"PNG"


def test_a_card_of_results_without_costs_has_no_figure(tmp_path: Path) -> None:
    table = pd.DataFrame({"problem_id": list("aabb"), "score": [1, 0, 1, 1]}).assign(model="m")
    log = Log("made", "test", [], table.assign(sample=[0, 1, 0, 1]))
    export_hub(save(log, tmp_path / "runs"), tmp_path / "hub")
    card = (tmp_path / "hub" / "README.md").read_text(encoding="utf-8")
    assert "accuracy.png" not in card and "## Leaderboard" in card


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


def test_a_models_results_are_one_file_a_level(run: Run, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="made comes from no data set of the hub"):
        export_eval_results(run, tmp_path / "out")
    paths = export_eval_results(run, tmp_path / "out", dataset="lab/made", task_id="hard")
    assert len(paths) == len(made.BUDGETS) and {p.parent.name for p in paths} == {".eval_results"}
    ((entry,),) = [yaml.safe_load(p.read_text()) for p in paths if p.stem.endswith("-512")]
    cell = run.cells.query("n == 1 and budget == 512").iloc[0]
    assert entry["dataset"] == {"id": "lab/made", "task_id": "hard"}
    assert entry["value"] == pytest.approx(100 * cell["value"], abs=0.005)
    assert "budget 512 tokens; mean of 3 samples of 6 problems" in entry["notes"]


def test_results_name_the_data_set_that_a_shipped_benchmark_comes_from(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {"problem_id": list("aabb"), "sample": [0, 1, 0, 1], "score": [1, 0, 1, 1]}
    )
    log = Log("aime_2026", "test", [], table.assign(model="lab/m", setting="effort=low"))
    (path,) = export_eval_results(save(log, tmp_path), tmp_path)
    (entry,) = yaml.safe_load(path.read_text())
    assert entry["dataset"]["id"] == "MathArena/aime_2026" and entry["value"] == 75.0
    assert len(entry["dataset"]["revision"]) == 40 and path.name == "aime_2026-effort-low.yaml"
