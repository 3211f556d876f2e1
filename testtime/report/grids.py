"""The grid at a glance: accuracy by budget and n, and whether a doubled compute buys more as length
or as samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from testtime.estimators import doubling
from testtime.report.results import Evidence, at_level, level_name, selector_name, short_name
from testtime.report.style import FONT, INK, MUTED, Plate, canvas, house_map, percent

if TYPE_CHECKING:
    import pandas as pd

LONGER, MORE = "#c98a00", "#3fa0dc"
WIDTH = 4.8  # inches


def heat_map(evidence: Evidence, selector: str) -> Plate:
    """Accuracy in percent: a column a budget, a row a number of samples."""
    cells = evidence.grid(selector)
    counts = sorted(int(n) for n in cells["n"].unique())
    value = np.full((len(counts), len(evidence.levels)), np.nan)
    for j, level in enumerate(evidence.levels):
        for row in evidence.cells_at(level, selector).to_dict("records"):
            value[counts.index(int(row["n"])), j] = row["value"]
    figure, axes = canvas((WIDTH, board_height(len(counts))))
    top = max(float(np.nanmax(value)), 0.01)
    colours = house_map()
    for (i, j), v in np.ndenumerate(value):
        if np.isnan(v):
            continue
        shade = colours(0.04 + 0.92 * v / top)
        _tile(axes, j, i, shade, percent(v, 0 if v >= 0.0995 else 1), _on(shade))
    _frame(axes, evidence.levels, [str(n) for n in counts], "samples n")
    note = (
        "Accuracy in percent. To the right the model may think longer, upwards more samples "
        "are drawn."
    )
    title = f"Accuracy by thinking budget and n: {selector_name(selector)}"
    return Plate(
        f"grid-{selector.replace(':', '-')}", title, note, figure, cells.drop(columns=["model"])
    )


def longer_or_more(evidence: Evidence, axis: str) -> Plate | None:
    """Points gained by doubling the budget minus points gained by doubling n, from every cell that
    allows both.
    """
    table = doublings(evidence, axis)
    if table.empty:
        evidence.left_out["longer or more"] = (
            "no cell has both a doubled budget and a doubled number of samples in the grid"
        )
        return None
    rows = {str(n): part for n, part in table.groupby("n")}
    figure, axes = canvas((WIDTH, board_height(len(rows))))
    draw_differences(axes, rows, evidence.levels, "samples n")
    sides = {side: int((table["better"] == side).sum()) for side in ("longer", "more", "undecided")}
    title = (
        f"Longer or more? Longer wins from {sides['longer']} of {len(table)} starting points, "
        f"more from {sides['more']}"
    )
    note = (
        "From each setting, the points gained by doubling the budget minus those gained by "
        "doubling n, at the same"
        " compute. Orange: think longer. Blue: sample more. Grey and uncoloured: undecided, all "
        "starting points judged together at 95%."
    )
    return Plate("longer-or-more", title, note, figure, table)


def draw_differences(
    axes: Any, rows: Mapping[str, pd.DataFrame], levels: Sequence[tuple[str, float]], label: str
) -> None:
    """A tile for each comparison: a row (named) for each table of `doubling.doublings`, a column
    for each level they start from; coloured where it is decided.
    """
    levels = [
        level for level in levels if any(at_level(part, level).any() for part in rows.values())
    ]
    most = max(0.01, *(float(part["difference"].abs().max()) for part in rows.values()))
    for (i, part), (j, level) in product(enumerate(rows.values()), enumerate(levels)):
        for row in part[at_level(part, level)].to_dict("records"):
            difference, decided = row["difference"], row["better"] != "undecided"
            colour = LONGER if difference > 0 else MORE
            alpha = 0.25 + 0.65 * min(abs(difference) / most, 1) if decided else 0.0
            said = f"{round(100 * difference, 1) + 0.0:+.1f}"
            _tile(axes, j, i, (colour, alpha), said, INK if decided else MUTED, decided)
    _frame(axes, levels, list(rows), label)
    axes.set_xlabel(axes.get_xlabel().replace("thinking budget", "start: thinking budget"))


def doublings(evidence: Evidence, axis: str) -> pd.DataFrame:
    """The comparisons of the main selector. A majority of two is a coin toss between two, so votes
    start at n = 2.
    """
    return of_selector(doubling.doublings(evidence.sample, axis), evidence.selector)


def of_selector(table: pd.DataFrame, selector: str) -> pd.DataFrame:
    """The comparisons of one selector, votes from n = 2."""
    table = table[table["selector"] == selector]
    return table[table["n"] > 1] if selector == "majority" and (table["n"] > 1).any() else table


def board_height(rows: int) -> float:
    """Inches that a board of tiles takes with its axis."""
    return 1.15 + 0.34 * max(rows, 3)


def _tile(axes: Any, x: int, y: int, colour: Any, text: str, ink: str, bold: bool = False) -> None:
    from matplotlib.colors import to_rgba
    from matplotlib.patches import Rectangle

    rgba = to_rgba(*colour) if isinstance(colour, tuple) and len(colour) == 2 else colour
    axes.add_patch(Rectangle((x - 0.48, y - 0.46), 0.96, 0.92, facecolor=rgba, linewidth=0))
    axes.text(
        x,
        y,
        text,
        ha="center",
        va="center",
        color=ink,
        fontsize=FONT - 0.5,
        fontweight="bold" if bold else "normal",
    )


def _frame(axes: Any, levels: Sequence[tuple[str, float]], rows: Sequence[str], label: str) -> None:
    axes.grid(False)
    axes.spines[["bottom"]].set_visible(False)
    axes.tick_params(length=0)
    axes.set_xlim(-0.5, len(levels) - 0.5)
    axes.set_ylim(-0.5, len(rows) - 0.5)
    long = any(len(level_name(level)) > 6 for level in levels)
    axes.set_xticks(
        range(len(levels)),
        [short_name(level) for level in levels],
        rotation=30 if long else 0,
        ha="right" if long else "center",
    )
    axes.set_yticks(range(len(rows)), rows)
    numbers = not all(np.isnan(budget) for _, budget in levels)
    axes.set_xlabel("thinking budget, tokens" if numbers else "setting")
    axes.set_ylabel(label)


def _on(colour: tuple[float, ...]) -> str:
    """Black or white ink, whichever reads better on a colour."""
    return (
        "#ffffff" if 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] < 0.55 else "#101418"
    )
