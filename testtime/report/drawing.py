"""Two drawings that the report and the figure of a comparison share, so that both always look and
read alike: a line for each model's frontier, and a board of tiles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from testtime import labels
from testtime.labels import Level, row_level
from testtime.style import (
    CATEGORY,
    FONT,
    INK,
    MUTED,
    label_ends,
    log_axis,
    percent_axis,
    plain_axis,
    ramp,
    trace,
)

if TYPE_CHECKING:
    import pandas as pd

LONGER, MORE = CATEGORY[4], CATEGORY[5]
ROOM = 0.84  # of a figure's width is its axes
LETTER = 0.62 * FONT  # points that a letter is wide


def draw_frontiers(
    axes: Any, lines: Mapping[str, pd.DataFrame], axis: str
) -> tuple[dict[str, list[str]], dict[str, tuple[str, str]]]:
    """A line with its band for each model's frontier (a table of `frontier.path`); returns the tips
    of the points, and the legend.
    """
    colours = ramp(len(lines)) if len(lines) > len(CATEGORY) else list(CATEGORY)
    scale = labels.axis(axis).scale
    tips, ends, legend = {}, [], {}
    for index, (model, line) in enumerate(lines.items()):
        gid, colour, x = f"model{index}", colours[index], scale * line["cost"]
        trace(axes, x, line["out_of_bag"], line["lo"], line["hi"], colour, gid)
        tips[gid] = [
            f"{model}, {labels.cell(r)}: {labels.interval(r['out_of_bag'], r['lo'], r['hi'])}"
            f" at {labels.cost(axis, r['cost'])}"
            for r in line.to_dict("records")
        ]
        legend[gid] = (model, colour)
        name = model if len(model) <= 12 else labels.short_model(model)
        ends.append((float(x.iloc[-1]), float(line["out_of_bag"].iloc[-1]), name, colour))
    percent_axis(axes, max(float(line["hi"].max()) for line in lines.values()))
    costs = scale * np.concatenate([line["cost"] for line in lines.values()])
    log_axis(axes, costs, labels.axis(axis).title + ", log scale")
    if axis == "n":
        counts = sorted(set(costs))
        plain_axis(axes, counts, [f"{n:g}" for n in counts], axes.get_xlabel())
    label_ends(axes, ends, series=list(legend))
    return tips, legend


def draw_differences(
    axes: Any, rows: Mapping[str, pd.DataFrame], levels: Sequence[Level], label: str
) -> None:
    """A tile for each comparison: a row (named) for each table of `doubling.doublings`, a column
    for each level they start from; coloured where it is decided.
    """
    held = [[row_level(row) for row in part.to_dict("records")] for part in rows.values()]
    levels = [level for level in levels if any(_same(level, h) for part in held for h in part)]
    most = max(0.01, *(float(part["difference"].abs().max()) for part in rows.values()))
    for (i, part), (j, level) in product(enumerate(rows.values()), enumerate(levels)):
        for row in part.to_dict("records"):
            if not _same(level, row_level(row)):
                continue
            difference, decided = row["difference"], row["better"] != "undecided"
            alpha = 0.25 + 0.65 * min(abs(difference) / most, 1) if decided else 0.0
            text = f"{round(100 * difference, 1) + 0.0:+.1f}"
            colour = (LONGER if difference > 0 else MORE, alpha)
            tile(axes, j, i, len(levels), colour, text, INK if decided else MUTED, bold=decided)
    frame(axes, levels, list(rows), label)
    axes.set_xlabel(f"start: {axes.get_xlabel()}")


def of_selector(table: pd.DataFrame, selector: str) -> pd.DataFrame:
    """The comparisons of one selector. A majority of two is a coin toss between two, so votes start
    at n = 2.
    """
    table = table[table["selector"] == selector]
    return table[table["n"] > 1] if selector == "majority" and (table["n"] > 1).any() else table


def board_height(rows: int) -> float:
    """Inches that a board of tiles takes with its axis."""
    return 1.15 + 0.34 * max(rows, 3)


def tile(
    axes: Any,
    x: int,
    y: int,
    columns: int,
    colour: Any,
    text: str,
    ink: str,
    bold: bool = False,
    gid: str = "",
) -> None:
    """A coloured field of a board of so many columns with its number, which is written as large as
    there is room. colour: as matplotlib takes it; gid: "data-..." where the colour stands for a
    number (`style`).
    """
    from matplotlib.patches import Rectangle

    name = f"{gid}{x}-{y}" if gid else None
    field = {"facecolor": colour, "linewidth": 0, "gid": name}
    axes.add_patch(Rectangle((x - 0.48, y - 0.46), 0.96, 0.92, **field))
    weight = "bold" if bold else "normal"
    room = ROOM * 72 * axes.figure.get_figwidth() / columns
    size = min(FONT - 0.5, 0.9 * FONT * room / (1.1 * LETTER * len(text)))
    words = {"ha": "center", "va": "center", "fontsize": size, "fontweight": weight}
    axes.text(x, y, text, color=ink, gid=name and f"{name}-text", **words)


def frame(axes: Any, levels: Sequence[Level], rows: Sequence[str], label: str) -> None:
    """The axes of a board: a column a level, a row a name."""
    axes.grid(False)
    axes.spines[["bottom"]].set_visible(False)
    axes.tick_params(length=0)
    axes.set_xlim(-0.5, len(levels) - 0.5)
    axes.set_ylim(-0.5, len(rows) - 0.5)
    level_axis(axes, levels)
    axes.set_yticks(range(len(rows)), rows)
    axes.set_ylabel(label)


def level_axis(axes: Any, levels: Sequence[Level]) -> None:
    """Levels at 0, 1, ... of the x axis: equal steps, because budgets are doubled or named.

    A setting with several budgets is named once, under them. What has no room beside its neighbours
    is turned, and at last written smaller.
    """
    room = ROOM * 72 * axes.figure.get_figwidth() / len(levels)
    groups = {
        name: [at for at, level in enumerate(levels) if level[0] == name] for name, _ in levels
    }
    inside = all(len(name) * LETTER <= room * len(places) for name, places in groups.items())
    numbers = not all(np.isnan(budget) for _, budget in levels)
    grouped = numbers and inside and 1 < len(groups) < len(levels)
    names = [labels.short_level(("", level[1]) if grouped else level) for level in levels]
    longest = LETTER * max(map(len, names))
    turned = {"rotation": 0.0, "ha": "center"}
    if longest > room:
        steep = grouped or room < 1.5 * FONT
        turned = (
            {"rotation": 90}
            if steep
            else {"rotation": 35, "ha": "right", "rotation_mode": "anchor"}
        )
        turned |= {"fontsize": min(FONT, 0.9 * room)}
    axes.set_xticks(range(len(levels)), names, **turned)
    axes.minorticks_off()
    if grouped:
        axes.xaxis.remove_overlapping_locs = False
        centres = [float(np.mean(places)) for places in groups.values()]
        axes.set_xticks(centres, list(groups), minor=True)
        under = longest if longest > room else FONT
        axes.tick_params(axis="x", which="minor", length=0, pad=under + 9, labelsize=FONT)
    what = ["setting"] if grouped or not numbers else []
    axes.set_xlabel(" and ".join([*what, *(["thinking budget, tokens"] if numbers else [])]))


def _same(a: Level, b: Level) -> bool:
    return a[0] == b[0] and (a[1] == b[1] or (np.isnan(a[1]) and np.isnan(b[1])))
