"""The grid at a glance: accuracy by budget and n, and whether a doubled compute buys more as length
or as samples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from testtime import labels
from testtime.estimators import doubling
from testtime.report.drawing import board_height, draw_differences, frame, of_selector, tile
from testtime.report.results import Results
from testtime.style import Chart, canvas, ramp_map

if TYPE_CHECKING:
    import pandas as pd

WIDTH = 4.8  # inches


def heat_map(results: Results, selector: str) -> Chart:
    """Accuracy in percent: a column a budget, a row a number of samples."""
    cells = results.grid(selector)
    counts = sorted(int(n) for n in cells["n"].unique())
    figure, axes = canvas((WIDTH, board_height(len(counts))))
    top, colours = max(float(cells["value"].max()), 0.01), ramp_map()
    for j, level in enumerate(results.levels):
        for row in results.cells_at(level, selector).to_dict("records"):
            value, shade = row["value"], colours(0.04 + 0.92 * row["value"] / top)
            text = labels.percent(value, 0 if value >= 0.0995 else 1)
            at = j, counts.index(int(row["n"])), len(results.levels)
            tile(axes, *at, shade, text, _on(shade), gid="data-")
    frame(axes, results.levels, [str(n) for n in counts], "samples n")
    note = (
        "Accuracy in percent. To the right the model may think longer, upwards more samples "
        "are drawn."
    )
    title = f"Accuracy by thinking budget and n: {labels.selector(selector)}"
    name = f"grid-{selector.replace(':', '-')}"
    return Chart(name, title, note, figure, cells.drop(columns=["model"]))


def longer_or_more(results: Results, axis: str) -> Chart | None:
    """Points gained by doubling the budget minus points gained by doubling n, from every cell that
    allows both.
    """
    table = doublings(results, axis)
    if table.empty:
        results.left_out["longer or more"] = (
            "no cell has both a doubled budget and a doubled number of samples in the grid"
        )
        return None
    rows = {str(n): part for n, part in table.groupby("n")}
    figure, axes = canvas((WIDTH, board_height(len(rows))))
    draw_differences(axes, rows, results.levels, "samples n")
    longer, more = (int((table["better"] == side).sum()) for side in ("longer", "more"))
    title = (
        f"Longer or more? Longer wins from {longer} of {len(table)} starting points, more from "
        f"{more}"
    )
    note = (
        "From each setting, the points gained by doubling the budget minus those gained by "
        "doubling n, at the same compute. Orange: think longer. Blue: sample more. Grey and "
        "uncoloured: undecided, all starting points judged together at 95%."
    )
    return Chart("longer-or-more", title, note, figure, table)


def doublings(results: Results, axis: str) -> pd.DataFrame:
    """The comparisons of the main selector."""
    return of_selector(doubling.doublings(results.sample, axis), results.selector)


def _on(colour: tuple[float, ...]) -> str:
    """Black or white ink, whichever reads better on a colour."""
    light = float(np.dot(colour[:3], (0.299, 0.587, 0.114)))
    return "#ffffff" if light < 0.55 else "#101418"
