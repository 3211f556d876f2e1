"""Logs from strangers: bombs, damaged and malformed ones are refused in one line, names stay apart,
and what is read from a table is said.
"""

from __future__ import annotations

import json
import random
import zipfile
from pathlib import Path
from typing import Any

import pytest

from testtime.errors import UserError
from testtime.importers import import_csv, import_inspect, import_lm_eval, inspect_log
from testtime.storage.names import original

from ..mutate import mutants, survives

LOG: dict[str, Any] = {
    "eval": {"task": "t", "model": "m", "model_generate_config": {"reasoning_effort": "low"}},
    "results": {"scores": [{"name": "match", "metrics": {"accuracy": {"name": "accuracy", "value": 1.0}}}]},
    "samples": [
        {"id": n, "epoch": 1, "input": "q", "target": "a", "scores": {"match": {"value": "C", "answer": "a"}},
         "output": {"choices": [{"message": {"content": "a"}}], "usage": {"output_tokens": 5, "reasoning_tokens": 2, "input_tokens": 3}}}
        for n in range(3)
    ],
}  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_a_malformed_inspect_log_is_one_line(tmp_path: Path, seed: int) -> None:
    for number, log in enumerate(mutants(LOG, seed, 15)):
        path = tmp_path / f"{number}.json"
        path.write_text(json.dumps(log))
        survives(lambda path=path, number=number: import_inspect([path], tmp_path / str(number)))


@pytest.mark.parametrize("seed", range(2))
def test_a_malformed_lm_eval_log_is_one_line(tmp_path: Path, seed: int) -> None:
    row = {"doc_id": 1, "resps": [["4"]], "filtered_resps": ["4"], "filter": "f", "metrics": ["exact_match"], "exact_match": 1.0,
           "target": "4", "doc": {"question": "q"}, "arguments": {}}  # fmt: skip
    results = {"model_name": "m", "configs": {"t": {"output_type": "generate_until", "metric_list": [{"metric": "exact_match"}],
               "filter_list": [{"name": "f", "filter": [{"function": "regex", "regex_pattern": "(\\d)"}, {"function": "take_first"}]}]}},
               "results": {"t": {"exact_match,f": 1.0}}}  # fmt: skip
    for number, (one, two) in enumerate(
        zip(mutants(row, seed, 15), mutants(results, seed + 9, 15), strict=True)
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "samples_t_1.jsonl").write_text(json.dumps(one if number % 2 else row))
        (folder / "results_1.json").write_text(json.dumps(results if number % 2 else two))
        survives(lambda folder=folder: import_lm_eval(folder, folder / "out"))


def test_a_pattern_of_a_log_that_would_hang_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("testtime.tasks.patterns.SECONDS", 0.2)
    row = {
        "doc_id": 1,
        "resps": [["a" * 60 + "!"]],
        "filter": "f",
        "metrics": ["exact_match"],
        "exact_match": 1.0,
        "target": "4",
    }
    results = {"model_name": "m", "configs": {"t": {"output_type": "generate_until", "metric_list": [{"metric": "exact_match"}],
               "filter_list": [{"name": "f", "filter": [{"function": "regex", "regex_pattern": r"^((a|aa|a?)+)+$"}, {"function": "take_first"}]}]}}}  # fmt: skip
    (tmp_path / "samples_t_1.jsonl").write_text(json.dumps(row))
    (tmp_path / "results_1.json").write_text(json.dumps(results))
    assert len(import_lm_eval(tmp_path, tmp_path / "out")[0].scores) == 1


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspect_log, "LARGEST", 10_000_000)
    path = tmp_path / "bomb.eval"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "header.json", json.dumps({k: v for k, v in LOG.items() if k != "samples"})
        )
        archive.writestr("samples/1.json", b" " * 20_000_000)
    with pytest.raises(UserError, match=r"would unpack to 0\.0 GB"):
        import_inspect([path], tmp_path)


def test_a_damaged_archive_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "log.eval"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "header.json", json.dumps({k: v for k, v in LOG.items() if k != "samples"})
        )
        for sample in LOG["samples"]:
            archive.writestr(f"samples/{sample['id']}.json", json.dumps(sample))
    whole, chance = path.read_bytes(), random.Random(1)
    for number in range(60):
        damaged = bytearray(whole)
        for _ in range(chance.randrange(1, 4)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        path.write_bytes(bytes(damaged))
        survives(lambda number=number: import_inspect([path], tmp_path / str(number)))


def test_models_of_any_name_are_apart_and_never_the_tasks_own_folder(tmp_path: Path) -> None:
    folders = set()
    for number, model in enumerate(
        ["模型", "модель", "org/model", "org-model", "..", "$\\frac$", "="]
    ):
        table = tmp_path / f"{number}.csv"
        table.write_text(f"problem_id,sample,score,model\np,0,1,{model}\np,1,0,{model}\n")
        run = import_csv(table, tmp_path / "runs", task="t")
        folder = Path(str(run.path))
        assert folder.parent == tmp_path / "runs" / "t" and original(folder.name) == model
        folders.add(folder)
    assert len(folders) == 7


def test_it_is_said_which_columns_were_used(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text(
        "question_id,correct,output_tokens,reasoning_tokens,reward\np,1,100,80,.5\np,0,90,90,.2\n"
    )
    run = import_csv(table, tmp_path / "runs")
    said = " | ".join(run.manifest.imported.notes)
    assert "problem_id = question_id" in said and "score = correct" in said and "reward" in said
    assert "taken out of answer_tokens" in said
    assert list(run.scores["answer_tokens"]) == [20, 0] and list(run.scores["thinking_tokens"]) == [
        80,
        90,
    ]


def test_output_tokens_that_leave_out_reasoning_stay(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text(
        "problem_id,sample,score,out,thinking_tokens\np,0,1,100,800\np,1,0,90,90\n".replace(
            "out", "output_tokens"
        )
    )
    run = import_csv(table, tmp_path / "runs", columns={"answer_tokens": "output_tokens"})
    assert list(run.scores["answer_tokens"]) == [100, 90]
    assert "taken as they are" in " ".join(run.manifest.imported.notes)
