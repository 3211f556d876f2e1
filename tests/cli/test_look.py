"""Looking at a benchmark on the command line, before a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from testtime.cli.app import app
from testtime.cli.progress import Lines
from testtime.runs.prepare import load_problems
from testtime.strategies.registry import parse

TASK = """
name: sums
description: Sums.
license: CC0
loader: {kind: file, path: PATH}
id: "{id}"
question: "{question}"
gold: "{gold}"
prompt: "{question}"
base_prompt: "{question}"
grader: {name: numeric}
"""


@pytest.fixture
def sums(tmp_path: Path) -> Path:
    rows = [
        {"id": "a", "question": "1+1?\x1b[2J", "gold": "2"},
        {"id": "b\x1b[31m", "question": "?", "gold": "n/a"},
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "sums.yaml").write_text(TASK.replace("PATH", str(tmp_path / "rows.jsonl")))
    return tmp_path / "sums.yaml"


def test_a_benchmark_is_shown_with_golds_that_its_grader_cannot_use(sums: Path) -> None:
    told = CliRunner().invoke(app, ["tasks", str(sums)])
    assert told.exit_code == 0, told.output
    assert "1+1?" in told.output and "[grader]\nnumeric" in told.output
    assert "problem b\ufffd[31m: its gold 'n/a' is no number" in told.output
    assert "\x1b" not in told.output


def test_a_run_says_the_same_of_them_and_no_control_character(
    sums: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = {
        "name": "t",
        "task": [{"name": str(sums)}],
        "model": "quickstart",
        "thinking": {"budgets": [0]},
    }
    assert len(load_problems(parse(config), Lines().say).problems) == 1
    said = capsys.readouterr().err
    assert said == "left out: problem b\ufffd[31m: its gold 'n/a' is no number\n"


def test_good_golds_are_said_to_be_so(sums: Path) -> None:
    (sums.parent / "rows.jsonl").write_text('{"id": "a", "question": "1+1?", "gold": "2"}')
    assert "all 1 can be graded" in CliRunner().invoke(app, ["tasks", str(sums)]).output
