"""A change "for once" leaves the tables and the report of the whole run as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import testtime
from testtime import pipeline
from testtime.errors import UserError
from testtime.runs.progress import Progress

CONFIG: dict[str, Any] = {
    "name": "whole",
    "task": {"name": "chain_sum", "limit": 3},
    "model": "quickstart",
    "engine": "transformers",
    "thinking": {"budgets": [0, 8, 16]},
    "answer": {"max_tokens": 8},
    "samples": 2,
    "resamples": 100,
}


class Said(Progress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def contents(folder: Path) -> dict[str, bytes]:
    kept = ("tables", "report")
    files = (p for part in kept for p in (folder / part).rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


@pytest.mark.parametrize(
    ("overrides", "limit", "held"),
    [
        (["thinking.budgets=[0,8]"], None, "budget=16"),
        (["samples=1"], None, "2 samples"),
        ([], 2, "1 problem"),
        (["selectors=[majority]"], None, "oracle"),
    ],
)
def test_less_than_the_run_holds_is_shown_and_not_kept(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    overrides: list[str],
    limit: int | None,
    held: str,
) -> None:
    import yaml

    monkeypatch.setattr(pipeline.report, "write", lambda run: _page(run.path))
    path = tmp_path / "whole.yaml"
    path.write_text(yaml.safe_dump({**CONFIG, "out": str(tmp_path)}))
    (run,) = testtime.run(path)
    before, said = contents(run.path), Said()
    (less,) = testtime.run(path, overrides, said, limit)
    assert contents(run.path) == before and len(before) == 4
    assert any("tables and report stay as they are, with" in s and held in s for s in said.lines)
    assert len(less.cells) < len(run.cells) or len(less.scores) < len(run.scores)
    assert testtime.load(run.path).config.samples == 2
    (more,) = testtime.run(path, ["samples=3"])
    assert testtime.load(run.path).config.samples == 3 and len(more.scores) > len(run.scores)


def _page(folder: Path) -> None:
    (folder / "report").mkdir(exist_ok=True)
    (folder / "report" / "index.html").write_text("x" * len(list((folder / "tables").iterdir())))


def test_a_selector_that_the_run_will_lack_is_refused_before_drawing(tmp_path: Path) -> None:
    wrong = {**CONFIG, "out": str(tmp_path), "selectors": ["best:reward"]}
    with pytest.raises(
        UserError, match=r"best:reward: the run has no column 'reward'.*testtime reward"
    ):
        testtime.run(wrong)
    assert not list(tmp_path.iterdir())
