"""The figure of a comparison: every model's equal-compute frontier, and where longer beats more.

Its two drawings, lines of frontiers and a board of differences, serve the report too, so that both
always look and read alike.
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
    Chart,
    label_ends,
    log_axis,
    panels,
    percent_axis,
    ramp,
    trace,
)

if TYPE_CHECKING:
    import pandas as pd

WIDTH, TOP = 5.4, 3.7  # inches
LONGER, MORE = CATEGORY[4], CATEGORY[5]


def chart(tables: Mapping[str, pd.DataFrame], axis: str) -> Chart:
    """The figure from a comparison's tables: `frontiers` (by model) and, where there are any,
    `doublings`.

    With several models the lower panel has a row for each at the least n that votes; with one, a
    row for each n.
    """
    lines = {str(model): part for model, part in tables["frontiers"].groupby("model", sort=False)}
    rows, label, title = _rows(tables.get("doublings"))
    figure, axes = panels(WIDTH, [TOP, board_height(len(rows)) + 0.3] if rows else [TOP])
    tips = draw_frontiers(axes[0], lines, axis)
    if rows:
        axes[0].set_title(
            "The best setting at each compute, 95% bands", loc="left", fontsize=FONT, color=INK
        )
        axes[1].set_title(title, loc="left", fontsize=FONT, color=INK)
        draw_differences(axes[1], rows, _levels(rows), label)
    note = (
        f"Above: accuracy against {labels.axis(axis).title}, settings chosen on some problems and "
        "judged on others. Below: points gained by a doubled budget minus those gained by a "
        "doubled n; orange: longer is better, blue: more, uncoloured: the 95% interval holds 0."
    )
    return Chart("compare", "Longer, more, or larger?", note, figure, tables["frontiers"], tips)


def draw_frontiers(axes: Any, lines: Mapping[str, pd.DataFrame], axis: str) -> dict[str, list[str]]:
    """A line with its band for each model's frontier (a table of `frontier.path`); returns the tips
    of the points.
    """
    colours = ramp(len(lines)) if len(lines) > len(CATEGORY) else list(CATEGORY)
    scale = labels.axis(axis).scale
    tips, ends = {}, []
    for index, (model, line) in enumerate(lines.items()):
        gid, colour, x = f"model{index}", colours[index], scale * line["cost"]
        trace(axes, x, line["out_of_bag"], line["lo"], line["hi"], colour, gid)
        tips[gid] = [
            f"{model}, {labels.cell(r)}: {labels.interval(r['out_of_bag'], r['lo'], r['hi'])}"
            f" at {labels.cost(axis, r['cost'])}"
            for r in line.to_dict("records")
        ]
        name = model if len(model) <= 12 else labels.short_model(model)
        ends.append((float(x.iloc[-1]), float(line["out_of_bag"].iloc[-1]), name, colour))
    percent_axis(axes, max(float(line["hi"].max()) for line in lines.values()))
    costs = scale * np.concatenate([line["cost"] for line in lines.values()])
    log_axis(axes, costs, labels.axis(axis).title + ", log scale")
    label_ends(axes, ends)
    return tips


def draw_differences(
    axes: Any, rows: Mapping[str, pd.DataFrame], levels: Sequence[Level], label: str
) -> None:
    """A tile for each comparison: a row (named) for each table of `doubling.doublings`, a column
    for each level they start from; coloured where the interval does not hold 0.
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
            tile(axes, j, i, colour, text, INK if decided else MUTED, bold=decided)
    frame(axes, levels, list(rows), label)
    axes.set_xlabel(axes.get_xlabel().replace("thinking budget", "start: thinking budget"))


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
    axes: Any, x: int, y: int, colour: Any, text: str, ink: str, bold: bool = False, gid: str = ""
) -> None:
    """A coloured field of a board with its number. colour: as matplotlib takes it; gid: "data-..."
    where the colour stands for a number (`style`).
    """
    from matplotlib.patches import Rectangle

    name = f"{gid}{x}-{y}" if gid else None
    field = {"facecolor": colour, "linewidth": 0, "gid": name}
    axes.add_patch(Rectangle((x - 0.48, y - 0.46), 0.96, 0.92, **field))
    weight = "bold" if bold else "normal"
    words = {"ha": "center", "va": "center", "fontsize": FONT - 0.5, "fontweight": weight}
    axes.text(x, y, text, color=ink, gid=name and f"{name}-text", **words)


def frame(axes: Any, levels: Sequence[Level], rows: Sequence[str], label: str) -> None:
    """The axes of a board: a column a level, a row a name."""
    axes.grid(False)
    axes.spines[["bottom"]].set_visible(False)
    axes.tick_params(length=0)
    axes.set_xlim(-0.5, len(levels) - 0.5)
    axes.set_ylim(-0.5, len(rows) - 0.5)
    long = any(len(labels.level(level)) > 6 for level in levels)
    turned = {"rotation": 30, "ha": "right"} if long else {"rotation": 0, "ha": "center"}
    axes.set_xticks(range(len(levels)), [labels.short_level(v) for v in levels], **turned)
    axes.set_yticks(range(len(rows)), rows)
    numbers = not all(np.isnan(budget) for _, budget in levels)
    axes.set_xlabel("thinking budget, tokens" if numbers else "setting")
    axes.set_ylabel(label)


def _rows(doublings: pd.DataFrame | None) -> tuple[dict[str, pd.DataFrame], str, str]:
    """The rows of the lower panel with their axis's label and the panel's title."""
    usable = (
        []
        if doublings is None
        else [s for s in doublings["selector"].unique() if s not in ("mean", "oracle")]
    )
    if doublings is None or not usable:
        return {}, "", ""
    table = of_selector(doublings, usable[0])
    several, least = table["model"].nunique() > 1, int(table["n"].min())
    part = table[table["n"] == least] if several else table
    by = "model" if several else "n"
    rows = {str(name): rows_of for name, rows_of in part.groupby(by, sort=not several)}
    how = labels.selector(usable[0], least) if several else labels.selector(usable[0])
    title = (
        f"Doubled budget minus doubled n, points (from {how})\norange: longer wins, blue: more "
        f"wins, plain: undecided"
    )
    return rows, "" if several else "samples n", title


def _levels(rows: Mapping[str, pd.DataFrame]) -> list[Level]:
    """The levels that the rows start from: by setting and budget; effort levels by what they
    cost.
    """
    import pandas as pd

    starts = pd.concat(rows.values()).sort_values("cost").drop_duplicates(["setting", "budget"])
    if starts["budget"].notna().any():
        starts = starts.sort_values(["setting", "budget"])
    return [row_level(row) for row in starts.to_dict("records")]


def _same(a: Level, b: Level) -> bool:
    return a[0] == b[0] and (a[1] == b[1] or (np.isnan(a[1]) and np.isnan(b[1])))
