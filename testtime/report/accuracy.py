"""Accuracy against thinking tokens: one line per n with its band, and the table it draws."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from testtime.pipeline import Run


def write_accuracy(run: Run) -> None:
    """accuracy.csv, .png and .svg in the run's report folder."""
    from matplotlib.figure import Figure

    folder = run.path / "report"
    folder.mkdir(parents=True, exist_ok=True)
    selector = run.manifest["config"]["selectors"][0]
    cells = run.cells[run.cells["selector"] == selector]
    cells.to_csv(folder / "accuracy.csv", index=False)
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for n, line in cells.groupby("n"):
        line = line.sort_values("budget")
        (drawn,) = axes.plot(line["tokens"], line["value"], marker="o", label=f"n = {n}")
        axes.fill_between(line["tokens"], line["lo"], line["hi"], alpha=0.2, color=drawn.get_color())
    axes.set_xlabel("tokens generated a problem")
    axes.set_ylabel("accuracy")
    axes.set_ylim(0, 1)
    axes.legend(title=selector)
    figure.savefig(folder / "accuracy.png", dpi=150)
    figure.savefig(folder / "accuracy.svg")
