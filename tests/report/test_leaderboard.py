"""The leaderboard: its rows are the cells, its formats agree, its figure's names never collide."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text
from typer.testing import CliRunner

from tests.report import made
from testtime import style
from testtime.cli.app import app
from testtime.errors import UserError
from testtime.report import findings, headline, leaderboard, leaders, results
from testtime.runs.run import Run

COUNTED = ("thinking_tokens", "forced_tokens", "answer_tokens", "prompt_tokens", "flops")


def many(folder: Path, models: int, problems: int = 12) -> Run:
    """One import of many models, each at three effort levels."""
    rng = np.random.default_rng(0)
    parts = []
    for number in range(models):
        size = rng.uniform(2, 4)
        for effort, factor in (("low", 1), ("medium", 3), ("high", 9)):
            tokens = (10**size * factor * rng.uniform(0.8, 1.2, problems)).astype(int)
            chance = 1 / (1 + np.exp(4 - np.log10(tokens) - 0.01 * number))
            rows = {"problem_id": [f"p{i}" for i in range(problems)], "sample": 0}
            rows |= {"score": (rng.uniform(size=problems) < chance).astype(float)}
            rows |= {"thinking_tokens": tokens, "answer_tokens": 10}
            parts.append(
                pd.DataFrame(rows).assign(
                    model=f"lab{number % 7}/model-{number}-of-many", setting=f"effort={effort}"
                )
            )
    return made.run(folder, pd.concat(parts))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return made.run(tmp_path_factory.mktemp("runs"), made.scores(problems=20, samples=4))


@pytest.fixture(autouse=True)
def _style() -> Iterator[None]:
    with style.context():
        yield


def test_rows_are_cells_that_somebody_can_deploy_best_first(run: Run) -> None:
    (one,) = results.of(run)
    board = leaderboard.board([one])
    assert set(board["selector"]) == {"mean", "majority"}
    assert len(board) == 2 * len(made.BUDGETS) and set(board["n"]) == {1, 4}
    assert board["value"].is_monotonic_decreasing
    for row in board.to_dict("records"):
        budget = int(row["setting"].replace(",", ""))
        cells = one.cells[(one.cells["budget"] == budget) & (one.cells["n"] == row["n"])]
        cell = cells[cells["selector"] == row["selector"]].iloc[0]
        assert row["value"] == cell["value"] and row["tokens"] == cell["tokens"]
        assert (row["lo"], row["hi"], row["latency"]) == (cell["lo"], cell["hi"], cell["latency"])


def test_every_format_says_the_same(run: Run) -> None:
    board = leaderboard.board(results.of(run))
    rows = list(csv.DictReader(io.StringIO(leaderboard.table(run, "csv"))))
    assert [float(r["value"]) for r in rows] == pytest.approx(list(board["value"]))
    values = [f"{100 * v:.1f}" for v in board["value"]]
    text, markdown = leaderboard.table(run), leaderboard.table([run], "markdown")
    latex = leaderboard.table(run, "latex", interval="pm")
    assert re.findall(r"(\d+\.\d) \[", text) == values == re.findall(r"(\d+\.\d) \[", markdown)
    assert re.findall(r"(\d+\.\d) \$\\pm\$", latex) == values
    assert "$ per 1,000" not in text, "nobody knows the dollars"
    assert latex.startswith("\\begin{tabular}{llrrlrr}\n\\toprule") and "accuracy, \\%" in latex
    assert len({line.count("|") for line in markdown.splitlines()}) == 1
    with pytest.raises(UserError, match="did you mean 'markdown'"):
        leaderboard.table(run, "markdwn")


@pytest.mark.parametrize("models", [1, 6, 98, 200])
def test_names_in_the_figure_never_collide(tmp_path: Path, models: int) -> None:
    board = leaderboard.board(results.of(many(tmp_path, models)))
    axis = leaders.axis_of(board)
    assert axis == "tokens"
    chart = leaders.figure(board, axis)
    drawn = chart.figure.axes[0]
    renderer = chart.figure.canvas.get_renderer()
    named = [t for t in drawn.texts if "model-" in t.get_text()]
    for text in named:
        text.update_positions(renderer)
    boxes = [Text.get_window_extent(t, renderer) for t in named]  # without its line to the point
    assert len(boxes) >= min(models, 5)
    for i, a in enumerate(boxes):
        assert a.x1 <= chart.figure.bbox.x1 + 1 and a.x0 >= 0
        assert a.y1 <= chart.figure.bbox.y1 + 1 and a.y0 >= 0
        for b in boxes[i + 1 :]:
            assert not (a.x0 < b.x1 and b.x0 < a.x1 and a.y0 < b.y1 and b.y0 < a.y1)
    assert sum(len(t) for t in chart.tips.values()) == 3 * models
    front = next(x for x in drawn.lines if x.get_gid() == "frontier").get_xydata()
    one = board[board["n"] == 1]
    for cost, value in front:
        assert value == one.loc[one["tokens"] <= cost, "value"].max()


def test_what_one_model_lacks_takes_nothing_from_another(tmp_path: Path) -> None:
    """Five problems that 3 of 98 models had no score of, the hardest, were left out of all: one
    level of gpt-5.2 rose from 78.9 to 86.6 %.
    """
    table = pd.concat([made.scores(12, 2, f"made/{k}", k) for k in range(2)])
    alone = leaderboard.of_runs([made.run(tmp_path / "alone", table[table["model"] == "made/0"])])
    lost = (table["model"] == "made/1") & table["problem_id"].isin(["made/3", "made/5"])
    table.loc[lost, ["score", "verdict"]] = [None, "missing"]
    run = made.run(tmp_path / "both", table)
    board = leaderboard.of_runs([run])
    assert board.groupby("model")["problems"].unique().map(list).to_dict() == {
        "made/0": [12],
        "made/1": [10],
    }
    own = board[board["model"] == "made/0"].set_index(["setting", "n"])["value"]
    pd.testing.assert_series_equal(own, alone.set_index(["setting", "n"])["value"])
    text, imported = leaderboard.said(board), run.manifest.imported
    assert "problems" in text and "problems" not in leaderboard.said(alone)
    assert imported and "left out of made/1: 2 problems without a scored sample" in str(imported)
    (_, lacking) = results.of(run)
    assert any("2 problems that other models have" in line for line in findings.warnings(lacking))


def test_a_table_is_listed_and_drawn_by_one_command(tmp_path: Path) -> None:
    table = pd.concat([made.scores(6, 2, f"made/{k}", k) for k in range(3)])
    table.rename(columns={"problem_id": "question"}).to_csv(tmp_path / "mine.csv", index=False)
    words = ["table", str(tmp_path / "mine.csv"), "--column", "problem_id=question"]
    more = ["--model", "made/[01]", "--figure", str(tmp_path / "board.png")]
    told = CliRunner().invoke(app, [*words, *more])
    assert told.exit_code == 0, told.output
    assert "made/1" in told.output and "made/2" not in told.output
    assert (tmp_path / "board.png").stat().st_size > 10_000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["board.png", "mine.csv"]
    told = CliRunner().invoke(app, [*words, "--model", "made/7"])
    assert "there is none" in str(told.exception)


def test_models_without_a_cost_stand_in_the_table_alone(tmp_path: Path) -> None:
    table = pd.concat([made.scores(12, 2, f"made/{k}", k) for k in range(3)])
    table.loc[table["model"] == "made/2", list(COUNTED)] = None
    run = made.run(tmp_path, table)
    board = leaderboard.board(results.of(run))
    assert headline.chart(run).table["model"].nunique() == 2, "Run.plot refused such a run"
    chart = leaders.figure(board, "tokens")
    assert board["model"].nunique() == 3 and chart.table["model"].nunique() == 2
    assert "1 model whose tokens are not known is in the table alone" in chart.note
