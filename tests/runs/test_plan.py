"""What a run will take, before it draws and from the lengths that its folder has seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.runs.test_draw import FakeEngine, config, job
from testtime import engines, pipeline
from testtime.cli.app import app
from testtime.runs import draw, plan
from testtime.runs.prepare import Job
from testtime.runs.progress import Progress


def planned(given: Job) -> list[str]:
    return plan.plan(given, plan.unfinished(given))


def test_the_worst_case_before_drawing_and_what_was_seen_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "make", lambda *_: (FakeEngine(), "fake"))
    monkeypatch.setattr(plan, "SEEN", 5)
    price: dict[str, Any] = {"price": {"input": 1, "output": 1e6}}
    before, told = planned(job(tmp_path, **price))
    assert "12 chains and at most 36 answers" in before and "dollars" in before
    assert told == "3 problems x 4 samples are too few to tell settings apart"
    drawn = draw.draw(job(tmp_path), Progress())
    complete, _ = planned(job(tmp_path, **price))
    assert not drawn and complete.endswith("the pool is complete, nothing is left to draw")
    more, _ = planned(job(tmp_path, samples=6, **price))
    assert "12 of 18 samples are drawn; left: 6 chains and about" in more


def test_a_dry_run_checks_and_draws_nothing(tmp_path: Path) -> None:
    said = pipeline.dry_run(config(tmp_path), limit=2)
    assert "right answer" in said and "budget=24" in said and "8 chains" in said
    assert not list(tmp_path.iterdir())


def test_the_commands(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text(
        "task: {name: chain_sum, limit: 9}\nmodel: quickstart\nthinking: {budgets: [0, 8]}\n"
    )
    path = str(tmp_path / "t.yaml")
    planned = CliRunner().invoke(app, ["plan", path, "--set", "samples=3"])
    assert planned.exit_code == 0 and "27 chains" in planned.output
    dry = CliRunner().invoke(app, ["run", path, "--dry-run", "--limit", "2"])
    assert dry.exit_code == 0 and "32 chains" in dry.output and not (tmp_path / "runs").exists()
