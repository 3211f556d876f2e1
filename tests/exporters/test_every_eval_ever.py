"""Records of Every Eval Ever hold to its schema, and say what the run says."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.report import made
from testtime.errors import UserError
from testtime.exporters import export_every_eval_ever
from testtime.importers import Log, save
from testtime.runs.run import Run

jsonschema = pytest.importorskip("jsonschema")
SCHEMAS = Path(__file__).parent / "schemas"


def valid(record: Any, schema: str) -> None:
    jsonschema.Draft7Validator(json.loads((SCHEMAS / schema).read_text())).validate(record)


def exported(run: Run, folder: Path, **options: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The record and its samples, both valid."""
    record, samples = export_every_eval_ever(run, folder, **options)
    told = json.loads(record.read_text(encoding="utf-8"))
    lines = [json.loads(line) for line in samples.read_text(encoding="utf-8").splitlines()]
    valid(told, "eval.schema.json")
    for line in lines:
        valid(line, "instance_level_eval.schema.json")
    detail = told["detailed_evaluation_results"]
    assert folder / detail["file_path"] == samples and detail["total_rows"] == len(lines)
    assert detail["checksum"] == hashlib.sha256(samples.read_bytes()).hexdigest()
    return told, lines


def test_every_cell_has_its_interval_n_and_k(run: Run, tmp_path: Path) -> None:
    told, _ = exported(run, tmp_path)
    cells = run.cells[(run.cells["n"] > 1) | ~run.cells.duplicated(["budget", "n"])]
    results = told["evaluation_results"]
    assert len(results) == len(cells) == len({r["evaluation_result_id"] for r in results})
    assert told["model_info"]["id"] == "made/model" and told["eval_library"]["name"] == "testtime"
    pairs = zip(results, cells.to_dict("records"), strict=True)
    for result, cell in pairs:
        details, metric = result["score_details"], result["metric_config"]
        interval = details["uncertainty"]["confidence_interval"]
        assert details["score"] == cell["value"] and details["uncertainty"]["num_samples"] == 6
        assert (interval["lower"], interval["upper"]) == (cell["lo"], cell["hi"])
        assert metric["metric_parameters"]["n"] == 3
        assert metric["metric_parameters"]["k"] == cell["n"]
        assert metric["metric_parameters"]["thinking_budget"] == cell["budget"]
    kinds = {r["metric_config"]["metric_id"] for r in results}
    assert kinds == {"accuracy", "majority_at_k", "pass_at_k"}


def test_every_sample_points_at_its_result_and_counts_its_thinking(
    run: Run, tmp_path: Path
) -> None:
    told, lines = exported(run, tmp_path)
    results = {r["evaluation_result_id"]: r for r in told["evaluation_results"]}
    assert len(lines) == len(run.scores)
    assert sum(x["token_usage"]["reasoning_tokens"] for x in lines) == int(
        run.scores["thinking_tokens"].sum()
    )
    for name in {line["evaluation_result_id"] for line in lines}:
        scores = [x["evaluation"]["score"] for x in lines if x["evaluation_result_id"] == name]
        assert sum(scores) / 18 == pytest.approx(results[name]["score_details"]["score"])
    first = lines[0]
    assert first["evaluation_id"] == told["evaluation_id"]
    assert first["input"] == {"raw": f"what is {first['sample_id']}?", "reference": ["right"]}
    assert first["output"]["reasoning_trace"] == [f"thoughts on {first['sample_id']}"]


def test_unknown_scores_are_left_out_and_one_problem_has_no_interval(tmp_path: Path) -> None:
    table = made.scores(problems=1, samples=2).drop(columns=["verdict"])
    table.loc[0, ["score", "answer_key"]] = None
    run = made.run(tmp_path / "runs", table)
    told, lines = exported(run, tmp_path, organization="us")
    assert len(lines) == len(table) - 1
    details = [r["score_details"]["uncertainty"] for r in told["evaluation_results"]]
    assert details and all(one == {"num_samples": 1} for one in details)
    assert told["source_metadata"]["source_organization_name"] == "us"


def test_a_benchmark_of_the_hub_is_named_and_several_models_are_several_records(
    tmp_path: Path,
) -> None:
    table = made.scores(problems=3, samples=2)
    told = table[table["budget"] == 64].assign(model="lab/b", budget=None, setting="effort=low")
    two = [table.assign(model="lab/a"), told]
    run = save(Log("aime_2026", "test", [], pd.concat(two, ignore_index=True)), tmp_path / "runs")
    paths = export_every_eval_ever(run, tmp_path)
    assert {p.parent.name for p in paths} == {"a", "b"} and len(paths) == 4
    for path in paths[::2]:
        told = json.loads(path.read_text(encoding="utf-8"))
        valid(told, "eval.schema.json")
        source = told["evaluation_results"][0]["source_data"]
        assert source["hf_repo"] == "MathArena/aime_2026"


def test_a_model_without_a_developer_is_refused_until_one_is_named(tmp_path: Path) -> None:
    run = made.run(tmp_path / "runs", made.scores(problems=2, samples=2, model="/home/me/mine"))
    with pytest.raises(UserError, match="does not say who made it; name its --developer"):
        export_every_eval_ever(run, tmp_path)
    told, _ = exported(run, tmp_path, developer="me")
    assert told["model_info"]["id"] == "me/mine"


def test_exported_again_it_has_the_same_files(run: Run, tmp_path: Path) -> None:
    assert export_every_eval_ever(run, tmp_path) == export_every_eval_ever(run, tmp_path)
