"""What a stored pool says, from a run or any table, on the command line."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from tests.report import made
from testtime.cli.app import app


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("made") / "scores.csv"
    made.scores(problems=20, samples=4).to_csv(path, index=False)
    return str(path)


def test_what_a_doubling_buys_is_told_for_every_step(table: str, tmp_path: Path) -> None:
    csv = tmp_path / "steps.csv"
    told = CliRunner().invoke(app, ["doubling", table, "--csv", str(csv)])
    assert told.exit_code == 0, told.output
    assert "along budget" in told.output and "along n" in told.output
    assert "a doubling" in told.output and csv.read_text().startswith("model,along")


def test_rules_that_stop_early_are_set_against_drawing_all(table: str) -> None:
    told = CliRunner().invoke(app, ["stop", table, "--rule", "beta:0.9", "--rule", "share"])
    assert told.exit_code == 0, told.output
    assert "one by one" in told.output and "launch and cancel" in told.output
    assert "beta:0.9" in told.output and "esc" not in told.output
    assert "difference: points against drawing all n" in told.output, "a key to the columns"
    *_, short, shown, ruled_out = told.output.splitlines()
    assert short.startswith("in short") and "(made/model, 512, up to n = 4)" in short
    assert "fewest tokens without a loss that shows: " in shown and "% of the tokens" in shown
    assert "less than a point" in ruled_out


def test_an_unknown_rule_is_one_line(table: str) -> None:
    told = CliRunner().invoke(app, ["stop", table, "--rule", "beat"])
    assert told.exit_code != 0 and "did you mean 'beta'" in str(told.exception)


def test_columns_and_models_are_named(table: str, tmp_path: Path) -> None:
    both = pd.concat([made.scores(6, 2, model) for model in ("lab/one", "lab/two")])
    both.rename(columns={"problem_id": "question"}).to_csv(tmp_path / "both.csv", index=False)
    words = [str(tmp_path / "both.csv"), "--column", "problem_id=question", "--model", "*two"]
    told = CliRunner().invoke(app, ["doubling", *words])
    assert "lab/two, along budget" in told.output and "lab/one" not in told.output
    told = CliRunner().invoke(app, ["doubling", *words[:2], "question"])
    assert "write our name = the table's" in str(told.exception)
