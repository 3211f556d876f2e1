"""The figure over the leaderboard: accuracy against cost, one line joining a model's levels, and
the frontier of them all. The best few are coloured, the others grey; labels never collide, so with
many models only those are named that there is room for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from testtime import labels
from testtime.style import (
    CATEGORY,
    FONT,
    INK,
    MUTED,
    PAPER,
    Chart,
    canvas,
    freeze,
    log_axis,
    percent_axis,
)

if TYPE_CHECKING:
    import pandas as pd

SIZE = (6.4, 4.3)  # inches
NAMED = 14  # models that are named even where they are not on the frontier
FARTHER = (1, 1.8, 2.8, 4.2, 6.5, 9)  # times STEP; from LINED on a thin line leads to the point
STEP, LINED, AROUND = 6.5, 2.8, 16  # points; ; directions
Box = tuple[float, float, float, float]


def axis_of(rows: pd.DataFrame) -> str | None:
    """The cost on which most models can be placed: dollars, else FLOPs, else tokens; None where
    none is known.
    """
    one = rows[rows["n"] == 1]
    known = {a: one.loc[one[a] > 0, "model"].nunique() for a in ("usd", "flops", "tokens")}
    best = max(known, key=lambda a: known[a])
    return best if known[best] else None


def figure(rows: pd.DataFrame, axis: str) -> Chart:
    """Accuracy of one sample against cost. rows: of `leaderboard.board`; models without that cost
    are not drawn, and counted in the note.
    """
    one = rows[(rows["n"] == 1) & (rows[axis] > 0)]
    lines = {str(m): part.sort_values("order") for m, part in one.groupby("model", sort=False)}
    by_best = sorted(lines, key=lambda m: -float(lines[m]["value"].max()))
    colours = dict(zip(by_best, CATEGORY, strict=False))
    scale, of = labels.axis(axis).scale, labels.axis(axis)
    frontier = _frontier(one, axis)
    drawing, axes = canvas(SIZE)
    wide = {"linewidth": 6, "alpha": 0.12, "solid_capstyle": "round", "zorder": 1}
    axes.plot(scale * frontier[axis], frontier["value"], color=INK, gid="frontier", **wide)
    series = {m: f"model{i}" if m in colours else f"others.{i}" for i, m in enumerate(by_best)}
    legend = {series[model]: (model, colour) for model, colour in colours.items()}
    if others := len(lines) - len(colours):
        legend["others"] = (labels.counted(others, "other"), MUTED)
    tips = {}
    for model in reversed(by_best):  # the best are drawn last, on top
        line, colour = lines[model], colours.get(model, MUTED)
        strong = model in colours
        x, gid = scale * line[axis], series[model]
        if strong:
            ends = [line["value"] - line["lo"], line["hi"] - line["value"]]
            bars = np.nan_to_num(np.maximum(ends, 0))
            thin = {"fmt": "none", "ecolor": colour, "elinewidth": 0.8, "alpha": 0.45}
            _, _, (drawn_bars,) = axes.errorbar(x, line["value"], bars, **thin)
            drawn_bars.set_gid(f"{gid}.bars")
        look = {"linewidth": 1.7 if strong else 0.8, "markersize": 5 if strong else 3.4}
        edge = {"markeredgecolor": PAPER, "markeredgewidth": 0.6, "marker": "o"}
        faded = {"alpha": 1.0 if strong else 0.55, "zorder": 3 if strong else 2}
        axes.plot(x, line["value"], color=colour, gid=gid, **look, **edge, **faded)
        tips[gid] = [
            f"{model}, {row['setting']}: "
            f"{labels.interval(row['value'], row['lo'], row['hi'])} at "
            f"{labels.cost(axis, row[axis])}"
            for row in line.to_dict("records")
        ]
    percent_axis(axes, float(one[["value", "hi"]].max().max()))
    log_axis(axes, scale * one[axis], f"{of.title}, log scale")
    wanted = dict.fromkeys([*by_best[:NAMED], *frontier["model"]])
    named = [(m, lines[m].iloc[-1], colours.get(m, MUTED)) for m in wanted]
    ends_of = [
        (labels.short_model(m), scale * r[axis], r["value"], c, series[m]) for m, r, c in named
    ]
    written = _name(drawing, axes, ends_of, scale * one[axis], one["value"])
    missing = rows["model"].nunique() - len(lines)
    note = (
        "One sample a problem. A line joins the budgets or effort levels of a model, the broad "
        "grey line the best at each cost. Bars, of the coloured models, are 95% intervals over "
        "problems."
    )
    if written < len(lines):
        note += f" {len(lines) - written} models are not named; point at them, or read the table."
    if missing:
        note += (
            f" {labels.counted(missing, 'model')} whose {of.unit} are not known "
            f"{'is' if missing == 1 else 'are'} in the table alone."
        )
    drawn = (
        f"{len(lines)} of {len(lines) + missing} models"
        if missing
        else (labels.counted(len(lines), "model"))
    )
    title = f"{drawn}: accuracy against {of.unit}"
    table = one.drop(columns=["order"])
    return Chart(f"leaderboard-{axis}", title, note, drawing, table, tips, legend)


def _frontier(one: pd.DataFrame, axis: str) -> pd.DataFrame:
    """The points that no cheaper one reaches, along growing cost."""
    ordered = one.sort_values([axis, "value"], ascending=[True, False], kind="stable")
    before = ordered["value"].cummax().shift(fill_value=-1.0)
    return ordered[ordered["value"] > before]


def _name(
    drawing: Any, axes: Any, ends: Sequence[tuple[str, float, float, str, str]], xs: Any, ys: Any
) -> int:
    """Write names beside line ends (name, x, y, colour, gid) where neither another name nor a point
    is, the most important first; returns how many found room.
    """
    freeze(drawing)  # places are pixels, so nothing may move any more
    renderer = drawing.canvas.get_renderer()
    pixel = drawing.dpi / 72
    window = axes.get_window_extent(renderer)
    centres = axes.transData.transform(np.column_stack([xs, ys]))
    taken: list[Box] = [(x - 2, y - 2, x + 2, y + 2) for x, y in centres]
    turns = sorted(np.arange(AROUND) * 2 * np.pi / AROUND, key=lambda t: -np.cos(t))  # right first
    ways = [(far, far * STEP * np.cos(t), far * STEP * np.sin(t)) for far in FARTHER for t in turns]
    written = 0
    for name, x, y, colour, gid in ends:
        at = axes.transData.transform((x, y))
        look = {"color": colour, "fontsize": FONT - 1, "fontweight": "bold", "va": "center"}
        text = axes.annotate(name, (x, y), (0, 0), textcoords="offset points", **look)
        size = text.get_window_extent(renderer)
        text.remove()
        for far, dx, dy in ways:
            centred = abs(dx) < 1
            left = at[0] + dx * pixel - size.width * (0.5 if centred else 0.0 if dx > 0 else 1.0)
            low = at[1] + dy * pixel - size.height / 2
            box = (left, low, left + size.width, low + size.height)
            inside = box[0] > window.x0 and box[2] < drawing.bbox.x1 and box[3] < window.y1 + 12
            if inside and low > window.y0 and not any(_meet(box, other) for other in taken):
                lead = {"arrowstyle": "-", "color": colour, "linewidth": 0.6, "shrinkA": 1}
                arrow = {"arrowprops": lead} if far >= LINED else {}
                place = ((left - at[0]) / pixel, dy)
                look |= {"gid": f"{gid}.name", **arrow}
                axes.annotate(name, (x, y), place, textcoords="offset points", **look)
                taken.append(box)
                written += 1
                break
    return written


def _meet(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
