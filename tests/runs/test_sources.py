"""Where scores come from: one reader for runs, files and pandas tables."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.report import made
from testtime.errors import UserError
from testtime.runs.sources import numbers, read, stacked


def levels(**columns: object) -> pd.DataFrame:
    """Two problems, two epochs, as a provider's log has them."""
    return pd.DataFrame(
        {
            "problem": ["a", "a", "b", "b"],
            "epoch": [1, 2, 1, 2],
            "correct": ["C", "I", "C", None],
            **columns,
        }
    )


def test_runs_and_tables_are_read_alike(tmp_path: Path) -> None:
    table = made.scores(4, 2)
    run = made.run(tmp_path, table)
    table.to_csv(tmp_path / "mine.csv.gz", index=False)
    table.to_json(tmp_path / "lines.jsonl", orient="records", lines=True)
    sources = read([run, tmp_path / "mine.csv.gz", str(tmp_path / "lines.jsonl"), table])
    assert [s.name for s in sources] == ["made--model", "mine", "lines", "table"]
    assert {len(s.scores) for s in sources} == {len(table)}
    assert sources[0].selectors == ("majority", "oracle") and sources[1].selectors == ()
    assert len(stacked(sources)) == 4 * len(table)


def test_effort_levels_and_runs_of_a_level_are_understood() -> None:
    twice = pd.concat([levels(run_id="x"), levels(run_id="y")])
    (source,) = read([twice.assign(model="m", reasoning_effort="low")])
    assert set(source.scores["setting"]) == {"effort=low"}
    assert source.notes == ("runs of one level are pooled (column run_id)",)
    held = source.scores.groupby("problem_id")["sample"].agg(sorted)
    assert held.tolist() == [[0, 1, 2, 3]] * 2
    assert source.scores["score"].isna().sum() == 2


def test_only_some_models() -> None:
    table = pd.concat([levels(model=m) for m in ("lab/gpt-5", "lab/gpt-5-mini", "lab/o3")])
    kept = read([table], models=["lab/gpt-5", "*o3"])[0].scores
    assert set(kept["model"]) == {"lab/gpt-5", "lab/o3"}
    assert read([levels(model="x"), table], models=["*gpt*"])[0].name == "table 2"
    with pytest.raises(UserError, match="--model lab/gpt5: there is none; did you mean"):
        read([table], models=["lab/gpt5"])


def test_a_table_of_cells_or_counts_stays_as_it_is(tmp_path: Path) -> None:
    counts = pd.DataFrame({"correct": [1, 2], "total": [4, 4]})
    counts.to_csv(tmp_path / "counts.csv", index=False)
    assert list(numbers(tmp_path / "counts.csv")[0]) == ["correct", "total"]
    levels().to_csv(tmp_path / "scores.csv", index=False)
    assert "problem_id" in numbers(tmp_path / "scores.csv")[0]


def test_reasoning_is_counted_once_model_by_model() -> None:
    """Most providers count it among the output; one does not, and a row may be odd."""
    kinds = {"most": [100, 100, 100, 20], "other": [20, 20, 20, 20]}
    parts = [
        levels(model=m, output_tokens=output, reasoning_tokens=[80, 80, 80, 80])
        for m, output in kinds.items()
    ]
    (source,) = read([pd.concat(parts)])
    answers = source.scores.groupby("model")["answer_tokens"].agg(list)
    assert answers.to_dict() == {"most": [20, 20, 20, 0], "other": [20, 20, 20, 20]}
    assert "as they are: other" in source.notes[1]
