"""Train more, or think more? Train compute, test compute and accuracy of the ladder in one figure,
and what one compute is worth in the other.

    testtime run configs/ladder.yaml
    python -m benchmarks.laboratory.trade runs/ladder docs/ladder.png

Left: every rung's accuracy along its budgets. Right: the test compute at which each rung reaches an
accuracy: a falling line is training that saves thinking, a rising one a larger model that costs more
a token than it saves.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from testtime import labels, style, zoo
from testtime.errors import UserError
from testtime.estimators.table import read_table
from testtime.laws import joint
from testtime.runs.run import load
from testtime.style import INK, MUTED, PAPER

TARGETS = (0.06, 0.1, 0.15, 0.2, 0.25, 0.3)
DPI = 300


def cells(folder: Path) -> pd.DataFrame:
    """All cells of all runs in `folder`, with `train`, their model's training FLOPs, least first."""
    parts = [load(path).cells for path in sorted(folder.iterdir()) if (path / "run.json").exists()]
    every = pd.concat(parts, ignore_index=True)
    spent = {model: float(zoo.training(model)["flops"]) for model in every["model"].unique()}
    return every.assign(train=every["model"].map(spent)).sort_values(["train", "flops"])


def along_budgets(part: pd.DataFrame) -> pd.DataFrame:
    """One sample at each budget, the cheapest first."""
    return part[(part["n"] == 1) & (part["selector"] == "majority")].sort_values("flops")


def reached(curve: pd.DataFrame, target: float) -> float | None:
    """Test FLOPs at which a curve first reaches `target`, on straight lines in log FLOPs between its
    points; None where it does not, or starts above it.
    """
    x, y = np.log(curve["flops"].to_numpy(float)), np.maximum.accumulate(curve["value"])
    y = y.to_numpy(float)
    if not y[0] < target <= y[-1]:
        return None
    after = int(np.argmax(y >= target))
    share = (target - y[after - 1]) / (y[after] - y[after - 1])
    return float(np.exp(x[after - 1] + share * (x[after] - x[after - 1])))


def curves(axes: Any, table: pd.DataFrame) -> None:
    """Accuracy against test compute, a line a rung, darker the more was spent on training."""
    models = table["model"].unique()
    for model, colour in zip(models, style.ramp(len(models)), strict=True):
        line = along_budgets(table[table["model"] == model])
        x, y, last = line["flops"], line["value"], line.iloc[-1]
        axes.vlines(last["flops"], last["lo"], last["hi"], color=colour, alpha=0.45, lw=1.4)
        axes.plot(x, y, "o-", color=colour, lw=1.7, ms=4.2, mec=PAPER, mew=0.6)
        size = labels.amount(float(zoo.training(model)["parameters"]), 2)
        words = {"ha": "center", "color": colour, "weight": "bold"}
        axes.annotate(
            size, (last["flops"], last["hi"]), (0, 4), textcoords="offset points", **words
        )
    every = along_budgets(table)
    style.log_axis(axes, every["flops"], "test FLOPs a problem")
    style.percent_axis(axes, float(every["hi"].max()))


def equal_accuracy(axes: Any, table: pd.DataFrame) -> None:
    """Test compute against training compute, a line an accuracy."""
    ends = []
    for target, colour in zip(TARGETS, style.ramp(len(TARGETS)), strict=True):
        points = [
            (float(part["train"].iloc[0]), at)
            for _, part in table.groupby("train")
            if (at := reached(along_budgets(part), target)) is not None
        ]
        if len(points) >= 2:
            x, y = zip(*points, strict=True)
            axes.plot(x, y, "o-", color=colour, lw=1.5, ms=4.5, mec=PAPER, mew=0.6)
            ends.append((x[-1], y[-1], f"{100 * target:g} %", colour))
    style.log_axis(axes, table["train"], "training FLOPs")
    axes.set_yscale("log")
    ticks = [tick for tick in (3e5, 1e6, 3e6, 1e7, 3e7, 1e8) if tick < table["flops"].max()]
    axes.set_yticks(ticks, style.tick_labels(ticks))
    axes.minorticks_off()
    axes.set_ylabel("test FLOPs a problem")
    style.label_ends(axes, ends, gap=0.06)


def draw(table: pd.DataFrame, path: Path) -> None:
    """The figure."""
    with style.context():
        figure, (left, right) = style.panels(10.4, [4.1], columns=2)
        curves(left, table)
        equal_accuracy(right, table)
        problems = int(table["problems"].max())
        bars = f"by parameters; bars: 95 % over {problems} problems at the largest budget"
        reach = "test compute at which each model reaches an accuracy"
        for axes, title, how in (
            (left, "Thinking pays until the model knows no more", bars),
            (right, "The smallest model that reaches an accuracy is the cheapest", reach),
        ):
            axes.set_title(f"{title}\n", loc="left", fontsize=style.FONT + 1, color=INK)
            axes.text(0, 1.02, how, transform=axes.transAxes, color=MUTED, fontsize=style.FONT - 1)
        figure.savefig(path, dpi=DPI)


def exchange(folder: Path) -> str:
    """The exchange rate over the rungs with its interval, or why there is none."""
    tables = [read_table(str(path)) for path in sorted(folder.glob("*/tables/scores.parquet"))]
    scores = pd.concat(tables, ignore_index=True)
    flops = {model: float(zoo.training(model)["flops"]) for model in scores["model"].unique()}
    try:
        return joint.from_scores(scores, flops).report()
    except UserError as error:
        return f"no exchange rate: {error}"


def main() -> None:
    """Command line: the folder of the rungs' runs, and the figure's file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("figure", type=Path)
    given = parser.parse_args()
    draw(cells(given.folder), given.figure)
    print(exchange(given.folder))


if __name__ == "__main__":
    main()
