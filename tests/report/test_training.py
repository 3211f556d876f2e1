"""Training compute beside test compute: models are placed by what is known of them, never by a
guess.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.report import made
from testtime import style, zoo
from testtime.report import results, training
from testtime.report.results import Results

LADDER = [name for name in zoo.names() if name.startswith("ladder/")]


@pytest.fixture(autouse=True)
def _house() -> Iterator[None]:
    with style.context():
        yield


def models(folder: Path, names: list[str]) -> list[Results]:
    tables = [made.scores(20, 4, model=name, seed=k) for k, name in enumerate(names)]
    return [e for table in tables for e in results.of(made.run(folder, table))]


def test_a_model_whose_training_is_unknown_is_named_and_left_out(tmp_path: Path) -> None:
    found = training.section(models(tmp_path, ["lab/unknown"]))
    assert found.rows == [] and found.charts == []
    assert "lab/unknown: training compute is not known" in found.omitted[0]
    assert "needs 3 models" in found.omitted[1]


@pytest.mark.skipif(len(LADDER) < 3, reason="the ladder is not in the package")
def test_the_ladder_stands_on_its_own_law_and_over_both_computes(tmp_path: Path) -> None:
    found = training.section(models(tmp_path, LADDER[:3]))
    assert [p.name for p in found.charts] == [
        "ladder-law",
        "contours",
    ] and found.omitted == []
    assert [row[0] for row in found.rows] == LADDER[:3]
    both = found.charts[1].table
    assert len(both) == 3 * len(made.BUDGETS)
    for name in LADDER[:3]:
        own = both[both["model"] == name]
        assert (own["training_flops"] == zoo.training(name)["flops"]).all()
        scores = made.scores(20, 4, model=name, seed=LADDER.index(name))
        np.testing.assert_allclose(own["accuracy"], scores.groupby("budget")["score"].mean())
        np.testing.assert_allclose(own["test_flops"], scores.groupby("budget")["flops"].mean())
    assert "xchange" in found.charts[1].note or "made up by" in found.charts[1].note
