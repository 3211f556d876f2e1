"""The ladder in one figure, from `ladder.csv`, `accuracy.csv` and the predictions alone.

    python -m benchmarks.laboratory.figures docs/laboratory.png

Panels: loss against tokens with Hoffmann's law; the largest rung as the smaller ones foretold it;
loss at equal training compute; and accuracy at fixed thinking, which follows from the loss whatever
the size of the model.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.laboratory.downstream import through_loss
from benchmarks.laboratory.exponents import ISOFLOPS, budgets, isoflop, law, parabola
from benchmarks.laboratory.law import LEAST, lawful, read
from benchmarks.laboratory.recipe import HERE
from testtime import labels, style, zoo
from testtime.style import INK, MUTED, PAPER

WIDTH, HEIGHT = 10.4, 3.7  # inches
DPI = 300
PREDICTIONS = [HERE / "prediction.json", HERE / "prediction_longer.json"]
LOSS = "held-out loss, nats a fact"
LOSSES = (0.7, 1.0, 1.4, 2.0, 2.8, 3.5)


def against_tokens(axes: Any, rows: pd.DataFrame) -> None:
    """A line a size: the law of all runs, the mean over seeds, and each seed as a bar."""
    found, sizes = law(lawful(rows)), np.sort(rows["N"].unique())
    fine, ends = np.geomspace(LEAST, rows["D"].max(), 60), []
    for n, colour in zip(sizes, style.ramp(len(sizes)), strict=True):
        seeds = rows[rows["N"] == n].groupby("D")["loss"].agg(["mean", "min", "max"])
        drawn = found.predict(N=np.full(len(fine), n), D=fine)
        axes.plot(fine, drawn, color=colour, lw=1.2)
        axes.vlines(seeds.index, seeds["min"], seeds["max"], color=colour, lw=1.2)
        axes.plot(seeds.index, seeds["mean"], "o", color=colour, ms=4.5, mec=PAPER, mew=0.6)
        ends.append((fine[-1], drawn[-1], labels.amount(float(n)), colour))
    ends_at = pd.Series([end[1] for end in ends])
    logs(axes, rows["D"], pd.concat([rows["loss"], ends_at]), "training tokens")
    style.label_ends(axes, ends)


def foretold(axes: Any, rows: pd.DataFrame, said: list[dict[str, Any]]) -> None:
    """What the smaller rungs foretold of the largest, with its interval, and what came out; a
    prediction of one token count is drawn as a bar.
    """
    table, colour = pd.concat([pd.DataFrame(one["predicted"]) for one in said]), style.CATEGORY[0]
    for part in (pd.DataFrame(one["predicted"]) for one in said):
        axes.fill_between(part["D"], part["lo"], part["hi"], color=colour, alpha=0.15, lw=0)
        if len(part) == 1:
            axes.vlines(part["D"], part["lo"], part["hi"], color=colour, alpha=0.3, lw=6)
        axes.plot(part["D"], part["loss"], "-" if len(part) > 1 else "_", color=colour, lw=1.6)
    mine = rows[(rows["N"] == said[0]["N"]) & (rows["D"] >= LEAST)]
    axes.plot(mine["D"], mine["loss"], "o", color=style.CATEGORY[1], ms=6, mec=PAPER)
    logs(axes, table["D"], pd.concat([table["lo"], table["hi"]]), "training tokens")
    top, last = table.iloc[0], mine[mine["D"] <= table["D"].median()].iloc[-1]
    for x, y, words, hue, shift in (
        (top["D"], top["hi"], "foretold, 95 % interval", colour, (14, 0)),
        (last["D"], last["loss"], "measured", style.CATEGORY[1], (-18, -18)),
    ):
        axes.annotate(words, (x, y), shift, textcoords="offset points", color=hue, weight="bold")


def equal_compute(axes: Any, rows: pd.DataFrame) -> None:
    """Each compute's losses by size, the parabola through them, and its minimum where it has one."""
    computes, drawn = budgets(rows), []
    for c, colour in zip(computes, style.ramp(ISOFLOPS), strict=True):
        curve = isoflop(rows, float(c))
        at, best = parabola(curve)
        fine = np.geomspace(curve["N"].iloc[0], curve["N"].iloc[-1], 60)
        axes.plot(fine, at(fine), color=colour, lw=1.2)
        axes.plot(curve["N"], curve["loss"], "o", color=colour, ms=4.5, mec=PAPER, mew=0.6)
        if best is not None:
            axes.plot([best], at(np.array([best])), "D", color=PAPER, mec=colour, mew=1.5, ms=7)
        first = (curve["N"].iloc[0], curve["loss"].iloc[0])
        words = {"ha": "right", "va": "center", "color": colour, "weight": "bold"}
        axes.annotate(
            labels.power_of_ten(float(c)), first, (-9, 0), textcoords="offset points", **words
        )
        drawn += [*curve["loss"], at(np.array([best or first[0]]))[0]]
    sizes = pd.concat([rows["N"], rows["N"] / 4])
    logs(axes, sizes, pd.Series(drawn), "parameters without embeddings")


def accuracies(axes: Any, accuracy: pd.DataFrame) -> None:
    """Accuracy of one sample against the loss, a line a budget: error = e - k exp(-g L)."""
    budgets_, ends = np.sort(accuracy["budget"].unique()), []
    for budget, colour in zip(budgets_, style.ramp(len(budgets_)), strict=True):
        part = accuracy[accuracy["budget"] == budget]
        losses, measured = part["loss"].to_numpy(float), part["accuracy"].to_numpy(float)
        fine = np.linspace(losses.min(), losses.max(), 60)
        axes.errorbar(losses, measured, part["se"], fmt="o", color=colour, ms=4, lw=0.8, mec=PAPER)
        line = through_loss(losses, measured)(fine)
        axes.plot(fine, line, color=colour, lw=1.4)
        ends.append((fine[0], line[0], f"{budget} tokens" if budget else "none", colour))
    style.percent_axis(axes, float(accuracy["accuracy"].max()), "accuracy of one sample, %")
    axes.set_xlim(accuracy["loss"].max() + 0.1, accuracy["loss"].min() - 0.75)
    axes.set_xlabel(LOSS)
    style.label_ends(axes, ends)


def logs(axes: Any, x: pd.Series, losses: pd.Series, label: str) -> None:
    """Both axes in logarithms, the upright one for these losses."""
    style.log_axis(axes, x, label)
    axes.set_yscale("log")
    low, high = losses.min() / 1.1, losses.max() * 1.1
    ticks = [tick for tick in LOSSES if low <= tick <= high]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_ylim(low, high)
    axes.minorticks_off()
    axes.set_ylabel(LOSS)


def draw(
    rows: pd.DataFrame, accuracy: pd.DataFrame, said: list[dict[str, Any]], path: Path
) -> None:
    """The figure."""
    with style.context():
        figure, (left, right, iso, acc) = style.panels(WIDTH, [HEIGHT, HEIGHT], columns=2)
        against_tokens(left, rows)
        foretold(right, rows, said)
        equal_compute(iso, rows)
        accuracies(acc, lawful(accuracy.rename(columns={"target": "D"})))
        size = labels.amount(float(said[0]["N"]))
        for axes, title, how in (
            (left, "More tokens and more parameters both lower the loss", "lines: Hoffmann's law; bars: seeds"),
            (right, f"The law of the smaller rungs foretells the largest ({size})", "each written before it was trained so far"),
            (iso, "At equal compute there is a best size", "by training FLOPs (6ND); diamonds: minima"),
            (acc, "Accuracy at fixed thinking follows the loss", "by thinking budget; all rungs and token counts"),
        ):  # fmt: skip
            axes.set_title(f"{title}\n", loc="left", fontsize=style.FONT + 1, color=INK)
            axes.text(0, 1.02, how, transform=axes.transAxes, color=MUTED, fontsize=style.FONT - 1)
        figure.savefig(path, dpi=DPI)


def main() -> None:
    """Command line: the figure's file, the two tables and the predictions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figure", type=Path)
    parser.add_argument("--ladder", type=Path, default=zoo.ROOT / "ladder" / "ladder.csv")
    parser.add_argument("--accuracy", type=Path, default=HERE / "accuracy.csv")
    parser.add_argument("--predictions", type=Path, nargs="+", default=PREDICTIONS)
    given = parser.parse_args()
    said = [json.loads(path.read_text()) for path in given.predictions]
    draw(read(given.ladder), pd.read_csv(given.accuracy), said, given.figure)


if __name__ == "__main__":
    main()
