"""`testtime laws ...` on tables as a person has them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from testtime.cli.app import app
from testtime.errors import UserError
from testtime.laws.published import BESIROGLU
from testtime.laws.train_to_test import TRAIN_TO_TEST


def said(*words: str) -> str:
    done = CliRunner().invoke(app, ["laws", *words])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


def test_optimum_of_a_published_law() -> None:
    words = said("optimum", "5.76e23", "--law", "hoffmann-unrounded", "--queries", "1e12")
    assert "D/N 58.93" in words and "which saves" in words and "0.33917084" in words
    with pytest.raises(UserError, match="not known; there are hoffmann"):
        said("optimum", "1e24", "--law", "kaplan-N")


def test_coverage_of_counts(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    counts = pd.DataFrame({"correct": rng.binomial(16, rng.beta(0.5, 1, 80)), "total": 16})
    counts.to_csv(tmp_path / "counts.csv", index=False)
    assert "coverage of 80 problems" in said("coverage", str(tmp_path / "counts.csv"))


def test_pretraining_with_a_parameter_held(tmp_path: Path) -> None:
    N, D = (v.ravel() for v in np.meshgrid(np.geomspace(1e7, 1e10, 5), np.geomspace(1e9, 1e12, 5)))
    noise = np.exp(0.004 * np.random.default_rng(0).standard_normal(25))
    table = pd.DataFrame({"N": N, "D": D, "loss": BESIROGLU(N=N, D=D) * noise})
    table.to_csv(tmp_path / "runs.csv", index=False)
    words = said("pretraining", str(tmp_path / "runs.csv"), "--fix", "alpha=0.34")
    assert "0.34   fixed" in words and "resamples of 5 runs" in words


def test_cheapest_and_exchange(tmp_path: Path) -> None:
    truth = {"A": 300.0, "B": 900.0, "G": 1.5, "E": 0.2, "alpha": 0.3, "beta": 0.33, "gamma": 0.4}
    N, D, k = np.meshgrid(np.geomspace(1e7, 1e10, 4), np.geomspace(1e9, 1e12, 4), [1, 4, 16])
    grid = {"N": N.ravel(), "D": D.ravel(), "k": k.ravel()}
    noise = np.exp(0.002 * np.random.default_rng(0).standard_normal(48))
    accuracy = np.exp(-TRAIN_TO_TEST(truth, **grid) * noise)
    pd.DataFrame({**grid, "accuracy": accuracy}).to_csv(tmp_path / "grid.csv", index=False)
    words = said("cheapest", str(tmp_path / "grid.csv"), "0.3", "1e6", "--tokens", "500")
    assert "cheapest way to 0.3, 1e+06 queries" in words
    scores = pd.DataFrame({"model": ["a", "b"], "problem_id": 1, "sample": 0, "score": 1.0})
    scores.to_csv(tmp_path / "scores.csv", index=False)
    with pytest.raises(UserError, match="needs 5 models"):
        said("exchange", str(tmp_path / "scores.csv"), "--train", "a=1e20", "--train", "b=1e21")
