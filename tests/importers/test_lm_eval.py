"""lm-eval's logs: a row a document and filter; every repeat is scored where its own rule can be
repeated.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from testtime.errors import UserError
from testtime.importers import import_lm_eval

STAMP = "2026-01-01T00-00-00.000000"
REGEX = {"function": "regex", "regex_pattern": "#### (-?[0-9.,]+)"}


def folder(
    root: Path, filters: list[dict[str, Any]], rows: list[dict[str, Any]], printed: float = 0.5
) -> Path:
    metric = {
        "metric": "exact_match",
        "ignore_case": True,
        "regexes_to_ignore": [",", "(?s).*#### "],
    }
    config = {"filter_list": filters, "metric_list": [metric], "output_type": "generate_until"}
    results = {"sums": {f"exact_match,{f['name']}": printed for f in filters}}
    root.mkdir(exist_ok=True)
    data = {"results": results, "configs": {"sums": config}, "model_name": "lab/model"}
    (root / f"results_{STAMP}.json").write_text(json.dumps(data))
    (root / f"samples_sums_{STAMP}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return root


def row(
    doc: int, texts: list[str], target: str, score: float, name: str = "strict"
) -> dict[str, Any]:
    metrics = {"metrics": ["exact_match"], "exact_match": score}
    filtered = {"filter": name, "filtered_resps": [texts[0].split("#### ")[-1]]}
    return {
        "doc_id": doc,
        "doc": {"question": f"Question {doc}"},
        "target": target,
        "resps": [texts],
        **filtered,
        **metrics,
    }


STRICT = {"name": "strict", "filter": [REGEX, {"function": "take_first"}]}
ROWS = [
    row(0, ["it is #### 1,000", "so #### 7", "I do not know"], "steps #### 1000", 1.0),
    row(1, ["#### 3", "#### 4", "#### 4"], "#### 4", 0.0),
]


def test_every_repeat_is_scored_by_the_logs_own_rule(tmp_path: Path) -> None:
    (run,) = import_lm_eval(folder(tmp_path / "log", [STRICT], ROWS), tmp_path)
    scores = run.scores.sort_values(["problem_id", "sample"])
    assert scores["score"].tolist() == [1, 0, 0, 0, 1, 1]
    assert scores["verdict"].tolist() == [
        "correct",
        "wrong",
        "unparsed",
        "wrong",
        "correct",
        "correct",
    ]
    assert scores["answer_key"].tolist()[:2] == ["1000", "7"]
    assert run.manifest.model == "lab/model" and run.path == tmp_path / "sums" / "lab--model"
    assert run.manifest.imported.printed[0] == {
        "metric": "exact_match,strict",
        "printed": 0.5,
        "here": 0.5,
    }


def test_a_rule_that_does_not_reproduce_the_log_is_not_used(tmp_path: Path) -> None:
    rows = [{**ROWS[0], "exact_match": 0.0}, ROWS[1]]
    (run,) = import_lm_eval(folder(tmp_path / "log", [STRICT], rows), tmp_path)
    assert run.scores["sample"].tolist() == [0, 0] and run.scores["score"].tolist() == [0.0, 0.0]


def test_filters_that_look_at_all_repeats_give_one_sample(tmp_path: Path) -> None:
    vote = {
        "name": "vote",
        "filter": [REGEX, {"function": "majority_vote"}, {"function": "take_first"}],
    }
    rows = [
        *ROWS,
        row(0, ROWS[0]["resps"][0], "#### 1000", 1.0, "vote"),
        row(1, ROWS[1]["resps"][0], "#### 4", 1.0, "vote"),
    ]
    root = folder(tmp_path / "log", [STRICT, vote], rows)
    (run,) = import_lm_eval(root, tmp_path, filter_name="vote")
    assert run.scores["score"].tolist() == [1.0, 1.0]
    with pytest.raises(UserError, match="no filter 'vot'; did you mean 'vote'"):
        import_lm_eval(root, tmp_path, filter_name="vot")


def test_what_cannot_be_imported_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--log_samples"):
        import_lm_eval(tmp_path, tmp_path)
    root = folder(tmp_path / "log", [STRICT], ROWS)
    with pytest.raises(UserError, match="no task 'sum' in these logs; did you mean 'sums'"):
        import_lm_eval(root, tmp_path, task="sum")
    with pytest.raises(UserError, match="no metric 'acc'"):
        import_lm_eval(root, tmp_path, metric="acc")
    (root / f"samples_sums_{STAMP}.jsonl").write_text('{"other": 1}\n')
    with pytest.raises(UserError, match="no doc_id and resps"):
        import_lm_eval(root, tmp_path)


def test_real_logs_give_the_accuracy_that_lm_eval_printed(
    shared_data: Path, tmp_path: Path
) -> None:
    generated, choices = import_lm_eval(shared_data / "logs" / "lm-eval", tmp_path)
    for run in (generated, choices):
        (entry,) = run.manifest.imported.printed
        assert entry["printed"] == entry["here"]
    assert generated.scores.groupby("problem_id").size().tolist() == [3, 3, 3, 3]
    assert generated.scores.sort_values(["problem_id", "sample"])["score"].tolist() == [
        0,
        0,
        1,
        1,
        1,
        0,
        0,
        1,
        0,
        1,
        1,
        1,
    ]
    assert choices.scores["answer_key"].tolist() == ["3", "3"]
